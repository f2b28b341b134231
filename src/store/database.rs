//! The database of a data directory: one writer at a time, any number of readers, and who is told of a commit.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use redb::{Database, WriteTransaction};

use super::change::note_zonefile;
use super::damage::{Damage, contain};
use super::error::{OpenError, Result, StoreError};
use super::identity::ChainIdentity;
use super::lock::{self, DirectoryLock};
use super::open::{self, Opened};
use super::pages::CheckedFile;
use super::row::IndexedBlock;
use super::table::Tables;
use super::view::StoreSnapshot;
use super::wanted::WantedZonefile;
use super::writer::{ChangeNotice, Writer};
use crate::bns::changes::Changes;
use crate::bns::name::{Name, NamespaceId};

/// How the store uses memory and disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreOptions {
    /// Bytes of the database that are kept in memory, at most.
    pub cache_bytes: usize,
    /// For how many of the newest blocks undo data is kept.
    pub undo_depth: u32,
}

impl StoreOptions {
    /// Enough for every name that the historical chain ever had (64 MiB).
    pub const DEFAULT_CACHE_BYTES: usize = 64 << 20;
    /// Reorganisations of this depth are followed automatically; Bitcoin has seen none near it.
    pub const DEFAULT_UNDO_DEPTH: u32 = 100;
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            cache_bytes: Self::DEFAULT_CACHE_BYTES,
            undo_depth: Self::DEFAULT_UNDO_DEPTH,
        }
    }
}

/// What a database is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be there after a crash.
    Lasting,
    /// To be removed soon: nothing waits for the disk.
    Scratch,
}

/// Told about every commit.
type Subscriber = Box<dyn Fn(&ChangeNotice) + Send + Sync>;

/// The database of one data directory. One writer at a time, any number of readers.
pub struct Store {
    current: ArcSwap<StoreSnapshot>,
    /// The number of the last commit; written while `writing` is held.
    commits: AtomicU64,
    /// How many commits took blocks back.
    undone: AtomicU64,
    subscribers: Mutex<Vec<Subscriber>>,
    writing: Mutex<Writing>,
    file: Option<CheckedFile>,
    pub(super) damage: Arc<Damage>,
    chain: ChainIdentity,
    options: StoreOptions,
    purpose: Purpose,
    directory: PathBuf,
    _lock: DirectoryLock, // Released last, after the snapshot and the database.
}

/// What one thread at a time has, which writes.
pub(super) struct Writing {
    database: Option<Database>, // Taken when dropped.
    /// What changed since the last commit that waited for the disk, that commit included if it failed.
    unsettled: (BTreeSet<Name>, BTreeSet<NamespaceId>),
}

impl Writing {
    fn database(&self) -> &Database {
        self.database
            .as_ref()
            .expect("the database is there until the store is dropped")
    }

    fn begin(&self, purpose: Purpose, damage: &Damage) -> Result<WriteTransaction> {
        let mut transaction = damage.pass(|| Ok(self.database().begin_write()?))?;
        match purpose {
            Purpose::Lasting => open::make_durable(&mut transaction),
            Purpose::Scratch => open::make_fleeting(&mut transaction)?,
        }
        Ok(transaction)
    }
}

impl Store {
    /// Opens the database in `directory`, creating both where they are missing, for one chain. Fails if another
    /// process has the directory, and if the database is of a newer format, another chain or damaged.
    pub fn open(
        directory: &Path,
        chain: &ChainIdentity,
        options: StoreOptions,
    ) -> Result<Self, OpenError> {
        Self::open_for(Purpose::Lasting, directory, chain, options)
    }

    /// Makes a data directory for its owner alone, or makes the one that is there private: for whoever keeps something
    /// else in it before the database is opened.
    pub fn claim(directory: &Path) -> Result<(), OpenError> {
        lock::claim(directory)
    }

    /// Whether a directory is one of ours, or empty.
    pub fn is_data_directory(directory: &Path) -> std::io::Result<bool> {
        lock::is_data_directory(directory)
    }

    /// The same, but a damaged database is no error: [`Store::damage`] says what was found, and every read and write fails.
    pub fn open_even_damaged(
        directory: &Path,
        chain: &ChainIdentity,
        options: StoreOptions,
    ) -> Result<Self, OpenError> {
        let lock = DirectoryLock::take(directory)?;
        let opened = match open::open(directory, chain, options.cache_bytes) {
            Err(OpenError::Damaged { path, detail }) => {
                open::stand_in(chain, &detail).map_err(|_| OpenError::Damaged { path, detail })?
            }
            opened => opened?,
        };
        let purpose = Purpose::Lasting;
        Ok(Self::of(opened, directory, chain, options, purpose, lock))
    }

