//! Where the records of one segment begin: in memory, and in the table beside a segment that saves reading it at a start.
//!
//! Most places are one sorted array of 28 bytes each; what was appended lately waits in a small map beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::hash::ZonefileHash;

use super::super::codec::{Field, Input};
use super::record::seal_of_places;

/// The first bytes of a table.
const MARK: [u8; 8] = *b"bnsplac1";
/// Bytes of a place in a table.
const ROW: usize = 28;
/// Bytes of a table around its places: mark, end, count and seal.
const AROUND: usize = 32;
/// Most places that wait to be sorted in.
const RECENT_MAX: usize = 4_096;

/// A record in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where it begins.
    pub at: u32,
    /// Its bytes, the head among them.
    pub size: u32,
}

impl Place {
    fn bytes(self) -> u64 {
        u64::from(self.size)
    }
}

/// The live records of a segment by hash.
#[derive(Debug, Default)]
pub struct Places {
    sorted: Vec<(ZonefileHash, Place)>,
    recent: BTreeMap<ZonefileHash, Place>,
    live: u64,
}

impl Places {
    /// Bytes of all these records.
    pub fn live(&self) -> u64 {
        self.live
    }

    pub fn get(&self, hash: &ZonefileHash) -> Option<Place> {
        let recent = self.recent.get(hash).copied();
        recent.or_else(|| Some(self.sorted[self.find(hash).ok()?].1))
    }

    /// Notes a record, in place of an earlier one of the same hash.
    pub fn insert(&mut self, hash: ZonefileHash, place: Place) {
        self.live += place.bytes();
        let before = match self.find(&hash) {
            Ok(number) => Some(std::mem::replace(&mut self.sorted[number].1, place)),
            Err(_) => self.recent.insert(hash, place),
        };
        self.live -= before.map_or(0, Place::bytes);
        if self.recent.len() > RECENT_MAX {
            self.sort();
        }
    }

    /// Forgets records; says whether one of them was known.
    pub fn remove<'h>(&mut self, hashes: impl IntoIterator<Item = &'h ZonefileHash>) -> bool {
        let before = self.live;
        let mut sorted = BTreeSet::new();
        for hash in hashes {
            match self.find(hash) {
                Ok(number) => drop(sorted.insert(number)),
                Err(_) => self.live -= self.recent.remove(hash).map_or(0, Place::bytes),
            }
        }
        if !sorted.is_empty() {
            self.remove_sorted(&sorted);
        }
        self.live != before
    }

    fn remove_sorted(&mut self, gone: &BTreeSet<usize>) {
        let (mut number, mut live) = (0, self.live);
        self.sorted.retain(|(_, place)| {
            let is_gone = gone.contains(&number);
            live -= if is_gone { place.bytes() } else { 0 };
            number += 1;
            !is_gone
        });
        self.live = live;
    }

    /// At most `count` hashes behind `after`, in order.
    pub fn behind(&self, after: Option<&ZonefileHash>, count: usize) -> Vec<ZonefileHash> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let first = after.map_or(0, |after| {
            self.sorted.partition_point(|(hash, _)| hash <= after)
        });
        let sorted = self.sorted[first..].iter().map(|(hash, _)| *hash);
        let recent = self.recent.range((start, Bound::Unbounded));
        let mut behind: BTreeSet<ZonefileHash> = sorted.take(count).collect();
        behind.extend(recent.take(count).map(|(hash, _)| *hash));
        behind.into_iter().take(count).collect()
    }

    /// All hashes, in no order.
    pub fn hashes(&self) -> impl Iterator<Item = ZonefileHash> + '_ {
        let sorted = self.sorted.iter().map(|(hash, _)| *hash);
        sorted.chain(self.recent.keys().copied())
    }

    /// The table of a segment of which `end` bytes are noted here.
    pub fn write(&mut self, end: u64) -> Vec<u8> {
        self.sort();
        let mut table = Vec::with_capacity(AROUND + self.sorted.len() * ROW);
        MARK.write(&mut table);
        end.write(&mut table);
        (self.sorted.len() as u64).write(&mut table);
        for (hash, place) in &self.sorted {
            hash.write(&mut table);
            place.at.write(&mut table);
            place.size.write(&mut table);
        }
        let seal = seal_of_places(&table);
        seal.write(&mut table);
        table
    }

    /// The places of a table and the bytes of its segment that they cover; `None` if it is not whole, or covers more than
    /// `length` bytes.
    pub fn read(table: &[u8], length: u64) -> Option<(Self, u64)> {
        let (sealed, seal) = table.split_at_checked(table.len().checked_sub(size_of::<u64>())?)?;
        if seal_of_places(sealed).to_be_bytes() != *seal {
            return None;
        }
        let mut input = Input::new(sealed);
        let mark = <[u8; 8]>::read(&mut input)?;
        let (end, count) = (u64::read(&mut input)?, u64::read(&mut input)?);
        let rows = input.rest();
        if mark != MARK || end > length || rows.len() as u64 != count.checked_mul(ROW as u64)? {
            return None;
        }
        let mut places = Self::default();
        places.sorted.reserve_exact(rows.len() / ROW);
        for row in rows.chunks_exact(ROW) {
            places.push(row, end)?;
        }
        Some((places, end))
    }

    /// Adds the next row of a table, which has to be behind the last one.
    fn push(&mut self, row: &[u8], end: u64) -> Option<()> {
        let mut input = Input::new(row);
        let hash = ZonefileHash::read(&mut input)?;
        let place = Place {
            at: u32::read(&mut input)?,
            size: u32::read(&mut input)?,
        };
        let is_next = self.sorted.last().is_none_or(|(last, _)| *last < hash);
        let fits = u64::from(place.at) + u64::from(place.size) <= end;
        (is_next && fits).then(|| {
            self.live += place.bytes();
            self.sorted.push((hash, place));
        })
    }

    fn find(&self, wanted: &ZonefileHash) -> Result<usize, usize> {
        self.sorted.binary_search_by(|(hash, _)| hash.cmp(wanted))
    }

    fn sort(&mut self) {
        self.sorted.reserve_exact(self.recent.len());
        self.sorted.extend(std::mem::take(&mut self.recent));
        self.sorted.sort_by_key(|(hash, _)| *hash); // two sorted runs, which this sort merges
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
        (0..count).for_each(|number| places.insert(hash(number), place(number)));
        places
    }

    #[test]
    fn a_place_takes_no_more_than_its_row() {
        assert_eq!(size_of::<(ZonefileHash, Place)>(), ROW);
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
        assert!(places.remove([&hash(7), &hash(9_999)]));
        assert!(!places.remove([&hash(7)]));
        assert_eq!((places.get(&hash(7)), places.live()), (None, 999_800));
        assert_eq!(places.hashes().count(), 9_998);
    }

    #[test]
    fn hashes_come_in_order_page_by_page() {
        let places = places(5_000);
        let mut expected: Vec<ZonefileHash> = (0..5_000).map(hash).collect();
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
        let table = places(9).write(900);
        let (again, end) = Places::read(&table, 1_000).expect("it is whole");
        assert_eq!((end, again.live()), (900, 900));
        assert!((0..9).all(|n| again.get(&hash(n)) == Some(place(n))));
        assert!(Places::read(&table, 899).is_none(), "of a longer segment");
        for position in 0..table.len() {
            let mut changed = table.clone();
            changed[position] ^= 1;
            assert!(Places::read(&changed, 1_000).is_none(), "byte {position}");
            assert!(Places::read(&table[..position], 1_000).is_none());
        }
    }
}
