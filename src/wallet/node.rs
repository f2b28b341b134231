//! Who knows coins and takes transactions. Commands work with any of them; what rules say comes from the index.

use std::time::Duration;

use bitcoin::{FeeRate, OutPoint, ScriptBuf, Transaction, TxOut, Txid};

/// Why a node did not do it. Every message says what the reader can do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NodeError {
    /// It cannot be asked.
    #[error("{0}")]
    Unavailable(String),
    /// There is none.
    #[error("the daemon follows no chain, so nothing can be sent: set `chain.source`")]
    Absent,
    /// It does not take the transaction.
    #[error("the node refuses transaction {txid}: {reason}")]
    Refused {
        /// Which one.
        txid: Txid,
        /// Why.
        reason: String,
    },
}

/// A source of coins and a way into blocks.
pub trait Node {
    /// Confirmed outputs to `scripts` that no waiting transaction spends.
    fn coins(&self, scripts: &[ScriptBuf]) -> Result<Vec<(OutPoint, TxOut)>, NodeError>;

    /// The rate that gets a transaction into one of the next `blocks` blocks, if the node can say.
    fn fee_rate(&self, blocks: u16) -> Result<Option<FeeRate>, NodeError>;

    /// Sends transactions, each after those that it depends on. One that the node has already is no error.
    fn send(&self, transactions: &[Transaction]) -> Result<(), NodeError>;

    /// A transaction in full, as signing devices want to see what is spent, if the node has it.
    fn transaction(&self, txid: &Txid) -> Result<Option<Transaction>, NodeError>;

    /// What an outpoint holds, if it is unspent and the node can say.
    fn output(&self, outpoint: &OutPoint) -> Result<Option<TxOut>, NodeError> {
        let transaction = self.transaction(&outpoint.txid)?;
        Ok(transaction.and_then(|found| found.output.get(outpoint.vout as usize).cloned()))
    }

    /// Whether it gives coins away.
    fn has_faucet(&self) -> bool {
        false
    }

    /// How long to wait before asking again whether something was mined.
    fn pace(&self) -> Duration;
}
