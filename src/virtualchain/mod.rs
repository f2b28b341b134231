//! How operations in Bitcoin transactions become a chain of their own; knows no names.
//!
//! A *virtualchain* is the sequence of states that a deterministic machine goes through while it reads
//! the transactions of a blockchain that carry its magic bytes. After every block the accepted
//! operations are serialised, folded into an *ops hash*, and mixed with earlier *consensus hashes* into
//! the consensus hash of that height: two nodes with the same consensus hash hold the same state.
//!
//! ```text
//! raw block --scan--> candidates --(prevouts)--> Transaction
//!      --StateMachine::parse--> operations --StateMachine::process--> decisions, changes
//!      --serialize, merkle--> ops hash --snapshot--> consensus hash
//! ```
//!
//! [`derive`](fn@derive) runs all of this over blocks, for whoever takes the outcomes.
//!
//! Nothing here opens a file or socket, and nothing here knows what an operation means: that is the
//! [`StateMachine`]'s part. The hashes are those of virtualchain 20.0.1.0; [`consensus_hash`] says them in words
//! (`ch §N`), and how a payload is found stands in the [wire format](crate::bns::rules::wire_format) (`wf §1`).

pub mod derive;
pub mod engine;
pub mod merkle;
pub mod proof;
pub mod scan;
pub mod script;
pub mod serialize;
pub mod snapshot;
pub mod transaction;
pub mod walk;

#[doc = include_str!("consensus_hash.md")]
pub mod consensus_hash {}

pub use derive::{BlockHeader, CandidateBlock, Sink, derive};
pub use engine::{BlockOutcome, Decision, Located, StateMachine, connect_block};
pub use snapshot::{Snapshot, SnapshotView};
pub use transaction::VirtualTransaction;
