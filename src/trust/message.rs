//! The lines between the daemon and the agents of users, on `trust.sock`: one JSON object each.
//!
//! The daemon says which root its certificates are of. The agent says which certificates it has, and that it is ready. From
//! then on the daemon says what to put into the stores of programs and what to take away, and the agent what came of it.

use std::io;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// Bytes of a line with its end: a certificate is below 64 KiB, whatever a zone file excludes from it.
const LINE_MAX: u64 = 128 * 1024;

/// What the daemon says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Order {
    /// The first line: the certificate of the root, in base64.
    Root(String),
    /// This certificate, in base64, has to be in place, and no other of its name and key.
    Put(String),
    /// The certificate with this fingerprint has to go.
    Drop(String),
}

/// What an agent says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Report {
    /// It has put this certificate into place before.
    Have(String),
    /// That was all that it has.
    Ready {},
    /// The certificate with this fingerprint is in place.
    Done(String),
    /// It is not.
    Failed {
        /// The fingerprint.
        certificate: String,
        /// Why.
        reason: String,
    },
}

/// A line.
pub(super) fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("it has text keys and no failing parts");
    line.push(b'\n');
    line
}

/// The next line; `None` at the end of the connection. What is no line of the protocol is an error.
pub(super) async fn next<T, R>(reader: &mut R) -> io::Result<Option<T>>
where
    T: for<'de> Deserialize<'de>,
    R: AsyncBufRead + Unpin,
{
    let mut line = Vec::new();
    reader.take(LINE_MAX).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&line)
        .map(Some)
        .map_err(io::Error::from)
}
