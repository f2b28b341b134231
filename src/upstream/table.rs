//! How to forward, as the configuration says it, and who is asked for which names: the longest route that a name is in, or
//! everybody's upstreams.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::Name as DnsName;

use super::anchors::Anchors;
use super::config::UpstreamConfig;
use super::group::Group;
use super::tls::{Tls, TlsError};

/// Most questions that are out at the same time. Each has a task and a socket: about 8 KB, and a descriptor.
pub const QUESTIONS_MAX: usize = 2_000;

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
    /// Most questions that are out at the same time; each may need a descriptor.
    pub questions_max: usize,
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
            questions_max: QUESTIONS_MAX,
            stale_max: Duration::from_secs(86_400),
            trust_ad: false,
            anchors: None,
        }
    }
}

/// Who is asked for what.
pub struct Table {
    /// Those who are asked where no route says otherwise.
    pub all: Arc<Group>,
    routes: Vec<(DnsName, Arc<Group>)>,
}

impl Table {
    /// `upstreams`, and the routes of the options beside them. Nobody is connected to yet.
    pub fn new(
        options: &ForwardOptions,
        upstreams: &[UpstreamConfig],
        tls: &Tls,
    ) -> Result<Self, TlsError> {
        let group = |configs| Group::new(configs, tls, &options.bootstrap).map(Arc::new);
        let routes = options.routes.iter();
        let routes = routes.map(|(zone, configs)| Ok((zone.clone(), group(configs)?)));
        Ok(Self {
            all: group(upstreams)?,
            routes: routes.collect::<Result<_, _>>()?,
        })
    }

    /// The group of the longest route that a name is in.
    pub fn group(&self, name: &DnsName) -> &Arc<Group> {
        self.routes
            .iter()
            .filter(|(zone, _)| zone.zone_of(name))
            .max_by_key(|(zone, _)| zone.num_labels())
            .map_or(&self.all, |(_, group)| group)
    }

    /// All groups.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        std::iter::once(&self.all).chain(self.routes.iter().map(|(_, group)| group))
    }

    /// Whether a name is in a route.
    pub fn has_route(&self, name: &DnsName) -> bool {
        self.routes.iter().any(|(zone, _)| zone.zone_of(name))
    }
}
