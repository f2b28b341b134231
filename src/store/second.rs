//! A second database beside the first, while the state is derived again.
//!
//! It lies in a directory of its own in the data directory of the first. Killed at any moment, the data directory
//! holds either the first or, after [`Store::replace_by`], the second in its place, whole; one that was left
//! half-way is removed when the next is created.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::database::{Purpose, Store, StoreOptions};
use super::error::OpenError;
use super::open;
use super::pages::move_with_sums;

/// A database that is removed with its directory when it is dropped.
pub struct SecondStore {
    directory: PathBuf,
    store: Option<Arc<Store>>,
}

/// Why the second database cannot be used. The first is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum SecondError {
    /// It cannot be created.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be removed.
    #[error("cannot remove {directory}: {source}; it holds nothing but half-done work of an earlier run, remove it by hand", directory = .directory.display())]
    Remove {
        /// Its directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot take the place of the first.
    #[error("cannot replace the database with the one in {directory}: {source}", directory = .directory.display())]
    Replace {
        /// Its directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Store {
    /// Creates an empty database for the same chain in the directory `name` of the data directory. Nothing waits for
    /// the disk while it is filled with [`Purpose::Scratch`].
    pub fn create_second(&self, name: &str, purpose: Purpose) -> Result<SecondStore, SecondError> {
        let mut second = SecondStore {
            directory: self.directory().join(name),
            store: None,
        };
        second.clear()?; // a killed run may have left one
        let options = StoreOptions {
            undo_depth: self.undo_depth(),
            ..StoreOptions::default()
        };
        let store = Self::open_for(purpose, &second.directory, self.chain(), options)?;
        second.store = Some(Arc::new(store));
        Ok(second)
    }

    /// Puts a second database where this one is, and closes both. A database without sums is opened all the same, only
    /// slower, so that there is always one.
    pub fn replace_by(self, mut second: SecondStore) -> Result<(), SecondError> {
        second.store = None;
        let (from, to) = (open::file(&second.directory), open::file(self.directory()));
        move_with_sums(&from, &to).map_err(|source| SecondError::Replace {
            directory: second.directory.clone(),
            source,
        })?;
        second.clear()
    }
}

impl SecondStore {
    /// The database.
    pub fn store(&self) -> &Store {
        self.store
            .as_ref()
            .expect("it is there until it is removed")
    }

    /// The same for somebody who keeps it; it is closed when all have let go of it.
    pub fn shared(&self) -> Arc<Store> {
        let store = self.store.as_ref();
        Arc::clone(store.expect("it is there until it is removed"))
    }

    /// Removes it, and says if that fails.
    pub fn remove(mut self) -> Result<(), SecondError> {
        self.store = None;
        self.clear()
    }

    fn clear(&self) -> Result<(), SecondError> {
        match fs::remove_dir_all(&self.directory) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(SecondError::Remove {
                directory: self.directory.clone(),
                source,
            }),
            _ => Ok(()),
        }
    }
}

impl Drop for SecondStore {
    fn drop(&mut self) {
        self.store = None;
        if let Err(error) = self.clear() {
            tracing::warn!("{error}");
        }
    }
}
