//! A directory in which records of subdomains wait until a zone file carries them.
//!
//! ```text
//! DIR/            record files of anybody who may write here; names that begin with a dot are left alone
//!   publishing/   those of the zone file that is under way, that zone file (.zone), and when the last one was done (.updated)
//!   done/         what is in force
//!   refused/      what the rules refuse, each with a file beside that says why (NAME.reason)
//! ```
//!
//! A file is only ever moved, and the zone file is written when all of its records are in `publishing`. So whoever starts
//! again after a crash finds each record in one place: without a zone file, what is in `publishing` goes back; with one, it
//! says what may have been announced. Nothing here knows keys or the chain.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::disk;
use crate::zonefile::ZONEFILE_MAX;

/// Keeps other processes away.
const LOCK: &str = ".lock";
/// The zone file that is under way.
const ZONE: &str = ".zone";
/// A file that was written when the last zone file had done its work.
const UPDATED: &str = ".updated";
/// Longest name of a file, in bytes: with all that is put behind it, it has less than 255.
const NAME_MAX: usize = 200;
/// What the name of the file has behind it that says why another one is refused.
const REASON: &str = ".reason";
/// Most files that are looked at in one go, and most bytes of them; the others come next time.
const FILES_MAX: usize = 10_000;
/// See [`FILES_MAX`].
const BYTES_MAX: usize = 8 << 20;
/// Whoever writes a file in place is done with it by then.
const SETTLED: Duration = Duration::from_secs(1);

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// A file cannot be read, written or moved.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process works on it.
    #[error("another registrar works on {}: stop it, or name another directory", .0.display())]
    Busy(PathBuf),
}

/// A directory of records.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    _lock: File,
}

/// A file with records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slip {
    /// Its name in the directory.
    pub name: OsString,
    /// Its bytes, or why they are of no use.
    pub bytes: Result<Vec<u8>, String>,
}

/// Where a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// With those that wait.
    Waiting,
    /// With those of the zone file that is under way.
    Publishing,
}

impl Spool {
    /// Opens a directory, or makes it for its owner alone, and keeps other processes away.
    pub fn open(directory: &Path) -> Result<Self, SpoolError> {
        for place in ["publishing", "done", "refused"].map(|name| directory.join(name)) {
            disk::create_directory(&place).map_err(at(&place))?;
        }
        let path = directory.join(LOCK);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.custom_flags(libc::O_NOFOLLOW).open(&path);
        let lock = lock.map_err(at(&path))?;
        let busy = |_| SpoolError::Busy(directory.to_owned());
        lock.try_lock().map_err(busy)?;
        Ok(Self {
            directory: directory.to_owned(),
            _lock: lock,
        })
    }

    /// The files in a place that nobody is writing to, the oldest first. One that waits under too long a name is passed over.
    pub fn slips(&self, place: Place) -> Result<Vec<Slip>, SpoolError> {
        let folder = self.folder(place);
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let entry = entry.map_err(at(&folder))?;
            let name = entry.file_name();
            // What has been taken away meanwhile is not there.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let is_settled =
                place == Place::Publishing || modified.elapsed().map_or(true, |age| age > SETTLED);
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            if place == Place::Waiting && name.len() > NAME_MAX {
                let path = folder.join(&name);
                tracing::warn!(
                    "{} is passed over: rename it, a name has at most {NAME_MAX} bytes",
                    path.display()
                );
                continue;
            }
            if metadata.is_file() && !is_hidden && is_settled {
                found.push((modified, name));
            }
            if found.len() == FILES_MAX {
                break;
            }
        }
        found.sort();
        let mut slips = Vec::new();
        let mut room = BYTES_MAX;
        for (_, name) in found {
            let bytes = match read(&folder.join(&name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read.map_err(|error| format!("it cannot be read: {error}")),
            };
            let bytes = bytes.and_then(|bytes| bytes.ok_or_else(too_large));
            let size = bytes.as_ref().map_or(0, Vec::len);
            if size > room {
                break;
            }
            room -= size;
            slips.push(Slip { name, bytes });
        }
        Ok(slips)
    }

    /// Moves files to those that are under way, then writes the zone file that carries them.
    pub fn take(&self, names: &[OsString], zonefile: &[u8]) -> Result<(), SpoolError> {
        for name in names {
            self.move_file(Place::Waiting, name, &self.folder(Place::Publishing))?;
        }
        self.sync()?;
        let path = self.zone();
        disk::replace(&path, zonefile).map_err(at(&path))
    }

