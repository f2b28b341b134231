//! Bytes and transactions as hex in JSON, for `#[serde(with = "…")]`.

use bitcoin::Transaction;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::consensus::serde::With;
use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

use crate::hash::{decode_hex, encode_hex};

/// A value in Bitcoin's serialization, such as a transaction.
pub type Hex = With<bitcoin::consensus::serde::Hex>;

/// Bytes, of a fixed number or of any.
pub mod bytes {
    use super::*;

    /// Writes hex.
    pub fn serialize<S: Serializer>(
        bytes: &impl AsRef<[u8]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode_hex(bytes.as_ref()))
    }

    /// Reads hex; refuses another number of bytes than the type has.
    pub fn deserialize<'de, T: TryFrom<Vec<u8>>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let bytes = decode_hex(&String::deserialize(deserializer)?);
        let typed = bytes.and_then(|bytes| bytes.try_into().ok());
        typed.ok_or_else(|| D::Error::custom("bytes are written as pairs of hex digits"))
    }
}

/// Bytes that may be absent.
pub mod optional_bytes {
    use super::*;

    /// Writes hex or `null`.
    pub fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(encode_hex).serialize(serializer)
    }

    /// Reads hex or `null`.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| decode_hex(&text).ok_or_else(|| D::Error::custom("not hex")))
            .transpose()
    }
}

/// A list of transactions.
pub mod transactions {
    use super::*;

    /// Writes a list of hex texts.
    pub fn serialize<S: Serializer>(
        transactions: &[Transaction],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(transactions.iter().map(serialize_hex))
    }

    /// Reads a list of hex texts.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Transaction>, D::Error> {
        #[derive(serde::Deserialize)]
        struct One(#[serde(with = "Hex")] Transaction);
        let list = Vec::<One>::deserialize(deserializer)?;
        Ok(list.into_iter().map(|it| it.0).collect())
    }
}
