//! The tests that see bnsd from outside, one module a subject.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod common;

/// What somebody sees who starts `bnsd demo` and nothing else.
mod demo;

/// A name on the chain from its preorder to its revocation, expiry or renewal.
mod life;

/// Golden data of the reference implementation.
mod vectors;

/// The zone files that the demo serves.
mod zonefiles;
