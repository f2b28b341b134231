//! The state on disk: one redb database, and the archive of zone files beside it.
//!
//! One block is one transaction: changed rows, indexes, history, undo data, both hashes and the tip become
//! durable together or not at all, so that a process killed anywhere continues at a block boundary. Commits are
//! two-phase and save the allocator state, so that opening after a crash takes milliseconds at any size and
//! no write that an attacker chose can pass for a finished commit. Readers hold a [`StoreSnapshot`], which one commit
//! replaces by the next; nobody opens a transaction for a question. The rules decide what changes; this module
//! must never judge, and never mend a row: what cannot be read is an error that names it.
//!
//! # A data directory
//!
//! `lock` (one process at a time; holds its id), `names.redb` (below), and wherever its user puts it, an
//! [`Archive`]. The directory is created for its owner alone (0700).
//!
//! # Format 1 of `names.redb`
//!
//! Keys are bytes and sort as bytes; `‖` joins without separator. Every value ends in the four bytes of seal that
//! `table.rs` explains. Fields are encoded as `codec.rs` says; *name* and *id* at the end of a key or as a
//! whole value are bare text.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `format` | u32, 1 |
//! | | `chain` | network text, magic (2), first block u32 |
//! | | `seeded` | nothing; there once the rows before the first block are |
//! | `blocks` | height u32 | block hash, previous hash, time u32, ops hash, consensus hash, SHA-256 over its rows in `operations`; the last row is the tip |
//! | `names` | name | [`NameRecord`](crate::bns::record::NameRecord) without its name |
//! | `name_hashes` | hash128 | name |
//! | `owners` | script ‖ name | nothing |
//! | `name_preorders` | preorder hash ‖ name | nothing |
//! | `namespaces` | id | [`NamespaceRecord`](crate::bns::record::NamespaceRecord) without its id |
//! | `namespace_preorders` | preorder hash ‖ id | nothing |
//! | `preorders` | preorder hash ‖ height u32 ‖ txid | [`Preorder`](crate::bns::record::Preorder) without its key |
//! | `keychains` | id | [`ImportKeychain`](crate::bns::record::ImportKeychain) without its id |
//! | `accounts` | address | [`Account`](crate::bns::record::Account) without its address |
//! | `name_history` | name ‖ 0 ‖ height u32 ‖ vtxindex u32 | the record after that operation, as in `names` |
//! | `namespace_history` | id ‖ 0 ‖ height u32 ‖ vtxindex u32 | the record after that operation, as in `namespaces` |
//! | `operations` | height u32 ‖ vtxindex u32 | decision, txid, spent outputs, transaction as Bitcoin serialises it |
//! | `announcements` | inventory index u32, from 1 | zone file hash, height u32, txid, name |
//! | `announced_hashes` | zone file hash ‖ inventory index u32 | nothing |
//! | `undo` | height u32 | the way back from that block, see `undo.rs`; kept for the newest blocks only |
//!
//! `names`, `namespaces`, `preorders`, `keychains` and `accounts` are the state (sm §1). `owners`, `name_hashes`,
//! `name_preorders`, `namespace_preorders` and `announced_hashes` are indexes and follow from it. `operations` keeps
//! every candidate with what it spends, so that the chain can be derived again from this file alone
//! ([`Store::verify`]).
//!
//! Sources: `sm` is state-machine.md, `za` zonefiles-and-atlas.md.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use redb::{Database, ReadableDatabase as _, WriteTransaction};

use crate::bns::Params;
use crate::bns::changes::Changes;
use crate::bns::name::{Name, NamespaceId};

#[cfg(test)]
mod arbitrary;
mod archive;
mod change;
mod codec;
mod error;
mod key;
mod lock;
mod open;
mod query;
mod record;
mod rewind;
mod row;
mod soundness;
mod table;
#[cfg(test)]
mod tests;
mod undo;
mod verify;
mod view;
mod writer;

pub use archive::{Archive, ArchiveError, Lookup};
pub use error::{OpenError, StoreError};
pub use query::{
    Counts, HistoryEntry, MissingError, MissingZonefile, NamespaceHistoryEntry, Zonefiles,
};
pub use rewind::{RewindError, Rewound};
pub use row::{Announcement, IndexedBlock, StoredDecision, StoredOperation};
pub use verify::{Verified, VerifyError};
pub use view::{OpenState, StateReader, StoreSnapshot};
pub use writer::{ConnectedBlock, Disconnected, Writer};

use lock::DirectoryLock;
use table::Tables;

/// The virtualchain that a database belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainIdentity {
    /// Name of the network, as the configuration has it.
    pub network: String,
    /// The magic bytes of its operations.
    pub magic: [u8; 2],
    /// The height at which it begins.
    pub first_block: u32,
}

impl ChainIdentity {
    /// The virtualchain with these constants on a network.
    pub fn new(network: &str, params: &Params) -> Self {
        Self {
            network: network.to_owned(),
            magic: params.magic,
            first_block: params.first_block,
        }
    }
}

