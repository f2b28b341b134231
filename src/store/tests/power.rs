//! Power cuts: a disk keeps any part of what was written since its last sync, sector by sector and in any order. Whatever
//! it kept, the database opens with the last commit that had returned, or with the one under way, and is never damaged.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::store::database::Purpose;
use crate::store::lock::DirectoryLock;
use crate::store::medium::Medium;
use crate::store::open;
use crate::store::pages::CheckedFile;

#[path = "../../../tests/common/random.rs"]
pub(super) mod random;

use random::Random;

/// What a disk writes at once.
const SECTOR: usize = 512;
/// The database and its sums.
pub(super) const FILES: [&str; 2] = ["names.redb", "names.sums"];
/// Times that the database is opened, and blocks each time.
const SESSIONS: u32 = 4;
const BLOCKS: u32 = 12;
/// Blocks of a transaction that has several.
const RUN: u32 = 3;

/// How many cuts are tried; more with `BNSD_TEST_FORM=release`.
pub(super) fn cuts() -> usize {
    match std::env::var("BNSD_TEST_FORM").as_deref() {
        Ok("release") => 10_000,
        _ => 200,
    }
}

/// What happened to the files, in order.
#[derive(Debug)]
pub(super) enum Event {
    Write(usize, u64, Vec<u8>),
    Length(usize, u64),
    Sync(usize),
    /// A commit returned: from here on its rows are there, or those of a later one.
    Promise(String),
}

pub(super) type Log = Arc<Mutex<Vec<Event>>>;

fn note(log: &Log, event: Event) {
    log.lock().expect("one thread").push(event);
}

/// A file that remembers what is done with it.
#[derive(Debug)]
struct Recorded {
    file: fs::File,
    number: usize,
    log: Log,
    is_full: Arc<AtomicBool>,
}

