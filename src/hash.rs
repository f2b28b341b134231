//! The hashes of the system, one type each, so that none can stand in for another.
//!
//! Sources: `H160(x) = RIPEMD160(SHA256(x))` and `D(x) = SHA256(SHA256(x))` as Bitcoin defines them;
//! which text or bytes go into each hash is said at the module that computes it. All are shown as
//! lower-case hex in the byte order given at the type.
//!
//! None of them is a Bitcoin hash: block hashes and transaction ids are the `bitcoin` crate's types, which print their
//! bytes in reverse. A value of one type cannot be compared with a value of another, and hex of the wrong length is
//! refused where it is parsed, so that a hash that exists has the length of its kind.
//! `wf` and `ch` are the rules in [`crate::bns`]'s wire format and
//! [`crate::virtualchain`]'s consensus hash.

use std::fmt;
use std::str::FromStr;

use bitcoin::hashes::{Hash as _, hash160, sha256, sha256d};
use bitcoin::hex::{DisplayHex as _, FromHex as _};
use serde::{Deserialize, Serialize};

/// Hex text that is not the hash that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} lower-case hex digits")]
pub struct ParseHashError {
    /// How many digits the hash type has.
    pub expected: usize,
}

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// The hash held by `bytes`, if they have its length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The bytes of the hash.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_hex(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_hex(), f)
            }
        }

        impl FromStr for $name {
            type Err = ParseHashError;

            fn from_str(text: &str) -> Result<Self, ParseHashError> {
                <[u8; $len]>::from_hex(text)
                    .map(Self)
                    .map_err(|_| ParseHashError { expected: 2 * $len })
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hash_type!(
    /// What two nodes that saw the same operations agree on, one per block (ch §3).
    ConsensusHash,
    16
);
hash_type!(
    /// Root over the accepted operations of one block (ch §2), in displayed order.
    OpsHash,
    32
);
hash_type!(
    /// `H160` over the exact bytes of a zone file; the reference's *value hash*.
    ZonefileHash,
    20
);
hash_type!(
    /// The commitment of a name or namespace preorder (wf §5).
    PreorderHash,
    20
);
hash_type!(
    /// First 16 bytes of `SHA256` over a name; how a transfer says which name it moves (wf §5).
    NameHash128,
    16
);
hash_type!(
    /// First 16 bytes of `SHA256(name || hex consensus hash)`; how an update says which name it means (wf §5).
    UpdateHash,
    16
);

hash_type!(
    /// `H160` over the exact bytes of a network file: which network of somebody's own it is.
    NetworkId,
    20
);

hash_type!(
    /// SHA-256 over the exact bytes of a file.
    FileHash,
    32
);

impl ZonefileHash {
    /// The hash of a zone file's exact bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(h160(bytes))
    }
}

/// `RIPEMD160(SHA256(bytes))`.
pub fn h160(bytes: &[u8]) -> [u8; 20] {
    hash160::Hash::hash(bytes).to_byte_array()
}

/// `SHA256(bytes)`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    sha256::Hash::hash(bytes).to_byte_array()
}

/// `SHA256(SHA256(bytes))`, in natural byte order.
pub fn sha256d(bytes: &[u8]) -> [u8; 32] {
    sha256d::Hash::hash(bytes).to_byte_array()
}

/// The lower-case hex digit of the lower four bits.
pub fn hex_digit(bits: u8) -> u8 {
    b"0123456789abcdef"[usize::from(bits & 15)]
}

/// Lower-case hex of any bytes.
pub fn encode_hex(bytes: &[u8]) -> String {
    bytes.to_lower_hex_string()
}

/// The bytes that `text` spells in lower- or upper-case hex; `None` if it does not.
pub fn decode_hex(text: &str) -> Option<Vec<u8>> {
    Vec::from_hex(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_both_ways() {
        assert_eq!(encode_hex(&[0x00, 0xab, 0xff]), "00abff");
        assert_eq!(decode_hex("00ABff"), Some(vec![0x00, 0xab, 0xff]));
        assert_eq!(decode_hex("0"), None);
        assert_eq!(decode_hex("0g"), None);
    }

    #[test]
    fn an_empty_zone_file_has_the_known_hash() {
        assert_eq!(
            ZonefileHash::of(b"").to_string(),
            "b472a266d0bd89c13706a4132ccfb16f7c3b9fcb"
        );
    }

    #[test]
    fn a_hash_of_the_wrong_length_is_refused() {
        let error = "17ac"
            .parse::<ConsensusHash>()
            .expect_err("four digits are not sixteen bytes");
        assert_eq!(error.to_string(), "expected 32 lower-case hex digits");
    }
}
