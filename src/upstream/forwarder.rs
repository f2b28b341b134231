//! Who answers what is not ours: the cache first, then a failure that still holds, then upstreams.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hickory_proto::rr::Name as DnsName;

use super::ask::{Ask, wire_name};
use super::cache::Cache;
use super::config::UpstreamConfig;
use super::entry::{Channel, Entry, Stamp};
use super::error::ForwardError;
use super::failure::Failures;
use super::flight::{Flights, Outcome};
use super::group::{Group, TRIES};
use super::portal::{Portal, PortalReport};
use super::probe::Probes;
use super::response::{Fit, Response};
use super::table::{ForwardOptions, Table};
use super::tls::{Tls, TlsError};
use crate::clock::Clock;
use crate::resolver::Policy;
use crate::worker::Tasks;

/// How long an upstream may take before a response that is out of date goes out (RFC 8767 §5).
const STALE_AFTER: Duration = Duration::from_millis(1800);

/// Asks upstreams, and remembers.
pub struct Forwarder {
    pub(super) options: ForwardOptions,
    pub(super) tls: Tls,
    pub(super) table: ArcSwap<Table>,
    /// What is kept.
    pub cache: Cache,
    pub(super) failures: Failures,
    pub(super) flights: Flights,
    pub(super) probes: Probes,
    pub(super) portal: Portal,
    pub(super) tasks: Tasks,
    /// Tells whose a name is that an upstream brings up.
    pub(super) policy: ArcSwap<Policy>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Forwarder {
    /// A forwarder that has not asked anybody yet.
    pub fn new(options: ForwardOptions, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let tls = Tls::new(options.ca_file.as_deref())?;
        let table = Table::new(&options, &options.upstreams, &tls)?;
        Ok(Self {
            tls,
            table: ArcSwap::from_pointee(table),
            cache: Cache::new(options.cache_bytes),
            failures: Failures::default(),
            flights: Flights::new(options.questions_max),
            probes: Probes::default(),
            portal: Portal::default(),
            tasks: Tasks::new("a question at an upstream"),
            policy: ArcSwap::default(),
            clock,
            options,
        })
    }

    /// A response that is at hand and in date: for the loop that read the query, without a task. Asks again in
    /// the background for a response that is nearly out of date; that needs to be inside of a tokio runtime.
    pub fn cached(self: &Arc<Self>, ask: &Ask) -> Option<Response> {
        let now = self.now();
        if self.way_through_portal(ask).is_some() {
            return None;
        }
        let own = self.cache.find(ask);
        let (entry, fit) = match own.filter(|entry| entry.remaining(now) > 0) {
            Some(entry) => (entry, Fit::Own),
            None => (self.cache.find_cut(ask, now)?, Fit::Cut),
        };
        if fit == Fit::Own && entry.take_refresh(now) {
            self.refresh(ask.clone(), &entry);
        }
        Some(self.response(entry, fit, now))
    }

    /// Writes a response that [`Response::kept`] gave, without OPT, as long as that needs no look into the cache. AD is
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

    /// The response to a question, at hand or from upstreams. `packets` is what it may cost, and is lowered by
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
        let landed = async { self.fly(ask, *packets)?.land().await };
        let Some(stale) = stale else {
            return self.take(landed.await, packets);
        };
        match tokio::time::timeout(STALE_AFTER, landed).await {
            Ok(Ok(landed)) => self.take(Ok(landed), packets),
            _ => Ok(stale),
        }
    }

    /// What a question came to; its cost is taken off `packets`.
    fn take(&self, outcome: Outcome, packets: &mut u8) -> Result<Response, ForwardError> {
        let cost = outcome.as_ref().map_or(TRIES, |landed| landed.packets);
        *packets = packets.saturating_sub(cost);
        Ok(self.response(outcome?.entry, Fit::Own, self.now()))
    }

