//! An upstream's response in the form in which it is kept and served: bytes, and where they change.
//!
//! Serving is a copy, then the client's ID, flags and question over the first bytes, then every TTL less what
//! has passed. The additional section is not kept: OPT concerns only the two who talk, and nobody asked for the rest
//! (RFC 2181 §5.4.1 trusts it least). Everything else stays as it came.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hickory_proto::rr::Name as DnsName;
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use super::lifetime::{Kind, kind, level_ttls, lifetime};
use super::message::Judged;
use crate::wire::alias::{aliases, strays};
use crate::wire::header::bit_if;
use crate::wire::name::lower_labels;
use crate::wire::private::has_private;
use crate::wire::record::change_ttl;
use crate::wire::writer::put_question;
use crate::wire::{self, ExtendedError, HEADER, Header, Section, Walk, WireRecord, flag};

/// TTL of responses that are out of date, in seconds (RFC 8767 §4).
const STALE_TTL: u32 = 30;
/// Shortest lifetime that is worth asking early for, in seconds.
const PREFETCH_MIN: u32 = 10;

/// Who vouches for a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Anybody on the way.
    Plain,
    /// An upstream that proved its name over TLS.
    Authenticated,
    /// Signatures, down from the root's key.
    Validated,
    /// The network's own resolver, which a person asked for: nothing is left out, nothing is kept.
    Portal,
}

/// A response of an upstream.
#[derive(Debug)]
pub struct Entry {
    message: Box<[u8]>,
    /// Where the TTLs stand.
    ttls: Box<[u16]>,
    question_end: u16,
    /// When it came, on the daemon's clock.
    stored: Duration,
    /// How long it held when it came, in seconds; 0 for the moment only.
    pub lifetime: u32,
    /// What it says.
    pub kind: Kind,
    /// Who vouches for it.
    pub channel: Channel,
    /// Names that the aliases in it lead to, in lower case. One of them may be ours.
    pub targets: Box<[DnsName]>,
    /// Whether a private address is in it, which must not be passed on unless it is allowed.
    pub has_private: bool,
    /// Whether there are records in it of names that were not asked for, which must not be passed on.
    pub has_strays: bool,
    /// What the upstream said about its own trouble.
    pub ede: Option<ExtendedError>,
    refreshing: AtomicBool,
    retired: AtomicBool,
}

/// What of a response is the client's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stamp<'a> {
    /// ID.
    pub id: u16,
    /// RD, CD and, where it is due, AD; other bits are ignored.
    pub flags: u16,
    /// Name in the client's letters, type and class.
    pub question: &'a [u8],
}

impl Stamp<'_> {
    /// The same without AD, unless the response is validated.
    #[must_use]
    pub fn without_ad_unless(self, authentic: bool) -> Self {
        let flags = self.flags & !bit_if(!authentic, flag::AD);
        Self { flags, ..self }
    }
}

impl Entry {
    /// Keeps a response that came at `now` and is `age` seconds old already.
    pub fn new(judged: &Judged, now: Duration, age: u32, channel: Channel) -> Option<Self> {
        let ede = ExtendedError::find(&judged.walk, &judged.bytes);
        let (message, walk) = (judged.bytes.clone(), judged.walk.clone());
        Self::from_parts(message, walk, now, age, channel, ede)
    }

    /// Takes a message that was kept in a file, where it has lain for `age` seconds; `None` if it is none that could have
    /// come from there. It holds for `remaining` seconds at most.
    pub fn restore(
        message: Vec<u8>,
        now: Duration,
        (age, remaining): (u32, u32),
        channel: Channel,
    ) -> Option<Self> {
        let walk = wire::walk(&message)?;
        if walk.opt.is_some() || wire::flags(&message) & flag::QR == 0 {
            return None;
        }
        let mut entry = Self::from_parts(message, walk, now, age, channel, None)?;
        entry.lifetime = entry.lifetime.min(remaining);
        Some(entry)
    }

    fn from_parts(
        message: Vec<u8>,
        walk: Walk,
        now: Duration,
        age: u32,
        channel: Channel,
        ede: Option<ExtendedError>,
    ) -> Option<Self> {
        let (mut message, walk) = without_additional(message, walk);
        let walk = &walk;
        if !has_lasting_names(&message, walk) {
            return None;
        }
        let (asked, _) = wire::read_name(&message, HEADER)?;
        let names = aliases(walk, &message, &asked);
        let kind = kind(walk, names.last()?, &message);
        level_ttls(&mut message, walk, kind, age);
        let spelt_out = walk.records.iter().filter(|record| record.owner == asked);
        spelt_out.for_each(|record| lower_labels(&mut message, record.start));
        let lifetime = lifetime(&message, walk, kind, names.last()?);
        let ttls = walk.records.iter().map(|record| record.ttl_at as u16);
        let targets = names
            .iter()
            .skip(1)
            .filter_map(|name| DnsName::read(&mut BinDecoder::new(name)).ok());
        Some(Self {
            ttls: ttls.collect(),
            question_end: walk.question_end as u16,
            stored: now,
            lifetime,
            kind,
            channel,
            targets: targets.collect(),
            has_private: channel != Channel::Portal && has_private(walk, &message),
            has_strays: strays(walk, &names).any(|is_stray| is_stray),
            ede,
            refreshing: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            message: message.into(),
        })
    }

