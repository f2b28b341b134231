//! The files that the chain announces and that we lack, rarest first.
//!
//! How rare a file is follows from the inventories of our neighbours. When an inventory changes, only the files whose bits
//! changed are looked at again: 70,000 missing files and eight neighbours are the rule after a loss of the archive.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::inventory::Inventory;
use crate::hash::ZonefileHash;
use crate::peer_address::PeerAddress;

/// A call for a file that takes longer may be doubled by a call to another peer.
const LATE: Duration = Duration::from_secs(5);
/// Peers that are asked for the same file at the same time, if the first is late.
const ASKED_AT_ONCE: usize = 2;
/// Files that go first because somebody asked for them; the oldest wish is dropped.
const URGENT_MAX: usize = 1000;
/// How long a search in the backups counts (the reference's `tried_storage`, which it resets as often).
const BACKUPS_AGAIN: Duration = Duration::from_secs(43_200);

/// A missing file.
#[derive(Debug)]
struct File {
    rows: Box<[u32]>,
    /// How many neighbours say that they have it.
    claims: u16,
    /// When the backups may be asked again, in whole seconds; `None` if they never were.
    backups_again: Option<u32>,
}

/// A call that asked for a file.
#[derive(Debug)]
struct Flight {
    peer: PeerAddress,
    since: Duration,
}

/// All missing files.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    files: BTreeMap<ZonefileHash, File>,
    by_row: BTreeMap<u32, ZonefileHash>,
    /// Every file by (claims, hash).
    order: BTreeSet<(u16, ZonefileHash)>,
    urgent: VecDeque<ZonefileHash>,
    flights: BTreeMap<ZonefileHash, Vec<Flight>>,
}

impl Wanted {
    /// How many files are missing.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether it is missing.
    pub(super) fn contains(&self, hash: &ZonefileHash) -> bool {
        self.files.contains_key(hash)
    }

    /// Whether no neighbour says that it has this file, which is missing.
    pub(super) fn nobody_has(&self, hash: &ZonefileHash) -> bool {
        self.files.get(hash).is_some_and(|file| file.claims == 0)
    }

    /// Whether there is a file that no neighbour says it has.
    pub(super) fn nobody_has_some(&self) -> bool {
        self.order.first().is_some_and(|(claims, _)| *claims == 0)
    }

    /// The rows of a missing file.
    pub(super) fn rows(&self, hash: &ZonefileHash) -> &[u32] {
        self.files.get(hash).map_or(&[], |file| &file.rows)
    }

    /// Adds a file that no neighbour has, as far as we know.
    pub(super) fn add(&mut self, hash: ZonefileHash, rows: Vec<u32>) {
        self.remove(&hash);
        self.by_row.extend(rows.iter().map(|row| (*row, hash)));
        self.order.insert((0, hash));
        let rows = rows.into_boxed_slice();
        let file = File {
            rows,
            claims: 0,
            backups_again: None,
        };
        self.files.insert(hash, file);
    }

    /// Forgets a file that is not missing any more; its rows.
    pub(super) fn remove(&mut self, hash: &ZonefileHash) -> Option<Box<[u32]>> {
        let file = self.files.remove(hash)?;
        for row in &file.rows {
            self.by_row.remove(row);
        }
        self.order.remove(&(file.claims, *hash));
        self.urgent.retain(|urgent| urgent != hash);
        self.flights.remove(hash);
        Some(file.rows)
    }

    /// Puts a missing file before all others.
    pub(super) fn urge(&mut self, hash: ZonefileHash) {
        if !self.contains(&hash) || self.urgent.contains(&hash) {
            return;
        }
        if self.urgent.len() == URGENT_MAX {
            self.urgent.pop_front();
        }
        self.urgent.push_back(hash);
    }

    /// Takes over that a neighbour's inventory changed from `old` to `new`. Returns how many missing files it has now, if
    /// it had `offers` of them.
    pub(super) fn compare(&mut self, old: &Inventory, new: &Inventory, offers: usize) -> usize {
        let by_row = &self.by_row;
        let changed = old.changed_rows(new).filter_map(|row| by_row.get(&row));
        let changed: BTreeSet<ZonefileHash> = changed.copied().collect();
        let mut offers = offers;
        for hash in changed {
            let (had, has) = (self.claimed(&hash, old), self.claimed(&hash, new));
            match (had, has) {
                (false, true) => offers += 1,
                (true, false) => offers = offers.saturating_sub(1),
                _ => continue,
            }
            self.count(hash, has);
        }
        offers
    }

    /// Whether an inventory has the bit of one of a file's rows.
    pub(super) fn claimed(&self, hash: &ZonefileHash, inventory: &Inventory) -> bool {
        self.rows(hash).iter().any(|row| inventory.get(*row))
    }

