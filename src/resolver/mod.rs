//! Who answers a question, and with what: the decisions of a resolver, without its sockets.
//!
//! ```text
//! question --route--> special use  --special--> local answer
//!                \--> BNS name     --ownership, state, zone file--> records, rcode, TTL (reads a NameSource)
//!                \--> forward | refuse
//! ```
//!
//! A question is decided by its last two labels and by the mode of its namespace ([`Mode`]). A name that the chain holds is
//! answered here and never leaves the machine ([`ownership`] says which names those are); other names are forwarded
//! untouched, whether the chain is synced or not.
//!
//! Nothing here may name a socket, a clock or a database: state comes through [`NameSource`], and lag is handed in with
//! it. Whoever keeps an answer learns from [`Subjects`] and [`Heights`] how long it stays valid.
//!
//! Follows RFC 1034 §4.3.2, RFC 2308 (negative answers), RFC 4592 (wildcards), RFC 6672 (DNAME), RFC 6761 and
//! RFC 6303 (special use), RFC 8482 (ANY), RFC 8914 (extended errors), RFC 9476 (`alt`).
//!
#![doc = include_str!("answers.md")]

mod alias;
mod answer;
mod apex;
mod compiled;
mod from_chain;
mod gateway;
mod ownership;
pub mod policy;
mod question;
mod recorded;
mod resolve;
mod review;
mod route;
mod source;
mod special;
mod zone;

#[cfg(test)]
pub(crate) mod fixture;

pub use crate::wire::ExtendedError;
pub use alias::{ALIAS, is_alias, strip_alias};
pub use answer::{Answer, Heights, MAX_ALIASES, Outcome, Provenance};
pub use compiled::{CompiledAnswer, CompiledZone, compiled_zone};
pub use from_chain::{answer_bns, carried};
pub use ownership::{Condition, Ownership, ownership, ownership_at};
pub use policy::{EffectiveMode, Mode, Policy, Preference};
pub use question::Question;
pub use recorded::{Recorded, Subjects};
pub use resolve::{Resolution, resolve};
pub use review::{ReviewError, Reviewed, review, review_subdomain};
pub use route::{BnsRoute, Route, Target, host_of_chain, registrable, route};
pub use source::{
    AcceptedSubdomain, NameSource, NameStatus, NamespaceStatus, RegisteredName, Snapshots,
    SubdomainStatus, SyncState, ZoneStatus, bound,
};
pub use special::SpecialUse;
