//! The table of all keys, with the variable, the shape and the meaning of each, and when a new value is obeyed.
//!
//! A new key is a row here, a field in `options.rs`, its built-in value in `settle.rs`, and where its values are of a
//! new type a parser in `value.rs`. `bnsd config show --reference` prints this table.

/// The shape of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
    /// A path; relative ones in the file start at the file's directory.
    Path,
    /// A list of texts; separated by commas in the environment.
    List,
    /// A list of paths; separated by commas in the environment.
    PathList,
    /// A section whose keys are free: `KEY = "VALUE"`; `KEY=VALUE,...` in the environment.
    Map,
    /// The same with lists: `"KEY" = ["VALUE", ...]`; `KEY=VALUE VALUE,...` in the environment.
    ListMap,
}

/// A key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// Its name with its section, as in `dns.max-ttl`.
    pub name: &'static str,
    /// The shape of its value.
    pub shape: Shape,
    /// When another value is obeyed.
    pub effect: Effect,
    /// What it does, in one sentence, with the unit of numbers and the possible texts.
    pub meaning: &'static str,
}

/// When a running daemon obeys another value of a key. What is obeyed at a reload is handed over in `daemon/reload.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// At the next reload.
    Reload,
    /// At the next start.
    Restart,
}

impl Shape {
    /// What kind of value is written, in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "whole number",
            Self::Switch => "true or false",
            Self::Path => "path",
            Self::List => "list of texts",
            Self::PathList => "list of paths",
            Self::Map => "section of texts",
            Self::ListMap => "section of lists",
        }
    }
}

impl Key {
    /// The environment variable that sets it: `BNSD_DNS_MAX_TTL` for `dns.max-ttl`, and `BNSD_LOG` for `log.level`.
    pub fn variable(&self) -> String {
        match self.name {
            "log.level" => "BNSD_LOG".to_owned(),
            name => format!("BNSD_{}", name.replace(['.', '-'], "_").to_uppercase()),
        }
    }

    /// The flag that sets it, if there is one.
    pub fn flag(&self) -> Option<&'static str> {
        match self.name {
            "data-dir" => Some("--data-dir"),
            "control-socket" => Some("--control-socket"),
            "listen" => Some("--listen"),
            "dns.upstreams" => Some("--upstream"),
            "user" => Some("--user"),
            "log.level" => Some("--log"),
            _ => None,
        }
    }
}

const fn key(name: &'static str, shape: Shape, effect: Effect, meaning: &'static str) -> Key {
    Key {
        name,
        shape,
        effect,
        meaning,
    }
}

