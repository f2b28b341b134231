//! From texts to the configuration: the built-in value of every key, and the rules that span several keys.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::ConfigError;
use super::options::{
    BitcoinChain, BitcoinPeers, ChainConfig, Config, DnsConfig, LightConfig, NamesConfig,
    NodeConfig, TlsConfig, ZonefilesConfig,
};
use super::place::{self, Places};
use super::reader::Reader;
use super::sources::Profile;
use super::value::{self, number};
use crate::api::http::{self, IfTaken};
use crate::atlas;
use crate::bns::name::NamespaceId;
use crate::bns::network::Network;
use crate::bns::network_file::NetworkFile;
use crate::chain::SourceKind;
use crate::dns::{Encrypted, Identity, QueryLog};
use crate::log::LogOptions;
use crate::resolver::Mode;
use crate::tlsa::OwnKeys;
use crate::upstream::{self, UpstreamConfig};

/// Name of the control socket in the data directory.
pub const CONTROL_SOCKET: &str = "control.sock";

/// Checks every value and fills in what nobody gave; the path of the file is added by the caller.
pub fn settle(
    mut reader: Reader,
    profile: Profile,
    places: &Places,
) -> Result<Config, ConfigError> {
    let data_dir = settle_data_dir(&mut reader, profile, places)?;
    let control_socket = settle_control_socket(&mut reader, &data_dir)?;
    let listen = settle_listen(&mut reader, profile)?;
    let user = reader.optional("user", "bnsd, if there is such a user", value::user)?;
    let sandbox = reader.one("sandbox", "true", value::switch)?;
    let chain = settle_chain(&mut reader, profile)?;
    let dns = settle_dns(&mut reader, &listen, &data_dir)?;
    let api = settle_api(&mut reader, profile)?;
    let tls = TlsConfig {
        proxy: reader.optional("tls.proxy", "nowhere", value::loopback)?,
        users: reader.many("tls.users", &[], "nobody", value::user)?,
        own_keys: match reader.one("tls.own-keys", "false", value::switch)? {
            true => OwnKeys::Pinned,
            false => OwnKeys::Published,
        },
    };
    let namespaces = settle_namespaces(&mut reader)?;
    // 5,000,000 take 320 MB; the historical network had 350,000.
    let index_max = reader.one("names.index-max", "5000000", number(0..=u32::MAX))?;
    let folders = reader.many("zonefiles.folders", &[], "none", value::path)?;
    let atlas = settle_atlas(&mut reader, profile)?;
    let log = LogOptions {
        level: reader.one("log.level", "info", value::log_level)?,
        format: reader.one("log.format", "text", value::log_format)?,
    };
    let log_queries = match reader.one("log.queries", "false", value::switch)? {
        true => QueryLog::On,
        false => QueryLog::Off,
    };
    let (settings, mut warnings) = reader.finish();
    warnings.extend(warnings_of_exposure(&listen, &dns));
    warnings.extend(api.listen.iter().filter_map(warning_of_open_api));
    warnings.extend(api.gateway.as_ref().and_then(warning_of_shared_gateway));
    Ok(Config {
        data_dir,
        control_socket,
        listen,
        user,
        sandbox,
        chain,
        dns,
        api,
        tls,
        namespaces: namespaces.into_iter().collect(),
        names: NamesConfig { index_max },
        zonefiles: ZonefilesConfig { folders },
        atlas,
        log,
        log_queries,
        file: None,
        settings,
        warnings,
    })
}

fn settle_data_dir(
    reader: &mut Reader,
    profile: Profile,
    places: &Places,
) -> Result<PathBuf, ConfigError> {
    let built_in = match profile {
        Profile::Serve => places.state.clone(),
        Profile::Demo => places.demo_dir(),
    };
    match built_in.as_deref().and_then(Path::to_str) {
        Some(text) => reader.one("data-dir", text, value::path),
        None if reader.is_given("data-dir") => reader.one("data-dir", "", value::path),
        None => Err(ConfigError::NoHome),
    }
}

