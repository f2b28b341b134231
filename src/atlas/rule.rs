//! Rules of `atlas.allow` and `atlas.deny`: a peer, all ports of a host, or a network.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::peer_address::{Host, PeerAddress};
use crate::subnet::Subnet;

/// Which peers a line of a list means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerRule {
    /// One port of a host.
    Peer(PeerAddress),
    /// All ports of a host.
    Host(Host),
    /// All hosts whose addresses begin with the same bits.
    Network(Subnet),
}

/// A text that means no peers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} means no peers: write HOST, HOST:PORT or a network such as 192.0.2.0/24 or 2001:db8::/32"
)]
pub struct ParseRuleError(String);

impl PeerRule {
    /// Whether the rule means this peer.
    pub fn matches(&self, peer: &PeerAddress) -> bool {
        match self {
            Self::Peer(one) => one == peer,
            Self::Host(host) => host == peer.host(),
            Self::Network(network) => match peer.host() {
                Host::Ip(ip) => network.contains(*ip),
                Host::Name(_) => false,
            },
        }
    }
}

impl FromStr for PeerRule {
    type Err = ParseRuleError;

    fn from_str(text: &str) -> Result<Self, ParseRuleError> {
        let error = || ParseRuleError(text.to_owned());
        if text.contains('/') {
            return text.parse().map(Self::Network).map_err(|_| error());
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::Host(Host::Ip(ip.to_canonical())));
        }
        if let Ok(peer) = text.parse() {
            return Ok(Self::Peer(peer));
        }
        // The host alone: any port makes a peer of it.
        let peer: PeerAddress = format!("{text}:1").parse().map_err(|_| error())?;
        Ok(Self::Host(peer.host().clone()))
    }
}

impl fmt::Display for PeerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(peer) => peer.fmt(f),
            Self::Host(Host::Ip(ip)) => ip.fmt(f),
            Self::Host(Host::Name(name)) => name.fmt(f),
            Self::Network(network) => network.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> PeerRule {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_rule_means_a_peer_a_host_or_a_network() {
        let cases = [
            ("10.0.0.1:6264", "10.0.0.1:6264", "10.0.0.1:6265"),
            ("10.0.0.1", "10.0.0.1:6265", "10.0.0.2:6264"),
            ("node.example", "node.example:80", "a.node.example:80"),
            ("10.0.0.0/8", "10.9.9.9:80", "11.0.0.0:80"),
            ("0.0.0.0/0", "11.0.0.0:80", "[fd00::1]:80"),
            ("fd00::/8", "[fd12::1]:80", "[fe80::1]:80"),
            ("fd00::1", "[fd00::1]:80", "[fd00::2]:80"),
        ];
        for (text, inside, outside) in cases {
            let peer = |text: &str| text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert!(rule(text).matches(&peer(inside)), "{text} {inside}");
            assert!(!rule(text).matches(&peer(outside)), "{text} {outside}");
            assert_eq!(rule(text).to_string(), text);
        }
        for wrong in ["", "a b", "10.0.0.0/33", "10.0.0/8", "x/8", "host:0"] {
            let error = wrong.parse::<PeerRule>().expect_err(wrong).to_string();
            assert!(error.contains("means no peers"), "{error}");
        }
    }
}
