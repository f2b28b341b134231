//! Which of the announced zone files the archive has.
//!
//! The store keeps a row for each name that asks for a zone file, and one for each of those that the archive is not known
//! to have; a commit moves both with the names. What is left to do is to look at files: at those that are new, at some of
//! the missing ones in turn, and at some of the others, so that a file that somebody took away is noticed though nobody
//! asks for its name. However many names there are, a look touches few rows and files.

use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use super::name_store::NameStore;
use super::view::NamesError;
use crate::store::{StoreError, StoreSnapshot, WantedZonefile};

/// How many files are looked at in a step.
const STEP: usize = 1_000;

/// The zone files that current records ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Zonefiles {
    /// How many names' zone files the archive has.
    pub present: u64,
    /// How many it lacks, or has with other bytes.
    pub missing_count: u64,
    /// The first of those.
    pub missing: Vec<WantedZonefile>,
}

/// Where the next steps begin.
#[derive(Default)]
pub(super) struct Turns {
    missing: Option<WantedZonefile>,
    present: Option<WantedZonefile>,
}

/// Reads rows behind one, at most so many.
type Read =
    fn(&StoreSnapshot, Option<&WantedZonefile>, usize) -> Result<Vec<WantedZonefile>, StoreError>;

impl NameStore {
    /// Which zone files the archive has, and at most `limit` of those that it lacks. Looks at files, and may wait for the
    /// disk; not before the first synchronisation has finished, whose blocks would have to wait: until then every zone
    /// file counts as missing.
    pub fn zonefiles(&self, limit: usize) -> Result<Zonefiles, NamesError> {
        if self.progress.has_ever_synced() {
            self.look()?;
        }
        let snapshot = self.store.snapshot();
        let counts = snapshot.counts()?;
        let mut missing = snapshot.missing_zonefiles(None, limit)?;
        missing.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(Zonefiles {
            present: counts.zonefiles.saturating_sub(counts.missing_zonefiles),
            missing_count: counts.missing_zonefiles,
            missing,
        })
    }

    /// Looks at what may have changed since the last time. Waits for a writer that is at work.
    fn look(&self) -> Result<(), NamesError> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // As long as a step finds files that are there: after a sync that may be all of them.
        while self.step(&mut turns.missing, StoreSnapshot::missing_zonefiles)? > 0
            && turns.missing.is_some()
        {}
        self.step(&mut turns.present, StoreSnapshot::wanted_zonefiles)?;
        Ok(())
    }

    /// Looks at the files of the next rows, after the last ones at the first; gives how many were not as their rows say.
    fn step(&self, turn: &mut Option<WantedZonefile>, read: Read) -> Result<usize, NamesError> {
        let snapshot = self.store.snapshot();
        let mut rows = read(&snapshot, turn.as_ref(), STEP)?;
        if rows.is_empty() && turn.is_some() {
            rows = read(&snapshot, None, STEP)?;
        }
        *turn = rows.last().filter(|_| rows.len() == STEP).cloned();
        let mut changed = Vec::new();
        for row in rows {
            let present = self.archive.contains(&row.hash)?;
            if present == snapshot.is_missing(&row)? {
                changed.push((row, present));
            }
        }
        if !changed.is_empty() {
            self.store.note_zonefiles(&changed)?;
        }
        Ok(changed.len())
    }
}
