//! Power cuts while zone files are stored: a file system keeps any of the bytes, names and directories that were made since they
//! were synced. Whatever it kept, each file is there, complete, or not there, and all that was promised are there.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::power::random::Random;
use super::*;
use crate::disk::batch::{Steps, System};
use crate::store::archive::Lookup;

/// How many cuts are tried.
const CUTS: usize = 300;
/// Batches that are stored.
const BATCHES: usize = 12;

/// What happened to the disk, in order.
#[derive(Debug, Clone)]
enum Step {
    Write(PathBuf, Vec<u8>),
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

/// Stores batches with some files twice; gives what happened.
fn history(directory: &Path, random: &mut Random) -> Vec<Step> {
    let steps = Recorded::default();
    let log = Arc::clone(&steps.0);
    let archive = Archive::open_with(directory, Box::new(steps)).expect("it can be made");
    for _ in 0..BATCHES {
        let text = |random: &mut Random| format!("$ORIGIN n{}.id\n", random.below(60)).into_bytes();
        let files: Vec<Vec<u8>> = (0..1 + random.below(6)).map(|_| text(random)).collect();
        let hashes = archive.put_many(&files).expect("they fit");
        log.lock().expect("one thread").push(Step::Promise(hashes));
    }
    std::mem::take(&mut *log.lock().expect("one thread"))
}

/// Makes in `image` what a cut after some steps may leave of `made`.
fn cut(made: &Path, image: &Path, steps: &[Step], random: &mut Random) {
    let place = |path: &Path| image.join(path.strip_prefix(made).expect("it is in there"));
    let later = |number: usize, path: &Path| {
        let synced = |step: &Step| matches!(step, Step::Sync(paths) if paths.contains(path));
        steps[number..].iter().any(synced)
    };
    fs::create_dir_all(image.join(".new")).expect("writable");
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Write(path, bytes) => {
                let is_whole = later(number, path);
                let kept = if is_whole {
                    bytes.len()
                } else {
                    random.below(bytes.len() + 1)
                };
                fs::write(place(path), &bytes[..kept]).expect("writable");
            }
            Step::Directory(path) => {
                let parent = path.parent().expect("it is in the archive");
                if later(number, parent) || random.below(2) == 0 {
                    let _ = fs::create_dir(place(path)); // the one above may be lost
                }
            }
            Step::Rename(from, to) => {
                let directory = to.parent().expect("it is in the archive");
                if later(number, directory) || random.below(2) == 0 {
                    let _ = fs::rename(place(from), place(to)); // the directory may be lost
                }
            }
            Step::Sync(_) | Step::Promise(_) => {}
        }
    }
}

/// How many files are broken, and how many promises, after cuts at many places.
fn broken(steps: &[Step], made: &Path, scratch: &Path, random: &mut Random) -> (usize, usize) {
    let (mut files, mut promises) = (0, 0);
    for number in 0..CUTS {
        let image = scratch.join(number.to_string());
        let end = random.below(steps.len() + 1);
        cut(made, &image, &steps[..end], random);
        let archive = Archive::open(&image).expect("it opens");
        for hash in archive.list(|| true).expect("readable") {
            let found = archive.get(&hash).expect("readable");
            files += usize::from(!matches!(found, Lookup::Found(_)));
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
