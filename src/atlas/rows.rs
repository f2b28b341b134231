//! The announcements of the chain by number, and which of their files are here (Atlas §3).
//!
//! All honest nodes number them alike. A hash that was announced several times has several rows, whose bits are set
//! together. A reorganisation takes the newest rows back.

use std::collections::HashMap;

use super::inventory::Inventory;
use crate::hash::ZonefileHash;

/// All rows, from 1.
#[derive(Debug, Default)]
pub struct Rows {
    rows: Vec<Row>,
    /// The newest row of each hash.
    newest: HashMap<ZonefileHash, u32>,
    present: Inventory,
    /// How many rows are wanted, and how many of those have their file here.
    wanted: u32,
    wanted_present: u32,
}

#[derive(Debug)]
struct Row {
    hash: ZonefileHash,
    /// The row before of the same hash; 0 for none.
    before: u32,
    is_wanted: bool,
}

impl Rows {
    /// How many rows there are.
    pub fn len(&self) -> u32 {
        self.rows.len() as u32 // the store numbers them with 32 bits
    }

    /// Which files are here, as bits.
    pub fn present(&self) -> &Inventory {
        &self.present
    }

    /// How many rows are wanted, and how many of those have their file here.
    pub fn wanted(&self) -> (u32, u32) {
        (self.wanted, self.wanted_present)
    }

    /// Adds the next row. `is_here`: its file is. A repeated hash has the bit of its other rows.
    pub fn push(&mut self, hash: ZonefileHash, is_wanted: bool, is_here: bool) {
        let number = self.len() + 1;
        let before = self.newest.insert(hash, number).unwrap_or(0);
        self.rows.push(Row {
            hash,
            before,
            is_wanted,
        });
        self.present.grow(number);
        self.wanted += u32::from(is_wanted);
        if is_here {
            let rows = self.of(&hash);
            rows.iter().for_each(|number| self.set(*number, true));
        }
    }

    /// Takes back the rows above `len`; gives their hashes, newest first.
    pub fn truncate(&mut self, len: u32) -> Vec<ZonefileHash> {
        let mut taken = Vec::new();
        while self.len() > len {
            let number = self.len();
            self.set(number, false);
            let Some(row) = self.rows.pop() else { break };
            self.wanted -= u32::from(row.is_wanted);
            match row.before {
                0 => self.newest.remove(&row.hash),
                before => self.newest.insert(row.hash, before),
            };
            taken.push(row.hash);
        }
        let bytes = self.present.slice(0, len.div_ceil(8) as usize);
        self.present = Inventory::from_bytes(bytes, len).unwrap_or_else(|_| Inventory::new(len));
        taken
    }

    /// The rows of a hash, newest first; empty if it was never announced.
    pub fn of(&self, hash: &ZonefileHash) -> Vec<u32> {
        let mut next = self.newest.get(hash).copied().unwrap_or(0);
        let mut rows = Vec::new();
        while let Some(row) = self.row(next) {
            rows.push(next);
            next = row.before;
        }
        rows
    }

    /// Whether any row of a hash is wanted.
    pub fn is_wanted(&self, hash: &ZonefileHash) -> bool {
        let rows = self.of(hash).into_iter();
        rows.filter_map(|number| self.row(number))
            .any(|row| row.is_wanted)
    }

    /// Whether the file of a hash is here, as far as is known.
    pub fn is_present(&self, hash: &ZonefileHash) -> bool {
        let newest = self.newest.get(hash);
        newest.is_some_and(|number| self.present.get(*number))
    }

    /// Notes that the file of a hash is here, or is not any more; whether that is news.
    pub fn note(&mut self, hash: &ZonefileHash, is_here: bool) -> bool {
        if self.is_present(hash) == is_here {
            return false;
        }
        let rows = self.of(hash);
        rows.iter().for_each(|number| self.set(*number, is_here));
        !rows.is_empty()
    }

    /// The hashes that are wanted and not here.
    pub fn missing(&self) -> impl Iterator<Item = &ZonefileHash> {
        let numbered = (1..).zip(&self.rows);
        let missing = numbered.filter(|(number, row)| row.is_wanted && !self.present.get(*number));
        missing.map(|(_, row)| &row.hash)
    }

    fn row(&self, number: u32) -> Option<&Row> {
        let index = number.checked_sub(1)?;
        self.rows.get(index as usize)
    }

    fn set(&mut self, number: u32, is_here: bool) {
        let is_wanted = self.row(number).is_some_and(|row| row.is_wanted);
        let was = self.present.get(number);
        match is_here {
            true => self.present.set(number),
            false => self.present.clear(number),
        }
        if is_wanted && was != is_here {
            match is_here {
                true => self.wanted_present += 1,
                false => self.wanted_present -= 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(byte: u8) -> ZonefileHash {
        ZonefileHash([byte; 20])
    }

    #[test]
    fn a_hash_has_all_its_bits_set_together_and_rows_can_be_taken_back() {
        let mut rows = Rows::default();
        for byte in [1, 2, 1, 3] {
            rows.push(hash(byte), byte != 2, false);
        }
        assert_eq!(rows.of(&hash(1)), [3, 1]);
        assert!(rows.note(&hash(1), true) && !rows.note(&hash(1), true));
        assert_eq!(rows.present().as_bytes(), [0b1010_0000]);
        assert_eq!(rows.wanted(), (3, 2));
        assert_eq!(rows.missing().copied().collect::<Vec<_>>(), [hash(3)]);
        assert_eq!(rows.truncate(2), [hash(3), hash(1)]);
        assert_eq!((rows.len(), rows.wanted()), (2, (1, 1)));
        assert_eq!(rows.of(&hash(1)), [1]);
        assert!(rows.of(&hash(3)).is_empty() && !rows.note(&hash(3), true));
        assert!(rows.is_wanted(&hash(1)) && !rows.is_wanted(&hash(2)));
        rows.push(hash(1), true, true);
        assert_eq!(rows.present().as_bytes(), [0b1010_0000]);
    }
}
