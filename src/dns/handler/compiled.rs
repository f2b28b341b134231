//! The short way: replies to plain queries about registered names, copied from compiled zones. Whatever is not certain to
//! be the reply of the long way, byte for byte, takes that.

use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::{DNSClass, Name as DnsName, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use super::super::client::{Client, Transport};
use super::super::compiled::{apex, write};
use super::super::kept_zone::KeptZone;
use super::super::plain::Plain;
use super::super::replies::{Basis, Content};
use super::certificate::leads;
use super::{Handler, Moment};
use crate::resolver::{Question, Snapshots, compiled_zone};
use crate::upstream::may_be_probe;

impl<P: Snapshots> Handler<P> {
    /// Replies from a compiled zone. Gives false if that is not possible, or not certain; `moment` may then
    /// have what was read on the way.
    pub(super) fn reply_compiled(
        &self,
        plain: &Plain<'_>,
        (client, now): (Client, Duration),
        moment: &mut Option<Moment<P::Source>>,
        out: &mut Vec<u8>,
    ) -> bool {
        let (name, rtype) = (plain.key.name(), plain.key.rtype());
        let Some(start) = apex(name).filter(|_| !self.is_for_others(name, rtype, client)) else {
            return false;
        };
        let Some((kept, generation)) = self.zone(plain, start, now, moment) else {
            return false;
        };
        let terms = self.forwarder.terms();
        let policy = &terms.policy;
        let waits = kept.zone.has_authority() && self.provision.is_some() && leads(rtype.into());
        if waits || !policy.accepts(self.snapshots.sync_state()) {
            return false;
        }
        let below = name.get(..start).unwrap_or_default();
        let Some(answer) = kept.zone.answer(below, rtype, policy) else {
            return false;
        };
        let verified = policy.ad_for_bns;
        let limit = plain.limit(client.transport);
        if !write(plain, &answer, (start, verified), limit, out) {
            return false;
        }
        self.counters
            .count(answer.outcome, now, || self.forwarder.now());
        if kept.is_asked_often() {
            let basis = Basis {
                subjects: kept.zone.subjects(),
                heights: kept.zone.heights(),
                generation,
                made: now,
            };
            let content = Content::message(out, verified);
            let key = plain.key.as_bytes();
            self.replies.keep(key, content, answer.outcome, basis);
        }
        true
    }

    /// Whether somebody else than the chain may have to answer, or nobody counts.
    fn is_for_others(&self, name: &[u8], rtype: u16, client: Client) -> bool {
        matches!(client.transport, Transport::Daemon | Transport::Control)
            || may_be_probe(name)
            || rtype == u16::from(RecordType::PTR)
            || self.hosts.as_ref().is_some_and(|hosts| hosts.has(name))
    }

    /// The compiled zone of a name, kept or made, and the generation in which it was known to be valid. `start` is where the
    /// apex begins in the name that was asked for.
    fn zone(
        &self,
        plain: &Plain<'_>,
        start: usize,
        now: Duration,
        moment: &mut Option<Moment<P::Source>>,
    ) -> Option<(Arc<KeptZone>, u64)> {
        let apex = plain.key.name().get(start..)?;
        let kept = self.replies.zone(apex);
        if let Some((zone, _)) = &kept
            && (!zone.is_due(now) || self.is_current(zone, now))
        {
            return kept;
        }
        let name = DnsName::read(&mut BinDecoder::new(apex)).ok()?;
        let question = Question::new(&name, RecordType::A, DNSClass::IN);
        let moment = moment.insert(self.moment());
        let zone = compiled_zone(&question, &moment.terms.policy, &moment.source);
        let zone = zone.ok().flatten()?; // the long way says what failed
        let zone = Arc::new(KeptZone::new(zone, moment.generation, now));
        self.replies.keep_zone(apex, Arc::clone(&zone));
        Some((zone, moment.generation))
    }

    fn is_current(&self, kept: &KeptZone, now: Duration) -> bool {
        let is_current = kept.zone.is_current(&self.snapshots.snapshot());
        let is_current = is_current.unwrap_or(false);
        if is_current {
            kept.note_look(now);
        }
        is_current
    }
}
