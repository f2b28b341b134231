//! Why no upstream answered, and what of it clients are told (RFC 8914).

use hickory_proto::op::ResponseCode;

use super::attempt::Failed;
use crate::wire::ExtendedError;

/// Why no upstream answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// There is none.
    #[error("no upstream configured; set upstreams in bnsd.toml or --upstream")]
    NoUpstream,
    /// All were silent.
    #[error("no upstream answered in time")]
    Timeout,
    /// Too many others wait, and it waited longest.
    #[error("too many questions wait for upstreams, and this one waited longest; try again")]
    CrowdedOut,
    /// One said no.
    #[error("upstream answered {rcode}")]
    Rejected {
        /// What it said.
        rcode: ResponseCode,
        /// Why, in its own words.
        ede: Option<ExtendedError>,
    },
    /// None could be reached, or what they said could not be used.
    #[error("no upstream can be reached: {0}")]
    Unreachable(String),
    /// An encrypted upstream is not who it should be; nothing was asked in the clear.
    #[error("upstream failed TLS (is the clock right?): {0}")]
    Untrusted(String),
    /// It is signed, and not by whom it should be.
    #[error("DNSSEC: {0}; if it is so for many names, is the clock right?")]
    Bogus(String),
    /// What it said leads from alias to alias without an end.
    #[error("the upstream's answer is a CNAME chain that is too long or circular")]
    EndlessAliases,
    /// They all lead back to us for this name.
    #[error("the upstream sends this name back to bnsd; set another one in dns.upstreams")]
    Loop,
    /// It failed a moment ago.
    #[error("cached failure: {0}")]
    Cached(Box<Self>),
}

impl ForwardError {
    /// What the client is told beside SERVFAIL.
    pub fn extended(&self) -> ExtendedError {
        let code = match self {
            Self::Rejected { ede: Some(ede), .. } => return ede.clone(),
            Self::NoUpstream | Self::Timeout | Self::CrowdedOut | Self::Untrusted(_) => {
                ExtendedError::NO_REACHABLE_AUTHORITY
            }
            Self::Rejected { .. } | Self::Unreachable(_) => ExtendedError::NETWORK_ERROR,
            Self::Bogus(_) => ExtendedError::DNSSEC_BOGUS,
            Self::EndlessAliases | Self::Loop => ExtendedError::OTHER,
            Self::Cached(_) => ExtendedError::CACHED_ERROR,
        };
        ExtendedError::new(code, self.to_string())
    }

    /// The failure of one more try, if it says more.
    pub(super) fn or(self, failed: Failed) -> Self {
        match failed {
            Failed::Untrusted(text) => Self::Untrusted(text),
            Failed::Unreachable(text) => Self::Unreachable(text),
            Failed::Loop => Self::Loop,
            Failed::WrongCase => Self::Unreachable("letters of the question were changed".into()),
            _ => self,
        }
    }
}
