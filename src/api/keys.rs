//! The endpoint `keys`: the keys that a name binds, and what a TLS server of it has to show.

use serde::{Deserialize, Serialize};

use super::explain::{NameStatus, Side};
use crate::bns::Name;
use crate::hash::ZonefileHash;
use crate::tlsa::PinText;

/// The port of HTTPS.
pub const PORT: u16 = 443;
/// Most operations whose keys are told.
pub const HISTORY_MAX: usize = 100;

/// Asks for the keys of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysRequest {
    /// A domain name, with or without the last dot.
    pub name: String,
    /// The TCP port whose pins are asked for; without it [`PORT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The delegation in the certificate that the server showed: its pins are told behind the others, or why there are none
    /// among the problems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegation: Option<String>,
    /// Whether the keys of the past are told too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub history: bool,
}

/// The keys of a host. Without a name of the chain everything behind `side` is `null` or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KeysReply {
    /// The host that was asked for, without the last dot.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Who answers for the host: pins are for `bns` alone. A host of the chain without pins has nothing that a client may
    /// rely on.
    pub side: Side,
    /// What a TLS server at the port has to show: one of these.
    pub pins: Vec<PinText>,
    /// The name to which the host belongs.
    #[schema(value_type = Option<String>)]
    pub name: Option<Name>,
    /// What the chain says about it.
    pub status: Option<NameStatus>,
    /// The owner's address.
    pub owner: Option<String>,
    /// The height of the last operation on the name.
    pub block: Option<u32>,
    /// Its transaction.
    pub txid: Option<String>,
    /// The hash of the zone file that binds the keys.
    #[schema(value_type = Option<String>)]
    pub zonefile_hash: Option<ZonefileHash>,
    /// The indexed height.
    pub height: Option<u32>,
    /// All keys of the name, on every host and port.
    #[serde(flatten)]
    pub keys: KeySet,
    /// Keys of the past, oldest first; the last [`HISTORY_MAX`] operations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<PastKeys>,
}

/// What a zone file binds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KeySet {
    /// Keys for TLS.
    pub tls_keys: Vec<TlsKey>,
    /// The `pubkey:data:` key, compressed, in hexadecimal digits.
    pub data_key: Option<String>,
    /// Subdomains that have an owner of their own.
    pub separate: Vec<String>,
    /// What binds nothing, a sentence each.
    pub key_problems: Vec<String>,
}

/// A key for TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TlsKey {
    /// The host for which, and for those below which, it is bound.
    pub host: String,
    /// The TCP ports.
    pub ports: Vec<u16>,
    /// `ta` for an authority, `ee` for a server's own.
    pub usage: String,
    /// SHA-256 of its SubjectPublicKeyInfo, in hexadecimal digits.
    pub spki_sha256: String,
    /// The SubjectPublicKeyInfo in base64, if it is known.
    pub spki: Option<String>,
    /// `T2` or `T3`.
    pub rule: String,
    /// The end of a delegation, in seconds since 1970.
    pub until: Option<u32>,
}

/// What a name bound after one of its operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PastKeys {
    /// The height of the operation.
    pub height: u32,
    /// The time of its block (RFC 3339).
    pub time: Option<String>,
    /// Its transaction.
    pub txid: String,
    /// What it was, in the reference's words.
    pub operation: String,
    /// The owner's address after it.
    pub owner: Option<String>,
    /// The zone file hash after it.
    #[schema(value_type = Option<String>)]
    pub zonefile_hash: Option<ZonefileHash>,
    /// Whether the zone file is here; without it nothing is known of its keys.
    pub zonefile_present: bool,
    /// What it bound.
    #[serde(flatten)]
    pub keys: KeySet,
}
