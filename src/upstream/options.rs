//! How to forward: what the configuration says about upstreams.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hickory_proto::rr::Name as DnsName;

use super::anchors::Anchors;
use super::upstream::UpstreamConfig;

/// How to forward.
#[derive(Debug, Clone)]
pub struct ForwardOptions {
    /// Who is asked.
    pub upstreams: Vec<UpstreamConfig>,
    /// Who is asked instead at and below a name, in lower case.
    pub routes: Vec<(DnsName, Vec<UpstreamConfig>)>,
    /// Who is asked for the addresses of upstreams that are known by name.
    pub bootstrap: Vec<SocketAddr>,
    /// Authorities that are trusted besides the system's, in a PEM file.
    pub ca_file: Option<PathBuf>,
    /// Most bytes that responses may occupy.
    pub cache_bytes: usize,
    /// How long after its time a response may still be used when upstreams fail; zero for never.
    pub stale_max: Duration,
    /// Whether encrypted upstreams are believed when they say that a response is validated.
    pub trust_ad: bool,
    /// The keys that responses are validated with; `None` if they are not validated.
    pub anchors: Option<Anchors>,
}

impl Default for ForwardOptions {
    fn default() -> Self {
        Self {
            upstreams: Vec::new(),
            routes: Vec::new(),
            bootstrap: Vec::new(),
            ca_file: None,
            cache_bytes: 32 << 20,
            stale_max: Duration::from_secs(86_400),
            trust_ad: false,
            anchors: None,
        }
    }
}
