//! What the owner's engine asks the daemon: constants of the chain, forecasts, zone files, coins; never a key.
//!
//! Hashes, scripts and transactions are hex, amounts satoshi, addresses base58 of the followed network. Everything
//! here is public data; a transaction that is judged may lack its signatures.

use serde::{Deserialize, Serialize};

/// How many blocks are searched for a transaction.
pub const SEARCH_MAX: u32 = 20_000;

/// Asks for the constants and the tip of the followed chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainRequest {}

/// What somebody who builds operations has to know of the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainReply {
    /// `mainnet`, `regtest` or `dev`.
    pub network: String,
    /// Whose blocks are followed: `dev`, `bitcoind`, `blockfiles` or `none`.
    pub source: String,
    /// The two bytes that operations start with.
    pub magic: String,
    /// Version byte of p2pkh addresses.
    pub p2pkh_version: u8,
    /// Version byte of p2sh addresses.
    pub p2sh_version: u8,
    /// Where fees are burnt.
    pub burn_address: String,
    /// Whether the next block takes zone file hashes in registrations.
    pub register_with_value_hash: bool,
    /// Whether the next block takes tokens for names, which changes the form of renewals.
    pub names_take_tokens: bool,
    /// Whether the next block wants tokens for namespaces.
    pub namespaces_cost_tokens: bool,
    /// Height of the indexed tip; `null` before the first block.
    pub height: Option<u32>,
    /// Height of the best block that the source knows.
    pub best_height: u32,
    /// Whether the index is at the tip of its source.
    pub synced: bool,
    /// The consensus hash to quote.
    pub consensus_hash: String,
    /// For how many blocks it can be quoted.
    pub consensus_hash_lifetime: u32,
    /// All that can be quoted in the next block, newest first: one a height, each for one block less.
    #[serde(default)]
    pub quotable: Vec<String>,
    /// How many blocks are on top of an indexed one.
    pub confirmations: u32,
    /// Where DNS is served, as ADDRESS:PORT.
    pub listeners: Vec<String>,
}

/// Asks for the unspent preorders with a hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreorderRequest {
    /// The commitment.
    pub hash: String,
}

/// Unspent preorders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreorderReply {
    /// By height.
    pub preorders: Vec<PreorderRow>,
}

/// An unspent preorder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreorderRow {
    /// Its height.
    pub height: u32,
    /// Its transaction.
    pub txid: String,
    /// What it paid.
    pub satoshi: u64,
}

/// Asks whether the next blocks would accept transactions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeRequest {
    /// What each of the next blocks holds.
    pub blocks: Vec<Vec<JudgedTransaction>>,
    /// The name or namespace that they are about, so that a later height can be found.
    pub about: Option<String>,
}

/// A transaction with what it spends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedTransaction {
    /// The transaction.
    pub transaction: String,
    /// The output that each input spends.
    pub prevouts: Vec<JudgedOutput>,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedOutput {
    /// Its worth.
    pub satoshi: u64,
    /// Its script.
    pub script: String,
}

/// What would become of the transactions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgeReply {
    /// Height of the first of the blocks.
    pub height: u32,
    /// One for each transaction that is an operation, in order.
    pub verdicts: Vec<Verdict>,
    /// First height from which on all of them would be accepted, if not now and if one was found.
    pub passes_at: Option<u32>,
}

/// What would become of an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Height of its block.
    pub height: u32,
    /// In the reference's words.
    pub operation: String,
    /// The rule that would refuse it; `null` if it would be accepted.
    pub reject: Option<String>,
    /// That rule in words.
    pub reason: Option<String>,
    /// The text that would enter the ops hash.
    pub text: Option<String>,
}

/// Asks what became of transactions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationRequest {
    /// The transactions.
    #[serde(default)]
    pub txids: Vec<String>,
    /// Transactions by their hash without signatures, for those whose signatures somebody else makes.
    #[serde(default)]
    pub normalized: Vec<String>,
    /// First height to look at.
    pub from: u32,
}

/// What became of those that are indexed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationReply {
    /// In block order.
    pub operations: Vec<IndexedOperation>,
}

/// An operation in a block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedOperation {
    /// Its transaction.
    pub txid: String,
    /// Its height.
    pub height: u32,
    /// Consensus hash of that height.
    pub consensus_hash: String,
    /// The rule that refused it, in words; `null` if it was accepted.
    pub reason: Option<String>,
}

/// Hands a zone file to the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// Its bytes.
    pub zonefile: String,
}

/// Asks for a zone file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZonefileRequest {
    /// Its hash.
    pub hash: String,
}

/// A zone file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZonefileReply {
    /// Its hash.
    pub hash: String,
    /// Its bytes; `null` if the archive has none.
    pub zonefile: Option<String>,
}

/// Asks the embedded chain for spendable outputs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoinsRequest {
    /// To these scripts.
    pub scripts: Vec<String>,
}

/// Spendable outputs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinsReply {
    /// Oldest first.
    pub coins: Vec<CoinRow>,
}

/// A spendable output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinRow {
    /// Its transaction.
    pub txid: String,
    /// Its place there.
    pub vout: u32,
    /// Its worth.
    pub satoshi: u64,
    /// Its script.
    pub script: String,
}

/// Sends transactions to the embedded chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// In the order in which they depend on each other.
    pub transactions: Vec<String>,
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
    pub satoshi: u64,
}

/// How the embedded chain stands after a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinedReply {
    /// Its tip.
    pub height: u32,
    /// How many transactions wait for a block.
    pub waiting: usize,
}
