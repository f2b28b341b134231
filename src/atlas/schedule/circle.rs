//! Who is a neighbour: peers of the configuration for at most half of the places while others are known, the rest learned,
//! few of one prefix. Where a place is free, a random peer of the table takes it at once, because files are waiting. Then the
//! walk replaces the oldest, one at a time, with where it has come to; that makes the neighbours uniform samples.

use std::time::Duration;

use super::super::dice::{Dice, pick};
use super::super::inventory::Inventory;
use super::super::peer::HEALTH_MIN;
use super::traffic::BATCH_MAX;
use super::{Action, Neighbour, Schedule};
use crate::peer_address::{PeerAddress, Prefix};

/// How often a neighbour is replaced.
pub(super) const ROTATE_EACH: Duration = Duration::from_secs(3600);
/// The same while there are files that no neighbour has: somebody else may have them.
const ROTATE_EACH_LACKING: Duration = Duration::from_secs(600);
/// Failed calls, none answered between, that cost a neighbour its place.
const FAILURES_MAX: u32 = 3;
/// Calls from which on health counts.
const CALLS_MIN: u32 = 4;
/// How often a neighbour is asked whether it is still on our chain.
const CHECK_EACH: Duration = Duration::from_secs(600);

impl Schedule {
    /// Lets neighbours go that are not good any more, finds others, and checks those that stay.
    pub(super) fn keep_circle(
        &mut self,
        now: Duration,
        dice: &mut impl Dice,
        actions: &mut Vec<Action>,
    ) {
        let lost = self
            .neighbours
            .keys()
            .filter(|peer| self.is_lost(peer, now));
        let lost: Vec<_> = lost.cloned().collect();
        lost.iter().for_each(|peer| self.leave(peer));
        self.rotate(now, dice);
        if self.neighbours.len() < self.wish.neighbours {
            self.fill_circle(now, dice);
        }
        for peer in self.neighbours.keys().cloned().collect::<Vec<_>>() {
            let is_free = self.table.get(&peer).is_some_and(|peer| peer.is_free(now));
            let neighbour = self.neighbours.get_mut(&peer).filter(|_| is_free);
            if let Some(neighbour) = neighbour.filter(|it| now >= it.checked + CHECK_EACH) {
                neighbour.checked = now;
                self.check(&peer, actions);
            }
        }
    }

    fn is_lost(&self, peer: &PeerAddress, now: Duration) -> bool {
        self.table.get(peer).is_none_or(|peer| {
            let is_ill = peer.calls(now) >= CALLS_MIN && peer.health(now) < HEALTH_MIN;
            !peer.agrees
                || peer.banned_for(now).is_some()
                || peer.failures() >= FAILURES_MAX
                || is_ill
        })
    }

    /// Replaces a neighbour with where the walk is.
    fn rotate(&mut self, now: Duration, dice: &mut impl Dice) {
        let each = match self.wanted.nobody_has_some() {
            true => ROTATE_EACH_LACKING,
            false => ROTATE_EACH,
        };
        // Something may have gone missing since the time was set.
        self.times.rotate = self.times.rotate.min(now + each);
        if self.times.rotate > now {
            return;
        }
        // A little noise, so that nodes that started together do not change neighbours together.
        self.times.rotate = now + each.mul_f64(0.9 + dice.unit() / 5.0);
        let sample = self.walk.current().cloned();
        let is_full = self.neighbours.len() >= self.wish.neighbours;
        let Some(sample) = sample.filter(|sample| is_full && self.can_join(sample, now)) else {
            return;
        };
        let Some(oldest) = self.oldest() else { return };
        self.leave(&oldest);
        match self.fits(&sample) {
            true => self.join(sample, now),
            false => self.fill_circle(now, dice),
        }
    }

    /// The learned neighbour that was longest one; if the configured ones have more than their half, one of them.
    fn oldest(&self) -> Option<PeerAddress> {
        let takes_configured = self.configured_neighbours() > self.wish.neighbours / 2;
        let old = self
            .neighbours
            .iter()
            .filter(|(peer, _)| self.is_configured(peer) == takes_configured);
        let oldest = old.min_by_key(|(_, neighbour)| neighbour.joined);
        oldest.map(|(peer, _)| peer.clone())
    }

    fn is_configured(&self, peer: &PeerAddress) -> bool {
        self.table.get(peer).is_some_and(|peer| peer.configured)
    }

    fn configured_neighbours(&self) -> usize {
        self.neighbours
            .keys()
            .filter(|peer| self.is_configured(peer))
            .count()
    }

    /// Whether a peer can become a neighbour, its prefix aside.
    fn can_join(&self, peer: &PeerAddress, now: Duration) -> bool {
        !self.neighbours.contains_key(peer)
            && self.table.get(peer).is_some_and(|peer| peer.is_good(now))
    }

    /// Whether there are few enough learned neighbours of its prefix. Configured ones are their owner's choice.
    fn fits(&self, peer: &PeerAddress) -> bool {
        let prefix = peer.prefix();
        let learned = self
            .neighbours
            .keys()
            .filter(|peer| !self.is_configured(peer));
        let same = learned
            .map(PeerAddress::prefix)
            .filter(|other: &Prefix| *other == prefix);
        self.is_configured(peer) || same.count() < self.wish.per_prefix
    }

    /// Fills free places with random peers of the table.
    fn fill_circle(&mut self, now: Duration, dice: &mut impl Dice) {
        let good = self
            .table
            .iter()
            .filter(|(address, _)| self.can_join(address, now));
        let (mut configured, mut learned) = (Vec::new(), Vec::new());
        for (address, peer) in good {
            match peer.configured {
                true => configured.push(address.clone()),
                false => learned.push(address.clone()),
            }
        }
        while self.neighbours.len() < self.wish.neighbours {
            learned.retain(|peer| self.can_join(peer, now) && self.fits(peer));
            configured.retain(|peer| self.can_join(peer, now));
            let has_half = self.configured_neighbours() >= self.wish.neighbours.div_ceil(2);
            let places = match learned.is_empty() || !has_half && !configured.is_empty() {
                true => &configured,
                false => &learned,
            };
            let Some(peer) = pick(places, dice).cloned() else {
                return;
            };
            self.join(peer, now);
        }
    }

    fn join(&mut self, peer: PeerAddress, now: Duration) {
        let neighbour = Neighbour {
            joined: now,
            inventory: None,
            asked: None,
            is_asking: false,
            checked: now,
            offers: 0,
            fetches: 0,
            batch: BATCH_MAX,
            next_fetch: now,
            is_pushing: false,
            next_push: self.pushes.end(),
        };
        self.neighbours.insert(peer, neighbour);
    }

    /// A neighbour is one no more. What it was asked for may still come.
    pub(super) fn leave(&mut self, peer: &PeerAddress) {
        let Some(neighbour) = self.neighbours.remove(peer) else {
            return;
        };
        if let Some(inventory) = neighbour.inventory {
            self.wanted
                .compare(&inventory, &Inventory::default(), neighbour.offers);
        }
    }
}
