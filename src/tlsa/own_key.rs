//! T4: a name's own secp256k1 key, which no TLS stack takes, published with what proves it.
//!
//! `_bnskey.NAME TXT "v=bnskey1 key=HEX zonefile=HEX txid=HEX block=HEIGHT"`: the key is in the zone file whose hash that
//! transaction announced.

use std::fmt;

use bitcoin::secp256k1::PublicKey;
use data_encoding::HEXLOWER_PERMISSIVE;

use super::holder::Holder;
use super::pin::{Pin, Rule, SHA256, SPKI, Usage};
use super::problem::Reason;
use crate::hash::{ZonefileHash, sha256};

/// The label of the record with the key.
pub(super) const LABEL: &[u8] = b"_bnskey";
/// What its text in the zone file begins with.
const PREFIX: &[u8] = b"pubkey:data:";
/// `SubjectPublicKeyInfo` of an uncompressed secp256k1 key up to the point (RFC 5480 §2).
const SECP256K1: &[u8] = &[
    0x30, 0x56, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x0a, 0x03, 0x42, 0x00,
];

/// The data key of a zone file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnKey(PublicKey);

impl OwnKey {
    /// The key in the text of a TXT record; `None` if the text is about something else.
    pub(super) fn read(text: &[u8]) -> Option<Result<Self, Reason>> {
        let hex = text.strip_prefix(PREFIX)?;
        let bytes = HEXLOWER_PERMISSIVE.decode(hex).ok();
        let key = bytes.and_then(|bytes| PublicKey::from_slice(&bytes).ok());
        Some(key.map(Self).ok_or(Reason::BadDataKey))
    }

    /// The key.
    pub fn public_key(&self) -> PublicKey {
        self.0
    }

    /// What a server that has the key shows: a SubjectPublicKeyInfo, uncompressed.
    pub(super) fn pin(&self) -> Pin {
        let spki = [SECP256K1, &self.0.serialize_uncompressed()].concat();
        Pin {
            usage: Usage::Leaf.number(),
            selector: SPKI,
            matching: SHA256,
            data: sha256(&spki).to_vec(),
            rule: Rule::OwnKey,
        }
    }

    /// The text of the record that publishes it.
    pub(super) fn published(&self, zonefile: &ZonefileHash, holder: &Holder) -> String {
        let (txid, block) = (holder.txid, holder.height);
        format!("v=bnskey1 key={self} zonefile={zonefile} txid={txid} block={block}")
    }
}

/// 66 hexadecimal digits.
impl fmt::Display for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