    /// Seconds that it still holds; 0 once it is out of date.
    pub fn remaining(&self, now: Duration) -> u32 {
        self.lifetime.saturating_sub(self.age(now))
    }

    /// Seconds since it came.
    pub fn age(&self, now: Duration) -> u32 {
        let age = now.saturating_sub(self.stored).as_secs();
        u32::try_from(age).unwrap_or(u32::MAX)
    }

    /// Response code.
    pub fn rcode(&self) -> u16 {
        wire::flags(&self.message) & flag::RCODE
    }

    /// Whether the upstream says that it is validated.
    pub fn is_authentic(&self) -> bool {
        wire::flags(&self.message) & flag::AD != 0
    }

    /// For each record of the answer section whether it is one of a name that was not asked for.
    pub fn strays(&self) -> Option<Vec<bool>> {
        let walk = wire::walk(&self.message)?;
        let (asked, _) = wire::read_name(&self.message, HEADER)?;
        let names = aliases(&walk, &self.message, &asked);
        Some(strays(&walk, &names).collect())
    }

    /// Whether the missing name has no aliases before it, so that the name itself is what is missing.
    pub fn denies_its_name(&self) -> bool {
        self.kind == Kind::NoSuchName && self.targets.is_empty()
    }

    /// The message with the TTLs of `now`.
    pub fn aged(&self, now: Duration) -> Vec<u8> {
        let mut bytes = self.message.to_vec();
        let age = self.age(now);
        for &at in &self.ttls {
            change_ttl(&mut bytes, at.into(), |ttl| ttl.saturating_sub(age));
        }
        bytes
    }

    /// Bytes that it occupies, roughly.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.message.len() + self.ttls.len() * 2 + self.targets.len() * 64
    }

    /// Whether it is time to ask again before it is out of date; true for one caller only.
    pub fn take_refresh(&self, now: Duration) -> bool {
        let remaining = self.remaining(now);
        remaining > 0
            && self.lifetime >= PREFETCH_MIN
            && remaining <= self.lifetime / 10
            && !self.refreshing.swap(true, Ordering::Relaxed)
    }

    /// Marks it as replaced or forgotten, so that it is looked up in the cache before it goes out again.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Whether it can go out without a look into the cache: it has not been retired, and it is not yet time to ask again.
    pub fn is_settled(&self, now: Duration) -> bool {
        !self.retired.load(Ordering::Relaxed) && self.remaining(now) > self.lifetime / 10
    }

    /// Lets the next caller try, after an attempt that failed.
    pub fn give_refresh_back(&self) {
        self.refreshing.store(false, Ordering::Relaxed);
    }

    /// Writes the response for a client, without OPT. Where it is out of date, all TTLs are [`STALE_TTL`].
    pub fn write(&self, stamp: Stamp<'_>, now: Duration, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.message);
        let clients = stamp.flags & (flag::RD | flag::AD | flag::CD);
        Header::edit(out, |header| {
            header.id = stamp.id;
            header.flags = flag::QR | flag::RA | clients | header.flags & flag::RCODE;
        });
        if HEADER + stamp.question.len() == usize::from(self.question_end) {
            put_question(out, stamp.question);
        }
        let age = self.age(now);
        let is_stale = self.lifetime > 0 && age >= self.lifetime;
        for &at in &self.ttls {
            change_ttl(out, at.into(), |ttl| match is_stale {
                true => STALE_TTL,
                false => ttl.saturating_sub(age),
            });
        }
    }
}

/// Whether names stay what they are when TTLs count down: a pointer may lead into one.
fn has_lasting_names(message: &[u8], walk: &Walk) -> bool {
    let mut later = message.to_vec();
    for record in &walk.records {
        change_ttl(&mut later, record.ttl_at, |ttl| !ttl);
    }
    let same = |(now, then): (&WireRecord, &WireRecord)| now.owner == then.owner;
    wire::walk(&later).is_some_and(|later| walk.records.iter().zip(&later.records).all(same))
}

/// The message without its additional section: nobody asked for what is there, and OPT concerns only the two who talk. It
/// is the last section, so nothing else points into it.
fn without_additional(mut bytes: Vec<u8>, mut walk: Walk) -> (Vec<u8>, Walk) {
    let opt = walk.opt.take().map(|opt| opt.start);
    let additional = walk.section(Section::Additional).map(|record| record.start);
    if let Some(start) = additional.chain(opt).min() {
        bytes.truncate(start);
        walk.records.retain(|record| record.start < start);
        Header::edit(&mut bytes, |header| header.counts[3] = 0);
    }
    (bytes, walk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_change_with_a_ttl_is_refused() {
        let question = [
            &[0, 1, 0x80, 0, 0, 1, 0, 2, 0, 0, 0, 0],
            &b"\x01a\0\0\x01\0\x01"[..],
        ]
        .concat();
        let ttl = question.len() as u8 + 6;
        // The TTL of the first record reads as the name `b`, and the second record is at it.
        let first = b"\xc0\x0c\0\x01\0\x01\x01b\0\0\0\x04\xc0\0\x02\x01";
        let second = b"\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x02";
        let kept = |place: u8| {
            let message = [&question, &first[..], &[0xc0, place], second].concat();
            let times = (0, 60);
            Entry::restore(message, Duration::ZERO, times, Channel::Plain).is_some()
        };
        assert!(kept(HEADER as u8));
        assert!(!kept(ttl));
    }
}
