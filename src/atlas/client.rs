//! The calling side: what one peer is asked, and what of its replies is believed.
//!
//! Every call has its time (ap §3), every reply a number of bytes that is enforced before they are in
//! memory, and a rate. A redirect or an encoding is an error. Names are resolved here, unless a proxy does it, and an address
//! that is not of the whole Internet is only called if the configuration names it.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request as HttpRequest, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_socks::tcp::Socks5Stream;

use super::inventory::Inventory;
use super::message::{INVENTORY_MAX, Request};
use super::receive::{Stopped, is_encoded, receive};
use super::reply::{self, PeerInfo, ReplyError};
use super::rule::PeerRule;
use super::schedule::Failure;
use crate::hash::ZonefileHash;
use crate::peer_address::{self, Host, PeerAddress};
use crate::worker::Tasks;

/// How long a call may take (ap §3).
const INFO: Duration = Duration::from_secs(3);
const INVENTORY: Duration = Duration::from_secs(10);
const NEIGHBOURS: Duration = Duration::from_secs(10);
const FETCH: Duration = Duration::from_secs(30);
const PUSH: Duration = Duration::from_secs(10);
/// What a way through a proxy may take beside.
const DETOUR: Duration = Duration::from_secs(7);
/// Bytes of a reply with files: `40960 · 150` (ap §1).
const FILES_MAX: usize = 6_144_000;
/// Bytes of any other reply, without what an inventory takes.
const REPLY_MAX: usize = 64 * 1024;
/// Bytes that hyper reads at once, and of a head.
const BUFFER: usize = 256 * 1024;
/// Fields of a head.
const HEADERS_MAX: usize = 64;
/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;
/// Names that are looked up at the same time. The system's resolver keeps a thread, for longer than any call may take, and
/// strangers tell us names that nobody answers for: the threads that read and write files must not be theirs.
pub const LOOKUPS_MAX: usize = 2;
/// How long a name waits for its turn to be looked up.
const TURN: Duration = Duration::from_secs(1);
/// Connections that are kept for the next call, and how long: a server closes one that is silent for 10 s.
const IDLE_MAX: usize = 32;
const IDLE: Duration = Duration::from_secs(8);

/// A SOCKS5 proxy, which resolves names too (RFC 1928).
#[derive(Clone)]
pub struct Socks {
    /// Where it is.
    pub address: SocketAddr,
    /// User and password (RFC 1929).
    pub user: Option<(String, String)>,
}

/// How peers are called.
#[derive(Clone, Default)]
pub struct ClientOptions {
    /// The way to all of them.
    pub proxy: Option<Socks>,
    /// Peers that may be of our own network.
    pub allow: Vec<PeerRule>,
    /// Peers that are never called, whatever name they have.
    pub deny: Vec<PeerRule>,
}

/// Why a call has no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection, or none that lasted.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It is at an address that is not called.
    #[error("{0} is no address of the whole Internet, or is denied; `atlas.allow` permits it")]
    Forbidden(String),
    /// It takes longer than it may.
    #[error("it is too slow")]
    TooSlow,
    /// What came is no reply.
    #[error("{0}")]
    Malformed(String),
    /// It does not want to.
    #[error("it refuses: {0}")]
    Refused(String),
    /// A file with another hash, or one that nobody asked for.
    #[error("it sent a zone file that is not what was asked for")]
    WrongFile,
}

impl CallError {
    /// What it is to the schedule.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Unreachable(_) | Self::Forbidden(_) | Self::Refused(_) => Failure::Unreachable,
            Self::TooSlow => Failure::TooSlow,
            Self::Malformed(_) => Failure::Malformed,
            Self::WrongFile => Failure::WrongFile,
        }
    }
}

impl From<ReplyError> for CallError {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::Malformed(_) => Self::Malformed(error.to_string()),
            ReplyError::Refused(said) => Self::Refused(said),
            ReplyError::WrongFile => Self::WrongFile,
        }
    }
}

