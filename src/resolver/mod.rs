//! Who answers a question, and with what: the decisions of a resolver, without its sockets.
//!
//! ```text
//! question --route--> special use  --special--> local answer
//!                \--> BNS name     --answer---> records, rcode, TTL (reads a NameSource)
//!                \--> forward | refuse
//! ```
//!
//! A question is decided by its last two labels and by the mode of its namespace ([`policy::Mode`]). A name
//! that the chain knows is answered here and never leaves the machine; what is not ours is forwarded
//! untouched, whether the chain is synced or not. Nothing here may name a socket, a clock or a database:
//! state comes through [`source::NameSource`], and lag is handed in with it.
//!
//! Follows RFC 1034 §4.3.2, RFC 2308 (negative answers), RFC 4592 (wildcards), RFC 6672 (DNAME), RFC 6761 and
//! RFC 6303 (special use), RFC 8482 (ANY), RFC 8914 (extended errors), RFC 9476 (`alt`).

pub mod answer;
pub mod apex;
pub mod ownership;
pub mod policy;
pub mod recorded;
pub mod resolve;
pub mod route;
pub mod source;
pub mod special;
pub mod zone;

#[cfg(test)]
pub(crate) mod fixture;

pub use crate::wire::ExtendedError;
pub use answer::{Answer, Heights, Outcome, Provenance};
pub use ownership::{Condition, Ownership, ownership, ownership_at};
pub use policy::{EffectiveMode, Mode, Policy, Preference};
pub use recorded::{Recorded, Subjects};
pub use resolve::{Resolution, answer_bns, resolve};
pub use route::{BnsRoute, Question, Route, SpecialUse, Target, registrable, route};
pub use source::{
    NameSource, NameStatus, NamespaceStatus, RegisteredName, Snapshots, SyncState, ZoneStatus,
};

/// Longest chain of CNAMEs and DNAMEs that is followed for one question, inside and outside of zone
/// files together. Unbound's limit.
pub const MAX_CHAIN: usize = 11;
