//! Why a statement about a key makes no pin.

use std::fmt;

use hickory_proto::rr::Name as DnsName;

use super::STATEMENTS_MAX;
use crate::bns::proof::Unproven;

/// A statement that makes no pin, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub owner: DnsName,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Not `v=bnstls1` and fields after it.
    #[error(
        "a key is bound by \"v=bnstls1 use=ta|ee port=443 spki=BASE64\"; this says something else"
    )]
    Malformed,
    /// A field that occurs twice.
    #[error("a field occurs twice")]
    DoubledField,
    /// Two statements that say the same.
    #[error("the same key is bound twice for the same port; neither counts")]
    Doubled,
    /// More than [`STATEMENTS_MAX`] in one zone.
    #[error("more than {STATEMENTS_MAX} keys are bound; none counts")]
    TooMany,
    /// Neither P-256 nor Ed25519.
    #[error("spki= is no SubjectPublicKeyInfo of a P-256 or Ed25519 key in base64")]
    UnknownKey,
    /// A delegation whose time is over.
    #[error("the delegation ended before this block")]
    Expired,
    /// A delegation whose time has not begun.
    #[error("the delegation begins after this block")]
    NotYet,
    /// A delegation for longer than [`super::signed::LONGEST`], or that ends before it begins.
    #[error("a delegation holds for at most 400 days")]
    BadTime,
    /// A signature of another form than the canonical one.
    #[error("the signature is not canonical: S has to be in the lower half")]
    HighS,
    /// A signature by somebody else, for another name, or about something else.
    #[error("the signature is not the owner's for this name, this registration and these words")]
    BadSignature,
    /// Two `pubkey:data:`.
    #[error("a zone file has at most one pubkey:data:; with two, none counts")]
    SecondDataKey,
    /// A `pubkey:data:` that is no key.
    #[error("pubkey:data: is followed by a secp256k1 public key in 66 or 130 hexadecimal digits")]
    BadDataKey,
    /// A statement about a subdomain that has an owner of its own.
    #[error("this subdomain has an owner of its own, whose key it follows")]
    Separate,
    /// A key record of a former owner.
    #[error(
        "a former owner announced this zone file: its keys are left out until the owner announces one"
    )]
    FormerOwner,
}

impl From<Unproven> for Reason {
    fn from(unproven: Unproven) -> Self {
        match unproven {
            Unproven::Wrong => Self::BadSignature,
            Unproven::HighS => Self::HighS,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = self.owner.to_ascii();
        write!(f, "{}: {}", owner.trim_end_matches('.'), self.reason)
    }
}
