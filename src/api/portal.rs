//! The endpoint `portal`: the way through a captive portal.

use serde::{Deserialize, Serialize};

/// How long the way stays open unless somebody says otherwise, in seconds.
pub const TIME: u32 = 300;
/// Longest that it can stay open, in seconds.
pub const TIME_MAX: u32 = 3_600;

/// Opens the way, closes it, or asks about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum PortalRequest {
    /// Let the network's own resolvers answer for a while.
    Open {
        /// For how long, in seconds, up to [`TIME_MAX`].
        seconds: u32,
        /// Who is asked, each an address with an optional port; none for those that the network gave.
        resolvers: Vec<String>,
    },
    /// Ask the upstreams again.
    Close {},
    /// Say how it stands.
    Show {},
}

/// How it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortalReply {
    /// Whether the network's own resolvers answer now.
    pub open: bool,
    /// For how many seconds more.
    pub remaining: u64,
    /// Who they are.
    pub resolvers: Vec<String>,
}