fn settle_control_socket(reader: &mut Reader, data_dir: &Path) -> Result<PathBuf, ConfigError> {
    let built_in = data_dir.join(CONTROL_SOCKET);
    reader.one("control-socket", &built_in.to_string_lossy(), value::path)
}

fn settle_listen(reader: &mut Reader, profile: Profile) -> Result<Vec<SocketAddr>, ConfigError> {
    let built_in: &[&str] = match profile {
        Profile::Serve => &["127.0.0.1:53", "[::1]:53"],
        Profile::Demo => &["127.0.0.1:5300"],
    };
    let listen = reader.many("listen", built_in, "none", value::listener)?;
    if listen.is_empty() {
        return Err(reader.refuse(
            "listen",
            "the list is empty; name at least one address, for example 127.0.0.1:53",
        ));
    }
    Ok(listen)
}

fn settle_chain(reader: &mut Reader, profile: Profile) -> Result<ChainConfig, ConfigError> {
    let source = match profile {
        Profile::Serve => "none",
        Profile::Demo => "dev",
    };
    let source = reader.one("chain.source", source, value::source)?;
    let file = reader.optional("chain.network-file", "none", value::network_file)?;
    let (network, bitcoin) = match &file {
        None => settle_built_in(reader, profile, source)?,
        Some(file) => settle_own(reader, profile, source, file)?,
    };
    let confirmations = match bitcoin {
        BitcoinChain::Regtest => "0",
        _ => "6", // as the reference (virtualchain's NUM_CONFIRMATIONS)
    };
    // The bound is that of lock times (BIP 65).
    let heights = || number(0..=499_999_999);
    let first_block = reader.optional("chain.first-block", "the network's", heights())?;
    let last_block = reader.optional("chain.last-block", "the network's", heights())?;
    if let (Some(_), Some(_)) = (first_block, &file) {
        let problem =
            "the network file says where the network begins; leave `chain.first-block` out";
        return Err(reader.refuse("chain.first-block", problem));
    }
    if let (Some(_), Some(problem)) = (last_block, fixed_end(network)) {
        return Err(reader.refuse("chain.last-block", problem));
    }
    Ok(ChainConfig {
        source,
        network,
        network_file: file,
        bitcoin,
        // At most about a week of blocks: more is certainly a typing error.
        confirmations: reader.one("chain.confirmations", confirmations, number(0..=1_000))?,
        first_block,
        last_block,
        // Each block that can be undone costs space in the database.
        undo_depth: reader.one("chain.undo-depth", "100", number(1..=10_000))?,
        node: settle_node(reader, bitcoin)?,
        light: settle_light(reader, source, bitcoin)?,
        publish: reader.optional("chain.publish", "nowhere", value::path)?,
    })
}

fn settle_light(
    reader: &mut Reader,
    source: SourceKind,
    chain: BitcoinChain,
) -> Result<LightConfig, ConfigError> {
    let logs = reader.many("chain.logs", &[], "none", value::chain_log)?;
    if logs.is_empty() && source == SourceKind::Log {
        let problem =
            "the source \"log\" follows at least one log; set `chain.logs` to its directory or URL";
        return Err(reader.refuse("chain.source", problem));
    }
    // A private chain has no seeds.
    let built_in = match chain {
        BitcoinChain::Regtest => "none",
        BitcoinChain::Main | BitcoinChain::Testnet4 | BitcoinChain::Signet => "seeds",
    };
    let given = reader.many("chain.peers", &[built_in], "none", value::bitcoin_peer)?;
    let peers = match &given[..] {
        [one] if one == "seeds" => BitcoinPeers::Seeds,
        [one] if one == "none" => BitcoinPeers::None,
        [] => BitcoinPeers::None,
        many if many.iter().any(|one| one == "seeds" || one == "none") => {
            let problem = "\"seeds\" and \"none\" stand alone; leave them out to name peers";
            return Err(reader.refuse("chain.peers", problem));
        }
        _ => BitcoinPeers::Given(given),
    };
    if peers == BitcoinPeers::Seeds && chain == BitcoinChain::Regtest {
        let problem = "regtest has no seeds; name peers, or write \"none\"";
        return Err(reader.refuse("chain.peers", problem));
    }
    Ok(LightConfig {
        logs,
        peers,
        proxy: reader.optional("chain.proxy", "none", value::proxy)?,
        // A thousand blocks a day are about 1.5 GB.
        audit: reader.one("chain.audit", "48", number(0..=1_000))?,
        pins: reader.many("chain.pins", &[], "none", value::pin)?,
    })
}

