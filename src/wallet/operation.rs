//! The transactions of the name system's operations, with their outputs in conventional order (wf §4).
//!
//! Some positions are consensus: a preorder has exactly three outputs with the burn last, a renewal has four
//! or more, an import names its zone file in the third. The rest follows what the historical clients
//! produced. Output 0 is always the `OP_RETURN` with magic bytes and payload.
//!
//! Whether an operation will be *accepted* is not known here: that takes the state at the block it lands in.

use std::fmt;

use bitcoin::absolute::LockTime;
use bitcoin::script::PushBytesBuf;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};

use super::coins::{self, ChangeOutput, Coin, DUST, Funding, FundingError};
use crate::bns::address::{Address, AddressVersions};
use crate::bns::commitment;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::price::PriceFunction;
use crate::bns::wire::{self, Payload, TokenBurn};
use crate::hash::{ConsensusHash, ZonefileHash};

/// The only token type that exists (wf §6).
pub const STACKS: &[u8] = b"STACKS";
/// Longest `OP_RETURN` data that nodes relay, in bytes.
const MAX_DATA: usize = 80;

/// What is paid to a burn address, or to the namespace's creator where the namespace says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fee {
    /// Whom it is paid to.
    pub to: Address,
    /// How much.
    pub amount: Amount,
}

/// What a transfer does with the name's zone file hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTransfer {
    /// The name goes on resolving as it does.
    KeepZonefile,
    /// The new owner starts without one.
    ClearZonefile,
}

impl fmt::Display for OnTransfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeepZonefile => "kept",
            Self::ClearZonefile => "dropped",
        })
    }
}

/// An operation: what it says, and what stands behind the `OP_RETURN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    payload: Payload,
    /// Who gets [`DUST`], in front of the change.
    receivers: Vec<Address>,
    change: ChangeOutput,
    /// What is paid behind the change.
    burn: Option<Fee>,
}

/// Why an operation cannot become a transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The coins do not suffice.
    #[error(transparent)]
    Funding(#[from] FundingError),
    /// The payload is longer than nodes relay.
    #[error("the operation takes {0} bytes, and Bitcoin nodes relay at most 80")]
    TooLong(usize),
}

/// A transaction that lacks only its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    /// The transaction, its scriptSigs empty.
    pub transaction: Transaction,
    /// The output that each input spends.
    pub prevouts: Vec<TxOut>,
    /// What miners get.
    pub fee: Amount,
}

impl Unsigned {
    /// A plain payment of `outputs`, with change at the end; `first` is as in [`coins::select`].
    pub fn payment(
        funding: &Funding<'_>,
        first: Option<OutPoint>,
        outputs: Vec<TxOut>,
    ) -> Result<Self, FundingError> {
        let end = outputs.len();
        Self::funded(funding, first, outputs, ChangeOutput::Optional, end)
    }

    /// Pays `outputs`, with change as number `place` of them.
    fn funded(
        funding: &Funding<'_>,
        first: Option<OutPoint>,
        mut outputs: Vec<TxOut>,
        change: ChangeOutput,
        place: usize,
    ) -> Result<Self, FundingError> {
        let selection = coins::select(funding, first, &outputs, change)?;
        let change = selection.change.map(|value| TxOut {
            value,
            script_pubkey: funding.change.to_owned(),
        });
        outputs.splice(place..place, change);
        Ok(Self::spending(selection.coins, selection.fee, outputs))
    }

    /// Spends these coins on these outputs, as they are; the rest is the fee.
    pub fn exactly(coins: &[Coin], outputs: Vec<TxOut>) -> Self {
        let spent: Vec<TxOut> = coins.iter().map(|coin| coin.output.clone()).collect();
        let fee = coins::fee(&spent, &outputs).unwrap_or_default();
        Self::spending(coins.to_vec(), fee, outputs)
    }

    /// What its inputs are worth.
    pub fn spent(&self) -> Amount {
        self.prevouts.iter().map(|output| output.value).sum()
    }

