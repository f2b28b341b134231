//! The tests that see bnsd from outside, one module a subject.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod common;

/// Answers from memory against decided ones.
mod answers;

/// Which module may use which, and what pure ones must not name.
mod architecture;

/// Zone files between peers: the protocol, both ways.
mod atlas_wire;

/// Daemons that keep each other's zone files, and peers that lie.
mod atlas_world;

/// Copies of zone files in other places.
mod backup;

/// All zone files carried somewhere and back.
mod carry;

/// Logs of a chain, and damage to them.
mod chain_log;

/// Every section that a comment cites is there.
mod citations;

/// Wrong commands and wrong configurations.
mod cli;

/// What the comparison with other servers computes itself.
mod compare;

/// The conformance checklist of a resolver, row by row.
mod conformance;

/// What a daemon may still do once it runs: no root, and no files but its own.
mod confined;

/// A database that changed on the disk.
mod damage;

/// Few descriptors and many clients.
mod descriptors;

/// What `bnsd doctor` finds, and that its commands mend it.
mod doctor;

/// What somebody sees who starts `bnsd demo` and nothing else.
mod demo;

/// The log of a chain, written for others.
mod exported;
mod followed;

/// A chain without a node: logs.
mod light;

/// Zone files from other nodes.
mod atlas;

/// Zone files in watched folders.
mod folder;

/// Names that are not ours: upstreams, cache, forgeries, failures.
mod forward;

/// The HTTP API of the daemon.
mod http;

/// Zone files that their owner wrote badly or with bad intent.
mod hostile;

/// A name on the chain from its preorder to its revocation, expiry or renewal.
mod life;

/// The keys that a name binds.
mod keys;

/// What is logged, and how.
mod log;

/// Following a real Bitcoin Core in regtest.
mod node;

/// A service manager: the sockets that it hands over, and what it is told.
mod manager;

/// Which network a name is on, and its end.
mod network;

/// A second state machine on the engine of the name system.
mod notary;

/// The status page, in a browser.
mod page;

/// Bitcoin peers: what real ones send, and what liars do.
mod peers;

/// A person's life with names, on the embedded chain.
mod own;

/// The same on Bitcoin Core in regtest.
mod own_node;

/// The published last state of the historical network.
mod last_state;

/// Proofs of names.
mod proof;

/// Laws of the engine: undo, reorganisations, parsers.
mod properties;

/// The README: its commands, configurations and links.
mod readme;

/// New settings for a running daemon.
mod reload;

/// Reorganisations and undo.
mod reorg;

/// Who may read what bnsd keeps, and secrets that others can read.
mod rights;

/// A daemon that is killed during a sync.
mod restart;

/// The first minute of a daemon, on machines that are ready for it and on others.
mod serve;

/// A daemon under everything at once.
mod soak;

/// Names below names, carried in zone files.
mod subdomains;

/// Signals, and workers that fail.
mod supervise;

/// Records of subdomains, written, packed and published by commands.
mod subdomains_made;

/// System DNS on and off again.
mod system;

/// A log and Bitcoin peers in place of a node of one's own.
mod without_node;

/// Zone files that were changed on disk.
mod tamper;

/// Certificates of names in the stores of programs.
mod tls_browsers;

/// What a name's owner makes for TLS.
mod tls_owner;

/// The end of a name, as it is said and as it comes.
mod term;

/// Programs that check servers by what names bind.
mod tls_programs;

/// Golden data of the reference implementation.
mod vectors;

/// Derives stored chains again.
mod verify;

/// Programs and browsers of others, which go by the keys that a name names.
mod web;

/// The zone files that the demo serves.
mod zonefiles;
