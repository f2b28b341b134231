//! Where the records of one segment begin: in memory, and in the table beside a segment that saves reading it at a start.
//!
//! Most places are rows as they stand in the table, sorted by hash, so that a start takes them as they are. What was appended lately
//! waits in a small map beside them.

mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::hash::ZonefileHash;

pub use rows::Place;
use rows::Rows;

/// Fewest places that wait to be merged with the rows, and the part of the rows that may wait: one of so many. So each row is
/// merged a few times, however many there are.
const RECENT_MIN: usize = 4_096;
const RECENT_PART: usize = 16;
/// Rows of records that are dead are dropped when they are so many of all: one of so many.
const DROPPED_PART: usize = 2;
/// A table that knows too many dead records is written again: one of so many.
const STALE_PART: usize = 8;

/// The live records of a segment by hash.
#[derive(Debug, Default)]
pub struct Places {
    rows: Rows,
    recent: BTreeMap<ZonefileHash, Place>,
    live: u64,
    /// Rows of records that are dead.
    dropped: usize,
    /// Records that died since the table was written.
    stale: usize,
}

impl Places {
    /// Bytes of all these records.
    pub fn live(&self) -> u64 {
        self.live
    }

    pub fn get(&self, hash: &ZonefileHash) -> Option<Place> {
        let row = || {
            let place = self.rows.place(self.rows.find(hash).ok()?);
            (!place.is_dropped()).then_some(place)
        };
        match self.recent.is_empty() {
            true => row(),
            false => self.recent.get(hash).copied().or_else(row),
        }
    }

    /// Notes a record, in place of an earlier one of the same hash.
    pub fn insert(&mut self, hash: ZonefileHash, place: Place) {
        self.live += place.bytes();
        let before = match self.rows.find(&hash) {
            Ok(number) => {
                let before = self.rows.place(number);
                let was_dropped = usize::from(before.is_dropped());
                self.dropped = self.dropped.saturating_sub(was_dropped);
                self.rows.put(number, place);
                Some(before)
            }
            Err(_) => self.recent.insert(hash, place),
        };
        self.forget(before);
    }

