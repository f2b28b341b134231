//! Peers that seeds and other peers name, on a machine with addresses of the whole Internet.

use std::process::Command;

use bitcoin::Network;
use bnsd::chain::p2p::PeerChoice;

use super::{Caller, Liar, Lookups};
use crate::common::apart::apart;
use crate::common::home::Home;
use crate::common::process::until;
use crate::common::scratch::scratch;

/// The usual port of signet.
const PORT: u16 = 38_333;

#[test]
fn seeds_name_peers_that_name_others_and_those_that_worked_are_remembered() {
    apart(|| {
        let home = Home::new();
        // The third is of the first one's network.
        let peers = ["8.8.8.8", "9.9.9.9", "8.8.4.4"].map(|ip: &str| {
            has_address(ip);
            let address = (ip.parse::<std::net::IpAddr>().expect("an address"), PORT).into();
            Liar::start(&home, "names-others", address, "9.9.9.9,8.8.4.4,10.0.0.1")
        });
        let lookups = Lookups::default();
        let resolve = lookups.giving("8.8.8.8");
        let choice = || (PeerChoice::Seeds, None);
        let caller = Caller::choosing(scratch(), Network::Signet, choice(), resolve);
        until("two peers", || {
            (caller.peers.status().connected == 2).then_some(())
        });
        let seed = "x9.seed.signet.bitcoin.sprovoost.nl".to_owned();
        assert!(lookups.names().contains(&seed));
        assert_eq!(peers[2].lies(), 0, "two peers of a network");
        let directory = caller.stop();

        let later = Lookups::default();
        let resolve = later.giving("8.8.8.8");
        let caller = Caller::choosing(directory, Network::Signet, choice(), resolve);
        until("two peers", || {
            (caller.peers.status().connected == 2).then_some(())
        });
        assert_eq!(later.names(), [""; 0]);
    });
}

/// Gives this machine an address.
fn has_address(ip: &str) {
    for arguments in [
        &["link", "set", "lo", "up"][..],
        &["address", "add", ip, "dev", "lo"],
    ] {
        let done = Command::new("ip").args(arguments).status();
        assert!(done.expect("ip starts").success(), "{arguments:?}");
    }
}
