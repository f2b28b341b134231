//! Rows of a table: a hash, where its record begins and how long that is, sorted by hash.
//!
//! The first bits of a hash say between which rows it stands, so that a row is found in two or three lines of memory, however many
//! there are. Whoever makes hashes with like beginnings makes that worse; what is left is a bisection then.

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
/// Rows with the same first bits: so many, or up to twice as many.
const ROWS_A_START: usize = 16;

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

/// Sorted rows.
#[derive(Debug)]
pub struct Rows {
    bytes: Vec<u8>,
    /// How many of the first bits of a hash are looked at.
    bits: u32,
    /// For each value of these bits the first row that has it, or else the first one behind; then the number of rows.
    starts: Vec<u32>,
}

impl Default for Rows {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

impl Rows {
    /// Rows as they stand in a table.
    fn of(bytes: Vec<u8>) -> Self {
        let count = bytes.len() / ROW;
        let bits = (count / ROWS_A_START).checked_ilog2().unwrap_or(0);
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        for (number, row) in (0..).zip(bytes.chunks_exact(ROW)) {
            let beginning = first_bits(row, bits);
            if starts.len() <= beginning {
                starts.resize(beginning + 1, number);
            }
        }
        starts.resize((1 << bits) + 1, count as u32); // places have 32 bits, so there are fewer rows
        Self {
            bytes,
            bits,
            starts,
        }
    }

    pub fn count(&self) -> usize {
        self.bytes.len() / ROW
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
        self.bytes[start..start + 4].copy_from_slice(&at);
        self.bytes[start + 4..start + 8].copy_from_slice(&size);
    }

    /// The number of the row with a hash, or of the first one behind it.
    pub fn find(&self, wanted: &ZonefileHash) -> Result<usize, usize> {
        let (mut low, mut high) = self.near(wanted);
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

    /// A short span that holds a row, or stands right before it. Steps lead there from a guess by proportion, each twice as long as
    /// the one before.
    fn near(&self, wanted: &ZonefileHash) -> (usize, usize) {
        let beginning = first_bits(&wanted.0, self.bits);
        let start = |beginning: usize| {
            self.starts
                .get(beginning)
                .map_or(0, |start| *start as usize)
        };
        let (mut low, mut high) = (start(beginning), start(beginning + 1));
        let part = (key(&wanted.0) << self.bits) >> 32; // of 2^32
        let mut next = low + ((part * (high - low) as u64) >> 32) as usize;
        let mut is_behind = None;
        let mut step = 1;
        while low < high {
            let is_before = self.is_before(next, wanted);
            match is_before {
                true => low = next + 1,
                false => high = next,
            }
            if is_behind.is_some_and(|is_behind| is_behind != is_before) || high - low <= step {
                break;
            }
            next = match is_before {
                true => low + step - 1,
                false => high - step,
            };
            is_behind = Some(is_before);
            step *= 2;
        }
        (low, high)
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
        let mut merged = Vec::with_capacity(count * ROW);
        let mut next = 0;
        for (hash, place) in others {
            let end = self.find(hash).unwrap_or_else(|number| number).max(next);
            self.copy(next..end, &mut merged);
            next = end;
            hash.write(&mut merged);
            place.at.write(&mut merged);
            place.size.write(&mut merged);
        }
        self.copy(next..self.count(), &mut merged);
        Self::of(merged)
    }

    /// Appends rows that are not dropped to others.
    fn copy(&self, numbers: std::ops::Range<usize>, others: &mut Vec<u8>) {
        let mut from = numbers.start;
        for number in numbers.clone() {
            if self.place(number).is_dropped() {
                others.extend(self.bytes(from..number));
                from = number + 1;
            }
        }
        others.extend(self.bytes(from..numbers.end));
    }

    /// A table of these rows, for a segment of which `end` bytes are noted, `live` of them of live records.
    pub fn table(&self, end: u64, live: u64) -> Vec<u8> {
        let mut table = Vec::with_capacity(self.bytes.len() + END);
        table.extend(&self.bytes);
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
        is_one.then(|| (Self::of(table), end, live))
    }

    fn row(&self, number: usize) -> &[u8] {
        self.bytes(number..number + 1)
    }

    fn hash(&self, number: usize) -> &[u8] {
        &self.row(number)[..HASH]
    }

    fn bytes(&self, numbers: std::ops::Range<usize>) -> &[u8] {
        &self.bytes[numbers.start * ROW..numbers.end * ROW]
    }
}

/// The first bits of a hash as a number.
fn first_bits(hash: &[u8], bits: u32) -> usize {
    key(hash).checked_shr(u64::BITS - bits).unwrap_or(0) as usize
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
            let mut rows = Rows::of(bytes[..whole].to_vec());
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
