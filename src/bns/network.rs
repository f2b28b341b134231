//! The networks of the name system: which constants apply, and what a name on each is worth to others.

use serde::{Deserialize, Serialize};

use super::params::Params;

/// A network of the name system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The historical network on Bitcoin's main chain, to its end.
    Mainnet,
    /// The rules of the historical network, going on after its end.
    MainnetContinued,
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
            Self::MainnetContinued => "mainnet-continued",
            Self::Regtest => "regtest",
            Self::Dev => "dev",
        }
    }

    /// The name of the chain of names as database and journal have it. The historical network and its continuation are
    /// one chain, of which the former ends.
    pub fn chain_name(self) -> &'static str {
        match self {
            Self::Mainnet | Self::MainnetContinued => "mainnet",
            Self::Regtest | Self::Dev => self.as_str(),
        }
    }

    /// Its constants.
    pub fn params(self) -> Params {
        match self {
            Self::Mainnet => Params::mainnet(),
            Self::MainnetContinued => Params::mainnet_continued(),
            Self::Regtest | Self::Dev => Params::regtest(),
        }
    }

    /// What a name on this network means, and to whom, as one sentence without a full stop. `last_block` is the network's
    /// last height.
    pub fn meaning(self, last_block: Option<u32>) -> String {
        let meaning = match self {
            Self::Mainnet => "the historical network of the names",
            Self::MainnetContinued => {
                "the rules of the historical network go on after its end: whoever runs bnsd agrees with whoever runs bnsd, and nobody else"
            }
            Self::Regtest => {
                "a test network on Bitcoin's regtest: its coins and names are worth nothing"
            }
            Self::Dev => {
                "the chain embedded in this bnsd: its coins and names are worth nothing, and nobody else has them"
            }
        };
        match last_block {
            None => meaning.to_owned(),
            Some(last) => format!(
                "{meaning}; it ends at block {last}: names stand for ever as they stood there, and nobody can change them"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_historical_network_ends_and_its_continuation_does_not() {
        let (ended, continued) = (
            Network::Mainnet.params(),
            Network::MainnetContinued.params(),
        );
        assert_eq!(
            (ended.last_block, continued.last_block),
            (Some(665_749), None)
        );
        assert_eq!(
            Params {
                last_block: None,
                ..ended
            },
            continued
        );
        let meaning = Network::Mainnet.meaning(Some(665_749));
        assert!(meaning.contains("ends at block 665749"), "{meaning}");
        let meaning = Network::MainnetContinued.meaning(None);
        assert!(meaning.ends_with("and nobody else"), "{meaning}");
    }

    #[test]
    fn a_network_and_its_continuation_are_kept_as_one_chain() {
        let both = [Network::Mainnet, Network::MainnetContinued];
        assert_eq!(both.map(Network::chain_name), ["mainnet", "mainnet"]);
        assert_eq!(Network::Dev.chain_name(), "dev");
    }
}
