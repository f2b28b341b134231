//! Zone files on disk, by the hash of their bytes (RIPEMD-160 of SHA-256).
//!
//! A file is `<h[0:2]>/<h[2:4]>/<h>.txt`, `h` being its hash in hex, as in the reference implementation. It is
//! written under `.new/`, synced, renamed, and its directory synced: under its final name a file is complete
//! or not there. Whoever can write to the disk can still change it, so every read hashes what it
//! read, and bytes of another hash are never given out.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::{self, Staged, rights};
use crate::hash::ZonefileHash;
use crate::zonefile::ZONEFILE_MAX;

use super::soundness::{Soundness, Stamp};

/// Where files are written before they get their name.
const INCOMING: &str = ".new";

/// Bytes beyond its length with which a file is read: with fewer, the standard library looks for its end with a
/// small buffer of its own first.
const END: usize = 64;

/// A directory of zone files.
pub struct Archive {
    directory: PathBuf,
    written: AtomicU64,
    soundness: Soundness,
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
        let incoming = directory.join(INCOMING);
        for directory in [directory, &incoming] {
            rights::open_directory(directory).map_err(at(directory))?;
        }
        for entry in fs::read_dir(&incoming).map_err(at(&incoming))? {
            let path = entry.map_err(at(&incoming))?.path();
            fs::remove_file(&path).map_err(at(&path))?;
        }
        Ok(Self {
            directory: directory.to_owned(),
            written: AtomicU64::new(0),
            soundness: Soundness::default(),
        })
    }

    /// Takes the rights of others from all files, as earlier versions and careless copies left them, until `go_on`,
    /// which is asked at every directory, says no. Gives how many files and directories were changed.
    pub fn make_private(&self, mut go_on: impl FnMut() -> bool) -> Result<usize, ArchiveError> {
        let directory = &self.directory;
        rights::make_all_private(directory, &mut go_on).map_err(at(directory))
    }

    /// Calls `subscriber` when a file is noticed to be wrong or missing, in the thread that noticed: it must be quick
    /// and must not use the archive. A file that stays so is one notice.
    pub fn subscribe(&self, subscriber: impl Fn() + Send + Sync + 'static) {
        self.soundness.subscribe(subscriber);
    }

    /// The files that were wrong or missing when they were last asked for.
    pub fn unsound(&self) -> HashSet<ZonefileHash> {
        self.soundness.unsound()
    }

    /// Stores a zone file and returns its hash. Once this returns, the file survives a crash. What is stored
    /// already stays; a tampered file is replaced.
    pub fn put(&self, bytes: &[u8]) -> Result<ZonefileHash, ArchiveError> {
        if bytes.is_empty() {
            return Err(ArchiveError::Empty);
        }
        if bytes.len() > ZONEFILE_MAX {
            return Err(ArchiveError::TooLarge { size: bytes.len() });
        }
        let hash = ZonefileHash::of(bytes);
        match self.read(&hash)? {
            (Lookup::Found(_), Some(stamp)) => self.soundness.note_sound(&hash, stamp),
            _ => self.write(&hash, bytes)?,
        }
        Ok(hash)
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

    fn write(&self, hash: &ZonefileHash, bytes: &[u8]) -> Result<(), ArchiveError> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let name = format!("{INCOMING}/{hash}-{number}");
        let temporary = self.directory.join(name);
        let staged = Staged::write(temporary.clone(), bytes);
        let staged = staged.map_err(at(&temporary))?;
        let path = self.path(hash);
        self.make_parents(&path)?;
        self.soundness.forget(hash); // before anybody can change the file again
        staged.replace(&path).map_err(at(&path))
    }

    /// Creates the two directories above a file, each durable before the next.
    fn make_parents(&self, path: &Path) -> Result<(), ArchiveError> {
        let mut missing: Vec<&Path> = path
            .ancestors()
            .skip(1)
            .take_while(|parent| *parent != self.directory && !parent.is_dir())
            .collect();
        while let Some(directory) = missing.pop() {
            disk::create_directory(directory).map_err(at(directory))?;
            disk::sync_name(directory).map_err(at(directory))?;
        }
        Ok(())
    }
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
    fn half_written_files_are_gone_after_the_next_start() {
        let (_scratch, archive) = archive();
        let left_over = archive.directory.join(INCOMING).join("087dcea8-0");
        fs::write(&left_over, b"$ORIG").expect("writable");
        Archive::open(&archive.directory).expect("it opens");
        assert!(!left_over.exists());
    }
}
