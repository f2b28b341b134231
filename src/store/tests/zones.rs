//! Zone files in segments that somebody damages, cuts, copies and removes: what is given out always has its hash, and what
//! was not damaged is found, in the running archive and after any start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::disk::steps::{Steps, System};
use crate::store::Lookup;
use crate::store::segments::Limits;

/// Segments of a few records, with tables, compacted soon.
const LIMITS: Limits = Limits {
    segment: 1_500,
    table: 500,
    dead: 1,
};

fn open(directory: &Path) -> Archive {
    Archive::open_with(directory, Arc::new(System), LIMITS).expect("it opens")
}

fn text(number: u8) -> Vec<u8> {
    format!("$ORIGIN n{number}.id\n@ A 192.0.2.{number}\n").into_bytes()
}

fn hash(number: u8) -> ZonefileHash {
    ZonefileHash::of(&text(number))
}

fn found(number: u8) -> Lookup {
    Lookup::Found(text(number))
}

fn get(archive: &Archive, number: u8) -> Lookup {
    archive.get(&hash(number)).expect("readable")
}

#[derive(Debug, Clone)]
enum Event {
    Put(Vec<u8>),
    Reopen,
    /// Part of the record of a number is changed.
    Flip(u8, usize),
    /// So much of the newest segment is cut off.
    Cut(usize),
    /// Bytes are added to the newest segment.
    Junk(Vec<u8>),
    /// Which may compact.
    Sweep,
    /// All tables are removed, or changed somewhere.
    RemoveTables,
    SpoilTables(usize),
    /// A segment is removed.
    RemoveSegment(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let number = 0..40u8;
    prop_oneof![
        6 => prop::collection::vec(number.clone(), 1..12).prop_map(Event::Put),
        2 => Just(Event::Reopen),
        3 => (number, 0..160usize).prop_map(|(number, place)| Event::Flip(number, place)),
        1 => (1..300usize).prop_map(Event::Cut),
        1 => prop::collection::vec(any::<u8>(), 1..200).prop_map(Event::Junk),
        3 => Just(Event::Sweep),
        1 => Just(Event::RemoveTables),
        1 => (0..400usize).prop_map(Event::SpoilTables),
        1 => (0..5usize).prop_map(Event::RemoveSegment),
    ]
}

/// An archive and what has to be in it.
struct Bench {
    directory: std::path::PathBuf,
    archive: Archive,
    /// Whether nobody damaged it since it was put.
    sound: BTreeMap<u8, bool>,
}

impl Bench {
    fn happen(&mut self, event: &Event) {
        match event {
            Event::Put(numbers) => {
                let files: Vec<Vec<u8>> = numbers.iter().map(|number| text(*number)).collect();
                self.archive.put_many(&files).expect("they fit");
                self.sound
                    .extend(numbers.iter().map(|number| (*number, true)));
            }
            Event::Reopen => self.archive = open(&self.directory),
            Event::Flip(number, place) => {
                if let Some(record) = segments::find(&self.directory, &hash(*number).0) {
                    segments::flip(&record, place % record.size());
                    self.sound.insert(*number, false);
                }
            }
            Event::Cut(bytes) => self.cut(*bytes),
            Event::Junk(bytes) => {
                if let Some(path) = segments::files(&self.directory).last() {
                    let mut segment = fs::read(path).expect("readable");
                    segment.extend(bytes);
                    fs::write(path, segment).expect("writable");
                }
            }
            Event::Sweep => drop(self.archive.sweep(None, 50).expect("writable")),
            Event::RemoveTables => {
                let remove = |path: &Path| fs::remove_file(path).expect("it is there");
                self.tables().iter().for_each(|path| remove(path));
            }
            Event::SpoilTables(place) => {
                for path in self.tables() {
                    let mut table = fs::read(&path).expect("readable");
                    let place = place % table.len();
                    table[place] ^= 1;
                    fs::write(path, table).expect("writable");
                }
            }
            Event::RemoveSegment(number) => self.remove_segment(*number),
        }
    }

