//! Brings the published last state of the historical network into a data directory.
//!
//! It lies beside whatever else is there: in a directory `last-state.` with the front of a hash over both files, with a
//! database of its own, and in the archive of zone files, which all have. The file `last-state` names the directory; it
//! is written last, so that killed anywhere the state is there as a whole or not at all. What a killed run left is removed by the
//! next one.

mod lines;

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bitcoin::BlockHash;
use bitcoin::hashes::Hash as _;
use serde::{Deserialize, Serialize};

use crate::bns::last_state::{self, CHAINSTATE, Chainstate, Fault, HEIGHT, ZONEFILES};
use crate::bns::{Changes, Reject};
use crate::disk;
use crate::disk::rights::make_private;
use crate::hash::{ConsensusHash, FileHash, OpsHash, ZonefileHash, sha256};
use crate::store::{
    Archive, ArchiveError, ChainIdentity, DirectoryLock, OpenError, Store, StoreError, StoreOptions,
};
use crate::virtualchain::{BlockHeader, BlockOutcome, CandidateBlock, Snapshot};
use crate::zonefile::ZONEFILE_MAX;

use lines::{Lines, hash_of};

/// The file that names the directory, and how the directory begins.
const NOTE: &str = "last-state";
/// Most bytes of that file.
const NOTE_MAX: u64 = 4_096;
/// What a database of this kind is called, so that it is taken for no other.
const NETWORK: &str = "mainnet-last-state";
/// Zone files that are stored with one sync.
const BATCH: usize = 1_000;

/// Where a last state is, and of which files it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastState {
    /// SHA-256 of the chainstate.
    chainstate: FileHash,
    /// SHA-256 of the zone files.
    zonefiles: FileHash,
}

/// What to bring in.
#[derive(Debug)]
pub struct Import<'a> {
    /// The data directory.
    pub data_dir: &'a Path,
    /// The archive of zone files.
    pub archive: &'a Path,
    /// `chainstate.txt`.
    pub chainstate: &'a Path,
    /// `name_zonefiles.txt`.
    pub zonefiles: &'a Path,
    /// SHA-256 of files that are taken although they are not the published ones.
    pub trusted: &'a [FileHash],
}

/// What was brought in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Namespaces.
    pub namespaces: usize,
    /// Names.
    pub names: usize,
    /// Names that no rule would take.
    pub names_left_out: u64,
    /// Zone files that are in the archive now.
    pub zonefiles: u64,
    /// Zone files that no name has, that have not the hash they should have, or that are too large.
    pub zonefiles_left_out: u64,
    /// Whether both files are the published ones.
    pub published: bool,
}

