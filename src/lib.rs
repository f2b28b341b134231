//! bnsd: a local DNS resolver and name service for the Blockchain Name System. This page is the map.
//!
//! Names like `werner.id` are registered in Bitcoin transactions. Everybody who replays the operations with the
//! same rules learns the same owners and zone file hashes. bnsd follows the chain, keeps the state and the zone
//! files, and answers over plain DNS. All other names go to an upstream.
//!
//! # Two ways through the crate
//!
//! **A Bitcoin block becomes a consensus hash.** [`chain`] reports the next block. [`virtualchain`] picks the
//! transactions that carry the magic bytes, `chain` supplies the outputs that they spend, and [`bns`] parses and
//! decides each operation: accepted with an effect, or rejected with a reason. The canonical texts of the accepted
//! ones are hashed into the ops hash of the block; that and earlier consensus hashes are hashed into the consensus
//! hash of this height. [`virtualchain::derive`] is the one loop that runs the rules; [`indexer`] runs it over a
//! source, and [`store`] commits changes, undo data, hashes and tip in one transaction.
//!
//! **A DNS query becomes a reply.** [`dns`] reads it. [`resolver`] says who answers by name, mode and state. For a
//! name of the chain, [`names`] reads its state and its zone file, which is hashed and parsed by [`zonefile`];
//! [`tlsa`] adds the records that follow from its keys, and `resolver` decides records, response code and TTL. Zone
//! files also carry names below names, with owners of their own ([`bns::subdomain`]); the [`indexer`] reads them as
//! soon as the files are here. Everything else is asked of an [`upstream`]. Every query ends in one
//! [`resolver::Outcome`]. Replies are kept, and so are zones in a compiled form, from which most further replies
//! about a name are copied. That form stands beside the zone file in the archive, and `names` knows in memory how
//! every name stands, so that a first question mostly takes the same way. Whatever needs more is decided.
//!
//! # Rooms
//!
//! ```text
//! main -> cli -> daemon -> config -> (options beside each adapter)
//!
//!        +--------+---------+---------+--------+--------+--------+
//!        v        v         v         v        v        v        v
//!     indexer  folder      dns -> upstream    api     trust    wallet     loops and sockets
//!       |  \      |         |         |       / |       |        |
//!       |   \     v         v         |      /  |       |        |
//!       |    +-> store <-- names <----|-----+---|-------+        |       the outside world
//!       v                   |         |         |       |        |
//!     chain <---------------|---------|---------|-------|--------+
//!     ==|===================|=========|=========|=======|========|==
//!       |                   v         v         |       v        |
//!       |               resolver ---------------|---> tlsa       |       pure from here down
//!       |                   |    \    |         |       |        |
//!       |                   v     \   v         v       v        v
//!       |                  bns     +> wire     bns   zonefile   bns
//!       v                   |
//!     virtualchain <--------+
//!       +-------> hash
//! ```
//!
//! Arrows only go down; the drawing shows the main ones (`bns` reads what zone files carry from the lines of
//! `zonefile`). Pure rooms name no file, socket, clock, randomness, task or database: values in, values out.
//! [`peer_address`] says where a peer is, of Atlas or of Bitcoin. Each adapter owns one kind of outside world.
//! [`clock`], [`disk`] (files that survive a crash), [`log`], [`progress`], [`worker`] (threads and tasks with
//! names and owners), [`connections`] (of clients) and [`host`] (how a server is called over HTTP) serve all
//! adapters. A commit tells those who subscribed what changed. [`system`], which no daemon needs, sends the
//! machine's questions to bnsd and takes that back. [`trust`] makes the certificates that follow from keys of
//! names. `tests/architecture.rs` checks all of this.
//!
//! # Where new capabilities belong
//!
//! | capability | room | where it plugs in |
//! |---|---|---|
//! | another way to bind a key | [`tlsa`] | a rule of its table; its records are added to the zone before `resolver/` looks |
//! | another program that has to trust names | [`trust`] | a store beside `trust/stores`, or a [`trust::PinSource`] |
//! | signing (DNSSEC) | `resolver/` decides, `dns/` encodes | between [`resolver::Answer`] and `dns/encode.rs`; keys in `dns/` |
//! | zone transfer | `dns/transfer.rs` | one more variant of [`dns::Handled`]; zones come from [`names`] |
//! | an endpoint over HTTP | [`api::http`] | a row of a table: path, what it takes and replies; asks what the control socket asks |
//! | storage (Gaia) | `storage/`, an adapter | URIs of a zone that [`names`] has; keys of the [`wallet`] |
//! | migration to another chain | `virtualchain/` beside the walk, [`bns`] | a [`virtualchain::Sink`] that writes the final state |

#![deny(unsafe_code)] // the exceptions are counted in tests/architecture.rs

// Pure: values in, values out.
pub mod bns;
pub mod hash;
pub mod peer_address;
pub mod resolver;
pub mod subnet;
pub mod tlsa;
pub mod virtualchain;
pub mod wire;
pub mod zonefile;

// Adapters: each owns one kind of outside world.
pub mod api;
pub mod atlas;
pub mod chain;
pub mod clock;
pub mod connections;
pub mod disk;
pub mod dns;
pub mod folder;
pub mod host;
pub mod indexer;
pub mod log;
pub mod names;
pub mod progress;
pub mod store;
pub mod system;
pub mod trust;
pub mod upstream;
pub mod wallet;
pub mod worker;

// Assembly.
pub mod cli;
pub mod config;
pub mod daemon;
