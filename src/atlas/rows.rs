//! The announcements of the chain by number, and which of their files are here (Atlas §3).
//!
//! All honest nodes number them alike. A hash that was announced several times has several rows, whose bits are set
//! together. A reorganisation takes the newest rows back. A row takes about 30 bytes of memory.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

use super::inventory::Inventory;
use crate::hash::ZonefileHash;

/// All rows, from 1.
#[derive(Debug, Default)]
pub struct Rows {
    /// The hash of each row.
    hashes: Vec<ZonefileHash>,
    /// The newest row of each hash, found by the hash that `hashes` has of it.
    newest: HashTable<u32>,
    keys: RandomState,
    /// The row before of the same hash, for each row that repeats one.
    before: HashMap<u32, u32>,
    present: Inventory,
    wanted: Inventory,
    /// How many rows are wanted, and how many of those have their file here.
    wanted_count: u32,
    wanted_present: u32,
}

impl Rows {
    /// How many rows there are.
    pub fn len(&self) -> u32 {
        self.hashes.len() as u32 // the store numbers them with 32 bits
    }

    /// Which files are here, as bits.
    pub fn present(&self) -> &Inventory {
        &self.present
    }

    /// How many rows are wanted, and how many of those have their file here.
    pub fn wanted(&self) -> (u32, u32) {
        (self.wanted_count, self.wanted_present)
    }

    /// Adds the next row. `is_here`: its file is. A repeated hash has the bit of its other rows.
    pub fn push(&mut self, hash: ZonefileHash, is_wanted: bool, is_here: bool) {
        let number = self.len() + 1;
        let before = self.newest(&hash);
        self.hashes.push(hash);
        match before {
            Some(before) => {
                self.before.insert(number, before);
                self.set_newest(before, number);
            }
            None => self.insert_newest(number),
        }
        self.present.grow(number);
        self.wanted.grow(number);
        if is_wanted {
            self.wanted.set(number);
            self.wanted_count += 1;
        }
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
            self.wanted_count -= u32::from(self.wanted.get(number));
            match self.before.remove(&number) {
                Some(before) => self.set_newest(number, before),
                None => self.remove_newest(number),
            }
            taken.extend(self.hashes.pop());
        }
        self.present = cut(&self.present, len);
        self.wanted = cut(&self.wanted, len);
        taken
    }

    /// The hash of a row.
    pub fn hash(&self, number: u32) -> Option<ZonefileHash> {
        let index = number.checked_sub(1)?;
        self.hashes.get(index as usize).copied()
    }

    /// The newest row of a hash; `None` if it was never announced.
    pub fn newest(&self, hash: &ZonefileHash) -> Option<u32> {
        let is_it = |number: &u32| self.hash(*number).as_ref() == Some(hash);
        self.newest.find(self.keys.hash_one(hash), is_it).copied()
    }

    /// The rows of a hash, newest first; empty if it was never announced.
    pub fn of(&self, hash: &ZonefileHash) -> Vec<u32> {
        let before = |number: &u32| self.before.get(number).copied();
        std::iter::successors(self.newest(hash), before).collect()
    }

    /// Whether any row of a hash is wanted.
    pub fn is_wanted(&self, hash: &ZonefileHash) -> bool {
        self.of(hash).iter().any(|number| self.wanted.get(*number))
    }

    /// Whether the file of a hash is here, as far as is known.
    pub fn is_present(&self, hash: &ZonefileHash) -> bool {
        let newest = self.newest(hash);
        newest.is_some_and(|number| self.present.get(number))
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
        let numbered = (1..).zip(&self.hashes);
        let missing =
            numbered.filter(|(number, _)| self.wanted.get(*number) && !self.present.get(*number));
        missing.map(|(_, hash)| hash)
    }

    fn set(&mut self, number: u32, is_here: bool) {
        let was = self.present.get(number);
        match is_here {
            true => self.present.set(number),
            false => self.present.clear(number),
        }
        if self.wanted.get(number) && was != is_here {
            match is_here {
                true => self.wanted_present += 1,
                false => self.wanted_present -= 1,
            }
        }
    }

    /// Notes the first row of a hash.
    fn insert_newest(&mut self, number: u32) {
        let key = |number: &u32| key(&self.keys, &self.hashes, *number);
        self.newest.insert_unique(key(&number), number, key);
    }

    /// Notes another row as the newest one of the same hash.
    fn set_newest(&mut self, from: u32, to: u32) {
        let key = key(&self.keys, &self.hashes, from);
        if let Some(number) = self.newest.find_mut(key, |number| *number == from) {
            *number = to;
        }
    }

    /// Takes back the only row of a hash.
    fn remove_newest(&mut self, number: u32) {
        let key = key(&self.keys, &self.hashes, number);
        if let Ok(found) = self.newest.find_entry(key, |newest| *newest == number) {
            found.remove();
        }
    }
}

