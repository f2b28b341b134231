//! Atlas: the network in which every node keeps every zone file that the chain announces.
//!
//! The chain holds only hashes. Nodes number the announcements alike, tell each other as bits which files they have, and
//! fetch what they lack. Nobody is trusted: what a peer sends is hashed before anything is kept.
//!
//! | file | holds |
//! |---|---|
//! | `address.rs` (pure) | where a peer is |
//! | `dice.rs` (pure) | randomness as a value |
//! | `inventory.rs` (pure) | which files a node has, as bits |
//! | `rule.rs` (pure) | lists of peers that are allowed or denied |
//! | `schedule/` (pure) | what to ask of which peer, and when |

mod address;
mod dice;
mod inventory;
mod rule;
mod schedule;

pub use address::{Host, ParseAddressError, PeerAddress, Prefix};
pub use dice::Dice;
pub use inventory::{Inventory, TooLong};
pub use rule::{ParseRuleError, PeerRule};
pub use schedule::{Action, Call, Event, Failure, PeerState, Reply, Schedule, Settings};
