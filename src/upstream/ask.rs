//! A question to the forwarder, and the key under which its response is kept.

use hickory_proto::rr::{DNSClass, Name as DnsName, RecordType};
use hickory_proto::serialize::binary::{BinEncodable as _, BinEncoder, NameEncoding};

use crate::resolver::Question;

/// What is asked of upstreams, and what of the client's flags goes along.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The question; its name is in lower case.
    pub question: Question,
    /// DO.
    pub dnssec_ok: bool,
    /// CD.
    pub checking_disabled: bool,
    /// Whether the missing name above this one settles it too (RFC 8020).
    pub nxdomain_cut: NxdomainCut,
}

/// Whether a missing name settles the names below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NxdomainCut {
    /// It does (RFC 8020).
    Allowed,
    /// It does not: names of the chain may be there.
    Never,
}

/// The key of a response: name in lower-case wire form, type, then DO and CD in one byte.
pub type Key = Box<[u8]>;

/// Type 0 stands for all types: the name is missing.
pub const ALL_TYPES: u16 = 0;

impl Ask {
    /// A question of our own, of class IN and without flags.
    pub fn own(name: &DnsName, rtype: RecordType) -> Self {
        Self {
            question: Question::new(name, rtype, DNSClass::IN),
            dnssec_ok: false,
            checking_disabled: false,
            nxdomain_cut: NxdomainCut::Never,
        }
    }

    /// The name in lower-case wire form.
    pub fn wire_name(&self) -> Vec<u8> {
        wire_name(&self.question.name)
    }

    /// The key of its response.
    pub fn key(&self) -> Key {
        key(
            &self.wire_name(),
            self.question.rtype.into(),
            self.flag_bits(),
        )
    }

    /// DO and CD as they stand in a key.
    pub fn flag_bits(&self) -> u8 {
        u8::from(self.dnssec_ok) << 1 | u8::from(self.checking_disabled)
    }

    /// Whether responses may be kept at all: only those of class IN to questions for data.
    pub fn is_cacheable(&self) -> bool {
        let transfer = matches!(
            self.question.rtype,
            RecordType::AXFR | RecordType::IXFR | RecordType::ZERO
        );
        self.question.class == DNSClass::IN && !transfer
    }
}

/// A name in lower-case wire form.
pub fn wire_name(name: &DnsName) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
    // A name that was parsed fits into a message.
    let _ = name.emit(&mut encoder);
    bytes
}

/// A key from its parts; `name` in lower-case wire form.
pub fn key(name: &[u8], rtype: u16, flag_bits: u8) -> Key {
    let mut key = Vec::with_capacity(name.len() + 3);
    key.extend(name);
    key.extend(rtype.to_be_bytes());
    key.push(flag_bits);
    key.into()
}

/// The name, type and flags of a key.
pub fn split_key(key: &[u8]) -> Option<(&[u8], u16, u8)> {
    let (name, rest) = key.split_at_checked(key.len().checked_sub(3)?)?;
    let [high, low, flags] = *rest.first_chunk()?;
    Some((name, u16::from_be_bytes([high, low]), flags))
}
