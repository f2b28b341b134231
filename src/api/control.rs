//! The serving side of the control socket.
//!
//! A connection costs a task and one buffer of [`REQUEST_MAX`] at most. Their number is bounded; the next one takes the
//! place of one that has nothing under way ([`Connections`]). A connection that says nothing for [`PATIENCE`] is closed. The socket's mode keeps other users away. The user at the other end is checked as well,
//! since a mode can be changed by accident.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::message::{self, REPLY_MAX, REQUEST_MAX, Reply, Request};
use super::socket::{self, BindError, SocketFile};
use crate::connections::{Activity, CloseAll, Connections};
use crate::disk::rights::own_uid;

/// Connections at the same time that are enough: people and scripts on one machine.
pub const CONNECTIONS_MAX: usize = 32;
/// How long a connection may take to send a line, or to take one.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer may take; looking up a legacy name waits for upstreams.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(30);

/// What the daemon does with a request. Nothing in it is trusted but its shape.
pub trait Control: Send + Sync + 'static {
    /// The reply; an error is one of them.
    fn handle(&self, request: Request) -> impl Future<Output = Reply> + Send;
}

/// A bound control socket.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    /// Removes the socket's file when the server ends.
    _file: SocketFile,
}

impl Server {
    /// Binds the socket; needs a tokio runtime. See [`super::socket`] for what happens to the file.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let (listener, file) = socket::bind(path)?;
        let listener = listener
            .set_nonblocking(true)
            .and_then(|()| UnixListener::from_std(listener))
            .map_err(|source| BindError::Io {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            listener,
            _file: file,
        })
    }

    /// Serves `connections_max` connections at the same time, until the future is dropped; that closes every connection and
    /// removes the socket's file.
    pub async fn serve<C: Control>(self, control: Arc<C>, connections_max: usize) {
        let connections = Connections::new(connections_max, "a connection to the control socket");
        let _all = CloseAll(Arc::clone(&connections));
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if is_permitted(&stream) => {
                    connections.make_room().await;
                    let control = Arc::clone(&control);
                    connections.start(|activity| async move {
                        converse(stream, &*control, &activity).await;
                    });
                }
                Ok(_) => tracing::warn!("refused another user at the control socket"),
                Err(error) => {
                    tracing::warn!("cannot accept a connection at the control socket: {error}");
                    connections.recover(&error).await;
                }
            }
        }
    }
}

/// Whether the other end is the user that we act as, or root.
fn is_permitted(stream: &UnixStream) -> bool {
    let ours = own_uid();
    let peer = stream.peer_cred().map(|credentials| credentials.uid());
    peer.is_ok_and(|uid| uid == 0 || uid == ours)
}

async fn converse<C: Control>(stream: UnixStream, control: &C, activity: &Activity) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let reply = match timeout(PATIENCE, next_line(&mut read)).await {
            Ok(Ok(Line::Complete(line))) => {
                activity.ask();
                let _busy = activity.begin();
                answer(&line, control).await
            }
            Ok(Ok(Line::TooLong)) => {
                let reply = Reply::usage(format!("a request has at most {REQUEST_MAX} bytes"));
                let _ = send(&mut write, &reply).await; // the connection ends either way
                return;
            }
            Ok(Ok(Line::End) | Err(_)) | Err(_) => return,
        };
        if send(&mut write, &reply).await.is_err() {
            return;
        }
    }
}

enum Line {
    Complete(Vec<u8>),
    TooLong,
    End,
}

async fn next_line(read: &mut BufReader<OwnedReadHalf>) -> io::Result<Line> {
    let mut line = Vec::new();
    let mut bounded = read.take(REQUEST_MAX as u64);
    bounded.read_until(b'\n', &mut line).await?;
    Ok(match line.last() {
        Some(b'\n') => Line::Complete(line),
        _ if line.len() >= REQUEST_MAX => Line::TooLong,
        _ => Line::End,
    })
}

async fn answer<C: Control>(line: &[u8], control: &C) -> Reply {
    match message::decode(line) {
        Ok(request) => match timeout(ANSWER_TIME, control.handle(request)).await {
            Ok(reply) => reply,
            Err(_) => {
                Reply::trouble("the daemon found no answer in time: try again, or see its log")
            }
        },
        Err(error) => Reply::usage(error.to_string()),
    }
}

