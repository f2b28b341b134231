//! Segments that were fetched, in files named for what they hash to. A file that is being fetched has another name, and
//! the next run goes on with it. Whoever is killed loses nothing.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bitcoin::hashes::{Hash as _, sha256};

use super::place::{PlaceError, Reader, Rest, Wanted};
use crate::chain::log::manifest::SegmentEntry;
use crate::chain::log::segment;
use crate::disk;

/// The folder in the directory of what is kept.
const FOLDER: &str = "segments";
/// The start of a segment has fewer bytes.
const START_BYTES: usize = 64;
/// How the name of a file ends that is being fetched.
const PART: &str = "part";

/// The folder of segments.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    /// The folder in `directory`, which is made where it is missing.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let folder = directory.join(FOLDER);
        disk::create_directory(&folder)?;
        Ok(Self { folder })
    }

    /// Where a segment is.
    pub(super) fn path(&self, sha256: &sha256::Hash) -> PathBuf {
        self.folder.join(sha256.to_string())
    }

    /// The bytes of a segment that was fetched; `None` if it was not, or if the file is damaged, which is removed then.
    pub(super) fn read(&self, entry: &SegmentEntry) -> io::Result<Option<Vec<u8>>> {
        let path = self.path(&entry.sha256);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        if sha256::Hash::hash(&bytes) == entry.sha256 {
            return Ok(Some(bytes));
        }
        fs::remove_file(&path)?;
        Ok(None)
    }

    /// The bytes of a segment, fetched from `reader` where it has the name `name` unless they are here.
    pub(super) fn fetch(
        &self,
        entry: &SegmentEntry,
        name: &str,
        reader: &mut Reader,
    ) -> Result<Vec<u8>, PlaceError> {
        if let Some(bytes) = self.read(entry).map_err(PlaceError::Kept)? {
            return Ok(bytes);
        }
        let part = self.path(&entry.sha256).with_extension(PART);
        let mut bytes = fs::read(&part).unwrap_or_default();
        if bytes.len() as u64 > entry.bytes {
            bytes.clear();
        }
        let mut file = append(&part, bytes.len() as u64).map_err(PlaceError::Kept)?;
        let from = bytes.len() as u64;
        let wanted = Wanted {
            name,
            from,
            most: entry.bytes - from,
            rest: Rest::Refused,
        };
        reader.read(wanted, &mut |more| {
            bytes.extend_from_slice(more);
            file.write_all(more)
        })?;
        if sha256::Hash::hash(&bytes) != entry.sha256 {
            let _ = fs::remove_file(&part); // a later try begins anew in any case
            return Err(match from {
                0 => PlaceError::Wrong(format!("{name} does not hash to what log.json says")),
                _ => PlaceError::Unreachable(format!("{name} was replaced while it was fetched")),
            });
        }
        file.sync_all()
            .and_then(|()| disk::rename(&part, &self.path(&entry.sha256)))
            .map_err(PlaceError::Kept)?;
        Ok(bytes)
    }

    /// The segments that were fetched, and how each begins.
    pub(super) fn list(&self) -> io::Result<Vec<(sha256::Hash, segment::Header)>> {
        let mut found = Vec::new();
        for file in fs::read_dir(&self.folder)? {
            let path = file?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(sha256) = name.and_then(|name| name.parse().ok()) else {
                continue;
            };
            let mut start = [0; START_BYTES];
            let read = File::open(&path)?.read(&mut start)?;
            let bytes = start.get(..read).unwrap_or_default();
            found.extend(
                segment::Reader::new(bytes)
                    .ok()
                    .map(|reader| (sha256, *reader.header())),
            );
        }
        Ok(found)
    }

    /// Removes every segment that is not in `kept`, and what was begun of others.
    pub(super) fn clean(&self, kept: &BTreeSet<sha256::Hash>) -> io::Result<()> {
        for file in fs::read_dir(&self.folder)? {
            let path = file?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let sha256 = stem.and_then(|stem| stem.parse::<sha256::Hash>().ok());
            if sha256.is_some_and(|sha256| !kept.contains(&sha256)) {
                disk::remove(&path)?;
            }
        }
        Ok(())
    }
}

fn append(path: &Path, length: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(0o600).open(path)?;
    file.set_len(length)?;
    Ok(file)
}
