//! A home of its own for every test: nothing of the machine's user is seen or touched.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// An empty home directory, removed at the end.
pub struct Home {
    directory: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Home {
    /// Paths of unix sockets have at most 108 bytes: it stays close to the root.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("bnsd-").tempdir();
        Self {
            directory: directory.expect("a scratch directory"),
        }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A new directory in it.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(&path).expect("a directory in the scratch directory");
        path
    }

    /// Where a `bnsd serve` without configuration keeps its data.
    pub fn state(&self) -> PathBuf {
        self.path().join(".local/state/bnsd")
    }

    /// The program in this home, started in the project's directory.
    pub fn bnsd(&self, arguments: &[&str]) -> Command {
        self.command(env!("CARGO_BIN_EXE_bnsd"), arguments)
    }

    /// Any program in this home.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        ended(&mut self.bnsd(arguments))
    }
}

/// Runs a command to its end.
pub fn ended(command: &mut Command) -> Ended {
    let output = command.output().expect("the program can be started");
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Exit code, one sentence on the standard error with all of `parts`, nothing on the standard output.
pub fn is_one_sentence(ended: &Ended, code: i32, parts: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{ended:?}");
    let line = ended.stderr.strip_suffix('\n').expect("a line");
    assert!(
        line.starts_with("error: ") && !line.contains('\n'),
        "{ended:?}"
    );
    for part in parts {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
}
