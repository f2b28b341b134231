//! A running program, ended at the latest when the test is.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use bnsd::api::client;
use bnsd::api::message::{Reply, Request};
use bnsd::api::status::{StatusReply, StatusRequest};

use super::home::Home;

/// Longest wait for anything: far above what a busy machine needs.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until `condition` gives something.
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A program that runs beside the test; killed when dropped.
pub struct Process {
    child: Child,
    output: PathBuf,
}

impl Process {
    /// Starts it; what it says goes to files in `home`.
    pub fn start(home: &Home, mut command: Command) -> Self {
        let (_, output) = tempfile::Builder::new()
            .prefix("output-")
            .tempfile_in(home.path())
            .and_then(|file| file.keep().map_err(|error| error.error))
            .expect("a file in the scratch directory");
        let stderr = File::create(output.with_extension("log")).expect("a file");
        let child = command
            .stdout(File::create(&output).expect("a file"))
            .stderr(stderr)
            .spawn();
        Self {
            child: child.expect("the program can be started"),
            output,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far.
    pub fn stdout(&self) -> String {
        read(&self.output)
    }

    /// What it logged so far.
    pub fn stderr(&self) -> String {
        read(&self.output.with_extension("log"))
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Its exit code, if it has ended by itself.
    pub fn code(&mut self) -> Option<i32> {
        self.child.try_wait().ok()??.code()
    }

    /// Ends it by SIGKILL: it can do nothing about it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends it by SIGTERM, as a service manager does.
    pub fn terminate(&mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.expect("kill can be started").success());
        until("the program to end", || {
            self.child.try_wait().ok().flatten()
        })
    }

    /// Its status as soon as it answers on the control socket.
    pub fn ready(&mut self, socket: &Path) -> StatusReply {
        until("the control socket to answer", || {
            assert!(!self.has_ended(), "it ended: {}", self.stderr());
            status(socket)
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A `bnsd serve` on a free port and without the HTTP API, whose port many tests would want at the same time, with
/// `environment` on top.
pub fn serve(home: &Home, environment: &[(&str, &str)]) -> Process {
    let mut command = home.bnsd(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("BNSD_API_LISTEN", "none");
    command.env("BNSD_ATLAS_LISTEN", "none");
    command.envs(environment.iter().copied());
    Process::start(home, command)
}

/// Whether the program ended by itself rather than by a signal.
pub fn ended_by_itself(status: ExitStatus) -> bool {
    status.signal().is_none()
}

/// What a daemon says about itself.
pub fn status(socket: &Path) -> Option<StatusReply> {
    match ask(socket, &Request::Status(StatusRequest::default()))? {
        Reply::Status(status) => Some(*status),
        other => panic!("no status: {other:?}"),
    }
}

/// Asks a daemon over its control socket; `None` if nobody listens.
pub fn ask(socket: &Path, request: &Request) -> Option<Reply> {
    client::ask(&[socket.to_owned()], request).ok()
}

/// The first address on which DNS is served.
pub fn listener(status: &StatusReply) -> SocketAddr {
    let first = status.listeners.first().expect("a listener");
    first.parse().expect("an address")
}

fn read(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
