//! The configuration: what is in force, and where every value came from.
//!
//! Four layers, each overriding the one before:
//!
//! ```text
//! built in  <  bnsd.toml  <  environment (BNSD_...)  <  command line
//! ```
//!
//! One table, [`key::KEYS`], names every key, its variable and its shape; file, environment, flags and
//! `bnsd config show` all read it, so that none of them can know a key that the others lack. The layers are
//! texts until [`Config::load`] parses them once into types that cannot be wrong; a built-in value goes
//! through the same parser as a given one.
//!
//! A key that nobody knows is an error, because a misspelt `listen` would otherwise silently leave the old
//! one in force. Nothing here opens a socket or creates a directory, and only the configuration file is read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hickory_proto::rr;

use crate::bns::name::NamespaceId;
pub use crate::bns::network::Network;
use crate::dns::{self, Encrypted, Identity, QueryLog};
use crate::resolver::Mode;
use crate::upstream::{self, UpstreamConfig};

mod error;
mod file;
pub mod key;
mod layer;
mod place;
mod reader;
mod secret;
mod value;

pub use error::ConfigError;
pub use layer::{Origin, Setting};
pub use place::Places;
pub use secret::Secret;

use layer::Layers;
use reader::Reader;

/// Everything that can be set, parsed and checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the daemon keeps its database and its archive of zone files; absolute.
    pub data_dir: PathBuf,
    /// The unix socket on which the daemon answers `lookup`, `explain` and `status`; absolute.
    pub control_socket: PathBuf,
    /// Where DNS is served, over UDP and TCP; never empty.
    pub listen: Vec<SocketAddr>,
    /// The chain that carries the names.
    pub chain: ChainConfig,
    /// How questions are answered.
    pub dns: DnsConfig,
    /// What happens where a namespace may also be a top-level domain; namespaces not listed have the mode
    /// that the resolver chooses.
    pub namespaces: BTreeMap<NamespaceId, Mode>,
    /// Zone files that are watched for.
    pub zonefiles: ZonefilesConfig,
    /// How much is logged.
    pub log: LogLevel,
    /// Whether queries are logged, names included.
    pub log_queries: QueryLog,
    /// The configuration file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// Every key with its value as text and where it came from, in the order of [`key::KEYS`].
    pub settings: Vec<Setting>,
    /// What is allowed but probably not meant, one sentence each.
    pub warnings: Vec<String>,
}

/// Section `[chain]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainConfig {
    /// Where blocks come from.
    pub source: SourceKind,
    /// Which chain's rules and constants apply.
    pub network: Network,
    /// How many blocks must be on top of a block before it is indexed.
    pub confirmations: u32,
    /// First height to look at; `None` for the network's own.
    pub first_block: Option<u32>,
    /// How many blocks can be undone when the chain reorganises.
    pub undo_depth: u32,
    /// The node of the sources `bitcoind` and `blockfiles`.
    pub node: NodeConfig,
}

/// A Bitcoin Core node, in section `[chain]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// HOST:PORT of its RPC interface.
    pub rpc_address: String,
    /// Its cookie file, absolute; `None` if nobody said and there is no home directory.
    pub rpc_cookie: Option<PathBuf>,
    /// The user to be where the cookie is refused.
    pub rpc_user: Option<String>,
    /// The file with the user's password, absolute.
    pub rpc_password_file: Option<PathBuf>,
    /// The directory with its block files, absolute; `None` as for the cookie.
    pub blocks_dir: Option<PathBuf>,
}

/// Section `[dns]`, with `[dns.tls]` and `[dns.https]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsConfig {
    /// Who answers for all other names; empty for the system's resolvers.
    pub upstreams: Vec<UpstreamConfig>,
    /// Who answers instead at and below a name, lower case and fully qualified.
    pub routes: Vec<(rr::Name, Vec<UpstreamConfig>)>,
    /// Who is asked for the addresses of upstreams that are known by name; empty for the system's resolvers.
    pub bootstrap: Vec<SocketAddr>,
    /// PEM file with authorities that are trusted besides the system's; absolute.
    pub ca_file: Option<PathBuf>,
    /// Whether encrypted upstreams are believed when they call an answer validated.
    pub trust_ad: bool,
    /// Whether answers of upstreams are validated with DNSSEC here.
    pub validate: bool,
    /// File of DNSKEY records to validate with instead of the keys of ICANN's root; absolute.
    pub trust_anchor: Option<PathBuf>,
    /// Most bytes that answers of upstreams occupy.
    pub cache_bytes: usize,
    /// Whether these answers are kept in a file while the daemon is not running.
    pub keep_cache: bool,
    /// How long after its time an answer may still be used when upstreams fail.
    pub stale_max: Duration,
    /// Whether `/etc/hosts` is served.
    pub hosts: bool,
    /// Upper bound for the TTL of records from zone files, in seconds.
    pub max_ttl: u32,
    /// How far the index may be behind before names are refused rather than answered.
    pub max_lag: Duration,
    /// Names that may have private addresses, lower case and fully qualified.
    pub allow_private: Vec<rr::Name>,
    /// Whether AD is set on answers from the chain for those who ask for it.
    pub ad_for_bns: bool,
    /// Who may ask beside this machine.
    pub access: Vec<dns::Network>,
    /// Queries per second from each source beyond this machine.
    pub rate_limit: u32,
    /// DNS over TLS.
    pub tls: Option<Encrypted>,
    /// DNS over HTTPS.
    pub https: Option<Encrypted>,
    /// Names by which DNS over HTTPS may be called.
    pub https_hosts: Vec<String>,
}

