//! New files that neighbours may lack, in the order in which they came.

use std::collections::VecDeque;

use super::inventory::Inventory;
use crate::hash::ZonefileHash;

/// New files that are kept for pushing (the reference's `atlas_zonefile_push` queue); the oldest is dropped.
const QUEUE_MAX: usize = 1000;
/// Files of a call (the reference's limit of `put_zonefiles`).
const PUSH_MAX: usize = 5;

/// A new file.
#[derive(Debug)]
struct Fresh {
    hash: ZonefileHash,
    rows: Vec<u32>,
}

/// The queue. Each file has a number, counted from 0 without end; each neighbour keeps the number where it goes on.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    files: VecDeque<Fresh>,
    first: u64,
}

impl Pushes {
    /// Adds a file.
    pub(super) fn add(&mut self, hash: ZonefileHash, rows: Vec<u32>) {
        if self.files.len() == QUEUE_MAX {
            self.files.pop_front();
            self.first += 1;
        }
        self.files.push_back(Fresh { hash, rows });
    }

    /// The number of the next file to come, where a new neighbour begins.
    pub(super) fn end(&self) -> u64 {
        self.first + self.files.len() as u64
    }

    /// The next files for a neighbour of this inventory that goes on at `from`, and where it goes on then.
    pub(super) fn pick(&self, from: u64, inventory: &Inventory) -> (Vec<ZonefileHash>, u64) {
        let skipped = from.saturating_sub(self.first) as usize;
        let mut next = from.max(self.first);
        let mut picked = Vec::new();
        for fresh in self.files.iter().skip(skipped) {
            if picked.len() == PUSH_MAX {
                break;
            }
            next += 1;
            if !fresh.rows.iter().any(|row| inventory.get(*row)) {
                picked.push(fresh.hash);
            }
        }
        (picked, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u16) -> ZonefileHash {
        let [high, low] = number.to_be_bytes();
        ZonefileHash::of(&[high, low])
    }

    #[test]
    fn a_neighbour_is_pushed_what_it_lacks_five_at_a_time() {
        let mut pushes = Pushes::default();
        let start = pushes.end();
        (1..=8).for_each(|n| pushes.add(hash(n), vec![n.into()]));
        let mut inventory = Inventory::new(4);
        inventory.set(2);
        let (first, next) = pushes.pick(start, &inventory);
        assert_eq!(first, [1, 3, 4, 5, 6].map(hash));
        let (second, next) = pushes.pick(next, &inventory);
        assert_eq!((second, next), (vec![hash(7), hash(8)], pushes.end()));
        assert_eq!(pushes.pick(next, &inventory), (vec![], next));
    }

    #[test]
    fn the_oldest_of_a_thousand_is_dropped() {
        let mut pushes = Pushes::default();
        (0..1003).for_each(|n| pushes.add(hash(n), vec![1]));
        let (first, next) = pushes.pick(0, &Inventory::default());
        assert_eq!((first[0], next), (hash(3), 8));
    }
}
