//! A transaction that carries our magic bytes, with everything that rules may look at.

use bitcoin::{Transaction, TxOut, Txid};

/// The output that an input spends: what it was worth and who could spend it.
///
/// `value` is unknown (0) for inputs whose funding transaction is not at hand; no rule reads it, fees are
/// read from outputs.
pub type Prevout = TxOut;

/// A candidate of one block: magic bytes found, spent outputs attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualTransaction {
    /// Position in the Bitcoin block, 0 is the coinbase.
    pub vtxindex: u32,
    /// Hash of the transaction without witnesses.
    pub txid: Txid,
    /// The transaction itself.
    pub transaction: Transaction,
    /// One per input, in input order; empty for a coinbase.
    pub prevouts: Vec<Prevout>,
}