/// A network whose constants are built in, and the chain of Bitcoin that it is on.
fn settle_built_in(
    reader: &mut Reader,
    profile: Profile,
    source: SourceKind,
) -> Result<(Network, BitcoinChain), ConfigError> {
    let network = match (profile, source) {
        (Profile::Demo, _) | (_, SourceKind::Dev) => "dev",
        (Profile::Serve, _) => "mainnet",
    };
    let network = reader.one("chain.network", network, value::network)?;
    let refused = match (source, network) {
        (SourceKind::Dev, network) if network != Network::Dev => {
            Some("the source \"dev\" has only the network \"dev\"; change one of the two")
        }
        (SourceKind::Bitcoind | SourceKind::Blockfiles | SourceKind::Log, Network::Dev) => Some(
            "only the source \"dev\" has the network \"dev\"; write \"mainnet\", \"mainnet-continued\" or \"regtest\"",
        ),
        (SourceKind::Final, network) if network != Network::Mainnet => {
            Some("the source \"final\" is the last state of \"mainnet\"; leave `chain.network` out")
        }
        _ => None,
    };
    if let Some(problem) = refused {
        return Err(reader.refuse("chain.network", problem));
    }
    let bitcoin = match network {
        Network::Mainnet | Network::MainnetContinued => BitcoinChain::Main,
        Network::Regtest | Network::Dev | Network::Own(_) => BitcoinChain::Regtest,
    };
    let open = "the network's";
    match reader.optional("chain.bitcoin", open, value::bitcoin_chain)? {
        Some(given) if given != bitcoin => {
            let problem = format!(
                "the network \"{network}\" is on another chain; leave `chain.bitcoin` out, or set `chain.network-file`"
            );
            Err(reader.refuse("chain.bitcoin", &problem))
        }
        _ => Ok((network, bitcoin)),
    }
}

/// The network of a network file, and the chain of Bitcoin that it is on.
fn settle_own(
    reader: &mut Reader,
    profile: Profile,
    source: SourceKind,
    file: &NetworkFile,
) -> Result<(Network, BitcoinChain), ConfigError> {
    let open = "that of the network file";
    let named = reader.optional("chain.network", open, value::network)?;
    let given = reader.optional("chain.bitcoin", open, value::bitcoin_chain)?;
    let bitcoin = match source {
        SourceKind::Dev => given.or(Some(BitcoinChain::Regtest)),
        SourceKind::None
        | SourceKind::Bitcoind
        | SourceKind::Blockfiles
        | SourceKind::Log
        | SourceKind::Final => given,
    };
    let key = "chain.network-file";
    if named.is_some() {
        let problem = "`chain.network` and `chain.network-file` exclude each other; leave one out";
        return Err(reader.refuse(key, problem));
    }
    if profile == Profile::Demo {
        let problem = "the demo has a network of its own; start it with another configuration";
        return Err(reader.refuse(key, problem));
    }
    let Some(bitcoin) = bitcoin else {
        let problem = "say which chain of Bitcoin carries this network: set `chain.bitcoin` to main, testnet4, signet or regtest";
        return Err(reader.refuse(key, problem));
    };
    if source == SourceKind::Dev && bitcoin != BitcoinChain::Regtest {
        let problem = "the embedded chain is regtest; write that, or leave `chain.bitcoin` out";
        return Err(reader.refuse("chain.bitcoin", problem));
    }
    if bitcoin.addresses() != file.addresses {
        let problem = "the network file has the addresses of another chain of Bitcoin; correct `chain.bitcoin`, or take another file";
        return Err(reader.refuse("chain.bitcoin", problem));
    }
    Ok((Network::Own(file.id()), bitcoin))
}

