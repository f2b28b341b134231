//! DNS messages on a stream, plain (RFC 7766) or inside of TLS (RFC 7858): pipelining, answers as they come, and
//! limits for those who are slow on purpose.
//!
//! A message must be complete ten seconds after its first byte, however many bytes dribble in between, and
//! a connection without work is closed after fifteen. A client that does not take its answers is dropped
//! after ten.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until, timeout};

use super::access::{Access, Admission};
use super::client::Client;
use super::connections::Activity;
use super::handler::{Handled, Handler, Snapshots};

/// From a message's first byte to its last.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection without work.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// For a client to take an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Queries of one connection that wait for upstreams; reading stops there.
const IN_FLIGHT_MAX: usize = 100;
/// Bytes read at once.
const READ: usize = 2048;

/// Accepts connections from those who may have one, until the task is dropped.
pub async fn accept(
    listener: TcpListener,
    access: Arc<Access>,
    mut start: impl FnMut(TcpStream, IpAddr),
) {
    let own = listener.local_addr().map(|address| address.ip());
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let admitted = own.as_ref().is_ok_and(|&own| {
                    access.admit_connection(peer.ip(), own) == Admission::Welcome
                });
                if admitted {
                    start(stream, peer.ip());
                }
            }
            Err(error) => {
                tracing::debug!("accepting on TCP: {error}");
                // Out of descriptors: the condition lasts, so do not spin.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Serves one connection until either side has had enough.
pub async fn converse<P: Snapshots>(
    stream: impl AsyncRead + AsyncWrite,
    client: Client,
    handler: &Arc<Handler<P>>,
    activity: &Arc<Activity>,
) -> io::Result<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut frames = Frames::new(reader);
    let mut waiting: FuturesUnordered<BoxFuture<'_, Vec<u8>>> = FuturesUnordered::new();
    let mut answer = Vec::new();
    let mut last = Instant::now();
    while !(frames.ended && waiting.is_empty()) {
        let has_room = waiting.len() < IN_FLIGHT_MAX;
        if has_room && let Some(frame) = frames.take() {
            let busy = activity.begin();
            match handler.handle(&frame, client, &mut answer) {
                Handled::Silence => {}
                Handled::Ready => write(&mut writer, &answer).await?,
                Handled::Pending(pending) => waiting.push(Box::pin(async move {
                    let mut answer = Vec::new();
                    handler.finish(*pending, &mut answer).await;
                    drop(busy);
                    answer
                })),
            }
            last = Instant::now();
            continue;
        }
        let may_read = has_room && !frames.ended;
        let deadline = frames.deadline().unwrap_or(last + IDLE_TIMEOUT);
        let counts = may_read && (frames.deadline().is_some() || waiting.is_empty());
        tokio::select! {
            Some(finished) = waiting.next() => {
                write(&mut writer, &finished).await?;
                last = Instant::now();
            }
            read = frames.read(), if may_read => read?,
            () = sleep_until(deadline), if counts => break,
        }
    }
    patient(writer.shutdown()).await
}

/// Length and message go out in one write (RFC 7766 §8).
async fn write(writer: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    let Ok(length) = u16::try_from(message.len()) else {
        return Ok(());
    };
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend(length.to_be_bytes());
    framed.extend(message);
    patient(async {
        writer.write_all(&framed).await?;
        writer.flush().await
    })
    .await
}

async fn patient(work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    timeout(WRITE_TIMEOUT, work)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Messages out of a stream. What was read stays here when a read is cancelled.
struct Frames<R> {
    reader: R,
    buffer: Vec<u8>,
    /// When the first byte of an incomplete message arrived.
    started: Option<Instant>,
    /// The client has closed its side.
    ended: bool,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    fn new(reader: R) -> Self {
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

    /// Reads once, so that the deadline is looked at after every byte that dribbles in.
    async fn read(&mut self) -> io::Result<()> {
        let mut chunk = [0; READ];
        let count = self.reader.read(&mut chunk).await?;
        if count == 0 {
            self.ended = true;
            self.started = None;
            return Ok(());
        }
        self.started.get_or_insert_with(Instant::now);
        self.buffer
            .extend_from_slice(chunk.get(..count).unwrap_or_default());
        Ok(())
    }

    /// The next complete message.
    fn take(&mut self) -> Option<Vec<u8>> {
        let (length, rest) = self.buffer.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let frame = rest.get(..length)?.to_vec();
        self.buffer.drain(..length + 2);
        self.started = (!self.buffer.is_empty()).then(Instant::now);
        Some(frame)
    }
}
