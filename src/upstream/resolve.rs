//! A question on its way to upstreams: sent once whoever asks, judged, validated where that is chosen, and kept.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use hickory_proto::rr::Name as DnsName;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::anchors::Anchors;
use super::ask::Ask;
use super::attempt::{Budget, Failed};
use super::entry::{Channel, Entry};
use super::error::ForwardError;
use super::flight::{Flight, Landed, Outcome, Pilot};
use super::forwarder::Forwarder;
use super::group::{TRIES, is_answer};
use super::link::Upstream;
use super::message::Judged;
use super::table::Terms;
use super::validate;
use crate::bns::NamespaceId;
use crate::resolver::Mode;

/// How often a domain of the chain is probed while it is asked for: as often as a circle that was found is forgotten.
const PROBE_AGAIN: Duration = Duration::from_secs(60);
/// How often suspicion leads to a probe.
const SUSPECT_AGAIN: Duration = Duration::from_secs(10);
/// How long an upstream may take with a probe.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);
/// How long it may take with the answer of somebody else to a probe that came back.
const OTHERS_PATIENCE: Duration = Duration::from_millis(200);

impl Forwarder {
    /// Joins the question that is out already, or sends it.
    pub(super) fn fly(
        self: &Arc<Self>,
        terms: &Arc<Terms>,
        ask: &Ask,
        packets: u8,
    ) -> Result<Flight, ForwardError> {
        let joined = self.flights.join(terms.number, ask.key());
        let (flight, pilot) = joined.ok_or(ForwardError::CrowdedOut)?;
        match pilot {
            Some(pilot) => {
                self.send(pilot, Arc::clone(terms), ask.clone(), packets.min(TRIES));
                if may_be_sent_to_us(terms, &ask.question.name) {
                    self.suspect(terms, ask, PROBE_AGAIN);
                }
            }
            // It may be our own question that came back.
            None => self.suspect(terms, ask, SUSPECT_AGAIN),
        }
        Ok(flight)
    }

    /// Asks on a task, for everybody who waits for the response.
    fn send(self: &Arc<Self>, pilot: Pilot, terms: Arc<Terms>, ask: Ask, packets: u8) {
        let forwarder = Arc::clone(self);
        self.tasks.spawn(async move {
            let asking = Box::pin(forwarder.resolve(&terms, &ask, packets)); // moved on the heap alone
            pilot.fly(asking).await;
        });
    }

    /// Asks, and keeps what comes of it.
    async fn resolve(self: &Arc<Self>, terms: &Arc<Terms>, ask: &Ask, packets: u8) -> Outcome {
        let mut budget = Budget(packets);
        if let Some(portal) = self.way_through_portal(terms, ask) {
            // At the end of its time at once, so that nobody keeps it.
            let answered = portal.ask(ask, &mut budget).await?;
            let entry = self.read(&answered.judged, u32::MAX, Channel::Portal)?;
            return Ok(landed(entry, packets - budget.0));
        }
        let entry = match anchors(terms, ask) {
            Some(anchors) => {
                // Its state is large, and rarely there.
                let judged = Box::pin(validate::ask(self, terms, anchors, ask)).await;
                judged.and_then(|judged| self.read(&judged, 0, Channel::Validated))
            }
            None => self.resolve_as_said(terms, ask, &mut budget).await,
        };
        let outcome = entry.map(|entry| landed(entry, packets - budget.0));
        self.note(terms, ask, &outcome);
        outcome
    }

    /// Asks upstreams without validating what they say.
    async fn resolve_as_said(
        &self,
        terms: &Terms,
        ask: &Ask,
        budget: &mut Budget,
    ) -> Result<Entry, ForwardError> {
        let group = terms.table.group(&ask.question.name);
        let answered = group.ask(ask, budget).await?;
        self.read(&answered.judged, answered.age, answered.channel)
    }

