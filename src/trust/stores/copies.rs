//! Databases of NSS as they were before, so that taking back leaves the same bytes.
//!
//! A database that had a certificate and lost it again has other bytes than before. So the files are copied before the first
//! change. As long as nobody else changes them they can be put back whole; the digest that our last change left tells.
//! Once a browser wrote to the database, only our certificates are taken out of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::nss::{Database, FILES};
use crate::disk;
use crate::hash::sha256;
use crate::worker;

/// The file that says what was changed.
const LEDGER: &str = "ledger.json";
/// Bytes of a file that are copied at most; a database beyond that keeps its new bytes.
const COPY_MAX: u64 = 64 << 20;

/// What was changed in a home.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ledger {
    /// The root that was installed, as text; `None` if only authorities are put there.
    pub root: Option<String>,
    /// Directories that were made, the outer ones first.
    pub made: Vec<PathBuf>,
    /// The databases, by their directories.
    pub databases: BTreeMap<PathBuf, Copied>,
}

/// A database that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Copied {
    /// Where its files are kept as they were.
    copy: String,
    /// Its files then; none if there was no database.
    before: Vec<String>,
    /// The digest that our last change left; `None` once somebody else changed it.
    left: Option<String>,
}

impl Ledger {
    /// That of a directory; an empty one where there is none.
    pub fn read(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(LEDGER);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            bytes => bytes.map_err(StoreError::file(&path))?,
        };
        serde_json::from_slice(&bytes).map_err(|error| StoreError::Damaged {
            path,
            reason: error.to_string(),
        })
    }

    pub fn write(&self, directory: &Path) -> Result<(), StoreError> {
        let path = directory.join(LEDGER);
        let bytes = serde_json::to_vec_pretty(self).expect("it has text keys and no failing parts");
        disk::replace(&path, &bytes).map_err(StoreError::file(&path))
    }

    /// The same without waiting for the disk. After a loss of power an earlier one may be there, whose digests tell that it
    /// is not the last word.
    fn write_soon(&self, directory: &Path) -> Result<(), StoreError> {
        let path = directory.join(LEDGER);
        let beside = path.with_extension("soon");
        let bytes = serde_json::to_vec_pretty(self).expect("it has text keys and no failing parts");
        let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, &path));
        written.map_err(StoreError::file(&path))
    }

    /// Does something to each of these databases, at the same time, and notes what that leaves. The copies are on the disk before
    /// the changes. All of them are tried; gives the first error.
    pub fn change<F>(
        &mut self,
        directory: &Path,
        changes: Vec<(Database, F)>,
    ) -> Result<(), StoreError>
    where
        F: FnOnce(&Database) -> Result<(), StoreError> + Send,
    {
        let (mut ours, mut is_copied) = (Vec::new(), false);
        for (database, _) in &changes {
            let now = digest(database)?;
            let known = self.databases.get(&database.0);
            if known.is_none_or(|copied| copied.left.as_ref() == Some(&now)) {
                ours.push(database.clone());
            }
            if known.is_none() {
                let copied = Copied::make(directory, database)?;
                self.databases.insert(database.0.clone(), copied);
                is_copied = true;
            }
        }
        if is_copied {
            self.write(directory)?;
        }
        let jobs = changes
            .into_iter()
            .map(|(database, change)| move || change(&database));
        let done = worker::together("certutil", jobs).map_err(StoreError::file(directory))?;
        for database in ours {
            let left = digest(&database)?;
            if let Some(copied) = self.databases.get_mut(&database.0) {
                copied.left = Some(left);
            }
        }
        self.write_soon(directory)?;
        done.into_iter().flatten().collect()
    }

    /// Puts a database back as it was, byte by byte; whether that could be done.
    pub fn put_back(&self, directory: &Path, database: &Database) -> Result<bool, StoreError> {
        let Some(copied) = self.databases.get(&database.0) else {
            return Ok(false);
        };
        if copied.left != Some(digest(database)?) {
            return Ok(false);
        }
        let aside = directory.join(&copied.copy);
        if copied.before.iter().any(|file| !aside.join(file).is_file()) {
            return Ok(false); // it was too long for a copy
        }
        for file in FILES {
            let path = database.0.join(file);
            let is_kept = copied.before.iter().any(|kept| kept == file);
            let put = match is_kept {
                true => restore(&aside.join(file), &path),
                false => disk::remove(&path),
            };
            put.map_err(StoreError::file(&path))?;
        }
        Ok(true)
    }
}

impl Copied {
    fn make(directory: &Path, database: &Database) -> Result<Self, StoreError> {
        let place = HEXLOWER.encode(&sha256(database.0.as_os_str().as_encoded_bytes()));
        let copy = place.get(..16).unwrap_or(&place).to_owned();
        let aside = directory.join(&copy);
        disk::create_directory(&aside).map_err(StoreError::file(&aside))?;
        let mut before = Vec::new();
        for file in FILES {
            let path = database.0.join(file);
            let Ok(metadata) = path.metadata() else {
                continue;
            };
            if metadata.len() <= COPY_MAX {
                // With its mode and times, which are put back with it.
                let (from, to) = (&path, aside.join(file));
                fs::copy(from, &to).map_err(StoreError::file(from))?;
                fs::File::open(&to)
                    .and_then(|file| file.sync_all())
                    .map_err(StoreError::file(&to))?;
            }
            before.push(file.to_owned());
        }
        Ok(Self {
            copy,
            before,
            left: None,
        })
    }
}

/// Moves a copy into the place of a file, whole.
fn restore(copy: &Path, path: &Path) -> std::io::Result<()> {
    let beside = path.with_extension("bnsd-new");
    fs::copy(copy, &beside)?;
    fs::File::open(&beside)?.sync_all()?;
    disk::rename(&beside, path)
}

/// Of all files of a database.
fn digest(database: &Database) -> Result<String, StoreError> {
    let mut all = Vec::new();
    for file in FILES {
        let path = database.0.join(file);
        match fs::read(&path) {
            Ok(bytes) => all.extend(sha256(&bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => all.push(0),
            Err(error) => return Err(StoreError::file(&path)(error)),
        }
    }
    Ok(HEXLOWER.encode(&sha256(&all)))
}
