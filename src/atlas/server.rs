//! The serving side: XML-RPC over HTTP/1.1 at `/RPC2` and `/` (ap §1).
//!
//! Whoever calls is a stranger. A call has at most [`CALL_MAX`] bytes, which is known before they are in memory, and comes in
//! with a rate; an address has so many calls a second; connections, calls that are worked on, and bytes of replies on their
//! way are bounded, and one address has two large replies at most. Files and the database are read on threads of their own,
//! so that nothing here makes a DNS question wait.
//!
//! Browsers are no peers: a page of the web could call from this machine, whose word counts. They say where a call comes
//! from, and such calls are refused.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{self, IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use futures_util::future::join_all;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, ORIGIN};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request as HttpRequest, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::answer;
use super::desk::{Caller, Desk};
use super::message::{CALL_MAX, Request};
use super::rate::{Kind, Rates, counted};
use super::receive::{Stopped, WHOLE, is_encoded, receive};
use crate::connections::{Activity, CloseAll, Connections, Patient};

/// Connections at the same time that are enough; each may hold a call of [`CALL_MAX`] bytes.
pub const CONNECTIONS_MAX: usize = 64;
/// Calls that are worked on at the same time, each on a thread that waits for the disk.
pub const WORKERS: usize = 2;
/// KiB of replies with files or inventories that are being made or sent; any other has some KiB at most.
const REPLIES_KIB: usize = 48 * 1024;
/// KiB of the largest reply: a hundred zone files in base64.
const REPLY_KIB: u32 = 6_000;
/// Such replies to one address at the same time: one that reads none of them must not hold the room of all.
const REPLIES_OF_ADDRESS: usize = 2;
/// How long a call waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// How long a connection may take for a head, also between two calls.
const HEAD: Duration = Duration::from_secs(10);
/// Bytes of a head, which hyper reads as a whole.
const HEAD_MAX: usize = 16_384;
/// Fields of a head.
const HEADERS_MAX: usize = 32;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot serve zone files to peers on {address}: {source}; set `atlas.listen` to another address or to [\"none\"]"
)]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

impl BindError {
    /// Whether somebody else has the port.
    pub fn is_taken(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

/// Bound sockets, not yet answering.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<net::TcpListener>,
}

impl Server {
    /// Takes all addresses; needs no runtime yet. Port 0 takes any port.
    pub fn bind(listen: &[SocketAddr]) -> Result<Self, BindError> {
        let bind = |&address: &SocketAddr| {
            let listener = net::TcpListener::bind(address);
            let listener = listener.and_then(|it| it.set_nonblocking(true).map(|()| it));
            listener.map_err(|source| BindError { address, source })
        };
        let listeners = listen.iter().map(bind).collect::<Result<_, _>>()?;
        Ok(Self { listeners })
    }

    /// The addresses in fact.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let all = self.listeners.iter();
        all.filter_map(|listener| listener.local_addr().ok())
            .collect()
    }

    /// Answers from `desk` on `connections_max` connections at the same time, until the future is dropped; that closes all of
    /// them.
    pub async fn serve(self, desk: Arc<Desk>, connections_max: usize) {
        let connections = Connections::new(connections_max, "a connection of a peer");
        let _all = CloseAll(Arc::clone(&connections));
        let site = Arc::new(Site {
            desk,
            rates: Mutex::default(),
            workers: Arc::new(Semaphore::new(WORKERS)),
            replies: Arc::new(Semaphore::new(REPLIES_KIB)),
            large: Mutex::default(),
        });
        let accepting = self.listeners.into_iter();
        join_all(accepting.map(|listener| accept(listener, &connections, &site))).await;
        std::future::pending::<()>().await; // without a listener
    }
}

/// What is shared by all connections.
struct Site {
    desk: Arc<Desk>,
    rates: Mutex<Rates>,
    workers: Arc<Semaphore>,
    replies: Arc<Semaphore>,
    /// The addresses that have replies with files or inventories under way.
    large: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

async fn accept(listener: net::TcpListener, connections: &Arc<Connections>, site: &Arc<Site>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("Atlas cannot use its socket: {error}"),
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.make_room().await;
                let site = Arc::clone(site);
                connections.start(|activity| converse(stream, site, activity));
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection of a peer: {error}");
                connections.recover(&error).await;
            }
        }
    }
}