    /// Says how many neighbours have a file that was just added.
    pub(super) fn set_claims(&mut self, hash: &ZonefileHash, claims: u16) {
        if let Some(file) = self.files.get_mut(hash) {
            self.order.remove(&(file.claims, *hash));
            file.claims = claims;
            self.order.insert((claims, *hash));
        }
    }

    /// One neighbour more or less has it.
    fn count(&mut self, hash: ZonefileHash, has: bool) {
        let Some(file) = self.files.get_mut(&hash) else {
            return;
        };
        self.order.remove(&(file.claims, hash));
        file.claims = match has {
            true => file.claims.saturating_add(1),
            false => file.claims.saturating_sub(1),
        };
        self.order.insert((file.claims, hash));
    }

    /// The files to ask a peer for: those that somebody waits for, then the rarest; at most `limit`.
    pub(super) fn pick(
        &self,
        peer: &PeerAddress,
        inventory: &Inventory,
        limit: usize,
        now: Duration,
    ) -> Vec<ZonefileHash> {
        let mut picked = self.pick_urgent(peer, inventory, limit, now);
        let somebody_has = (1, ZonefileHash([0; 20]));
        for (_, hash) in self.order.range(somebody_has..) {
            if picked.len() >= limit {
                break;
            }
            if self.is_for(hash, peer, inventory, now) && !self.urgent.contains(hash) {
                picked.push(*hash);
            }
        }
        picked
    }

    /// Those among them that somebody waits for.
    pub(super) fn pick_urgent(
        &self,
        peer: &PeerAddress,
        inventory: &Inventory,
        limit: usize,
        now: Duration,
    ) -> Vec<ZonefileHash> {
        let urgent = self.urgent.iter();
        let urgent = urgent.filter(|hash| self.is_for(hash, peer, inventory, now));
        urgent.take(limit).copied().collect()
    }

    fn is_for(
        &self,
        hash: &ZonefileHash,
        peer: &PeerAddress,
        inventory: &Inventory,
        now: Duration,
    ) -> bool {
        self.is_free(hash, peer, now) && self.claimed(hash, inventory)
    }

    /// Whether nobody else is asked for it, or only somebody who is late.
    fn is_free(&self, hash: &ZonefileHash, peer: &PeerAddress, now: Duration) -> bool {
        let flights = self.flights.get(hash).map_or(&[][..], Vec::as_slice);
        let late = |flight: &Flight| now.saturating_sub(flight.since) >= LATE;
        flights.len() < ASKED_AT_ONCE
            && flights
                .iter()
                .all(|flight| late(flight) && flight.peer != *peer)
    }

    /// Notes that a peer is asked for files.
    pub(super) fn take_off(&mut self, peer: &PeerAddress, hashes: &[ZonefileHash], now: Duration) {
        for hash in hashes {
            let flight = Flight {
                peer: peer.clone(),
                since: now,
            };
            self.flights.entry(*hash).or_default().push(flight);
        }
    }

    /// Notes that the call ended.
    pub(super) fn land(&mut self, peer: &PeerAddress, hashes: &[ZonefileHash]) {
        for hash in hashes {
            if let Some(flights) = self.flights.get_mut(hash) {
                flights.retain(|flight| flight.peer != *peer);
                if flights.is_empty() {
                    self.flights.remove(hash);
                }
            }
        }
    }

    /// When the first of the calls under way is late.
    pub(super) fn next_late(&self, now: Duration) -> Option<Duration> {
        let flights = self.flights.values().filter(|flights| flights.len() == 1);
        let late = flights.flatten().map(|flight| flight.since + LATE);
        late.filter(|late| *late > now).min()
    }

    /// Files to look for in the backups, those that somebody waits for first: no neighbour has them, and the backups were
    /// not asked of late. Those for which they never were asked come first. They count as asked.
    pub(super) fn pick_for_backups(&mut self, limit: usize, now: Duration) -> Vec<ZonefileHash> {
        let (due, again) = (seconds(now), seconds(now + BACKUPS_AGAIN));
        let nobody_has = || self.order.iter().take_while(|(claims, _)| *claims == 0);
        let urgent = self.urgent.iter().map(|hash| (hash, due));
        let new = nobody_has().map(|(_, hash)| (hash, 0));
        let others = nobody_has().map(|(_, hash)| (hash, due));
        let mut picked = Vec::new();
        for (hash, due) in urgent.chain(new).chain(others) {
            if picked.len() == limit {
                break;
            }
            let Some(file) = self.files.get_mut(hash).filter(|file| file.claims == 0) else {
                continue;
            };
            if file.backups_again.is_none_or(|at| at <= due) {
                file.backups_again = Some(again);
                picked.push(*hash);
            }
        }
        picked
    }

