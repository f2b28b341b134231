//! A question on its way to upstreams: sent once whoever asks, judged, validated where that is chosen, and kept.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::anchors::Anchors;
use super::ask::Ask;
use super::attempt::Budget;
use super::entry::{Channel, Entry};
use super::error::ForwardError;
use super::flight::{Flight, Landed, Outcome, Pilot};
use super::forwarder::Forwarder;
use super::group::{Group, TRIES};
use super::message::Judged;
use super::validate;

impl Forwarder {
    /// Joins the question that is out already, or sends it.
    pub(super) fn fly(self: &Arc<Self>, ask: &Ask, packets: u8) -> Result<Flight, ForwardError> {
        let joined = self.flights.join(ask.key());
        let (flight, pilot) = joined.ok_or(ForwardError::CrowdedOut)?;
        match pilot {
            Some(pilot) => self.send(pilot, ask.clone(), packets.min(TRIES)),
            None => self.suspect(ask),
        }
        Ok(flight)
    }

    /// Asks on a task, for everybody who waits for the response.
    fn send(self: &Arc<Self>, pilot: Pilot, ask: Ask, packets: u8) {
        let forwarder = Arc::clone(self);
        self.tasks.spawn(async move {
            let asking = Box::pin(forwarder.resolve(&ask, packets)); // moved on the heap alone
            pilot.fly(asking).await;
        });
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
                // Its state is large, and rarely there.
                let judged = Box::pin(validate::ask(self, anchors, ask)).await;
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

    /// Asks upstreams without validating what they say.
    async fn resolve_as_said(&self, ask: &Ask, budget: &mut Budget) -> Result<Entry, ForwardError> {
        let group = Arc::clone(self.table.load().group(&ask.question.name));
        let answered = group.ask(ask, budget).await?;
        self.read(&answered.judged, answered.age, answered.channel)
    }

    /// What the response to a question is validated with, if it is.
    fn anchors(&self, ask: &Ask) -> Option<&Anchors> {
        let anchors = self.options.anchors.as_ref()?;
        let is_validated = !ask.checking_disabled && !self.has_route(&ask.question.name);
        is_validated.then_some(anchors)
    }

    /// The bytes of a response that is to be validated. Boxed, because validation asks for what it needs this way.
    pub(super) fn ask_signed<'a>(
        self: &'a Arc<Self>,
        ask: Ask,
        packets: &'a mut u8,
    ) -> BoxFuture<'a, Result<Vec<u8>, ForwardError>> {
        Box::pin(async move { Ok(self.ask(&ask, packets).await?.bytes()) })
    }

    fn read(&self, judged: &Judged, age: u32, channel: Channel) -> Result<Entry, ForwardError> {
        if judged.has_endless_aliases() {
            return Err(ForwardError::EndlessAliases);
        }
        Entry::new(judged, self.now(), age, channel)
            .ok_or_else(|| ForwardError::Unreachable("an unreadable answer".into()))
    }

    /// Asks again before a response is out of date.
    pub(super) fn refresh(self: &Arc<Self>, ask: Ask, old: &Entry) {
        if Handle::try_current().is_err() {
            old.give_refresh_back();
            return;
        }
        let Some((_, Some(pilot))) = self.flights.join(ask.key()) else {
            return;
        };
        self.send(pilot, ask, TRIES);
    }

    /// A question that is out already came in: it may be our own.
    fn suspect(self: &Arc<Self>, ask: &Ask) {
        let group = Arc::clone(self.table.load().group(&ask.question.name));
        if group.suspects().next().is_none() || !self.probes.is_due() {
            return;
        }
        let forwarder = Arc::clone(self);
        self.tasks
            .spawn(async move { forwarder.probe(&group).await });
    }

    /// Finds out which upstreams of a group lead back to us.
    async fn probe(&self, group: &Group) {
        for upstream in group.suspects() {
            let probe = self.probes.start();
            let deadline = Instant::now() + Duration::from_secs(1);
            let _ = upstream.ask(&probe, &mut Budget(1), deadline).await;
            if self.probes.came_back(&probe) {
                tracing::warn!(
                    "the upstream {} leads back to bnsd: name another one in `dns.upstreams`",
                    upstream.config
                );
                upstream.health.loops();
            }
        }
    }
}

fn landed(entry: Entry, packets: u8) -> Landed {
    let entry = Arc::new(entry);
    Landed { entry, packets }
}
