//! The tests that see bnsd from outside, one module a subject.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod common;

/// Names that are not ours: upstreams, cache, forgeries, failures.
mod forward;

/// Golden data of the reference implementation.
mod vectors;

/// The zone files that the demo serves.
mod zonefiles;
