//! Opening the database file: whose it is, and in which format.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase as _, StorageError, WriteTransaction,
};

use super::codec::{Field as _, read_whole};
use super::damage::{Damage, Held, SENSELESS, contain};
use super::error::{OpenError, Result, StoreError};
use super::identity::ChainIdentity;
use super::late;
use super::pages::{CheckedFile, has_sums, make_sums, move_with_sums, remove_with_sums};
use super::table::{Tables, WriteTable, open_meta};
use super::upgrade;
use super::view::StoreSnapshot;

/// The database file in the data directory.
pub(super) const FILE_NAME: &str = "names.redb";
/// What it is called until it is whole.
const NEW_FILE_NAME: &str = "names.new.redb";
/// The format that this program writes, as the head of [`super`] specifies it.
pub(super) const FORMAT: u32 = 5;
/// The first format that there was; brought to the present one when it is opened.
pub(super) const OLDEST: u32 = 1;
/// Work on a database of more bytes takes long enough to be told of.
const LARGE: u64 = 64 << 20;
const FORMAT_KEY: &[u8] = b"format";
const CHAIN_KEY: &[u8] = b"chain";

/// A database at work.
pub(super) struct Opened {
    pub(super) database: Database,
    /// Its file; none behind a stand-in.
    pub(super) file: Option<CheckedFile>,
    pub(super) damage: Arc<Damage>,
    /// What it holds.
    pub(super) snapshot: StoreSnapshot,
}

/// Opens the database of a data directory whose lock is held.
///
/// redb 4.4 asserts where it loads a damaged allocator state, so a panic on the way is a damaged file.
pub(super) fn open(
    directory: &Path,
    chain: &ChainIdentity,
    cache_bytes: usize,
) -> Result<Opened, OpenError> {
    let path = file(directory);
    contain(|| open_file(&path, chain, cache_bytes)).unwrap_or_else(|| {
        Err(OpenError::Damaged {
            path,
            detail: SENSELESS.to_owned(),
        })
    })
}

/// Stands in for a database that cannot be opened because of `detail`: whatever is asked of it fails.
pub(super) fn stand_in(chain: &ChainIdentity, detail: &str) -> Result<Opened> {
    let damage = Arc::new(Damage::default());
    let database = Database::builder().create_with_backend(InMemoryBackend::new());
    let database = database.map_err(|error| StoreError::Database(Box::new(error.into())))?;
    change(&database, &damage, |tables| initialise(tables, chain))?;
    let snapshot = StoreSnapshot::of(&database, 0, &damage)?;
    damage.note(detail);
    Ok(Opened {
        database,
        file: None,
        damage,
        snapshot,
    })
}

/// The database file of a data directory.
pub(super) fn file(directory: &Path) -> PathBuf {
    directory.join(FILE_NAME)
}

fn open_file(path: &Path, chain: &ChainIdentity, cache_bytes: usize) -> Result<Opened, OpenError> {
    prepare(path, chain)?;
    let file = open_checked(path)?;
    open_over(path, file, chain, cache_bytes)
}

/// Opens the database in a file; `path` is what the file is called in errors.
pub(super) fn open_over(
    path: &Path,
    file: CheckedFile,
    chain: &ChainIdentity,
    cache_bytes: usize,
) -> Result<Opened, OpenError> {
    let damage = Arc::clone(file.damage());
    let opened = Held::new(begin(path, &file, cache_bytes)?, &damage);
    let database = &*opened;
    let failed = |error: StoreError| store_error(path, error);
    match identify(path, database, &damage)? {
        None => change(database, &damage, |tables| initialise(tables, chain)).map_err(failed)?,
        // What was started before it was configured has nothing of the other chain.
        Some((FORMAT, found))
            if found != *chain && is_empty(database, &damage).map_err(failed)? =>
        {
            change(database, &damage, |tables| initialise(tables, chain)).map_err(failed)?;
        }
        Some((format, found)) => {
            check_chain(path, found, chain)?;
            upgrade::bring_up(database, &damage, format, is_large(path)).map_err(failed)?;
        }
    }
    let mut snapshot = StoreSnapshot::of(database, 0, &damage).map_err(failed)?;
    if late::is_due(&snapshot.tables).map_err(failed)? {
        change(database, &damage, late::list).map_err(failed)?;
        snapshot = StoreSnapshot::of(database, 0, &damage).map_err(failed)?;
    }
    Ok(Opened {
        database: opened.release(),
        file: Some(file),
        damage,
        snapshot,
    })
}

