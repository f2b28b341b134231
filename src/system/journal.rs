//! What was changed and how it was before: one file, replaced whole, on the disk before the first change.
//!
//! `/var/lib/bnsd-system/journal.json` is JSON: what is sent to bnsd, each path with what was and what is put there
//! (files in base64), and the commands that follow when it is taken back. It is apart from the daemon's data, since it has
//! to outlive that. While it is there, something is installed, or was about to be.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Command;
use super::entry::Entry;
use super::error::{Result, SystemError};
use super::machine::Machine;
use crate::disk;

/// The file in its directory.
const FILE: &str = "journal.json";
/// The format of the file.
const VERSION: u32 = 1;

/// The whole journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    version: u32,
    /// What is sent to bnsd.
    pub aim: Aim,
    /// Whether everything that was to be done was done.
    pub is_complete: bool,
    /// The paths, in the order in which they are changed.
    pub paths: Vec<Changed>,
    /// What is run before it is taken back.
    pub before_undoing: Vec<Command>,
    /// What is run after it was taken back.
    pub after_undoing: Vec<Command>,
}

/// What is sent to bnsd, and by whom; for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aim {
    /// The mechanism; `None` if only the service was installed.
    pub mechanism: Option<String>,
    /// Whether all names go there.
    pub all: bool,
    /// The domains of the chain.
    pub domains: Vec<String>,
    /// Where bnsd listens.
    pub server: Option<SocketAddr>,
}

impl Aim {
    /// The namespaces that are served and not sent to bnsd, since they are newer than the installation.
    pub fn unrouted(&self, served: &[String]) -> Vec<String> {
        let is_all = self.all || self.mechanism.is_none();
        let newer = served
            .iter()
            .filter(|id| !is_all && !self.domains.contains(*id));
        newer.cloned().collect()
    }
}

/// A path that is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changed {
    /// The path below the root, without its first slash.
    pub path: String,
    /// What was there.
    pub before: Entry,
    /// What is put there.
    pub after: Entry,
}

impl Journal {
    /// An empty one.
    pub(super) fn new(aim: Aim) -> Self {
        Self {
            version: VERSION,
            aim,
            is_complete: false,
            paths: Vec::new(),
            before_undoing: Vec::new(),
            after_undoing: Vec::new(),
        }
    }

    /// That of a machine; `None` if nothing is installed there.
    pub fn read(machine: &Machine) -> Result<Option<Self>> {
        let path = machine.journal().join(FILE);
        let broken = |reason: String| SystemError::Journal {
            path: path.clone(),
            reason,
        };
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(SystemError::file(&path))?,
        };
        let journal: Self = serde_json::from_slice(&bytes).map_err(|e| broken(e.to_string()))?;
        match journal.version {
            VERSION => Ok(Some(journal)),
            other => Err(broken(format!(
                "it has format {other}, this bnsd reads format {VERSION}"
            ))),
        }
    }

    /// Puts it on the disk.
    pub(super) fn write(&self, machine: &Machine) -> Result<()> {
        let directory = machine.journal();
        disk::create_directory(&directory).map_err(SystemError::file(&directory))?;
        let path = directory.join(FILE);
        let bytes = serde_json::to_vec_pretty(self).expect("it has text keys and no failing parts");
        disk::replace(&path, &bytes).map_err(SystemError::file(&path))
    }

    /// Removes it, and what a crash left beside it.
    pub(super) fn remove(machine: &Machine) -> Result<()> {
        let directory = machine.journal();
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(SystemError::file(&directory)(error))
            }
            _ => Ok(()),
        }
    }

    /// What was noted about a path.
    pub(super) fn find(&self, path: &str) -> Option<&Changed> {
        self.paths.iter().find(|changed| changed.path == path)
    }

    /// The paths that are not as they were made: somebody changed them, or took them back.
    pub fn out_of_place(&self, machine: &Machine) -> Result<Vec<PathBuf>> {
        let mut missing = Vec::new();
        for noted in &self.paths {
            let path = machine.path(&noted.path);
            let now = Entry::read(&path).map_err(SystemError::file(&path))?;
            if now != noted.after {
                missing.push(path);
            }
        }
        Ok(missing)
    }

    /// The paths that are neither as they were nor as they were made, so that somebody else changed them.
    pub fn changed_since(&self, machine: &Machine) -> Result<Vec<PathBuf>> {
        let mut changed = Vec::new();
        for noted in &self.paths {
            let path = machine.path(&noted.path);
            let now = Entry::read(&path).map_err(SystemError::file(&path))?;
            if now != noted.after && now != noted.before {
                changed.push(path);
            }
        }
        Ok(changed)
    }
}
