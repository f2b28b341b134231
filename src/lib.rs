//! bnsd: a local DNS resolver and name service for the Blockchain Name System. This page is the map.
//!
//! Names like `werner.id` are registered in Bitcoin transactions; the chain of operations, replayed by
//! everybody with the same rules, says who owns a name and which zone file it has. bnsd follows the chain,
//! keeps the state and the zone files, and answers over plain DNS. All other names go to an upstream.
//!
//! # Two ways through the crate
//!
//! **A Bitcoin block becomes a consensus hash.** [`chain`] reports the next block; [`virtualchain`] picks the
//! transactions that carry the magic bytes, `chain` supplies the outputs that they spend, [`bns`] parses and
//! decides each operation: accepted with an effect, or rejected with a reason. The canonical texts of the accepted
//! ones fold into an ops hash, and with earlier consensus hashes into the one of this height. [`store`] commits
//! changes, undo data, hashes and tip in one transaction. [`indexer`] is the loop that does this.
//!
//! **A DNS query becomes an answer.** [`dns`] reads and decodes it; [`resolver`] says who answers by name, mode and
//! state. For a name of ours its zone file comes from the archive, is hashed and parsed by [`zonefile`], and
//! `resolver` decides records, response code and TTL. Everything else is forwarded. Every query ends in one
//! [`resolver::Outcome`].
//!
//! # Modules
//!
//! ```text
//! main -> cli -> daemon -> config -> (options beside each adapter)
//!                  |
//!         +--------+---+-----------+---------+
//!         v            v           v         v
//!      indexer      folder        dns       api        loops and sockets
//!       |    \         |         /   \
//!       v     +------> store <--+     |                the outside world
//!     chain <- wallet   |             v
//!     ==|===============|=========  resolver -> zonefile    pure from here down
//!       |               +--> bns <----+
//!       v                     |
//!     virtualchain <----------+
//!       +-------------> hash
//! ```
//!
//! Arrows only go down. Pure modules name no file, socket, clock, randomness, task or database: values in,
//! values out. Adapters each own one kind of outside world and meet only in `store` and `chain`. A commit tells
//! those who subscribed what changed; progress is shown through [`progress`]. `tests/architecture.rs` checks all of
//! this.

// Pure: values in, values out.
pub mod bns;
pub mod hash;
pub mod resolver;
pub mod virtualchain;
pub mod wire;
pub mod zonefile;

// Adapters: each owns one kind of outside world.
pub mod api;
pub mod chain;
pub mod clock;
pub mod disk;
pub mod dns;
pub mod folder;
pub mod indexer;
pub mod names;
pub mod progress;
pub mod store;
pub mod upstream;
pub mod wallet;
pub mod worker;

// Assembly.
pub mod cli;
pub mod config;
pub mod daemon;
