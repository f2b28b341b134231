//! What peers and owners say beside the chain: `atlas.redb` in the data directory.
//!
//! All of it can be learned again from peers, zone files and the chain, so anybody may delete the file. One that is damaged, of
//! another format or of another chain is made anew, which is one warning in the log and no error. It has the guards of the first
//! database: sums of its pages, seals of its rows, and a door that contains redb's panics. Whoever opens it
//! holds the lock of the data directory.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use redb::{Database, ReadableDatabase as _};

use super::codec::{Field, Input, read_whole};
use super::damage::{Damage, contain};
use super::error::{OpenError, Result, StoreError};
use super::identity::ChainIdentity;
use super::open;
use super::pages::{CheckedFile, finish_move, has_sums, move_with_sums, remove_with_sums};
use super::table::{OffchainTables, SnapshotTable, WriteTable, open_meta};
use crate::hash::ZonefileHash;

/// The file in the data directory.
const FILE_NAME: &str = "atlas.redb";
/// What it is called until it is whole.
const NEW_FILE_NAME: &str = "atlas.new.redb";
/// The format that this program writes; another one is made anew.
const FORMAT: u32 = 2;
const FORMAT_KEY: &[u8] = b"format";
const CHAIN_KEY: &[u8] = b"chain";
/// Bytes of the database that are kept in memory.
const CACHE: usize = 8 << 20;
/// Characters of what was asked for a file, as it is shown; more is cut off.
const BY_MAX: usize = 255;

/// A peer that was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedPeer {
    /// Its host and port.
    pub address: String,
    /// When it was first heard of, seconds since 1970.
    pub discovered: u64,
    /// When it last answered, seconds since 1970.
    pub last_seen: u64,
}

/// What was done to get a missing zone file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The first time, seconds since 1970.
    pub since: u64,
    /// The last time, seconds since 1970.
    pub last: u64,
    /// How often.
    pub times: u32,
    /// Who was asked last: the address of a peer, or the name of a backup.
    pub by: String,
}

/// What is known beside the chain.
pub struct Offchain {
    path: PathBuf,
    chain: ChainIdentity,
    /// What readers see.
    current: ArcSwap<Current>,
    writing: Mutex<Writing>,
    /// How often the tables were made anew since they were opened.
    renewals: AtomicU64,
}

struct Current {
    tables: OffchainTables<SnapshotTable>,
    damage: Arc<Damage>,
}

struct Writing {
    database: Option<Database>, // Taken when dropped.
    file: CheckedFile,
}

impl Offchain {
    /// Opens the database of a data directory whose lock is held. Fails only if files cannot be made or written there.
    pub fn open(data_dir: &Path, chain: &ChainIdentity) -> Result<Arc<Self>, OpenError> {
        let path = data_dir.join(FILE_NAME);
        let opened = match open_sound(&path, chain) {
            Err(OpenError::Io { path, source }) => return Err(OpenError::Io { path, source }),
            Err(reason) => {
                warn(&path, &reason.to_string());
                make_anew(&path, chain)
            }
            opened => opened,
        };
        let (current, writing) = opened?;
        Ok(Arc::new(Self {
            path,
            chain: chain.clone(),
            current: ArcSwap::from_pointee(current),
            writing: Mutex::new(writing),
            renewals: AtomicU64::new(0),
        }))
    }

    /// Every peer that is remembered, by address.
    pub fn remembered(&self) -> Result<Vec<RememberedPeer>> {
        self.read(|tables| {
            tables.peers.range(.., usize::MAX, |address, row| {
                let mut input = Input::new(row);
                let peer = RememberedPeer {
                    address: String::from_utf8(address.to_vec()).ok()?,
                    discovered: Field::read(&mut input)?,
                    last_seen: Field::read(&mut input)?,
                };
                input.finish(peer)
            })
        })
    }

    /// Remembers peers, in place of what is remembered of them.
    pub fn remember(&self, peers: &[RememberedPeer]) -> Result<()> {
        self.write(|tables| {
            for peer in peers {
                let mut row = Vec::new();
                peer.discovered.write(&mut row);
                peer.last_seen.write(&mut row);
                tables.peers.put(peer.address.as_bytes(), &mut row)?;
            }
            Ok(())
        })
    }

