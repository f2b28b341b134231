//! Upstreams and what is kept of their answers: who answers what is not ours.
//!
//! ```text
//!                 cached: in date ----------------------------------> answer
//! Ask --> Forwarder --> failed lately ------------------------------> failure, or out-of-date answer
//!                 \--> in flight already ---\
//!                  \-> route -> group -> upstream over UDP, TCP, TLS, HTTPS --> judged --> kept --> answer
//!                                            after 1.8 s, an out-of-date answer goes first
//! ```
//!
//! Messages are never decoded on this way: what an upstream says is judged, kept and passed on as bytes
//! ([`crate::wire`], [`message`], [`entry`]), so that unknown types and DNSSEC records pass unharmed. Everything that an
//! upstream can do wrong ends in one [`ForwardError`]; what it did wrong with one packet only prolongs the wait
//! ([`transport`]).
//!
//! Whether a name is ours is decided before anybody asks here, every time, so nothing that is kept here can
//! stand in for a name of the chain. Names that are asked for are never logged.
//!
//! Follows RFC 2308 (negative answers), RFC 5452 (forgery), RFC 8020, RFC 8767 (serve-stale), RFC 9520 (failures).

mod address;
mod ask;
mod cache;
mod connect;
mod entry;
mod error;
mod failure;
mod file;
mod flight;
mod group;
mod health;
mod https;
mod link;
mod message;
mod portal;
mod probe;
mod random;
pub mod rebind;
mod response;
mod system;
mod tls;
mod transport;
mod upstream;
mod validate;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use hickory_proto::rr::Name as DnsName;

pub use ask::{Ask, NxdomainCut, split_key};
pub use cache::Cache;
pub use entry::{Channel, Entry, Kind, Stamp};
pub use error::ForwardError;
pub use file::FileError;
pub use portal::PortalReport;
pub use response::Response;
pub use system::{Watch, is_ours, system_upstreams};
pub use tls::TlsError;
pub use upstream::{Identity, Method, Place, Secured, UpstreamConfig};
pub use validate::{AnchorError, Anchors};

use crate::clock::Clock;
use crate::resolver::Policy;
use cache::Fit;
use entry::STALE_TTL;
use failure::Failures;
use flight::{Flights, Outcome};
use group::{Group, TRIES};
use link::{Budget, Upstream};
use message::Judged;
use portal::Portal;
use probe::Probes;
use tls::Tls;

/// How long an upstream may take before an answer that is out of date goes out (RFC 8767 §5).
const STALE_AFTER: Duration = Duration::from_millis(1800);
/// Packets that all questions of one chain of aliases may cost together (conformance, hostile input).
pub const CHAIN_PACKETS: u8 = 32;

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
    /// Most bytes that answers may occupy.
    pub cache_bytes: usize,
    /// How long after its time an answer may still be used when upstreams fail; zero for never.
    pub stale_max: Duration,
    /// Whether encrypted upstreams are believed when they say that an answer is validated.
    pub trust_ad: bool,
    /// What answers are validated with here; `None` if they are not.
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

/// Asks upstreams, and remembers.
pub struct Forwarder {
    options: ForwardOptions,
    tls: Tls,
    table: ArcSwap<Table>,
    cache: Cache,
    failures: Failures,
    flights: Flights,
    probes: Probes,
    portal: Portal,
    /// Tells whose a name is that an upstream brings up.
    policy: ArcSwap<Policy>,
    clock: Arc<dyn Clock>,
}

/// Who is asked for what.
#[derive(Default)]
struct Table {
    all: Arc<Group>,
    routes: Vec<(DnsName, Arc<Group>)>,
}

impl Table {
    /// The group of the longest route that a name is in.
    fn group(&self, name: &DnsName) -> &Arc<Group> {
        self.routes
            .iter()
            .filter(|(zone, _)| zone.zone_of(name))
            .max_by_key(|(zone, _)| zone.num_labels())
            .map_or(&self.all, |(_, group)| group)
    }

    fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        std::iter::once(&self.all).chain(self.routes.iter().map(|(_, group)| group))
    }
}