    fn cut(&mut self, bytes: usize) {
        let Some(path) = segments::files(&self.directory).pop() else {
            return;
        };
        let length = fs::metadata(&path).expect("it is there").size() as usize;
        let left = length.saturating_sub(bytes);
        self.spoil(|record| record.path == path && record.at + record.size() > left);
        let file = OpenOptions::new().write(true).open(&path).expect("ours");
        file.set_len(left as u64).expect("writable");
    }

    fn remove_segment(&mut self, number: usize) {
        let files = segments::files(&self.directory);
        if let Some(path) = files.get(number) {
            self.spoil(|record| record.path == *path);
            fs::remove_file(path).expect("it is there");
            self.archive.sweep(None, 1).expect("it notices");
        }
    }

    fn spoil(&mut self, is_hit: impl Fn(&segments::Record) -> bool) {
        let records = segments::records(&self.directory);
        for (number, is_sound) in &mut self.sound {
            let record = records.get(&hash(*number).0);
            *is_sound &= record.is_some_and(|record| !is_hit(record));
        }
    }

    fn tables(&self) -> Vec<std::path::PathBuf> {
        let files = segments::files(&self.directory);
        let tables = files.iter().map(|path| path.with_extension("places"));
        tables.filter(|path| path.exists()).collect()
    }

