//! What commands that own names ask the daemon: the state that rules look at, never a key.
//!
//! Hashes, scripts and transactions are hex, amounts satoshi, addresses base58 of the followed network. Everything
//! here is public data; a transaction that is judged may lack its signatures.

use serde::{Deserialize, Serialize};

use crate::bns::price::PriceFunction;

/// Most names in one reply.
pub const NAMES_MAX: usize = 1_000;
/// Most labels in one question for prices.
pub const LABELS_MAX: usize = 100;
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

/// Asks what the rules say about a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameRequest {
    /// The name.
    pub name: String,
}

/// How a name stands for the next block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameState {
    /// Nobody has it.
    #[default]
    Free,
    /// Registered and usable.
    Registered,
    /// Its term is over, and for now only its owner can renew it.
    Grace,
    /// Revoked and not yet free again.
    Revoked,
}

/// A price and where it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceReply {
    /// In satoshi; `null` where bitcoin is not taken, or no amount would do.
    pub satoshi: Option<u64>,
    /// In µSTX; `null` where tokens are not taken.
    pub micro_stacks: Option<u64>,
    /// Whom it is paid to.
    pub pay_to: String,
}

/// A name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameReply {
    /// The name.
    pub name: String,
    /// How it stands.
    pub state: NameState,
    /// Address of the owner, also of a name that is free again.
    pub owner: Option<String>,
    /// Script of the owner.
    pub owner_script: Option<String>,
    /// Hash of the zone file.
    pub zonefile_hash: Option<String>,
    /// Whether the archive has that zone file.
    pub zonefile_present: bool,
    /// The last operation in the reference's words.
    pub operation: Option<String>,
    /// Its transaction.
    pub txid: Option<String>,
    /// Its height.
    pub height: Option<u32>,
    /// Height at which this life of the name began.
    pub first_registered: Option<u32>,
    /// Height of the last registration or renewal.
    pub last_renewed: Option<u32>,
    /// Whether it was imported.
    pub imported: bool,
    /// First block in which only a renewal is allowed.
    pub expires_at: Option<u32>,
    /// End of the grace period.
    pub renewal_deadline: Option<u32>,
    /// First block in which somebody else can register it.
    pub free_at: Option<u32>,
    /// What a registration or renewal costs in the next block; `null` without a ready namespace.
    pub price: Option<PriceReply>,
    /// All operations that are known, oldest first.
    pub history: Vec<NameEvent>,
}

/// What an operation made of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameEvent {
    /// Its height.
    pub height: u32,
    /// Its place in the block.
    pub vtxindex: u32,
    /// Its transaction.
    pub txid: String,
    /// What it was, in the reference's words.
    pub operation: String,
    /// The owner after it.
    pub owner: Option<String>,
    /// The zone file hash after it.
    pub zonefile_hash: Option<String>,
}

/// Asks for a list of names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamesRequest {
    /// Only those of these addresses; all if empty.
    #[serde(default)]
    pub owners: Vec<String>,
    /// Only those whose term ends within so many blocks, or has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiring_within: Option<u32>,
    /// Those behind this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Names in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesReply {
    /// At most [`NAMES_MAX`].
    pub names: Vec<NameRow>,
    /// Where the next request goes on; `null` at the end.
    pub next: Option<String>,
}

/// A line of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRow {
    /// The name.
    pub name: String,
    /// How it stands.
    pub state: NameState,
    /// Address of the owner.
    pub owner: Option<String>,
    /// Hash of the zone file.
    pub zonefile_hash: Option<String>,
    /// First block in which only a renewal is allowed.
    pub expires_at: Option<u32>,
    /// End of the grace period.
    pub renewal_deadline: Option<u32>,
}

/// Asks about a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamespaceRequest {
    /// The id.
    pub id: String,
}

/// Asks for all namespaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamespacesRequest {}

/// All namespaces that were ever revealed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespacesReply {
    /// In ascending order.
    pub namespaces: Vec<NamespaceReply>,
}

/// How a namespace stands for the next block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceState {
    /// Nobody has it.
    #[default]
    Free,
    /// Its rules are public, names can be imported.
    Revealed,
    /// Names can be registered.
    Ready,
}

/// A namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceReply {
    /// The id.
    pub id: String,
    /// How it stands.
    pub state: NamespaceState,
    /// What it costs in the next block.
    pub price: PriceReply,
    /// 1: fees are burnt; 2: paid to the creator for a while; 3: paid in tokens.
    pub version: Option<u16>,
    /// Blocks that a name lives, before the epoch's multiplier; 4294967295 for ever.
    pub lifetime: Option<u32>,
    /// Its price function.
    pub prices: Option<PriceFunctionText>,
    /// Who paid for it.
    pub payer: Option<String>,
    /// Who imports names and opens it.
    pub revealer: Option<String>,
    /// Height of the reveal.
    pub reveal_block: Option<u32>,
    /// Height of the opening.
    pub ready_block: Option<u32>,
    /// First height at which a reveal that was not followed by the opening has lapsed.
    pub lapses_at: Option<u32>,
}

/// A price function as it is written in JSON and TOML.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PriceFunctionText {
    /// Coefficient, 0 to 255.
    pub coeff: u8,
    /// Base of the power, 0 to 255.
    pub base: u8,
    /// Exponent by length of the label, 0 to 15 each.
    pub buckets: [u8; 16],
    /// Divisor, 1 to 15, for labels with a digit, `-` or `_`.
    pub nonalpha_discount: u8,
    /// Divisor, 1 to 15, for labels without a vowel.
    pub no_vowel_discount: u8,
}

impl From<PriceFunction> for PriceFunctionText {
    fn from(function: PriceFunction) -> Self {
        Self {
            coeff: function.coeff,
            base: function.base,
            buckets: function.buckets,
            nonalpha_discount: function.nonalpha_discount,
            no_vowel_discount: function.no_vowel_discount,
        }
    }
}

impl From<PriceFunctionText> for PriceFunction {
    fn from(text: PriceFunctionText) -> Self {
        Self {
            coeff: text.coeff,
            base: text.base,
            buckets: text.buckets,
            nonalpha_discount: text.nonalpha_discount,
            no_vowel_discount: text.no_vowel_discount,
        }
    }
}

/// Asks what labels would cost in the next block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PricesRequest {
    /// By this price function.
    pub function: PriceFunctionText,
    /// In a namespace of this version.
    pub version: u16,
    /// The labels, at most [`LABELS_MAX`].
    pub labels: Vec<String>,
}

/// What they would cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricesReply {
    /// `satoshi`, or `µSTX` in a namespace that takes tokens alone.
    pub unit: String,
    /// One for each label, in order; `null` where no amount would do.
    pub prices: Vec<Option<u64>>,
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