impl Forwarder {
    /// A forwarder that has not asked anybody yet.
    pub fn new(options: ForwardOptions, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let tls = Tls::new(options.ca_file.as_deref())?;
        let cache = Cache::new(options.cache_bytes);
        let forwarder = Self {
            tls,
            table: ArcSwap::default(),
            cache,
            failures: Failures::default(),
            flights: Flights::default(),
            probes: Probes::default(),
            portal: Portal::default(),
            policy: ArcSwap::default(),
            clock,
            options,
        };
        forwarder.set_table(&forwarder.options.upstreams)?;
        Ok(forwarder)
    }

    /// An answer that is at hand and in date: for the loop that read the query, without a task. Asks again in
    /// the background for an answer that is nearly out of date; that needs to be inside of a tokio runtime.
    pub fn cached(self: &Arc<Self>, ask: &Ask) -> Option<Response> {
        let now = self.now();
        if self.way_through_portal(ask).is_some() {
            return None;
        }
        let found = self
            .cache
            .find(ask)
            .filter(|found| found.entry.remaining(now) > 0)
            .or_else(|| self.cache.find_cut(ask, now))?;
        if found.fit == Fit::Own && found.entry.take_refresh(now) {
            self.refresh(ask.clone(), &found.entry);
        }
        Some(Response::fresh(&found, now, self.believes(&found.entry)))
    }

    /// Writes an answer that [`Response::kept`] gave, without OPT, as long as that needs no look into the cache. AD is
    /// left out where it is not due.
    pub fn write_kept(
        &self,
        entry: &Entry,
        stamp: Stamp<'_>,
        now: Duration,
        out: &mut Vec<u8>,
    ) -> bool {
        if self.portal.is_open(now) || !entry.is_settled(now) {
            return false;
        }
        entry.write(stamp.without_ad_unless(self.believes(entry)), now, out);
        true
    }

    /// The answer to a question, at hand or from upstreams. `packets` is what it may cost, and is lowered by
    /// what it did.
    pub async fn ask(
        self: &Arc<Self>,
        ask: &Ask,
        packets: &mut u8,
    ) -> Result<Response, ForwardError> {
        if let Some(response) = self.cached(ask) {
            return Ok(response);
        }
        let mut stale = None;
        if self.way_through_portal(ask).is_none() {
            stale = self.stale(ask);
            if let Some(error) = self.failures.find(&ask.key(), self.now()) {
                let error = ForwardError::Cached(Box::new(error));
                return stale.ok_or(error);
            }
        }
        let flight = self.fly(ask, *packets);
        let landed = flight.land();
        let outcome = match &stale {
            None => Some(landed.await),
            Some(_) => tokio::time::timeout(STALE_AFTER, landed).await.ok(),
        };
        match (outcome, stale) {
            (Some(Ok(landed)), _) => {
                *packets = packets.saturating_sub(landed.packets);
                let entry = landed.entry;
                let found = cache::Found {
                    entry,
                    fit: Fit::Own,
                };
                Ok(Response::fresh(
                    &found,
                    self.now(),
                    self.believes(&found.entry),
                ))
            }
            (_, Some(stale)) => Ok(stale),
            (Some(Err(error)), None) => {
                *packets = packets.saturating_sub(TRIES);
                Err(error)
            }
            (None, None) => Err(ForwardError::Timeout),
        }
    }

    /// Whether a question is our own, sent to find out whether upstreams lead back to us.
    pub fn is_own_probe(&self, name: &DnsName) -> bool {
        self.probes.recognises(name)
    }

    /// Whether somebody was named for this name in particular, which then is forwarded even if it is special.
    pub fn has_route(&self, name: &DnsName) -> bool {
        let table = self.table.load();
        table.routes.iter().any(|(zone, _)| zone.zone_of(name))
    }

    /// The upstreams that are asked where no route says otherwise.
    pub fn upstreams(&self) -> Vec<UpstreamConfig> {
        let table = self.table.load();
        let all = table.all.upstreams().iter();
        all.map(|upstream| upstream.config().clone()).collect()
    }

    /// One line about each upstream, for people.
    pub fn describe(&self) -> Vec<String> {
        let table = self.table.load();
        let all = table.all.upstreams().iter();
        all.map(describe).collect()
    }

