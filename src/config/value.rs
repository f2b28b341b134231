//! Texts to typed values. An error is the rest of a sentence: what is wrong and what to write instead.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use hickory_proto::rr;
use hyper::Uri;
use hyper::http::uri::Authority;
use serde::Serialize;
use serde_json::Value;

use super::options::BitcoinChain;
use super::place;
use crate::atlas::{
    BackupConfig, ParseAddressError, ParseBackupError, ParseRuleError, PeerAddress, PeerRule,
};
use crate::bns::name::NamespaceId;
use crate::bns::network::Network;
use crate::bns::network_file::NetworkFile;
use crate::chain::SourceKind;
use crate::hash::ConsensusHash;
use crate::log::{LogFormat, LogLevel};
use crate::resolver::Mode;
use crate::subnet::{ParseSubnetError, Subnet};
use crate::upstream::UpstreamConfig;

/// Longest network file in bytes: what fits into a zone file, as which it can travel.
const NETWORK_FILE_MAX: u64 = 40_960;
/// The port of DNS (RFC 1035 §4.2).
const DNS_PORT: u16 = 53;

/// An absolute path; a relative one starts at the current directory.
pub fn path(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|_| "the path is empty; name a file or directory".to_owned())
}

/// An address to listen on; its port has to be said.
pub fn listener(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| match text.parse::<IpAddr>() {
        Ok(ip) => {
            let example = SocketAddr::new(ip, DNS_PORT);
            format!("{text:?} has no port; write for example {example}")
        }
        Err(_) => {
            format!("{text:?} is no ADDRESS:PORT; write for example 127.0.0.1:53 or [::1]:53")
        }
    })
}

/// The same at one address, which others can be told.
pub fn own_address(text: &str) -> Result<SocketAddr, String> {
    let address = listener(text)?;
    match address.ip().is_unspecified() {
        true => Err(format!(
            "{text:?} stands for all addresses: name the one that clients are led to, such as 127.0.62.70:80"
        )),
        false => Ok(address),
    }
}

/// The same, or `none` for nowhere.
pub fn listener_or_none(text: &str) -> Result<Option<SocketAddr>, String> {
    match text {
        "none" => Ok(None),
        text => listener(text).map(Some),
    }
}

/// Somebody who answers for other names.
pub fn upstream(text: &str) -> Result<UpstreamConfig, String> {
    text.parse()
}

/// A resolver that is asked in the clear.
pub fn plain_upstream(text: &str) -> Result<SocketAddr, String> {
    match text.parse()? {
        UpstreamConfig::Plain(address) => Ok(address),
        _ => Err(format!(
            "{text:?} is encrypted, and would need a bootstrap resolver itself; write an address"
        )),
    }
}

/// HOST:PORT of a node's RPC interface.
pub fn node(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').and_then(|(host, port)| {
        let is_host = !host.is_empty() && !host.contains(['/', '@', ' ']);
        port.parse::<u16>().ok().filter(|_| is_host)
    });
    if port.is_none_or(|port| port == 0) {
        return Err(format!(
            "{text:?} is no HOST:PORT; write for example 127.0.0.1:8332"
        ));
    }
    Ok(text.to_owned())
}

/// An address of this machine that nobody else reaches, with its port.
pub fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>().ok();
    let address = address.filter(|address| address.ip().is_loopback());
    address.ok_or_else(|| {
        format!("{text:?} is no address of loopback with a port; write for example 127.0.0.1:6271")
    })
}

/// A user of a node (`rpcauth`) or of the system (passwd(5)).
pub fn user(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains([':', '\n']) {
        return Err(format!("{text:?} is no user name; it has no colon"));
    }
    Ok(text.to_owned())
}

/// A domain name, lower case and fully qualified.
pub fn domain(text: &str) -> Result<rr::Name, String> {
    let problem = || format!("{text:?} is no domain name; write for example home.example");
    let mut name = rr::Name::from_ascii(text).map_err(|_| problem())?;
    if name.num_labels() == 0 {
        return Err(problem());
    }
    name.set_fqdn(true);
    Ok(name.to_lowercase())
}

/// The id of a namespace.
pub fn namespace(text: &str) -> Result<NamespaceId, String> {
    text.parse()
        .map_err(|error| format!("{text:?} is no namespace: {error}"))
}

/// What happens to the names of a namespace.
pub fn mode(text: &str) -> Result<Mode, String> {
    choose(
        text,
        &[Mode::Exact, Mode::Only, Mode::LegacyFirst, Mode::Off],
    )
}

/// Where blocks come from.
pub fn source(text: &str) -> Result<SourceKind, String> {
    use SourceKind::{Bitcoind, Blockfiles, Dev, Final, Log, None};
    choose(text, &[None, Bitcoind, Blockfiles, Log, Final, Dev])
}

/// Which network is followed, of those that are built in.
pub fn network(text: &str) -> Result<Network, String> {
    choose(text, &Network::BUILT_IN)
}

