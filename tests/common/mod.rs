//! What several test modules share.

pub mod chain_file;
pub mod resolver;
pub mod unbound;
pub mod upstream;
