//! The configuration as types: a struct for each section, an enum for each choice.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hickory_proto::rr;

use super::place;
use super::setting::Setting;
use crate::api::http;
use crate::atlas;
use crate::bns::address::AddressVersions;
use crate::bns::name::NamespaceId;
use crate::bns::network::Network;
use crate::bns::network_file::NetworkFile;
use crate::chain::SourceKind;
use crate::dns::{Encrypted, QueryLog};
use crate::hash::ConsensusHash;
use crate::log::LogOptions;
use crate::resolver::Mode;
use crate::subnet::Subnet;
use crate::tlsa::OwnKeys;
use crate::upstream::UpstreamConfig;

/// Everything that can be set, parsed and checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the daemon keeps its database and its archive of zone files; absolute.
    pub data_dir: PathBuf,
    /// The unix socket on which the daemon answers `lookup`, `explain` and `status`; absolute.
    pub control_socket: PathBuf,
    /// Where DNS is served, over UDP and TCP; never empty.
    pub listen: Vec<SocketAddr>,
    /// Who root becomes when it has bound the sockets; `None` for the user `bnsd` if there is one.
    pub user: Option<String>,
    /// Whether the daemon gives up all files but those that it needs.
    pub sandbox: bool,
    /// The chain that carries the names.
    pub chain: ChainConfig,
    /// How questions are answered.
    pub dns: DnsConfig,
    /// Where the state is shown over HTTP.
    pub api: http::Options,
    /// Certificates of names for programs of this machine.
    pub tls: TlsConfig,
    /// What happens where a namespace may also be a top-level domain; namespaces not listed have the mode
    /// that the resolver chooses.
    pub namespaces: BTreeMap<NamespaceId, Mode>,
    /// How names are kept in memory.
    pub names: NamesConfig,
    /// Zone files that are watched for.
    pub zonefiles: ZonefilesConfig,
    /// Where zone files come from and go to.
    pub atlas: atlas::Options,
    /// How much is logged, and how.
    pub log: LogOptions,
    /// Whether queries are logged, names included.
    pub log_queries: QueryLog,
    /// The configuration file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// Every key with its value as text and where it came from, in the order of [`super::key::KEYS`].
    pub settings: Vec<Setting>,
    /// What is allowed but probably not meant, one sentence each.
    pub warnings: Vec<String>,
}

/// Section `[chain]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainConfig {
    /// Where blocks come from.
    pub source: SourceKind,
    /// Which network's rules and constants apply.
    pub network: Network,
    /// The constants of a network of one's own; `None` for one that is built in.
    pub network_file: Option<NetworkFile>,
    /// The chain of Bitcoin that carries it.
    pub bitcoin: BitcoinChain,
    /// How many blocks must be on top of a block before it is indexed.
    pub confirmations: u32,
    /// First height to look at; `None` for the network's own.
    pub first_block: Option<u32>,
    /// Last height to look at, where the network ends; `None` for the network's own end, if it has one.
    pub last_block: Option<u32>,
    /// How many blocks can be undone when the chain reorganises.
    pub undo_depth: u32,
    /// The node of the sources `bitcoind` and `blockfiles`.
    pub node: NodeConfig,
    /// What the source `log` follows.
    pub light: LightConfig,
    /// Where the log is published, absolute; `None` for nowhere.
    pub publish: Option<PathBuf>,
}

/// A chain without a node, in section `[chain]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LightConfig {
    /// Absolute directories and URLs of logs.
    pub logs: Vec<String>,
    /// Who is asked for headers and blocks.
    pub peers: BitcoinPeers,
    /// The SOCKS5 proxy through which everybody is asked.
    pub proxy: Option<SocketAddr>,
    /// Old blocks a day that are looked at whole.
    pub audit: u32,
    /// Consensus hashes that the logs have to lead to, with their heights.
    pub pins: Vec<(u32, ConsensusHash)>,
}

/// Which Bitcoin peers are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BitcoinPeers {
    /// Those that the network's seeds name.
    Seeds,
    /// These, as HOST or HOST:PORT.
    Given(Vec<String>),
    /// Nobody.
    None,
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
    pub access: Vec<Subnet>,
    /// Queries per second from each source beyond this machine.
    pub rate_limit: u32,
    /// DNS over TLS.
    pub tls: Option<Encrypted>,
    /// DNS over HTTPS.
    pub https: Option<Encrypted>,
    /// Names by which DNS over HTTPS may be called.
    pub https_hosts: Vec<String>,
}

/// Section `[tls]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Where the proxy is; `None` for nowhere.
    pub proxy: Option<SocketAddr>,
    /// Users whose agents are served, by name or number; empty for nobody.
    pub users: Vec<String>,
    /// What becomes of the data keys of names.
    pub own_keys: OwnKeys,
}

/// Section `[names]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamesConfig {
    /// Most names whose state is kept in memory; 0 for none.
    pub index_max: u32,
}

/// Section `[zonefiles]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZonefilesConfig {
    /// Directories in which files are served as soon as the chain announces their hash; absolute.
    pub folders: Vec<PathBuf>,
}

/// A chain of Bitcoin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BitcoinChain {
    /// The chain whose coins are money.
    Main,
    /// The fourth public test chain (BIP 94).
    Testnet4,
    /// The test chain whose blocks are signed (BIP 325).
    Signet,
    /// A private test chain.
    Regtest,
}

impl BitcoinChain {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Main, Self::Testnet4, Self::Signet, Self::Regtest];

    /// The `bitcoin` crate's name for it.
    pub fn network(self) -> bitcoin::Network {
        match self {
            Self::Main => bitcoin::Network::Bitcoin,
            Self::Testnet4 => bitcoin::Network::Testnet4,
            Self::Signet => bitcoin::Network::Signet,
            Self::Regtest => bitcoin::Network::Regtest,
        }
    }

    /// Where Bitcoin Core serves RPC for it unless it is told otherwise (chainparamsbase.cpp).
    pub fn rpc_address(self) -> &'static str {
        match self {
            Self::Main => "127.0.0.1:8332",
            Self::Testnet4 => "127.0.0.1:48332",
            Self::Signet => "127.0.0.1:38332",
            Self::Regtest => "127.0.0.1:18443",
        }
    }

    /// The cookie file that Bitcoin Core writes for it, in the home of the user who runs us.
    pub fn rpc_cookie(self) -> Option<PathBuf> {
        Some(place::bitcoin_core(self)?.join(".cookie"))
    }

    /// Version bytes of its addresses.
    pub fn addresses(self) -> AddressVersions {
        match self {
            Self::Main => AddressVersions::MAINNET,
            Self::Testnet4 | Self::Signet | Self::Regtest => AddressVersions::TESTNET,
        }
    }
}

impl fmt::Display for BitcoinChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Main => "main",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        })
    }
}
