//! Peers that somebody named and nobody has asked yet. Names cost their sender nothing, so all of this is bounded: in all,
//! by who named them, by their prefix, and in how soon one that did not answer is tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dice::Dice;
use crate::peer_address::{PeerAddress, Prefix};

/// Peers that wait (the reference's limit: ten lists of 80).
const CANDIDATES_MAX: usize = 800;
/// Those of them that peers of one prefix named: one list.
const BY_ONE_MAX: usize = 80;
/// Those of them that share a prefix.
const OF_PREFIX_MAX: usize = 8;
/// Peers that were refused, kept for so long.
const REFUSED_FOR: Duration = Duration::from_secs(3600);
/// How many refused ones are kept; then the one that is free first is dropped.
const REFUSED_MAX: usize = 1000;

/// Who named a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A peer of this prefix.
    Peer(Prefix),
    /// A caller of our server.
    Caller,
    /// An earlier run.
    Memory,
}

/// The peers that wait to be asked.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    waiting: BTreeMap<PeerAddress, Source>,
    refused: BTreeMap<PeerAddress, Duration>,
}

impl Candidates {
    /// Adds a candidate unless there is no room for it. When all places are taken, a random one makes room.
    pub(super) fn add(
        &mut self,
        peer: PeerAddress,
        source: Source,
        now: Duration,
        dice: &mut impl Dice,
    ) {
        let is_refused = self.refused.get(&peer).is_some_and(|until| *until > now);
        if is_refused || self.waiting.contains_key(&peer) {
            return;
        }
        let prefix = peer.prefix();
        let of_prefix = self.waiting.keys().filter(|other| other.prefix() == prefix);
        let by_same = self.waiting.values().filter(|other| **other == source);
        if of_prefix.count() >= OF_PREFIX_MAX
            || source != Source::Memory && by_same.count() >= BY_ONE_MAX
        {
            return;
        }
        if self.waiting.len() >= CANDIDATES_MAX {
            self.take(dice);
        }
        self.waiting.insert(peer, source);
    }

    /// Takes a random candidate.
    pub(super) fn take(&mut self, dice: &mut impl Dice) -> Option<PeerAddress> {
        let place = dice.below(self.waiting.len());
        let peer = self.waiting.keys().nth(place)?.clone();
        self.waiting.remove(&peer);
        Some(peer)
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Keeps a peer from waiting again for an hour.
    pub(super) fn refuse(&mut self, peer: PeerAddress, now: Duration) {
        self.refused.retain(|_, until| *until > now);
        if self.refused.len() >= REFUSED_MAX {
            let first = self.refused.iter().min_by_key(|(_, until)| **until);
            if let Some(first) = first.map(|(peer, _)| peer.clone()) {
                self.refused.remove(&first);
            }
        }
        self.refused.insert(peer, now + REFUSED_FOR);
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::fixture::Seeded;
    use super::*;

    fn peer(number: usize) -> PeerAddress {
        let [.., second, third] = number.to_be_bytes();
        PeerAddress::new([9 + (number >> 16) as u8, second, third, 1].into(), 6264)
    }

    fn by(number: usize) -> Source {
        Source::Peer(peer(number << 8).prefix())
    }

    #[test]
    fn lists_are_bounded_by_who_named_them_and_by_prefix() {
        let mut dice = Seeded::new(1);
        let mut candidates = Candidates::default();
        let mut add = |peer, source| {
            candidates.add(peer, source, Duration::ZERO, &mut dice);
            candidates.waiting.len()
        };
        let last = (0..20).map(|n| add(peer(n), Source::Caller)).last();
        assert_eq!(last, Some(OF_PREFIX_MAX));
        let last = (1..200).map(|n| add(peer(n << 8), by(1))).last();
        assert_eq!(last, Some(OF_PREFIX_MAX + BY_ONE_MAX));
        let last = (0..3000)
            .map(|n| add(peer((n + 300) << 8), by(n % 50)))
            .last();
        assert_eq!(last, Some(CANDIDATES_MAX));
    }

    #[test]
    fn who_was_refused_waits_an_hour() {
        let mut dice = Seeded::new(1);
        let mut candidates = Candidates::default();
        candidates.refuse(peer(1), Duration::ZERO);
        candidates.add(peer(1), Source::Caller, REFUSED_FOR / 2, &mut dice);
        assert!(candidates.is_empty());
        candidates.add(peer(1), Source::Caller, REFUSED_FOR, &mut dice);
        assert_eq!(candidates.take(&mut dice), Some(peer(1)));
        (0..2000).for_each(|n| candidates.refuse(peer(n), Duration::from_secs(n as u64)));
        assert_eq!(candidates.refused.len(), REFUSED_MAX);
    }
}
