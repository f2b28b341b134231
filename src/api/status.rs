//! The endpoint `status`: how the daemon is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::atlas::BackupStatus;
use crate::names::{IndexStatus, Zonefiles};
use crate::progress::Known;

/// Most entries of each list in a reply; the counts beside them are always complete.
pub const LIST_MAX: usize = 100;

/// Asks how the daemon is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRequest {
    /// Whether the busiest names are wanted; they are counted from the first such request on, and until nobody
    /// has asked for ten seconds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub busiest: bool,
}

/// How the published log stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PublishedStatus {
    /// The last block that it tells of; `null` before it was written in this run.
    pub height: Option<u32>,
    /// What keeps it from going on.
    pub trouble: Option<String>,
}

/// How the daemon is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StatusReply {
    /// Version of the program.
    pub version: String,
    /// Whose rules apply: `mainnet`, `mainnet-continued`, `regtest`, `dev`, or `own-` and the id of a network file.
    pub network: String,
    /// What a name on this network means, and to whom; one sentence without a full stop.
    #[serde(default)]
    pub network_meaning: String,
    /// The last block of the network; `null` if it goes on.
    #[serde(default)]
    pub last_block: Option<u32>,
    /// Whether that block is indexed: then names stand as they are for ever, and nothing is behind.
    #[serde(default, rename = "final")]
    pub is_final: bool,
    /// One line about the block source.
    pub source: String,
    /// How much is known of the chain where its blocks are not all read; `null` where they are.
    #[serde(default)]
    pub known: Option<Known>,
    /// Height of the indexed tip; `null` before the first block.
    pub height: Option<u32>,
    /// Height of the best block that the source knows.
    pub best_height: Option<u32>,
    /// Header time of the indexed tip, seconds since 1970.
    pub block_time: Option<u32>,
    /// Seconds by which the index is behind.
    pub lag_seconds: Option<u64>,
    /// What is left to index; `null` when the index is where it should be, or nothing is followed.
    #[serde(default)]
    pub sync: Option<SyncStatus>,
    /// Seconds since the time in the header of the indexed tip.
    #[serde(default)]
    pub tip_age_seconds: Option<u64>,
    /// Consensus hash of the indexed tip.
    pub consensus_hash: Option<String>,
    /// The log that is published; `null` where none is.
    #[serde(default)]
    pub published: Option<PublishedStatus>,
    /// Names in the database.
    pub names: u64,
    /// How many of them are in memory.
    #[serde(default)]
    pub names_in_memory: IndexStatus,
    /// Namespaces in the database.
    pub namespaces: u64,
    /// Open preorders.
    pub preorders: u64,
    /// The zone files.
    pub zonefiles: ZonefilesStatus,
    /// How zone files come from peers; `null` where that is switched off.
    #[serde(default)]
    pub atlas: Option<AtlasStatus>,
    /// Who answers for other names, as ADDRESS:PORT.
    pub upstreams: Vec<String>,
    /// Where DNS is served, as ADDRESS:PORT.
    pub listeners: Vec<String>,
    /// Where DNS over TLS is served, as ADDRESS:PORT.
    #[serde(default)]
    pub tls_listeners: Vec<String>,
    /// Where DNS over HTTPS is served, as ADDRESS:PORT.
    #[serde(default)]
    pub https_listeners: Vec<String>,
    /// Where the HTTP API and the status page are, as ADDRESS:PORT.
    #[serde(default)]
    pub api_listeners: Vec<String>,
    /// Where they should be, and are not because somebody else listens there, as ADDRESS:PORT.
    #[serde(default)]
    pub api_taken: Vec<String>,
    /// Where names without an address are shown, as ADDRESS:PORT.
    #[serde(default)]
    pub gateway: Option<String>,
    /// The namespaces that are answered from the chain, in ascending order.
    #[serde(default)]
    pub served: Vec<String>,
    /// Those of them that this machine does not send to bnsd, because they are newer than `bnsd system install`; empty where
    /// nothing is installed, or only root can see what is.
    #[serde(default)]
    pub unrouted: Vec<String>,
    /// How many questions ended how; the keys are the names of the resolver's outcomes.
    pub queries: BTreeMap<String, u64>,
    /// How far the daemon is held to the files that it needs: `enforced`, `partly enforced`, or why not; `null` where that
    /// was not tried.
    #[serde(default)]
    pub sandbox: Option<String>,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Resident memory in bytes, where the system says it.
    pub memory_bytes: Option<u64>,
    /// The names that are asked for most, most first; empty unless they were wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub busiest: Vec<BusyName>,
    /// What is wrong with the configuration as it was read last, so that the one before is in force; else `null`.
    #[serde(default)]
    pub configuration_error: Option<String>,
    /// The keys whose new value is obeyed after a restart.
    #[serde(default)]
    pub needs_restart: Vec<String>,
    /// What somebody should know or do, one sentence each.
    pub warnings: Vec<String>,
}

/// What is left to index, and how fast that goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SyncStatus {
    /// Blocks that can be indexed and are not.
    pub blocks_left: u32,
    /// Blocks of the last minute; `null` until that can be said.
    pub blocks_per_minute: Option<u64>,
    /// Seconds until nothing is left, if it goes on like that.
    pub seconds_left: Option<u64>,
}

/// How zone files come from peers (Atlas).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AtlasStatus {
    /// Where peers are answered, as ADDRESS:PORT.
    pub listeners: Vec<String>,
    /// Where they should be, and are not because somebody else listens there, as ADDRESS:PORT.
    pub taken: Vec<String>,
    /// Peers that are known.
    pub peers: u64,
    /// Those that are asked for zone files, and told of new ones.
    pub neighbours: u64,
    /// Announcements on the chain; a zone file counts as often as it was announced.
    pub announcements: u64,
    /// Those of the chosen namespaces.
    pub wanted: u64,
    /// Those of them whose zone file is here.
    pub present: u64,
    /// Zone files that came in the last minute.
    pub zonefiles_per_minute: u64,
    /// Seconds until nothing is missing, if it goes on like that.
    pub seconds_left: Option<u64>,
    /// The backups.
    pub backups: Vec<BackupStatus>,
}

/// A name that is asked for often.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BusyName {
    /// The name, without its last dot.
    pub name: String,
    /// Questions of the last seconds, older ones counting less.
    pub queries: u64,
}

/// How many zone files are there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ZonefilesStatus {
    /// Those that the chain announces; at most [`LIST_MAX`] of the missing ones.
    #[serde(flatten)]
    pub announced: Zonefiles,
    /// In a watched folder and not announced on the chain.
    pub waiting_count: u64,
    /// The first of those, at most [`LIST_MAX`].
    pub waiting: Vec<WaitingZonefile>,
}

/// A file that is served as soon as the chain announces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WaitingZonefile {
    /// Its path.
    pub file: String,
    /// Its hash, for which it waits.
    pub hash: String,
}
