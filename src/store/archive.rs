//! Zone files on disk, by the hash of their bytes (RIPEMD-160 of SHA-256).
//!
//! A file is `<h[0:2]>/<h[2:4]>/<h>.txt`, `h` being its hash in hex, as in the reference implementation. It is
//! written under `.new/`, synced, renamed, and its directory synced, many together where there are many
//! ([`crate::disk::batch`]): under its final name a file is complete or not there. Whoever can write to the disk can still change it, so every read hashes what it
//! read, and bytes of another hash are never given out.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::disk::batch::{Placed, Steps, System, place_all};
use crate::disk::rights;
use crate::hash::ZonefileHash;
use crate::zonefile::ZONEFILE_MAX;

use super::soundness::{Notice, Soundness, Stamp};

/// Where files are written before they get their name.
const INCOMING: &str = ".new";

/// Bytes beyond its length with which a file is read: with fewer, the standard library looks for its end with a
/// small buffer of its own first.
const END: usize = 64;

/// A directory of zone files.
pub struct Archive {
    directory: PathBuf,
    steps: Box<dyn Steps>,
    written: AtomicU64,
    soundness: Soundness,
    /// The directory as it was when it was last looked at.
    seen: Mutex<Option<Stamp>>,
}

/// What the archive holds for a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The zone file; its bytes have the hash.
    Found(Vec<u8>),
    /// No file, or an empty one.
    Absent,
    /// A file whose bytes are others; never to be served.
    Tampered {
        /// What they hash to; `None` if the file is larger than a zone file may be.
        found: Option<ZonefileHash>,
    },
}

/// Why the archive failed.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file or directory cannot be read or written.
    #[error("cannot use {path} of the zone file archive: {source}; check its permissions and the free space", path = .path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing can be that large.
    #[error(
        "a zone file has at most {ZONEFILE_MAX} bytes, this one has {size}: split it or leave records out"
    )]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// An empty file counts as absent everywhere.
    #[error("an empty zone file cannot be stored: give it at least a $ORIGIN")]
    Empty,
}

impl Archive {
    /// Opens the archive in `directory`, creates it where it is missing, and removes what a crash left half
    /// written. At most one process may write to an archive.
    pub fn open(directory: &Path) -> Result<Self, ArchiveError> {
        Self::open_with(directory, Box::new(System))
    }

    /// The same with other steps to the disk.
    pub(super) fn open_with(directory: &Path, steps: Box<dyn Steps>) -> Result<Self, ArchiveError> {
        let archive = Self {
            directory: directory.to_owned(),
            steps,
            written: AtomicU64::new(0),
            soundness: Soundness::default(),
            seen: Mutex::default(),
        };
        archive.make_directories()?;
        let incoming = directory.join(INCOMING);
        for entry in fs::read_dir(&incoming).map_err(at(&incoming))? {
            let path = entry.map_err(at(&incoming))?.path();
            fs::remove_file(&path).map_err(at(&path))?;
        }
        Ok(archive)
    }

    fn make_directories(&self) -> Result<(), ArchiveError> {
        for directory in [&self.directory, &self.directory.join(INCOMING)] {
            rights::open_directory(directory).map_err(at(directory))?;
        }
        Ok(())
    }

    /// Takes the rights of others from all files, as earlier versions and careless copies left them, until `go_on`,
    /// which is asked at every directory, says no. Gives how many files and directories were changed.
    pub fn make_private(&self, mut go_on: impl FnMut() -> bool) -> Result<usize, ArchiveError> {
        let directory = &self.directory;
        rights::make_all_private(directory, &mut go_on).map_err(at(directory))
    }

    /// Calls `subscriber` at every [`Notice`], in the thread that noticed: it must be quick and must not use the archive.
    pub fn subscribe(&self, subscriber: impl Fn(Notice) + Send + Sync + 'static) {
        self.soundness.subscribe(subscriber);
    }

    /// The files that were wrong or missing when they were last asked for.
    pub fn unsound(&self) -> HashSet<ZonefileHash> {
        self.soundness.unsound()
    }