impl Recorded {
    fn require_space(&self) -> std::io::Result<()> {
        match self.is_full.load(Ordering::Relaxed) {
            true => Err(std::io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl Medium for Recorded {
    fn length(&self) -> std::io::Result<u64> {
        self.file.length()
    }

    fn read(&self, out: &mut [u8], place: u64) -> std::io::Result<()> {
        Medium::read(&self.file, out, place)
    }

    fn write(&self, bytes: &[u8], place: u64) -> std::io::Result<()> {
        self.require_space()?;
        note(&self.log, Event::Write(self.number, place, bytes.to_vec()));
        Medium::write(&self.file, bytes, place)
    }

    fn set_length(&self, length: u64) -> std::io::Result<()> {
        self.require_space()?;
        note(&self.log, Event::Length(self.number, length));
        self.file.set_length(length)
    }

    fn sync(&self) -> std::io::Result<()> {
        note(&self.log, Event::Sync(self.number));
        Ok(()) // the power of this machine stays on
    }
}

/// A file on a disk.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// What the last sync left.
    durable: Vec<u8>,
    /// What a reader sees.
    seen: Vec<u8>,
    /// What each sector was after each write since the last sync, and how long the file was.
    sectors: BTreeMap<usize, Vec<Vec<u8>>>,
    lengths: Vec<usize>,
}

impl Disk {
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self {
            seen: bytes.clone(),
            durable: bytes,
            ..Self::default()
        }
    }

    fn write(&mut self, place: usize, bytes: &[u8]) {
        let end = place + bytes.len();
        if end > self.seen.len() {
            self.set_length(end);
        }
        self.seen[place..end].copy_from_slice(bytes);
        for sector in place / SECTOR..end.div_ceil(SECTOR) {
            let end = self.seen.len().min((sector + 1) * SECTOR);
            let version = self.seen[sector * SECTOR..end].to_vec();
            self.sectors.entry(sector).or_default().push(version);
        }
    }

    fn set_length(&mut self, length: usize) {
        self.seen.resize(length, 0);
        self.lengths.push(length);
    }

    fn sync(&mut self) {
        *self = Self::of(std::mem::take(&mut self.seen));
    }

    /// Does what happened to the file with this number.
    pub(super) fn take(&mut self, number: usize, event: &Event) {
        match event {
            Event::Write(file, place, bytes) if *file == number => {
                self.write(*place as usize, bytes);
            }
            Event::Length(file, length) if *file == number => self.set_length(*length as usize),
            Event::Sync(file) if *file == number => self.sync(),
            _ => {}
        }
    }

    /// What may be there after a cut.
    pub(super) fn cut(&self, random: &mut Random) -> Vec<u8> {
        match random.below(4) {
            0 => return self.durable.clone(),
            1 => return self.seen.clone(),
            _ => {}
        }
        let mut image = self.durable.clone();
        image.resize(image.len().max(self.seen.len()), 0);
        for (sector, versions) in &self.sectors {
            let kept = random.below(versions.len() + 1);
            let Some(version) = kept.checked_sub(1).map(|kept| &versions[kept]) else {
                continue;
            };
            let start = sector * SECTOR;
            let end = image.len().min(start + version.len());
            if start < end {
                image[start..end].copy_from_slice(&version[..end - start]);
            }
        }
        let kept = random.below(self.lengths.len() + 1);
        let length = kept.checked_sub(1).map(|kept| self.lengths[kept]);
        image.resize(length.unwrap_or(self.durable.len()), 0);
        image
    }
}

/// A database whose writes are recorded, or fail; nothing is read from memory.
pub(super) fn open_recorded(directory: &Path, log: &Log, is_full: &Arc<AtomicBool>) -> Store {
    let file = |number: usize| {
        let mut options = fs::File::options();
        let file = options
            .read(true)
            .write(true)
            .open(directory.join(FILES[number]));
        Arc::new(Recorded {
            file: file.expect("it was made"),
            number,
            log: Arc::clone(log),
            is_full: Arc::clone(is_full),
        })
    };
    let file = CheckedFile::over(file(0), file(1), Arc::default()).expect("readable");
    let opened = open::open_over(&directory.join(FILES[0]), file, &chain(), 0);
    Store::of(
        opened.expect("readable"),
        directory,
        &chain(),
        StoreOptions::default(),
        Purpose::Lasting,
        DirectoryLock::take(directory).expect("nobody has it"),
    )
}

/// A block that changes a few of many names.
fn block<V: View<Error = StoreError>>(state: &V, height: u32, random: &mut Random) -> Block {
    let mut changes = Changes::default();
    for _ in 0..1 + random.below(20) {
        let after = record(
            &format!("n{}.id", random.below(300)),
            NameOp::Update,
            height,
        );
        let before = state.name(&after.name).expect("readable");
        let change = Change {
            before,
            after: Some(after.clone()),
        };
        changes.names.insert(after.name, change);
    }
    changes.events = events(&changes);
    Block::of_changes(height, changes)
}

/// Several blocks in one transaction, as during a long sync.
fn bulk(store: &Store, height: u32, random: &mut Random) {
    let connected: Result<(), StoreError> = store.write(|writer| {
        writer.expect_best(height + RUN);
        for height in height..height + RUN {
            block(writer.state(), height, random).apply(writer)?;
        }
        Ok(())
    });
    connected.expect("the blocks follow");
}

/// Opens, fills and closes a database a few times; gives it as it was before, and what happened.
fn history(directory: &Path, random: &mut Random) -> ([Disk; 2], Vec<Event>) {
    drop(open_at(directory, StoreOptions::default()));
    let disks = FILES.map(|file| Disk::of(fs::read(directory.join(file)).expect("readable")));
    let log = Log::default();
    let mut height = FIRST;
    for _ in 0..SESSIONS {
        let store = open_recorded(directory, &log, &Arc::default());
        note(&log, Event::Promise(full_dump(&store)));
        for _ in 0..BLOCKS {
            if random.below(4) == 0 {
                bulk(&store, height, random);
                note(&log, Event::Promise(full_dump(&store)));
                height += RUN;
                continue;
            }
            let block = block(&*store.snapshot(), height, random);
            if random.below(3) == 0 {
                let unsynced = store.write_unsynced(|writer| block.apply(writer));
                unsynced.expect("the block follows");
            } else {
                block.connect(&store).expect("the block follows");
                note(&log, Event::Promise(full_dump(&store)));
            }
            height += 1;
            if random.below(6) == 0 {
                store.disconnect().expect("the undo data is there");
                note(&log, Event::Promise(full_dump(&store)));
                height -= 1;
            }
        }
        let last = full_dump(&store);
        drop(store);
        note(&log, Event::Promise(last));
    }
    let events = std::mem::take(&mut *log.lock().expect("one thread"));
    (disks, events)
}

/// A directory in memory, where there is one.
pub(super) fn fast_scratch() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let scratch = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    scratch.expect("a scratch directory")
}

/// Opens what a cut left: its rows are `before` or `after`, it goes on, and nothing of it is damaged, then or later.
pub(super) fn check(directory: &Path, before: &str, after: &str, what: &str) -> bool {
    let open = || {
        let options = StoreOptions::default();
        Store::open_even_damaged(directory, &chain(), options).expect("it opens")
    };
    let store = open();
    assert_eq!(store.damage(), None, "{what}");
    let found = full_dump(&store);
    assert!(found == before || found == after, "{what}: other rows");
    let tip = store.snapshot().tip().map(|tip| tip.height);
    connect_empty(&store, tip.map_or(FIRST, |tip| tip + 1)).expect("it goes on");
    let grown = full_dump(&store);
    drop(store);
    let store = open();
    assert_eq!(store.sweep(0, usize::MAX >> 1), None);
    assert_eq!(store.damage(), None, "{what}: later");
    assert_eq!(full_dump(&store), grown, "{what}: later");
    found == after
}

#[test]
fn a_power_cut_loses_no_commit_and_damages_nothing() {
    let seed = 20_150_912;
    let mut random = Random::new(seed);
    let scratch = fast_scratch();
    let made = scratch.path().join("made");
    let (mut disks, events) = history(&made, &mut random);
    let mut places: Vec<usize> = (0..cuts()).map(|_| random.below(events.len())).collect();
    places.sort_unstable();
    let mut places = places.into_iter().peekable();
    let image = scratch.path().join("image");
    fs::create_dir(&image).expect("a directory");
    let (mut before, mut kept) = (String::new(), 0);
    for (number, event) in events.iter().enumerate() {
        while places.next_if_eq(&number).is_some() {
            let next = events[number..].iter().find_map(|event| match event {
                Event::Promise(rows) => Some(rows.as_str()),
                _ => None,
            });
            let next = next.unwrap_or(&before);
            for (file, disk) in FILES.iter().zip(&disks) {
                fs::write(image.join(file), disk.cut(&mut random)).expect("writable");
            }
            let before = if before.is_empty() { next } else { &before };
            let what = format!("seed {seed}, cut before event {number}");
            kept += usize::from(check(&image, before, next, &what));
        }
        for (file, disk) in disks.iter_mut().enumerate() {
            disk.take(file, event);
        }
        if let Event::Promise(rows) = event {
            before.clone_from(rows);
        }
    }
    println!(
        "{} cuts of {} events: {kept} kept the commit under way",
        cuts(),
        events.len()
    );
    assert!(kept > 0 && kept < cuts());
}

/// What could not be written is written when there is space again, and whoever heard of a lost block hears of it again.
#[test]
fn a_disk_that_was_full_for_a_while_costs_nothing() {
    let scratch = fast_scratch();
    drop(open_at(scratch.path(), StoreOptions::default()));
    let (log, is_full) = (Log::default(), Arc::new(AtomicBool::new(false)));
    let store = open_recorded(scratch.path(), &log, &is_full);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    store.subscribe(move |notice| sink.lock().expect("one thread").push(notice.clone()));
    let mut random = Random::new(28);
    for height in FIRST..FIRST + 8 {
        let block = block(&*store.snapshot(), height, &mut random);
        block.connect(&store).expect("the block follows");
    }
    let settled = full_dump(&store);
    let unsynced = block(&*store.snapshot(), FIRST + 8, &mut random);
    let done = store.write_unsynced(|writer| unsynced.apply(writer));
    done.expect("the block follows");
    let failing = block(&*store.snapshot(), FIRST + 9, &mut random);
    is_full.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let failed = failing.connect(&store);
        assert!(matches!(failed, Err(StoreError::Database(_))), "{failed:?}");
        assert!(store.recover().is_err() && store.failure().is_some());
    }
    is_full.store(false, Ordering::Relaxed);
    heard.lock().expect("one thread").clear();
    store.recover().expect("there is space");
    assert_eq!((store.failure(), store.damage()), (None, None));
    assert_eq!(full_dump(&store), settled);
    let heard = heard.lock().expect("one thread").pop().expect("a notice");
    assert_eq!(heard.height, Some(FIRST + 7));
    let mut lost = unsynced.outcome.changes.names.keys();
    assert!(lost.all(|name| heard.names.contains(name)), "{heard:?}");
    unsynced.connect(&store).expect("it follows again");
    failing.connect(&store).expect("it follows again");
    let grown = full_dump(&store);
    assert_eq!(store.sweep(0, usize::MAX >> 1), None);
    drop(store);
    let store = open_at(scratch.path(), StoreOptions::default());
    assert_eq!(store.sweep(0, usize::MAX >> 1), None);
    assert_eq!((store.damage(), full_dump(&store)), (None, grown));
}