impl From<Stopped> for CallError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::TooLarge => Self::Malformed("its reply is larger than it may be".into()),
            Stopped::TooSlow => Self::TooSlow,
            Stopped::Broken(why) => Self::Unreachable(why),
        }
    }
}

/// Calls peers.
pub struct Client {
    options: ClientOptions,
    idle: Mutex<Vec<Idle>>,
    lookups: Arc<Semaphore>,
    tasks: Tasks,
}

/// A connection without a call.
struct Idle {
    peer: PeerAddress,
    requests: SendRequest<Body>,
    since: Instant,
}

impl Client {
    /// Connects with the first call.
    pub fn new(options: ClientOptions) -> Self {
        Self {
            options,
            idle: Mutex::default(),
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
            tasks: Tasks::new("a connection to a peer"),
        }
    }

    /// What a peer says about itself.
    pub async fn info(&self, peer: &PeerAddress) -> Result<PeerInfo, CallError> {
        self.call(peer, &Request::Info, (INFO, REPLY_MAX), reply::info)
            .await
    }

    /// Which files of the first `rows` announcements a peer has. One that says more than was asked lies.
    pub async fn inventory(&self, peer: &PeerAddress, rows: u32) -> Result<Inventory, CallError> {
        let wanted = (rows as usize).div_ceil(8);
        let mut bytes = Vec::new();
        while bytes.len() < wanted {
            let length = INVENTORY_MAX.min(wanted - bytes.len());
            let offset = bytes.len();
            let request = Request::Inventory { offset, length };
            let most = REPLY_MAX + length.div_ceil(3) * 4;
            let call = self.call(peer, &request, (INVENTORY, most), reply::inventory);
            let part = call.await?;
            if part.len() > length {
                let text = "its inventory is longer than was asked for";
                return Err(CallError::Malformed(text.into()));
            }
            let is_last = part.len() < length;
            bytes.extend(part);
            if is_last {
                break;
            }
        }
        let inventory = Inventory::from_bytes(&bytes, rows);
        inventory.map_err(|error| CallError::Malformed(error.to_string()))
    }

    /// Whom a peer knows; it learns that we are at `own`.
    pub async fn exchange(
        &self,
        peer: &PeerAddress,
        own: &PeerAddress,
    ) -> Result<Vec<PeerAddress>, CallError> {
        let request = Request::Exchange(Some(own.clone()));
        self.call(peer, &request, (NEIGHBOURS, REPLY_MAX), reply::peers)
            .await
    }

    /// Whom a peer knows.
    pub async fn neighbours(&self, peer: &PeerAddress) -> Result<Vec<PeerAddress>, CallError> {
        let bounds = (NEIGHBOURS, REPLY_MAX);
        self.call(peer, &Request::Peers, bounds, reply::peers).await
    }

    /// Those of at most 100 files that a peer has, each with the hash that was asked for.
    pub async fn zonefiles(
        &self,
        peer: &PeerAddress,
        hashes: &[ZonefileHash],
    ) -> Result<Vec<(ZonefileHash, Vec<u8>)>, CallError> {
        let request = Request::Zonefiles(hashes.to_vec());
        let read = |document: &[u8]| reply::zonefiles(document, hashes);
        self.call(peer, &request, (FETCH, FILES_MAX), read).await
    }

    /// Brings a peer at most 5 files; which of them it keeps, or had.
    pub async fn put(&self, peer: &PeerAddress, files: &[Vec<u8>]) -> Result<Vec<bool>, CallError> {
        let request = Request::Put(files.to_vec());
        let read = |document: &[u8]| reply::saved(document, files.len());
        self.call(peer, &request, (PUSH, REPLY_MAX), read).await
    }

    /// What `read` makes of the document that a peer replies with, in some time and of some bytes at most. A connection on
    /// which anything else came is closed.
    async fn call<T>(
        &self,
        peer: &PeerAddress,
        request: &Request,
        (patience, most): (Duration, usize),
        read: impl FnOnce(&[u8]) -> Result<T, ReplyError>,
    ) -> Result<T, CallError> {
        let detour = self
            .options
            .proxy
            .as_ref()
            .map_or(Duration::ZERO, |_| DETOUR);
        let until = Instant::now() + FETCH.min(patience + detour);
        let document = Bytes::from(request.to_document());
        let exchange = self.exchange_documents(peer, document, most, until);
        let exchanged = timeout_at(until, exchange).await;
        let (document, requests) = exchanged.unwrap_or(Err(CallError::TooSlow))?;
        let reply = read(&document)?;
        self.keep(peer, requests);
        Ok(reply)
    }

