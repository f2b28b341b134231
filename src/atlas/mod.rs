//! Atlas: the network in which every node keeps every zone file that the chain announces.
//!
//! The chain holds only hashes. Nodes number the announcements alike, tell each other as bits which files they have, and
//! fetch what they lack. Nobody is trusted: what a peer sends is hashed before anything is kept.
//!
//! | file | holds |
//! |---|---|
//! | `answer.rs` (pure) | our answers, as documents |
//! | `backup/` | copies of zone files in other places |
//! | `calls.rs` | a call to a peer, from the wish of the schedule to its event |
//! | `candidates.rs` (pure) | peers that somebody named |
//! | `client.rs` | what one peer is asked |
//! | `desk.rs` | what is answered, from snapshots |
//! | `dice.rs` (pure) | randomness as a value |
//! | `heights.rs` | at which height a consensus hash was |
//! | `inventory.rs` (pure) | which files a node has, as bits |
//! | `json.rs` (pure) | JSON of strangers, before it is read |
//! | `ledger.rs` | the rows as the store has them |
//! | `message.rs` (pure) | requests, as documents |
//! | `node.rs` | joins the schedule with chain, archive, peers and server |
//! | `options.rs` | what a person can set |
//! | `peer.rs`, `peer_table.rs` (pure) | the peers that we know |
//! | `pushes.rs` (pure) | new files that neighbours may lack |
//! | `rate.rs` (pure) | how many calls somebody may make |
//! | `receive.rs` | bodies that come in, bounded in bytes and time |
//! | `reply.rs` (pure) | what of a peer's reply is believed |
//! | `rows.rs` (pure) | announcements by number, and which of their files are here |
//! | `rule.rs` (pure) | lists of peers that are allowed or denied |
//! | `schedule/` (pure) | what to ask of which peer, and when |
//! | `server.rs` | connections of peers |
//! | `shared.rs`, `signals.rs` | what the node shows, and what it is told |
//! | `walk.rs` (pure) | uniform samples of the network |
//! | `wanted.rs` (pure) | files that we lack, rarest first |
//! | `xml/` (pure) | XML-RPC |

mod answer;
mod backup;
mod calls;
mod candidates;
mod client;
mod desk;
mod dice;
#[cfg(fuzzing)]
pub mod fuzz;
mod heights;
mod inventory;
mod json;
mod ledger;
mod message;
mod node;
mod options;
mod peer;
mod peer_table;
mod pushes;
mod rate;
mod receive;
mod reply;
mod rows;
mod rule;
mod schedule;
mod server;
mod shared;
mod signals;
mod walk;
mod wanted;
mod xml;

pub use crate::peer_address::{Host, ParseAddressError, PeerAddress, Prefix};
pub use answer::Testnet;
pub use backup::{BackupConfig, BackupError, BackupStatus, Backups, ParseBackupError, Unanswered};
pub use calls::Caller;
pub use client::{CallError, Client, ClientOptions, LOOKUPS_MAX, Socks};
pub use desk::{Board, Desk};
pub use dice::Dice;
pub use inventory::{Inventory, TooLong};
pub use message::{FETCH_MAX, PUT_MAX};
pub use node::Node;
pub use options::Options;
pub use reply::PeerInfo;
pub use rule::{ParseRuleError, PeerRule};
pub use schedule::{Action, Call, Event, Failure, PeerState, Reply, Schedule, Settings};
pub use server::{BindError, CONNECTIONS_MAX, Server, WORKERS};
pub use shared::Shared;