/// Why nothing was brought in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file has another hash.
    #[error("the SHA-256 of {path} is {found}, and that of the published file is {published}: get the published one, or name this one's with --sha256 {found} if you trust it", path = .path.display())]
    OtherHash {
        /// Which.
        path: PathBuf,
        /// Its hash.
        found: FileHash,
        /// The published one.
        published: FileHash,
    },
    /// A file changed while it was read.
    #[error("{path} changed while it was read: try again", path = .path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// A line is not what it should be.
    #[error("{path}, line {line}: {fault}", path = .path.display())]
    Line {
        /// In which file.
        path: PathBuf,
        /// Its number, from 1 on.
        line: u64,
        /// What is wrong.
        fault: String,
    },
    /// The data directory cannot be written.
    #[error("cannot use {path}: {source}; check its permissions and the free space", path = .path.display())]
    Disk {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive cannot be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl LastState {
    /// The last state that a data directory has; an error if nobody wrote what is there.
    pub fn of(data_dir: &Path) -> io::Result<Option<Self>> {
        let path = data_dir.join(NOTE);
        let _ = make_private(&path); // it says nothing that is secret
        let file = match fs::File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        Ok(Some(serde_json::from_reader(file.take(NOTE_MAX))?))
    }

    /// Opens its database.
    pub fn open(&self, data_dir: &Path, cache_bytes: usize) -> Result<Store, OpenError> {
        let options = StoreOptions {
            cache_bytes,
            undo_depth: 0, // its one block is never undone
        };
        let params = last_state::params();
        let chain = ChainIdentity::new(NETWORK, &params);
        Store::open(&data_dir.join(self.directory()), &chain, options)
    }

    /// What names of it rest on, in one sentence without a full stop.
    pub fn rests_on(&self) -> String {
        let (one, other) = (self.chainstate, self.zonefiles);
        match self.is_published() {
            true => format!(
                "a published hash, not work: the export of the network's last state at block {HEIGHT} (SHA-256 {one} and {other})"
            ),
            false => format!(
                "hashes that whoever imported it named, not work: an export of the network's last state (SHA-256 {one} and {other}), which is not the published one"
            ),
        }
    }

    fn is_published(&self) -> bool {
        (self.chainstate, self.zonefiles) == (CHAINSTATE, ZONEFILES)
    }

    fn directory(&self) -> String {
        let both = [self.chainstate.as_bytes(), self.zonefiles.as_bytes()].concat();
        let [one, two, three, four, ..] = sha256(&both);
        format!("{NOTE}.{one:02x}{two:02x}{three:02x}{four:02x}")
    }
}

impl Import<'_> {
    /// Brings it in. `reached` is told how many zone files were read, and how many bytes of all.
    pub fn run(&self, reached: impl FnMut(u64, u64, u64)) -> Result<Imported, ImportError> {
        let state = LastState {
            chainstate: self.hash(self.chainstate, CHAINSTATE)?,
            zonefiles: self.hash(self.zonefiles, ZONEFILES)?,
        };
        let _lock = DirectoryLock::take(self.data_dir)?;
        let note = self.data_dir.join(NOTE);
        let before = LastState::of(self.data_dir).unwrap_or_default(); // one that cannot be read is replaced
        let (changes, names_left_out) = self.read_chainstate(&state)?;
        let (namespaces, names) = (changes.namespaces.len(), changes.names.len());
        let rows = changes.names.values();
        let wanted = rows.filter_map(|change| change.after.as_ref()?.value_hash);
        let wanted: HashSet<ZonefileHash> = wanted.collect();
        if before.as_ref() != Some(&state) {
            self.remove(|directory| directory == state.directory())?;
            write(&state, self.data_dir, changes)?;
        }
        let (zonefiles, zonefiles_left_out) = self.store_zonefiles(&state, &wanted, reached)?;
        let text = serde_json::to_vec(&state).map_err(io::Error::from);
        text.and_then(|text| disk::replace(&note, &text))
            .map_err(|source| ImportError::Disk { path: note, source })?;
        self.remove(|directory| directory != state.directory())?;
        Ok(Imported {
            namespaces,
            names,
            names_left_out,
            zonefiles,
            zonefiles_left_out,
            published: state.is_published(),
        })
    }

    /// The hash of a file, if it is the published one or one that is trusted.
    fn hash(&self, path: &Path, published: FileHash) -> Result<FileHash, ImportError> {
        let found = hash_of(path).map_err(unreadable(path))?;
        match found == published || self.trusted.contains(&found) {
            true => Ok(found),
            false => Err(ImportError::OtherHash {
                path: path.to_owned(),
                found,
                published,
            }),
        }
    }

    fn read_chainstate(&self, state: &LastState) -> Result<(Changes, u64), ImportError> {
        let path = self.chainstate;
        let mut lines = Lines::open(path, Chainstate::LINE_MAX).map_err(unreadable(path))?;
        let mut chainstate = Chainstate::default();
        let fault = |line, fault: Fault| wrong_line(path, line, fault.to_string());
        while let Some(line) = lines.next(path)? {
            let taken = chainstate.line(&line);
            taken.map_err(|error| fault(lines.number(), error))?;
        }
        self.require_same(path, lines.finish(), state.chainstate)?;
        let read = chainstate.finish();
        let read = read.map_err(|error| fault(lines.number(), error))?;
        Ok((read.changes, read.left_out))
    }

    /// Stores the zone files that names have; gives how many these are, and how many others there were.
    fn store_zonefiles(
        &self,
        state: &LastState,
        wanted: &HashSet<ZonefileHash>,
        mut reached: impl FnMut(u64, u64, u64),
    ) -> Result<(u64, u64), ImportError> {
        let path = self.zonefiles;
        let archive = Archive::open(self.archive)?;
        // An escaped line feed takes two bytes.
        let mut lines = Lines::open(path, 2 * ZONEFILE_MAX).map_err(unreadable(path))?;
        let all = lines.size();
        let (mut stored, mut left_out, mut batch) = (0, 0, Vec::new());
        while let Some(hash) = lines.next(path)? {
            let hash: ZonefileHash = hash.parse().map_err(|_| {
                wrong_line(
                    path,
                    lines.number(),
                    format!("{hash:?} is no zone file hash"),
                )
            })?;
            let Some(line) = lines.next(path)? else {
                let fault = "a zone file should follow".to_owned();
                return Err(wrong_line(path, lines.number(), fault));
            };
            let bytes = last_state::zonefile(&line);
            let fits = (1..=ZONEFILE_MAX).contains(&bytes.len());
            match fits && wanted.contains(&hash) && ZonefileHash::of(&bytes) == hash {
                true => batch.push(bytes),
                false => left_out += 1,
            }
            if batch.len() == BATCH {
                stored += archive.put_many(&batch)?.len() as u64;
                batch.clear();
                reached(stored + left_out, lines.at(), all);
            }
        }
        stored += archive.put_many(&batch)?.len() as u64;
        self.require_same(path, lines.finish(), state.zonefiles)?;
        Ok((stored, left_out))
    }

    fn require_same(
        &self,
        path: &Path,
        found: FileHash,
        expected: FileHash,
    ) -> Result<(), ImportError> {
        let path = path.to_owned();
        match found == expected {
            true => Ok(()),
            false => Err(ImportError::Changed { path }),
        }
    }

    /// Removes directories of last states.
    fn remove(&self, is_gone: impl Fn(&str) -> bool) -> Result<(), ImportError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ImportError::Disk { path, source }
        };
        for entry in fs::read_dir(self.data_dir).map_err(failed(self.data_dir))? {
            let path = entry.map_err(failed(self.data_dir))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.filter(|name| name.starts_with(&format!("{NOTE}.")));
            if path.is_dir() && name.is_some_and(&is_gone) {
                fs::remove_dir_all(&path).map_err(failed(&path))?;
            }
        }
        Ok(())
    }
}

/// Makes a new database with the one block that there is.
fn write(state: &LastState, data_dir: &Path, changes: Changes) -> Result<(), ImportError> {
    let store = state.open(data_dir, StoreOptions::DEFAULT_CACHE_BYTES)?;
    let block = CandidateBlock {
        height: HEIGHT,
        candidates: Vec::new(),
        about: BlockHeader {
            hash: BlockHash::all_zeros(),
            previous: BlockHash::all_zeros(),
            time: 0,
        },
    };
    let outcome = BlockOutcome::<Reject, Changes> {
        height: HEIGHT,
        decisions: Vec::new(),
        changes,
        snapshot: Snapshot {
            ops_hash: OpsHash([0; 32]),
            consensus_hash: ConsensusHash([0; 16]),
        },
    };
    Ok(store.write(|writer| writer.apply(&block, &outcome))?)
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> ImportError + use<> {
    let path = path.to_owned();
    move |source| ImportError::File {
        path: path.clone(),
        source,
    }
}

fn wrong_line(path: &Path, line: u64, fault: String) -> ImportError {
    let path = path.to_owned();
    ImportError::Line { path, line, fault }
}