    /// On the connection that is there, or on a new one if the peer has closed it meanwhile.
    async fn exchange_documents(
        &self,
        peer: &PeerAddress,
        document: Bytes,
        most: usize,
        until: Instant,
    ) -> Result<(Vec<u8>, SendRequest<Body>), CallError> {
        if let Some(requests) = self.take_idle(peer) {
            match self
                .ask(peer, requests, document.clone(), most, until)
                .await
            {
                Err(CallError::Unreachable(_)) => {}
                replied => return replied,
            }
        }
        let requests = self.connect(peer).await?;
        self.ask(peer, requests, document, most, until).await
    }

    async fn ask(
        &self,
        peer: &PeerAddress,
        mut requests: SendRequest<Body>,
        document: Bytes,
        most: usize,
        until: Instant,
    ) -> Result<(Vec<u8>, SendRequest<Body>), CallError> {
        let request = HttpRequest::post("/RPC2")
            .header(HOST, peer.to_string())
            .header(CONTENT_TYPE, "text/xml")
            .body(Body::from(document));
        let request = request.map_err(unreachable)?;
        requests.ready().await.map_err(broken)?;
        let response = requests.send_request(request).await.map_err(broken)?;
        check_status(response.status())?;
        if is_encoded(response.headers()) {
            return Err(CallError::Malformed("its reply is compressed".into()));
        }
        let document = receive(response.into_body(), most, until).await?;
        Ok((document, requests))
    }

    async fn connect(&self, peer: &PeerAddress) -> Result<SendRequest<Body>, CallError> {
        let stream = match &self.options.proxy {
            Some(proxy) => self.connect_through(proxy, peer).await?,
            None => self.connect_directly(peer).await?,
        };
        let _ = stream.set_nodelay(true); // slower without
        let mut builder = http1::Builder::new();
        builder.max_headers(HEADERS_MAX).max_buf_size(BUFFER);
        let (requests, conversation) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        self.tasks.spawn(async move {
            if let Err(error) = conversation.await {
                tracing::debug!("a connection to a peer ended: {error}");
            }
        });
        Ok(requests)
    }

    async fn connect_through(
        &self,
        proxy: &Socks,
        peer: &PeerAddress,
    ) -> Result<TcpStream, CallError> {
        let host = match peer.host() {
            Host::Ip(ip) => {
                self.permit(peer, *ip)?;
                ip.to_string()
            }
            Host::Name(name) => {
                // Where that is, only the proxy learns; it has to see to its own network.
                let is_allowed = self.options.allow.iter().any(|rule| rule.matches(peer));
                if !peer.is_public() && !is_allowed {
                    return Err(CallError::Forbidden(name.clone()));
                }
                name.clone()
            }
        };
        let (to, target) = (proxy.address, (host.as_str(), peer.port()));
        let stream = match &proxy.user {
            None => Socks5Stream::connect(to, target).await,
            Some((user, password)) => {
                Socks5Stream::connect_with_password(to, target, user, password).await
            }
        };
        let stream = stream.map_err(|error| unreachable(format!("the proxy: {error}")))?;
        Ok(stream.into_inner())
    }

