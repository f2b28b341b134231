//! The rows as the store has them: read once, then followed block by block, reorganisations included.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use super::rows::Rows;
use crate::bns::name::NamespaceId;
use crate::hash::ZonefileHash;
use crate::store::{Announcement, IndexedBlock, StoreError, StoreSnapshot};

/// Announcements that are read at a time.
const STEP: usize = 1_000;
/// Tips that are remembered; a reorganisation behind the oldest one has all rows read again.
const MARKS_MAX: usize = 256;

/// The rows of our chain.
#[derive(Debug)]
pub struct Ledger {
    rows: Rows,
    marks: VecDeque<Mark>,
    /// Empty for all.
    namespaces: Vec<NamespaceId>,
}

/// How many rows there were at a tip.
#[derive(Debug)]
struct Mark {
    tip: IndexedBlock,
    rows: u32,
}

/// What changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Followed {
    /// Hashes of rows that a reorganisation took back.
    pub gone: Vec<ZonefileHash>,
    /// The new rows; some may have hashes that are gone.
    pub new: RangeInclusive<u32>,
}

impl Ledger {
    /// No rows yet. The files of `namespaces` are wanted, or of all if there are none.
    pub fn new(namespaces: Vec<NamespaceId>) -> Self {
        Self {
            rows: Rows::default(),
            marks: VecDeque::new(),
            namespaces,
        }
    }

    /// The rows.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The same, to note what is here.
    pub fn rows_mut(&mut self) -> &mut Rows {
        &mut self.rows
    }

    /// Reads what the chain has announced and taken back since the last time. `is_here` says whether a file is.
    pub fn follow(
        &mut self,
        snapshot: &StoreSnapshot,
        is_here: impl Fn(&ZonefileHash) -> bool,
    ) -> Result<Followed, StoreError> {
        let kept = self.common(snapshot)?;
        let gone = self.rows.truncate(kept);
        loop {
            let next = self.rows.len() + 1;
            let announced = snapshot.announced_from(next, STEP)?;
            for announcement in &announced {
                let is_wanted = self.is_wanted(announcement);
                let hash = announcement.hash;
                let is_here = self.rows.is_present(&hash) || is_here(&hash);
                self.rows.push(hash, is_wanted, is_here);
            }
            if announced.len() < STEP {
                break;
            }
        }
        if let Some(tip) = snapshot.tip() {
            self.mark(tip);
        }
        Ok(Followed {
            gone,
            new: kept + 1..=self.rows.len(),
        })
    }

    /// How many rows are of blocks that are still on the chain.
    fn common(&mut self, snapshot: &StoreSnapshot) -> Result<u32, StoreError> {
        while let Some(mark) = self.marks.back() {
            if snapshot.block(mark.tip.height)? == Some(mark.tip) {
                return Ok(mark.rows);
            }
            self.marks.pop_back();
        }
        Ok(0)
    }

    fn mark(&mut self, tip: IndexedBlock) {
        let rows = self.rows.len();
        match self.marks.back_mut() {
            Some(mark) if mark.tip == tip => mark.rows = rows,
            _ => self.marks.push_back(Mark { tip, rows }),
        }
        if self.marks.len() > MARKS_MAX {
            self.marks.pop_front();
        }
    }

    fn is_wanted(&self, announcement: &Announcement) -> bool {
        let id = announcement.name.namespace_id();
        self.namespaces.is_empty() || id.is_some_and(|id| self.namespaces.contains(&id))
    }
}
