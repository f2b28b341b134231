//! What several test modules share.

pub mod bitcoind;
pub mod chain_file;
pub mod dns;
pub mod home;
pub mod process;
pub mod python;
pub mod unbound;
pub mod world;
pub mod golden;
pub mod random;
