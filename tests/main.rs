//! The tests that see bnsd from outside, one module a subject.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod common;

/// Reorganisations and undo.
mod reorg;

/// Derives stored chains again.
mod verify;

/// Golden data of the reference implementation.
mod vectors;

/// The zone files that the demo serves.
mod zonefiles;
