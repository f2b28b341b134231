//! Opening the database file: whose it is, and in which format.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{
    Database, DatabaseError, Durability, ReadableDatabase as _, StorageError, WriteTransaction,
};

use super::change::index_zonefile;
use super::codec::{Field as _, read_whole};
use super::error::{OpenError, Result, StoreError};
use super::identity::ChainIdentity;
use super::query::read_row;
use super::table::{Tables, WriteTable, open_meta};
use super::view::StoreSnapshot;
use crate::bns::record::NameRecord;

/// The database file in the data directory.
const FILE_NAME: &str = "names.redb";
/// The format that this program writes, as the head of [`super`] specifies it.
const FORMAT: u32 = 2;
/// The first format that there was; brought to the present one when it is opened.
const OLDEST: u32 = 1;
const FORMAT_KEY: &[u8] = b"format";
const CHAIN_KEY: &[u8] = b"chain";

/// Opens the database of a data directory whose lock is held, and its first snapshot.
///
/// redb 4.4 asserts where it loads a damaged allocator state, so a panic on the way is a damaged file.
pub(super) fn open(
    directory: &Path,
    chain: &ChainIdentity,
    cache_bytes: usize,
) -> Result<(Database, StoreSnapshot), OpenError> {
    let path = file(directory);
    catch_unwind(|| open_file(path.clone(), chain, cache_bytes)).unwrap_or_else(|_| {
        Err(OpenError::Damaged {
            path,
            detail: "redb cannot make sense of it".to_owned(),
        })
    })
}

/// The database file of a data directory.
pub(super) fn file(directory: &Path) -> PathBuf {
    directory.join(FILE_NAME)
}

fn open_file(
    path: PathBuf,
    chain: &ChainIdentity,
    cache_bytes: usize,
) -> Result<(Database, StoreSnapshot), OpenError> {
    let database = Database::builder()
        .set_cache_size(cache_bytes)
        .create(&path)
        .map_err(|error| refuse(&path, error))?;
    let damaged = |error: StoreError| OpenError::Damaged {
        path: path.clone(),
        detail: error.to_string(),
    };
    match identify(&path, &database)? {
        None => change(&database, |tables| initialise(tables, chain)).map_err(damaged)?,
        Some((_, found)) if found != *chain => {
            return Err(OpenError::WrongChain {
                path,
                found,
                wanted: chain.clone(),
            });
        }
        Some((FORMAT, _)) => {}
        Some(_) => {
            tracing::info!("the database is brought to format {FORMAT}");
            change(&database, list_zonefiles).map_err(damaged)?;
        }
    }
    let snapshot = StoreSnapshot::of(&database).map_err(damaged)?;
    Ok((database, snapshot))
}

/// Closes a database. A damaged allocator state makes redb 4.4 panic when it is saved on closing; what was
/// committed is not affected, and the next opening reports the damage.
pub(super) fn close(database: Database) {
    if catch_unwind(AssertUnwindSafe(|| drop(database))).is_err() {
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

fn refuse(path: &Path, error: DatabaseError) -> OpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse {
            directory: path.parent().unwrap_or(path).to_owned(),
            holder: None,
        },
        DatabaseError::Storage(StorageError::Io(source))
            if source.kind() != std::io::ErrorKind::InvalidData =>
        {
            OpenError::Io {
                path: path.to_owned(),
                source,
            }
        }
        error => OpenError::Damaged {
            path: path.to_owned(),
            detail: error.to_string(),
        },
    }
}

/// The format and the chain of a database; `None` if nothing was written to it yet.
fn identify(path: &Path, database: &Database) -> Result<Option<(u32, ChainIdentity)>, OpenError> {
    let damaged = |detail: String| OpenError::Damaged {
        path: path.to_owned(),
        detail,
    };
    match read_meta(database).map_err(|error| damaged(error.to_string()))? {
        None => Ok(None),
        Some((Some(found), _)) if found > FORMAT => Err(OpenError::NewerFormat {
            path: path.to_owned(),
            found,
            known: FORMAT,
        }),
        Some((Some(format), Some(chain))) => Ok(Some((format, chain))),
        Some((format, _)) => Err(damaged(format!("format {format:?} was never written"))),
    }
}

/// Format and chain.
type Meta = (Option<u32>, Option<ChainIdentity>);

/// What a database says of itself, as far as it can be read; `None` if nothing was written to it yet.
fn read_meta(database: &Database) -> Result<Option<Meta>> {
    let transaction = database.begin_read()?;
    if transaction.list_tables()?.next().is_none() {
        return Ok(None);
    }
    let meta = open_meta(&transaction)?;
    let format = meta.get(FORMAT_KEY, read_whole)?;
    if !matches!(format, Some(OLDEST..=FORMAT)) {
        return Ok(Some((format, None))); // another format may say the chain in another way
    }
    Ok(Some((format, meta.get(CHAIN_KEY, read_whole)?)))
}

/// Changes tables in a transaction of its own, durably; what it leaves is in this format.
fn change(
    database: &Database,
    change: impl FnOnce(&mut Tables<WriteTable<'_>>) -> Result<()>,
) -> Result<()> {
    let mut transaction = database.begin_write()?;
    make_durable(&mut transaction);
    let mut tables = Tables::of_write(&transaction)?;
    change(&mut tables)?;
    let mut format = FORMAT.to_be_bytes().to_vec();
    tables.meta.put(FORMAT_KEY, &mut format)?;
    drop(tables);
    Ok(transaction.commit()?)
}

fn initialise(tables: &mut Tables<WriteTable<'_>>, chain: &ChainIdentity) -> Result<()> {
    let mut row = Vec::new();
    chain.write(&mut row);
    tables.meta.put(CHAIN_KEY, &mut row)
}

/// What format 1 lacks: its zone files are listed, from the names.
fn list_zonefiles(tables: &mut Tables<WriteTable<'_>>) -> Result<()> {
    let names = tables.names.range(.., usize::MAX, read_row::<NameRecord>)?;
    for record in names {
        index_zonefile(tables, &record.name, None, Some(&record))?;
    }
    Ok(())
}
