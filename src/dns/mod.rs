//! DNS on sockets: queries in, answers out, and upstreams for everything that is not ours.
//!
//! ```text
//!                 plain, asked before
//! udp --\         /--> answers ---------------------------------------> copied
//!        handler: query --> decode --> decide --> resolver --> answer --\
//! tcp --/                                   \--> forward --> rebind --> encode
//! ```
//!
//! The sockets are our own (one UDP socket and thread per core, no task per query) and hickory-proto reads and writes
//! messages; answers to what is asked again are kept as bytes ([`answers`]); upstreams are asked by our own [`forward`], which passes their bytes on. What can be answered without an
//! upstream is answered where it was read. Everything from a socket is hostile: sizes, times and numbers
//! are bounded by the constants beside the code that they bound. Names that are asked for are never logged.
//!
//! Follows RFC 1035, RFC 6891 (EDNS), RFC 7766 (TCP), RFC 8906 (what a server must survive), RFC 8914 (extended
//! errors).

mod access;
mod aliases;
mod batch;
mod busiest;
mod client;
mod connections;
mod cookie;
mod counters;
mod encode;
mod handler;
mod hosts;
mod https;
mod plain;
mod query;
mod replies;
mod server;
mod tcp;
mod tls;
mod udp;

pub use access::{Access, Network, NotANetwork, RATE};
pub use busiest::Busiest;
pub use client::{Client, Transport};
pub use counters::Counters;
pub use handler::{Handled, Handler, Pending, QueryLog};
pub use hosts::Hosts;
pub use server::{BindError, Encrypted, Options, Server, Serving};
pub use tls::{Identity, IdentityError};

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod peer_tests;