    /// Stores a zone file and returns its hash. Once this returns, the file survives a crash. What is stored
    /// already stays; a tampered file is replaced.
    pub fn put(&self, bytes: &[u8]) -> Result<ZonefileHash, ArchiveError> {
        let hashes = self.put_many(&[bytes])?;
        Ok(hashes[0])
    }

    /// Stores zone files and returns their hashes, in order. Once this returns, all survive a crash, which is waited for once;
    /// after a crash on the way each is there, complete, or not there. If one is empty or too large, none is stored.
    pub fn put_many<B: AsRef<[u8]>>(&self, files: &[B]) -> Result<Vec<ZonefileHash>, ArchiveError> {
        let mut hashes = Vec::with_capacity(files.len());
        for bytes in files {
            check_size(bytes.as_ref().len())?;
            hashes.push(ZonefileHash::of(bytes.as_ref()));
        }
        let mut new = Vec::new();
        let mut seen = HashSet::new();
        for (hash, bytes) in hashes.iter().zip(files) {
            match self.read(hash)? {
                (Lookup::Found(_), Some(stamp)) => self.soundness.note_sound(hash, stamp),
                _ if seen.insert(hash) => new.push((hash, bytes.as_ref())),
                _ => {}
            }
        }
        if !new.is_empty() {
            self.write(&new)?;
        }
        Ok(hashes)
    }

    /// The hashes of the files that are there, in order, until `go_on`, which is asked at every directory, says no. No file is
    /// read: one of them may be wrong. Files with other names or sizes than zone files have are passed over.
    pub fn list(&self, mut go_on: impl FnMut() -> bool) -> Result<Vec<ZonefileHash>, ArchiveError> {
        let mut hashes = Vec::new();
        for first in entries(&self.directory, is_hex_byte)? {
            for second in entries(&first, is_hex_byte)? {
                if !go_on() {
                    return Ok(hashes);
                }
                for path in entries(&second, is_zonefile)? {
                    let hash = hash_of_name(&path);
                    hashes.extend(hash.filter(|hash| self.path(hash) == path));
                }
            }
        }
        hashes.sort_unstable();
        self.soundness.note_listed(&hashes);
        Ok(hashes)
    }

    /// Looks whether at most `count` of the files that were there still are, those behind `after`, and gives notice of those that
    /// are gone or wrong. Gives the last one, to go on with; `None` when there are no more.
    pub fn sweep(
        &self,
        after: Option<&ZonefileHash>,
        count: usize,
    ) -> Result<Option<ZonefileHash>, ArchiveError> {
        let held = self.soundness.held(after, count);
        for hash in &held {
            self.contains(hash)?;
        }
        Ok(held.last().copied().filter(|_| held.len() == count))
    }