/// Why nobody can choose the end of a network, if that is so.
fn fixed_end(network: Network) -> Option<&'static str> {
    match network {
        Network::Mainnet => {
            Some("the network \"mainnet\" ended at block 665749; leave `chain.last-block` out")
        }
        Network::MainnetContinued => Some(
            "the network \"mainnet-continued\" has no end; leave `chain.last-block` out, or write `network = \"mainnet\"`",
        ),
        Network::Regtest | Network::Dev | Network::Own(_) => None,
    }
}

fn settle_node(reader: &mut Reader, chain: BitcoinChain) -> Result<NodeConfig, ConfigError> {
    let blocks = || Some(place::bitcoin_core(chain)?.join("blocks"));
    let open = "Bitcoin Core's";
    let cookie = reader.optional("chain.rpc-cookie", open, value::path)?;
    let blocks_dir = reader.optional("chain.blocks-dir", open, value::path)?;
    let user = reader.optional("chain.rpc-user", "none", value::user)?;
    let password_file = reader.optional("chain.rpc-password-file", "none", value::path)?;
    if user.is_some() != password_file.is_some() {
        let given = if user.is_some() {
            "chain.rpc-user"
        } else {
            "chain.rpc-password-file"
        };
        return Err(reader.refuse(
            given,
            "`chain.rpc-user` and `chain.rpc-password-file` belong together; set the other one too",
        ));
    }
    Ok(NodeConfig {
        rpc_address: reader.one("chain.rpc-address", chain.rpc_address(), value::node)?,
        rpc_cookie: cookie.or_else(|| chain.rpc_cookie()),
        rpc_user: user,
        rpc_password_file: password_file,
        blocks_dir: blocks_dir.or_else(blocks),
    })
}

fn settle_dns(
    reader: &mut Reader,
    listen: &[SocketAddr],
    data_dir: &Path,
) -> Result<DnsConfig, ConfigError> {
    let upstreams = settle_upstreams(reader, listen)?;
    let routes = reader.section("dns.routes", &[], "none", |domain, values| {
        let upstreams = values.iter().map(|text| text.parse());
        Ok((
            value::domain(domain)?,
            upstreams.collect::<Result<Vec<_>, String>>()?,
        ))
    })?;
    for (_, upstreams) in &routes {
        refuse_ourselves(reader, "dns.routes", upstreams, listen)?;
    }
    let cache_mebibytes = reader.one("dns.cache-size", "32", number(1..=4096))?;
    // Up to the seven days that RFC 8767 §4 suggests for TTLs.
    let stale = reader.one("dns.stale-max", "86400", number(0..=604_800))?;
    let max_lag = reader.one("dns.max-lag", "7200", number(1..=2_592_000))?;
    let identity = settle_identity(reader, data_dir)?;
    let encrypted = |listen: Vec<SocketAddr>| Encrypted {
        listen,
        identity: identity.clone(),
    };
    let tls = reader.many("dns.tls.listen", &[], "nowhere", value::listener)?;
    let https = reader.many("dns.https.listen", &[], "nowhere", value::listener)?;
    Ok(DnsConfig {
        upstreams,
        routes,
        bootstrap: reader.many("dns.bootstrap", &[], "the system's", value::plain_upstream)?,
        ca_file: reader.optional("dns.ca-file", "the system's authorities", value::path)?,
        trust_ad: reader.one("dns.trust-ad", "false", value::switch)?,
        validate: reader.one("dns.validate", "false", value::switch)?,
        trust_anchor: reader.optional("dns.trust-anchor", "ICANN's", value::path)?,
        cache_bytes: (cache_mebibytes as usize) << 20,
        keep_cache: reader.one("dns.keep-cache", "true", value::switch)?,
        stale_max: Duration::from_secs(stale.into()),
        hosts: reader.one("dns.hosts", "true", value::switch)?,
        // Up to the week that RFC 8767 §4 suggests as a cap.
        max_ttl: reader.one("dns.max-ttl", "600", number(0..=604_800))?,
        max_lag: Duration::from_secs(max_lag.into()),
        allow_private: reader.many("dns.allow-private", &[], "none", value::domain)?,
        ad_for_bns: reader.one("dns.ad-for-bns", "true", value::switch)?,
        access: reader.many("dns.access", &[], "this machine", value::access)?,
        // A million is more than anything that answers can ask for.
        rate_limit: reader.one("dns.rate-limit", "1000", number(1..=1_000_000))?,
        tls: (!tls.is_empty()).then(|| encrypted(tls)),
        https: (!https.is_empty()).then(|| encrypted(https)),
        https_hosts: reader.many("dns.https.hosts", &[], "localhost", value::host)?,
    })
}

