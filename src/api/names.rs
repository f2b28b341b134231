//! Questions about names, namespaces and prices. The replies are the values of [`crate::names`].
//!
//! Amounts are satoshi, addresses base58 of the followed network, hashes and scripts hex.

use serde::{Deserialize, Serialize};

use crate::bns::Name;
use crate::bns::price::PriceFunction;
use crate::names::NamespaceDetails;

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

/// Asks for a page of 100 names, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageRequest {
    /// Only those of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Those too that were registered once and are free again.
    #[serde(default)]
    pub expired: bool,
    /// The number of the page, from 0 on.
    #[serde(default)]
    pub page: u32,
}

/// A page of names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageReply {
    /// None behind the last page.
    pub names: Vec<Name>,
    /// Names on all pages together.
    pub count: u64,
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
    pub namespaces: Vec<NamespaceDetails>,
}

/// Asks what labels would cost in the next block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PricesRequest {
    /// By this price function.
    pub function: PriceFunction,
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
