//! What several test modules share.

pub mod apart;
pub mod bitcoind;
pub mod browser;
pub mod chain_file;
pub mod chain_log;
pub mod demo;
pub mod dns;
pub mod doh;
pub mod fault;
pub mod follow;
pub mod form;
#[path = "../benches/generated.rs"]
pub mod generated;
pub mod golden;
pub mod home;
pub mod http;
pub mod index;
pub mod internet;
pub mod made_log;
pub mod person;
pub mod ports;
pub mod process;
pub mod python;
pub mod random;
pub mod read_log;
pub mod regtest;
pub mod resolver;
pub mod scratch;
pub mod segments;
pub mod unbound;
pub mod upstream;
pub mod world;
pub mod written;

/// Functions of the shell that make parts of machines.
pub const MACHINE: &str = include_str!("machine.sh");