    /// The bytes of a response that is to be validated. Boxed, because validation asks for what it needs this way.
    pub(super) fn ask_signed<'a>(
        self: &'a Arc<Self>,
        terms: &'a Arc<Terms>,
        ask: Ask,
        packets: &'a mut u8,
    ) -> BoxFuture<'a, Result<Vec<u8>, ForwardError>> {
        Box::pin(async move { Ok(self.ask(terms, &ask, packets).await?.bytes()) })
    }

    fn read(&self, judged: &Judged, age: u32, channel: Channel) -> Result<Entry, ForwardError> {
        if judged.has_endless_aliases() {
            return Err(ForwardError::EndlessAliases);
        }
        Entry::new(judged, self.now(), age, channel)
            .ok_or_else(|| ForwardError::Unreachable("an unreadable answer".into()))
    }

    /// Asks again before a response is out of date.
    pub(super) fn refresh(self: &Arc<Self>, terms: &Arc<Terms>, ask: Ask, old: &Entry) {
        if Handle::try_current().is_err() {
            old.give_refresh_back();
            return;
        }
        let Some((_, Some(pilot))) = self.flights.join(terms.number, ask.key()) else {
            return;
        };
        self.send(pilot, Arc::clone(terms), ask, TRIES);
    }

    /// Looks whether the upstreams for a question lead back to us, unless that was done in the last `interval`.
    fn suspect(self: &Arc<Self>, terms: &Terms, ask: &Ask, interval: Duration) {
        let name = &ask.question.name;
        let group = Arc::clone(terms.table.group(name));
        if group.suspects().next().is_none() || !self.probes.is_due(name, interval) {
            return;
        }
        let (forwarder, name) = (Arc::clone(self), name.clone());
        self.tasks.spawn(async move {
            let probes = group.suspects();
            let probes = probes.map(|upstream| forwarder.look_for_circle(upstream, &name));
            join_all(probes).await;
        });
    }

    /// Finds out whether an upstream leads back to us for a name, and for which domain: the name's last label or two, or
    /// everything. Whoever waits for such a name is told as soon as that is known.
    pub(super) async fn look_for_circle(&self, upstream: &Upstream, name: &DnsName) {
        if upstream.health.is_looping(name) || !self.comes_back(upstream, name).await {
            return;
        }
        let (top, two) = (name.trim_to(1), name.trim_to(2));
        let (mut zone, larger) = match self.comes_back(upstream, &top).await {
            true => (top, DnsName::root()),
            false => (name.clone(), two),
        };
        upstream.health.note_loop(zone.clone());
        if self.comes_back(upstream, &larger).await {
            zone = larger;
            upstream.health.note_loop(zone.clone());
        }
        tracing::warn!(
            "the upstream {} leads back to bnsd for {zone}: name another one in `dns.upstreams`",
            upstream.config
        );
    }

    /// Whether questions for names in `zone` come back to us, and to nobody else: a stub may ask several at once, and
    /// then has an answer all the same.
    async fn comes_back(&self, upstream: &Upstream, zone: &DnsName) -> bool {
        let Some(probe) = self.probes.start(zone) else {
            return false;
        };
        let mut budget = Budget(1);
        let deadline = Instant::now() + PROBE_PATIENCE;
        let mut asked = pin!(upstream.ask(&probe, &mut budget, deadline));
        let received = tokio::select! {
            received = &mut asked => received,
            () = self.probes.came_back(&probe) => {
                let answer = timeout(OTHERS_PATIENCE, asked).await;
                answer.unwrap_or(Err(Failed::Timeout))
            }
        };
        let is_answered = received.is_ok_and(|received| is_answer(received.judged.rcode));
        let is_back = self.probes.is_back(&probe);
        self.probes.end(&probe);
        is_back && !is_answered
    }
}

/// Whether somebody could send questions for a name to us, and not those for other names: it is in a namespace, and
/// nobody chose who answers for it.
fn may_be_sent_to_us(terms: &Terms, name: &DnsName) -> bool {
    let top = name.iter().next_back().unwrap_or_default();
    let id = NamespaceId::from_bytes(top);
    let is_of_chain = id.is_ok_and(|id| terms.policy.mode(&id).mode() != Mode::Off);
    is_of_chain && !terms.has_route(name)
}

/// What the response to a question is validated with, if it is.
fn anchors<'t>(terms: &'t Terms, ask: &Ask) -> Option<&'t Anchors> {
    let anchors = terms.options.anchors.as_ref()?;
    let is_validated = !ask.checking_disabled && !terms.has_route(&ask.question.name);
    is_validated.then_some(anchors)
}

fn landed(entry: Entry, packets: u8) -> Landed {
    let entry = Arc::new(entry);
    Landed { entry, packets }
}