    /// The backups did not say whether they have these files, and are asked again at a time.
    pub(super) fn ask_backups_again(&mut self, hashes: &[ZonefileHash], at: Duration) {
        for hash in hashes {
            if let Some(file) = self.files.get_mut(hash) {
                file.backups_again = Some(seconds(at));
            }
        }
    }
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u8) -> ZonefileHash {
        ZonefileHash([number; 20])
    }

    fn inventory(rows: &[u32]) -> Inventory {
        let mut inventory = Inventory::new(100);
        rows.iter().for_each(|row| inventory.set(*row));
        inventory
    }

    fn peer(number: u8) -> PeerAddress {
        PeerAddress::new([9, number, 0, 1].into(), 6264)
    }

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn the_rarest_comes_first_and_equals_follow_their_hashes() {
        let mut wanted = Wanted::default();
        (1..=4).for_each(|n| wanted.add(hash(n), vec![n.into()]));
        let none = Inventory::default();
        let all = inventory(&[1, 2, 3]);
        assert_eq!(wanted.compare(&none, &all, 0), 3);
        assert_eq!(wanted.compare(&none, &inventory(&[1]), 0), 1);
        assert_eq!(
            wanted.pick(&peer(1), &all, 9, NOW),
            [hash(2), hash(3), hash(1)]
        );
        assert_eq!(wanted.pick(&peer(1), &all, 2, NOW), [hash(2), hash(3)]);
        assert!(wanted.nobody_has(&hash(4)) && wanted.nobody_has_some());
        wanted.urge(hash(1));
        assert_eq!(wanted.pick(&peer(1), &all, 2, NOW), [hash(1), hash(2)]);
        assert_eq!(wanted.compare(&all, &none, 3), 0);
        assert_eq!(wanted.pick(&peer(1), &all, 9, NOW), [hash(1)]);
    }

    #[test]
    fn a_file_of_several_rows_counts_once() {
        let mut wanted = Wanted::default();
        wanted.add(hash(1), vec![1, 9, 17]);
        let (none, some, all) = (
            Inventory::default(),
            inventory(&[9]),
            inventory(&[1, 9, 17]),
        );
        assert_eq!(wanted.compare(&none, &some, 0), 1);
        assert_eq!(wanted.compare(&some, &all, 1), 1);
        assert!(!wanted.nobody_has(&hash(1)));
        assert_eq!(wanted.compare(&all, &none, 1), 0);
        assert!(wanted.nobody_has(&hash(1)));
    }

    #[test]
    fn nobody_is_asked_for_what_is_under_way_unless_it_is_late() {
        let mut wanted = Wanted::default();
        let all = inventory(&[1]);
        wanted.add(hash(1), vec![1]);
        wanted.compare(&Inventory::default(), &all, 0);
        wanted.take_off(&peer(1), &[hash(1)], NOW);
        assert!(wanted.pick(&peer(2), &all, 9, NOW).is_empty());
        let late = NOW + LATE;
        assert_eq!(wanted.next_late(NOW), Some(late));
        assert!(
            wanted.pick(&peer(1), &all, 9, late).is_empty(),
            "the same peer twice"
        );
        assert_eq!(wanted.pick(&peer(2), &all, 9, late), [hash(1)]);
        wanted.take_off(&peer(2), &[hash(1)], late);
        assert!(
            wanted.pick(&peer(3), &all, 9, late + LATE).is_empty(),
            "two are enough"
        );
        wanted.land(&peer(1), &[hash(1)]);
        assert_eq!(wanted.pick(&peer(3), &all, 9, late + LATE), [hash(1)]);
    }

    #[test]
    fn backups_are_asked_every_twelve_hours_for_what_no_neighbour_has() {
        let mut wanted = Wanted::default();
        (1..=3).for_each(|n| wanted.add(hash(n), vec![n.into()]));
        wanted.compare(&Inventory::default(), &inventory(&[2]), 0);
        wanted.urge(hash(3));
        assert_eq!(wanted.pick_for_backups(9, NOW), [hash(3), hash(1)]);
        assert!(wanted.pick_for_backups(9, NOW).is_empty());
        assert_eq!(wanted.pick_for_backups(1, NOW + BACKUPS_AGAIN), [hash(3)]);
    }

    #[test]
    fn what_the_backups_did_not_say_is_asked_again_after_what_is_new() {
        let mut wanted = Wanted::default();
        (1..=3).for_each(|n| wanted.add(hash(n), vec![n.into()]));
        assert_eq!(wanted.pick_for_backups(2, NOW), [hash(1), hash(2)]);
        let again = NOW + Duration::from_secs(60);
        wanted.ask_backups_again(&[hash(2), hash(9)], again);
        assert_eq!(wanted.pick_for_backups(9, again), [hash(3), hash(2)]);
        assert!(wanted.pick_for_backups(9, again).is_empty());
    }
}
