//! Room from dead records: the live ones of a segment are appended again, then the segment is removed.
//!
//! A crash at any time leaves every live record at least once. One that is there twice has the same bytes twice. Only what has its
//! hash is appended, so that nobody's damage is carried on.

use std::io;

use crate::hash::ZonefileHash;

use super::super::lookup::Lookup;
use super::{PIECE, Segments};

/// Records that are looked at together, and how often at once: what is left of a large segment is for the next time.
const STEP: usize = 1_000;
const STEPS: usize = 64;
/// The part of all bytes that may be dead: one of so many.
const DEAD_PART: u64 = 3;

impl Segments {
    /// Compacts, or goes on with it, if a third of all bytes is dead. Gives the hashes of records that were wrong, which are gone now.
    pub fn compact_if_due(&self) -> io::Result<Vec<ZonefileHash>> {
        let mut lost = Vec::new();
        if !self.is_compacting_due() {
            return Ok(lost);
        }
        for number in self.with_dead_records() {
            self.compact(number, &mut lost)?;
        }
        Ok(lost)
    }

    fn is_compacting_due(&self) -> bool {
        let held = self.held();
        let all: u64 = held.values().map(|segment| segment.length).sum();
        let dead: u64 = held.values().map(|segment| segment.dead()).sum();
        dead >= self.limits.dead.max(1) && dead >= all / DEAD_PART
    }

    /// The segments in which that part is dead.
    fn with_dead_records(&self) -> Vec<u32> {
        let held = self.held();
        let dead = held
            .iter()
            .filter(|(_, segment)| segment.dead() >= (segment.length / DEAD_PART).max(1));
        dead.map(|(number, _)| *number).collect()
    }

    fn compact(&self, number: u32, lost: &mut Vec<ZonefileHash>) -> io::Result<()> {
        let mut writer = self.writer();
        writer.open = writer.open.filter(|open| *open != number);
        drop(writer);
        let mut last = None;
        for _ in 0..STEPS {
            let live = match self.held().get(&number) {
                Some(segment) => segment.places.behind(last.as_ref(), STEP),
                None => return Ok(()), // somebody removed it
            };
            if live.is_empty() {
                return self.remove(number);
            }
            let done = self.append_again(number, &live, lost)?;
            last = live.get(done.saturating_sub(1)).copied();
        }
        Ok(())
    }

    /// Appends some records of a segment; those that are wrong are forgotten. Gives how many were looked at.
    fn append_again(
        &self,
        number: u32,
        hashes: &[ZonefileHash],
        lost: &mut Vec<ZonefileHash>,
    ) -> io::Result<usize> {
        let (mut right, mut size, mut looked) = (Vec::new(), 0, 0);
        for hash in hashes {
            looked += 1;
            match self.read(hash)? {
                Lookup::Found(bytes) => {
                    size += bytes.len();
                    right.push((*hash, bytes));
                }
                Lookup::Absent | Lookup::Tampered { .. } => {
                    self.forget(number, hash);
                    lost.push(*hash);
                }
            }
            if size >= PIECE {
                break;
            }
        }
        self.append_all(&right)?;
        Ok(looked)
    }

    fn forget(&self, number: u32, hash: &ZonefileHash) {
        let _writer = self.writer();
        if let Some(segment) = self.held_mut().get_mut(&number) {
            segment.places.remove([hash]);
        }
    }

    fn remove(&self, number: u32) -> io::Result<()> {
        let _writer = self.writer();
        self.held_mut().remove(&number);
        for path in [self.path(number), self.table_path(number)] {
            match self.steps.remove(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(())
    }
}