    /// What is kept in the cache, or has just come, as it goes to a client.
    fn response(&self, entry: Arc<Entry>, fit: Fit, now: Duration) -> Response {
        Response {
            now,
            fit,
            authentic: self.believes(&entry),
            ede: entry.ede.clone(),
            entry,
        }
    }

    /// Whether a question is our own, sent to find out whether upstreams lead back to us.
    pub fn is_own_probe(&self, name: &DnsName) -> bool {
        self.probes.recognises(name)
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

    /// Who is asked instead of the upstreams while a captive portal is let through.
    pub(super) fn way_through_portal(&self, ask: &Ask) -> Option<Arc<Group>> {
        let way = self.portal.way(ask, self.now())?;
        (!self.has_route(&ask.question.name)).then_some(way)
    }

    fn believes(&self, entry: &Entry) -> bool {
        let is_believed = match entry.channel {
            Channel::Validated => true,
            Channel::Authenticated => self.options.trust_ad,
            Channel::Plain | Channel::Portal => false,
        };
        is_believed && entry.is_authentic()
    }

    /// A response that is out of date and may still serve.
    fn stale(&self, ask: &Ask) -> Option<Response> {
        let now = self.now();
        let entry = self.cache.find(ask)?;
        let past = entry.age(now).saturating_sub(entry.lifetime);
        let usable = Duration::from_secs(past.into()) < self.options.stale_max;
        usable.then(|| Response::stale(entry, now))
    }
}

/// The network that upstreams are reached through.
impl Forwarder {
    /// Puts other upstreams in force. What was kept belongs to the network that was, and goes.
    pub fn set_upstreams(&self, upstreams: &[UpstreamConfig]) -> Result<(), TlsError> {
        let table = Table::new(&self.options, upstreams, &self.tls)?;
        self.table.store(Arc::new(table));
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
        let group = Group::new(&configs, &self.tls, &self.options.bootstrap)?;
        self.portal
            .open(group, resolvers.to_vec(), self.now() + time);
        Ok(())
    }

    /// Closes the way through the portal; whether it was open.
    pub fn close_portal(&self) -> bool {
        self.portal.close(self.now())
    }

    /// Who answers while a portal is let through, and for how long; `None` while none is.
    pub fn portal(&self) -> Option<PortalReport> {
        self.portal.report(self.now())
    }

    /// The network may be another one, as after a suspension: connections, health and failures are forgotten.
    pub fn reset(&self) {
        self.failures.clear();
        self.close_portal();
        self.table.load().groups().for_each(|group| group.reset());
    }

    /// The upstreams that are asked where no route says otherwise.
    pub fn upstreams(&self) -> Vec<UpstreamConfig> {
        let table = self.table.load();
        let all = table.all.upstreams.iter();
        all.map(|upstream| upstream.config.clone()).collect()
    }

    /// One line about each upstream, for people.
    pub fn describe(&self) -> Vec<String> {
        let table = self.table.load();
        let all = table.all.upstreams.iter();
        all.map(|upstream| format!("{}{}", upstream.config, upstream.health))
            .collect()
    }

    /// The smoothed latency of the upstream that is asked first; `None` before the first response, or if all are passed over.
    pub fn latency(&self) -> Option<Duration> {
        let table = self.table.load();
        let ranks = table.all.upstreams.iter();
        let ranks = ranks.map(|upstream| upstream.health.rank());
        let (_, latency) = ranks.min().filter(|(is_down, _)| !is_down)?;
        (!latency.is_zero()).then_some(latency)
    }

    /// Whether a route of the configuration covers a name. Such a name is forwarded even if it is special-use.
    pub fn has_route(&self, name: &DnsName) -> bool {
        self.table.load().has_route(name)
    }

    /// Forgets all responses, or those at and below a name; gives their number.
    pub fn flush(&self, name: Option<&DnsName>) -> usize {
        self.failures.clear();
        let wire = name.map(wire_name);
        self.cache.flush(wire.as_deref())
    }
}
