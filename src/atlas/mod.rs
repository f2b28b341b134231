//! Atlas: the network in which every node keeps every zone file that the chain announces.
//!
//! The chain holds only hashes. Nodes number the announcements alike, tell each other as bits which files they have, and
//! fetch what they lack. Nobody is trusted: what a peer sends is hashed before anything is kept.
//!
//! | file | holds |
//! |---|---|
//! | `address.rs` (pure) | where a peer is |
//! | `candidates.rs` (pure) | peers that somebody named |
//! | `dice.rs` (pure) | randomness as a value |
//! | `inventory.rs` (pure) | which files a node has, as bits |
//! | `peer.rs`, `peer_table.rs` (pure) | the peers that we know |
//! | `pushes.rs` (pure) | new files that neighbours may lack |
//! | `rule.rs` (pure) | lists of peers that are allowed or denied |
//! | `schedule/` (pure) | what to ask of which peer, and when |
//! | `walk.rs` (pure) | uniform samples of the network |
//! | `wanted.rs` (pure) | files that we lack, rarest first |

mod address;
mod candidates;
mod dice;
mod inventory;
mod peer;
mod peer_table;
mod pushes;
mod rule;
mod schedule;
mod walk;
mod wanted;

pub use address::{Host, ParseAddressError, PeerAddress, Prefix};
pub use dice::Dice;
pub use inventory::{Inventory, TooLong};
pub use rule::{ParseRuleError, PeerRule};
pub use schedule::{Action, Call, Event, Failure, PeerState, Reply, Schedule, Settings};
