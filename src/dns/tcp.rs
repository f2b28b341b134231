//! DNS messages on a stream, plain (RFC 7766) or inside of TLS (RFC 7858): pipelining, answers as they come, and
//! limits for those who are slow on purpose.
//!
//! A message must be complete ten seconds after its first byte, however many bytes dribble in between, and
//! a connection without work is closed after fifteen. A client that does not take its answers is dropped
//! after ten. Garbage is no work, and too much of it in a row ends a connection ([`Activity::note_garbage`]).

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until, timeout};

use super::access::{Access, Admission};
use super::client::{Client, IDLE_TIMEOUT};
use super::handler::{Handled, Handler};
use crate::connections::{Activity, Connections};
use crate::resolver::Snapshots;
use crate::wire::frame::{self, Incoming};

/// From a message's first byte to its last.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// For a client to take a reply.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Queries of one connection that wait for upstreams; reading stops there.
const IN_FLIGHT_MAX: usize = 100;
/// Bytes read at once.
const READ: usize = 2048;
/// Bytes of replies that are written before more are made.
const WRITE: usize = 16_384;

/// Accepts connections from those who may have one, until the task is dropped. `start` begins a conversation in the place
/// that was made for it.
pub async fn accept(
    listener: TcpListener,
    access: Arc<Access>,
    connections: Arc<Connections>,
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
                    connections.make_room().await;
                    start(stream, peer.ip());
                }
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection over TCP: {error}");
                connections.recover(&error).await;
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
    let mut stream = pin!(stream);
    let mut talk = Conversation::new(client, handler, activity);
    let mut alarm = pin!(sleep_until(talk.deadline()));
    while !talk.is_over() {
        talk.handle_queries();
        if talk.replies.write(&mut stream).await? {
            continue;
        }
        let (may_read, counts, deadline) = (talk.may_read(), talk.can_expire(), talk.deadline());
        // Most deadlines only move away: the alarm is set anew when it goes off, not with every message.
        if deadline < alarm.deadline() {
            alarm.as_mut().reset(deadline);
        }
        tokio::select! {
            Some(finished) = talk.waiting.next() => {
                talk.replies.next = finished;
                talk.replies.add();
                talk.last = Instant::now();
            }
            read = talk.queries.read(&mut stream), if may_read => read?,
            () = &mut alarm, if counts => match Instant::now() < deadline {
                true => alarm.as_mut().reset(deadline),
                false => break,
            },
        }
    }
    patient(stream.shutdown()).await
}

/// A client's queries and what became of them.
struct Conversation<'a, P> {
    client: Client,
    handler: &'a Handler<P>,
    activity: &'a Arc<Activity>,
    queries: Queries,
    replies: Outgoing,
    /// Queries that wait for upstreams.
    waiting: FuturesUnordered<BoxFuture<'a, Vec<u8>>>,
    /// When the client or an upstream was last heard of.
    last: Instant,
}

impl<'a, P: Snapshots> Conversation<'a, P> {
    fn new(client: Client, handler: &'a Handler<P>, activity: &'a Arc<Activity>) -> Self {
        Self {
            client,
            handler,
            activity,
            queries: Queries::default(),
            replies: Outgoing::default(),
            waiting: FuturesUnordered::new(),
            last: Instant::now(),
        }
    }

    /// Whether the client asks no more and has its replies.
    fn is_over(&self) -> bool {
        self.queries.ended && self.waiting.is_empty() && self.replies.ready.is_empty()
    }

    fn may_read(&self) -> bool {
        self.waiting.len() < IN_FLIGHT_MAX && !self.queries.ended
    }

    /// Whether the conversation ends at its deadline: it does not while only upstreams are waited for.
    fn can_expire(&self) -> bool {
        self.may_read() && (self.queries.deadline().is_some() || self.waiting.is_empty())
    }

    fn deadline(&self) -> Instant {
        let message = self.queries.deadline();
        message.unwrap_or(self.last + IDLE_TIMEOUT)
    }

    /// Handles the queries that have arrived whole, as far as the bounds allow.
    fn handle_queries(&mut self) {
        while self.waiting.len() < IN_FLIGHT_MAX
            && self.replies.ready.len() < WRITE
            && let Some(query) = self.queries.incoming.next()
        {
            let handler = self.handler;
            let handled = handler.handle(query, self.client, &mut self.replies.next);
            self.queries.consume();
            match handled {
                Handled::Silence => self.note_garbage(),
                Handled::Garbage => {
                    self.replies.add();
                    self.note_garbage();
                }
                Handled::Ready => {
                    self.note_query();
                    self.replies.add();
                }
                Handled::Pending(pending) => {
                    self.note_query();
                    let busy = self.activity.begin();
                    self.waiting.push(Box::pin(async move {
                        let mut reply = Vec::new();
                        handler.finish(*pending, &mut reply).await;
                        drop(busy);
                        reply
                    }));
                }
            }
        }
    }

    fn note_query(&mut self) {
        self.activity.ask();
        self.last = Instant::now();
    }

    /// Garbage keeps no connection open; after too much of it the client only gets the replies that it waits for.
    fn note_garbage(&mut self) {
        if self.activity.note_garbage() {
            self.queries.give_up();
        }
    }
}

/// Replies on their way: what is ready at the same time goes out in one write, each behind its length (RFC 7766 §8).
#[derive(Default)]
struct Outgoing {
    /// The one that is being made.
    next: Vec<u8>,
    ready: Vec<u8>,
}

impl Outgoing {
    /// Takes the one that was made.
    fn add(&mut self) {
        frame::push(&self.next, &mut self.ready);
    }

    /// Writes what is ready; whether that was anything.
    async fn write(&mut self, stream: &mut Pin<&mut impl AsyncWrite>) -> io::Result<bool> {
        if self.ready.is_empty() {
            return Ok(false);
        }
        patient(async {
            stream.write_all(&self.ready).await?;
            stream.flush().await
        })
        .await?;
        self.ready.clear();
        Ok(true)
    }
}

async fn patient(work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    timeout(WRITE_TIMEOUT, work)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// What a client sends. What was read stays here when a read is cancelled.
#[derive(Default)]
struct Queries {
    incoming: Incoming,
    /// When the first byte of an incomplete message arrived.
    started: Option<Instant>,
    /// Nothing more is read: the client has closed its side, or sends garbage.
    ended: bool,
}

impl Queries {
    /// When the message under way must be complete.
    fn deadline(&self) -> Option<Instant> {
        self.started.map(|started| started + MESSAGE_TIMEOUT)
    }

    /// Reads once, so that the deadline is looked at after every byte that dribbles in.
    async fn read(&mut self, stream: &mut Pin<&mut impl AsyncRead>) -> io::Result<()> {
        if stream.read_buf(self.incoming.room(READ)).await? == 0 {
            self.ended = true;
            self.started = None;
            return Ok(());
        }
        self.started.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Reads no more.
    fn give_up(&mut self) {
        *self = Self {
            ended: true,
            ..Self::default()
        };
    }

    /// The next whole message has been dealt with.
    fn consume(&mut self) {
        self.incoming.consume();
        self.started = self.incoming.is_partial().then(Instant::now);
    }
}
