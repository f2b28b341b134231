//! Answers that can fail, and the reading of what requests carry.

use bitcoin::Transaction;
use bitcoin::consensus::deserialize;

use crate::api::message::Reply;
use crate::hash::decode_hex;

/// An error is a reply too.
pub(in crate::daemon) type Answered<T> = Result<T, Box<Reply>>;

/// The request makes no sense.
pub(in crate::daemon) fn usage(message: impl Into<String>) -> Box<Reply> {
    Box::new(Reply::usage(message))
}

/// The daemon could not do it.
pub(in crate::daemon) fn trouble(message: impl std::fmt::Display) -> Box<Reply> {
    Box::new(Reply::trouble(message.to_string()))
}

/// A transaction in hex.
pub(in crate::daemon) fn transaction(text: &str) -> Answered<Transaction> {
    deserialize(&hex(text)?).map_err(|error| usage(format!("not a transaction: {error}")))
}

/// Bytes in hex.
pub(in crate::daemon) fn hex(text: &str) -> Answered<Vec<u8>> {
    decode_hex(text).ok_or_else(|| usage("bytes are written as pairs of hex digits"))
}