impl fmt::Display for ChainIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the chain \"{}\" (magic bytes \"{}\", first block {})",
            self.network.escape_debug(),
            self.magic.escape_ascii(),
            self.first_block
        )
    }
}

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
enum Purpose {
    /// To be there after a crash.
    Lasting,
    /// To be removed soon: nothing waits for the disk.
    Scratch,
}

/// What a commit changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeNotice {
    /// Height of the tip now; `None` when the first block was disconnected.
    pub height: Option<u32>,
    /// Names whose row changed, ascending.
    pub names: Vec<Name>,
    /// Namespaces whose row changed, ascending.
    pub namespaces: Vec<NamespaceId>,
}

/// Told about every commit.
type Subscriber = Box<dyn Fn(&ChangeNotice) + Send + Sync>;

/// The database of one data directory. One writer at a time, any number of readers.
pub struct Store {
    current: ArcSwap<StoreSnapshot>,
    subscribers: Mutex<Vec<Subscriber>>,
    database: Option<Database>, // Taken when dropped.
    chain: ChainIdentity,
    options: StoreOptions,
    purpose: Purpose,
    directory: PathBuf,
    _lock: DirectoryLock, // Released last, after the snapshot and the database.
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

    fn open_for(
        purpose: Purpose,
        directory: &Path,
        chain: &ChainIdentity,
        options: StoreOptions,
    ) -> Result<Self, OpenError> {
        let lock = DirectoryLock::take(directory)?;
        let (database, snapshot) = open::open(directory, chain, options.cache_bytes)?;
        Ok(Self {
            current: ArcSwap::from_pointee(snapshot),
            subscribers: Mutex::default(),
            database: Some(database),
            chain: chain.clone(),
            options,
            purpose,
            directory: directory.to_owned(),
            _lock: lock,
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

    /// Writes the rows that exist before the first block (genesis accounts), before any block is connected. Changes
    /// nothing when they are there already, so that every start can call it.
    pub fn seed(&self, genesis: &Changes) -> Result<(), StoreError> {
        self.write(|writer| writer.seed(genesis))
    }

    /// Connects one block, durably.
    pub fn connect<R: fmt::Display>(
        &self,
        block: &ConnectedBlock<'_, R>,
    ) -> Result<(), StoreError> {
        self.write(|writer| writer.apply(block))
    }

    /// Disconnects the tip, durably.
    pub fn disconnect(&self) -> Result<Disconnected, StoreError> {
        self.write(|writer| writer.undo_tip())
    }

    /// Does `work` in one transaction: all of it is committed when it succeeds, nothing when it fails. Then
    /// readers get the new state and subscribers are told. For a run of blocks:
    ///
    /// ```ignore
    /// store.write(|writer| {
    ///     for block in blocks {
    ///         let outcome = connect_block(&machine, height, &candidates, writer.state())?;
    ///         writer.apply(&ConnectedBlock { outcome: &outcome, .. })?;
    ///     }
    ///     Ok(())
    /// })
    /// ```
    ///
    /// Waits for a writer that is at work in another thread; must not be called inside itself.
    pub fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transact(self.begin()?, work)
    }

    /// As [`Store::write`], without waiting for the disk: the transaction becomes durable with the next one that
    /// `write` commits. After a crash before that, the state is one that `write` left.
    pub fn write_unsynced<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut transaction = self.database().begin_write().map_err(StoreError::from)?;
        open::make_fleeting(&mut transaction)?;
        self.transact(transaction, work)
    }

    fn transact<T, E: From<StoreError>>(
        &self,
        transaction: WriteTransaction,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let tables = Tables::of_write(&transaction)?;
        let mut writer = Writer::new(tables, self.chain.first_block, self.options.undo_depth)?;
        let result = work(&mut writer)?;
        if let Some(notice) = writer.finish()? {
            transaction.commit().map_err(StoreError::from)?;
            self.publish(&notice)?;
        }
        Ok(result)
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

    fn database(&self) -> &Database {
        self.database
            .as_ref()
            .expect("the database is there until the store is dropped")
    }

    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        let mut transaction = self.database().begin_write()?;
        match self.purpose {
            Purpose::Lasting => open::make_durable(&mut transaction),
            Purpose::Scratch => open::make_fleeting(&mut transaction)?,
        }
        Ok(transaction)
    }

    fn publish(&self, notice: &ChangeNotice) -> Result<(), StoreError> {
        let transaction = self.database().begin_read()?;
        let snapshot = StoreSnapshot::new(Tables::of_snapshot(&transaction)?)?;
        self.current.store(Arc::new(snapshot));
        let subscribers = self.subscribers.lock();
        for subscriber in subscribers.unwrap_or_else(PoisonError::into_inner).iter() {
            subscriber(notice);
        }
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(database) = self.database.take() {
            open::close(database);
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