/// Every key that there is, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    key(
        "data-dir",
        Shape::Path,
        Effect::Restart,
        "Directory of the database, the archive of zone files and everything else that the daemon keeps.",
    ),
    key(
        "control-socket",
        Shape::Path,
        Effect::Restart,
        "Unix socket on which the daemon is asked, mode 0600.",
    ),
    key(
        "listen",
        Shape::List,
        Effect::Restart,
        "Addresses on which DNS is served over UDP and TCP, each with its port.",
    ),
    key(
        "user",
        Shape::Text,
        Effect::Restart,
        "Who a daemon that root starts becomes when it has its sockets; its groups and the data directory too.",
    ),
    key(
        "sandbox",
        Shape::Switch,
        Effect::Restart,
        "Whether the daemon gives up all files but those that it needs, as far as the kernel can do that (Landlock).",
    ),
    key(
        "chain.source",
        Shape::Text,
        Effect::Restart,
        "Where blocks come from: none, bitcoind (RPC of a node), blockfiles (its block files), log (logs and Bitcoin peers, without a node), final (the imported last state of the main network) or dev (the embedded chain).",
    ),
    key(
        "chain.network",
        Shape::Text,
        Effect::Restart,
        "Whose rules and constants apply: mainnet (to its end at block 665749), mainnet-continued, regtest or dev.",
    ),
    key(
        "chain.network-file",
        Shape::Path,
        Effect::Restart,
        "Network file of a network of one's own, instead of chain.network; bnsd chain new-network writes one.",
    ),
    key(
        "chain.bitcoin",
        Shape::Text,
        Effect::Restart,
        "Which chain of Bitcoin carries the network of the file: main, testnet4, signet or regtest.",
    ),
    key(
        "chain.confirmations",
        Shape::Number,
        Effect::Restart,
        "How many blocks have to be on top of a block before it is indexed.",
    ),
    key(
        "chain.first-block",
        Shape::Number,
        Effect::Restart,
        "First height that is looked at for operations.",
    ),
    key(
        "chain.last-block",
        Shape::Number,
        Effect::Restart,
        "Last height that is looked at: a test network ends there, and names stand for ever as they stood.",
    ),
    key(
        "chain.undo-depth",
        Shape::Number,
        Effect::Restart,
        "How many blocks can be undone when the chain reorganises; each costs space in the database.",
    ),
    key(
        "chain.rpc-address",
        Shape::Text,
        Effect::Restart,
        "HOST:PORT of the node's RPC interface.",
    ),
    key(
        "chain.rpc-cookie",
        Shape::Path,
        Effect::Restart,
        "The node's cookie file, tried before user and password.",
    ),
    key(
        "chain.rpc-user",
        Shape::Text,
        Effect::Restart,
        "User of the node's RPC interface where the cookie is refused.",
    ),
    key(
        "chain.rpc-password-file",
        Shape::Path,
        Effect::Restart,
        "File with that user's password, for nobody else to read.",
    ),
    key(
        "chain.blocks-dir",
        Shape::Path,
        Effect::Restart,
        "Directory of the node's block files, for the source blockfiles.",
    ),
    key(
        "chain.logs",
        Shape::List,
        Effect::Restart,
        "Where logs are, for the source log: directories as /PATH, and https://HOST/FOLDER or http://HOST/FOLDER. One honest one is enough.",
    ),
    key(
        "chain.peers",
        Shape::List,
        Effect::Restart,
        "Bitcoin peers that the source log has headers and new blocks from: HOST[:PORT], seeds (whoever the network's seeds name) or none.",
    ),
    key(
        "chain.proxy",
        Shape::Text,
        Effect::Restart,
        "ADDRESS:PORT of a SOCKS5 proxy through which Bitcoin peers and logs are asked, such as Tor's 127.0.0.1:9050; it also resolves their names.",
    ),
    key(
        "chain.audit",
        Shape::Number,
        Effect::Restart,
        "How many old blocks a day are looked at whole, to find what every log left out.",
    ),
    key(
        "chain.pins",
        Shape::List,
        Effect::Restart,
        "HEIGHT:HASH, consensus hashes that the logs have to lead to.",
    ),
    key(
        "chain.publish",
        Shape::Path,
        Effect::Restart,
        "Directory in which the log is kept current, for others to follow.",
    ),
    key(
        "dns.upstreams",
        Shape::List,
        Effect::Reload,
        "Who answers for all other names: ADDRESS[:PORT], tls://NAME@ADDRESS or https://NAME/PATH; all plain or all encrypted.",
    ),
    key(
        "dns.routes",
        Shape::ListMap,
        Effect::Reload,
        "Other upstreams for a domain and all below it, whose private addresses are passed on.",
    ),
    key(
        "dns.bootstrap",
        Shape::List,
        Effect::Reload,
        "Plain resolvers that know the addresses of upstreams given by name.",
    ),
    key(
        "dns.ca-file",
        Shape::Path,
        Effect::Reload,
        "PEM file of authorities that encrypted upstreams may be vouched for by, besides the system's.",
    ),
    key(
        "dns.trust-ad",
        Shape::Switch,
        Effect::Reload,
        "Whether encrypted upstreams are believed when they call an answer validated.",
    ),
    key(
        "dns.validate",
        Shape::Switch,
        Effect::Reload,
        "Whether answers of upstreams are validated here, with DNSSEC.",
    ),
    key(
        "dns.trust-anchor",
        Shape::Path,
        Effect::Reload,
        "File of DNSKEY records to validate with.",
    ),
    key(
        "dns.cache-size",
        Shape::Number,
        Effect::Reload,
        "Memory for answers of upstreams, in MiB.",
    ),
    key(
        "dns.keep-cache",
        Shape::Switch,
        Effect::Reload,
        "Whether these answers are kept in a file over a restart, mode 0600.",
    ),
    key(
        "dns.stale-max",
        Shape::Number,
        Effect::Reload,
        "For how many seconds after their time answers still serve while upstreams fail; 0 for never.",
    ),
    key(
        "dns.hosts",
        Shape::Switch,
        Effect::Reload,
        "Whether names of /etc/hosts are answered from there.",
    ),
    key(
        "dns.max-ttl",
        Shape::Number,
        Effect::Reload,
        "Upper bound for the TTL of records from zone files, in seconds.",
    ),
    key(
        "dns.max-lag",
        Shape::Number,
        Effect::Reload,
        "By how many seconds the index may be behind before names of the chain are refused instead of answered.",
    ),
    key(
        "dns.allow-private",
        Shape::List,
        Effect::Reload,
        "Domains that may have private addresses, from zone files and from upstreams.",
    ),
    key(
        "dns.ad-for-bns",
        Shape::Switch,
        Effect::Reload,
        "Whether AD is set on answers from the chain, for clients that set AD or DO.",
    ),
    key(
        "dns.access",
        Shape::List,
        Effect::Reload,
        "Who may ask beside this machine: addresses or networks like 192.168.1.0/24.",
    ),
    key(
        "dns.rate-limit",
        Shape::Number,
        Effect::Reload,
        "Queries per second from each source beyond this machine.",
    ),
    key(
        "dns.tls.listen",
        Shape::List,
        Effect::Restart,
        "Addresses on which DNS over TLS is served, each with its port.",
    ),
    key(
        "dns.tls.certificate",
        Shape::Path,
        Effect::Restart,
        "PEM file with the certificate chain of DNS over TLS and HTTPS; needs dns.tls.key.",
    ),
    key(
        "dns.tls.key",
        Shape::Path,
        Effect::Restart,
        "PEM file with the private key of that certificate, for nobody else to read.",
    ),
    key(
        "dns.https.listen",
        Shape::List,
        Effect::Restart,
        "Addresses on which DNS over HTTPS is served, each with its port.",
    ),
    key(
        "dns.https.hosts",
        Shape::List,
        Effect::Restart,
        "Names by which DNS over HTTPS may be called.",
    ),
    key(
        "api.listen",
        Shape::List,
        Effect::Restart,
        "Addresses on which the HTTP API and the status page are served, each with its port, or none.",
    ),
    key(
        "api.hosts",
        Shape::List,
        Effect::Restart,
        "Names by which the HTTP API may be called.",
    ),
    key(
        "api.gateway",
        Shape::Text,
        Effect::Restart,
        "Address with its port on which names without an address are shown, as in 127.0.62.70:80; it stands for them in DNS, so nothing else may listen on it.",
    ),
    key(
        "tls.proxy",
        Shape::Text,
        Effect::Restart,
        "Address of loopback with its port of the proxy that checks servers of names for browsers; `bnsd tls proxy` tells how to use it.",
    ),
    key(
        "tls.users",
        Shape::List,
        Effect::Restart,
        "Users whose browsers are given certificates of names by `bnsd tls agent`, by name or number; `root` for the system's store.",
    ),
    key(
        "tls.own-keys",
        Shape::Switch,
        Effect::Restart,
        "Whether the pubkey:data: key of a name is pinned for HTTPS (TLSA 3 1 1) where nothing else is; few TLS libraries take secp256k1.",
    ),
    key(
        "namespaces",
        Shape::Map,
        Effect::Reload,
        "Who answers for a namespace that may also be a top-level domain: exact, only, legacy-first or off.",
    ),
    key(
        "names.index-max",
        Shape::Number,
        Effect::Restart,
        "Up to how many names of the chain are kept in memory, in about 55 bytes each, so that a first question needs no database; 0 for none.",
    ),
    key(
        "zonefiles.folders",
        Shape::PathList,
        Effect::Reload,
        "Directories in which a file is served as soon as the chain announces its hash.",
    ),
    key(
        "atlas.listen",
        Shape::List,
        Effect::Restart,
        "ADDRESS:PORT on which other nodes ask for zone files and bring them; none for nowhere. Others look for this node on port 6264.",
    ),
    key(
        "atlas.peers",
        Shape::List,
        Effect::Restart,
        "HOST:PORT of nodes that zone files are fetched from; they tell of others.",
    ),
    key(
        "atlas.allow",
        Shape::List,
        Effect::Restart,
        "Nodes that may have private addresses when others tell of them: HOST, HOST:PORT or a network.",
    ),
    key(
        "atlas.deny",
        Shape::List,
        Effect::Restart,
        "Nodes that are never asked, answered or told of: HOST, HOST:PORT or a network.",
    ),
    key(
        "atlas.namespaces",
        Shape::List,
        Effect::Restart,
        "Namespaces whose zone files are fetched.",
    ),
    key(
        "atlas.proxy",
        Shape::Text,
        Effect::Restart,
        "ADDRESS:PORT of a SOCKS5 proxy through which nodes are asked, such as Tor's 127.0.0.1:9050; it also resolves their names.",
    ),
    key(
        "atlas.backups",
        Shape::List,
        Effect::Restart,
        "Where every zone file is also kept, and read when no node has it: fs:/PATH, s3://BUCKET/FOLDER?region=R&secrets=/FILE (and endpoint=), webdav+https://HOST/FOLDER?secrets=/FILE, https://HOST/FOLDER (read only), dropbox:/FOLDER?secrets=/FILE, gdrive:/FOLDER?secrets=/FILE. The file of secrets has mode 0600.",
    ),
    key(
        "log.level",
        Shape::Text,
        Effect::Reload,
        "How much is logged: off, error, warn, info, debug or trace.",
    ),
    key(
        "log.format",
        Shape::Text,
        Effect::Reload,
        "How the log is written: text or json on the standard error, or journald for systemd's journal.",
    ),
    key(
        "log.queries",
        Shape::Switch,
        Effect::Reload,
        "Whether queries are logged, names included.",
    ),
];