    /// Puts other upstreams in force. What was kept belongs to the network that was, and goes.
    pub fn set_upstreams(&self, upstreams: &[UpstreamConfig]) -> Result<(), TlsError> {
        self.set_table(upstreams)?;
        self.cache.flush(None);
        self.failures.clear();
        self.close_portal();
        Ok(())
    }

    /// Lets the network's own `resolvers` answer for `time`, so that its login page can be reached.
    pub fn open_portal(&self, resolvers: &[SocketAddr], time: Duration) -> Result<(), TlsError> {
        let configs: Vec<_> = resolvers
            .iter()
            .map(|&at| UpstreamConfig::Plain(at))
            .collect();
        let group = self.group(&configs)?;
        self.portal
            .open(group, resolvers.to_vec(), self.now() + time);
        Ok(())
    }

    /// Ends that; whether there was anything to end.
    pub fn close_portal(&self) -> bool {
        self.portal.close(self.now())
    }

    /// Who answers in this way, and for how long; `None` if nobody does.
    pub fn portal(&self) -> Option<PortalReport> {
        self.portal.report(self.now())
    }

    /// The network may be another one, as after a suspension: connections, health and failures are forgotten.
    pub async fn reset(&self) {
        self.failures.clear();
        self.close_portal();
        let table = self.table.load_full();
        for group in table.groups() {
            group.reset().await;
        }
    }

    /// What is kept.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Time on the daemon's clock.
    pub fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Puts the policy in force that tells whose a name is. Names that may be the chain's are not asked for when an
    /// upstream's response leads to them.
    pub fn set_policy(&self, policy: Arc<Policy>) {
        self.policy.store(policy);
    }

    /// Forgets all answers, or those at and below a name; gives their number.
    pub fn flush(&self, name: Option<&DnsName>) -> usize {
        self.failures.clear();
        let wire = name.map(ask::wire_name);
        self.cache.flush(wire.as_deref())
    }

    fn set_table(&self, upstreams: &[UpstreamConfig]) -> Result<(), TlsError> {
        let routes = self.options.routes.iter();
        let routes = routes.map(|(zone, configs)| Ok((zone.clone(), self.group(configs)?.into())));
        let table = Table {
            all: self.group(upstreams)?.into(),
            routes: routes.collect::<Result<_, TlsError>>()?,
        };
        self.table.store(Arc::new(table));
        Ok(())
    }

    fn group(&self, configs: &[UpstreamConfig]) -> Result<Group, TlsError> {
        let make = |config| Upstream::new(config, &self.tls, &self.options.bootstrap);
        let upstreams = configs.iter().map(make).collect::<Result<_, _>>()?;
        Ok(Group::new(upstreams))
    }

    /// Who is asked instead of the upstreams while a captive portal is let through.
    fn way_through_portal(&self, ask: &Ask) -> Option<Arc<Group>> {
        let way = self.portal.way(ask, self.now())?;
        (!self.has_route(&ask.question.name)).then_some(way)
    }

    fn believes(&self, entry: &Entry) -> bool {
        let is_believed = match entry.channel() {
            Channel::Validated => true,
            Channel::Authenticated => self.options.trust_ad,
            Channel::Plain | Channel::Portal => false,
        };
        is_believed && entry.is_authentic()
    }

    /// An answer that is out of date and may still serve.
    fn stale(&self, ask: &Ask) -> Option<Response> {
        let now = self.now();
        let found = self.cache.find(ask)?;
        let past = found.entry.age(now).saturating_sub(found.entry.lifetime());
        let usable = Duration::from_secs(past.into()) < self.options.stale_max;
        usable.then(|| Response::stale(&found, now))
    }

    /// Joins the question that is out already, or sends it.
    fn fly(self: &Arc<Self>, ask: &Ask, packets: u8) -> flight::Flight {
        let (flight, pilot) = self.flights.join(ask.key());
        match pilot {
            Some(pilot) => {
                let (forwarder, ask) = (Arc::clone(self), ask.clone());
                tokio::spawn(async move {
                    let outcome = forwarder.resolve(&ask, packets.min(TRIES)).await;
                    pilot.land(outcome);
                });
            }
            None => self.suspect(ask),
        }
        flight
    }

