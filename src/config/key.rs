//! The table of all keys, with the variable and the shape of each.
//!
//! A new key is a row here, a field in `options.rs`, its built-in value in `settle.rs`, and where its values are of a
//! new type a parser in `value.rs`.

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
    /// The environment variable that sets it.
    pub variable: &'static str,
    /// The shape of its value.
    pub shape: Shape,
}

const fn key(name: &'static str, variable: &'static str, shape: Shape) -> Key {
    Key {
        name,
        variable,
        shape,
    }
}

/// Every key that there is, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    key("data-dir", "BNSD_DATA_DIR", Shape::Path),
    key("control-socket", "BNSD_CONTROL_SOCKET", Shape::Path),
    key("listen", "BNSD_LISTEN", Shape::List),
    key("chain.source", "BNSD_CHAIN_SOURCE", Shape::Text),
    key("chain.network", "BNSD_CHAIN_NETWORK", Shape::Text),
    key(
        "chain.confirmations",
        "BNSD_CHAIN_CONFIRMATIONS",
        Shape::Number,
    ),
    key("chain.first-block", "BNSD_CHAIN_FIRST_BLOCK", Shape::Number),
    key("chain.undo-depth", "BNSD_CHAIN_UNDO_DEPTH", Shape::Number),
    key("chain.rpc-address", "BNSD_CHAIN_RPC_ADDRESS", Shape::Text),
    key("chain.rpc-cookie", "BNSD_CHAIN_RPC_COOKIE", Shape::Path),
    key("chain.rpc-user", "BNSD_CHAIN_RPC_USER", Shape::Text),
    key(
        "chain.rpc-password-file",
        "BNSD_CHAIN_RPC_PASSWORD_FILE",
        Shape::Path,
    ),
    key("chain.blocks-dir", "BNSD_CHAIN_BLOCKS_DIR", Shape::Path),
    key("dns.upstreams", "BNSD_DNS_UPSTREAMS", Shape::List),
    key("dns.routes", "BNSD_DNS_ROUTES", Shape::ListMap),
    key("dns.bootstrap", "BNSD_DNS_BOOTSTRAP", Shape::List),
    key("dns.ca-file", "BNSD_DNS_CA_FILE", Shape::Path),
    key("dns.trust-ad", "BNSD_DNS_TRUST_AD", Shape::Switch),
    key("dns.validate", "BNSD_DNS_VALIDATE", Shape::Switch),
    key("dns.trust-anchor", "BNSD_DNS_TRUST_ANCHOR", Shape::Path),
    key("dns.cache-size", "BNSD_DNS_CACHE_SIZE", Shape::Number),
    key("dns.keep-cache", "BNSD_DNS_KEEP_CACHE", Shape::Switch),
    key("dns.stale-max", "BNSD_DNS_STALE_MAX", Shape::Number),
    key("dns.hosts", "BNSD_DNS_HOSTS", Shape::Switch),
    key("dns.max-ttl", "BNSD_DNS_MAX_TTL", Shape::Number),
    key("dns.max-lag", "BNSD_DNS_MAX_LAG", Shape::Number),
    key("dns.allow-private", "BNSD_DNS_ALLOW_PRIVATE", Shape::List),
    key("dns.ad-for-bns", "BNSD_DNS_AD_FOR_BNS", Shape::Switch),
    key("dns.access", "BNSD_DNS_ACCESS", Shape::List),
    key("dns.rate-limit", "BNSD_DNS_RATE_LIMIT", Shape::Number),
    key("dns.tls.listen", "BNSD_DNS_TLS_LISTEN", Shape::List),
    key(
        "dns.tls.certificate",
        "BNSD_DNS_TLS_CERTIFICATE",
        Shape::Path,
    ),
    key("dns.tls.key", "BNSD_DNS_TLS_KEY", Shape::Path),
    key("dns.https.listen", "BNSD_DNS_HTTPS_LISTEN", Shape::List),
    key("dns.https.hosts", "BNSD_DNS_HTTPS_HOSTS", Shape::List),
    key("namespaces", "BNSD_NAMESPACES", Shape::Map),
    key(
        "zonefiles.folders",
        "BNSD_ZONEFILES_FOLDERS",
        Shape::PathList,
    ),
    key("log.level", "BNSD_LOG", Shape::Text),
    key("log.queries", "BNSD_LOG_QUERIES", Shape::Switch),
];

/// Variables that the command line reads itself.
pub const OTHER_VARIABLES: &[&str] = &[
    "BNSD_CONFIG",
    "BNSD_JSON",
    "BNSD_KEYS_DIR",
    "BNSD_PASSPHRASE_FILE",
];

/// The key of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether any key stands in the section `name`.
pub fn is_section(name: &str) -> bool {
    sections().any(|section| section == name)
}

/// The known key or section that is most like `name`, if one is alike enough to be meant.
pub fn nearest(name: &str) -> Option<&'static str> {
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