    /// Forgets records.
    pub fn remove<'h>(&mut self, hashes: impl IntoIterator<Item = &'h ZonefileHash>) {
        for hash in hashes {
            let gone = match self.rows.find(hash) {
                Ok(number) => self.drop_row(number),
                Err(_) => self.recent.remove(hash),
            };
            self.stale += usize::from(gone.is_some());
            self.forget(gone);
        }
    }

    /// The row stays where it is until the next merge, since thousands of others would have to move.
    fn drop_row(&mut self, number: usize) -> Option<Place> {
        let place = self.rows.place(number);
        if place.is_dropped() {
            return None;
        }
        self.rows.put(number, Place::DROPPED);
        self.dropped += 1;
        Some(place)
    }

    fn forget(&mut self, place: Option<Place>) {
        let bytes = place.map_or(0, Place::bytes);
        self.live = self.live.saturating_sub(bytes); // what a table says need not be true
    }

    /// At most `count` hashes behind `after`, in order.
    pub fn behind(&self, after: Option<&ZonefileHash>, count: usize) -> Vec<ZonefileHash> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let recent = self.recent.range((start, Bound::Unbounded));
        let mut behind: BTreeSet<ZonefileHash> = self.rows.behind(after).take(count).collect();
        behind.extend(recent.take(count).map(|(hash, _)| *hash));
        behind.into_iter().take(count).collect()
    }

    /// All hashes, in no order.
    pub fn hashes(&self) -> impl Iterator<Item = ZonefileHash> + '_ {
        self.rows.behind(None).chain(self.recent.keys().copied())
    }

    /// Whether enough changed to merge: see [`Places::merged`].
    pub fn is_crowded(&self) -> bool {
        let most = (self.rows.count() / RECENT_PART).max(RECENT_MIN);
        self.recent.len() > most || self.has_many(self.dropped, DROPPED_PART)
    }

    /// Whether the table that was written knows too many dead records.
    pub fn is_stale(&self) -> bool {
        self.has_many(self.stale, STALE_PART)
    }

    fn has_many(&self, some: usize, part: usize) -> bool {
        some > 0 && some * part >= self.rows.count() + self.recent.len()
    }

    /// All places as rows. Takes a while where there are millions, and changes nothing: [`Places::settle`] takes them.
    pub fn merged(&self) -> Rows {
        self.rows.merged(&self.recent, self.dropped)
    }

    /// Takes what [`Places::merged`] gave, if nothing changed since.
    pub fn settle(&mut self, merged: Rows) {
        self.rows = merged;
        self.recent.clear();
        self.dropped = 0;
    }

    /// Merges at once.
    pub fn sort(&mut self) {
        let merged = self.merged();
        self.settle(merged);
    }

    /// The table of a segment of which `end` bytes are noted here, if nothing is left to merge.
    pub fn table(&self, end: u64) -> Vec<u8> {
        self.rows.table(end, self.live)
    }

    /// The table is on the disk.
    pub fn note_table(&mut self) {
        self.stale = 0;
    }

    /// The places of a table and the bytes of its segment that they cover; `None` if it is not whole, or covers more than
    /// `length` bytes.
    pub fn read(table: Vec<u8>, length: u64) -> Option<(Self, u64)> {
        let (rows, end, live) = Rows::read(table)?;
        let places = Self {
            rows,
            live,
            ..Self::default()
        };
        (end <= length && live <= end).then_some((places, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u32) -> ZonefileHash {
        ZonefileHash::of(&number.to_be_bytes())
    }

    fn place(number: u32) -> Place {
        Place {
            at: number * 100,
            size: 100,
        }
    }

    fn places(count: u32) -> Places {
        let mut places = Places::default();
        for number in 0..count {
            places.insert(hash(number), place(number));
            if places.is_crowded() {
                places.sort();
            }
        }
        places
    }

    #[test]
    fn places_are_found_replaced_and_removed() {
        let mut places = places(10_000);
        let all = 0..10_000;
        assert!(all.clone().all(|n| places.get(&hash(n)) == Some(place(n))));
        assert_eq!(places.get(&hash(10_000)), None);
        assert_eq!(places.live(), 1_000_000);
        places.insert(hash(7), place(10_001));
        places.insert(hash(9_999), place(10_002));
        assert_eq!(places.get(&hash(7)), Some(place(10_001)));
        assert_eq!(places.live(), 1_000_000);
        for _ in 0..2 {
            places.remove([&hash(7), &hash(9_999)]);
            assert_eq!((places.get(&hash(7)), places.live()), (None, 999_800));
            assert_eq!(places.hashes().count(), 9_998);
        }
        places.insert(hash(7), place(7));
        places.sort();
        assert_eq!(places.get(&hash(7)), Some(place(7)));
        assert_eq!(places.get(&hash(9_999)), None);
        assert_eq!((places.hashes().count(), places.live()), (9_999, 999_900));
    }

    #[test]
    fn dropped_rows_are_merged_away_and_make_a_table_stale() {
        let mut places = places(10_000);
        places.sort();
        places.note_table();
        let hashes: Vec<ZonefileHash> = (0..5_000).map(hash).collect();
        places.remove(&hashes[..1_000]);
        assert!(!places.is_stale() && !places.is_crowded());
        places.remove(&hashes[..1_250]);
        assert!(places.is_stale() && !places.is_crowded());
        places.remove(&hashes);
        assert!(places.is_crowded());
        places.sort();
        assert!(!places.is_crowded());
        assert!((0..10_000).all(|n| places.get(&hash(n)) == (n >= 5_000).then_some(place(n))));
    }

    #[test]
    fn hashes_come_in_order_page_by_page() {
        let mut places = places(5_000);
        places.remove([&hash(17)]);
        let mut expected: Vec<ZonefileHash> = (0..5_000).map(hash).collect();
        expected.remove(17);
        expected.sort_unstable();
        let mut seen: Vec<ZonefileHash> = Vec::new();
        loop {
            let page = places.behind(seen.last(), 333);
            if page.is_empty() {
                break;
            }
            seen.extend(page);
        }
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_table_comes_back_and_no_changed_one_is_taken() {
        let mut places = places(9);
        places.sort();
        let table = places.table(900);
        let (again, end) = Places::read(table.clone(), 1_000).expect("it is whole");
        assert_eq!((end, again.live()), (900, 900));
        assert!((0..9).all(|n| again.get(&hash(n)) == Some(place(n))));
        assert!(
            Places::read(table.clone(), 899).is_none(),
            "of a longer one"
        );
        for position in 0..table.len() {
            let mut changed = table.clone();
            changed[position] ^= 1;
            assert!(Places::read(changed, 1_000).is_none(), "byte {position}");
            assert!(Places::read(table[..position].to_vec(), 1_000).is_none());
        }
    }
}
