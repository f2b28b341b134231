//! The networks whose constants are built in.

use serde::{Deserialize, Serialize};

/// A network whose constants are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Bitcoin's main network with the historical constants.
    Mainnet,
    /// A private test network.
    Regtest,
    /// The embedded chain.
    Dev,
}

impl Network {
    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Regtest => "regtest",
            Self::Dev => "dev",
        }
    }
}