    /// Whether a directory at its top was made or removed since this was asked the last time; a removal may have taken many files.
    pub fn has_changed(&self) -> bool {
        let metadata = fs::metadata(&self.directory).ok();
        let stamp = metadata.as_ref().map(Stamp::from);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *seen, stamp) != stamp
    }

    /// As [`Archive::get`] for somebody who waits for it: if it is wrong or not there, subscribers are told each time.
    pub fn ask(&self, hash: &ZonefileHash) -> Result<Lookup, ArchiveError> {
        let found = self.get(hash)?;
        if !matches!(found, Lookup::Found(_)) {
            self.soundness.tell(Notice::Asked(*hash));
        }
        Ok(found)
    }

    /// The zone file with this hash. Reads at most one byte more than a zone file may have.
    pub fn get(&self, hash: &ZonefileHash) -> Result<Lookup, ArchiveError> {
        let (found, stamp) = self.read(hash)?;
        match (&found, stamp) {
            (Lookup::Found(_), Some(stamp)) => self.soundness.note_sound(hash, stamp),
            _ => self.soundness.note_unsound(hash),
        }
        Ok(found)
    }

    /// Whether the zone file with this hash is there. One that was right and has not changed since is not read again.
    pub fn contains(&self, hash: &ZonefileHash) -> Result<bool, ArchiveError> {
        let path = self.path(hash);
        let stamp = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.soundness.note_absent(hash);
                return Ok(false);
            }
            metadata => Stamp::from(&metadata.map_err(at(&path))?),
        };
        Ok(self.soundness.is_known(hash, stamp) || matches!(self.get(hash)?, Lookup::Found(_)))
    }

    /// Where the zone file with this hash is or would be.
    pub fn path(&self, hash: &ZonefileHash) -> PathBuf {
        let [first, second, ..] = hash.0;
        let name = format!("{first:02x}/{second:02x}/{hash}.txt");
        self.directory.join(name)
    }

    /// What is there, and the file as it was.
    fn read(&self, hash: &ZonefileHash) -> Result<(Lookup, Option<Stamp>), ArchiveError> {
        let path = self.path(hash);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Lookup::Absent, None));
            }
            opened => opened.map_err(at(&path))?,
        };
        let metadata = file.metadata().map_err(at(&path))?;
        let stamp = Stamp::from(&metadata);
        // Room for all of it and for the look whether there is more: one call reads it, one finds its end.
        let length = metadata.len().min(ZONEFILE_MAX as u64) as usize;
        let mut bytes = Vec::with_capacity(length + END);
        file.take(ZONEFILE_MAX as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(at(&path))?;
        Ok((compare(hash, bytes), Some(stamp)))
    }

    /// Writes files that are not there or wrong.
    fn write(&self, new: &[(&ZonefileHash, &[u8])]) -> Result<(), ArchiveError> {
        let placed: Vec<Placed<'_>> = new
            .iter()
            .map(|(hash, bytes)| self.placed(hash, bytes))
            .collect();
        for (hash, _) in new {
            self.soundness.forget(hash); // before anybody can change the file again
        }
        let mut written = place_all(&*self.steps, &placed);
        if matches!(&written, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            self.make_directories()?; // somebody removed them
            written = place_all(&*self.steps, &placed);
        }
        written.map_err(at(&self.directory))?;
        for (hash, _) in new {
            self.soundness.note_stored(hash);
        }
        Ok(())
    }

    fn placed<'b>(&self, hash: &ZonefileHash, bytes: &'b [u8]) -> Placed<'b> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let name = format!("{INCOMING}/{hash}-{number}");
        Placed {
            beside: self.directory.join(name),
            path: self.path(hash),
            bytes,
        }
    }
}

fn check_size(size: usize) -> Result<(), ArchiveError> {
    match size {
        0 => Err(ArchiveError::Empty),
        1..=ZONEFILE_MAX => Ok(()),
        size => Err(ArchiveError::TooLarge { size }),
    }
}