async fn send(write: &mut OwnedWriteHalf, reply: &Reply) -> io::Result<()> {
    let mut line = message::encode(reply);
    if line.len() > REPLY_MAX {
        line = message::encode(&Reply::trouble(
            "the reply is too long for the control socket",
        ));
    }
    let sent = timeout(PATIENCE, write.write_all(&line)).await;
    sent.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;
    use std::path::PathBuf;

    use super::*;
    use crate::api::client::{self, ClientError};
    use crate::api::lookup::{LookupReply, LookupRequest};
    use crate::api::message::ErrorKind;
    use crate::api::status::StatusRequest;

    /// Replies with what it was asked.
    struct Echo;

    impl Control for Echo {
        async fn handle(&self, request: Request) -> Reply {
            match request {
                Request::Lookup(lookup) => Reply::Lookup(LookupReply {
                    name: lookup.name,
                    record_type: lookup.record_type,
                    rcode: "NXDOMAIN".to_owned(),
                    records: Vec::new(),
                    height: lookup.at,
                    time: None,
                    ede: None,
                    authoritative: true,
                    types: Vec::new(),
                }),
                Request::Explain(_) => Reply::usage("nothing to explain"),
                Request::Status(_) => Reply::Status(Box::default()),
                _ => Reply::usage("not here"),
            }
        }
    }

    /// A server in its own runtime, which ends with it.
    struct Running {
        runtime: Option<tokio::runtime::Runtime>,
        path: PathBuf,
        _scratch: tempfile::TempDir,
    }

    fn start() -> Running {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let path = scratch.path().join("control.sock");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let server = {
            let _inside = runtime.enter();
            Server::bind(&path).expect("a socket")
        };
        runtime.spawn(server.serve(Arc::new(Echo), CONNECTIONS_MAX));
        Running {
            runtime: Some(runtime),
            path,
            _scratch: scratch,
        }
    }

    fn lookup(name: &str) -> Request {
        Request::Lookup(LookupRequest {
            name: name.to_owned(),
            record_type: "A".to_owned(),
            at: Some(9),
        })
    }

    #[test]
    fn a_request_gets_its_reply() {
        let running = start();
        let candidates = [running.path.with_extension("none"), running.path.clone()];
        let reply = client::ask(&candidates, &lookup("werner.id")).expect("a reply");
        let Reply::Lookup(reply) = reply else {
            panic!("another reply: {reply:?}");
        };
        assert_eq!((reply.name.as_str(), reply.height), ("werner.id", Some(9)));
        let status = client::ask(&candidates, &Request::Status(StatusRequest::default()));
        assert!(matches!(status, Ok(Reply::Status(_))));
    }

    #[test]
    fn a_connection_carries_many_requests_and_survives_nonsense() {
        let running = start();
        let mut stream = UnixStream::connect(&running.path).expect("a connection");
        let mut replies = BufReader::new(stream.try_clone().expect("a second handle")).lines();
        stream
            .write_all(b"nonsense\n{\"v\":1,\"status\":{}}\n")
            .expect("a living connection");
        let mut next = || replies.next().expect("a line").expect("a line");
        assert!(next().starts_with("{\"v\":1,\"error\":{\"kind\":\"usage\""));
        assert!(next().starts_with("{\"v\":1,\"status\":"));
    }

    #[test]
    fn an_oversized_line_is_refused_and_ends_the_connection() {
        let running = start();
        let reply = client::ask(
            std::slice::from_ref(&running.path),
            &lookup(&"x".repeat(REQUEST_MAX)),
        );
        let Ok(Reply::Error(error)) = reply else {
            panic!("another reply: {reply:?}");
        };
        assert_eq!(error.kind, ErrorKind::Usage);
    }

    #[test]
    fn those_who_only_hold_places_keep_nobody_out() {
        let running = start();
        let connect = || UnixStream::connect(&running.path).expect("a connection");
        let _held: Vec<UnixStream> = (0..1_000).map(|_| connect()).collect();
        let candidates = [running.path.clone()];
        let status = client::ask(&candidates, &Request::Status(StatusRequest::default()));
        assert!(matches!(status, Ok(Reply::Status(_))));
    }

    #[test]
    fn the_file_goes_with_the_server_and_clients_are_told() {
        let mut running = start();
        running
            .runtime
            .take()
            .expect("a runtime")
            .shutdown_timeout(PATIENCE);
        assert!(!running.path.exists());
        let error = client::ask(std::slice::from_ref(&running.path), &lookup("a.id"));
        let error = error.expect_err("nobody there");
        assert!(matches!(error, ClientError::NotRunning(_)));
        assert_eq!(
            error.to_string(),
            format!(
                "no bnsd is running with the control socket {}: start it with `bnsd serve` or `bnsd demo`, \
                 or name another with --control-socket",
                running.path.display()
            )
        );
    }
}