/// Opens another database file with sums, as it is.
pub(super) fn open_beside(
    path: &Path,
    cache_bytes: usize,
) -> Result<(Database, CheckedFile), OpenError> {
    let file = open_checked(path)?;
    Ok((begin(path, &file, cache_bytes)?, file))
}

fn open_checked(path: &Path) -> Result<CheckedFile, OpenError> {
    CheckedFile::open(path, Arc::default()).map_err(|source| io_error(path, source))
}

/// Lets redb begin with a file.
fn begin(path: &Path, file: &CheckedFile, cache_bytes: usize) -> Result<Database, OpenError> {
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes);
    let database = builder.create_with_backend(file.clone());
    database.map_err(|error| match file.damage().found() {
        Some(detail) => damaged(path, detail),
        None => refuse(path, error),
    })
}

/// Lets redb begin anew with a file that could not be written to.
pub(super) fn again(file: &CheckedFile, cache_bytes: usize) -> Result<Database> {
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes);
    let database = file.damage().pass(|| {
        let database = builder.create_with_backend(file.clone());
        database.map_err(|error| StoreError::Database(Box::new(error.into())))
    })?;
    file.end_earlier();
    Ok(database)
}

/// Makes a database under another name and moves it to `path`. Killed on the way it leaves none there, and what it began
/// is removed by the next call.
fn create(path: &Path, chain: &ChainIdentity) -> Result<(), OpenError> {
    let new = path.with_file_name(NEW_FILE_NAME);
    let broken = |source| io_error(&new, source);
    remove_with_sums(&new).map_err(broken)?;
    let file = open_checked(&new)?;
    let database = begin(&new, &file, 0)?;
    change(&database, file.damage(), |tables| initialise(tables, chain))
        .map_err(|error| store_error(&new, error))?;
    close(database, file.damage());
    move_with_sums(&new, path).map_err(broken)
}

/// Sees to it that the pages of the file have sums. A file without them is of an earlier format, or a copy that
/// somebody made: redb checks all of it first, and then its pages count as they are.
fn prepare(path: &Path, chain: &ChainIdentity) -> Result<(), OpenError> {
    let broken = |source| io_error(path, source);
    if fs::metadata(path).map_or(0, |metadata| metadata.len()) == 0 {
        return create(path, chain);
    }
    if has_sums(path) {
        return Ok(());
    }
    remove_with_sums(&path.with_file_name(NEW_FILE_NAME)).map_err(broken)?; // a kill on its move left the rest
    let refused = |error| refuse(path, error);
    let mut database = Database::builder().create(path).map_err(refused)?;
    if let Some((_, found)) = identify(path, &database, &Arc::default())? {
        check_chain(path, found, chain)?;
    }
    let is_large = is_large(path);
    if is_large {
        tracing::info!("the whole database is checked, once: its pages have no sums yet");
    }
    database.check_integrity().map_err(refused)?;
    close(database, &Arc::default());
    let mut tenth = 0;
    let reached = |done: u64, of: u64| {
        if is_large && done * 10 / of > tenth {
            tenth = done * 10 / of;
            tracing::info!("{tenth}0 % of the database has sums");
        }
    };
    make_sums(path, reached).map_err(broken)
}

/// Whether work on all of a file takes long enough to be told of.
fn is_large(path: &Path) -> bool {
    fs::metadata(path).map_or(0, |metadata| metadata.len()) > LARGE
}

/// Whether a database of this format has no block.
fn is_empty(database: &Database, damage: &Arc<Damage>) -> Result<bool> {
    Ok(StoreSnapshot::of(database, 0, damage)?.tip().is_none())
}

fn check_chain(path: &Path, found: ChainIdentity, wanted: &ChainIdentity) -> Result<(), OpenError> {
    if found == *wanted {
        return Ok(());
    }
    Err(OpenError::WrongChain {
        path: path.to_owned(),
        found,
        wanted: wanted.clone(),
    })
}

/// Closes a database. A damaged allocator state makes redb 4.4 panic when it is saved on closing; what was
/// committed is not affected, and the next opening reports the damage.
pub(super) fn close(database: Database, damage: &Arc<Damage>) {
    let database = Held::new(database, damage);
    if contain(|| drop(database)).is_none() {
        tracing::error!("the database could not be closed in order: its file is damaged");
    }
}

