//! Which of the announced zone files the archive has.
//!
//! The store keeps a row for each name that asks for a zone file, and one for each of those that the archive is not known
//! to have; a commit moves both with the names. What is left to do is to look at files, of which most are left alone: commits and
//! the archive's notices say which ones are new, were stored or were lost. Beside them each look takes a few others in turn, since
//! somebody may put files into the archive or take them away. However many names there are, a look touches few rows and
//! files.

use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use super::name_store::NameStore;
use super::view::NamesError;
use crate::store::{StoreError, StoreSnapshot, WantedZonefile};

/// How many files are looked at in turn, beside those that are news.
const STEP: usize = 100;
/// Rows that are compared at once.
const ROWS: usize = 1_000;

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

/// Reads rows behind one, at most so many.
type Read =
    fn(&StoreSnapshot, Option<&WantedZonefile>, usize) -> Result<Vec<WantedZonefile>, StoreError>;

impl NameStore {
    /// Which zone files the archive has, and at most `limit` of those that it lacks. Looks at a few files, and may wait for the
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

    /// Compares all rows with what the archive lists, if any may be wrong, until `go_on` says no: at the first call, and when
    /// more happened than is remembered. Nothing before the first synchronisation has finished.
    pub fn compare_zonefiles(&self, mut go_on: impl FnMut() -> bool) -> Result<(), NamesError> {
        if !self.progress.has_ever_synced() || !std::mem::take(&mut self.news.lock().all) {
            return Ok(());
        }
        let compared = self.compare_all(&mut go_on);
        if !matches!(compared, Ok(true)) {
            self.news.lock().all = true;
        }
        compared.map(drop)
    }

    /// Whether it came to the end.
    fn compare_all(&self, go_on: &mut impl FnMut() -> bool) -> Result<bool, NamesError> {
        let listing = self.archive.listing(&mut *go_on)?;
        let mut after = None;
        while go_on() {
            let snapshot = self.store.snapshot();
            let rows = snapshot.wanted_zonefiles(after.as_ref(), ROWS)?;
            if rows.is_empty() {
                return Ok(true);
            }
            after = rows.last().cloned();
            let mut differing = Vec::new();
            for row in rows {
                if listing.has(&row.hash) == snapshot.is_missing(&row)? {
                    differing.push(row);
                }
            }
            self.note(&snapshot, differing)?; // what was listed may be wrong, or stored since
        }
        Ok(false)
    }

    /// Looks at what changed, and at a few more. Waits for a writer that is at work.
    pub fn look(&self) -> Result<(), NamesError> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = {
            let mut changed = self.news.lock();
            (
                std::mem::take(&mut changed.names),
                std::mem::take(&mut changed.hashes),
            )
        };
        let snapshot = self.store.snapshot();
        let mut rows = Vec::new();
        for name in &changed.0 {
            rows.extend(snapshot.wanted_zonefile(name)?);
        }
        for hash in &changed.1 {
            rows.extend(snapshot.wanted_zonefiles_of(hash)?);
        }
        self.note(&snapshot, rows)?;
        self.step(&mut turns.missing, StoreSnapshot::missing_zonefiles)?;
        self.step(&mut turns.present, StoreSnapshot::wanted_zonefiles)
    }

    /// Looks at the files of the next rows, after the last ones at the first.
    fn step(&self, turn: &mut Option<WantedZonefile>, read: Read) -> Result<(), NamesError> {
        let snapshot = self.store.snapshot();
        let mut rows = read(&snapshot, turn.as_ref(), STEP)?;
        if rows.is_empty() && turn.is_some() {
            rows = read(&snapshot, None, STEP)?;
        }
        *turn = rows.last().filter(|_| rows.len() == STEP).cloned();
        self.note(&snapshot, rows)
    }

    /// Looks at the files of rows, and notes those that are not as their rows say.
    fn note(&self, snapshot: &StoreSnapshot, rows: Vec<WantedZonefile>) -> Result<(), NamesError> {
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
        Ok(())
    }
}
