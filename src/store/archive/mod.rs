//! Zone files on disk, by the hash of their bytes (RIPEMD-160 of SHA-256).
//!
//! They are records of a few large files ([`super::segments`]). Archives of earlier versions have a file for each
//! ([`super::loose`]); those are read as well, and moved into segments while the daemon runs. Whoever can write to the disk
//! can change both, so every read hashes what it read, and bytes of another hash are never given out.

mod gather;
mod tend;

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::rights;
use crate::disk::steps::{Steps, System};
use crate::hash::ZonefileHash;
use crate::zonefile::ZONEFILE_MAX;

use super::lookup::{ArchiveError, Lookup, Stored, at};
use super::loose::Loose;
use super::segments::{self, Limits, Segments};
use super::soundness::{Notice, Soundness};

pub use tend::CheckedForms;
use tend::Tending;

/// The directory of segments in that of the archive.
const SEGMENTS: &str = "segments";

/// A directory of zone files.
#[derive(Debug)]
pub struct Archive {
    directory: PathBuf,
    segments: Segments,
    loose: Loose,
    soundness: Soundness,
    tending: Tending,
    /// The directory as it was when it was last looked at.
    seen: Mutex<Option<Stamp>>,
}

/// A directory as it was when it was looked at: names that come or go change one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    changed: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Where a zone file that is right was read.
enum Kept {
    Segment,
    OwnFile,
}

/// Which files there are: those with files of their own when it was made, and those in segments.
pub struct Listing<'a> {
    /// In order.
    loose: Vec<ZonefileHash>,
    segments: &'a Segments,
}

impl Listing<'_> {
    /// Whether the file of a hash is there. It is not read: it may be wrong.
    pub fn has(&self, hash: &ZonefileHash) -> bool {
        self.loose.binary_search(hash).is_ok() || self.segments.has(hash)
    }
}

impl Archive {
    /// Opens the archive in `directory`, creates it where it is missing, and removes what a crash left half
    /// written. At most one process may write to an archive.
    pub fn open(directory: &Path) -> Result<Self, ArchiveError> {
        Self::open_with(directory, Arc::new(System), Limits::default())
    }

    /// The same with other steps to the disk and other sizes.
    pub(super) fn open_with(
        directory: &Path,
        steps: Arc<dyn Steps>,
        limits: Limits,
    ) -> Result<Self, ArchiveError> {
        rights::open_directory(directory).map_err(at(directory))?;
        let segments = directory.join(SEGMENTS);
        Ok(Self {
            directory: directory.to_owned(),
            loose: Loose::open(directory)?,
            segments: Segments::open(segments.clone(), steps, limits).map_err(at(&segments))?,
            soundness: Soundness::default(),
            tending: Tending::default(),
            seen: Mutex::default(),
        })
    }

