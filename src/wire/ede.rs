//! Extended errors: why there is no better answer, for machines and for people (RFC 8914).

use std::borrow::Cow;

use super::edns::{option, write_option};
use super::record::Walk;

/// An extended DNS error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedError {
    /// INFO-CODE.
    pub code: u16,
    /// EXTRA-TEXT: ASCII, cut when it is sent.
    pub text: Cow<'static, str>,
}

impl ExtendedError {
    /// Longest text that is sent, in bytes: it leaves most of the room to records.
    pub(crate) const TEXT_MAX: usize = 80;
    /// Anything without a code of its own.
    pub const OTHER: u16 = 0;
    /// The answer is out of date, and all there is.
    pub const STALE_ANSWER: u16 = 3;
    /// Signatures do not fit.
    pub const DNSSEC_BOGUS: u16 = 6;
    /// A failure that is repeated without another try.
    pub const CACHED_ERROR: u16 = 13;
    /// Our data is too old to be vouched for.
    pub const NOT_READY: u16 = 14;
    /// Withheld by policy.
    pub const BLOCKED: u16 = 15;
    /// That the name is missing is out of date, and all there is.
    pub const STALE_NXDOMAIN: u16 = 19;
    /// Nobody who should know could be asked.
    pub const NO_REACHABLE_AUTHORITY: u16 = 22;
    /// Trouble between us and an upstream.
    pub const NETWORK_ERROR: u16 = 23;
    /// The data is there, and is not what it should be.
    pub const INVALID_DATA: u16 = 24;
    /// Made here, because nothing else is there to answer with (IANA registry, 29).
    pub const SYNTHESIZED: u16 = 29;

    /// An error with its text.
    pub fn new(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    /// The error in a message that was walked.
    pub fn find(walk: &Walk, bytes: &[u8]) -> Option<Self> {
        let data = walk.option(bytes, option::EXTENDED_ERROR)?;
        let (code, text) = data.split_first_chunk()?;
        let text = String::from_utf8_lossy(text).into_owned();
        Some(Self::new(u16::from_be_bytes(*code), text))
    }

    /// The whole option, its text cut to printable ASCII of bounded length (RFC 8914 §2).
    pub fn to_option(&self) -> Vec<u8> {
        let printable = |byte: &u8| (0x20..0x7f).contains(byte);
        let text = self.text.bytes().filter(printable).take(Self::TEXT_MAX);
        let data: Vec<u8> = self.code.to_be_bytes().into_iter().chain(text).collect();
        let mut option = Vec::new();
        write_option(option::EXTENDED_ERROR, &data, &mut option);
        option
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::edns::Opt;
    use crate::wire::walk;

    #[test]
    fn what_is_written_is_read_as_far_as_it_is_printable() {
        let error = ExtendedError::new(ExtendedError::BLOCKED, format!("no\n{}", "x".repeat(100)));
        let mut bytes = vec![0, 0, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1];
        Opt::ours(0, false).write(&error.to_option(), &mut bytes);
        let walk = walk(&bytes).expect("a whole message");
        let found = ExtendedError::find(&walk, &bytes).expect("an extended error");
        assert_eq!(found.code, ExtendedError::BLOCKED);
        assert_eq!(found.text, format!("no{}", "x".repeat(78)));
    }
}
