//! What is at a path, as far as it has to be put back: bytes, owner, mode, link.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{
    MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown, lchown, symlink,
};
use std::path::{Path, PathBuf};

use bitcoin::base64::Engine as _;
use bitcoin::base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::disk;

/// The bits of a mode that are kept.
const MODE: u32 = 0o7777;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Entry {
    /// Nothing.
    Absent {},
    /// A file.
    File {
        /// What is in it, in base64.
        #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
        bytes: Vec<u8>,
        /// Its mode.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it leads.
        target: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// A directory; what is in it stands elsewhere.
    Directory {},
}

impl Entry {
    /// What is at `path`. Fails on devices, sockets and pipes.
    pub fn read(path: &Path) -> io::Result<Self> {
        let metadata = match path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::Absent {}),
            metadata => metadata?,
        };
        let (uid, gid) = (metadata.uid(), metadata.gid());
        let kind = metadata.file_type();
        if kind.is_symlink() {
            let target = fs::read_link(path)?;
            return Ok(Self::Link { target, uid, gid });
        }
        if kind.is_dir() {
            return Ok(Self::Directory {});
        }
        if !kind.is_file() {
            return Err(io::Error::other("it is neither a file nor a link"));
        }
        Ok(Self::File {
            bytes: fs::read(path)?,
            mode: metadata.mode() & MODE,
            uid,
            gid,
        })
    }

    /// Puts it at `path`, whole or not at all. A directory that is to be absent stays if something is in it.
    pub fn put(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Absent {} => remove(path),
            Self::File {
                bytes,
                mode,
                uid,
                gid,
            } => {
                let beside = beside(path);
                write(&beside, bytes, *mode, (*uid, *gid))?;
                disk::rename(&beside, path)
            }
            Self::Link { target, uid, gid } => {
                let beside = beside(path);
                symlink(target, &beside)?;
                lchown(&beside, Some(*uid), Some(*gid))?;
                disk::rename(&beside, path)
            }
            Self::Directory {} => {
                fs::create_dir(path)?;
                fs::set_permissions(path, Permissions::from_mode(0o755))?;
                disk::sync_name(path)
            }
        }
    }

    /// The lines of a file, for people.
    pub fn text(&self) -> String {
        match self {
            Self::Absent {} | Self::Directory {} => String::new(),
            Self::File { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
            Self::Link { target, .. } => format!("link to {}\n", target.display()),
        }
    }
}

/// Removes what a crash left of a change at `path`.
pub fn sweep(path: &Path) -> io::Result<()> {
    match fs::remove_file(beside(path)) {
        Err(error) if !is_absence(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Where something is made before it gets its place. Programs that read a directory of `*.conf` pass it over.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".bnsd-new");
    name.into()
}

fn write(path: &Path, bytes: &[u8], mode: u32, (uid, gid): (u32, u32)) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    fchown(&file, Some(uid), Some(gid))?;
    file.set_permissions(Permissions::from_mode(mode))?; // after the owner: chown(2) takes bits away
    file.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => disk::sync_name(path),
        Err(error) if is_absence(&error) => Ok(()),
        // Somebody else uses it by now.
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = BASE64_STANDARD.decode(text);
    bytes.map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_was_there_is_put_back() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let path = scratch.path().join("file");
        let made = fs::metadata(scratch.path()).expect("it");
        let (uid, gid) = (made.uid(), made.gid());
        let file = Entry::File {
            bytes: b"no \xff text".to_vec(),
            mode: 0o4640,
            uid,
            gid,
        };
        let link = Entry::Link {
            target: "../nowhere".into(),
            uid,
            gid,
        };
        for entry in [&file, &link, &Entry::Absent {}, &link, &file] {
            let kept = serde_json::to_string(entry).expect("JSON");
            let entry: Entry = serde_json::from_str(&kept).expect("an entry");
            entry.put(&path).expect("it can be put there");
            assert_eq!(Entry::read(&path).expect("readable"), entry);
        }
        fs::write(beside(&path), "left by a crash").expect("a file");
        sweep(&path).expect("it can be removed");
        sweep(&path.join("below")).expect("nothing is there");
        assert_eq!(fs::read_dir(scratch.path()).expect("it").count(), 1);
    }

    #[test]
    fn a_directory_goes_when_nobody_else_uses_it() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let path = scratch.path().join("conf.d");
        Entry::Directory {}.put(&path).expect("a directory");
        fs::write(path.join("other"), "").expect("a file");
        Entry::Absent {}.put(&path).expect("left alone");
        assert_eq!(Entry::read(&path).expect("it"), Entry::Directory {});
        fs::remove_file(path.join("other")).expect("gone");
        Entry::Absent {}.put(&path).expect("removed");
        assert_eq!(Entry::read(&path).expect("nothing"), Entry::Absent {});
    }
}
