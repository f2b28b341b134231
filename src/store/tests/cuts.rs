//! Power cuts while zone files are stored: a file system keeps any of the bytes, names and directories that were made since they
//! were synced. Whatever it kept, each zone file is there, complete, or not there, and all that was promised are there.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::power::random::Random;
use super::*;
use crate::disk::steps::{Steps, System};
use crate::store::Lookup;
use crate::store::segments::Limits;

/// How many cuts are tried.
const CUTS: usize = 300;
/// Batches that are stored.
const BATCHES: usize = 12;
/// What a disk writes at once.
const SECTOR: usize = 64;
/// Segments of a few records, with tables.
const LIMITS: Limits = Limits {
    segment: 600,
    table: 200,
    dead: 1,
};

/// What happened to the disk, in order.
#[derive(Debug, Clone)]
enum Step {
    Write(PathBuf, Vec<u8>),
    Append(PathBuf, u64, Vec<u8>),
    Cut(PathBuf, u64),
    Remove(PathBuf),
    Directory(PathBuf),
    Rename(PathBuf, PathBuf),
    Sync(BTreeSet<PathBuf>),
    /// A batch was stored: its files are there from here on.
    Promise(Vec<ZonefileHash>),
}

/// Does all steps, and remembers them.
#[derive(Debug, Default)]
struct Recorded(Arc<Mutex<Vec<Step>>>);

impl Recorded {
    fn note(&self, step: Step) {
        self.0.lock().expect("one thread").push(step);
    }
}

