//! What opens a key file: typed at a terminal, or read from a file. Never from an argument or a variable's
//! value, which other processes can read.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::termios::{SpecialCodeIndex, Termios};
use zeroize::Zeroizing;

use crate::disk::rights::{Exposed, check_secret};

use super::terminal::{self, Before, INTERRUPT, Silent};

/// Longest passphrase in bytes.
const LENGTH_MAX: u64 = 4_096;
/// Shortest for a new key; argon2id makes each guess cost a tenth of a second.
const LENGTH_MIN: usize = 8;

/// A passphrase; wiped when dropped, not shown by anything.
pub type Passphrase = Zeroizing<Vec<u8>>;

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// Nobody to ask.
    #[error(
        "there is no terminal to ask for the passphrase: name a file with --passphrase-file or BNSD_PASSPHRASE_FILE"
    )]
    NoTerminal,
    /// The file cannot be read.
    #[error("cannot read the passphrase in {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no secret.
    #[error("cannot use the passphrase in {}: {exposed}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Why not.
        exposed: Exposed,
    },
    /// Nothing was given.
    #[error("the passphrase is empty")]
    Empty,
    /// Too short for a new key.
    #[error("a passphrase has at least {LENGTH_MIN} bytes: take four or more random words")]
    Short,
    /// Ctrl-C at the terminal.
    #[error("interrupted at the passphrase: nothing was done")]
    Interrupted,
    /// The second did not repeat the first.
    #[error("the two passphrases differ: nothing was done")]
    Differ,
}

/// Where passphrases come from.
#[derive(Debug, Clone, Default)]
pub struct PassphraseSource {
    /// A file; the terminal if there is none.
    pub file: Option<PathBuf>,
}

impl PassphraseSource {
    /// The passphrase of an existing key.
    pub fn read(&self, prompt: &str) -> Result<Passphrase, PassphraseError> {
        let passphrase = match &self.file {
            Some(path) => from_file(path)?,
            None => ask(prompt)?,
        };
        if passphrase.is_empty() {
            return Err(PassphraseError::Empty);
        }
        Ok(passphrase)
    }

    /// The passphrase of a new key; at a terminal it is asked for twice.
    pub fn choose(&self, prompt: &str) -> Result<Passphrase, PassphraseError> {
        let passphrase = self.read(prompt)?;
        if passphrase.len() < LENGTH_MIN {
            return Err(PassphraseError::Short);
        }
        if self.file.is_none() && *ask("The same again: ")? != *passphrase {
            return Err(PassphraseError::Differ);
        }
        Ok(passphrase)
    }
}

/// The first line of a file that nobody else can read; a pipe will do.
fn from_file(path: &Path) -> Result<Passphrase, PassphraseError> {
    let failed = |source| PassphraseError::File {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_file() {
        check_secret(&metadata).map_err(|exposed| PassphraseError::Exposed {
            path: path.to_owned(),
            exposed,
        })?;
    }
    read_line(file, b"\n").map_err(failed)
}

/// Reads up to one of the ends, not a byte further.
fn read_line(from: impl io::Read, ends: &[u8]) -> io::Result<Passphrase> {
    let mut line = Zeroizing::new(Vec::with_capacity(LENGTH_MAX as usize + 1));
    for byte in BufReader::with_capacity(1, from.take(LENGTH_MAX)).bytes() {
        line.push(byte?);
        if line.last().is_some_and(|last| ends.contains(last)) {
            break;
        }
    }
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    Ok(line)
}

/// Asks at the terminal without showing what is typed.
fn ask(prompt: &str) -> Result<Passphrase, PassphraseError> {
    let path = Path::new(terminal::PATH);
    let terminal = OpenOptions::new().read(true).write(true).open(path);
    let mut terminal = terminal.map_err(|_| PassphraseError::NoTerminal)?;
    let by_line = |settings: &mut Termios| {
        settings.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
    };
    let hidden = Silent::begin(&terminal, Before::Forget, by_line);
    let hidden = hidden.map_err(|_| PassphraseError::NoTerminal)?;
    let failed = |source| PassphraseError::File {
        path: path.to_owned(),
        source,
    };
    write!(terminal, "{prompt}").map_err(failed)?;
    let line = read_line(&terminal, &[b'\n', INTERRUPT]);
    drop(hidden);
    let _ = writeln!(terminal); // the line end that was not shown
    let line = line.map_err(failed)?;
    if line.last() == Some(&INTERRUPT) {
        return Err(PassphraseError::Interrupted);
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_gives_its_first_line_if_nobody_else_can_read_it() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let path = scratch.path().join("passphrase");
        std::fs::write(&path, "correct horse\r\nsecond line\n").expect("writable");
        let source = PassphraseSource {
            file: Some(path.clone()),
        };
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
        mode(0o644).expect("ours");
        assert!(matches!(
            source.read(""),
            Err(PassphraseError::Exposed { .. })
        ));
        mode(0o600).expect("ours");
        assert_eq!(*source.choose("").expect("readable"), b"correct horse");
        std::fs::write(&path, "short\n").expect("writable");
        assert!(matches!(source.choose(""), Err(PassphraseError::Short)));
        std::fs::write(&path, "\n").expect("writable");
        assert!(matches!(source.read(""), Err(PassphraseError::Empty)));
    }
}
