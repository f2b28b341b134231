//! Zone files of the form that the archive had before its segments, and that anybody can put there by hand: one file each.
//!
//! A file is `<h[0:2]>/<h[2:4]>/<h>.txt`, `h` being its hash in hex, as in the reference implementation. Such files are only
//! read here, and moved into segments ([`super::Archive::gather`]).

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::hash::ZonefileHash;
use crate::zonefile::ZONEFILE_MAX;

use super::lookup::{ArchiveError, Lookup, at};

/// Where earlier versions wrote files before they got their names.
const INCOMING: &str = ".new";

/// Bytes beyond its length with which a file is read: with fewer, the standard library looks for its end with a
/// small buffer of its own first.
const END: usize = 64;

/// The directory with such files.
#[derive(Debug)]
pub struct Loose {
    directory: PathBuf,
}

impl Loose {
    /// The files below a directory. Removes what an earlier version left half written.
    pub fn open(directory: &Path) -> Result<Self, ArchiveError> {
        let incoming = directory.join(INCOMING);
        for path in entries(&incoming, |_| true)? {
            fs::remove_file(&path).map_err(at(&path))?;
        }
        let _ = fs::remove_dir(&incoming); // it is not there, or somebody else's
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// Where the zone file with this hash would be.
    fn path(&self, hash: &ZonefileHash) -> PathBuf {
        let [first, second, ..] = hash.0;
        let name = format!("{first:02x}/{second:02x}/{hash}.txt");
        self.directory.join(name)
    }

    /// Whether something is there for this hash.
    pub fn has(&self, hash: &ZonefileHash) -> bool {
        self.path(hash).exists()
    }

    /// What is there for this hash. Reads at most one byte more than a zone file may have.
    pub fn read(&self, hash: &ZonefileHash) -> Result<Lookup, ArchiveError> {
        let path = self.path(hash);
        let file = match File::open(&path) {
            Err(error) if is_nothing(&error) => return Ok(Lookup::Absent),
            opened => opened.map_err(at(&path))?,
        };
        // Room for all of it and for the look whether there is more: one call reads it, one finds its end.
        let length = file.metadata().map_err(at(&path))?.len();
        let mut bytes = Vec::with_capacity(length.min(ZONEFILE_MAX as u64) as usize + END);
        file.take(ZONEFILE_MAX as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(at(&path))?;
        Ok(compare(hash, bytes))
    }

    /// The directories with files of the same first two bytes.
    pub fn directories(&self) -> impl Iterator<Item = Result<PathBuf, ArchiveError>> {
        let firsts = match entries(&self.directory, is_hex_byte) {
            Ok(firsts) => firsts.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        firsts.into_iter().flat_map(|first| {
            let seconds = first.and_then(|first| entries(&first, is_hex_byte));
            match seconds {
                Ok(seconds) => seconds.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        })
    }

    /// The hashes of the files in such a directory. No file is read: one of them may be wrong. Files with other names or
    /// sizes than zone files have are passed over.
    pub fn hashes(&self, directory: &Path) -> Result<Vec<ZonefileHash>, ArchiveError> {
        let paths = entries(directory, is_zonefile)?;
        let hashes = paths.iter().filter_map(|path| {
            let hash = hash_of_name(path)?;
            (self.path(&hash) == *path).then_some(hash)
        });
        Ok(hashes.collect())
    }

    /// Removes the file of a hash.
    pub fn remove(&self, hash: &ZonefileHash) -> Result<(), ArchiveError> {
        let path = self.path(hash);
        crate::disk::remove(&path).map_err(at(&path))
    }

    /// Removes a directory of [`Loose::directories`] and the one above it, unless something is left in them.
    pub fn remove_directory(directory: &Path) {
        let above = directory.parent();
        let _ = fs::remove_dir(directory).and_then(|()| above.map_or(Ok(()), fs::remove_dir));
    }
}

/// What is in a directory and may belong to the archive; nothing, if the directory is gone or is none.
fn entries(
    directory: &Path,
    belongs: impl Fn(&fs::DirEntry) -> bool,
) -> Result<Vec<PathBuf>, ArchiveError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if is_nothing(&error) => return Ok(Vec::new()),
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

fn is_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
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
