//! What several test modules share.

pub mod chain_file;
pub mod demo;
pub mod dns;
pub mod golden;
pub mod home;
pub mod process;
pub mod python;
pub mod random;
pub mod scratch;
pub mod unbound;
pub mod world;
