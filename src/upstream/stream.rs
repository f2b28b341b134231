//! A stream to an upstream, TCP or TLS, that queries share (RFC 7766 §6.2.1).
//!
//! It is kept open for the next queries; responses find their query by ID, and are judged like those over UDP. It ends
//! when nobody holds it, and when nothing has been asked for a while.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::attempt::{Failed, Wait};
use super::message::{Judged, Sent, Verdict, judge};
use super::random;
use super::shared::Connection;
use crate::wire::Header;
use crate::wire::frame::{self, Incoming};
use crate::worker::Tasks;

/// A stream without queries is closed after this.
const IDLE: Duration = Duration::from_secs(15);
/// For an upstream to take a query.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// Queries that wait on one stream; further ones wait before it.
const IN_FLIGHT_MAX: usize = 512;
/// Bytes read at once.
const READ: usize = 4096;

/// A stream to an upstream that queries share.
#[derive(Debug, Clone)]
pub struct Stream {
    queries: mpsc::Sender<Queued>,
    /// Owns the conversation.
    _tasks: Tasks,
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
        let tasks = Tasks::new("a stream to an upstream");
        tasks.spawn(async move {
            let conversation = Conversation {
                reader,
                incoming: Incoming::default(),
                writer,
                waiting: HashMap::new(),
            };
            if let Err(error) = conversation.run(queued).await {
                tracing::debug!("a stream to an upstream ended: {error}");
            }
        });
        Self {
            queries,
            _tasks: tasks,
        }
    }

    /// Asks over it, and waits until `deadline`.
    pub async fn ask(self, sent: Sent, deadline: Instant) -> Result<Judged, Failed> {
        let mut wait = Wait::until(deadline);
        let (verdicts, mut received) = mpsc::unbounded_channel();
        let queued = Queued { sent, verdicts };
        timeout_at(deadline, self.queries.send(queued))
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

impl Connection for Stream {
    fn is_open(&self) -> bool {
        !self.queries.is_closed()
    }
}

/// The task behind a stream.
struct Conversation<S> {
    reader: ReadHalf<S>,
    /// What was read stays here when a read is cancelled.
    incoming: Incoming,
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
                read = self.reader.read_buf(self.incoming.room(READ)) => match read? {
                    0 => return Ok(()),
                    _ => self.deliver_all(),
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
        let mut framed = Vec::with_capacity(query.sent.bytes.len() + 2);
        frame::push(&query.sent.bytes, &mut framed);
        self.waiting.insert(query.sent.id(), query);
        let written = async {
            self.writer.write_all(&framed).await?;
            self.writer.flush().await
        };
        timeout(WRITE_TIMEOUT, written)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Gives the messages that are whole to those who wait for them.
    fn deliver_all(&mut self) {
        while let Some(message) = self.incoming.next() {
            if let Some(Header { id, .. }) = Header::read(message)
                && let Some(query) = self.waiting.get(&id)
            {
                let verdict = judge(&query.sent, message);
                // Hints come once; the response still may.
                let is_last = matches!(verdict, Verdict::Accepted(_) | Verdict::Truncated);
                if !matches!(verdict, Verdict::Foreign) {
                    let _ = query.verdicts.send(verdict);
                }
                if is_last {
                    self.waiting.remove(&id);
                }
            }
            self.incoming.consume();
        }
    }
}