    /// Asks, and keeps what comes of it.
    async fn resolve(self: &Arc<Self>, ask: &Ask, packets: u8) -> Outcome {
        let mut budget = Budget(packets);
        if let Some(portal) = self.way_through_portal(ask) {
            // At the end of its time at once, so that nobody keeps it.
            let answered = portal.ask(ask, &mut budget).await?;
            let entry = self.read(&answered.judged, u32::MAX, Channel::Portal)?;
            return Ok(landed(entry, packets - budget.0));
        }
        let entry = match self.anchors(ask) {
            Some(anchors) => {
                let judged = validate::ask(self, anchors, ask).await;
                judged.and_then(|judged| self.read(&judged, 0, Channel::Validated))
            }
            None => self.resolve_as_said(ask, &mut budget).await,
        };
        match entry {
            Ok(entry) => {
                let landed = landed(entry, packets - budget.0);
                self.failures.forget(&ask.key());
                self.cache.insert(ask, &landed.entry);
                Ok(landed)
            }
            Err(error) => {
                self.failures.note(ask.key(), error.clone(), self.now());
                Err(error)
            }
        }
    }

    /// Takes an upstream at its word.
    async fn resolve_as_said(&self, ask: &Ask, budget: &mut Budget) -> Result<Entry, ForwardError> {
        let group = Arc::clone(self.table.load().group(&ask.question.name));
        let answered = group.ask(ask, budget).await?;
        self.read(&answered.judged, answered.age, answered.channel)
    }

    /// What the answer to a question is validated with, if it is.
    fn anchors(&self, ask: &Ask) -> Option<&Anchors> {
        let anchors = self.options.anchors.as_ref()?;
        let is_validated = !ask.checking_disabled && !self.has_route(&ask.question.name);
        is_validated.then_some(anchors)
    }

    /// The bytes of an answer that is to be validated. Boxed, because validation asks for what it needs this way.
    fn ask_signed<'a>(
        self: &'a Arc<Self>,
        ask: Ask,
        packets: &'a mut u8,
    ) -> BoxFuture<'a, Result<Vec<u8>, ForwardError>> {
        Box::pin(async move { Ok(self.ask(&ask, packets).await?.bytes()) })
    }

    fn read(&self, judged: &Judged, age: u32, channel: Channel) -> Result<Entry, ForwardError> {
        Entry::new(judged, self.now(), age, channel)
            .ok_or_else(|| ForwardError::Unreachable("an unreadable answer".into()))
    }

    /// Asks again before an answer is out of date.
    fn refresh(self: &Arc<Self>, ask: Ask, old: &Entry) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            old.give_refresh_back();
            return;
        };
        let (_, Some(pilot)) = self.flights.join(ask.key()) else {
            return;
        };
        let forwarder = Arc::clone(self);
        runtime.spawn(async move {
            let outcome = forwarder.resolve(&ask, TRIES).await;
            pilot.land(outcome);
        });
    }

    /// A question that is out already came in: it may be our own.
    fn suspect(self: &Arc<Self>, ask: &Ask) {
        let group = Arc::clone(self.table.load().group(&ask.question.name));
        if group.suspects().next().is_none() || !self.probes.is_due() {
            return;
        }
        let forwarder = Arc::clone(self);
        tokio::spawn(async move {
            for upstream in group.suspects() {
                let probe = forwarder.probes.start();
                let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
                let _ = upstream.ask(&probe, &mut Budget(1), deadline).await;
                if forwarder.probes.came_back(&probe) {
                    tracing::warn!(
                        "the upstream {} leads back to bnsd: name another one in `dns.upstreams`",
                        upstream.config()
                    );
                    upstream.health.loops();
                }
            }
        });
    }
}

fn landed(entry: Entry, packets: u8) -> flight::Landed {
    let entry = Arc::new(entry);
    flight::Landed { entry, packets }
}

fn describe(upstream: &Upstream) -> String {
    let report = upstream.health.report();
    let mut text = upstream.config().to_string();
    if let Some(latency) = report.latency {
        text.push_str(&format!(", {} ms", latency.as_millis()));
    }
    if upstream.health.is_looping() {
        text.push_str(", leads back to bnsd");
    } else if report.failures > 0 {
        text.push_str(&format!(", failed {} times in a row", report.failures));
    }
    text
}

/// Seconds for which clients may keep an answer that is out of date.
pub const STALE_ANSWER_TTL: u32 = STALE_TTL;