    /// How many descriptors an archive in `directory` takes, as long as it does not grow by more than `room` segments, each of which
    /// holds millions of zone files.
    pub fn descriptors(directory: &Path, room: usize) -> usize {
        let there = segments::count(&directory.join(SEGMENTS));
        there.unwrap_or_default() + room // what cannot be listed cannot be opened
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
        self.note_changes()?; // what was removed is not known, though it could be read
        let mut new = Vec::new();
        let mut seen = HashSet::new();
        for (hash, bytes) in hashes.iter().zip(files) {
            match self.look(hash)? {
                (Lookup::Found(_), kept) if !self.is_cut(hash)? => self.note_found(hash, &kept),
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
        let loose = self.list_loose(&mut go_on)?;
        if !go_on() {
            return Ok(loose);
        }
        let mut hashes = self.segments.list(); // after the others, which may be moved into them meanwhile
        hashes.extend(loose);
        hashes.sort_unstable();
        hashes.dedup();
        Ok(hashes)
    }

    /// The same to ask for single hashes, without a copy of all of them.
    pub fn listing(&self, go_on: impl FnMut() -> bool) -> Result<Listing<'_>, ArchiveError> {
        let mut loose = self.list_loose(go_on)?;
        loose.sort_unstable();
        let segments = &self.segments;
        Ok(Listing { loose, segments })
    }

    fn list_loose(
        &self,
        mut go_on: impl FnMut() -> bool,
    ) -> Result<Vec<ZonefileHash>, ArchiveError> {
        let mut loose = Vec::new();
        for directory in self.loose.directories() {
            if !go_on() {
                return Ok(loose);
            }
            loose.extend(self.loose.hashes(&directory?)?);
        }
        self.soundness.note_listed(&loose);
        Ok(loose)
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

    /// The zone file with this hash.
    pub fn get(&self, hash: &ZonefileHash) -> Result<Lookup, ArchiveError> {
        let (found, kept) = self.look(hash)?;
        match &found {
            Lookup::Found(_) => self.note_found(hash, &kept),
            _ => self.soundness.note_unsound(hash),
        }
        Ok(found)
    }

    /// The zone file with this hash and its compiled form, by one read into `buffer`, which may be used again and again. `None`
    /// if its record is missing or wrong: [`Archive::ask`] tells which, gives notice of it, and knows files of their own.
    pub fn get_compiled<'b>(
        &self,
        hash: &ZonefileHash,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Option<Stored<'b>>, ArchiveError> {
        let stored = self.segments.read_into(hash, buffer);
        let stored = stored.map_err(self.failed())?;
        if stored.is_some() {
            self.soundness.note_right(hash);
        }
        Ok(stored)
    }

    /// Whether the zone file with this hash is there and right.
    pub fn contains(&self, hash: &ZonefileHash) -> Result<bool, ArchiveError> {
        if self.segments.is_removed(hash) {
            self.note_changes()?;
        }
        let (found, kept) = self.look(hash)?;
        match found {
            Lookup::Found(_) => {
                self.note_found(hash, &kept);
                return Ok(true);
            }
            Lookup::Absent if !self.segments.has(hash) => self.soundness.note_absent(hash),
            _ => self.soundness.note_unsound(hash),
        }
        Ok(false)
    }

    /// Whether something is there for this hash, be it right or wrong. Nobody is told.
    pub fn has(&self, hash: &ZonefileHash) -> bool {
        self.segments.has(hash) || self.loose.has(hash)
    }

    /// What is there, and where.
    fn look(&self, hash: &ZonefileHash) -> Result<(Lookup, Kept), ArchiveError> {
        let kept = self.read_segment(hash)?;
        if matches!(kept, Lookup::Found(_)) {
            return Ok((kept, Kept::Segment));
        }
        let own = self.loose.read(hash)?;
        match (&own, kept) {
            (Lookup::Found(_), _) => Ok((own, Kept::OwnFile)),
            // It may have been moved between the two looks.
            (_, Lookup::Absent) => match self.read_segment(hash)? {
                Lookup::Absent => Ok((own, Kept::OwnFile)),
                kept => Ok((kept, Kept::Segment)),
            },
            (_, kept) => Ok((kept, Kept::Segment)),
        }
    }

    fn note_found(&self, hash: &ZonefileHash, kept: &Kept) {
        match kept {
            Kept::Segment => self.soundness.note_right(hash),
            Kept::OwnFile => self.soundness.note_own_file(hash),
        }
    }

    /// Writes files that are not there or wrong.
    fn write(&self, new: &[(&ZonefileHash, &[u8])]) -> Result<(), ArchiveError> {
        for (hash, _) in new {
            self.soundness.forget(hash); // before anybody can change the file again
        }
        self.append(new)?;
        for (hash, _) in new {
            self.soundness.tell(Notice::Stored(**hash));
        }
        Ok(())
    }

    fn append(&self, new: &[(&ZonefileHash, &[u8])]) -> Result<(), ArchiveError> {
        self.segments.append(new).map_err(self.failed())
    }

    fn read_segment(&self, hash: &ZonefileHash) -> Result<Lookup, ArchiveError> {
        self.segments.read(hash).map_err(self.failed())
    }

    /// Whether the record of a zone file will not be there after the next start.
    fn is_cut(&self, hash: &ZonefileHash) -> Result<bool, ArchiveError> {
        self.segments.is_cut(hash).map_err(self.failed())
    }

    fn failed(&self) -> impl FnOnce(io::Error) -> ArchiveError {
        let path = self.directory.join(SEGMENTS);
        move |source| ArchiveError::Io { path, source }
    }
}

fn check_size(size: usize) -> Result<(), ArchiveError> {
    match size {
        0 => Err(ArchiveError::Empty),
        1..=ZONEFILE_MAX => Ok(()),
        size => Err(ArchiveError::TooLarge { size }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::segments::{find, rewrite};

    const ZONE: &[u8] = b"$ORIGIN foo.test\n$TTL 3600\n_http._tcp URI 10 1 \"https://example.com/foo.test/0/profile.json\"\n";

    fn archive() -> (tempfile::TempDir, Archive) {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let archive = Archive::open(&scratch.path().join("zonefiles")).expect("it can be made");
        (scratch, archive)
    }

    /// Puts a zone file where earlier versions had it.
    fn put_loose(archive: &Archive, hash: &ZonefileHash, bytes: &[u8]) -> PathBuf {
        let hash = hash.to_string();
        let folder = archive.directory.join(&hash[..2]).join(&hash[2..4]);
        fs::create_dir_all(&folder).expect("writable");
        let path = folder.join(format!("{hash}.txt"));
        fs::write(&path, bytes).expect("writable");
        path
    }

    #[test]
    fn what_is_put_is_found_in_a_segment() {
        let (_scratch, archive) = archive();
        let hash = archive.put(ZONE).expect("it fits");
        // Computed with OpenSSL: sha256, then ripemd160.
        assert_eq!(hash.to_string(), "087dcea832e706022a1fd3fa723cf3261e5b5e2f");
        let record = find(&archive.directory, &hash.0).expect("a record");
        assert!(record.path.ends_with("segments/00000001.zones"));
        assert_eq!((record.at, &record.bytes[..]), (0, ZONE));
        let found = Lookup::Found(ZONE.to_vec());
        assert_eq!(archive.get(&hash).expect("readable"), found);
        assert!(archive.contains(&hash).expect("readable"));
        assert_eq!(archive.put(ZONE).expect("again"), hash);
        let length = fs::metadata(&record.path).expect("it is there").len();
        assert_eq!(length, record.size() as u64, "it is stored once");
        let again = Archive::open(&archive.directory).expect("it opens");
        assert_eq!(again.get(&hash).expect("readable"), found);
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
        for changed in [ZONE[..50].to_vec(), extended, crlf, with_mark, flipped] {
            rewrite(&archive.directory, &hash.0, &changed);
            let same_size = changed.len() == ZONE.len();
            let found = same_size.then(|| ZonefileHash::of(&changed));
            assert_eq!(
                archive.get(&hash).expect("readable"),
                Lookup::Tampered { found }
            );
        }
        rewrite(&archive.directory, &hash.0, &vec![b'a'; ZONEFILE_MAX * 2]);
        assert_eq!(
            archive.get(&hash).expect("readable"),
            Lookup::Tampered { found: None }
        );
        assert!(!archive.contains(&hash).expect("readable"));
        assert!(archive.unsound().contains(&hash));
        rewrite(&archive.directory, &hash.0, b"");
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
        let late = ZonefileHash::of(ZONE);
        let path = put_loose(&archive, &late, ZONE);
        fs::write(path.with_file_name("other.txt"), "x").expect("writable");
        fs::write(path.with_file_name(format!("{}.txt", of[1])), "x").expect("writable");
        put_loose(&archive, &ZonefileHash([7; 20]), b"");
        let mut there: Vec<ZonefileHash> = of[..50].to_vec();
        there.push(late);
        there.sort_unstable();
        assert_eq!(archive.list(|| true).expect("readable"), there);
        let listing = archive.listing(|| true).expect("readable");
        assert!(there.iter().all(|hash| listing.has(hash)));
        assert!(!listing.has(&ZonefileHash([7; 20])));
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
        assert_eq!(archive.sweep(None, 4).expect("readable"), None);
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
    fn files_of_the_earlier_form_are_read_and_moved() {
        let (_scratch, archive) = archive();
        let files: Vec<Vec<u8>> = (0..50u8).map(|byte| vec![byte + 1; 20]).collect();
        let hashes: Vec<ZonefileHash> = files.iter().map(|it| ZonefileHash::of(it)).collect();
        for (hash, bytes) in hashes.iter().zip(&files) {
            put_loose(&archive, hash, bytes);
        }
        let wrong = put_loose(&archive, &ZonefileHash([7; 20]), ZONE);
        let other = put_loose(&archive, &hashes[3], &files[3]).with_file_name("note");
        fs::write(&other, "x").expect("writable");
        fs::create_dir(archive.directory.join(".new")).expect("writable");
        fs::write(archive.directory.join(".new/087dcea8-0"), "$ORI").expect("writable");
        // A kill after the record was synced leaves both.
        archive
            .segments
            .append(&[(&hashes[0], &files[0])])
            .expect("it fits");

        let archive = Archive::open(&archive.directory).expect("it opens");
        assert!(!archive.directory.join(".new").exists());
        let is_there = |archive: &Archive| {
            let found = |(hash, bytes): (&ZonefileHash, &Vec<u8>)| {
                archive.has(hash)
                    && archive.get(hash).expect("readable") == Lookup::Found(bytes.clone())
            };
            assert!(hashes.iter().zip(&files).all(found));
            assert_eq!(archive.list(|| true).expect("readable").len(), 51);
        };
        is_there(&archive);
        assert_eq!(archive.gather(|| false).expect("writable"), 0);
        assert_eq!(archive.gather(|| true).expect("writable"), 50);
        assert_eq!(archive.gather(|| true).expect("nothing is left"), 0);
        is_there(&archive);
        assert!(!archive.has_changed(), "by somebody else");
        let mut left: Vec<PathBuf> = archive
            .loose
            .directories()
            .map(|it| it.expect("readable"))
            .collect();
        left.sort_unstable();
        let mut expected = [&wrong, &other].map(|it| it.parent().expect("one").to_owned());
        expected.sort_unstable();
        assert_eq!(left, expected);
        is_there(&Archive::open(&archive.directory).expect("it opens"));
    }
}