    fn check(&self) {
        for (number, is_sound) in &self.sound {
            match get(&self.archive, *number) {
                Lookup::Found(bytes) => assert_eq!(bytes, text(*number)),
                other => assert!(!is_sound, "{number}: {other:?}"),
            }
        }
        let listed = self.archive.list(|| true).expect("readable");
        let known: BTreeSet<ZonefileHash> = self.sound.keys().map(|number| hash(*number)).collect();
        assert!(listed.iter().all(|hash| known.contains(hash)));
        let sound = self.sound.iter().filter(|(_, is_sound)| **is_sound);
        assert!(
            sound
                .clone()
                .all(|(number, _)| listed.contains(&hash(*number)))
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_was_not_damaged_is_found_and_nothing_else_is(events in prop::collection::vec(event(), 1..40)) {
        let scratch = power::fast_scratch();
        let directory = scratch.path().to_owned();
        let mut bench = Bench { archive: open(&directory), directory, sound: BTreeMap::new() };
        for event in &events {
            bench.happen(event);
            bench.check();
        }
        bench.happen(&Event::Reopen);
        bench.check();
    }
}

/// An archive with some zone files in one segment.
fn bench(numbers: std::ops::Range<u8>) -> (TempDir, Archive) {
    let scratch = power::fast_scratch();
    let archive = open(scratch.path());
    let files: Vec<Vec<u8>> = numbers.map(text).collect();
    archive.put_many(&files).expect("they fit");
    (scratch, archive)
}

#[test]
fn a_flipped_byte_anywhere_in_a_record_hides_that_record_alone() {
    let (scratch, archive) = bench(1..4);
    let record = segments::find(scratch.path(), &hash(2).0).expect("a record");
    for position in 0..record.size() {
        segments::flip(&record, position);
        let again = open(scratch.path());
        if position < segments::HEAD + record.bytes.len() {
            let of_running = get(&archive, 2);
            let is_told = matches!(of_running, Lookup::Tampered { .. });
            assert!(is_told, "byte {position}");
            let is_found = matches!(get(&again, 2), Lookup::Found(_));
            assert!(!is_found, "byte {position}");
        } else {
            // Of the compiled form, without which the zone file is as good.
            assert_eq!(
                [&archive, &again].map(|it| get(it, 2)),
                [found(2), found(2)]
            );
        }
        assert_eq!([1, 3].map(|number| get(&again, number)), [1, 3].map(found));
        segments::flip(&record, position);
    }
    assert_eq!(get(&archive, 2), found(2));
}

#[test]
fn a_torn_end_is_cut_and_the_rest_stays() {
    let (scratch, archive) = bench(1..4);
    let record = segments::find(scratch.path(), &hash(3).0).expect("a record");
    let whole = fs::read(&record.path).expect("readable");
    for length in record.at..whole.len() {
        fs::write(&record.path, &whole[..length]).expect("writable");
        let has_zonefile = length >= record.at + segments::HEAD + record.bytes.len();
        let is_found = matches!(get(&archive, 3), Lookup::Found(_));
        assert_eq!(is_found, has_zonefile, "{length} bytes");
        let again = open(scratch.path());
        assert_eq!([1, 2].map(|number| get(&again, number)), [1, 2].map(found));
        assert_eq!(get(&again, 3), Lookup::Absent);
        let left = fs::metadata(&record.path).expect("it is there").len();
        assert_eq!(left, record.at as u64);
        again.put(&text(3)).expect("it is written anew");
        assert_eq!(fs::read(&record.path).expect("readable"), whole);
    }
}

#[test]
fn records_in_each_others_place_are_not_taken_for_each_other() {
    let (scratch, archive) = bench(1..4);
    let [first, second] =
        [1, 2].map(|number| segments::find(scratch.path(), &hash(number).0).expect("a record"));
    assert_eq!(first.size(), second.size());
    let mut segment = fs::read(&first.path).expect("readable");
    let (one, two) = segment.split_at_mut(second.at);
    one[first.at..].swap_with_slice(&mut two[..second.size()]);
    fs::write(&first.path, &segment).expect("writable");
    for number in [1, 2] {
        assert_eq!(get(&archive, number), Lookup::Tampered { found: None });
    }
    let again = open(scratch.path());
    assert_eq!(
        [1, 2, 3].map(|number| get(&again, number)),
        [1, 2, 3].map(found)
    );
    // A record that says it is another one.
    segments::rewrite(scratch.path(), &hash(3).0, &text(9));
    for archive in [again, open(scratch.path())] {
        let other = Lookup::Tampered {
            found: Some(hash(9)),
        };
        assert_eq!(get(&archive, 3), other);
        assert_eq!(get(&archive, 9), Lookup::Absent);
    }
}

/// A zone file may hold a record that claims the hash of another name, in the hope that it is taken for one.
#[test]
fn a_record_within_a_zone_file_hides_nobody() {
    let (scratch, archive) = bench(1..2);
    let forged = segments::write(&hash(1).0, b"$ORIGIN evil.id\n", b"", 0);
    let evil = [&b"; "[..], &forged, &forged].concat();
    let evil_hash = archive.put(&evil).expect("it fits");
    archive.put(&text(2)).expect("it fits");
    let record = segments::find(scratch.path(), &evil_hash.0).expect("a record");
    for position in [0, 20, segments::HEAD - 1, segments::HEAD] {
        segments::flip(&record, position);
        let again = open(scratch.path());
        assert_eq!([1, 2].map(|number| get(&again, number)), [1, 2].map(found));
        assert!(!matches!(again.get(&evil_hash), Ok(Lookup::Found(_))));
        segments::flip(&record, position);
    }
}

/// Tables are as good as their segments, and made again without a word.
#[test]
fn full_segments_have_tables() {
    let (scratch, archive) = bench(1..60);
    drop(archive);
    let tables = || {
        let files = segments::files(scratch.path());
        let tables = files.iter().map(|path| path.with_extension("places"));
        tables.map(|path| fs::read(path).ok()).collect::<Vec<_>>()
    };
    let made = tables();
    assert!(made.len() > 3 && made[..made.len() - 1].iter().all(Option::is_some));
    for path in segments::files(scratch.path()) {
        let _ = fs::remove_file(path.with_extension("places"));
    }
    let again = open(scratch.path());
    let full = made.len() - 1;
    assert_eq!(tables()[..full], made[..full]);
    assert!((1..60).all(|number| get(&again, number) == found(number)));
    // A table that lies is believed in nothing: the record has to be there.
    let files = segments::files(scratch.path());
    let [first, second] = [0, 1].map(|number| files[number].with_extension("places"));
    fs::copy(second, first).expect("writable");
    let again = open(scratch.path());
    let wrong = |number: &u8| !matches!(get(&again, *number), Lookup::Found(_));
    assert!((1..60).filter(wrong).count() < 15);
}

#[test]
fn a_third_of_dead_bytes_is_compacted() {
    let (scratch, archive) = bench(1..60);
    let size = || -> u64 {
        let files = segments::files(scratch.path());
        files
            .iter()
            .map(|path| fs::metadata(path).expect("it is there").len())
            .sum()
    };
    let (full, files) = (size(), segments::files(scratch.path()));
    let mut again = 0;
    while segments::files(scratch.path()).contains(&files[0]) {
        again += 1;
        let record = segments::find(scratch.path(), &hash(again).0).expect("a record");
        segments::flip(&record, segments::HEAD);
        archive
            .put(&text(again))
            .expect("it replaces the wrong one");
        archive.sweep(None, 1).expect("writable");
    }
    assert!((20..=40).contains(&again), "{again} of 59");
    assert!(size() < full * 5 / 4, "{} of {full}", size());
    for archive in [&archive, &open(scratch.path())] {
        assert!((1..60).all(|number| get(archive, number) == found(number)));
        assert_eq!(archive.list(|| true).expect("readable").len(), 59);
    }
}

/// A segment that comes back is read, as the archive's directory may be restored while the daemon runs.
#[test]
fn a_segment_that_goes_and_comes_back_is_noticed() {
    let (scratch, archive) = bench(1..60);
    let (tell, told) = std::sync::mpsc::channel();
    archive.subscribe(move |notice| tell.send(notice).expect("somebody listens"));
    let first = segments::files(scratch.path()).remove(0);
    let gone: BTreeSet<ZonefileHash> = segments::records(scratch.path())
        .values()
        .filter(|record| record.path == first)
        .map(|record| ZonefileHash(record.hash))
        .collect();
    let away = scratch.path().join("away");
    fs::rename(&first, &away).expect("it is there");
    archive.sweep(None, 1).expect("readable");
    let unsound: BTreeSet<ZonefileHash> = told
        .try_iter()
        .map(|notice| match notice {
            Notice::Unsound(hash) => hash,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(unsound, gone);
    let late = ZonefileHash::of(b"late");
    assert_eq!(archive.put(b"late").expect("it goes on"), late);
    fs::rename(&away, &first).expect("it is there");
    archive.sweep(None, 1).expect("readable");
    let stored: BTreeSet<Notice> = told.try_iter().collect();
    let mut expected: BTreeSet<Notice> = gone.into_iter().map(Notice::Stored).collect();
    expected.insert(Notice::Stored(late));
    assert_eq!(stored, expected);
    assert!((1..60).all(|number| get(&archive, number) == found(number)));
}

#[test]
fn segments_are_for_their_owner_alone() {
    let (scratch, _archive) = bench(1..60);
    let directory = scratch.path().join("segments");
    let entries = fs::read_dir(&directory).expect("it is there");
    let modes = entries.map(|entry| entry.and_then(|it| it.metadata()).expect("ours").mode());
    assert!(modes.into_iter().all(|mode| mode & 0o777 == 0o600));
    let mode = fs::metadata(&directory).expect("it is there").mode();
    assert_eq!(mode & 0o777, 0o700);
}

/// Refuses one call to the disk, and does all others.
#[derive(Debug)]
struct Refusing {
    left: AtomicUsize,
}

impl Refusing {
    fn call<T>(&self, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.left.fetch_sub(1, Ordering::Relaxed) {
            0 => Err(io::ErrorKind::StorageFull.into()),
            _ => call(),
        }
    }
}

impl Steps for Refusing {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.call(|| System.write(path, bytes)).inspect_err(|_| {
            let _ = System.write(path, &bytes[..bytes.len() / 2]); // what a full disk leaves
        })
    }

    fn append(&self, path: &Path, place: u64, bytes: &[u8]) -> io::Result<()> {
        let append = || System.append(path, place, bytes);
        self.call(append).inspect_err(|_| {
            let _ = System.append(path, place, &bytes[..bytes.len() / 2]);
        })
    }

    fn cut(&self, path: &Path, length: u64) -> io::Result<()> {
        self.call(|| System.cut(path, length))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(|| System.remove(path))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.call(|| System.create_directory(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(|| System.rename(from, to))
    }

    fn sync(&self, paths: &[&Path]) -> io::Result<()> {
        self.call(|| System.sync(paths))
    }
}

/// A full disk at every call in turn: what was stored stays, what is said to be stored is, and it goes on afterwards.
#[test]
fn a_refused_call_loses_nothing_that_was_stored() {
    for refused in 0..60 {
        let scratch = power::fast_scratch();
        let left = AtomicUsize::new(refused);
        let steps = Arc::new(Refusing { left });
        let archive = Archive::open_with(scratch.path(), steps, LIMITS).expect("it can be made");
        let mut stored = BTreeSet::new();
        for batch in 0..10u8 {
            let numbers = batch * 5..batch * 5 + 7; // two of them again
            let files: Vec<Vec<u8>> = numbers.clone().map(text).collect();
            if archive.put_many(&files).is_ok() {
                stored.extend(numbers);
            }
            if batch % 3 == 2 {
                let victim = batch * 5;
                if let Some(record) = segments::find(scratch.path(), &hash(victim).0) {
                    segments::flip(&record, segments::HEAD);
                    stored.remove(&victim);
                    let again = archive.put(&text(victim));
                    stored.extend(again.is_ok().then_some(victim));
                }
                archive
                    .sweep(None, 9)
                    .expect("whatever happens to the disk");
            }
            assert!(
                stored
                    .iter()
                    .all(|number| get(&archive, *number) == found(*number)),
                "{refused}"
            );
        }
        let again = open(scratch.path());
        assert!(
            stored
                .iter()
                .all(|number| get(&again, *number) == found(*number)),
            "{refused}"
        );
        again
            .put_many(&(0..60).map(text).collect::<Vec<_>>())
            .expect("there is space");
        assert!((0..60).all(|number| get(&again, number) == found(number)));
    }
}

/// Readers find every file at every moment while others store, damage is mended, segments are compacted and files of the earlier
/// form are moved.
#[test]
fn readers_miss_nothing_meanwhile() {
    let (scratch, archive) = bench(0..40);
    for number in 40..80 {
        let hash = hash(number).to_string();
        let folder = scratch.path().join(&hash[..2]).join(&hash[2..4]);
        fs::create_dir_all(&folder).expect("writable");
        fs::write(folder.join(format!("{hash}.txt")), text(number)).expect("writable");
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = || {
            let mut turns = 0;
            while !is_over.load(Ordering::Relaxed) {
                (20..80).for_each(|number| assert_eq!(get(&archive, number), found(number)));
                turns += 1;
            }
            assert!(turns > 0);
        };
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        for turn in 0..200usize {
            let number = (turn % 20) as u8; // readers leave these alone
            if let Some(record) = segments::find(scratch.path(), &hash(number).0) {
                damage(&record);
            }
            archive
                .put(&text(number))
                .expect("it replaces the wrong one");
            archive.sweep(None, 5).expect("it compacts");
            if turn == 100 {
                assert_eq!(archive.gather(|| true).expect("writable"), 40);
            }
        }
        is_over.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().expect("it missed nothing");
        }
    });
    assert!((0..80).all(|number| get(&archive, number) == found(number)));
}

/// Writes a zero over the first byte of a zone file, in place, while others read the segment.
fn damage(record: &segments::Record) {
    let segment = OpenOptions::new().write(true).open(&record.path);
    let place = (record.at + segments::HEAD) as u64;
    let written = segment.and_then(|segment| segment.write_all_at(&[0], place));
    written.expect("writable");
}
