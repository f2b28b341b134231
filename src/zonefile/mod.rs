//! Zone files: the text that a name's owner announces on the chain, as records that DNS can serve.
//!
//! A BNS zone file is an RFC 1035 §5 master file with the habits of its history: `$ORIGIN foo.id` is written
//! without the trailing dot, and a line may start with its record type. We have our own parser because the ones at hand follow `$INCLUDE`, do
//! not know URI (RFC 7553), and refuse those habits.
//!
//! ```text
//! bytes -> token (entries) -> parse (owner, TTL, type) -> rdata (field kinds of the table in types)
//!       -> builder (what cannot stand together)
//!       -> Zone: nodes in canonical order, each with its RRsets in wire format -> render (text)
//!                                                                             -> compiled (bytes to copy from)
//! ```
//!
//! A zone file is **hostile input**: anybody can register a name and announce anything.
//!
//! - What cannot be read is ignored and reported with its place; the rest of the zone is served.
//! - A record outside the name's own tree is ignored, so no zone file answers for another name.
//! - `$INCLUDE` and `$GENERATE` are refused: nothing is read, nothing is expanded.
//! - Size, records, RRsets, record data and TTLs are bounded by the constants below, and the time is
//!   linear in the input, so one file costs a few milliseconds at worst.
//!
//! This module never checks hashes (`hash::ZonefileHash`), never decides what is answered (the
//! resolver does) and never touches anything outside its arguments.
#![doc = include_str!("format.md")]

mod builder;
mod compiled;
mod field;
#[cfg(test)]
mod fixture;
mod key;
mod name;
mod own;
mod parse;
mod problem;
mod rdata;
mod render;
mod scalar;
mod svcb;
mod token;
mod types;
mod zone;

#[cfg(fuzzing)]
pub use compiled::read_all;
pub use compiled::{Compiled, CompiledFound, CompiledSet, Malformed, VERSION as COMPILED_VERSION};
pub use own::parse_own;
pub use parse::{ParseError, Written, parse, parse_watched};
pub use problem::{Ignored, Problem, SvcProblem};
pub use render::{render, render_data};
pub(crate) use token::{Entries, Entry, Token};
pub use types::{mnemonic, record_type};
pub use zone::{Added, Found, Node, RrSet, Zone, ZoneRecord};

/// Longest zone file in bytes: what a reference node accepts (its `RPC_MAX_ZONEFILE_LEN`).
pub const ZONEFILE_MAX: usize = 40_960;
/// Records read from one zone file; reading stops there. Far above any use, and it bounds all later work.
const RECORDS_MAX: usize = 1_000;
/// Records in one RRset; more would not fit into a DNS answer of reasonable size.
const RRSET_MAX: usize = 100;
/// Bytes of one record's data.
const RDATA_MAX: usize = 4_096;
/// Longest TTL in seconds, one day; whoever serves the records caps further (`max-ttl`).
pub const TTL_MAX: u32 = 86_400;
/// TTL in seconds of a record without one in a file without `$TTL`; the value all historical files state.
const TTL_DEFAULT: u32 = 3_600;
/// Problems that are kept with their place; further ones are only counted.
const IGNORED_KEPT: usize = 100;
