//! DNS over TCP (RFC 7766): pipelining, answers as they come, and limits for those who are slow on purpose.
//!
//! A message must be complete ten seconds after its first byte, however many bytes dribble in between, and
//! a connection without work is closed after fifteen. When all places are taken, the connection that has
//! been idle for longest goes, so that slow clients cannot keep new ones out.

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::handler::{Handled, Handler, Snapshots, Transport};

/// From a message's first byte to its last.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection without work.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// For a client to take an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Queries of one connection that wait for upstreams; reading stops there.
const IN_FLIGHT_MAX: usize = 100;
/// Bytes read at once.
const READ: usize = 2048;

/// Accepts connections until the task is dropped.
pub async fn serve<P: Snapshots>(
    listener: TcpListener,
    handler: Arc<Handler<P>>,
    connections: Arc<Connections>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => connections.start(stream, Arc::clone(&handler)),
            Err(error) => {
                tracing::debug!("accepting on TCP: {error}");
                // Out of descriptors: the condition lasts, so do not spin.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// All open connections, to bound their number.
pub struct Connections {
    max: usize,
    next: AtomicU64,
    open: Mutex<HashMap<u64, Open>>,
}

struct Open {
    activity: Arc<Activity>,
    task: Option<AbortHandle>,
}

/// When a connection last did something useful: counted in starts and completed queries, not in time.
struct Activity {
    last: AtomicU64,
}

impl Connections {
    /// Room for `max` connections.
    pub fn new(max: usize) -> Self {
        Self {
            max: max.max(1),
            next: AtomicU64::new(0),
            open: Mutex::new(HashMap::new()),
        }
    }

    /// Ends all connections.
    pub fn close_all(&self) {
        for (_, open) in self.lock().drain() {
            if let Some(task) = open.task {
                task.abort();
            }
        }
    }

    fn start<P: Snapshots>(self: &Arc<Self>, stream: TcpStream, handler: Arc<Handler<P>>) {
        let id = self.tick();
        let activity = Arc::new(Activity {
            last: AtomicU64::new(id),
        });
        self.admit(id, Arc::clone(&activity));
        let leave = Leave {
            id,
            connections: Arc::clone(self),
        };
        let task = tokio::spawn(async move {
            if let Err(error) = converse(stream, &handler, &leave.connections, &activity).await {
                tracing::debug!("on TCP: {error}");
            }
            drop(leave);
        });
        if let Some(open) = self.lock().get_mut(&id) {
            open.task = Some(task.abort_handle());
        }
    }

    /// Takes a place, from the connection that has been idle for longest if there is none.
    fn admit(&self, id: u64, activity: Arc<Activity>) {
        let mut open = self.lock();
        while open.len() >= self.max {
            let oldest = open
                .iter()
                .min_by_key(|(_, open)| open.activity.last.load(Ordering::Relaxed))
                .map(|(&id, _)| id);
            let Some(evicted) = oldest.and_then(|id| open.remove(&id)) else {
                break;
            };
            if let Some(task) = evicted.task {
                task.abort();
            }
        }
        let task = None;
        open.insert(id, Open { activity, task });
    }

    fn tick(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the place back, also when the task is aborted.
struct Leave {
    id: u64,
    connections: Arc<Connections>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.id);
    }
}

/// Serves one connection until either side has had enough.
async fn converse<P: Snapshots>(
    stream: TcpStream,
    handler: &Arc<Handler<P>>,
    connections: &Connections,
    activity: &Activity,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut frames = Frames::new(reader);
    let mut waiting: FuturesUnordered<BoxFuture<'_, Vec<u8>>> = FuturesUnordered::new();
    let mut answer = Vec::new();
    let mut last = Instant::now();
    while !(frames.ended && waiting.is_empty()) {
        let may_read = !frames.ended && waiting.len() < IN_FLIGHT_MAX;
        let deadline = frames.deadline().unwrap_or(last + IDLE_TIMEOUT);
        let counts = frames.deadline().is_some() || waiting.is_empty();
        let mut patience = pin!(sleep_until(deadline));
        tokio::select! {
            Some(finished) = waiting.next() => write(&mut writer, &finished).await?,
            frame = frames.next(), if may_read => {
                let Some(frame) = frame? else { continue };
                activity.last.store(connections.tick(), Ordering::Relaxed);
                match handler.handle(&frame, Transport::Tcp, &mut answer) {
                    Handled::Silence => {}
                    Handled::Ready => write(&mut writer, &answer).await?,
                    Handled::Pending(pending) => waiting.push(Box::pin(async move {
                        let mut answer = Vec::new();
                        handler.finish(*pending, &mut answer).await;
                        answer
                    })),
                }
            }
            () = &mut patience, if counts => return Ok(()),
        }
        last = Instant::now();
    }
    writer.shutdown().await
}

/// Length and message go out in one write (RFC 7766 §8).
async fn write(writer: &mut OwnedWriteHalf, message: &[u8]) -> io::Result<()> {
    let Ok(length) = u16::try_from(message.len()) else {
        return Ok(());
    };
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend(length.to_be_bytes());
    framed.extend(message);
    timeout(WRITE_TIMEOUT, writer.write_all(&framed))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Messages out of a stream. What was read stays here when a read is cancelled.
struct Frames {
    reader: OwnedReadHalf,
    buffer: Vec<u8>,
    /// When the first byte of an incomplete message arrived.
    started: Option<Instant>,
    /// The client has closed its side.
    ended: bool,
}

impl Frames {
    fn new(reader: OwnedReadHalf) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            started: None,
            ended: false,
        }
    }

    /// When the message under way must be complete.
    fn deadline(&self) -> Option<Instant> {
        self.started.map(|started| started + MESSAGE_TIMEOUT)
    }

    /// The next message; `None` when the client has closed its side.
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(frame) = self.take() {
                return Ok(Some(frame));
            }
            let mut chunk = [0; READ];
            let count = self.reader.read(&mut chunk).await?;
            if count == 0 {
                self.ended = true;
                self.started = None;
                return Ok(None);
            }
            self.started.get_or_insert_with(Instant::now);
            self.buffer
                .extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let (length, rest) = self.buffer.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let frame = rest.get(..length)?.to_vec();
        self.buffer.drain(..length + 2);
        self.started = (!self.buffer.is_empty()).then(Instant::now);
        Some(frame)
    }
}
