//! The endpoints `root` and `authority`: certificates that this machine makes for its own programs.

use serde::{Deserialize, Serialize};

/// Asks for the root of this machine, which is made if there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootRequest {}

/// What programs have to trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootReply {
    /// The certificate as text.
    pub pem: String,
    /// Its SHA-256, in hexadecimal.
    pub fingerprint: String,
    /// The end of its last second, in seconds since 1970.
    pub until: i64,
    /// Domains at and below which it may certify.
    pub permitted: Vec<String>,
    /// Domains at and below which it may not; addresses it may never.
    pub excluded: Vec<String>,
    /// Namespaces that are served and that it does not permit, because they are newer.
    pub missing: Vec<String>,
}

/// Asks for the certificate of a name's authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityRequest {
    /// The name.
    pub name: String,
    /// `SPKI-SHA256.cer`: the SHA-256 of the authority's SubjectPublicKeyInfo in lower-case hexadecimal.
    pub file: String,
}

/// The certificate, if the name binds that key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityReply {
    /// In base64; `null` if nobody found the key on the chain while the request was held.
    pub certificate: Option<String>,
}
