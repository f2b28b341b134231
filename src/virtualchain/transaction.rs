//! A transaction that carries our magic bytes, with everything that rules may look at.

use bitcoin::{Transaction, TxOut, Txid};

/// A candidate of one block: magic bytes found, spent outputs attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualTransaction {
    /// Position in the Bitcoin block, 0 is the coinbase.
    pub vtxindex: u32,
    /// Hash of the transaction without witnesses.
    pub txid: Txid,
    /// The transaction itself.
    pub transaction: Transaction,
    /// The outputs that its inputs spend, in input order; empty for a coinbase and for a void transaction
    /// ([`super::scan::is_void`]). A value is 0 where the funding transaction is not at hand; no rule reads it, fees are
    /// read from outputs.
    pub prevouts: Vec<TxOut>,
}
