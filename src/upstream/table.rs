//! How to forward, as the configuration says it, and who is asked for which names: the longest route that a name is in, or
//! everybody's upstreams.
//!
//! Both together are [`Terms`]. Other ones can be put in force at any time: a question keeps to those that it began with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::Name as DnsName;

use super::anchors::Anchors;
use super::config::UpstreamConfig;
use super::group::Group;
use super::tls::{Authorities, Tls, TlsError};
use crate::resolver::Policy;

/// Most questions that are out at the same time. Each has a task and a socket: about 8 KB, and a descriptor.
pub const QUESTIONS_MAX: usize = 2_000;

/// How to forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardOptions {
    /// Who is asked.
    pub upstreams: Vec<UpstreamConfig>,
    /// Whether these are the system's resolvers, and change with them.
    pub follows_system: bool,
    /// Who is asked instead at and below a name, in lower case.
    pub routes: Vec<(DnsName, Vec<UpstreamConfig>)>,
    /// Who is asked for the addresses of upstreams that are known by name.
    pub bootstrap: Vec<SocketAddr>,
    /// Authorities that are trusted besides the system's.
    pub authorities: Option<Authorities>,
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
            follows_system: false,
            routes: Vec::new(),
            bootstrap: Vec::new(),
            authorities: None,
            cache_bytes: 32 << 20,
            questions_max: QUESTIONS_MAX,
            stale_max: Duration::from_secs(86_400),
            trust_ad: false,
            anchors: None,
        }
    }
}

/// What is in force for the questions that begin at a time.
#[derive(Clone)]
pub struct Terms {
    /// Tells ways of forwarding apart: each later one has the next number.
    pub(super) number: u64,
    /// How to forward.
    pub(super) options: ForwardOptions,
    /// Who is asked for what.
    pub(super) table: Arc<Table>,
    /// What encrypted upstreams have to prove.
    pub(super) tls: Arc<Tls>,
    /// Who answers for which name, on what terms.
    pub policy: Arc<Policy>,
}

impl Terms {
    /// Terms that follow those `before`, whose policy they keep and whose connections to unchanged upstreams.
    pub(super) fn new(options: ForwardOptions, before: Option<&Self>) -> Result<Self, TlsError> {
        let tls = Tls::new(options.authorities.as_ref());
        let is_reached_alike = |before: &&Self| {
            before.options.bootstrap == options.bootstrap
                && before.options.authorities == options.authorities
        };
        let table = Table::new(&options, &tls, before.filter(is_reached_alike))?;
        Ok(Self {
            number: before.map_or(0, |before| before.number + 1),
            options,
            table: Arc::new(table),
            tls: Arc::new(tls),
            policy: before
                .map(|before| Arc::clone(&before.policy))
                .unwrap_or_default(),
        })
    }

    /// Whether a route covers a name. Such a name is forwarded even if it is special-use.
    pub fn has_route(&self, name: &DnsName) -> bool {
        self.table.has_route(name)
    }

    /// Whether what was said about a name under the terms `before` still holds: the same upstreams are asked and believed.
    pub(super) fn keep(&self, name: &DnsName, before: &Self) -> bool {
        let (ours, theirs) = (&self.options, &before.options);
        (&ours.anchors, &ours.authorities) == (&theirs.anchors, &theirs.authorities)
            && (self.table.group(name)).has_upstreams_of(before.table.group(name))
    }
}

/// Who is asked for what.
pub struct Table {
    /// Those who are asked where no route says otherwise.
    pub all: Arc<Group>,
    routes: Vec<(DnsName, Arc<Group>)>,
}

impl Table {
    /// The upstreams of the options. A group of `before` with the same ones is taken over; nobody else is connected to yet.
    fn new(options: &ForwardOptions, tls: &Tls, before: Option<&Terms>) -> Result<Self, TlsError> {
        let known = || before.into_iter().flat_map(|before| before.table.groups());
        let group = |configs: &[UpstreamConfig]| match known().find(|group| group.is_of(configs)) {
            Some(group) => Ok(Arc::clone(group)),
            None => Group::new(configs, tls, &options.bootstrap).map(Arc::new),
        };
        let routes = options.routes.iter();
        let routes = routes.map(|(zone, configs)| Ok((zone.clone(), group(configs)?)));
        Ok(Self {
            all: group(&options.upstreams)?,
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