fn settle_upstreams(
    reader: &mut Reader,
    listen: &[SocketAddr],
) -> Result<Vec<UpstreamConfig>, ConfigError> {
    let upstreams = reader.many("dns.upstreams", &[], "the system's", value::upstream)?;
    refuse_ourselves(reader, "dns.upstreams", &upstreams, listen)?;
    let is_encrypted = UpstreamConfig::is_encrypted;
    if upstreams.iter().any(is_encrypted) && !upstreams.iter().all(is_encrypted) {
        return Err(reader.refuse(
            "dns.upstreams",
            "encrypted and plain upstreams together would mean plain ones when it matters; name one kind",
        ));
    }
    Ok(upstreams)
}

/// Asking ourselves would never end.
fn refuse_ourselves(
    reader: &Reader,
    key: &str,
    upstreams: &[UpstreamConfig],
    listen: &[SocketAddr],
) -> Result<(), ConfigError> {
    let ours = |upstream: &&UpstreamConfig| {
        let address = upstream.address();
        address.is_some_and(|address| upstream::is_own_listener(address, listen))
    };
    match upstreams.iter().find(ours) {
        Some(own) => {
            let problem = format!("{own} is where bnsd itself listens; name another resolver");
            Err(reader.refuse(key, &problem))
        }
        None => Ok(()),
    }
}

/// The certificate of DNS over TLS and over HTTPS: given with its key, or made by ourselves.
fn settle_identity(reader: &mut Reader, data_dir: &Path) -> Result<Identity, ConfigError> {
    let made = "made by bnsd";
    let certificate = reader.optional("dns.tls.certificate", made, value::path)?;
    let key = reader.optional("dns.tls.key", made, value::path)?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Identity::Given { certificate, key }),
        (None, None) => Ok(Identity::SelfSigned(data_dir.join("tls"))),
        (Some(_), None) => {
            let problem = "a certificate needs its key; set dns.tls.key too";
            Err(reader.refuse("dns.tls.certificate", problem))
        }
        (None, Some(_)) => {
            let problem = "a key needs its certificate; set dns.tls.certificate too";
            Err(reader.refuse("dns.tls.key", problem))
        }
    }
}

/// Whoever names a port wants that one; nobody does without DNS because somebody else has the built-in one.
fn settle_api(reader: &mut Reader, profile: Profile) -> Result<http::Options, ConfigError> {
    let if_taken = match (reader.is_given("api.listen"), profile) {
        (true, _) => IfTaken::Fail,
        (false, Profile::Serve) => IfTaken::GoOn,
        (false, Profile::Demo) => IfTaken::AnyPort,
    };
    Ok(http::Options {
        listen: settle_listeners(reader, "api.listen", &["127.0.0.1:6270"])?,
        hosts: reader.many("api.hosts", &[], "localhost", value::host)?,
        if_taken,
        gateway: reader.optional("api.gateway", "nowhere", value::own_address)?,
    })
}

