//! The log: what decides about names, of the whole chain, in files that anybody may hand on.
//!
//! Whoever has no node reads it. Nothing in it has to be believed: every record is checked against a block header with
//! real work. That nothing is left out cannot be seen from one log; several are joined, and Bitcoin peers asked.
//! Everything here is pure: bytes and values in, values out.
//!
#![doc = include_str!("format.md")]

mod input;
pub mod manifest;
pub mod record;
pub mod segment;
#[cfg(test)]
mod tests;
mod tree;

pub use input::{Flaw, Malformed};
pub use tree::{Tree, TreeFault};
