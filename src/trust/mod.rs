//! From a name's key to a lock in the browser: certificates, and programs that check them.
//!
//! | part | for whom | what it does |
//! |---|---|---|
//! | [`owner`] | who owns a name | makes the key that the zone file binds, and certificates that servers show |
//! | [`Verifier`] | programs in Rust | checks TLS servers by what their names bind |
//! | [`proxy`] | browsers that know no pins | checks servers in their place, and shows a certificate of its own |
//! | [`visit()`] | owners and the curious | looks at what a server shows, for a [`Judge`] |
//! | [`by_pin`] | encrypted upstreams | checks a server by the one key that it is known by |
//! | [`Mint`] with its root | this machine | certifies the authorities of names, for this machine alone |
//! | [`Hub`], [`follow`] | programs that know no pins | puts these certificates into their [`stores`], before the first answer about a name leaves |
//! | [`Issuers`] | Chromium without an agent | hands them out over HTTP |
//!
//! ```text
//! chain --> mint (root) --> hub --> trust.sock --> agent of each user --> stores
//!              \--> issuers --> HTTP API, /aia
//! ```
//!
//! `profile` has what all certificates share. What a zone file binds is decided in [`crate::tlsa`], never here. But for the
//! proxy nobody is in the middle: the key that is certified is the owner's.

mod agent;
mod aia;
mod chain_pins;
mod daemon_pins;
mod dane;
mod handshake;
mod hub;
mod issued;
mod judge;
mod message;
mod mint;
pub mod owner;
mod pin;
mod profile;
mod provision;
pub mod proxy;
mod root;
mod socket;
mod source;
mod stapled;
pub mod stores;
mod verifier;
mod visit;

pub use agent::{AgentError, follow, root_at};
pub use aia::{Issuers, Wanted};
pub use chain_pins::ChainPins;
pub use daemon_pins::DaemonPins;
pub use hub::Hub;
pub use issued::RootCertificate;
pub use judge::{Judge, Refusal};
pub use mint::{Mint, Terms};
pub use pin::by_pin;
pub use provision::Provision;
pub use root::Constraints;
pub use socket::{AGENTS_MAX, serve};
pub use source::{PinSource, Pins, SourceError};
pub use stapled::delegation_in;
pub use verifier::Verifier;
pub use visit::{CertificateText, Visit, VisitError, describe, visit};
