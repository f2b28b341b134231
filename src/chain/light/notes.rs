//! What a chain without a node remembers from one run to the next, in a small file. Lost, it costs work and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::window::Version;
use crate::disk;

/// The file in the directory of what is kept.
const FILE: &str = "notes.json";

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Notes {
    /// The segments that the index was made from or compared with, by the number of their window.
    pub(super) checked: BTreeMap<u32, Version>,
    /// Names of logs that left out what another source showed.
    pub(super) lacking: BTreeSet<String>,
    /// Old blocks that were looked at whole.
    pub(super) audited: u32,
    /// From this height on every block was seen whole.
    pub(super) full_from: Option<u32>,
}

/// The file.
#[derive(Debug)]
pub(super) struct NoteFile {
    path: PathBuf,
    written: Notes,
}

impl NoteFile {
    /// What the file in `directory` says; nothing where it cannot be read.
    pub(super) fn open(directory: &Path) -> (Self, Notes) {
        let path = directory.join(FILE);
        let read = fs::read(&path).ok();
        let notes: Notes = read
            .and_then(|read| serde_json::from_slice(&read).ok())
            .unwrap_or_default();
        let written = notes.clone();
        (Self { path, written }, notes)
    }

    /// Writes the file if it would say something else.
    pub(super) fn write(&mut self, notes: &Notes) -> io::Result<()> {
        if self.written == *notes {
            return Ok(());
        }
        let text = serde_json::to_vec(notes).map_err(io::Error::other)?;
        disk::replace(&self.path, &text)?;
        self.written = notes.clone();
        Ok(())
    }
}
