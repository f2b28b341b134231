//! The file of the control socket: who may use it, and what happens to one that is there already.
//!
//! A socket file takes its mode from the umask when it is bound, and changing it afterwards leaves a moment
//! in which others can connect. So it is bound inside a fresh directory that only the owner can enter, gets
//! its mode there, and is then renamed to its place, which also replaces the file of a dead daemon in
//! one step. Renaming never follows a symbolic link. Two daemons that start in the same moment are kept
//! apart by the lock on the data directory, not here.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Why there is no control socket. Every message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A daemon answers there.
    #[error(
        "another bnsd is running with the control socket {}: stop it, or choose another with --control-socket",
        .0.display()
    )]
    InUse(PathBuf),
    /// Something else is there: a file, a directory, a symbolic link.
    #[error(
        "{} is there and is no socket: move it away, or choose another with --control-socket",
        .0.display()
    )]
    NotASocket(PathBuf),
    /// Longer than the system's socket addresses.
    #[error(
        "the path of the control socket {} is longer than the {PATH_MAX} bytes that are possible: \
         choose a shorter one with --control-socket",
        .0.display()
    )]
    TooLong(PathBuf),
    /// The system refuses.
    #[error("cannot make the control socket {}: {source}; choose another with --control-socket", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Longest path of a socket in bytes: `sun_path` has 104 on macOS and 108 on Linux, the last of them zero;
/// the smaller one applies everywhere, so that a configuration works on both.
const PATH_MAX: usize = 103;

/// Makes the socket with mode 0600, and its directory with mode 0700 if that is not there. Gives the listener, and the
/// guard that removes the file at the end.
pub(super) fn bind(path: &Path) -> Result<(UnixListener, SocketFile), BindError> {
    check_length(path)?;
    check_vacant(path)?;
    let io = |source| BindError::Io {
        path: path.to_owned(),
        source,
    };
    let directory = path.parent().unwrap_or(Path::new("/"));
    create_private(directory, true).map_err(io)?;
    let listener = bind_private(directory, path).map_err(io)?;
    let file = SocketFile::of(path).map_err(io)?;
    Ok((listener, file))
}

/// The same in that directory for every user (mode 0666); whoever accepts looks at who is there.
pub fn bind_for_all(path: &Path) -> Result<(UnixListener, SocketFile), BindError> {
    let (listener, file) = bind(path)?;
    let io = |source| BindError::Io {
        path: path.to_owned(),
        source,
    };
    fs::set_permissions(path, Permissions::from_mode(0o666)).map_err(io)?;
    listener.set_nonblocking(true).map_err(io)?;
    Ok((listener, file))
}

/// Removes the file of a socket on drop, unless another daemon has put its own there meanwhile.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let identity = identity(path)?;
        let path = path.to_owned();
        Ok(Self { path, identity })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = fs::remove_file(&self.path); // a file that stays is replaced by the next daemon
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn check_length(path: &Path) -> Result<(), BindError> {
    if staging(path.parent().unwrap_or(Path::new("/")))
        .join(STAGED)
        .as_os_str()
        .len()
        .max(path.as_os_str().len())
        > PATH_MAX
    {
        return Err(BindError::TooLong(path.to_owned()));
    }
    Ok(())
}

fn check_vacant(path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(BindError::Io {
            path: path.to_owned(),
            source,
        }),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Err(BindError::NotASocket(path.to_owned()))
        }
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            _ => Err(BindError::InUse(path.to_owned())),
        },
    }
}

/// Name of the socket while it is being made.
const STAGED: &str = "s";

fn staging(directory: &Path) -> PathBuf {
    directory.join(format!(".bnsd-{}", std::process::id()))
}

fn create_private(directory: &Path, recursive: bool) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.mode(0o700).recursive(recursive).create(directory)
}

fn bind_private(directory: &Path, path: &Path) -> io::Result<UnixListener> {
    let staging = staging(directory);
    let staged = staging.join(STAGED);
    let _ = fs::remove_file(&staged); // left over from a process that was killed and had our number
    let _ = fs::remove_dir(&staging);
    create_private(&staging, false)?;
    let listener = UnixListener::bind(&staged).and_then(|listener| {
        fs::set_permissions(&staged, Permissions::from_mode(0o600))?;
        fs::rename(&staged, path)?;
        Ok(listener)
    });
    let _ = fs::remove_file(&staged);
    let _ = fs::remove_dir(&staging);
    listener
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> tempfile::TempDir {
        tempfile::tempdir().expect("a scratch directory")
    }

    fn mode(path: &Path) -> u32 {
        let metadata = fs::symlink_metadata(path).expect("a file");
        metadata.permissions().mode() & 0o777
    }

    #[test]
    fn the_socket_and_its_new_directory_belong_to_the_owner_alone() {
        let scratch = scratch();
        let path = scratch.path().join("run/bnsd/control.sock");
        let socket = bind(&path).expect("a socket");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("a directory")), 0o700);
        let beside = fs::read_dir(scratch.path().join("run/bnsd")).expect("a directory");
        assert_eq!(beside.count(), 1, "nothing is left over");
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_daemons_socket_is_replaced_and_a_living_ones_is_not() {
        let scratch = scratch();
        let path = scratch.path().join("control.sock");
        let (listener, file) = bind(&path).expect("a socket");
        let second = bind(&path);
        assert!(matches!(second, Err(BindError::InUse(_))));
        drop(listener); // the process dies, its file stays
        let second = bind(&path).expect("the place of a dead daemon");
        drop(file);
        assert!(
            path.exists(),
            "the first does not remove the file of the second"
        );
        drop(second);
    }

    #[test]
    fn files_and_symbolic_links_are_left_alone() {
        let scratch = scratch();
        let file = scratch.path().join("file");
        fs::write(&file, "precious").expect("a file");
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        for path in [&file, &link] {
            let refused = bind(path);
            assert!(matches!(refused, Err(BindError::NotASocket(_))));
        }
        assert_eq!(fs::read_to_string(&file).expect("a file"), "precious");
    }

    #[test]
    fn a_path_that_is_too_long_says_so() {
        let path = PathBuf::from(format!("/tmp/{}/control.sock", "x".repeat(100)));
        let message = bind(&path).expect_err("too long").to_string();
        assert!(message.contains("--control-socket"), "{message}");
    }
}
