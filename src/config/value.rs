//! Texts to typed values. An error is the rest of a sentence: what is wrong and what to write instead.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use hickory_proto::rr;

use super::options::{LogLevel, SourceKind};
use crate::bns::name::NamespaceId;
use crate::bns::network::Network;
use crate::dns;
use crate::resolver::Mode;
use crate::upstream::UpstreamConfig;

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

/// Mebibytes for the cache.
pub fn cache_size(text: &str) -> Result<u32, String> {
    number(text, 1..=4096)
}

/// How long answers may be used after their time, in seconds, up to the seven days that RFC 8767 §4 suggests for TTLs.
pub fn stale(text: &str) -> Result<u32, String> {
    number(text, 0..=604_800)
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

/// The user that a node's configuration names (`rpcauth`).
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
        &[
            ("exact", Mode::Exact),
            ("only", Mode::Only),
            ("legacy-first", Mode::LegacyFirst),
            ("off", Mode::Off),
        ],
    )
}

/// Where blocks come from.
pub fn source(text: &str) -> Result<SourceKind, String> {
    choose(
        text,
        &[
            ("none", SourceKind::None),
            ("bitcoind", SourceKind::Bitcoind),
            ("blockfiles", SourceKind::Blockfiles),
            ("dev", SourceKind::Dev),
        ],
    )
}

/// Which chain is followed.
pub fn network(text: &str) -> Result<Network, String> {
    choose(
        text,
        &[
            ("mainnet", Network::Mainnet),
            ("regtest", Network::Regtest),
            ("dev", Network::Dev),
        ],
    )
}

/// How much is logged.
pub fn log_level(text: &str) -> Result<LogLevel, String> {
    choose(
        text,
        &[
            ("off", LogLevel::Off),
            ("error", LogLevel::Error),
            ("warn", LogLevel::Warn),
            ("info", LogLevel::Info),
            ("debug", LogLevel::Debug),
            ("trace", LogLevel::Trace),
        ],
    )
}

/// On or off.
pub fn switch(text: &str) -> Result<bool, String> {
    choose(text, &[("true", true), ("false", false)])
}

/// Addresses that may ask.
pub fn access(text: &str) -> Result<dns::Network, String> {
    text.parse()
        .map_err(|error: dns::NotANetwork| error.to_string())
}

/// A name by which this server is called over HTTP, lower case.
pub fn host(text: &str) -> Result<String, String> {
    let name = domain(text)?.to_ascii();
    Ok(name.trim_end_matches('.').to_owned())
}

/// Queries per second from one source; a million is more than anything that answers can ask for.
pub fn rate(text: &str) -> Result<u32, String> {
    number(text, 1..=1_000_000)
}

/// Blocks on top of an indexed one, at most about a week of them: more is certainly a typing error.
pub fn confirmations(text: &str) -> Result<u32, String> {
    number(text, 0..=1_000)
}

/// A block's height; the bound is that of lock times (BIP 65), five hundred million.
pub fn height(text: &str) -> Result<u32, String> {
    number(text, 0..=499_999_999)
}

/// Blocks that can be undone; each costs space in the database.
pub fn undo_depth(text: &str) -> Result<u32, String> {
    number(text, 1..=10_000)
}

/// A TTL in seconds, up to the week that RFC 8767 §4 suggests as a cap.
pub fn ttl(text: &str) -> Result<u32, String> {
    number(text, 0..=604_800)
}

/// A delay in seconds, up to thirty days.
pub fn lag(text: &str) -> Result<u32, String> {
    number(text, 1..=2_592_000)
}

fn number(text: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    let digits = text.replace('_', "");
    let parsed = digits.parse().ok().filter(|number| range.contains(number));
    parsed.ok_or_else(|| {
        let (low, high) = (range.start(), range.end());
        format!("{text:?} is no whole number from {low} to {high}")
    })
}

fn choose<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!(
            "{text:?} is not possible; write one of {}",
            names.join(", ")
        )
    })
}