fn settle_atlas(reader: &mut Reader, profile: Profile) -> Result<atlas::Options, ConfigError> {
    let built_in: &[&str] = match profile {
        Profile::Serve => &["127.0.0.1:6264"],
        Profile::Demo => &["none"], // its chain is nobody else's
    };
    let may_lack_port = !reader.is_given("atlas.listen");
    Ok(atlas::Options {
        listen: settle_listeners(reader, "atlas.listen", built_in)?,
        may_lack_port,
        peers: reader.many("atlas.peers", &[], "none", value::peer)?,
        allow: reader.many("atlas.allow", &[], "none", value::peers)?,
        deny: reader.many("atlas.deny", &[], "none", value::peers)?,
        namespaces: reader.many("atlas.namespaces", &[], "all", value::namespace)?,
        proxy: reader.optional("atlas.proxy", "none", value::proxy)?,
        backups: reader.many("atlas.backups", &[], "none", value::backup)?,
    })
}

/// A list of addresses, or `none` alone.
fn settle_listeners(
    reader: &mut Reader,
    key: &'static str,
    built_in: &[&str],
) -> Result<Vec<SocketAddr>, ConfigError> {
    let given = reader.many(key, built_in, "nowhere", value::listener_or_none)?;
    let listen: Vec<SocketAddr> = given.iter().copied().flatten().collect();
    if given.len() > 1 && listen.len() < given.len() {
        let problem = "\"none\" stands alone; leave it out to listen on the others";
        return Err(reader.refuse(key, problem));
    }
    Ok(listen)
}

/// The API admits everybody who reaches it.
fn warning_of_open_api(listener: &SocketAddr) -> Option<String> {
    (!listener.ip().is_loopback()).then(|| {
        format!("the HTTP API on {listener} answers everybody who reaches it: listen on loopback and put a web server before it that says who may ask")
    })
}

/// Whoever owns a name without an address can have had one before, and a page of it open in a browser: for that browser
/// everything on the gateway's address is then of the page's origin.
fn warning_of_shared_gateway(gateway: &SocketAddr) -> Option<String> {
    let ip = gateway.ip().to_canonical();
    (ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST).then(|| {
        format!("the gateway on {gateway} shares its address with the servers of this machine, which pages of names could then reach: set `api.gateway` to an address of its own, as in 127.0.62.70:{}", gateway.port())
    })
}

fn settle_namespaces(reader: &mut Reader) -> Result<Vec<(NamespaceId, Mode)>, ConfigError> {
    let open = "id exact, other top-level domains and those of private networks off, the rest only";
    reader.section("namespaces", &[], open, |id, values| {
        let mode = values.first().map_or("", String::as_str);
        Ok((value::namespace(id)?, value::mode(mode)?))
    })
}

/// Listening beyond loopback and admitting nobody, or the other way round, is probably not meant.
fn warnings_of_exposure(listen: &[SocketAddr], dns: &DnsConfig) -> Vec<String> {
    let encrypted = [&dns.tls, &dns.https];
    let encrypted = encrypted.into_iter().flatten().flat_map(|one| &one.listen);
    let all = listen.iter().chain(encrypted);
    let exposed: Vec<&SocketAddr> = all.filter(|one| !one.ip().is_loopback()).collect();
    if exposed.is_empty() && !dns.access.is_empty() {
        let text = "dns.access admits others, but DNS is only served on loopback: set listen too";
        return vec![text.to_owned()];
    }
    let sentence = |listener: &&SocketAddr| match dns.access.as_slice() {
        [] => {
            format!(
                "DNS on {listener} answers only this machine: name who else may ask in dns.access"
            )
        }
        _ => format!("DNS on {listener} answers all whom dns.access names, not only this machine"),
    };
    exposed.iter().map(sentence).collect()
}
