//! From a name's key to a lock in the browser: certificates, and programs that check them.
//!
//! | part | for whom | what it does |
//! |---|---|---|
//! | [`owner`] | who owns a name | makes the key that the zone file binds, and certificates that servers show |
//! | [`Verifier`] | programs in Rust | checks TLS servers by what their names bind |
//! | [`visit()`] | owners and the curious | looks at what a server shows, for a [`Judge`] |
//! | [`ByPin`] | encrypted upstreams | checks a server by the one key that it is known by |
//!
//! `profile` has what all certificates share. What a zone file binds is decided in [`crate::tlsa`], never here.

mod daemon_pins;
mod dane;
mod judge;
pub mod owner;
mod pin;
mod profile;
mod provision;
mod source;
mod stapled;
mod verifier;
mod visit;

pub use daemon_pins::DaemonPins;
pub use judge::{Judge, Refusal};
pub use pin::ByPin;
pub use provision::Provision;
pub use source::{PinSource, Pins, SourceError};
pub use stapled::delegation_in;
pub use verifier::Verifier;
pub use visit::{CertificateText, Visit, VisitError, describe, visit};