    fn spending(coins: Vec<Coin>, fee: Amount, output: Vec<TxOut>) -> Self {
        let inputs = coins.iter().map(|coin| TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        });
        Self {
            transaction: Transaction {
                version: Version::ONE,
                lock_time: LockTime::ZERO,
                input: inputs.collect(),
                output,
            },
            prevouts: coins.into_iter().map(|coin| coin.output).collect(),
            fee,
        }
    }
}

impl Operation {
    /// Commits to a name without saying which: `OP_RETURN`, change, burn.
    ///
    /// The registration must come from the same `sender` and name the same `owner`.
    pub fn name_preorder(
        name: &Name,
        sender: &Script,
        owner: (Address, AddressVersions),
        consensus_hash: ConsensusHash,
        tokens: Option<TokenBurn>,
        burn: Fee,
    ) -> Self {
        let owner = owner.0.encode(owner.1);
        let payload = Payload::NamePreorder(wire::NamePreorder {
            preorder_hash: commitment::name_preorder_hash(name, sender.as_bytes(), &owner),
            consensus_hash,
            tokens,
        });
        Self::new(payload, [], Some(burn))
    }

    /// Says which name was preordered: `OP_RETURN`, owner, change.
    pub fn name_register(name: &Name, owner: Address, value_hash: Option<ZonefileHash>) -> Self {
        let payload = Payload::NameRegistration(wire::NameRegistration {
            name: name.clone(),
            value_hash,
            tokens: None,
        });
        Self::new(payload, [owner], None)
    }

    /// Prolongs a registration: `OP_RETURN`, owner, change, burn.
    ///
    /// `tokens` is for epochs in which names are paid in tokens; they want it, even if zero, as soon as there is
    /// a `value_hash` (wf §6).
    pub fn name_renew(
        name: &Name,
        owner: Address,
        value_hash: Option<ZonefileHash>,
        tokens: Option<u64>,
        burn: Fee,
    ) -> Self {
        let payload = Payload::NameRegistration(wire::NameRegistration {
            name: name.clone(),
            value_hash,
            tokens,
        });
        Self::new(payload, [owner], Some(burn))
    }

    /// Announces a new zone file: `OP_RETURN`, owner, change. The consensus hash is at most 24 blocks old.
    pub fn name_update(
        name: &Name,
        owner: Address,
        consensus_hash: ConsensusHash,
        value_hash: ZonefileHash,
    ) -> Self {
        let payload = Payload::NameUpdate(wire::NameUpdate {
            update_hash: commitment::update_hash(name, consensus_hash),
            value_hash,
        });
        Self::new(payload, [owner], None)
    }

    /// Gives a name away: `OP_RETURN`, new owner, old owner, change.
    pub fn name_transfer(
        name: &Name,
        old_owner: Address,
        new_owner: Address,
        consensus_hash: ConsensusHash,
        zonefile: OnTransfer,
    ) -> Self {
        let payload = Payload::NameTransfer(wire::NameTransfer {
            keep_data: zonefile == OnTransfer::KeepZonefile,
            name_hash128: name.hash128(),
            consensus_hash,
        });
        Self::new(payload, [new_owner, old_owner], None)
    }

    /// Ends a name's use until it expires: `OP_RETURN`, owner, change.
    pub fn name_revoke(name: &Name, owner: Address) -> Self {
        let payload = Payload::NameRevoke { name: name.clone() };
        Self::new(payload, [owner], None)
    }

    /// Puts a name into a namespace that is not ready yet: `OP_RETURN`, owner, zone file hash, change.
    ///
    /// The hash travels as if it were an address; what is paid to it is lost.
    pub fn name_import(name: &Name, owner: Address, value_hash: ZonefileHash) -> Self {
        let payload = Payload::NameImport { name: name.clone() };
        Self::new(payload, [owner, Address::P2pkh(value_hash.0)], None)
    }

    /// Commits to a namespace without saying which: `OP_RETURN`, change, burn.
    ///
    /// The reveal must come from the same `sender` and name the same `revealer`.
    pub fn namespace_preorder(
        id: &NamespaceId,
        sender: &Script,
        revealer: (Address, AddressVersions),
        consensus_hash: ConsensusHash,
        tokens: Option<u64>,
        burn: Fee,
    ) -> Self {
        let revealer = revealer.0.encode(revealer.1);
        let payload = Payload::NamespacePreorder(wire::NamespacePreorder {
            preorder_hash: commitment::namespace_preorder_hash(id, sender.as_bytes(), &revealer),
            consensus_hash,
            tokens,
        });
        Self::new(payload, [], Some(burn))
    }

