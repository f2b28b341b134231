//! Which chain a database is of.

use std::fmt;

use crate::bns::Params;

/// The virtualchain that a database belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainIdentity {
    /// Name of the network, as the configuration has it.
    pub network: String,
    /// The magic bytes of its operations.
    pub magic: [u8; 2],
    /// The height at which it begins.
    pub first_block: u32,
}

impl ChainIdentity {
    /// The virtualchain with these constants on a network.
    pub fn new(network: &str, params: &Params) -> Self {
        Self {
            network: network.to_owned(),
            magic: params.magic,
            first_block: params.first_block,
        }
    }
}

impl fmt::Display for ChainIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the chain \"{}\" (magic bytes \"{}\", first block {})",
            self.network.escape_debug(),
            self.magic.escape_ascii(),
            self.first_block
        )
    }
}
