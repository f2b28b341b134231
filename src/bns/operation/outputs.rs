//! What the outputs of an operation mean (wf §4). Positions are absolute, wherever the `OP_RETURN` stands.

use bitcoin::{Transaction, TxOut};

use crate::bns::address::Address;
use crate::bns::record::Script;
use crate::bns::reject::Reject;
use crate::virtualchain::script::{self, ScriptClass};

/// An output that says who receives something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Its script.
    pub script: Script,
    /// Its address.
    pub address: Address,
}

/// What a preorder pays, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burn {
    /// Where the fee goes.
    pub burn_address: Address,
    /// The fee in satoshi.
    pub op_fee: u64,
}

/// The outputs of a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outputs<'t>(&'t [TxOut]);

impl<'t> Outputs<'t> {
    pub(super) fn new(transaction: &'t Transaction) -> Self {
        Self(&transaction.output)
    }

    pub(super) fn count(self) -> usize {
        self.0.len()
    }

    /// Refuses unless the first `count` outputs, as far as they exist, are nulldata, p2pkh or p2sh.
    pub(super) fn typed(self, count: usize) -> Result<Self, Reject> {
        let allowed = |output: &TxOut| {
            let class = script::classify(output.script_pubkey.as_bytes());
            class == ScriptClass::NullData || class.can_send()
        };
        require(self.0.iter().take(count).all(allowed))?;
        Ok(self)
    }

    /// Refuses unless there are exactly `count` outputs.
    pub(super) fn exactly(self, count: usize) -> Result<Self, Reject> {
        require(self.0.len() == count)?;
        Ok(self)
    }

    /// Who output `index` pays.
    pub(super) fn recipient(self, index: usize) -> Result<Recipient, Reject> {
        let output = self.0.get(index).ok_or(Reject::Malformed)?;
        let script = output.script_pubkey.to_bytes();
        let address = Address::of_script(&script).ok_or(Reject::Malformed)?;
        Ok(Recipient { script, address })
    }

    /// The fee output of a renewal: nothing checks its type, so it may also be native segwit, an address
    /// that no fee is ever due to.
    pub(super) fn renewal_fee(self, index: usize) -> Result<(Option<Address>, u64), Reject> {
        let output = self.0.get(index).ok_or(Reject::Malformed)?;
        let address = Address::of_script(output.script_pubkey.as_bytes());
        let witness = script::classify(output.script_pubkey.as_bytes()) == ScriptClass::Witness;
        require(address.is_some() || witness)?;
        Ok((address, output.value.to_sat()))
    }

    /// What output `index` pays.
    pub(super) fn burn(self, index: usize) -> Result<Burn, Reject> {
        let output = self.0.get(index).ok_or(Reject::Malformed)?;
        Ok(Burn {
            burn_address: self.recipient(index)?.address,
            op_fee: output.value.to_sat(),
        })
    }
}

/// Refuses a payload that its outputs or the epoch contradict.
pub(super) fn require(holds: bool) -> Result<(), Reject> {
    if holds {
        Ok(())
    } else {
        Err(Reject::Malformed)
    }
}
