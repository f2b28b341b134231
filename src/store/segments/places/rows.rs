//! Rows of a table: a hash, where its record begins and how long that is, sorted by hash.

use std::collections::BTreeMap;

use flate2::Crc;

use crate::hash::ZonefileHash;

use super::super::super::codec::{Field, Input};
use super::super::record::RECORD_MAX;

/// What stands behind the rows of a table.
const MARK: [u8; 8] = *b"bnsplac2";
/// Bytes of a hash, and of a row.
const HASH: usize = 20;
const ROW: usize = HASH + 8;
/// Bytes behind the rows: mark, end, live bytes, CRC-32.
const END: usize = 28;
/// Places that are guessed before the last steps to a row, which are short then.
const GUESSES: usize = 3;

/// A record in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where it begins.
    pub at: u32,
    /// Its bytes, the head among them.
    pub size: u32,
}

impl Place {
    /// Of a record that is dead.
    pub const DROPPED: Self = Self { at: 0, size: 0 };

    pub fn bytes(self) -> u64 {
        u64::from(self.size)
    }

    /// Whether no record is that long, as that of a dropped row.
    pub fn is_dropped(self) -> bool {
        !(1..=RECORD_MAX).contains(&(self.size as usize))
    }
}

/// Sorted rows, as bytes.
#[derive(Debug, Default)]
pub struct Rows(Vec<u8>);

/// Where a row has to be: those before `low` are before it, those from `high` on are it or behind it.
#[derive(Debug, Clone, Copy)]
struct Span {
    low: usize,
    high: usize,
    /// The beginnings of the hashes there.
    low_key: u64,
    high_key: u64,
}

impl Rows {
    pub fn count(&self) -> usize {
        self.0.len() / ROW
    }

    pub fn place(&self, number: usize) -> Place {
        let mut input = Input::new(&self.row(number)[HASH..]);
        let place = u32::read(&mut input).zip(u32::read(&mut input));
        place.map_or(Place::DROPPED, |(at, size)| Place { at, size })
    }

    /// Puts another place into a row.
    pub fn put(&mut self, number: usize, place: Place) {
        let start = number * ROW + HASH;
        let [at, size] = [place.at, place.size].map(u32::to_be_bytes);
        self.0[start..start + 4].copy_from_slice(&at);
        self.0[start + 4..start + 8].copy_from_slice(&size);
    }

    /// The number of the row with a hash, or of the first one behind it.
    ///
    /// Hashes are spread evenly, so a guess by proportion comes within some hundred rows of millions, a third one next to it. Whoever
    /// makes hashes with like beginnings makes guesses worse; the steps after them double, so that all of it stays a bisection.
    pub fn find(&self, wanted: &ZonefileHash) -> Result<usize, usize> {
        let span = self.near(wanted);
        let (mut low, mut high) = (span.low, span.high);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.is_before(middle, wanted) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        match low < self.count() && self.hash(low) == wanted.0 {
            true => Ok(low),
            false => Err(low),
        }
    }

    /// A short span in which a row has to be.
    fn near(&self, wanted: &ZonefileHash) -> Span {
        let mut span = Span {
            low: 0,
            high: self.count(),
            low_key: 0,
            high_key: u64::MAX,
        };
        let key = key(&wanted.0);
        let mut is_behind = false;
        for _ in 0..GUESSES {
            if span.low == span.high {
                return span;
            }
            let guess = span.guess(key);
            is_behind = self.narrow(&mut span, guess, wanted);
        }
        let mut step = 4;
        while span.high - span.low > step {
            let next = match is_behind {
                true => span.low + step - 1,
                false => span.high - step,
            };
            if self.narrow(&mut span, next, wanted) != is_behind {
                break;
            }
            step *= 2;
        }
        span
    }

    /// Looks at a row of a span; says whether what is wanted is behind it.
    fn narrow(&self, span: &mut Span, number: usize, wanted: &ZonefileHash) -> bool {
        let is_behind = self.is_before(number, wanted);
        match is_behind {
            true => (span.low, span.low_key) = (number + 1, key(self.hash(number))),
            false => (span.high, span.high_key) = (number, key(self.hash(number))),
        }
        is_behind
    }

    fn is_before(&self, number: usize, wanted: &ZonefileHash) -> bool {
        *self.hash(number) < wanted.0[..]
    }

