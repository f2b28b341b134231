//! A running `bnsd demo`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::home::Home;
use super::process::{Process, until};

/// A running demo.
pub struct Demo {
    pub process: Process,
    pub server: SocketAddr,
    pub started: Instant,
    pub home: Home,
}

impl Demo {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_in(
            Path::new(env!("CARGO_MANIFEST_DIR")),
            Home::new(),
            arguments,
        )
    }

    pub fn start_in(directory: &Path, home: Home, arguments: &[&str]) -> Self {
        let mut command = home.bnsd(&["demo", "--listen", "127.0.0.1:0"]);
        command.args(arguments).current_dir(directory);
        Self::run(home, command)
    }

    /// Starts a command that is a demo.
    pub fn run(home: Home, command: Command) -> Self {
        let started = Instant::now();
        let mut process = Process::start(&home, command);
        let server = until("the demo to say where it answers", || {
            assert!(!process.has_ended(), "the demo ended: {}", process.stderr());
            announced(&process.stdout())
        });
        Self {
            process,
            server,
            started,
            home,
        }
    }
}

/// The address in "bnsd answers 26 names on 127.0.0.1:5300, registered ...".
fn announced(stdout: &str) -> Option<SocketAddr> {
    let (_, rest) = stdout.split_once(" names on ")?;
    rest.split_once(", ")?.0.parse().ok()
}
