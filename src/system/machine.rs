//! The system that is changed: this machine, or the tree of an image.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process;

use rustix::fs::{Access, access};

use super::Command;
use super::error::{Result, SystemError};

/// Where the journal of system DNS is.
const JOURNAL: &str = "var/lib/bnsd-system";
/// Links that are followed on the way to a file.
const LINKS_MAX: usize = 8;

/// A system below its root directory.
#[derive(Debug, Clone)]
pub struct Machine {
    root: PathBuf,
    journal: &'static str,
}

impl Machine {
    /// The system whose root directory is `root`.
    pub fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            journal: JOURNAL,
        }
    }

    /// The same with another directory for the journal, for what is installed and taken back by itself.
    #[must_use]
    pub fn with_journal(self, journal: &'static str) -> Self {
        Self { journal, ..self }
    }

    /// The directory of the journal.
    pub(super) fn journal(&self) -> PathBuf {
        self.path(self.journal)
    }

    /// Whether it is this machine: only then commands are run.
    pub fn is_this(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Its root directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path of the system, given without its first slash.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside)
    }

    /// Whether something is there.
    pub(super) fn has(&self, inside: &str) -> bool {
        self.path(inside).symlink_metadata().is_ok()
    }

    /// The text of a file, links followed inside of the system; empty where there is none.
    pub(super) fn text(&self, inside: &str) -> String {
        let bytes = fs::read(self.real(inside)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Where the link at a path leads, from the system's own root; empty where there is none.
    pub(super) fn link(&self, inside: &str) -> PathBuf {
        let target = fs::read_link(self.path(inside)).unwrap_or_default();
        match target.strip_prefix("/") {
            Ok(absolute) => absolute.to_owned(),
            Err(_) => {
                let beside = Path::new(inside).parent().unwrap_or(Path::new(""));
                normal(&beside.join(target))
            }
        }
    }

    fn real(&self, inside: &str) -> PathBuf {
        let mut at = inside.to_owned();
        for _ in 0..LINKS_MAX {
            if !self.path(&at).is_symlink() {
                break;
            }
            at = self.link(&at).display().to_string();
        }
        self.path(&at)
    }

    /// Runs a command on this machine; an image's are run when it starts.
    pub(super) fn run(&self, command: &Command) -> Result<()> {
        let [program, arguments @ ..] = command.as_slice() else {
            return Ok(());
        };
        if !self.is_this() {
            return Ok(());
        }
        let failed = |reason: String| SystemError::Command {
            command: command.join(" "),
            reason,
        };
        let output = process::Command::new(program)
            .args(arguments)
            .stdin(process::Stdio::null())
            .output();
        let output = output.map_err(|error| failed(error.to_string()))?;
        match output.status.success() {
            true => Ok(()),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(failed(format!("{}, {}", output.status, said.trim())))
            }
        }
    }
}

/// The path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                parts.pop();
            }
            Component::Normal(part) => parts.push(part),
            _ => {}
        }
    }
    parts
}

/// Whether the system lets us write at a path: neither rights nor a read-only file system nor an immutable file stand
/// against it (access(2)).
pub(super) fn check_writable(path: &Path) -> io::Result<()> {
    Ok(access(path, Access::WRITE_OK)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_inside_of_the_system() {
        let root = tempfile::tempdir().expect("a scratch directory");
        let machine = Machine::at(root.path());
        for directory in ["etc", "run/systemd/resolve"] {
            fs::create_dir_all(machine.path(directory)).expect("a directory");
        }
        let stub = "run/systemd/resolve/stub-resolv.conf";
        fs::write(machine.path(stub), "nameserver 127.0.0.53\n").expect("a file");
        for target in [format!("/{stub}"), format!("../{stub}")] {
            let link = machine.path("etc/resolv.conf");
            let _ = fs::remove_file(&link);
            symlink(&target, &link).expect("a link");
            assert_eq!(machine.link("etc/resolv.conf"), Path::new(stub));
            assert_eq!(machine.text("etc/resolv.conf"), "nameserver 127.0.0.53\n");
        }
        assert!(!machine.is_this() && Machine::at(Path::new("/")).is_this());
    }
}
