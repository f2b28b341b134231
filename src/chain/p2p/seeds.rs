//! The DNS seeds of Bitcoin's networks, as Bitcoin Core 31 lists them (`kernel/chainparams.cpp`).
//!
//! A seed is a name whose addresses are those of peers that somebody's crawler reached. Whoever runs one can name peers of
//! his own; that is why peers are in different networks and one honest peer is enough. This file is pure.

use bitcoin::Network;

/// What Bitcoin Core asks its seeds for: peers with all blocks and with witnesses (bits 0 and 3), in hexadecimal.
const SERVICES: &str = "x9";

const MAIN: [&str; 7] = [
    "dnsseed.bluematt.me",
    "seed.bitcoin.jonasschnelli.ch",
    "seed.btc.petertodd.net",
    "seed.bitcoin.sprovoost.nl",
    "dnsseed.emzy.de",
    "seed.bitcoin.wiz.biz",
    "seed.mainnet.achownodes.xyz",
];
const TESTNET3: [&str; 5] = [
    "testnet-seed.bitcoin.jonasschnelli.ch",
    "seed.tbtc.petertodd.net",
    "seed.testnet.bitcoin.sprovoost.nl",
    "testnet-seed.bluematt.me",
    "seed.testnet.achownodes.xyz",
];
const TESTNET4: [&str; 2] = [
    "seed.testnet4.bitcoin.sprovoost.nl",
    "seed.testnet4.wiz.biz",
];
const SIGNET: [&str; 2] = [
    "seed.signet.bitcoin.sprovoost.nl",
    "seed.signet.achownodes.xyz",
];

/// The names to look up for peers of a network; regtest has none.
pub(super) fn names(network: Network) -> Vec<String> {
    let seeds: &[&str] = match network {
        Network::Bitcoin => &MAIN,
        Network::Testnet => &TESTNET3,
        Network::Testnet4 => &TESTNET4,
        Network::Signet => &SIGNET,
        Network::Regtest => &[],
    };
    let names = seeds.iter().map(|seed| format!("{SERVICES}.{seed}"));
    names.collect()
}

/// The port that peers of a network listen on.
pub(super) fn port(network: Network) -> u16 {
    match network {
        Network::Bitcoin => 8_333,
        Network::Testnet => 18_333,
        Network::Testnet4 => 48_333,
        Network::Signet => 38_333,
        Network::Regtest => 18_444,
    }
}