/// Section `[zonefiles]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZonefilesConfig {
    /// Directories in which files are served as soon as the chain announces their hash; absolute.
    pub folders: Vec<PathBuf>,
}

/// Kinds of block source that can be configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// No chain: names of the system cannot be answered, everything else is forwarded.
    None,
    /// A Bitcoin Core node, over RPC.
    Bitcoind,
    /// The block files of a Bitcoin Core node.
    Blockfiles,
    /// The embedded chain on disk.
    Dev,
}

/// How much is logged. Only this crate's messages are, since those of the libraries can name queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What needs somebody to act.
    Error,
    /// What may need somebody to act.
    Warn,
    /// Starts, stops, blocks and changes of state.
    Info,
    /// Why something was decided.
    Debug,
    /// Every step.
    Trace,
}

/// Which built-in values apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// `bnsd serve`, and the commands that ask a daemon.
    Serve,
    /// `bnsd demo`: the embedded chain, a high port, its own directory.
    Demo,
}

/// Which configuration file is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileChoice {
    /// The one at the platform's place, if it is there.
    AtItsPlace,
    /// This one, which has to be there.
    Named(PathBuf),
    /// None at all.
    Nothing,
}

/// Where [`Config::load`] looks: everything from outside is handed in.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Which built-in values apply.
    pub profile: Profile,
    /// Which file is read.
    pub file: FileChoice,
    /// Environment variables; those that do not begin with `BNSD_` are ignored.
    pub environment: Vec<(String, String)>,
    /// Values given on the command line.
    pub flags: Vec<Flag>,
    /// The platform's directories.
    pub places: Places,
}

/// A value given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The key that it sets, as in [`key::KEYS`].
    pub key: &'static str,
    /// How the flag is spelt, with its dashes.
    pub flag: &'static str,
    /// Its values; several for a list.
    pub values: Vec<String>,
}

/// Name of the control socket in the data directory.
pub const CONTROL_SOCKET: &str = "control.sock";

impl Config {
    /// Reads all layers, checks every value and settles what is left open.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut layers = Layers::default();
        let file = file::read(&sources.file, &sources.places)?;
        if let Some(text) = &file {
            layers.add_file(text)?;
        }
        layers.add_environment(&sources.environment);
        layers.add_flags(&sources.flags);
        let mut config = Self::settle(Reader::new(layers), sources.profile, &sources.places)?;
        config.file = file.map(|file| file.path);
        Ok(config)
    }

    /// Where a client looks for a daemon, in this order: the socket that was named, or else the one in the
    /// data directory, that of a running demo and that of the system's service.
    pub fn control_candidates(&self, places: &Places) -> Vec<PathBuf> {
        let mut candidates = vec![self.control_socket.clone()];
        let settled = |key: &str| {
            self.settings
                .iter()
                .any(|setting| setting.key == key && setting.origin != Origin::Default)
        };
        if !settled("control-socket") && !settled("data-dir") {
            candidates.extend(places.demo_dir().map(|dir| dir.join(CONTROL_SOCKET)));
            candidates.push(place::SYSTEM_CONTROL_SOCKET.into());
        }
        candidates
    }

    fn settle(mut reader: Reader, profile: Profile, places: &Places) -> Result<Self, ConfigError> {
        let data_dir = settle_data_dir(&mut reader, profile, places)?;
        let control_socket = settle_control_socket(&mut reader, &data_dir)?;
        let listen = settle_listen(&mut reader, profile)?;
        let chain = settle_chain(&mut reader, profile)?;
        let dns = settle_dns(&mut reader, &listen, &data_dir)?;
        let namespaces = settle_namespaces(&mut reader, profile)?;
        let folders = reader.many("zonefiles.folders", &[], "none", value::path)?;
        let log = reader.one("log.level", "info", value::log_level)?;
        let log_queries = match reader.one("log.queries", "false", value::switch)? {
            true => QueryLog::On,
            false => QueryLog::Off,
        };
        let (settings, mut warnings) = reader.finish();
        warnings.extend(warnings_of_exposure(&listen, &dns));
        Ok(Self {
            data_dir,
            control_socket,
            listen,
            chain,
            dns,
            namespaces,
            zonefiles: ZonefilesConfig { folders },
            log,
            log_queries,
            file: None,
            settings,
            warnings,
        })
    }
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
    let (source, network) = match profile {
        Profile::Serve => ("none", "mainnet"),
        Profile::Demo => ("dev", "dev"),
    };
    let source = reader.one("chain.source", source, value::source)?;
    let network = match source {
        SourceKind::Dev => "dev",
        SourceKind::None | SourceKind::Bitcoind | SourceKind::Blockfiles => network,
    };
    let network = reader.one("chain.network", network, value::network)?;
    if source == SourceKind::Dev && network != Network::Dev {
        return Err(reader.refuse(
            "chain.network",
            "the source \"dev\" has only the network \"dev\"; change one of the two",
        ));
    }
    if matches!(source, SourceKind::Bitcoind | SourceKind::Blockfiles) && network == Network::Dev {
        return Err(reader.refuse(
            "chain.network",
            "a Bitcoin Core node follows \"mainnet\" or \"regtest\"; write one of the two",
        ));
    }
    let confirmations = match network {
        Network::Mainnet => "6", // as the reference (virtualchain's NUM_CONFIRMATIONS)
        Network::Regtest | Network::Dev => "0",
    };
    Ok(ChainConfig {
        source,
        network,
        confirmations: reader.one("chain.confirmations", confirmations, value::confirmations)?,
        first_block: reader.optional("chain.first-block", "the network's", value::height)?,
        undo_depth: reader.one("chain.undo-depth", "100", value::undo_depth)?,
        node: settle_node(reader, network)?,
    })
}

