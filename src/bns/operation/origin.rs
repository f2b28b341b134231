//! Who sent an operation (wf §3), and the mark that it leaves on a row.

use bitcoin::Txid;

use crate::bns::address::Address;
use crate::bns::record::{NameOp, NameRecord, PublicKey, Script};

/// Who sent an operation and where it stands (wf §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Script of the output that input 0 spends.
    pub sender: Script,
    /// Its address.
    pub address: Address,
    /// The public key that an input reveals for it; never for p2sh.
    pub sender_pubkey: Option<PublicKey>,
    /// The transaction.
    pub txid: Txid,
    /// Its place in its block.
    pub vtxindex: u32,
}

impl Origin {
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
