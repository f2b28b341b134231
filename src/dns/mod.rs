//! DNS on sockets: queries in, replies out.
//!
//! ```text
//! udp ------------\         /--> replies: asked before ----------------------------> copied
//! tcp, tls, https --> handler --> query --> resolver --> Answer --> encode ---------> Reply
//!                                      \--> upstream --> Response --> passed on, or followed back to the chain
//! ```
//!
//! One word each: a client sends a *query*; the resolver decides an *answer*; an upstream gives a *response*; the client
//! gets a *reply*.
//!
//! The sockets are our own, one UDP socket and thread per core, or [`Inherited`] from a service manager. No query that needs
//! no upstream has a task.
//! hickory-proto reads and writes messages that have to be decoded. Replies to plain queries are kept as bytes
//! ([`replies`]), and upstreams' responses are passed on as bytes. A query that needs no upstream is answered by the
//! loop that read it.
//!
//! Everything from a socket is hostile: sizes, times and numbers are bounded by the constants beside the code that they
//! bound. Names that are asked for are never logged, unless the configuration says so.
//!
//! Where new capabilities plug in: a zone transfer would be one more variant of [`Handled`], a stream of messages that
//! `tcp` sends, for those whom [`Access`] lets have it. The status page belongs to `api`; what it shows is read
//! from [`Counters`] and [`Busiest`] of the [`Handler`]. Keys and signatures are the resolver's: this room only encodes what it decides.
//!
//! Follows RFC 1035, RFC 6891 (EDNS), RFC 7766 (TCP), RFC 8906 (what a server must survive), RFC 8914 (extended
//! errors).
//!
#![doc = include_str!("serving.md")]

mod access;
mod aliases;
mod batch;
mod bind;
mod busiest;
mod certificate;
mod client;
mod compiled;
mod cookie;
mod counters;
mod encode;
#[cfg(fuzzing)]
pub mod fuzz;
mod handler;
mod hosts;
mod https;
mod inherited;
mod kept_zone;
mod latency;
mod plain;
mod query;
mod replies;
mod server;
mod tcp;
mod tls;
mod udp;

pub use access::{Access, RATE};
pub use bind::BindError;
pub use busiest::Busiest;
pub use client::{Client, Transport};
pub use counters::Counters;
pub use handler::{Handled, Handler, Pending, QueryLog};
pub use hosts::Hosts;
pub use inherited::Inherited;
pub use latency::LatencyCounts;
pub use server::{CONNECTIONS_MAX, Encrypted, Options, Ports, Server, Serving};
pub use tls::{Identity, IdentityError};

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod peer_tests;