/// Serves one connection until either side has had enough.
async fn converse(stream: TcpStream, site: Arc<Site>, activity: Arc<Activity>) {
    let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else {
        return;
    };
    let _ = stream.set_nodelay(true); // slower without
    let caller = Caller {
        ip: peer.ip(),
        port: local.port(),
    };
    if site.desk.denies(caller) {
        return;
    }
    let service = service_fn(|request| {
        let busy = activity.begin();
        let (site, activity) = (&site, &activity);
        async move {
            let response = respond(request, site, caller, activity).await;
            drop(busy);
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_MAX);
    let stream = TokioIo::new(Patient::new(stream, WHOLE));
    if let Err(error) = builder.serve_connection(stream, service).await {
        tracing::debug!("at Atlas: {error}");
    }
}

async fn respond(
    request: HttpRequest<Incoming>,
    site: &Site,
    caller: Caller,
    activity: &Activity,
) -> Response<Body> {
    if site.is_spent(caller) {
        return closing(documented(answer::overloaded().into())); // its body is not even read
    }
    match read(request).await {
        Ok(document) => {
            activity.ask();
            documented(site.answer(&document, caller).await)
        }
        Err(Refusal(status, text)) => {
            let _ = activity.note_garbage(); // the connection ends either way
            let mut response = Response::new(Body::from(text));
            *response.status_mut() = status;
            closing(response)
        }
    }
}

fn documented(document: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(document));
    let xml = HeaderValue::from_static("text/xml");
    response.headers_mut().insert(CONTENT_TYPE, xml);
    response
}

/// A response after which the connection ends.
fn closing(mut response: Response<Body>) -> Response<Body> {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

/// Why a request is no call.
struct Refusal(StatusCode, &'static str);

/// The document of a call.
async fn read(request: HttpRequest<Incoming>) -> Result<Vec<u8>, Refusal> {
    let (head, body) = request.into_parts();
    check(&head)?;
    let document = receive(body, CALL_MAX, Instant::now() + WHOLE).await;
    document.map_err(|stopped| match stopped {
        Stopped::TooLarge => {
            let text = "a call has at most 524288 bytes";
            Refusal(StatusCode::PAYLOAD_TOO_LARGE, text)
        }
        Stopped::TooSlow => Refusal(StatusCode::REQUEST_TIMEOUT, "too slow"),
        Stopped::Broken(_) => Refusal(StatusCode::BAD_REQUEST, "not a whole call"),
    })
}

fn check(head: &Parts) -> Result<(), Refusal> {
    let comes_from_page = head.headers.contains_key(ORIGIN);
    if comes_from_page || head.headers.contains_key("sec-fetch-site") {
        return Err(Refusal(StatusCode::FORBIDDEN, "a web page is no peer"));
    }
    if !matches!(head.uri.path(), "/" | "/RPC2") {
        return Err(Refusal(StatusCode::NOT_FOUND, "XML-RPC is at /RPC2"));
    }
    if head.method != Method::POST {
        return Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "use POST"));
    }
    if is_encoded(&head.headers) {
        let text = "a call that is compressed is refused";
        return Err(Refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    Ok(())
}

impl Site {
    fn is_spent(&self, caller: Caller) -> bool {
        self.rates().is_spent(caller.ip, self.desk.now())
    }

    /// The document that answers another one.
    async fn answer(&self, document: &[u8], caller: Caller) -> Bytes {
        let request = Request::read(document);
        let kind = match &request {
            Ok(Request::Zonefiles(_)) => Kind::Fetch,
            Ok(Request::Inventory { .. }) => Kind::Inventory,
            _ => Kind::Other,
        };
        let is_admitted = self.rates().admit(caller.ip, kind, self.desk.now());
        match request {
            _ if !is_admitted => answer::overloaded().into(),
            Err(refusal) => refusal.to_document().into(),
            Ok(request) => match timeout(TURN, self.turn(kind, caller)).await {
                Ok(Some(turn)) => self.work(request, caller, turn).await,
                _ => answer::overloaded().into(),
            },
        }
    }

    /// Waits for room for the reply, if it may be large, and for a thread.
    async fn turn(&self, kind: Kind, caller: Caller) -> Option<Turn> {
        let room = match kind {
            Kind::Fetch | Kind::Inventory => Some(self.room(caller.ip).await?),
            Kind::Other => None,
        };
        let worker = Arc::clone(&self.workers).acquire_owned().await;
        Some(Turn {
            room,
            worker: worker.ok()?,
        })
    }

    async fn room(&self, caller: IpAddr) -> Option<Room> {
        let place = self.places(caller).acquire_owned().await.ok()?;
        let kib = Arc::clone(&self.replies).acquire_many_owned(REPLY_KIB);
        Some(Room {
            kib: kib.await.ok()?,
            _place: place,
        })
    }

    /// The places that an address has for large replies.
    fn places(&self, caller: IpAddr) -> Arc<Semaphore> {
        let mut large = self.large.lock().unwrap_or_else(PoisonError::into_inner);
        large.retain(|_, places| Arc::strong_count(places) > 1); // those with a reply or with somebody who waits
        let new = || Arc::new(Semaphore::new(REPLIES_OF_ADDRESS));
        Arc::clone(large.entry(counted(caller)).or_insert_with(new))
    }

    /// Answers on a thread that may wait.
    async fn work(&self, request: Request, caller: Caller, turn: Turn) -> Bytes {
        let desk = Arc::clone(&self.desk);
        let Turn { room, worker } = turn;
        let answered = spawn_blocking(move || {
            let document = desk.answer(request, caller);
            drop(worker);
            document
        });
        let document = answered.await.unwrap_or_else(|_| answer::failed()); // it panicked, and said so
        let Some(room) = room else {
            return document.into();
        };
        Bytes::from_owner(Sent {
            _room: room.reduced_to(document.len() / 1_024 + 1),
            document: document.into_bytes(),
        })
    }

    fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to work on a call.
struct Turn {
    room: Option<Room>,
    worker: OwnedSemaphorePermit,
}

/// Room for a large reply.
struct Room {
    kib: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl Room {
    /// The same for a reply of this size, as far as that is less.
    fn reduced_to(mut self, kib: usize) -> Self {
        if let Some(kept) = self.kib.split(kib) {
            self.kib = kept;
        }
        self
    }
}

/// A document that keeps its room until the last byte of it is sent.
struct Sent {
    document: Vec<u8>,
    _room: Room,
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.document
    }
}
