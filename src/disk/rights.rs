//! Who may use files: what bnsd keeps is for its user alone, and a secret that it is given has to be one.
//!
//! A file gets its mode when it is made, whatever the umask is. One that was there before with more rights loses
//! them, and the log says so. One that belongs to another user is refused: that user can read and change it.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::create_directory;

/// The user who may read and change everything anyway.
const ROOT: u32 = 0;
/// What a group and everybody else may do with a file.
const OTHERS: u32 = 0o077;
/// The same without reading by a group: how a system gives the keys of root to a few services.
const OTHERS_BUT_READING_GROUP: u32 = 0o037;
/// Files in it can be removed by their owners alone: a directory for everybody, like `/tmp`.
const STICKY: u32 = 0o1000;

/// Why a secret may be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exposed {
    /// Its mode lets others read or change it.
    #[error(
        "others can read or change it: `chmod 600` it, and renew what it holds if somebody may have read it"
    )]
    Open,
    /// Its owner is this user.
    #[error("it belongs to user {0}: `chown` it to the user that bnsd runs as")]
    Foreign(u32),
}

/// Looks at a file that holds a secret. It has to be ours and closed to others; one of root may be readable by a group.
pub fn check_secret(metadata: &Metadata) -> Result<(), Exposed> {
    let others = match metadata.uid() {
        owner if owner == own_uid() => OTHERS,
        ROOT => OTHERS_BUT_READING_GROUP,
        owner => return Err(Exposed::Foreign(owner)),
    };
    if metadata.mode() & others == 0 {
        Ok(())
    } else {
        Err(Exposed::Open)
    }
}

/// The user that the program acts as.
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Opens a file of ours for reading and writing; makes it where it is missing.
pub fn open_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    make_private(path)?;
    Ok(file)
}

/// Makes a directory of ours and those above it for their owner alone, or makes the one that is there private.
pub fn open_directory(directory: &Path) -> io::Result<()> {
    create_directory(directory)?;
    make_private(directory)
}

/// The same for a directory that somebody names. One that others can enter is ours only if it is empty or holds one of
/// `marks`: a home or `/tmp` stays as it is, and is refused.
pub fn claim_directory(directory: &Path, marks: &[&str]) -> io::Result<()> {
    create_directory(directory)?;
    let mode = fs::metadata(directory)?.mode();
    let is_ours = || marks.iter().any(|mark| directory.join(mark).exists());
    if mode & STICKY != 0 || mode & OTHERS != 0 && !is_ours() && !is_empty(directory)? {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "others can enter it, and it holds files that are not of bnsd",
        ));
    }
    make_private(directory)
}

/// Takes the rights of others from a file or directory of ours, and says so in the log. Nothing there is no error.
pub fn make_private(path: &Path) -> io::Result<()> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    let before = metadata.mode() & 0o777;
    if take_rights(path, &metadata)? {
        let after = before & !OTHERS;
        tracing::warn!(
            "others had rights on {} (mode {before:03o}): it has mode {after:03o} now",
            path.display()
        );
    }
    Ok(())
}

/// Does the same with all that lies below a directory, following no symbolic link, until `go_on`, which is asked at
/// every directory, says no. Gives how many files and directories were changed.
pub fn make_all_private(directory: &Path, go_on: &mut impl FnMut() -> bool) -> io::Result<usize> {
    let mut changed = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if metadata.is_symlink() {
            continue;
        }
        changed += usize::from(take_rights(&entry.path(), &metadata)?);
        if metadata.is_dir() && go_on() {
            changed += make_all_private(&entry.path(), go_on)?;
        }
    }
    Ok(changed)
}

/// Whether there was something to take.
fn take_rights(path: &Path, metadata: &Metadata) -> io::Result<bool> {
    let owner = metadata.uid();
    if owner != own_uid() {
        let problem = format!(
            "it belongs to user {owner}; run bnsd as that user, or give it to this one (`chown -R`)"
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
    }
    let kept = if metadata.is_dir() { 0o700 } else { 0o600 };
    let is_open = metadata.mode() & OTHERS != 0;
    if is_open {
        let mode = Permissions::from_mode(metadata.mode() & kept);
        match fs::set_permissions(path, mode) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            changed => changed?,
        }
    }
    Ok(is_open)
}

fn is_empty(directory: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(directory)?.next().is_none())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").mode() & 0o7777
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
    }

    #[test]
    fn what_was_open_is_private_when_it_is_opened() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let (folder, file) = (scratch.path().join("folder"), scratch.path().join("file"));
        fs::create_dir(&folder).expect("a directory");
        fs::write(&file, "text").expect("a file");
        set(&folder, 0o2777);
        set(&file, 0o755);
        open_directory(&folder).expect("ours");
        open_private(&file).expect("ours");
        assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
        assert_eq!(fs::read_to_string(&file).expect("readable"), "text");
    }

    #[test]
    fn a_directory_of_somebody_else_is_not_claimed() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let folder = scratch.path();
        set(folder, 0o755);
        claim_directory(folder, &["lock"]).expect("it is empty");
        assert_eq!(mode(folder), 0o700);
        fs::write(folder.join("letter"), "").expect("a file");
        claim_directory(folder, &["lock"]).expect("it is private");
        set(folder, 0o755);
        claim_directory(folder, &["lock"]).expect_err("not ours");
        assert_eq!(mode(folder), 0o755);
        fs::write(folder.join("lock"), "").expect("a file");
        claim_directory(folder, &["lock"]).expect("ours by its mark");
        assert_eq!(mode(folder), 0o700);
        set(folder, 0o1777);
        claim_directory(folder, &["lock"]).expect_err("everybody's");
        assert_eq!(mode(folder), 0o1777);
    }

    #[test]
    fn all_below_is_made_private_and_links_are_not_followed() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let (inside, outside) = (
            scratch.path().join("inside"),
            scratch.path().join("outside"),
        );
        fs::create_dir_all(inside.join("deep")).expect("directories");
        fs::write(inside.join("deep/file"), "").expect("a file");
        fs::write(&outside, "").expect("a file");
        symlink(&outside, inside.join("link")).expect("a link");
        set(&inside.join("deep"), 0o755);
        set(&inside.join("deep/file"), 0o644);
        set(&outside, 0o644);
        let mend = || make_all_private(&inside, &mut || true).expect("ours");
        assert_eq!((mend(), mend()), (2, 0));
        assert_eq!(mode(&inside.join("deep/file")), 0o600);
        assert_eq!(mode(&outside), 0o644);
    }

    #[test]
    fn a_secret_is_ours_and_closed_to_others() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let file = scratch.path().join("file");
        fs::write(&file, "").expect("a file");
        let check = || check_secret(&fs::metadata(&file).expect("it is there"));
        for (bits, expected) in [
            (0o600, Ok(())),
            (0o400, Ok(())),
            (0o640, Err(Exposed::Open)),
            (0o604, Err(Exposed::Open)),
            (0o620, Err(Exposed::Open)),
        ] {
            set(&file, bits);
            assert_eq!(check(), expected, "{bits:o}");
        }
        set(&file, 0o600);
        // Only root can give files away; others cannot get into this situation in a test.
        if std::os::unix::fs::chown(&file, Some(12_345), None).is_ok() {
            assert_eq!(check(), Err(Exposed::Foreign(12_345)));
            make_private(&file).expect_err("not ours");
            open_private(&file).expect_err("not ours");
        }
    }
}
