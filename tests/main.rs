//! The tests that see bnsd from outside, one module a subject.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod common;

/// Wrong commands and wrong configurations.
mod cli;

/// What somebody sees who starts `bnsd demo` and nothing else.
mod demo;

/// Zone files in watched folders.
mod folder;

/// Zone files that their owner wrote badly or with bad intent.
mod hostile;

/// A name on the chain from its preorder to its revocation, expiry or renewal.
mod life;

/// The first minute of a daemon, on machines that are ready for it and on others.
mod serve;

/// Zone files that were changed on disk.
mod tamper;

/// Golden data of the reference implementation.
mod vectors;

/// A daemon that is killed during a sync.
mod restart;

/// The zone files that the demo serves.
mod zonefiles;
