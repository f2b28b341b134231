//! One query, one way, one wait: over UDP, or over a stream that queries share.
//!
//! A UDP query has a socket of its own on a random port (RFC 5452 §9.2), connected, so that the system drops what
//! comes from elsewhere. A stream, TCP or TLS, is kept open for the next queries; answers find theirs by ID, and
//! are judged like those over UDP. Whatever is wrong with a packet, the wait for the right one goes on until
//! patience ends; only hints shorten it (see [`Failed`]).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::message::{Judged, Sent, Verdict, judge};
use super::random;
use crate::wire;

/// Ports that are tried before the system chooses one.
const PORT_TRIES: usize = 16;
/// How long the wait goes on after a hint that there will be no good answer.
const GRACE: Duration = Duration::from_millis(100);
/// A stream without queries is closed after this.
const IDLE: Duration = Duration::from_secs(15);
/// For an upstream to take a query.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// Queries that wait on one stream; further ones wait before it.
const IN_FLIGHT_MAX: usize = 512;

/// Why one try gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// Silence.
    Timeout,
    /// The answer is too long for UDP.
    Truncated,
    /// Somebody answered in other letters.
    WrongCase,
    /// Somebody refused without a question: EDNS may be to blame.
    Headless,
    /// No way there, or none back.
    Unreachable(String),
    /// It could not prove who it is.
    Untrusted(String),
    /// The stream ended before the answer.
    Closed,
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        let tls = error
            .get_ref()
            .is_some_and(|inner| inner.is::<rustls::Error>());
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Timeout,
            _ if tls => Self::Untrusted(error.to_string()),
            _ => Self::Unreachable(error.to_string()),
        }
    }
}

/// Asks over UDP.
pub async fn ask_udp(to: SocketAddr, sent: &Sent, patience: Duration) -> Result<Judged, Failed> {
    let socket = socket(to).await?;
    socket.send(&sent.bytes).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let deadline = Instant::now() + patience;
    let mut wait = Wait::until(deadline);
    loop {
        let length = tokio::select! {
            received = socket.recv(&mut buffer) => received?,
            () = sleep_until(wait.deadline) => return Err(wait.hint),
        };
        let packet = buffer.get(..length).unwrap_or_default();
        if let Some(done) = wait.take(judge(sent, packet)) {
            return done;
        }
    }
}

/// A wait for the good answer among others.
struct Wait {
    deadline: Instant,
    hint: Failed,
}

impl Wait {
    fn until(deadline: Instant) -> Self {
        Self {
            deadline,
            hint: Failed::Timeout,
        }
    }

    /// Takes a packet in; the end of the wait, if it is one.
    fn take(&mut self, verdict: Verdict) -> Option<Result<Judged, Failed>> {
        match verdict {
            Verdict::Answer(judged) => return Some(Ok(*judged)),
            Verdict::Truncated => return Some(Err(Failed::Truncated)),
            Verdict::Foreign => return None,
            Verdict::WrongCase => self.note(Failed::WrongCase),
            Verdict::Headless => self.note(Failed::Headless),
        }
        None
    }

    fn note(&mut self, hint: Failed) {
        if self.hint == Failed::Timeout {
            self.deadline = self.deadline.min(Instant::now() + GRACE);
            self.hint = hint;
        }
    }
}

