//! The tests that see bnsd from outside, one module a subject.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod common;

/// The conformance checklist of a resolver, row by row.
mod conformance;

/// Golden data of the reference implementation.
mod vectors;

/// The zone files that the demo serves.
mod zonefiles;
