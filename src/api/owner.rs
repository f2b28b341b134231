//! What the owner's engine asks the daemon: constants of the chain, forecasts, zone files, coins; never a key.
//!
//! Hashes, scripts and transactions are hex, amounts satoshi. What the engine itself works with is defined beside it, in
//! [`crate::wallet::task::state`]; a transaction that is judged may lack its signatures.

use std::net::SocketAddr;

use bitcoin::{Amount, ScriptBuf, Transaction, Txid};
use serde::{Deserialize, Serialize};

use crate::chain::SourceKind;
use crate::hash::{PreorderHash, ZonefileHash};
use crate::wallet::hex;
use crate::wallet::task::state::{ChainFacts, IndexedOperation, Prevout, Proposed};

/// How many blocks are searched for a transaction.
pub const SEARCH_MAX: u32 = 20_000;

/// Asks for the constants and the tip of the followed chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainRequest {}

/// The followed chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainReply {
    /// Constants and tip.
    #[serde(flatten)]
    pub facts: ChainFacts,
    /// Whose blocks are followed.
    pub source: SourceKind,
    /// Where DNS is served.
    pub listeners: Vec<SocketAddr>,
}

/// Asks for the unspent preorders with a hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreorderRequest {
    /// The commitment.
    pub hash: PreorderHash,
}

/// Unspent preorders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreorderReply {
    /// By height.
    pub preorders: Vec<PreorderRow>,
}

/// An unspent preorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreorderRow {
    /// Its height.
    pub height: u32,
    /// Its transaction.
    pub txid: Txid,
    /// What it paid.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub satoshi: Amount,
}

/// Asks whether the next blocks would accept transactions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeRequest {
    /// What each of the next blocks holds.
    pub blocks: Vec<Vec<Proposed>>,
    /// The name or namespace that they are about, so that a later height can be found.
    pub about: Option<String>,
}

/// What became of those that are indexed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationReply {
    /// In block order.
    pub operations: Vec<IndexedOperation>,
}

/// Hands a zone file to the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// Its bytes.
    #[serde(with = "hex::bytes")]
    pub zonefile: Vec<u8>,
}

/// Asks for a zone file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZonefileRequest {
    /// Its hash.
    pub hash: ZonefileHash,
}

/// A zone file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZonefileReply {
    /// Its hash.
    pub hash: ZonefileHash,
    /// Its bytes; `null` if the archive has none.
    #[serde(with = "hex::optional_bytes")]
    pub zonefile: Option<Vec<u8>>,
}

/// Asks the embedded chain for spendable outputs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoinsRequest {
    /// To these scripts.
    pub scripts: Vec<ScriptBuf>,
}

/// Spendable outputs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinsReply {
    /// Oldest first.
    pub coins: Vec<CoinRow>,
}

/// A spendable output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinRow {
    /// Its transaction.
    pub txid: Txid,
    /// Its place there.
    pub vout: u32,
    /// Its worth and its script.
    #[serde(flatten)]
    pub output: Prevout,
}

/// Sends transactions to the embedded chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// In the order in which they depend on each other.
    #[serde(with = "hex::transactions")]
    pub transactions: Vec<Transaction>,
}

/// Mines on the embedded chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MineRequest {
    /// How many blocks.
    pub blocks: u32,
    /// From now on mine whenever a transaction arrives, or only when asked.
    #[serde(default)]
    pub automatic: Option<bool>,
    /// Leave the waiting transactions where they are.
    #[serde(default)]
    pub empty: bool,
}

/// Gives worthless coins of the embedded chain away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaucetRequest {
    /// To whom.
    pub address: String,
    /// How much.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub satoshi: Amount,
}

/// How the embedded chain stands after a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinedReply {
    /// Its tip.
    pub height: u32,
    /// Time of that block (RFC 3339).
    #[serde(default)]
    pub time: Option<String>,
    /// How many transactions wait for a block.
    pub waiting: usize,
}