    /// Opens a database that lasts, or one that is removed soon.
    pub(super) fn open_for(
        purpose: Purpose,
        directory: &Path,
        chain: &ChainIdentity,
        options: StoreOptions,
    ) -> Result<Self, OpenError> {
        let lock = DirectoryLock::take(directory)?;
        let opened = open::open(directory, chain, options.cache_bytes)?;
        Ok(Self::of(opened, directory, chain, options, purpose, lock))
    }

    pub(super) fn of(
        opened: Opened,
        directory: &Path,
        chain: &ChainIdentity,
        options: StoreOptions,
        purpose: Purpose,
        lock: DirectoryLock,
    ) -> Self {
        Self {
            current: ArcSwap::from_pointee(opened.snapshot),
            commits: AtomicU64::new(0),
            undone: AtomicU64::new(0),
            subscribers: Mutex::default(),
            writing: Mutex::new(Writing {
                database: Some(opened.database),
                unsettled: Default::default(),
            }),
            file: opened.file,
            damage: opened.damage,
            chain: chain.clone(),
            options,
            purpose,
            directory: directory.to_owned(),
            _lock: lock,
        }
    }

    /// What was found to be damaged since the database was opened. Nothing is read or written any more then.
    pub fn damage(&self) -> Option<&str> {
        self.damage.found()
    }

    /// Reads at most `count` pages of the file again, from number `first` on, and notes damage. Gives the number of the page
    /// to go on with; `None` after the last one, and if nothing can be read.
    pub fn sweep(&self, first: usize, count: usize) -> Option<usize> {
        let file = self.file.as_ref()?;
        let swept = file.sweep(first, count);
        swept.unwrap_or_else(|error| {
            self.damage.note(&error.to_string());
            None
        })
    }

    /// Whether there is a database in `directory`; nothing is opened or created.
    pub fn exists(directory: &Path) -> bool {
        open::file(directory).is_file()
    }

    /// The state after the last committed block. Costs a reference count; see [`StoreSnapshot`] on how long to hold it.
    pub fn snapshot(&self) -> Arc<StoreSnapshot> {
        self.current.load_full()
    }

    /// A number that is another one after blocks were taken back, once [`Store::snapshot`] shows it: the same blocks may have
    /// come back with operations that they lacked. To be read before the snapshot that it is kept with.
    pub fn undone(&self) -> u64 {
        self.undone.load(Ordering::Acquire)
    }

    /// Writes the rows that exist before the first block (genesis accounts), before any block is connected. Changes
    /// nothing when they are there already, so that every start can call it.
    pub fn seed(&self, genesis: &Changes) -> Result<()> {
        self.write(|writer| writer.seed(genesis))
    }

    /// Disconnects the tip, durably, and returns it.
    pub fn disconnect(&self) -> Result<IndexedBlock> {
        self.write(|writer| writer.undo_tip())
    }