    /// Forgets peers.
    pub fn forget(&self, addresses: &[String]) -> Result<()> {
        self.write(|tables| {
            let mut addresses = addresses.iter();
            addresses.try_for_each(|address| tables.peers.remove(address.as_bytes()))
        })
    }

    /// What was done to get a zone file; `None` if it was never asked for.
    pub fn tried(&self, hash: &ZonefileHash) -> Result<Option<Tried>> {
        self.read(|tables| tables.tried.get(hash.as_bytes(), read_tried))
    }

    /// Notes that somebody was asked for zone files at a time (seconds since 1970).
    pub fn note_tried(&self, hashes: &[ZonefileHash], by: &str, time: u64) -> Result<()> {
        let by: String = by.chars().take(BY_MAX).collect();
        self.write(|tables| {
            for hash in hashes {
                let before = tables.tried.get(hash.as_bytes(), read_tried)?;
                let mut row = Vec::new();
                before
                    .as_ref()
                    .map_or(time, |tried| tried.since)
                    .write(&mut row);
                time.write(&mut row);
                before
                    .map_or(1, |tried| tried.times.saturating_add(1))
                    .write(&mut row);
                by.write(&mut row);
                tables.tried.put(hash.as_bytes(), &mut row)?;
            }
            Ok(())
        })
    }

    /// Forgets what was done for zone files that are there, or that nobody wants any more.
    pub fn forget_tried(&self, hashes: &[ZonefileHash]) -> Result<()> {
        self.write(|tables| {
            let mut hashes = hashes.iter();
            hashes.try_for_each(|hash| tables.tried.remove(hash.as_bytes()))
        })
    }

    /// Reads at most `count` pages of the file again, from number `first` on; gives the number of the page to go on with, and
    /// `None` after the last one. Tables that turn out to be damaged are made anew.
    pub fn sweep(&self, first: usize, count: usize) -> Result<Option<usize>> {
        let file = self.writing().file.clone(); // nobody waits for a sweep
        match file.sweep(first, count) {
            Ok(next) => Ok(next),
            Err(error) => {
                file.damage().note(&error.to_string());
                self.replace_damaged(&mut self.writing())?;
                Ok(None)
            }
        }
    }

    /// How often the tables were made anew, and lost what they had, since they were opened.
    pub(super) fn renewals(&self) -> u64 {
        self.renewals.load(Ordering::Acquire)
    }

    /// Reads the tables as the last [`Offchain::write`] left them. If they turn out to be damaged, they are made anew and read
    /// again.
    pub(super) fn read<T>(
        &self,
        read: impl Fn(&OffchainTables<SnapshotTable>) -> Result<T>,
    ) -> Result<T> {
        let current = self.current.load_full();
        let result = read(&current.tables);
        if result.is_err() && current.damage.found().is_some() {
            self.replace_damaged(&mut self.writing())?;
            return read(&self.current.load().tables);
        }
        result
    }