    async fn connect_directly(&self, peer: &PeerAddress) -> Result<TcpStream, CallError> {
        let addresses: Vec<SocketAddr> = match peer.host() {
            Host::Ip(ip) => vec![SocketAddr::new(*ip, peer.port())],
            Host::Name(name) => self.look_up(name.clone(), peer.port()).await?,
        };
        let mut last = unreachable("its name has no address");
        for address in addresses {
            last = match self.permit(peer, address.ip()) {
                Err(forbidden) => forbidden,
                Ok(()) => match TcpStream::connect(address).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => unreachable(error),
                },
            };
        }
        Err(last)
    }

    /// The first addresses of a name.
    async fn look_up(&self, name: String, port: u16) -> Result<Vec<SocketAddr>, CallError> {
        let turn = timeout(TURN, Arc::clone(&self.lookups).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(unreachable("too many other names are being looked up"));
        };
        let looked_up = spawn_blocking(move || {
            let found = (name.as_str(), port).to_socket_addrs();
            drop(turn); // not before: who asked may have given up long ago
            found.map(|all| all.take(ADDRESSES_MAX).collect())
        });
        let found = looked_up.await.map_err(unreachable)?;
        found.map_err(unreachable)
    }

    /// Whether a peer may be called at an address: strangers could send us to machines of our own network.
    fn permit(&self, peer: &PeerAddress, ip: IpAddr) -> Result<(), CallError> {
        let there = PeerAddress::new(ip, peer.port());
        let names = |rule: &PeerRule| rule.matches(peer) || rule.matches(&there);
        let ClientOptions { allow, deny, .. } = &self.options;
        let is_allowed = peer_address::is_public(ip) || allow.iter().any(names);
        let may = is_allowed && !deny.iter().any(names);
        may.then_some(())
            .ok_or_else(|| CallError::Forbidden(ip.to_string()))
    }

    fn take_idle(&self, peer: &PeerAddress) -> Option<SendRequest<Body>> {
        let mut idle = self.idle();
        idle.retain(|idle| idle.since.elapsed() < IDLE && !idle.requests.is_closed());
        let place = idle.iter().rposition(|idle| idle.peer == *peer)?;
        Some(idle.swap_remove(place).requests)
    }

    fn keep(&self, peer: &PeerAddress, requests: SendRequest<Body>) {
        let mut idle = self.idle();
        if idle.len() >= IDLE_MAX {
            idle.remove(0);
        }
        idle.push(Idle {
            peer: peer.clone(),
            requests,
            since: Instant::now(),
        });
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unreachable(why: impl std::fmt::Display) -> CallError {
    CallError::Unreachable(why.to_string())
}

fn broken(error: hyper::Error) -> CallError {
    if error.is_parse() {
        return CallError::Malformed("its reply is not HTTP".into());
    }
    unreachable(error)
}

/// Whether a peer answers at all. One that has too much to do, or something in front of it, says so with its status.
fn check_status(status: StatusCode) -> Result<(), CallError> {
    let said = || format!("it replied with HTTP status {}", status.as_u16());
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::TOO_MANY_REQUESTS => Err(CallError::Refused(said())),
        status if status.is_server_error() => Err(CallError::Refused(said())),
        _ => Err(CallError::Malformed(said())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn names_wait_for_other_names_and_addresses_for_none() {
        let client = Client::new(ClientOptions::default());
        let lookups = Arc::clone(&client.lookups);
        let all = lookups.acquire_many_owned(LOOKUPS_MAX as u32).await;
        let ask = async |address: &str| {
            let peer = address.parse().expect("an address");
            client.info(&peer).await.expect_err("nobody is there")
        };
        let busy = unreachable("too many other names are being looked up");
        assert_eq!(ask("localhost:6264").await, busy);
        let forbidden = |error| matches!(error, CallError::Forbidden(_));
        assert!(forbidden(ask("127.0.0.1:6264").await));
        drop(all);
        assert!(forbidden(ask("localhost:6264").await), "it has its turn");
    }

    #[test]
    fn a_peer_that_has_too_much_to_do_does_not_lie() {
        let failure = |status: u16| {
            let status = StatusCode::from_u16(status).expect("a status");
            check_status(status).err().map(|error| error.failure())
        };
        assert_eq!(failure(200), None);
        for refused in [429, 500, 502, 503] {
            assert_eq!(failure(refused), Some(Failure::Unreachable), "{refused}");
        }
        for malformed in [204, 302, 404] {
            assert_eq!(failure(malformed), Some(Failure::Malformed), "{malformed}");
        }
    }
}
