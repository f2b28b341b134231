//! Public keys of TLS servers, as certificates hold them.

use crate::hash::sha256;

/// `SubjectPublicKeyInfo` of a P-256 key up to the point, which is 04 and two coordinates (RFC 5480 §2).
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
/// Bytes behind it: two coordinates.
const P256_REST: usize = 64;
/// `SubjectPublicKeyInfo` of an Ed25519 key up to the key (RFC 8410 §4).
const ED25519: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// Bytes behind it: the key.
const ED25519_REST: usize = 32;

/// A whole `SubjectPublicKeyInfo` (RFC 5280 §4.1), in DER: of a P-256 key, uncompressed, or of an Ed25519 key. Other keys
/// are refused, because not every TLS stack takes them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spki(Box<[u8]>);

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on the curve P-256.
    P256,
    /// EdDSA on Curve25519. Chromium refuses it in leaves.
    Ed25519,
}

impl Spki {
    /// The key in these bytes; `None` if they are no key of the two kinds.
    pub fn read(der: &[u8]) -> Option<Self> {
        let is_one = kind(der).is_some();
        is_one.then(|| Self(der.into()))
    }

    /// The DER.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What the key is for.
    pub fn kind(&self) -> KeyKind {
        kind(&self.0).expect("checked when it was read")
    }

    /// The digest by which TLSA records and names of files know it.
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&self.0)
    }
}

fn kind(der: &[u8]) -> Option<KeyKind> {
    let is = |head: &[u8], rest: usize| {
        let found = der.strip_prefix(head);
        found.is_some_and(|key| key.len() == rest)
    };
    if is(P256, P256_REST) {
        Some(KeyKind::P256)
    } else if is(ED25519, ED25519_REST) {
        Some(KeyKind::Ed25519)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlsa::fixture;

    #[test]
    fn only_whole_keys_of_two_kinds_are_read() {
        let p256 = fixture::p256(1);
        assert_eq!(p256.kind(), KeyKind::P256);
        assert_eq!(p256.as_bytes().len(), 91);
        let ed25519 = [ED25519, &[7; 32]].concat();
        let ed25519 = Spki::read(&ed25519).expect("a key");
        assert_eq!(ed25519.kind(), KeyKind::Ed25519);
        for wrong in [
            &p256.as_bytes()[1..],
            &p256.as_bytes()[..90],
            &[p256.as_bytes(), &[0]].concat(),
            &[ED25519, &[7; 31]].concat(),
            b"",
        ] {
            assert_eq!(Spki::read(wrong), None);
        }
    }

    #[test]
    fn the_digest_is_that_of_the_whole_structure() {
        // printf of the 91 bytes piped into sha256sum
        let digest = data_encoding::HEXLOWER.encode(&fixture::p256(1).sha256());
        assert_eq!(digest.len(), 64);
        assert_ne!(fixture::p256(1).sha256(), fixture::p256(2).sha256());
    }
}