/// What is in a directory and may belong to the archive; nothing, if the directory is gone or is none.
fn entries(
    directory: &Path,
    belongs: impl Fn(&fs::DirEntry) -> bool,
) -> Result<Vec<PathBuf>, ArchiveError> {
    use io::ErrorKind::{NotADirectory, NotFound};
    let entries = match fs::read_dir(directory) {
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => return Ok(Vec::new()),
        entries => entries.map_err(at(directory))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at(directory))?;
        if belongs(&entry) {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

fn is_hex_byte(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.len() == 2 && name.as_encoded_bytes().iter().all(is_hex)
}

fn is_zonefile(entry: &fs::DirEntry) -> bool {
    let size = 1..=ZONEFILE_MAX as u64;
    let metadata = entry.metadata();
    metadata.is_ok_and(|metadata| metadata.is_file() && size.contains(&metadata.len()))
}

fn hash_of_name(path: &Path) -> Option<ZonefileHash> {
    path.file_name()?
        .to_str()?
        .strip_suffix(".txt")?
        .parse()
        .ok()
}

/// What the bytes of a file are, if they should have the hash `wanted`.
fn compare(wanted: &ZonefileHash, bytes: Vec<u8>) -> Lookup {
    if bytes.is_empty() {
        return Lookup::Absent;
    }
    if bytes.len() > ZONEFILE_MAX {
        return Lookup::Tampered { found: None };
    }
    match ZonefileHash::of(&bytes) {
        found if found == *wanted => Lookup::Found(bytes),
        found => Lookup::Tampered { found: Some(found) },
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    move |source| ArchiveError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE: &[u8] = b"$ORIGIN foo.test\n$TTL 3600\n_http._tcp URI 10 1 \"https://example.com/foo.test/0/profile.json\"\n";

    fn archive() -> (tempfile::TempDir, Archive) {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let archive = Archive::open(&scratch.path().join("zonefiles")).expect("it can be made");
        (scratch, archive)
    }

    #[test]
    fn what_is_put_is_found_under_the_references_path() {
        let (_scratch, archive) = archive();
        let hash = archive.put(ZONE).expect("it fits");
        // Computed with OpenSSL: sha256, then ripemd160.
        assert_eq!(hash.to_string(), "087dcea832e706022a1fd3fa723cf3261e5b5e2f");
        assert!(
            archive
                .path(&hash)
                .ends_with("08/7d/087dcea832e706022a1fd3fa723cf3261e5b5e2f.txt")
        );
        assert_eq!(
            archive.get(&hash).expect("readable"),
            Lookup::Found(ZONE.to_vec())
        );
        assert!(archive.contains(&hash).expect("readable"));
        assert_eq!(archive.put(ZONE).expect("again"), hash);
        let left = fs::read_dir(archive.directory.join(INCOMING))
            .expect("it exists")
            .count();
        assert_eq!(left, 0);
    }

    #[test]
    fn no_changed_file_is_found() {
        let (_scratch, archive) = archive();
        let hash = archive.put(ZONE).expect("it fits");
        let mut flipped = ZONE.to_vec();
        flipped[20] ^= 1;
        let crlf = String::from_utf8_lossy(ZONE)
            .replace('\n', "\r\n")
            .into_bytes();
        let extended = [ZONE, b"\n"].concat();
        let with_mark = [b"\xef\xbb\xbf", ZONE].concat();
        for changed in [flipped, ZONE[..50].to_vec(), extended, crlf, with_mark] {
            fs::write(archive.path(&hash), &changed).expect("writable");
            let found = Some(ZonefileHash::of(&changed));
            assert_eq!(
                archive.get(&hash).expect("readable"),
                Lookup::Tampered { found }
            );
        }
        fs::write(archive.path(&hash), vec![b'a'; ZONEFILE_MAX * 2]).expect("writable");
        assert_eq!(
            archive.get(&hash).expect("readable"),
            Lookup::Tampered { found: None }
        );
        assert!(!archive.contains(&hash).expect("readable"));
        assert!(archive.unsound().contains(&hash));
        fs::write(archive.path(&hash), b"").expect("writable");
        assert_eq!(archive.get(&hash).expect("readable"), Lookup::Absent);
        assert!(!archive.contains(&hash).expect("readable"));
        archive.put(ZONE).expect("it heals");
        assert!(archive.contains(&hash).expect("readable"));
        assert!(archive.unsound().is_empty());
        assert_eq!(
            archive.get(&hash).expect("readable"),
            Lookup::Found(ZONE.to_vec())
        );
    }

    #[test]
    fn sizes_are_bounded() {
        let (_scratch, archive) = archive();
        assert!(matches!(archive.put(b""), Err(ArchiveError::Empty)));
        let largest = vec![b';'; ZONEFILE_MAX];
        let hash = archive.put(&largest).expect("it just fits");
        assert_eq!(
            archive.get(&hash).expect("readable"),
            Lookup::Found(largest)
        );
        let error = archive
            .put(&vec![b';'; ZONEFILE_MAX + 1])
            .expect_err("one byte too many");
        assert!(matches!(error, ArchiveError::TooLarge { size: 40_961 }));
    }

    #[test]
    fn many_files_are_stored_once_each_and_listed() {
        let (_scratch, archive) = archive();
        let (tell, told) = std::sync::mpsc::channel();
        archive.subscribe(move |notice| tell.send(notice).expect("somebody listens"));
        let files: Vec<Vec<u8>> = (0..50u8).map(|byte| vec![byte + 1; 20]).collect();
        let twice = [files.clone(), files.clone()].concat();
        let hashes = archive.put_many(&twice).expect("they fit");
        let of: Vec<ZonefileHash> = twice.iter().map(|bytes| ZonefileHash::of(bytes)).collect();
        assert_eq!(hashes, of);
        let stored: Vec<Notice> = of[..50].iter().copied().map(Notice::Stored).collect();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), stored);
        archive.put_many(&files).expect("again");
        let mut bad = files.clone();
        bad.extend([ZONE.to_vec(), Vec::new()]);
        archive.put_many(&bad).expect_err("one is empty");
        assert_eq!(told.try_iter().count(), 0);

        fs::write(archive.directory.join("note.txt"), "x").expect("writable");
        let beside = archive.path(&of[0]).with_file_name("other.txt");
        fs::write(beside, "x").expect("writable");
        let stray = archive.directory.join("00").join("00");
        fs::create_dir_all(&stray).expect("writable");
        fs::write(stray.join(format!("{}.txt", of[1])), "x").expect("writable");
        fs::write(archive.path(&of[2]), "").expect("writable");
        let mut there: Vec<ZonefileHash> = of[..50].to_vec();
        there.remove(2);
        there.sort_unstable();
        assert_eq!(archive.list(|| true).expect("readable"), there);
        assert!(archive.list(|| false).expect("readable").is_empty());
    }

    #[test]
    fn a_removed_archive_is_noticed_and_made_again() {
        let (_scratch, archive) = archive();
        let files: Vec<Vec<u8>> = (0..9u8).map(|byte| vec![byte + 1; 20]).collect();
        let mut hashes = archive.put_many(&files).expect("they fit");
        let (tell, told) = std::sync::mpsc::channel();
        archive.subscribe(move |notice| tell.send(notice).expect("somebody listens"));
        fs::remove_dir_all(&archive.directory).expect("it is there");
        let mut last = archive.sweep(None, 4).expect("readable");
        assert!(last.is_some());
        while let Some(after) = last {
            last = archive.sweep(Some(&after), 4).expect("readable");
        }
        hashes.sort_unstable();
        let unsound: Vec<Notice> = hashes.into_iter().map(Notice::Unsound).collect();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), unsound);
        assert!(archive.list(|| true).expect("nothing is there").is_empty());
        let hash = archive.put(ZONE).expect("it is made again");
        assert_eq!(archive.list(|| true).expect("readable"), [hash]);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [Notice::Stored(hash)]);
    }

    #[test]
    fn who_asks_for_a_missing_file_is_heard_each_time() {
        let (_scratch, archive) = archive();
        let (tell, told) = std::sync::mpsc::channel();
        archive.subscribe(move |notice| tell.send(notice).expect("somebody listens"));
        let hash = ZonefileHash::of(ZONE);
        for _ in 0..2 {
            assert_eq!(archive.ask(&hash).expect("readable"), Lookup::Absent);
        }
        let asked = Notice::Asked(hash);
        let expected = [Notice::Unsound(hash), asked, asked];
        assert_eq!(told.try_iter().collect::<Vec<_>>(), expected);
        archive.put(ZONE).expect("it fits");
        archive.ask(&hash).expect("readable");
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [Notice::Stored(hash)]);
    }

    #[test]
    fn half_written_files_are_gone_after_the_next_start() {
        let (_scratch, archive) = archive();
        let left_over = archive.directory.join(INCOMING).join("087dcea8-0");
        fs::write(&left_over, b"$ORIG").expect("writable");
        Archive::open(&archive.directory).expect("it opens");
        assert!(!left_over.exists());
    }
}
