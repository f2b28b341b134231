//! Who sent an operation (wf §3), and the mark that it leaves on a row.

use bitcoin::Txid;

use crate::bns::address::Address;
use crate::bns::record::{NameOp, NameRecord, PublicKey, Script};
use crate::hash::h160;
use crate::virtualchain::script;

/// Who sent an operation and where it stands (wf §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Script of the output that input 0 spends.
    pub sender: Script,
    /// Its address.
    pub address: Address,
    /// What the inputs push where a public key stands, in their order, each once in a row. Which of it is the
    /// sender's key is found out where a rule or a row asks: that costs more than all else that reading takes.
    pub(super) pushed_keys: Vec<PublicKey>,
    /// The transaction.
    pub txid: Txid,
    /// Its place in its block.
    pub vtxindex: u32,
}

impl Origin {
    /// The public key that an input reveals for the sender (wf §3); never for p2sh.
    pub fn sender_pubkey(&self) -> Option<PublicKey> {
        let preimage = self.preimage();
        preimage.filter(|key| script::is_public_key(key)).cloned()
    }

    /// The same, of a sender of whom `known` was recognised before: no other bytes have its hash.
    pub(super) fn sender_pubkey_knowing(&self, known: Option<&PublicKey>) -> Option<PublicKey> {
        let pushed_again = known.filter(|known| self.pushed_keys.contains(known));
        pushed_again.cloned().or_else(|| self.sender_pubkey())
    }

    /// The pushed bytes that have the hash of the sender's key, whether or not they are a key.
    pub(super) fn preimage(&self) -> Option<&PublicKey> {
        let Address::P2pkh(hash) = &self.address else {
            return None;
        };
        self.pushed_keys.iter().find(|key| h160(key) == *hash)
    }

    /// A row as this operation leaves it, as far as all operations do the same (sm §5).
    pub(super) fn touch(&self, record: NameRecord, op: NameOp) -> NameRecord {
        NameRecord {
            op,
            txid: self.txid,
            vtxindex: self.vtxindex,
            ..record
        }
    }
}
