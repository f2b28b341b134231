//! The networks of the name system: which constants apply, and what a name on each is worth to others.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::params::Params;
use crate::hash::{NetworkId, encode_hex};

/// A network of the name system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Network {
    /// The historical network on Bitcoin's main chain, to its end.
    Mainnet,
    /// The rules of the historical network, going on after its end.
    MainnetContinued,
    /// A private test network.
    Regtest,
    /// The embedded chain.
    Dev,
    /// Somebody's own, with the constants of its network file.
    Own(NetworkId),
}

/// How the name of a network of one's own begins; the id of its file follows.
const OWN: &str = "own-";

impl Network {
    /// Those whose constants are built in.
    pub const BUILT_IN: [Self; 4] = [
        Self::Mainnet,
        Self::MainnetContinued,
        Self::Regtest,
        Self::Dev,
    ];

    /// The name of the chain of names as database and journal have it. The historical network and its continuation are
    /// one chain, of which the former ends.
    pub fn chain_name(self) -> String {
        match self {
            Self::MainnetContinued => Self::Mainnet.to_string(),
            other => other.to_string(),
        }
    }

    /// Its constants; `None` for somebody's own, which only its network file knows.
    pub fn params(self) -> Option<Params> {
        match self {
            Self::Mainnet => Some(Params::mainnet()),
            Self::MainnetContinued => Some(Params::mainnet_continued()),
            Self::Regtest | Self::Dev => Some(Params::regtest()),
            Self::Own(_) => None,
        }
    }

    /// What a name on this network, with these constants, means, and to whom: one sentence without a full stop.
    pub fn meaning(self, params: &Params) -> String {
        let meaning = match self {
            Self::Mainnet => "the historical network of the names".to_owned(),
            Self::MainnetContinued => "the rules of the historical network go on after its end: whoever runs bnsd agrees with whoever runs bnsd, and nobody else".to_owned(),
            Self::Regtest => "a test network on Bitcoin's regtest: its coins and names are worth nothing".to_owned(),
            Self::Dev => "the chain embedded in this bnsd: its coins and names are worth nothing, and nobody else has them".to_owned(),
            Self::Own(_) => format!(
                "a network of somebody's own (magic bytes {}, from block {} on): whoever has the same network file agrees, and nobody else",
                encode_hex(&params.magic),
                params.first_block
            ),
        };
        match params.last_block {
            None => meaning,
            Some(last) => format!(
                "{meaning}; it ends at block {last}: names stand for ever as they stood there, and nobody can change them"
            ),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mainnet => f.write_str("mainnet"),
            Self::MainnetContinued => f.write_str("mainnet-continued"),
            Self::Regtest => f.write_str("regtest"),
            Self::Dev => f.write_str("dev"),
            Self::Own(id) => write!(f, "{OWN}{id}"),
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let built_in = Self::BUILT_IN.into_iter();
        if let Some(network) = built_in.into_iter().find(|known| known.to_string() == text) {
            return Ok(network);
        }
        let id = text.strip_prefix(OWN).and_then(|id| id.parse().ok());
        id.map(Self::Own)
            .ok_or_else(|| format!("{text:?} is no network"))
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_historical_network_ends_and_its_continuation_does_not() {
        let params = |network: Network| network.params().expect("built in");
        let (ended, continued) = (params(Network::Mainnet), params(Network::MainnetContinued));
        assert_eq!(
            (ended.last_block, continued.last_block),
            (Some(665_749), None)
        );
        let meaning = Network::Mainnet.meaning(&ended);
        assert!(meaning.contains("ends at block 665749"), "{meaning}");
        let meaning = Network::MainnetContinued.meaning(&continued);
        assert!(meaning.ends_with("and nobody else"), "{meaning}");
        let endless = Params {
            last_block: None,
            ..ended
        };
        assert_eq!(endless, continued);
    }

    #[test]
    fn a_network_and_its_continuation_are_kept_as_one_chain() {
        let both = [Network::Mainnet, Network::MainnetContinued];
        assert_eq!(both.map(Network::chain_name), ["mainnet", "mainnet"]);
        assert_eq!(Network::Dev.chain_name(), "dev");
    }

    #[test]
    fn names_of_networks_go_both_ways() {
        let own = Network::Own(NetworkId([0xab; 20]));
        assert_eq!(own.to_string(), format!("own-{}", "ab".repeat(20)));
        for network in Network::BUILT_IN.into_iter().chain([own]) {
            let json = serde_json::to_string(&network).expect("JSON");
            assert_eq!(
                serde_json::from_str::<Network>(&json).expect("a network"),
                network
            );
        }
        assert!("own-ab".parse::<Network>().is_err() && "main".parse::<Network>().is_err());
    }
}
