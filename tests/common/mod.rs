//! What several test modules share.

pub mod chain_file;
pub mod golden;
pub mod random;
pub mod scratch;