/// A network of somebody's own, from its file.
pub fn network_file(text: &str) -> Result<NetworkFile, String> {
    let place = path(text)?;
    let bytes = place::read_bounded(&place, NETWORK_FILE_MAX);
    let bytes = bytes.map_err(|error| {
        format!("cannot read the network file {text}: {error}; `bnsd chain new-network` writes one")
    })?;
    let read = NetworkFile::parse(&bytes).map_err(|error| format!("{text}, {error}"))?;
    match read.unbuilt() {
        None => Ok(read),
        Some(what) => Err(format!(
            "the network file {text} asks for {what}, which bnsd does not have yet: choose another network"
        )),
    }
}

/// On which chain of Bitcoin the network of somebody's own is.
pub fn bitcoin_chain(text: &str) -> Result<BitcoinChain, String> {
    choose(text, &BitcoinChain::ALL)
}

/// Where a log of the chain is: a directory or a URL.
pub fn chain_log(text: &str) -> Result<String, String> {
    let is_url = match text.parse::<Uri>() {
        Ok(uri) => matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some(),
        Err(_) => false,
    };
    match is_url || Path::new(text).is_absolute() {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is no place of a log: write /PATH, https://HOST/FOLDER or http://HOST/FOLDER"
        )),
    }
}

/// A Bitcoin peer as HOST or HOST:PORT; `seeds` and `none` are not told apart from hosts here.
pub fn bitcoin_peer(text: &str) -> Result<String, String> {
    let authority = text.parse::<Authority>();
    let is_host = authority.is_ok_and(|authority| !authority.as_str().contains('@'));
    match is_host || text.parse::<IpAddr>().is_ok() {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is no Bitcoin peer: write HOST, HOST:PORT, seeds or none"
        )),
    }
}

/// A consensus hash at a height.
pub fn pin(text: &str) -> Result<(u32, ConsensusHash), String> {
    let pin = text
        .split_once(':')
        .and_then(|(height, hash)| Some((height.parse().ok()?, hash.parse().ok()?)));
    pin.ok_or_else(|| {
        format!("{text:?} is no pin: write HEIGHT:HASH, a consensus hash of 32 hex digits")
    })
}

/// How much is logged.
pub fn log_level(text: &str) -> Result<LogLevel, String> {
    use LogLevel::{Debug, Error, Info, Off, Trace, Warn};
    choose(text, &[Off, Error, Warn, Info, Debug, Trace])
}

/// How the log is written.
pub fn log_format(text: &str) -> Result<LogFormat, String> {
    use LogFormat::{Journald, Json, Text};
    choose(text, &[Text, Json, Journald])
}

/// On or off.
pub fn switch(text: &str) -> Result<bool, String> {
    choose(text, &[true, false])
}

/// Addresses that may ask.
pub fn access(text: &str) -> Result<Subnet, String> {
    text.parse()
        .map_err(|error: ParseSubnetError| error.to_string())
}

/// Where a proxy is.
pub fn proxy(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>();
    address.map_err(|_| format!("{text:?} is no ADDRESS:PORT; write for example 127.0.0.1:9050"))
}

/// A node of Atlas.
pub fn peer(text: &str) -> Result<PeerAddress, String> {
    text.parse()
        .map_err(|error: ParseAddressError| error.to_string())
}

/// Where zone files are backed up.
pub fn backup(text: &str) -> Result<BackupConfig, String> {
    text.parse()
        .map_err(|error: ParseBackupError| error.to_string())
}

/// Nodes of Atlas.
pub fn peers(text: &str) -> Result<PeerRule, String> {
    text.parse()
        .map_err(|error: ParseRuleError| error.to_string())
}

/// A name by which this server is called over HTTP, lower case.
pub fn host(text: &str) -> Result<String, String> {
    let name = domain(text)?.to_ascii();
    Ok(name.trim_end_matches('.').to_owned())
}

/// A whole number in a range.
pub fn number(range: RangeInclusive<u32>) -> impl Fn(&str) -> Result<u32, String> {
    move |text| {
        let digits = text.replace('_', "");
        let parsed = digits.parse().ok().filter(|number| range.contains(number));
        parsed.ok_or_else(|| {
            let (low, high) = (range.start(), range.end());
            format!("{text:?} is no whole number from {low} to {high}")
        })
    }
}

/// The choice that has this name in JSON.
fn choose<T: Copy + Serialize>(text: &str, choices: &[T]) -> Result<T, String> {
    let name = |choice: &T| match serde_json::to_value(choice) {
        Ok(Value::String(name)) => name,
        other => other.map(|value| value.to_string()).unwrap_or_default(),
    };
    let found = choices.iter().find(|choice| name(choice) == text);
    found.copied().ok_or_else(|| {
        let names: Vec<String> = choices.iter().map(name).collect();
        format!(
            "{text:?} is not possible; write one of {}",
            names.join(", ")
        )
    })
}
