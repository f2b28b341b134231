//! Who answers what is not ours: the cache first, then a failure that still holds, then upstreams.
//!
//! Other [`Terms`] can be put in force at any time. What upstreams said under earlier ones is kept where the same upstreams
//! are asked again. A question that is out then gets the answer of whom it was sent to, and nobody else does: it is not
//! kept, and whoever asks the same afterwards asks anew.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use hickory_proto::rr::Name as DnsName;
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

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
use super::table::{ForwardOptions, Terms};
use super::tls::TlsError;
use crate::clock::Clock;
use crate::resolver::Policy;
use crate::worker::Tasks;

/// How long an upstream may take before a response that is out of date goes out (RFC 8767 §5).
const STALE_AFTER: Duration = Duration::from_millis(1800);

/// Options that can be put in force by [`Forwarder::set`]; nothing of them can fail any more.
pub struct Prepared(Option<Terms>);

/// Asks upstreams, and remembers.
pub struct Forwarder {
    terms: ArcSwap<Terms>,
    /// Held by whoever puts other terms in force, and shared by those who keep what upstreams said.
    change: RwLock<()>,
    /// What is kept.
    pub cache: Cache,
    pub(super) failures: Failures,
    pub(super) flights: Flights,
    pub(super) probes: Probes,
    pub(super) portal: Portal,
    pub(super) tasks: Tasks,
    pub(super) clock: Arc<dyn Clock>,
}

impl Forwarder {
    /// A forwarder that has not asked anybody yet.
    pub fn new(options: ForwardOptions, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let (cache_bytes, questions_max) = (options.cache_bytes, options.questions_max);
        Ok(Self {
            terms: ArcSwap::from_pointee(Terms::new(options, None)?),
            change: RwLock::default(),
            cache: Cache::new(cache_bytes),
            failures: Failures::default(),
            flights: Flights::new(questions_max),
            probes: Probes::default(),
            portal: Portal::default(),
            tasks: Tasks::new("a question at an upstream"),
            clock,
        })
    }

    /// What is in force. A question keeps to it until it is answered.
    pub fn terms(&self) -> Guard<Arc<Terms>> {
        self.terms.load()
    }

