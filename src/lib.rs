//! bnsd: names from a virtualchain, answered over plain DNS.
pub mod api;
pub mod bns;
pub mod chain;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod dns;
pub mod hash;
pub mod indexer;
pub mod resolver;
pub mod status;
pub mod store;
pub mod virtualchain;
pub mod wallet;
pub mod zonefile;