    /// The zone file that is under way.
    pub fn zonefile(&self) -> Result<Option<Vec<u8>>, SpoolError> {
        let path = self.zone();
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).map_err(at(&path)),
        }
    }

    /// Gives up the zone file that is under way: its records wait again.
    pub fn give_back(&self) -> Result<(), SpoolError> {
        self.close()?;
        for slip in self.slips(Place::Publishing)? {
            self.move_file(Place::Publishing, &slip.name, &self.directory)?;
        }
        self.sync()
    }

    /// A file is in force.
    pub fn done(&self, place: Place, name: &OsStr) -> Result<(), SpoolError> {
        self.move_file(place, name, &self.directory.join("done"))?;
        self.sync()
    }

    /// A file is refused for a reason.
    pub fn refused(&self, place: Place, name: &OsStr, reason: &str) -> Result<(), SpoolError> {
        let folder = self.directory.join("refused");
        let to = free_with(&folder, name, &["", REASON]);
        let beside = behind(&to, REASON);
        disk::replace(&beside, format!("{reason}\n").as_bytes()).map_err(at(&beside))?;
        let from = self.folder(place).join(name);
        fs::rename(&from, &to).map_err(at(&from))?;
        self.sync()
    }

    /// The zone file that was under way has done its work.
    pub fn finish(&self) -> Result<(), SpoolError> {
        let path = self.updated();
        disk::replace(&path, b"").map_err(at(&path))?;
        self.close()
    }

    /// How much of a pause is left that began when the last zone file had done its work.
    pub fn rest(&self, pause: Duration) -> Duration {
        let updated = fs::metadata(self.updated()).and_then(|file| file.modified());
        // A clock that was put back makes it wait once more, not longer.
        let since = updated.map(|time| time.elapsed().unwrap_or(Duration::ZERO));
        since.map_or(Duration::ZERO, |since| pause.saturating_sub(since))
    }

    fn close(&self) -> Result<(), SpoolError> {
        let path = self.zone();
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed
                .and_then(|()| disk::sync_name(&path))
                .map_err(at(&path)),
        }
    }

    fn folder(&self, place: Place) -> PathBuf {
        match place {
            Place::Waiting => self.directory.clone(),
            Place::Publishing => self.directory.join("publishing"),
        }
    }

    fn zone(&self) -> PathBuf {
        self.folder(Place::Publishing).join(ZONE)
    }

    fn updated(&self) -> PathBuf {
        self.folder(Place::Publishing).join(UPDATED)
    }

    fn move_file(&self, from: Place, name: &OsStr, to: &Path) -> Result<(), SpoolError> {
        let from = self.folder(from).join(name);
        fs::rename(&from, free(to, name)).map_err(at(&from))
    }

    fn sync(&self) -> Result<(), SpoolError> {
        let folders = ["", "publishing", "done", "refused"].map(|name| self.directory.join(name));
        folders
            .iter()
            .try_for_each(|folder| disk::sync_directory(folder).map_err(at(folder)))
    }
}

/// A path in a folder at which nothing is yet: that of the name, or with a number behind it.
fn free(folder: &Path, name: &OsStr) -> PathBuf {
    free_with(folder, name, &[""])
}

/// The same, if nothing is either where these ends stand behind it.
fn free_with(folder: &Path, name: &OsStr, ends: &[&str]) -> PathBuf {
    let numbered = (1_u32..).map(|number| {
        let mut numbered = name.to_owned();
        numbered.push(format!(".{number}"));
        folder.join(numbered)
    });
    let mut paths = std::iter::once(folder.join(name)).chain(numbered);
    let is_free = |path: PathBuf| fs::symlink_metadata(path).is_err();
    let found = paths.find(|path| ends.iter().all(|end| is_free(behind(path, end))));
    found.unwrap_or_else(|| folder.join(name))
}

/// A path with something behind it.
fn behind(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

/// The bytes of a file that has no more than a zone file. Never follows a link and never waits for somebody to write: what
/// is at the path may be another thing than when it was looked at.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let mut bytes = Vec::new();
    file.take(ZONEFILE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= ZONEFILE_MAX).then_some(bytes))
}

fn too_large() -> String {
    format!("it has more than {ZONEFILE_MAX} bytes, which no zone file has room for")
}