    /// A response that is at hand and in date: for the loop that read the query, without a task. Asks again in
    /// the background for a response that is nearly out of date; that needs to be inside of a tokio runtime.
    pub fn cached(self: &Arc<Self>, terms: &Arc<Terms>, ask: &Ask) -> Option<Response> {
        let now = self.now();
        if self.way_through_portal(terms, ask).is_some() {
            return None;
        }
        let own = self.cache.find(ask);
        let (entry, fit) = match own.filter(|entry| entry.remaining(now) > 0) {
            Some(entry) => (entry, Fit::Own),
            None => (self.cache.find_cut(ask, now)?, Fit::Cut),
        };
        if !self.is_in_force(terms) {
            return None; // it may be from other upstreams
        }
        if fit == Fit::Own && entry.take_refresh(now) {
            self.refresh(terms, ask.clone(), &entry);
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
        terms: &Arc<Terms>,
        ask: &Ask,
        packets: &mut u8,
    ) -> Result<Response, ForwardError> {
        if let Some(response) = self.cached(terms, ask) {
            return Ok(response);
        }
        let mut stale = None;
        if self.way_through_portal(terms, ask).is_none() {
            stale = self.stale(terms, ask);
            let failed = self.failures.find(&ask.key(), self.now());
            if let Some(error) = failed.filter(|_| self.is_in_force(terms)) {
                let error = ForwardError::Cached(Box::new(error));
                return stale.ok_or(error);
            }
        }
        let landed = async { self.fly(terms, ask, *packets)?.land().await };
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

    /// Puts another policy in force.
    pub fn set_policy(&self, policy: Policy) {
        let _change = self.change.write().unwrap_or_else(PoisonError::into_inner);
        let policy = Arc::new(policy);
        let before = self.terms.load_full();
        self.terms.store(Arc::new(Terms {
            policy,
            ..(*before).clone()
        }));
    }

    /// Who is asked instead of the upstreams while a captive portal is let through.
    pub(super) fn way_through_portal(&self, terms: &Terms, ask: &Ask) -> Option<Arc<Group>> {
        let way = self.portal.way(ask, self.now())?;
        (!terms.has_route(&ask.question.name)).then_some(way)
    }

    /// Whether upstreams are asked as in these terms. What was found in memory before is then theirs.
    fn is_in_force(&self, terms: &Terms) -> bool {
        self.terms.load().number == terms.number
    }

    fn believes(&self, entry: &Entry) -> bool {
        let is_believed = match entry.channel {
            Channel::Validated => true,
            Channel::Authenticated => self.terms.load().options.trust_ad,
            Channel::Plain | Channel::Portal => false,
        };
        is_believed && entry.is_authentic()
    }

    /// A response that is out of date and may still serve.
    fn stale(&self, terms: &Terms, ask: &Ask) -> Option<Response> {
        let now = self.now();
        let entry = self.cache.find(ask)?;
        let past = entry.age(now).saturating_sub(entry.lifetime);
        let usable = Duration::from_secs(past.into()) < terms.options.stale_max;
        (usable && self.is_in_force(terms)).then(|| Response::stale(entry, now))
    }
}

/// The network that upstreams are reached through.
impl Forwarder {
    /// Puts the upstreams of another network in force, unless the configuration names them. What was kept belongs to the
    /// network that was, and goes.
    pub fn set_upstreams(&self, upstreams: &[UpstreamConfig]) -> Result<(), TlsError> {
        let _change = self.change.write().unwrap_or_else(PoisonError::into_inner);
        let before = self.terms.load_full();
        if !before.options.follows_system {
            return Ok(());
        }
        let options = ForwardOptions {
            upstreams: upstreams.to_vec(),
            ..before.options.clone()
        };
        self.terms
            .store(Arc::new(Terms::new(options, Some(&before))?));
        self.cache.flush(None);
        self.failures.clear();
        self.close_portal();
        Ok(())
    }

    /// What it takes to put other options in force. Fails where they cannot be; nothing is changed yet.
    pub fn prepare(&self, options: ForwardOptions) -> Result<Prepared, TlsError> {
        let now = self.terms.load();
        let options = ForwardOptions {
            questions_max: now.options.questions_max,
            ..options
        };
        let other = (options != now.options).then(|| Terms::new(options, Some(&now)));
        Ok(Prepared(other.transpose()?))
    }

    /// Puts other options and another policy in force, both at once. What was kept about a name stays if the same upstreams
    /// are asked for it.
    pub fn set(&self, Prepared(other): Prepared, policy: Policy) {
        let Some(terms) = other else {
            return self.set_policy(policy);
        };
        let _change = self.change.write().unwrap_or_else(PoisonError::into_inner);
        let before = self.terms.load_full();
        let terms = Arc::new(Terms {
            number: before.number + 1, // another network may have come in between
            policy: Arc::new(policy),
            ..terms
        });
        self.terms.store(Arc::clone(&terms));
        self.cache.resize(terms.options.cache_bytes);
        self.cache.flush_if(|name| {
            let name = DnsName::read(&mut BinDecoder::new(name));
            !name.is_ok_and(|name| terms.keep(&name, &before))
        });
        self.failures.clear();
    }

    /// Notes what came of a question that began under `terms`, unless others are in force by now.
    pub(super) fn note(&self, terms: &Terms, ask: &Ask, outcome: &Outcome) {
        let _no_change = self.change.read().unwrap_or_else(PoisonError::into_inner);
        if !self.is_in_force(terms) {
            return;
        }
        match outcome {
            Ok(landed) => {
                self.failures.forget(&ask.key());
                self.cache.insert(ask, &landed.entry);
            }
            Err(error) => self.failures.note(ask.key(), error.clone(), self.now()),
        }
    }

    /// Lets the network's own `resolvers` answer for `time`, so that its login page can be reached.
    pub fn open_portal(&self, resolvers: &[SocketAddr], time: Duration) -> Result<(), TlsError> {
        let configs: Vec<_> = resolvers
            .iter()
            .map(|&at| UpstreamConfig::Plain(at))
            .collect();
        let terms = self.terms.load();
        let group = Group::new(&configs, &terms.tls, &terms.options.bootstrap)?;
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
        let terms = self.terms.load();
        terms.table.groups().for_each(|group| group.reset());
    }

    /// The upstreams that are asked where no route says otherwise.
    pub fn upstreams(&self) -> Vec<UpstreamConfig> {
        self.terms.load().options.upstreams.clone()
    }

    /// Who is asked for the addresses of upstreams that are known by name.
    pub fn bootstrap(&self) -> Vec<SocketAddr> {
        self.terms.load().options.bootstrap.clone()
    }

    /// Whether the upstreams are the system's resolvers.
    pub fn follows_system(&self) -> bool {
        self.terms.load().options.follows_system
    }

    /// One line about each upstream, for people.
    pub fn describe(&self) -> Vec<String> {
        let terms = self.terms.load();
        let all = terms.table.all.upstreams.iter();
        all.map(|upstream| format!("{}{}", upstream.config, upstream.health))
            .collect()
    }

    /// Each upstream, whether it is asked, and its smoothed latency; `None` before its first response.
    pub fn health(&self) -> Vec<(UpstreamConfig, bool, Option<Duration>)> {
        let terms = self.terms.load();
        let all = terms.table.all.upstreams.iter();
        all.map(|upstream| {
            let (is_down, latency) = upstream.health.rank();
            let latency = (!latency.is_zero()).then_some(latency);
            (upstream.config.clone(), !is_down, latency)
        })
        .collect()
    }

    /// The smoothed latency of the upstream that is asked first; `None` before the first response, or if all are passed over.
    pub fn latency(&self) -> Option<Duration> {
        let terms = self.terms.load();
        let ranks = terms.table.all.upstreams.iter();
        let ranks = ranks.map(|upstream| upstream.health.rank());
        let (_, latency) = ranks.min().filter(|(is_down, _)| !is_down)?;
        (!latency.is_zero()).then_some(latency)
    }

    /// Forgets all responses, or those at and below a name; gives their number.
    pub fn flush(&self, name: Option<&DnsName>) -> usize {
        self.failures.clear();
        let wire = name.map(wire_name);
        self.cache.flush(wire.as_deref())
    }
}