/// Where the newest row of a hash stands in their table, by any row of that hash.
fn key(keys: &RandomState, hashes: &[ZonefileHash], number: u32) -> u64 {
    let hash = number
        .checked_sub(1)
        .and_then(|index| hashes.get(index as usize));
    keys.hash_one(hash.unwrap_or(&ZonefileHash([0; 20]))) // no number of the table is behind the last row
}

/// The first rows of an inventory.
fn cut(inventory: &Inventory, len: u32) -> Inventory {
    let bytes = inventory.slice(0, len.div_ceil(8) as usize);
    Inventory::from_bytes(bytes, len).unwrap_or_else(|_| Inventory::new(len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        /// Whatever is added, noted and taken back, it is what a plain list of rows says.
        #[test]
        fn rows_are_those_of_a_list(
            steps in prop::collection::vec((0u8..4, 0u8..6, any::<bool>(), any::<bool>()), 0..80),
        ) {
            let (mut rows, mut list) = (Rows::default(), Vec::<(ZonefileHash, bool, bool)>::new());
            for (step, byte, is_wanted, is_here) in steps {
                let hash = hash(byte);
                match step {
                    0 => {
                        let gone = list.split_off(list.len().min(usize::from(byte) * 2));
                        let gone: Vec<ZonefileHash> = gone.iter().rev().map(|row| row.0).collect();
                        prop_assert_eq!(rows.truncate(u32::from(byte) * 2), gone);
                    }
                    1 => {
                        let of = |row: &&mut (ZonefileHash, bool, bool)| row.0 == hash;
                        let changed: Vec<_> = list.iter_mut().filter(of).map(|row| row.2 != is_here).collect();
                        list.iter_mut().filter(of).for_each(|row| row.2 = is_here);
                        prop_assert_eq!(rows.note(&hash, is_here), changed.contains(&true));
                    }
                    _ => {
                        let is_here = is_here || rows.is_present(&hash); // as the ledger says it
                        list.iter_mut().filter(|row| row.0 == hash).for_each(|row| row.2 = is_here);
                        list.push((hash, is_wanted, is_here));
                        rows.push(hash, is_wanted, is_here);
                    }
                }
                let numbered = || (1u32..).zip(&list);
                for hash in (0..6).map(|byte| ZonefileHash([byte; 20])) {
                    let of: Vec<u32> = numbered().filter(|(_, row)| row.0 == hash).map(|(number, _)| number).collect();
                    prop_assert_eq!(rows.newest(&hash), of.last().copied());
                    prop_assert_eq!(rows.of(&hash), of.into_iter().rev().collect::<Vec<_>>());
                    prop_assert_eq!(rows.is_wanted(&hash), list.iter().any(|row| row.0 == hash && row.1));
                }
                let here: Vec<bool> = numbered().map(|(number, _)| rows.present().get(number)).collect();
                prop_assert_eq!(here, list.iter().map(|row| row.2).collect::<Vec<_>>());
                let missing: Vec<ZonefileHash> =
                    list.iter().filter(|row| row.1 && !row.2).map(|row| row.0).collect();
                prop_assert_eq!(rows.missing().copied().collect::<Vec<_>>(), missing);
                let wanted = list.iter().filter(|row| row.1).count() as u32;
                prop_assert_eq!(rows.wanted(), (wanted, wanted - rows.missing().count() as u32));
            }
        }
    }
}
