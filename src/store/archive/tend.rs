//! Looking after the archive: what is gone or wrong is noticed though nobody asks for it, room is made of what is dead, and compiled
//! forms are compared with their zone files.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::hash::ZonefileHash;

use super::super::lookup::ArchiveError;
use super::super::segments::Renewed;
use super::{Archive, SEGMENTS};

/// Zone files whose compiled forms are looked at between two reports of progress.
const CHECKED: usize = 1_000;

/// What was found of compiled forms; those that differed were made anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckedForms {
    /// Zone files in segments.
    pub files: usize,
    /// Forms that were others than their zone files have.
    pub wrong: usize,
    /// Forms of another version of the program, or missing ones.
    pub old: usize,
}

/// What was said in the log, so that it is said once.
#[derive(Debug, Default)]
pub struct Tending {
    /// Whether the last attempts failed.
    compaction_failed: AtomicBool,
    renewal_failed: AtomicBool,
    /// Whether somebody was warned of a wrong compiled form.
    has_warned: AtomicBool,
}

impl Archive {
    /// Looks whether at most `count` of the files that were there still are, those behind `after`, and gives notice of those that
    /// are gone or wrong. Gives the last one, to go on with; `None` when there are no more. Looks after the segments and the
    /// compiled forms of these files as well, which may wait for the disk.
    pub fn sweep(
        &self,
        after: Option<&ZonefileHash>,
        count: usize,
    ) -> Result<Option<ZonefileHash>, ArchiveError> {
        self.note_changes()?;
        self.compact()?;
        self.segments.write_table_at_rest();
        let mut held = self.soundness.held(after, count);
        held.extend(self.segments.behind(after, count));
        let held: Vec<ZonefileHash> = held.into_iter().take(count).collect();
        for hash in &held {
            self.contains(hash)?;
        }
        let renewed = self.renew(&held);
        self.note_failure(
            renewed,
            &self.tending.renewal_failed,
            "write compiled zone files to",
        );
        Ok(held.last().copied().filter(|_| held.len() == count))
    }

    /// Compares the compiled forms of all zone files with what follows from them, and makes those anew that differ. `reached` hears
    /// how many of how many files were looked at.
    pub fn check_forms(
        &self,
        mut reached: impl FnMut(usize, usize),
    ) -> Result<CheckedForms, ArchiveError> {
        let hashes = self.segments.list();
        let mut checked = CheckedForms::default();
        for part in hashes.chunks(CHECKED) {
            let renewed = self.renew(part).map_err(self.failed())?;
            checked.files += part.len();
            checked.wrong += renewed.wrong;
            checked.old += renewed.old;
            reached(checked.files, hashes.len());
        }
        Ok(checked)
    }

    /// Makes the compiled forms of these zone files anew, where they differ from what follows from them.
    fn renew(&self, hashes: &[ZonefileHash]) -> io::Result<Renewed> {
        let renewed = self.segments.renew(hashes)?;
        if renewed.wrong > 0 && !self.tending.has_warned.swap(true, Ordering::Relaxed) {
            let path = self.directory.join(SEGMENTS);
            tracing::warn!(
                "compiled zone files in {} were not those of their zone files, and are made anew: somebody changed them, or the disk did; check both, further ones are not told",
                path.display()
            );
        }
        Ok(renewed)
    }

    /// Compacts the segments, if that is due.
    fn compact(&self) -> Result<(), ArchiveError> {
        let compacted = self.segments.compact_if_due();
        let lost = self.note_failure(
            compacted,
            &self.tending.compaction_failed,
            "remove what is dead in",
        );
        self.note_lost(lost.unwrap_or_default())
    }

    /// What came of looking after segments. One failure is said once: without free space it may fail for long, and nothing
    /// else has to wait for it.
    fn note_failure<T>(&self, done: io::Result<T>, failed: &AtomicBool, what: &str) -> Option<T> {
        let had_failed = failed.swap(done.is_err(), Ordering::Relaxed);
        if let Err(error) = &done
            && !had_failed
        {
            let path = self.directory.join(SEGMENTS);
            tracing::warn!(
                "cannot {what} {}: {error}; check the disk and its free space, it is tried again",
                path.display()
            );
        }
        done.ok()
    }

    /// Notices segments that somebody removed or brought back.
    pub(super) fn note_changes(&self) -> Result<(), ArchiveError> {
        let changed = self.segments.refresh().map_err(self.failed())?;
        self.note_lost(changed.lost)?;
        for hash in changed.found {
            self.get(&hash)?;
        }
        Ok(())
    }

    fn note_lost(&self, mut lost: Vec<ZonefileHash>) -> Result<(), ArchiveError> {
        lost.sort_unstable();
        for hash in lost {
            self.get(&hash)?;
        }
        Ok(())
    }
}
