//! What the archive of zone files answers: the file, that there is none, that it is wrong, or why it cannot say.

use std::io;
use std::path::{Path, PathBuf};

use crate::hash::ZonefileHash;
use crate::zonefile::ZONEFILE_MAX;

/// What the archive holds for a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The zone file; its bytes have the hash.
    Found(Vec<u8>),
    /// Nothing, or an empty file.
    Absent,
    /// Bytes that are others; never to be served.
    Tampered {
        /// What they hash to; `None` if they are more than a zone file may have, or not even the head of their record is right.
        found: Option<ZonefileHash>,
    },
}

/// A zone file with its hash, read into a buffer of the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'b> {
    /// Its bytes.
    pub zonefile: &'b [u8],
    /// The form that was compiled when it was stored, if there is one that this program reads. Nobody vouches for it but the
    /// seal of its record: whoever can write to the disk can put another one there.
    pub compiled: Option<&'b [u8]>,
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

/// That something failed at a path.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    move |source| ArchiveError::Io {
        path: path.to_owned(),
        source,
    }
}
