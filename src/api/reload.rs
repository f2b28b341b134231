//! The endpoint `reload`: the configuration is read again.

use serde::{Deserialize, Serialize};

/// Asks for a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadRequest {}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReply {
    /// The configuration file that was read; `null` where there is none.
    pub file: Option<String>,
    /// What is wrong with the configuration; then nothing was changed. `null` if all went well.
    pub error: Option<String>,
    /// The keys whose new value is in force now.
    pub applied: Vec<ChangedKey>,
    /// The keys whose new value comes into force when the daemon is started again; repeated until then.
    pub needs_restart: Vec<ChangedKey>,
    /// When what was read last came into force, in seconds since 1970: at the start, or at the last reload that changed
    /// something.
    #[serde(default)]
    pub in_force_since: u64,
    /// What that reload changed; empty if it was the start.
    #[serde(default)]
    pub applied_then: Vec<ChangedKey>,
    /// What is allowed but probably not meant, one sentence each.
    pub warnings: Vec<String>,
}

/// A key with another value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedKey {
    /// The key with its section.
    pub key: String,
    /// The value before, as `bnsd config show` prints it.
    pub before: String,
    /// The new one.
    pub after: String,
}