/// What every write transaction is set to; the head of [`super`] says why.
pub(super) fn make_durable(transaction: &mut WriteTransaction) {
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
}

/// What write transactions are set to that need not survive a crash by themselves.
pub(super) fn make_fleeting(transaction: &mut WriteTransaction) -> Result<()> {
    let set = transaction.set_durability(Durability::None);
    set.map_err(|error| StoreError::Database(Box::new(error.into())))
}

fn damaged(path: &Path, detail: &str) -> OpenError {
    OpenError::Damaged {
        path: path.to_owned(),
        detail: detail.to_owned(),
    }
}

pub(super) fn io_error(path: &Path, source: io::Error) -> OpenError {
    match source.kind() {
        io::ErrorKind::InvalidData => damaged(path, &source.to_string()),
        _ => OpenError::Io {
            path: path.to_owned(),
            source,
        },
    }
}

fn refuse(path: &Path, error: DatabaseError) -> OpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse {
            directory: path.parent().unwrap_or(path).to_owned(),
            holder: None,
        },
        DatabaseError::Storage(StorageError::Io(source)) => io_error(path, source),
        error => damaged(path, &error.to_string()),
    }
}

/// What a failed read or write says about the file: a disk without space is no damage.
pub(super) fn store_error(path: &Path, error: StoreError) -> OpenError {
    match error {
        StoreError::Database(error) => match *error {
            redb::Error::Io(source) => io_error(path, source),
            error => damaged(path, &error.to_string()),
        },
        StoreError::Damaged(detail) => damaged(path, &detail),
        error => damaged(path, &error.to_string()),
    }
}

/// The format and the chain of a database; `None` if nothing was written to it yet.
fn identify(
    path: &Path,
    database: &Database,
    damage: &Arc<Damage>,
) -> Result<Option<(u32, ChainIdentity)>, OpenError> {
    match read_meta(database, damage).map_err(|error| store_error(path, error))? {
        None => Ok(None),
        Some((Some(found), _)) if found > FORMAT => Err(OpenError::NewerFormat {
            path: path.to_owned(),
            found,
            known: FORMAT,
        }),
        Some((Some(format), Some(chain))) => Ok(Some((format, chain))),
        Some((format, _)) => Err(damaged(
            path,
            &format!("format {format:?} was never written"),
        )),
    }
}

/// Format and chain.
type Meta = (Option<u32>, Option<ChainIdentity>);

/// What a database says of itself, as far as it can be read; `None` if nothing was written to it yet.
fn read_meta(database: &Database, damage: &Arc<Damage>) -> Result<Option<Meta>> {
    let transaction = damage.pass(|| Ok(database.begin_read()?))?;
    if damage.pass(|| Ok(transaction.list_tables()?.next().is_none()))? {
        return Ok(None);
    }
    let meta = open_meta(&transaction, damage)?;
    let format = meta.get(FORMAT_KEY, read_whole)?;
    if !matches!(format, Some(OLDEST..=FORMAT)) {
        return Ok(Some((format, None))); // another format may say the chain in another way
    }
    Ok(Some((format, meta.get(CHAIN_KEY, read_whole)?)))
}

/// Changes tables in a transaction of its own, durably; what it leaves is in this format.
pub(super) fn change<T>(
    database: &Database,
    damage: &Arc<Damage>,
    change: impl FnOnce(&mut Tables<WriteTable<'_>>) -> Result<T>,
) -> Result<T> {
    let mut transaction = damage.pass(|| Ok(database.begin_write()?))?;
    make_durable(&mut transaction);
    let mut tables = Tables::of_write(&transaction, damage)?;
    let done = change(&mut tables)?;
    let mut format = FORMAT.to_be_bytes().to_vec();
    tables.meta.put(FORMAT_KEY, &mut format)?;
    drop(tables);
    damage.pass(|| Ok(transaction.commit()?))?;
    Ok(done)
}

fn initialise(tables: &mut Tables<WriteTable<'_>>, chain: &ChainIdentity) -> Result<()> {
    let mut row = Vec::new();
    chain.write(&mut row);
    tables.meta.put(CHAIN_KEY, &mut row)
}
