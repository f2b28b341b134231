//! The request `records`: rows of the chain in the reference's words, see [`crate::names::Record`].

use serde::{Deserialize, Serialize};

use crate::names::RecordAt;

/// Asks for rows: one of the three says which.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordsRequest {
    /// What happened to this name, the last first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which page of that, of 20 rows each; the first has number 0.
    #[serde(default)]
    pub page: u32,
    /// The row of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What the accepted operations of the block at this height left, in its order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// Rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordsReply {
    /// None if there are none.
    pub records: Vec<RecordAt>,
}