/// A socket on a random port.
async fn socket(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let mut bound = None;
    for _ in 0..PORT_TRIES {
        match std::net::UdpSocket::bind((any, random::port())) {
            Ok(socket) => {
                bound = Some(socket);
                break;
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    let socket = match bound {
        Some(socket) => socket,
        None => std::net::UdpSocket::bind((any, 0))?,
    };
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from_std(socket)?;
    socket.connect(to).await?;
    Ok(socket)
}

/// A stream to an upstream that queries share. It ends when nobody holds it and nothing has been asked for a
/// while.
#[derive(Debug, Clone)]
pub struct Stream {
    queries: mpsc::Sender<Queued>,
}

#[derive(Debug)]
struct Queued {
    sent: Sent,
    verdicts: mpsc::UnboundedSender<Verdict>,
}

impl Stream {
    /// Takes a connection over.
    pub fn start<S>(connection: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (queries, queued) = mpsc::channel(IN_FLIGHT_MAX);
        let (reader, writer) = tokio::io::split(connection);
        tokio::spawn(async move {
            let conversation = Conversation {
                frames: Frames::new(reader),
                writer,
                waiting: HashMap::new(),
            };
            if let Err(error) = conversation.run(queued).await {
                tracing::debug!("a stream to an upstream ended: {error}");
            }
        });
        Self { queries }
    }

    /// Whether it can still be asked.
    pub fn is_open(&self) -> bool {
        !self.queries.is_closed()
    }

    /// Asks over it.
    pub async fn ask(&self, sent: Sent, patience: Duration) -> Result<Judged, Failed> {
        let mut wait = Wait::until(Instant::now() + patience);
        let (verdicts, mut received) = mpsc::unbounded_channel();
        let queued = Queued { sent, verdicts };
        timeout(patience, self.queries.send(queued))
            .await
            .map_err(|_| Failed::Timeout)?
            .map_err(|_| Failed::Closed)?;
        loop {
            let verdict = tokio::select! {
                verdict = received.recv() => verdict.ok_or(Failed::Closed)?,
                () = sleep_until(wait.deadline) => return Err(wait.hint),
            };
            if let Some(done) = wait.take(verdict) {
                return done;
            }
        }
    }
}

/// The task behind a stream.
struct Conversation<S> {
    frames: Frames<S>,
    writer: WriteHalf<S>,
    waiting: HashMap<u16, Queued>,
}

impl<S: AsyncRead + AsyncWrite> Conversation<S> {
    async fn run(mut self, mut queued: mpsc::Receiver<Queued>) -> io::Result<()> {
        let mut is_held = true;
        while is_held || !self.waiting.is_empty() {
            self.waiting.retain(|_, query| !query.verdicts.is_closed());
            let may_send = is_held && self.waiting.len() < IN_FLIGHT_MAX;
            let idle = Instant::now() + IDLE;
            tokio::select! {
                query = queued.recv(), if may_send => match query {
                    Some(query) => self.send(query).await?,
                    None => is_held = false,
                },
                frame = self.frames.next() => match frame? {
                    Some(frame) => self.deliver(&frame),
                    None => return Ok(()),
                },
                () = sleep_until(idle) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Length and message go out in one write (RFC 7766 §8), under an ID that nobody waits for.
    async fn send(&mut self, mut query: Queued) -> io::Result<()> {
        while self.waiting.contains_key(&query.sent.id()) {
            query.sent.set_id(random::number());
        }
        let bytes = &query.sent.bytes;
        let mut framed = Vec::with_capacity(bytes.len() + 2);
        framed.extend((bytes.len() as u16).to_be_bytes());
        framed.extend(bytes);
        self.waiting.insert(query.sent.id(), query);
        let written = async {
            self.writer.write_all(&framed).await?;
            self.writer.flush().await
        };
        timeout(WRITE_TIMEOUT, written)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    fn deliver(&mut self, frame: &[u8]) {
        let Some(id) = wire::id(frame) else { return };
        let Some(query) = self.waiting.get(&id) else {
            return;
        };
        match judge(&query.sent, frame) {
            Verdict::Foreign => {}
            // Hints come once; the answer still may.
            verdict @ (Verdict::WrongCase | Verdict::Headless) => {
                let _ = query.verdicts.send(verdict);
            }
            verdict => {
                let _ = query.verdicts.send(verdict);
                self.waiting.remove(&id);
            }
        }
    }
}

/// Messages out of a stream. What was read stays here when a read is cancelled.
struct Frames<S> {
    reader: ReadHalf<S>,
    buffer: Vec<u8>,
}

/// Bytes read at once.
const READ: usize = 4096;

impl<S: AsyncRead> Frames<S> {
    fn new(reader: ReadHalf<S>) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
        }
    }

    /// The next message; `None` at the end.
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(frame) = self.take() {
                return Ok(Some(frame));
            }
            let mut chunk = [0; READ];
            let count = self.reader.read(&mut chunk).await?;
            if count == 0 {
                return Ok(None);
            }
            self.buffer
                .extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let (length, rest) = self.buffer.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let frame = rest.get(..length)?.to_vec();
        self.buffer.drain(..length + 2);
        Some(frame)
    }
}
