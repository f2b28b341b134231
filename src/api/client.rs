//! The asking side of the control socket, blocking, for commands that ask once and end.

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ask::Ask;
use super::message::{self, MessageError, REPLY_MAX, Reply, Request};
use crate::disk::rights::own_uid;
use crate::wallet::task::state::StateError;

/// How long the daemon may take; a little longer than it takes itself before it gives up.
const PATIENCE: Duration = Duration::from_secs(40);

/// Why there is no reply. Every message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no bnsd is running with the control socket {}: start it with `bnsd serve` or `bnsd demo`, \
         or name another with --control-socket",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// The socket belongs to somebody else.
    #[error(
        "the control socket {} belongs to another user: run the command as that user or as root",
        .0.display()
    )]
    NotOurs(PathBuf),
    /// The connection broke.
    #[error("the daemon at {} did not reply ({source}): see its log", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The reply makes no sense.
    #[error("cannot read the reply of the daemon at {}: {source}", path.display())]
    Message {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        source: MessageError,
    },
}

/// Asks the first daemon that listens on one of some sockets, with a connection for each request.
#[derive(Debug, Clone)]
pub struct Client {
    sockets: Vec<PathBuf>,
    patience: Duration,
}

impl Client {
    /// Nobody is asked yet; there is at least one socket.
    pub fn new(sockets: Vec<PathBuf>) -> Self {
        Self {
            sockets,
            patience: PATIENCE,
        }
    }

    /// The same, for somebody who waits no longer than this.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The reply, or why there is none.
    pub fn attempt(&self, request: &Request) -> Result<Reply, ClientError> {
        ask_within(&self.sockets, request, self.patience)
    }
}

impl Ask for Client {
    fn exchange(&self, request: &Request) -> Result<Reply, StateError> {
        self.attempt(request)
            .map_err(|error| StateError::Trouble(error.to_string()))
    }
}

/// Asks the first daemon that listens on one of `sockets`, of which there is at least one.
pub fn ask(sockets: &[PathBuf], request: &Request) -> Result<Reply, ClientError> {
    ask_within(sockets, request, PATIENCE)
}

fn ask_within(
    sockets: &[PathBuf],
    request: &Request,
    patience: Duration,
) -> Result<Reply, ClientError> {
    let (stream, path) = connect(sockets)?;
    let line = exchange(stream, request, patience).map_err(|source| ClientError::Io {
        path: path.to_owned(),
        source,
    })?;
    message::decode(&line).map_err(|source| ClientError::Message {
        path: path.to_owned(),
        source,
    })
}

fn connect(sockets: &[PathBuf]) -> Result<(UnixStream, &Path), ClientError> {
    let mut refused = None;
    for path in sockets {
        match UnixStream::connect(path) {
            Ok(stream) if is_trusted(path) => return Ok((stream, path)),
            Ok(_) => refused = Some(path),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => refused = Some(path),
            Err(_) => {}
        }
    }
    Err(match refused {
        Some(path) => ClientError::NotOurs(path.clone()),
        None => ClientError::NotRunning(sockets.first().cloned().unwrap_or_default()),
    })
}

/// Whether the one who made the socket may tell us things: ourselves or root; root believes everybody whose
/// socket it names.
fn is_trusted(path: &Path) -> bool {
    let ours = own_uid();
    let owner = fs::symlink_metadata(path).map(|metadata| metadata.uid());
    ours == 0 || owner.is_ok_and(|uid| uid == 0 || uid == ours)
}

fn exchange(mut stream: UnixStream, request: &Request, patience: Duration) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    // A daemon that refuses a long line closes before all of it is sent; its reply is there nevertheless.
    let sent = stream.write_all(&message::encode(request));
    let mut line = Vec::new();
    let mut bounded = BufReader::new(stream.take(REPLY_MAX as u64));
    match bounded.read_until(b'\n', &mut line) {
        Ok(_) if line.ends_with(b"\n") => Ok(line),
        Ok(_) => Err(sent
            .err()
            .unwrap_or_else(|| ErrorKind::UnexpectedEof.into())),
        Err(error) => Err(error),
    }
}
