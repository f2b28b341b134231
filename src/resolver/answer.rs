//! What is answered: records, response code, and how the query ended.
//!
//! An [`Answer`] is decided and has no client yet: no ID, no flags, no size. What a client gets of it is a reply, which the
//! DNS room writes. Where an answer comes from ([`Provenance`]) decides the AA and AD bits of every reply; for how long it
//! may be repeated is said by its [`Heights`] and by what was read for it.

use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name as DnsName, Record};

use crate::bns::name::Name;
use crate::tlsa::Bound;
use crate::wire::ExtendedError;

/// Most CNAMEs and DNAMEs that are followed for one question, inside and outside of zone files together. Unbound's limit.
pub const MAX_ALIASES: usize = 11;

/// A decided answer, ready to be put into a message.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Response code.
    pub rcode: ResponseCode,
    /// Where the data comes from; decides the AA and AD bits.
    pub provenance: Provenance,
    /// Answer section.
    pub answers: Vec<Record>,
    /// Authority section.
    pub authorities: Vec<Record>,
    /// Why the answer is what it is, for those who ask with EDNS.
    pub ede: Option<ExtendedError>,
    /// How the query ended.
    pub outcome: Outcome,
    /// Set where a CNAME or DNAME leads out of the zone: the question goes on with this name.
    pub chase: Option<DnsName>,
    /// The heights at which it is the same, as long as nothing changes that it is about.
    pub heights: Heights,
    /// The name that it is about, and what that binds, where it binds the key of an authority.
    pub authority: Option<Arc<(Name, Bound)>>,
}

/// Heights of the index, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heights {
    /// The first.
    pub first: u32,
    /// The last.
    pub last: u32,
}

impl Heights {
    /// Every height.
    pub const ALL: Self = Self {
        first: 0,
        last: u32::MAX,
    };

    /// One height alone.
    pub fn only(height: u32) -> Self {
        Self {
            first: height,
            last: height,
        }
    }

    /// The heights that are in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            first: self.first.max(other.first),
            last: self.last.min(other.last),
        }
    }

    /// Whether a height is one of them.
    pub fn contains(self, height: u32) -> bool {
        (self.first..=self.last).contains(&height)
    }
}

/// Where the data of an answer comes from, the most trustworthy first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provenance {
    /// Verified from the chain: AA is set, and AD for those who ask.
    Chain,
    /// Answered locally without the chain: AA is set.
    Local,
    /// At least one record comes from an upstream: neither is set.
    Upstream,
}

/// How a query ended. Log and counters know nothing finer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Records were found.
    Answered,
    /// The name exists, without records of that type.
    NoData,
    /// The name does not exist.
    NoSuchName,
    /// The name has a zone file that we do not have, or that is not what it should be.
    ZoneFileMissing,
    /// An upstream answered.
    Forwarded,
    /// Not something that we answer, or no question at all.
    Refused,
    /// Trouble here or on the way.
    Failed,
}

impl Outcome {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 7] = [
        Self::Answered,
        Self::NoData,
        Self::NoSuchName,
        Self::ZoneFileMissing,
        Self::Forwarded,
        Self::Refused,
        Self::Failed,
    ];

    /// The name under which it is counted.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NoData => "no data",
            Self::NoSuchName => "no such name",
            Self::ZoneFileMissing => "zone file missing",
            Self::Forwarded => "forwarded",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl Answer {
    /// NOERROR without any records yet.
    pub fn empty(provenance: Provenance) -> Self {
        Self {
            rcode: ResponseCode::NoError,
            provenance,
            answers: Vec::new(),
            authorities: Vec::new(),
            ede: None,
            outcome: Outcome::NoData,
            chase: None,
            heights: Heights::ALL,
            authority: None,
        }
    }

    /// Records that answer the question.
    pub fn records(provenance: Provenance, answers: Vec<Record>) -> Self {
        Self {
            answers,
            outcome: Outcome::Answered,
            ..Self::empty(provenance)
        }
    }

    /// The name exists, the type does not (RFC 2308 §2.2).
    pub fn no_data(provenance: Provenance, soa: Record) -> Self {
        Self {
            authorities: vec![soa],
            ..Self::empty(provenance)
        }
    }

    /// The name does not exist (RFC 2308 §2.1).
    pub fn no_such_name(provenance: Provenance, soa: Record) -> Self {
        Self {
            rcode: ResponseCode::NXDomain,
            outcome: Outcome::NoSuchName,
            ..Self::no_data(provenance, soa)
        }
    }

    /// SERVFAIL, with what the reader can do about it.
    pub fn failure(outcome: Outcome, ede: ExtendedError) -> Self {
        Self {
            rcode: ResponseCode::ServFail,
            outcome,
            ede: Some(ede),
            ..Self::empty(Provenance::Local)
        }
    }

    /// SERVFAIL for more than [`MAX_ALIASES`] CNAMEs or DNAMEs, or for a circle of them.
    pub fn endless_aliases() -> Self {
        let text = "CNAME chain too long or circular";
        Self::failure(
            Outcome::Failed,
            ExtendedError::new(ExtendedError::OTHER, text),
        )
    }

    /// REFUSED.
    pub fn refused() -> Self {
        Self {
            rcode: ResponseCode::Refused,
            outcome: Outcome::Refused,
            ..Self::empty(Provenance::Local)
        }
    }

    /// The same answer, for certain heights only.
    #[must_use]
    pub fn at(mut self, heights: Heights) -> Self {
        self.heights = heights;
        self
    }

    /// The same answer with an extended error.
    #[must_use]
    pub fn explained(mut self, ede: ExtendedError) -> Self {
        self.ede = Some(ede);
        self
    }
}