    /// The hashes behind `after`, in order, without those of dropped rows.
    pub fn behind(&self, after: Option<&ZonefileHash>) -> impl Iterator<Item = ZonefileHash> + '_ {
        let first = after.map_or(0, |after| match self.find(after) {
            Ok(number) => number + 1,
            Err(number) => number,
        });
        let numbers = (first..self.count()).filter(|number| !self.place(*number).is_dropped());
        numbers.filter_map(|number| Some(ZonefileHash(self.hash(number).try_into().ok()?)))
    }

    /// These rows and others, without the `dropped` ones.
    pub fn merged(&self, others: &BTreeMap<ZonefileHash, Place>, dropped: usize) -> Self {
        let count = self.count().saturating_sub(dropped) + others.len();
        let mut merged = Self(Vec::with_capacity(count * ROW));
        let mut next = 0;
        for (hash, place) in others {
            let end = self.find(hash).unwrap_or_else(|number| number).max(next);
            merged.extend(self, next..end);
            next = end;
            hash.write(&mut merged.0);
            place.at.write(&mut merged.0);
            place.size.write(&mut merged.0);
        }
        merged.extend(self, next..self.count());
        merged
    }

    /// Appends rows of others that are not dropped.
    fn extend(&mut self, others: &Self, numbers: std::ops::Range<usize>) {
        let mut from = numbers.start;
        for number in numbers.clone() {
            if others.place(number).is_dropped() {
                self.0.extend(others.bytes(from..number));
                from = number + 1;
            }
        }
        self.0.extend(others.bytes(from..numbers.end));
    }

    /// A table of these rows, for a segment of which `end` bytes are noted, `live` of them of live records.
    pub fn table(&self, end: u64, live: u64) -> Vec<u8> {
        let mut table = Vec::with_capacity(self.0.len() + END);
        table.extend(&self.0);
        MARK.write(&mut table);
        end.write(&mut table);
        live.write(&mut table);
        let sum = sum(&table);
        sum.write(&mut table);
        table
    }

    /// The rows of a table, and what it says of its segment; `None` if it is not whole. Nobody looks whether they are sorted: a sum
    /// tells what a disk does to them, and what a table says of a record has to be true of the record.
    pub fn read(mut table: Vec<u8>) -> Option<(Self, u64, u64)> {
        let rows = table.len().checked_sub(END)?;
        let (summed, of_table) = table.split_last_chunk::<4>()?;
        if rows % ROW != 0 || sum(summed).to_be_bytes() != *of_table {
            return None;
        }
        let mut input = Input::new(summed.get(rows..)?);
        let is_one = <[u8; 8]>::read(&mut input)? == MARK;
        let (end, live) = (u64::read(&mut input)?, u64::read(&mut input)?);
        table.truncate(rows);
        is_one.then_some((Self(table), end, live))
    }

    fn row(&self, number: usize) -> &[u8] {
        self.bytes(number..number + 1)
    }

    fn hash(&self, number: usize) -> &[u8] {
        &self.row(number)[..HASH]
    }

    fn bytes(&self, numbers: std::ops::Range<usize>) -> &[u8] {
        &self.0[numbers.start * ROW..numbers.end * ROW]
    }
}

impl Span {
    /// The row that a key is at, by proportion.
    fn guess(&self, key: u64) -> usize {
        let part = key.saturating_sub(self.low_key) as f64;
        let whole = self.high_key.saturating_sub(self.low_key) as f64;
        let rows = (self.high - self.low) as f64;
        let guess = self.low + (rows * part / whole.max(1.0)) as usize;
        guess.clamp(self.low, self.high - 1)
    }
}

/// The beginning of a hash as a number.
fn key(hash: &[u8]) -> u64 {
    hash.first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn sum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(hashes: &BTreeMap<ZonefileHash, Place>) -> Rows {
        Rows::default().merged(hashes, 0)
    }

    /// Hashes as they are, and such as somebody looks for to make guesses worse.
    fn hash() -> impl Strategy<Value = ZonefileHash> {
        let ground = (0..4u8, any::<u8>()).prop_map(|(first, last)| {
            let mut hash = ZonefileHash([0x77; 20]);
            (hash.0[7], hash.0[19]) = (first, last);
            hash
        });
        let edge = prop::sample::select(vec![ZonefileHash([0; 20]), ZonefileHash([255; 20])]);
        prop_oneof![4 => any::<[u8; 20]>().prop_map(ZonefileHash), 4 => ground, 1 => edge]
    }

    proptest! {
        #[test]
        fn rows_are_found_wherever_they_are(
            hashes in prop::collection::vec(hash(), 0..600),
            others in prop::collection::vec(hash(), 0..50),
        ) {
            let place = |number: usize| Place { at: number as u32, size: 100 };
            let map: BTreeMap<_, _> = hashes.iter().enumerate().map(|(n, it)| (*it, place(n))).collect();
            let rows = rows(&map);
            prop_assert_eq!(rows.count(), map.len());
            for wanted in hashes.iter().chain(&others) {
                let number = map.range(..wanted).count();
                let expected = map.get(wanted).map(|place| (number, *place)).ok_or(number);
                let found = rows.find(wanted).map(|number| (number, rows.place(number)));
                prop_assert_eq!(found, expected);
                let behind: Vec<ZonefileHash> = rows.behind(Some(wanted)).take(9).collect();
                let expected: Vec<ZonefileHash> =
                    map.keys().filter(|hash| *hash > wanted).take(9).copied().collect();
                prop_assert_eq!(behind, expected);
            }
        }

        /// A table that somebody made, with rows in any order.
        #[test]
        fn no_rows_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..900),
            wanted in hash(),
        ) {
            let whole = bytes.len() / ROW * ROW;
            let mut rows = Rows(bytes[..whole].to_vec());
            let (Ok(number) | Err(number)) = rows.find(&wanted);
            prop_assert!(number <= rows.count());
            let others = [wanted, ZonefileHash([0; 20]), ZonefileHash([99; 20])];
            rows.merged(&others.map(|hash| (hash, Place::DROPPED)).into(), 7);
            prop_assert!(rows.behind(Some(&wanted)).count() <= rows.count());
            if rows.count() > 0 {
                rows.put(0, Place { at: 1, size: 2 });
                prop_assert_eq!(rows.place(0), Place { at: 1, size: 2 });
            }
            let _ = Rows::read(bytes);
        }
    }

    #[test]
    fn no_place_is_longer_than_a_record() {
        for (size, is_dropped) in [
            (0, true),
            (1, false),
            (RECORD_MAX, false),
            (RECORD_MAX + 1, true),
        ] {
            let size = size as u32;
            assert_eq!(Place { at: 0, size }.is_dropped(), is_dropped, "{size}");
        }
    }
}
