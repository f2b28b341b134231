//! What several test modules share.

pub mod chain_file;
pub mod person;
