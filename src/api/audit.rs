//! The endpoint `audit`: random old blocks are looked at whole.

use serde::{Deserialize, Serialize};

/// Asks for audits, and how far they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRequest {
    /// How many blocks more; 0 only asks.
    #[serde(default)]
    pub blocks: u32,
}
