//! Why system DNS was not changed.

use std::io;
use std::path::{Path, PathBuf};

/// Why system DNS was not changed. Every message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// The mechanism cannot do what is wished.
    #[error("{0}; nothing was changed")]
    Refused(String),
    /// Somebody else changed what we wrote.
    #[error(
        "{} was changed since it was installed: look at it, and give --force to overwrite it; nothing was changed",
        .0.display()
    )]
    Changed(PathBuf),
    /// Another command is at work.
    #[error(
        "another `bnsd system` or `bnsd tls` command is changing the system: wait until it has ended"
    )]
    Locked,
    /// A path cannot be written to.
    #[error("cannot change {}: {source}{}; nothing was changed", path.display(), hint(source))]
    NotWritable {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A path cannot be used.
    #[error("cannot use {}: {source}{}", path.display(), hint(source))]
    File {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The journal makes no sense.
    #[error(
        "cannot read the journal {}: {reason}; it says what has to be put back, so repair it from a copy", path.display()
    )]
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A command failed.
    #[error("`{command}` failed: {reason}")]
    Command {
        /// The command.
        command: String,
        /// What it or the system said.
        reason: String,
    },
    /// It failed in between, and what was done was taken back.
    #[error("{0}; what was changed before that is as it was")]
    TakenBack(Box<Self>),
    /// It failed in between, and so did taking it back.
    #[error("{0}; taking it back failed too ({1}): uninstall it")]
    HalfDone(Box<Self>, Box<Self>),
}

/// What this room returns.
pub type Result<T> = std::result::Result<T, SystemError>;

impl SystemError {
    /// What the system says about a path.
    pub(super) fn file(path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        |source| Self::File {
            path: path.to_owned(),
            source,
        }
    }

    /// Whether the answer is no, rather than that something went wrong.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Changed(_))
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EACCES) => " (run it as root)",
        Some(libc::EPERM) => " (run it as root; see `lsattr` whether it is immutable)",
        Some(libc::EROFS) => " (remount it for writing)",
        Some(libc::EBUSY | libc::EXDEV) => {
            " (a container mounts it: change it where the container is made)"
        }
        _ => "",
    }
}