    /// Says which namespace was preordered and by which rules it works: `OP_RETURN`, revealer, change.
    ///
    /// `lifetime` is that of its names in blocks, `u32::MAX` for ever; `version` is 1, 2 or 3 (wf §6).
    pub fn namespace_reveal(
        id: &NamespaceId,
        revealer: Address,
        lifetime: u32,
        price: PriceFunction,
        version: u16,
    ) -> Self {
        let payload = Payload::NamespaceReveal(wire::NamespaceReveal {
            lifetime,
            price,
            version,
            namespace_id: id.clone(),
        });
        Self {
            change: ChangeOutput::Required,
            ..Self::new(payload, [revealer], None)
        }
    }

    /// Opens a namespace for everybody: `OP_RETURN`, revealer, change.
    pub fn namespace_ready(id: &NamespaceId, revealer: Address) -> Self {
        let payload = Payload::NamespaceReady {
            namespace_id: id.clone(),
        };
        Self::new(payload, [revealer], None)
    }

    /// Points at a message by its hash: `OP_RETURN`, sender, change.
    pub fn announce(message_hash: ZonefileHash, sender: Address) -> Self {
        let payload = Payload::Announce { message_hash };
        Self::new(payload, [sender], None)
    }

    /// Moves tokens, in epochs that have them: `OP_RETURN`, recipient, change. `note` is free text of at most 34
    /// bytes.
    pub fn token_transfer(
        recipient: Address,
        consensus_hash: ConsensusHash,
        amount: u64,
        note: &[u8],
    ) -> Self {
        let payload = Payload::TokenTransfer(wire::TokenTransfer {
            consensus_hash,
            token_type: STACKS.to_vec(),
            amount,
            scratch_area: note.to_vec(),
        });
        Self::new(payload, [recipient], None)
    }

    /// What the operation says.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The transaction that carries the operation, in a virtualchain with these magic bytes.
    pub fn build(&self, magic: [u8; 2], funding: &Funding<'_>) -> Result<Unsigned, BuildError> {
        self.build_first(magic, funding, None)
    }

    /// The same with the sender's coin that has to be input 0.
    pub(crate) fn build_first(
        &self,
        magic: [u8; 2],
        funding: &Funding<'_>,
        first: Option<OutPoint>,
    ) -> Result<Unsigned, BuildError> {
        let mut outputs = self.outputs(magic)?;
        let behind = outputs.len();
        outputs.extend(self.burn.map(|burn| pay(burn.to, burn.amount)));
        let unsigned = Unsigned::funded(funding, first, outputs, self.change, behind);
        Ok(unsigned?)
    }

    /// An operation whose change is at a place that matters if something is burnt behind it.
    fn new<const N: usize>(payload: Payload, receivers: [Address; N], burn: Option<Fee>) -> Self {
        let change = match burn {
            Some(_) => ChangeOutput::Required,
            None => ChangeOutput::Optional,
        };
        Self {
            payload,
            receivers: receivers.into(),
            change,
            burn,
        }
    }

    /// The output that carries it, and those in front of the change.
    pub(super) fn outputs(&self, magic: [u8; 2]) -> Result<Vec<TxOut>, BuildError> {
        let data = [&magic[..], &self.payload.encode()].concat();
        if data.len() > MAX_DATA {
            return Err(BuildError::TooLong(data.len()));
        }
        let push = PushBytesBuf::try_from(data).expect("80 bytes can be pushed");
        let data = TxOut {
            value: Amount::ZERO,
            script_pubkey: ScriptBuf::new_op_return(push),
        };
        let paid = self.receivers.iter().map(|to| pay(*to, DUST));
        Ok(std::iter::once(data).chain(paid).collect())
    }
}

/// An output that pays an address.
fn pay(to: Address, value: Amount) -> TxOut {
    TxOut {
        value,
        script_pubkey: ScriptBuf::from_bytes(to.script()),
    }
}
