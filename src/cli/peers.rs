//! `bnsd peers`: who brings and takes zone files.

use clap::Args;

use super::count::count;
use super::output::Page;
use super::status::duration;
use super::{Context, Exit, Result};
use crate::api::peers::{Peer, PeerStanding, PeersReply, PeersRequest};

/// Arguments of `bnsd peers`.
#[derive(Debug, Args)]
pub struct Peers {}

impl Peers {
    /// Asks and prints.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let reply = context.answer(PeersRequest {})?;
        context.output.print(&reply, || page(&reply))?;
        Ok(Exit::Success)
    }
}

fn page(reply: &PeersReply) -> Page {
    let mut page = Page::default();
    for peer in &reply.peers {
        page.row(row(peer));
    }
    match reply.count {
        0 => page.note("No peer is known: name one in `atlas.peers`."),
        known => page.note(count(known, "peer")),
    }
    page
}

fn row(peer: &Peer) -> [String; 5] {
    let standing = match (peer.state, peer.banned_seconds) {
        (PeerStanding::Banned, Some(seconds)) => format!("banned for {}", duration(seconds)),
        (PeerStanding::Banned, None) => "banned".to_owned(),
        (PeerStanding::Neighbour, _) => "neighbour".to_owned(),
        (PeerStanding::Known, _) => "known".to_owned(),
        (PeerStanding::Untried, _) => "has not answered yet".to_owned(),
    };
    let strikes = match peer.strikes {
        0 => String::new(),
        strikes => format!(", {}", count(strikes.into(), "strike")),
    };
    let health = peer
        .health
        .map(|share| format!("{:.0} % of calls", share * 100.0));
    let files = peer.zonefiles.map(|files| count(files.into(), "zone file"));
    let seen = peer.last_success_seconds;
    [
        peer.address.clone(),
        standing + &strikes,
        health.unwrap_or_default(),
        files.unwrap_or_default(),
        seen.map(|seconds| format!("{} ago", duration(seconds)))
            .unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_line() {
        let peer = Peer {
            address: "192.0.2.1:6264".to_owned(),
            state: PeerStanding::Neighbour,
            configured: true,
            health: Some(0.5),
            zonefiles: Some(1),
            last_success_seconds: Some(65),
            strikes: 0,
            banned_seconds: None,
        };
        let banned = Peer {
            state: PeerStanding::Banned,
            strikes: 3,
            banned_seconds: Some(60),
            ..peer.clone()
        };
        let reply = PeersReply {
            count: 2,
            peers: vec![peer, banned],
        };
        let shown = page(&reply).plain();
        for part in [
            "192.0.2.1:6264  neighbour",
            "50 % of calls",
            "1 zone file ",
            "1 min 5 s ago",
            "banned for 1 min 0 s, 3 strikes",
            "2 peers",
        ] {
            assert!(shown.contains(part), "{part:?} is not in\n{shown}");
        }
        let none = page(&PeersReply::default()).plain();
        assert!(none.contains("`atlas.peers`"), "{none}");
    }
}