fn settle_node(reader: &mut Reader, network: Network) -> Result<NodeConfig, ConfigError> {
    let address = match network {
        Network::Mainnet => "127.0.0.1:8332", // Bitcoin Core, chainparamsbase.cpp
        Network::Regtest | Network::Dev => "127.0.0.1:18443",
    };
    let place = place::bitcoin_core(network);
    let in_place = |given: Option<PathBuf>, name: &str| {
        given.or_else(|| place.as_deref().map(|place| place.join(name)))
    };
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
        rpc_address: reader.one("chain.rpc-address", address, value::node)?,
        rpc_cookie: in_place(cookie, ".cookie"),
        rpc_user: user,
        rpc_password_file: password_file,
        blocks_dir: in_place(blocks_dir, "blocks"),
    })
}

fn settle_dns(
    reader: &mut Reader,
    listen: &[SocketAddr],
    data_dir: &Path,
) -> Result<DnsConfig, ConfigError> {
    let upstreams = reader.many("dns.upstreams", &[], "the system's", value::upstream)?;
    refuse_ourselves(reader, "dns.upstreams", &upstreams, listen)?;
    if upstreams.iter().any(UpstreamConfig::is_encrypted)
        && !upstreams.iter().all(UpstreamConfig::is_encrypted)
    {
        return Err(reader.refuse(
            "dns.upstreams",
            "encrypted and plain upstreams together would mean plain ones when it matters; name one kind",
        ));
    }
    let routes = reader.routes("none")?;
    for (_, upstreams) in &routes {
        refuse_ourselves(reader, "dns.routes", upstreams, listen)?;
    }
    let cache_mebibytes = reader.one("dns.cache-size", "32", value::cache_size)?;
    let stale = reader.one("dns.stale-max", "86400", value::stale)?;
    let max_lag = reader.one("dns.max-lag", "7200", value::lag)?;
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
        max_ttl: reader.one("dns.max-ttl", "600", value::ttl)?,
        max_lag: Duration::from_secs(max_lag.into()),
        allow_private: reader.many("dns.allow-private", &[], "none", value::domain)?,
        ad_for_bns: reader.one("dns.ad-for-bns", "true", value::switch)?,
        access: reader.many("dns.access", &[], "this machine", value::access)?,
        rate_limit: reader.one("dns.rate-limit", "1000", value::rate)?,
        tls: (!tls.is_empty()).then(|| encrypted(tls)),
        https: (!https.is_empty()).then(|| encrypted(https)),
        https_hosts: reader.many("dns.https.hosts", &[], "localhost", value::host)?,
    })
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

fn settle_namespaces(
    reader: &mut Reader,
    profile: Profile,
) -> Result<BTreeMap<NamespaceId, Mode>, ConfigError> {
    let built_in: &[(&str, &str)] = match profile {
        Profile::Serve => &[],
        Profile::Demo => &[("id", "only")], // its chain is the only one that knows its names
    };
    let open = "id exact, other top-level domains off, the rest only";
    reader.namespaces(built_in, open)
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

#[cfg(test)]
mod tests;