    /// Changes the tables in one transaction, durably. If they turn out to be damaged, they are made anew and changed then.
    /// Waits for a writer that is at work; must not be called inside itself.
    pub(super) fn write<T>(
        &self,
        change: impl Fn(&mut OffchainTables<WriteTable<'_>>) -> Result<T>,
    ) -> Result<T> {
        let mut writing = self.writing();
        if writing.file.failure().is_some() {
            let file = writing.file.again();
            let again = open::again(&file, CACHE);
            let again = again.inspect_err(|error| file.note_failure(error))?;
            writing.replace(again, file);
        }
        match self.transact(&writing, &change) {
            Err(_) if writing.file.damage().found().is_some() => {
                self.replace_damaged(&mut writing)?;
                self.transact(&writing, &change)
            }
            changed => changed,
        }
    }

    fn transact<T>(
        &self,
        writing: &Writing,
        work: impl Fn(&mut OffchainTables<WriteTable<'_>>) -> Result<T>,
    ) -> Result<T> {
        let damage = writing.file.damage();
        let changed = catch_unwind(AssertUnwindSafe(|| {
            change(writing.database(), damage, work)
        }));
        let changed = changed.unwrap_or_else(|panic| match damage.found() {
            Some(detail) => Err(StoreError::Damaged(detail.to_owned())), // redb, letting go of a table
            None => resume_unwind(panic),
        })?;
        self.current.store(Arc::new(Current::of(writing)?));
        Ok(changed)
    }

    /// Makes the database anew, unless somebody has meanwhile.
    fn replace_damaged(&self, writing: &mut Writing) -> Result<()> {
        let Some(detail) = writing.file.damage().found() else {
            return Ok(());
        };
        warn(&self.path, detail);
        let anew = make_anew(&self.path, &self.chain);
        let (current, anew) = anew.map_err(|error| StoreError::Damaged(error.to_string()))?;
        *writing = anew;
        self.renewals.fetch_add(1, Ordering::Release); // before anybody can read the empty ones
        self.current.store(Arc::new(current));
        Ok(())
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writing {
    fn database(&self) -> &Database {
        let database = self.database.as_ref();
        database.expect("the database is there until this is dropped")
    }

    fn replace(&mut self, database: Database, file: CheckedFile) {
        let earlier_file = std::mem::replace(&mut self.file, file);
        if let Some(earlier) = self.database.replace(database) {
            open::close(earlier, earlier_file.damage());
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(database) = self.database.take() {
            open::close(database, self.file.damage());
        }
    }
}

impl Current {
    fn of(writing: &Writing) -> Result<Self> {
        let damage = writing.file.damage();
        let transaction = damage.pass(|| Ok(writing.database().begin_read()?))?;
        Ok(Self {
            tables: OffchainTables::of_snapshot(&transaction, damage)?,
            damage: Arc::clone(damage),
        })
    }
}

fn read_tried(row: &[u8]) -> Option<Tried> {
    let mut input = Input::new(row);
    let tried = Tried {
        since: Field::read(&mut input)?,
        last: Field::read(&mut input)?,
        times: Field::read(&mut input)?,
        by: Field::read(&mut input)?,
    };
    input.finish(tried)
}

fn warn(path: &Path, reason: &str) {
    tracing::warn!(
        "{} is made anew, what was in it is learned again: {reason}",
        path.display()
    );
}

fn make_anew(path: &Path, chain: &ChainIdentity) -> Result<(Current, Writing), OpenError> {
    remove_with_sums(path).map_err(|source| io_error(path, source))?;
    open_sound(path, chain)
}

/// Opens what is there if all of it can be used, or makes it where nothing is.
fn open_sound(path: &Path, chain: &ChainIdentity) -> Result<(Current, Writing), OpenError> {
    let new = path.with_file_name(NEW_FILE_NAME);
    if fs::metadata(path).map_or(0, |metadata| metadata.len()) == 0 {
        create(path, &new, chain)?;
    }
    finish_move(&new, path).map_err(|source| io_error(path, source))?;
    if !has_sums(path) {
        return Err(damaged(path, "its pages have no sums"));
    }
    contain(|| open_file(path, chain)).unwrap_or_else(|| Err(damaged(path, "it makes no sense")))
}

/// Makes an empty one under the name `new` and moves it to `path`, so that one that was begun on a full disk is not taken for
/// a damaged one.
fn create(path: &Path, new: &Path, chain: &ChainIdentity) -> Result<(), OpenError> {
    remove_with_sums(new).map_err(|source| io_error(new, source))?;
    let (database, file) = open::open_beside(new, 0)?;
    let seal = |tables: &mut OffchainTables<WriteTable<'_>>| {
        let mut row = Vec::new();
        chain.write(&mut row);
        tables.meta.put(CHAIN_KEY, &mut row)?;
        tables
            .meta
            .put(FORMAT_KEY, &mut FORMAT.to_be_bytes().to_vec())
    };
    change(&database, file.damage(), seal).map_err(|error| open::store_error(new, error))?;
    open::close(database, file.damage());
    move_with_sums(new, path).map_err(|source| io_error(path, source))
}

fn open_file(path: &Path, chain: &ChainIdentity) -> Result<(Current, Writing), OpenError> {
    let (database, file) = open::open_beside(path, CACHE)?;
    let damage = Arc::clone(file.damage());
    let writing = Writing {
        database: Some(database),
        file,
    };
    let failed = |error: StoreError| open::store_error(path, error);
    identify(path, writing.database(), &damage, chain)?;
    Ok((Current::of(&writing).map_err(failed)?, writing))
}

/// An error unless the database is of this format and chain.
fn identify(
    path: &Path,
    database: &Database,
    damage: &Arc<Damage>,
    chain: &ChainIdentity,
) -> Result<(), OpenError> {
    let read = || {
        let transaction = damage.pass(|| Ok(database.begin_read()?))?;
        let meta = open_meta(&transaction, damage)?;
        let format = meta.get(FORMAT_KEY, read_whole::<u32>)?;
        match format {
            Some(FORMAT) => Ok((format, meta.get(CHAIN_KEY, read_whole)?)),
            _ => Ok((format, None)), // another format may say the chain in another way
        }
    };
    match read().map_err(|error| open::store_error(path, error))? {
        (_, Some(found)) if found == *chain => Ok(()),
        (_, Some(found)) => Err(OpenError::WrongChain {
            path: path.to_owned(),
            found,
            wanted: chain.clone(),
        }),
        (format, None) => Err(damaged(path, &format!("its format is {format:?}"))),
    }
}

fn change<T>(
    database: &Database,
    damage: &Arc<Damage>,
    change: impl Fn(&mut OffchainTables<WriteTable<'_>>) -> Result<T>,
) -> Result<T> {
    let mut transaction = damage.pass(|| Ok(database.begin_write()?))?;
    open::make_durable(&mut transaction);
    let mut tables = OffchainTables::of_write(&transaction, damage)?;
    let changed = change(&mut tables);
    drop(tables);
    match changed {
        Ok(changed) => {
            damage.pass(|| Ok(transaction.commit()?))?;
            Ok(changed)
        }
        Err(error) => {
            let _ = contain(|| drop(transaction)); // one that failed because of damage may fail at that too
            Err(error)
        }
    }
}

fn damaged(path: &Path, detail: &str) -> OpenError {
    OpenError::Damaged {
        path: path.to_owned(),
        detail: detail.to_owned(),
    }
}

fn io_error(path: &Path, source: io::Error) -> OpenError {
    open::io_error(path, source)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn chain() -> ChainIdentity {
        ChainIdentity {
            network: "regtest".to_owned(),
            magic: *b"id",
            first_block: 10,
        }
    }

    fn peer(number: u64) -> RememberedPeer {
        RememberedPeer {
            address: format!("192.0.2.{number}:6264"),
            discovered: number,
            last_seen: 100 + number,
        }
    }

    fn open(directory: &Path) -> Arc<Offchain> {
        Offchain::open(directory, &chain()).expect("it opens, whatever is there")
    }

    #[test]
    fn peers_and_tries_come_back() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let (first, second) = (ZonefileHash([1; 20]), ZonefileHash([2; 20]));
        let offchain = open(scratch.path());
        offchain.remember(&[peer(1), peer(2)]).expect("writable");
        let seen = RememberedPeer {
            last_seen: 500,
            ..peer(2)
        };
        offchain
            .remember(std::slice::from_ref(&seen))
            .expect("writable");
        offchain
            .forget(&[peer(1).address, peer(9).address])
            .expect("writable");
        offchain
            .note_tried(&[first, second], "192.0.2.1:6264", 7)
            .expect("writable");
        offchain
            .note_tried(&[first], &"\u{fc}".repeat(BY_MAX + 1), 9)
            .expect("writable");
        drop(offchain);
        let offchain = open(scratch.path());
        assert_eq!(offchain.remembered().expect("readable"), [seen]);
        let tried = Tried {
            since: 7,
            last: 9,
            times: 2,
            by: "\u{fc}".repeat(BY_MAX),
        };
        assert_eq!(offchain.tried(&first).expect("readable"), Some(tried));
        offchain.forget_tried(&[first]).expect("writable");
        assert_eq!(offchain.tried(&first).expect("readable"), None);
        assert_eq!(
            offchain
                .tried(&second)
                .expect("readable")
                .map(|tried| tried.times),
            Some(1)
        );
        let mode = |file: &str| {
            let metadata = fs::metadata(scratch.path().join(file)).expect("it is there");
            metadata.permissions().mode() & 0o777
        };
        assert_eq!((mode("atlas.redb"), mode("atlas.sums")), (0o600, 0o600));
    }

    /// Whatever happens to the files, it opens, empty if need be, and goes on.
    #[test]
    fn what_cannot_be_used_is_made_anew() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let (path, sums) = (
            scratch.path().join("atlas.redb"),
            scratch.path().join("atlas.sums"),
        );
        let cut = |path: &Path, length: usize| {
            let whole = fs::read(path).expect("readable");
            fs::write(path, &whole[..length]).expect("writable");
        };
        let harms: [&dyn Fn(); 6] = [
            &|| fs::remove_file(&path).expect("it is there"),
            &|| fs::remove_file(&sums).expect("it is there"),
            &|| fs::write(&path, "no database").expect("writable"),
            &|| cut(&path, 5_000),
            &|| cut(&sums, 20),
            &|| fs::write(&path, "").expect("writable"),
        ];
        for (number, harm) in harms.iter().enumerate() {
            let offchain = open(scratch.path());
            offchain.remember(&[peer(1)]).expect("writable");
            drop(offchain);
            harm();
            let offchain = open(scratch.path());
            assert_eq!(
                offchain.remembered().expect("readable"),
                [],
                "harm {number}"
            );
            offchain.remember(&[peer(2)]).expect("writable");
        }
        let other = ChainIdentity {
            network: "mainnet".to_owned(),
            ..chain()
        };
        let offchain = Offchain::open(scratch.path(), &other).expect("it opens");
        assert_eq!(offchain.remembered().expect("readable"), []);
    }

    /// What nobody asks for is read again too.
    #[test]
    fn a_sweep_finds_damage_before_anybody_reads_it() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let path = scratch.path().join("atlas.redb");
        let offchain = open(scratch.path());
        offchain.remember(&[peer(1)]).expect("writable");
        assert_eq!(offchain.sweep(0, usize::MAX >> 1).expect("whole"), None);
        assert_eq!(offchain.sweep(0, 2).expect("whole"), Some(2));
        assert_eq!(offchain.renewals(), 0);
        let mut bytes = fs::read(&path).expect("readable");
        let name = peer(1).address;
        let place = (0..bytes.len()).find(|place| bytes[*place..].starts_with(name.as_bytes()));
        bytes[place.expect("an address")] ^= 1;
        fs::write(&path, bytes).expect("writable");
        assert_eq!(offchain.sweep(0, usize::MAX >> 1).expect("anew"), None);
        assert_eq!(offchain.renewals(), 1);
        assert_eq!(offchain.remembered().expect("readable"), []);
        assert_eq!(offchain.sweep(0, usize::MAX >> 1).expect("whole"), None);
        assert_eq!(offchain.renewals(), 1);
    }

    /// A bit that flips anywhere, before or after it was opened, costs at most what is in the file.
    #[test]
    fn damage_costs_what_was_known_and_nothing_else() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let path = scratch.path().join("atlas.redb");
        let peers: Vec<RememberedPeer> = (0..100).map(peer).collect();
        open(scratch.path()).remember(&peers).expect("writable");
        let mut peers = open(scratch.path()).remembered().expect("readable");
        peers.truncate(100);
        let whole = fs::read(&path).expect("readable");
        let sums = fs::read(scratch.path().join("atlas.sums")).expect("readable");
        let in_use: Vec<usize> = (0..whole.len())
            .filter(|place| whole[*place] != 0)
            .collect();
        let mut lost = 0;
        for step in 0..60 {
            let mut damaged = whole.clone();
            damaged[in_use[(step * 7919 + 13) % in_use.len()]] ^= 1 << (step % 8);
            fs::write(scratch.path().join("atlas.sums"), &sums).expect("writable");
            let offchain = if step % 2 == 0 {
                fs::write(&path, &damaged).expect("writable");
                open(scratch.path())
            } else {
                fs::write(&path, &whole).expect("writable");
                let offchain = open(scratch.path());
                fs::write(&path, &damaged).expect("writable");
                offchain
            };
            let found = offchain.remembered().expect("readable");
            assert!(found == peers || found.is_empty(), "step {step}");
            if step % 2 == 1 {
                assert_eq!(offchain.renewals() > 0, found.is_empty(), "step {step}");
            }
            lost += usize::from(found.is_empty());
            offchain.remember(&[peer(200)]).expect("writable");
            let found = offchain.remembered().expect("readable");
            assert!(found.contains(&peer(200)), "step {step}");
        }
        assert!(lost > 0);
    }
}
