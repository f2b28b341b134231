//! Everybody else's names: upstreams, and what is kept of their responses.
//!
//! ```text
//!                 cached: in date ----------------------------------> response
//! Ask --> Forwarder --> failed lately ------------------------------> failure, or out-of-date response
//!                 \--> in flight already ---\
//!                  \-> table -> group -> upstream over UDP, TCP, TLS, HTTPS --> judged --> kept --> response
//!                                            after 1.8 s, an out-of-date response goes first
//! ```
//!
//! A response is never decoded on this way: it is judged, kept and passed on as bytes ([`crate::wire`], [`message`],
//! [`entry`]), so that unknown types and DNSSEC records pass unharmed. That is why upstreams are not asked through
//! hickory's pool, which decodes each response first: a message that it cannot decode is lost there, and a response
//! from the cache costs 7.8 µs of processor time through hickory's resolver and 3.0 µs when its bytes are copied.
//! Everything that an upstream can do wrong ends in one [`ForwardError`]; what it did wrong with one packet only
//! prolongs the wait ([`attempt`]).
//!
//! Whether a name is ours is decided before anybody asks here, every time, so nothing that is kept here can
//! stand in for a name of the chain. Names that are asked for are never logged.
//!
//! Follows RFC 2308 (negative answers), RFC 5452 (forgery), RFC 8020, RFC 8767 (serve-stale), RFC 9520 (failures).
//!
#![doc = include_str!("upstreams.md")]

mod address;
mod anchors;
mod ask;
mod attempt;
mod cache;
mod config;
mod connect;
mod entry;
mod error;
mod examine;
mod failure;
mod file;
mod flight;
mod forwarder;
#[cfg(fuzzing)]
pub mod fuzz;
mod group;
mod health;
mod https;
mod lifetime;
mod line;
mod link;
mod message;
mod plain;
mod portal;
mod probe;
pub mod random;
mod resolve;
mod response;
mod secure;
mod shared;
mod stream;
mod stub;
mod system;
mod table;
mod tls;
mod udp;
mod validate;

pub use anchors::{AnchorError, Anchors};
pub use ask::{Ask, NxdomainCut, split_key};
pub use cache::Cache;
pub use config::{Identity, Method, Place, Secured, UpstreamConfig};
pub use entry::{Channel, Entry, Stamp};
pub use error::ForwardError;
pub use examine::Examined;
pub use file::FileError;
pub use forwarder::{Forwarder, Prepared};
pub use lifetime::Kind;
pub use line::{Line, Waiter};
pub use portal::PortalReport;
pub use probe::may_be_probe;
pub use response::Response;
pub use stub::{ASKED_BY_US, SystemResolvers, is_own_listener};
pub use system::Watch;
pub use table::{ForwardOptions, QUESTIONS_MAX, Terms};
pub use tls::{Authorities, TlsError};

/// Packets that all questions of one walk along aliases may cost together: an upstream may send us from alias to
/// alias, and each costs a question.
pub const ALIAS_PACKETS: u8 = 32;