/// Variables that the command line reads itself.
pub(super) const OTHER_VARIABLES: &[&str] = &[
    "BNSD_CONFIG",
    "BNSD_FEE_RATE",
    "BNSD_JSON",
    "BNSD_KEY",
    "BNSD_KEYS_DIR",
    "BNSD_MAX_FEE_RATE",
    "BNSD_NETWORK",
    "BNSD_PASSPHRASE_FILE",
    "BNSD_PAYER",
];

/// The row of a key, or of the section in which its name is free.
pub(super) fn row_of(key: &str) -> Option<usize> {
    KEYS.iter().position(|known| {
        let is_free = matches!(known.shape, Shape::Map | Shape::ListMap);
        known.name == key || is_free && key.starts_with(known.name)
    })
}

/// The key of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether any key stands in the section `name`.
pub(super) fn is_section(name: &str) -> bool {
    sections().any(|section| section == name)
}

/// The known key or section that is most like `name`, if one is alike enough to be meant.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    KEYS.iter()
        .map(|key| key.name)
        .chain(sections())
        .map(|known| (likeness(known, name), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// Jaro-Winkler similarity from which on a misspelling is supposed: `listn`, `maxttl` and `upstream` are
/// above it, unrelated words below.
const ALIKE: f64 = 0.84;

/// All sections; `dns.tls.listen` stands in two, `dns` and `dns.tls`.
fn sections() -> impl Iterator<Item = &'static str> {
    let names = KEYS.iter().map(|key| key.name);
    names.flat_map(|name| {
        let ends = name.match_indices('.');
        ends.filter_map(move |(end, _)| name.get(..end))
    })
}

/// `max-ttl` at the top level means `dns.max-ttl`, so the last parts count alone as well, a little less.
fn likeness(known: &str, asked: &str) -> f64 {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let alone = strsim::jaro_winkler(&last(known), &last(asked)) - 0.01;
    strsim::jaro_winkler(known, asked).max(alone)
}