impl Steps for Recorded {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.note(Step::Write(path.to_owned(), bytes.to_vec()));
        System.write(path, bytes)
    }

    fn append(&self, path: &Path, place: u64, bytes: &[u8]) -> io::Result<()> {
        self.note(Step::Append(path.to_owned(), place, bytes.to_vec()));
        System.append(path, place, bytes)
    }

    fn cut(&self, path: &Path, length: u64) -> io::Result<()> {
        self.note(Step::Cut(path.to_owned(), length));
        System.cut(path, length)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.note(Step::Remove(path.to_owned()));
        System.remove(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let above: Vec<&Path> = path.ancestors().take_while(|it| !it.is_dir()).collect();
        for directory in above.into_iter().rev() {
            self.note(Step::Directory(directory.to_owned()));
        }
        System.create_directory(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        System.rename(from, to)?;
        self.note(Step::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn sync(&self, paths: &[&Path]) -> io::Result<()> {
        let paths = paths.iter().map(|path| path.to_path_buf());
        self.note(Step::Sync(paths.collect()));
        Ok(()) // the power of this machine stays on
    }
}

/// Stores batches with some files twice, damages some and compacts; gives what happened.
fn history(directory: &Path, random: &mut Random) -> Vec<Step> {
    let steps = Recorded::default();
    let log = Arc::clone(&steps.0);
    let archive = Archive::open_with(directory, Arc::new(steps), LIMITS).expect("it can be made");
    for number in 0..BATCHES {
        let text = |random: &mut Random| format!("$ORIGIN n{}.id\n", random.below(60)).into_bytes();
        let mut files: Vec<Vec<u8>> = (0..1 + random.below(6)).map(|_| text(random)).collect();
        files.push(spoiled(number));
        let hashes = archive.put_many(&files).expect("they fit");
        if number % 3 == 2 {
            spoil(directory, &spoiled(number), &log);
            archive
                .put(&spoiled(number))
                .expect("it replaces the wrong one");
            archive.sweep(None, 1).expect("it compacts");
        }
        log.lock().expect("one thread").push(Step::Promise(hashes));
    }
    std::mem::take(&mut *log.lock().expect("one thread"))
}

/// The zone file of a batch that may be damaged before it is promised.
fn spoiled(number: usize) -> Vec<u8> {
    format!("$ORIGIN spoiled{number}.id\n").into_bytes()
}

/// Damages a record, which somebody else does: it is on the disk at once.
fn spoil(directory: &Path, file: &[u8], log: &Mutex<Vec<Step>>) {
    let record = segments::find(directory, &ZonefileHash::of(file).0).expect("it is there");
    segments::flip(&record, segments::HEAD);
    let bytes = fs::read(&record.path).expect("readable")[record.at..][..record.size()].to_vec();
    let path = record.path;
    let mut log = log.lock().expect("one thread");
    log.push(Step::Append(path.clone(), record.at as u64, bytes));
    log.push(Step::Sync(BTreeSet::from([path])));
}

/// Makes in `image` what a cut after some steps may leave of `made`.
fn cut(made: &Path, image: &Path, steps: &[Step], random: &mut Random) {
    let place = |path: &Path| image.join(path.strip_prefix(made).expect("it is in there"));
    let later = |number: usize, path: &Path| {
        let synced = |step: &Step| matches!(step, Step::Sync(paths) if paths.contains(path));
        steps[number..].iter().any(synced)
    };
    let is_kept = |number: usize, path: &Path, random: &mut Random| {
        let directory = path.parent().expect("it is in the archive");
        later(number, directory) || random.below(2) == 0
    };
    fs::create_dir_all(image).expect("writable");
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Write(path, bytes) => {
                if is_kept(number, path, random) {
                    let _ = fs::write(place(path), b""); // the directory may be lost
                }
                keep(&place(path), (0, bytes), later(number, path), random);
            }
            Step::Append(path, at, bytes) => {
                keep(&place(path), (*at, bytes), later(number, path), random);
            }
            Step::Cut(path, length) => {
                if later(number, path) || random.below(2) == 0 {
                    let _ = System.cut(&place(path), *length);
                }
            }
            Step::Remove(path) => {
                if is_kept(number, path, random) {
                    let _ = fs::remove_file(place(path)); // it may be lost anyway
                }
            }
            Step::Directory(path) => {
                if is_kept(number, path, random) {
                    let _ = fs::create_dir(place(path)); // the one above may be lost
                }
            }
            Step::Rename(from, to) => {
                if is_kept(number, to, random) {
                    let _ = fs::rename(place(from), place(to)); // the directory may be lost
                }
            }
            Step::Sync(_) | Step::Promise(_) => {}
        }
    }
}

/// Writes all that was written to a file if it was synced later, any of its sectors if it was not.
fn keep(path: &Path, (at, bytes): (u64, &[u8]), is_whole: bool, random: &mut Random) {
    for (number, sector) in bytes.chunks(SECTOR).enumerate() {
        if is_whole || random.below(2) == 0 {
            let _ = System.append(path, at + (number * SECTOR) as u64, sector); // its name may be lost
        }
    }
}

/// How many files are broken, and how many promises, after cuts at many places.
fn broken(steps: &[Step], made: &Path, scratch: &Path, random: &mut Random) -> (usize, usize) {
    let (mut files, mut promises) = (0, 0);
    let spoiled: BTreeSet<ZonefileHash> = (0..BATCHES)
        .map(|number| ZonefileHash::of(&spoiled(number)))
        .collect();
    for number in 0..CUTS {
        let image = scratch.join(number.to_string());
        let end = random.below(steps.len() + 1);
        cut(made, &image, &steps[..end], random);
        let archive = Archive::open_with(&image, Arc::new(System), LIMITS).expect("it opens");
        for hash in archive.list(|| true).expect("readable") {
            let found = archive.get(&hash).expect("readable");
            let is_broken = !matches!(found, Lookup::Found(_)) && !spoiled.contains(&hash);
            files += usize::from(is_broken);
        }
        for step in &steps[..end] {
            let Step::Promise(hashes) = step else {
                continue;
            };
            let lost = |hash: &&ZonefileHash| !archive.contains(hash).expect("readable");
            promises += hashes.iter().filter(lost).count();
        }
        fs::remove_dir_all(&image).expect("it is there");
    }
    (files, promises)
}

#[test]
fn a_power_cut_leaves_each_zone_file_whole_or_absent() {
    let scratch = power::fast_scratch();
    let made = scratch.path().join("made");
    let mut random = Random::new(2_020);
    let steps = history(&made, &mut random);
    let mut check = |steps: &[Step]| broken(steps, &made, scratch.path(), &mut random);
    assert_eq!(check(&steps), (0, 0));
    // The same without any sync breaks both, so the cuts do cut.
    let careless: Vec<Step> = steps
        .iter()
        .filter(|step| !matches!(step, Step::Sync(_)))
        .cloned()
        .collect();
    let (files, promises) = check(&careless);
    assert!(
        files > 0 && promises > 0,
        "{files} files, {promises} promises"
    );
}
