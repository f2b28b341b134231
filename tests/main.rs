//! The tests that see bnsd from outside, one module a subject.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod common;

/// Which module may use which, and what pure ones must not name.
mod architecture;
/// A second state machine on the engine of the name system.
mod notary;
/// A person's life with names, on the embedded chain.
mod own;
/// Laws of the engine: undo, reorganisations, parsers.
mod properties;
/// Golden data of the reference implementation.
mod vectors;
/// The zone files that the demo serves.
mod zonefiles;