fn at(path: &Path) -> impl Fn(io::Error) -> SpoolError + '_ {
    |source| SpoolError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, name: &str, text: &str) {
        let path = directory.join(name);
        fs::write(&path, text).expect("writable");
        let file = File::options().write(true).open(&path).expect("there");
        let before = SystemTime::now() - 2 * SETTLED;
        file.set_modified(before).expect("ours");
    }

    fn names(spool: &Spool, place: Place) -> Vec<String> {
        let slips = spool.slips(place).expect("readable");
        let mut names: Vec<_> = slips
            .into_iter()
            .filter_map(|slip| slip.name.into_string().ok())
            .collect();
        names.sort();
        names
    }

    fn taken(names: &[&str]) -> Vec<OsString> {
        names.iter().map(OsString::from).collect()
    }

    #[test]
    fn files_go_from_hand_to_hand_and_none_is_lost() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let directory = scratch.path().join("records");
        let spool = Spool::open(&directory).expect("a new directory");
        assert!(matches!(Spool::open(&directory), Err(SpoolError::Busy(_))));
        for name in ["a", "b", "c", ".hidden"] {
            write(&directory, name, name);
        }
        fs::write(directory.join("fresh"), "half").expect("writable");
        write(&directory, "large", &"x".repeat(ZONEFILE_MAX + 1));
        assert_eq!(names(&spool, Place::Waiting), ["a", "b", "c", "large"]);
        let large = spool.slips(Place::Waiting).expect("readable");
        assert!(large.iter().any(|slip| slip.bytes.is_err()));

        spool.take(&taken(&["a", "b"]), b"zone").expect("moved");
        assert_eq!(names(&spool, Place::Publishing), ["a", "b"]);
        assert_eq!(spool.zonefile().expect("readable"), Some(b"zone".to_vec()));
        spool.give_back().expect("moved");
        assert_eq!(names(&spool, Place::Waiting), ["a", "b", "c", "large"]);
        assert_eq!(spool.zonefile().expect("readable"), None);

        spool.take(&taken(&["a"]), b"zone").expect("moved");
        spool
            .done(Place::Publishing, OsStr::new("a"))
            .expect("moved");
        spool.close().expect("removed");
        write(&directory, "a", "another");
        spool.done(Place::Waiting, OsStr::new("a")).expect("moved");
        let done = |name: &str| fs::read_to_string(directory.join("done").join(name));
        assert_eq!(done("a").expect("there"), "a");
        assert_eq!(done("a.1").expect("there"), "another");

        let reason = "it has no valid signature";
        let refused = spool.refused(Place::Waiting, OsStr::new("b"), reason);
        refused.expect("moved");
        let beside = fs::read_to_string(directory.join("refused/b.reason"));
        assert_eq!(beside.expect("there"), format!("{reason}\n"));
        assert_eq!(names(&spool, Place::Waiting), ["c", "large"]);
    }

    #[test]
    fn names_that_are_too_long_are_passed_over_and_reasons_stay_apart() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let spool = Spool::open(scratch.path()).expect("a directory");
        let (fits, long) = ("f".repeat(NAME_MAX), "l".repeat(255));
        for name in [&fits, &long, "a", "a.reason"] {
            write(scratch.path(), name, name);
        }
        assert_eq!(names(&spool, Place::Waiting), ["a", "a.reason", &fits]);
        for name in ["a.reason", "a", &fits] {
            let refused = spool.refused(Place::Waiting, OsStr::new(name), "no record");
            refused.expect("moved");
        }
        let refused = |name: &str| fs::read_to_string(scratch.path().join("refused").join(name));
        assert_eq!(refused("a.reason").expect("there"), "a.reason");
        assert_eq!(refused("a.1").expect("there"), "a");
        for name in ["a.reason", "a.1", &fits] {
            let reason = refused(&format!("{name}.reason"));
            assert_eq!(reason.expect("there"), "no record\n");
        }
    }

    #[test]
    fn a_pause_goes_on_where_it_was() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let spool = Spool::open(scratch.path()).expect("a directory");
        let hour = Duration::from_secs(3_600);
        assert_eq!(spool.rest(hour), Duration::ZERO);
        spool.finish().expect("written");
        drop(spool);
        let spool = Spool::open(scratch.path()).expect("free again");
        assert!(spool.rest(hour) > hour / 2);
        let file = File::options().write(true).open(spool.updated());
        let set = |time: SystemTime| file.as_ref().expect("there").set_modified(time);
        set(SystemTime::now() - hour / 2).expect("ours");
        assert!(spool.rest(hour) <= hour / 2 && spool.rest(hour / 4).is_zero());
        set(SystemTime::now() + 9 * hour).expect("ours");
        assert_eq!(spool.rest(hour), hour);
    }

    #[test]
    fn a_crash_before_the_zone_file_leaves_what_goes_back() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let spool = Spool::open(scratch.path()).expect("a directory");
        write(scratch.path(), "a", "a");
        let from = scratch.path().join("a");
        fs::rename(from, scratch.path().join("publishing/a")).expect("ours");
        write(scratch.path(), "a", "a newer one");
        drop(spool);
        let spool = Spool::open(scratch.path()).expect("free again");
        assert_eq!(spool.zonefile().expect("readable"), None);
        spool.give_back().expect("moved");
        assert_eq!(names(&spool, Place::Waiting), ["a", "a.1"]);
    }
}
