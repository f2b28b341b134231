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
    /// The shape of its value.
    pub shape: Shape,
}

impl Key {
    /// The environment variable that sets it: `BNSD_DNS_MAX_TTL` for `dns.max-ttl`, and `BNSD_LOG` for `log.level`.
    pub fn variable(&self) -> String {
        match self.name {
            "log.level" => "BNSD_LOG".to_owned(),
            name => format!("BNSD_{}", name.replace(['.', '-'], "_").to_uppercase()),
        }
    }
}

const fn key(name: &'static str, shape: Shape) -> Key {
    Key { name, shape }
}

/// Every key that there is, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    key("data-dir", Shape::Path),
    key("control-socket", Shape::Path),
    key("listen", Shape::List),
    key("chain.source", Shape::Text),
    key("chain.network", Shape::Text),
    key("chain.confirmations", Shape::Number),
    key("chain.first-block", Shape::Number),
    key("chain.undo-depth", Shape::Number),
    key("chain.rpc-address", Shape::Text),
    key("chain.rpc-cookie", Shape::Path),
    key("chain.rpc-user", Shape::Text),
    key("chain.rpc-password-file", Shape::Path),
    key("chain.blocks-dir", Shape::Path),
    key("dns.upstreams", Shape::List),
    key("dns.routes", Shape::ListMap),
    key("dns.bootstrap", Shape::List),
    key("dns.ca-file", Shape::Path),
    key("dns.trust-ad", Shape::Switch),
    key("dns.validate", Shape::Switch),
    key("dns.trust-anchor", Shape::Path),
    key("dns.cache-size", Shape::Number),
    key("dns.keep-cache", Shape::Switch),
    key("dns.stale-max", Shape::Number),
    key("dns.hosts", Shape::Switch),
    key("dns.max-ttl", Shape::Number),
    key("dns.max-lag", Shape::Number),
    key("dns.allow-private", Shape::List),
    key("dns.ad-for-bns", Shape::Switch),
    key("dns.access", Shape::List),
    key("dns.rate-limit", Shape::Number),
    key("dns.tls.listen", Shape::List),
    key("dns.tls.certificate", Shape::Path),
    key("dns.tls.key", Shape::Path),
    key("dns.https.listen", Shape::List),
    key("dns.https.hosts", Shape::List),
    key("namespaces", Shape::Map),
    key("zonefiles.folders", Shape::PathList),
    key("log.level", Shape::Text),
    key("log.queries", Shape::Switch),
];

/// Variables that the command line reads itself.
pub(super) const OTHER_VARIABLES: &[&str] = &[
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
