//! How names and namespaces stand, and what they cost.
//!
//! Amounts are satoshi, addresses base58 of the followed network, hashes and scripts hex.

use serde::{Deserialize, Serialize};

use crate::bns::price::PriceFunction;

/// Most names in one reply.
pub const NAMES_MAX: usize = 1_000;
/// Most labels in one question for prices.
pub const LABELS_MAX: usize = 100;

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

/// The end of a name: four heights, each with the date at which that block is expected (RFC 3339), or was there. `null`
/// is a height that never comes: the name has no end, its namespace is not open, or it is revoked, which leaves `free_from`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermReply {
    /// First block of the grace period, in which the owner can only renew; `null` where there is none.
    pub grace_start: Option<u32>,
    /// Its date, ten minutes a block.
    pub grace_start_estimated: Option<String>,
    /// Last block in which the name resolves.
    pub last_resolves: Option<u32>,
    /// Its date.
    pub last_resolves_estimated: Option<String>,
    /// Last block in which the owner can renew it.
    pub renewal_deadline: Option<u32>,
    /// Its date.
    pub renewal_deadline_estimated: Option<String>,
    /// First block in which somebody else can register it.
    pub free_from: Option<u32>,
    /// Its date.
    pub free_from_estimated: Option<String>,
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
    /// The end of this life.
    #[serde(flatten)]
    pub term: TermReply,
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
    /// The end of this life.
    #[serde(flatten)]
    pub term: TermReply,
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
