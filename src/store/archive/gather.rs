//! Zone files of the archive's earlier form, one file each, on their way into segments.
//!
//! A file is removed once its record survives a crash. After a kill between the two both are there, and the next start removes the
//! file.

use std::path::PathBuf;

use crate::hash::ZonefileHash;

use super::super::lookup::{ArchiveError, Lookup};
use super::super::loose::Loose;
use super::Archive;

/// Bytes and directories of files of their own that are moved together.
const MOVED_BYTES: usize = 1 << 20;
const MOVED_DIRECTORIES: usize = 1_000;

/// Zone files with files of their own, on their way into segments.
#[derive(Default)]
struct Moving {
    files: Vec<(ZonefileHash, Vec<u8>)>,
    bytes: usize,
    /// The directories that are empty then.
    directories: Vec<PathBuf>,
    /// How many were moved before.
    moved: usize,
}

impl Archive {
    /// Moves zone files that have a file of their own into segments, until `go_on`, which is asked at every directory, says no.
    /// A file is removed once its record survives a crash; one that is wrong, or no zone file, stays where it is. Gives how
    /// many were moved.
    pub fn gather(&self, mut go_on: impl FnMut() -> bool) -> Result<usize, ArchiveError> {
        let mut moving = Moving::default();
        for directory in self.loose.directories() {
            if !go_on() {
                break;
            }
            let directory = directory?;
            for hash in self.loose.hashes(&directory)? {
                if let Ok(Lookup::Found(bytes)) = self.loose.read(&hash) {
                    moving.bytes += bytes.len();
                    moving.files.push((hash, bytes));
                }
                if moving.bytes >= MOVED_BYTES {
                    self.move_all(&mut moving)?;
                }
            }
            moving.directories.push(directory);
            if moving.directories.len() >= MOVED_DIRECTORIES {
                self.move_all(&mut moving)?;
            }
        }
        self.move_all(&mut moving)?;
        if moving.moved > 0 {
            let moved = moving.moved;
            tracing::info!("moved {moved} zone files into segments");
        }
        Ok(moving.moved)
    }

    fn move_all(&self, moving: &mut Moving) -> Result<(), ArchiveError> {
        let files = std::mem::take(&mut moving.files);
        if moving.moved == 0 && !files.is_empty() {
            let path = self.directory.display();
            tracing::info!(
                "moving the zone files of {path} from a file each into segments; names are answered meanwhile"
            );
        }
        self.note_changes()?; // a record in a segment that somebody removed is none
        let mut new = Vec::new();
        for (hash, bytes) in &files {
            if !matches!(self.read_segment(hash)?, Lookup::Found(_)) || self.is_cut(hash)? {
                new.push((hash, &bytes[..]));
            }
        }
        if !new.is_empty() {
            self.append(&new)?;
        }
        for (hash, _) in &files {
            self.loose.remove(hash)?;
            self.soundness.note_moved(hash);
        }
        for directory in moving.directories.drain(..) {
            Loose::remove_directory(&directory);
        }
        self.has_changed(); // by this
        moving.bytes = 0;
        moving.moved += files.len();
        Ok(())
    }
}
