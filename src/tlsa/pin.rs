//! What a TLS server of a name has to show.

use data_encoding::HEXLOWER;
use hickory_proto::rr::RecordType;
use serde::{Deserialize, Serialize};

/// TLSA selector: the key, not the certificate around it (RFC 6698 §2.1.2).
pub(super) const SPKI: u8 = 1;
/// TLSA matching types (RFC 6698 §2.1.3).
pub(super) const WHOLE: u8 = 0;
pub(super) const SHA256: u8 = 1;
/// Bytes before the data of a TLSA record.
const HEAD: usize = 3;
/// Its type number (RFC 6698 §7.1), and those of the other records that bind keys: SSHFP (RFC 4255), SMIMEA (RFC 8162) and
/// OPENPGPKEY (RFC 7929).
pub(super) const KEY_RECORDS: [RecordType; 4] = [
    RecordType::TLSA,
    RecordType::SSHFP,
    RecordType::SMIMEA,
    RecordType::OPENPGPKEY,
];

/// One way in which a server can prove itself: the fields of a TLSA record, and why they hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pin {
    /// Certificate usage: 0 to 3.
    pub usage: u8,
    /// 0: the certificate, 1: its key.
    pub selector: u8,
    /// 0: the whole, 1: its SHA-256, 2: its SHA-512.
    pub matching: u8,
    /// What has to match.
    pub data: Vec<u8>,
    /// Why it holds.
    pub rule: Rule,
}

/// A [`Pin`] in replies of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PinText {
    /// Certificate usage: 0 to 3.
    pub usage: u8,
    /// 0: the certificate, 1: its key.
    pub selector: u8,
    /// 0: the whole, 1: its SHA-256, 2: its SHA-512.
    pub matching: u8,
    /// In hexadecimal digits.
    pub data: String,
    /// Why it holds: `T1` for a TLSA record of the zone file, `T2` for a `_tlskey`, `T3` for one that the owner signed, `T4` for
    /// the name's own key.
    pub rule: String,
}

/// Why a key is bound to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// T1: the zone file has a TLSA record.
    Record,
    /// T2: the zone file has the key.
    Key,
    /// T3: the name's own key signed for it.
    Delegation,
    /// T4: it is the name's own key.
    OwnKey,
}

/// What a bound key certifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Usage {
    /// The certificates of servers (`use=ta`, DANE-TA).
    Authority,
    /// A server itself (`use=ee`, DANE-EE).
    Leaf,
}

impl Rule {
    /// Its name in the design.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "T1",
            Self::Key => "T2",
            Self::Delegation => "T3",
            Self::OwnKey => "T4",
        }
    }
}

impl From<&Pin> for PinText {
    fn from(pin: &Pin) -> Self {
        Self {
            usage: pin.usage,
            selector: pin.selector,
            matching: pin.matching,
            data: HEXLOWER.encode(&pin.data),
            rule: pin.rule.as_str().to_owned(),
        }
    }
}

impl PinText {
    /// The pin; `None` if it cannot be read.
    pub fn pin(&self) -> Option<Pin> {
        let rules = [Rule::Record, Rule::Key, Rule::Delegation, Rule::OwnKey];
        let rule = rules.into_iter().find(|rule| rule.as_str() == self.rule);
        Some(Pin {
            usage: self.usage,
            selector: self.selector,
            matching: self.matching,
            data: HEXLOWER.decode(self.data.as_bytes()).ok()?,
            rule: rule?,
        })
    }
}

impl Usage {
    /// The certificate usage of its TLSA records (RFC 7218 §2.1).
    pub fn number(self) -> u8 {
        match self {
            Self::Authority => 2,
            Self::Leaf => 3,
        }
    }

    /// What stands behind `use=`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authority => "ta",
            Self::Leaf => "ee",
        }
    }
}

impl Pin {
    /// The data of its TLSA record.
    pub fn rdata(&self) -> Vec<u8> {
        let head = [self.usage, self.selector, self.matching];
        [&head[..], &self.data].concat()
    }

    /// The pin in the data of a TLSA record; `None` if there is too little of it.
    pub(super) fn read(rdata: &[u8], rule: Rule) -> Option<Self> {
        let (&[usage, selector, matching], data) = rdata.split_first_chunk::<HEAD>()?;
        Some(Self {
            usage,
            selector,
            matching,
            data: data.to_vec(),
            rule,
        })
    }
}