    /// Does `work` in one transaction: all of it is committed when it succeeds, nothing when it fails. Then
    /// readers get the new state and subscribers are told. For a run of blocks:
    ///
    /// ```ignore
    /// store.write(|writer| derive(&machine, blocks, writer))
    /// ```
    ///
    /// Waits for a writer that is at work in another thread; must not be called inside itself.
    pub fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transact(self.purpose, work)
    }

    /// As [`Store::write`], without waiting for the disk: the transaction becomes durable with the next one that
    /// `write` commits. After a crash before that, the state is one that `write` left.
    pub fn write_unsynced<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transact(Purpose::Scratch, work)
    }

    fn transact<T, E: From<StoreError>>(
        &self,
        purpose: Purpose,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut writing = self.writing();
        let transaction = writing.begin(purpose, &self.damage)?;
        let fill = AssertUnwindSafe(|| self.fill(&transaction, work));
        let filled = catch_unwind(fill).unwrap_or_else(|panic| match self.damage.found() {
            Some(detail) => Err(E::from(StoreError::Damaged(detail.to_owned()))), // redb, letting go of a table
            None => resume_unwind(panic),
        });
        match filled {
            Ok((result, None)) => {
                self.abort(transaction);
                Ok(result)
            }
            Ok((result, Some(notice))) => {
                if self.purpose == Purpose::Lasting {
                    writing.unsettled.0.extend(notice.names.iter().cloned());
                    let namespaces = notice.namespaces.iter().cloned();
                    writing.unsettled.1.extend(namespaces);
                }
                self.damage.pass(|| Ok(transaction.commit()?))?;
                if purpose == Purpose::Lasting {
                    writing.unsettled = Default::default();
                }
                self.publish(&writing, &notice)?;
                Ok(result)
            }
            Err(error) => {
                self.abort(transaction);
                Err(error)
            }
        }
    }

    fn fill<T, E: From<StoreError>>(
        &self,
        transaction: &WriteTransaction,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<(T, Option<ChangeNotice>), E> {
        let tables = Tables::of_write(transaction, &self.damage)?;
        let mut writer = Writer::new(tables, self.chain.first_block, self.options.undo_depth)?;
        let result = work(&mut writer)?;
        Ok((result, writer.finish()?))
    }

    /// Gives a transaction up. One that failed because of damage may fail at that too, which changes nothing.
    fn abort(&self, transaction: WriteTransaction) {
        let _ = contain(|| drop(transaction));
    }

    /// Calls `subscriber` after every commit, when [`Store::snapshot`] shows the new state, in the thread that
    /// committed: it must be quick and must not write to the store. No notice is ever left out; several blocks in
    /// one transaction are one notice.
    ///
    /// Whoever keeps answers made from a snapshot must not keep one whose snapshot is older than the last
    /// notice: it may have been made while the notice was on its way.
    pub fn subscribe(&self, subscriber: impl Fn(&ChangeNotice) + Send + Sync + 'static) {
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Box::new(subscriber));
    }

    /// The chain that the database belongs to.
    pub fn chain(&self) -> &ChainIdentity {
        &self.chain
    }

    /// For how many of the newest blocks undo data is kept.
    pub fn undo_depth(&self) -> u32 {
        self.options.undo_depth
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn begin(&self) -> Result<WriteTransaction> {
        self.writing().begin(self.purpose, &self.damage)
    }

    /// Why the last write failed. Nothing more is written then, and only what is in memory is surely read, until
    /// [`Store::recover`] succeeds.
    pub fn failure(&self) -> Option<String> {
        self.file.as_ref()?.failure()
    }

    /// Opens the database again if a write failed. The state is then that of the last commit that reached the disk, and
    /// subscribers are told of everything that changed since. Fails as long as the disk does; then nothing is different.
    pub fn recover(&self) -> Result<()> {
        let mut writing = self.writing();
        let Some(file) = self.file.as_ref().filter(|file| file.failure().is_some()) else {
            return Ok(());
        };
        let database = open::again(&file.again(), self.options.cache_bytes);
        let database = database.inspect_err(|error| file.note_failure(error))?;
        if let Some(earlier) = writing.database.replace(database) {
            open::close(earlier, &self.damage);
        }
        let (names, namespaces) = std::mem::take(&mut writing.unsettled);
        let blocks = StoreSnapshot::of(writing.database(), 0, &self.damage)?;
        let notice = ChangeNotice {
            height: blocks.tip().map(|tip| tip.height),
            names: names.into_iter().collect(),
            namespaces: namespaces.into_iter().collect(),
            has_undone: true, // commits that did not reach the disk may be gone
        };
        self.publish(&writing, &notice)
    }

    /// Notes of zone files that current records ask for whether the archive has them. No subscriber is told: no name
    /// changed. Nothing waits for the disk: what is lost in a crash is found out again.
    pub fn note_zonefiles(&self, found: &[(WantedZonefile, bool)]) -> Result<()> {
        let writing = self.writing();
        let transaction = writing.begin(Purpose::Scratch, &self.damage)?;
        let noted = Tables::of_write(&transaction, &self.damage).and_then(|mut tables| {
            let mut found = found.iter();
            found.try_for_each(|(zonefile, present)| note_zonefile(&mut tables, zonefile, *present))
        });
        if noted.is_err() {
            self.abort(transaction);
            return noted;
        }
        self.damage.pass(|| Ok(transaction.commit()?))?;
        self.renew_snapshot(&writing)
    }

    pub(super) fn publish(&self, writing: &Writing, notice: &ChangeNotice) -> Result<()> {
        self.commits.fetch_add(1, Ordering::Relaxed); // whoever hears of no such commit knows that he missed one
        self.renew_snapshot(writing)?;
        if notice.has_undone {
            self.undone.fetch_add(1, Ordering::Release); // last: who reads it has the snapshot that it is about
        }
        let subscribers = self.subscribers.lock();
        for subscriber in subscribers.unwrap_or_else(PoisonError::into_inner).iter() {
            subscriber(notice);
        }
        Ok(())
    }

    fn renew_snapshot(&self, writing: &Writing) -> Result<()> {
        let commit = self.commits.load(Ordering::Relaxed);
        let snapshot = StoreSnapshot::of(writing.database(), commit, &self.damage)?;
        self.current.store(Arc::new(snapshot));
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(database) = self.writing().database.take() {
            open::close(database, &self.damage);
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("directory", &self.directory)
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}
