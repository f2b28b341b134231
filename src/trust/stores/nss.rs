//! A database of NSS, as `certutil` of the same project changes it.
//!
//! Nobody else knows its format, and it locks itself against a browser that runs. Certificates are given over the standard
//! input; the file of passwords is empty, so that nobody is asked: a database with a password is an error.

use std::io::{self, ErrorKind, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::StoreError;
use crate::worker;

/// The program.
const CERTUTIL: &str = "certutil";
/// How long it may take: it waits for a browser that writes, and a home may be far away.
const PATIENCE: Duration = Duration::from_secs(30);
/// The signal that ends a program at once (signal(7)).
const KILLED: i32 = 9;
/// The files of a database; the first is there if there is one.
pub(super) const FILES: [&str; 3] = ["cert9.db", "key4.db", "pkcs11.txt"];

/// How a certificate is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// As an authority for servers.
    Trusted,
    /// Not at all: it helps to find the way to an authority.
    Known,
}

impl Mark {
    fn flags(self) -> &'static str {
        match self {
            Self::Trusted => "C,,",
            Self::Known => ",,",
        }
    }
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Database(pub(super) PathBuf);

impl Database {
    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.file().is_file()
    }

    /// The file with the certificates.
    pub fn file(&self) -> PathBuf {
        self.0.join(FILES[0])
    }

    /// Makes an empty one, without a password.
    pub fn make(&self) -> Result<(), StoreError> {
        self.run(&["-N", "--empty-password"], None).map(drop)
    }

    /// The nicknames of all certificates.
    pub fn nicknames(&self) -> Result<Vec<String>, StoreError> {
        // Nicknames may have spaces; the column of marks has none.
        let listed = self.run(&["-L"], None)?;
        let rows = listed
            .lines()
            .filter_map(|line| line.trim_end().rsplit_once(' '));
        let rows = rows.filter(|(_, marks)| marks.matches(',').count() == 2);
        Ok(rows
            .map(|(nickname, _)| nickname.trim().to_owned())
            .collect())
    }

    /// Puts a certificate there.
    pub fn put(&self, nickname: &str, mark: Mark, pem: &str) -> Result<(), StoreError> {
        let words = ["-A", "-a", "-n", nickname, "-t", mark.flags()];
        self.run(&words, Some(pem)).map(drop)
    }

    /// Takes a certificate of a nickname that is there away.
    pub fn take(&self, nickname: &str) -> Result<(), StoreError> {
        self.run(&["-D", "-n", nickname], None).map(drop)
    }

    fn run(&self, words: &[&str], input: Option<&str>) -> Result<String, StoreError> {
        let failed = |reason: String| StoreError::Certutil {
            database: self.0.clone(),
            reason,
        };
        let output = end(&mut self.command(words), input, PATIENCE);
        let output = output.map_err(|error| match error.kind() {
            ErrorKind::NotFound => StoreError::NoCertutil,
            _ => failed(error.to_string()),
        })?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(failed(said.trim().to_owned()))
            }
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(CERTUTIL);
        command.args(words).arg("-d").arg(prefixed(&self.0));
        if words.first() != Some(&"-N") {
            command.args(["-f", "/dev/null"]);
        }
        command
    }
}

/// Runs a program with this input to its end. One that takes longer than `patience` is killed, which is an error.
fn end(command: &mut Command, input: Option<&str>, patience: Duration) -> io::Result<Output> {
    let stdin = match input {
        Some(_) => Stdio::piped(),
        None => Stdio::null(),
    };
    command.stdin(stdin).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn()?;
    let number = Pid::from_child(&child);
    let (ended, end) = channel::<()>();
    let watch = worker::thread("certutil's end", move || {
        let is_late = end.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
        if is_late {
            let _ = kill_process(number, Signal::KILL); // it may have ended just now
        }
    })?;
    if let (Some(mut stdin), Some(text)) = (child.stdin.take(), input) {
        let _ = stdin.write_all(text.as_bytes()); // it says itself what it lacks
    }
    let output = child.wait_with_output();
    drop(ended);
    let _ = watch.join();
    let output = output?;
    match output.status.signal() {
        Some(KILLED) => Err(io::Error::new(
            ErrorKind::TimedOut,
            "it did not end: see whether another program holds the database",
        )),
        _ => Ok(output),
    }
}

/// The directory, with the format of the database.
fn prefixed(directory: &Path) -> std::ffi::OsString {
    let mut name = std::ffi::OsString::from("sql:");
    name.push(directory);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_ended() {
        let short = Duration::from_millis(50);
        let late = end(Command::new("sleep").arg("600"), None, short);
        assert_eq!(late.expect_err("killed").kind(), ErrorKind::TimedOut);
        let copied = end(&mut Command::new("cat"), Some("text"), PATIENCE);
        assert_eq!(copied.expect("it ended").stdout, b"text");
    }
}
