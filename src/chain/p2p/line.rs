//! The connection to one peer: how it is made, how both introduce themselves, and what goes over it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bitcoin::p2p::message::NetworkMessage;
use bitcoin::p2p::{Magic, ServiceFlags};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_socks::tcp::Socks5Stream;

use super::end::{End, Lie};
use super::member::Serves;
use super::message::{self, Heard, Introduction};
use super::orders::PATIENCE;
use super::receive::receive;
use super::{PeerId, Resolve};
use crate::clock::{Clock as _, SystemClock};
use crate::peer_address::{Host, PeerAddress};

/// How long it may take until both know who the other is, the connection included.
const HANDSHAKE: Duration = Duration::from_secs(60);
/// How long one address may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;
/// The oldest protocol that has `getheaders` (Bitcoin Core's `MIN_PEER_PROTO_VERSION`).
const PROTOCOL_MIN: u32 = 31_800;
/// Since when peers name each other with `addrv2` (BIP 155); older ones may mind what they do not know.
const PROTOCOL_ADDRV2: u32 = 70_016;

/// What the node hears of a connection.
pub(super) enum Event {
    /// The peer said who it is.
    Joined(PeerId, Serves, u32),
    /// It said something, in so many bytes.
    Heard(PeerId, Heard, u64),
    /// The conversation is over.
    Ended(PeerId, End),
    /// A seed named peers.
    Named(Vec<IpAddr>),
}

/// Bytes that went over all connections.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Received.
    pub received: AtomicU64,
    /// Sent.
    pub sent: AtomicU64,
}

/// How peers are reached.
#[derive(Clone)]
pub(super) struct Way {
    /// The SOCKS5 proxy, which also looks names up.
    pub proxy: Option<SocketAddr>,
    /// Looks names up where there is no proxy.
    pub resolve: Arc<Resolve>,
}

/// One end of a connection.
pub(super) struct Line {
    /// The peer's number.
    pub id: PeerId,
    /// The magic of the network.
    pub network: Magic,
    /// A number that no other connection has.
    pub nonce: u64,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// Where events go.
    pub events: Sender<Event>,
    /// What is to be said.
    pub outbox: Receiver<NetworkMessage>,
}

impl Line {
    /// Calls a peer and stays until the conversation is over, which is the last event.
    pub async fn call(mut self, peer: PeerAddress, way: Way) {
        let end = self.converse(&peer, &way).await;
        let ended = Event::Ended(self.id, end);
        let _ = self.events.send(ended).await; // the node ends otherwise
    }

    async fn converse(&mut self, peer: &PeerAddress, way: &Way) -> End {
        let greeted = timeout(HANDSHAKE, async {
            let mut stream = connect(peer, way).await?;
            let introduction = self.greet(&mut stream).await?;
            Ok((stream, introduction))
        });
        match greeted.await {
            Err(_) => End::Silent,
            Ok(Err(end)) => end,
            Ok(Ok((stream, introduction))) => self.stay(stream, introduction).await,
        }
    }

    /// Both say who they are.
    async fn greet(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> Result<Introduction, End> {
        let time = SystemClock::start().unix_time();
        self.say(stream, message::introduce(self.nonce, time))
            .await?;
        let mut introduction = None;
        loop {
            let received = receive(stream, self.network, &self.counters.received).await?;
            match (received.0, introduction) {
                (Heard::Version(said), None) => {
                    self.check(said)?;
                    introduction = Some(said);
                    if said.version >= PROTOCOL_ADDRV2 {
                        self.say(stream, NetworkMessage::SendAddrV2).await?;
                    }
                    self.say(stream, NetworkMessage::Verack).await?;
                }
                (Heard::Verack, Some(said)) => return Ok(said),
                (Heard::Other, _) => {}
                _ => return Err(Lie::Order.into()),
            }
        }
    }

    fn check(&self, said: Introduction) -> Result<(), End> {
        if said.nonce == self.nonce {
            return Err(Lie::Own.into());
        }
        if said.version < PROTOCOL_MIN || !message::serves(said.services) {
            return Err(Lie::Useless.into());
        }
        Ok(())
    }

    /// Listens and speaks until one of both is over.
    async fn stay(
        &mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        said: Introduction,
    ) -> End {
        let serves = match said.services.has(ServiceFlags::NETWORK) {
            true => Serves::All,
            false => Serves::Recent,
        };
        let (mut reader, mut writer) = split(stream);
        let (id, events) = (self.id, self.events.clone());
        let (network, counters) = (self.network, Arc::clone(&self.counters));
        let listen = async move {
            let mut event = Event::Joined(id, serves, said.height);
            loop {
                if events.send(event).await.is_err() {
                    return End::Relieved; // the node ends
                }
                event = match receive(&mut reader, network, &counters.received).await {
                    Ok((heard, bytes)) => Event::Heard(id, heard, bytes),
                    Err(end) => return end,
                };
            }
        };
        let speak = async {
            while let Some(message) = self.outbox.recv().await {
                let bytes = message::write(message, network);
                if let Err(end) = send(&mut writer, &bytes, &self.counters).await {
                    return end;
                }
            }
            End::Relieved
        };
        tokio::select! {
            end = listen => end,
            end = speak => end,
        }
    }

    async fn say(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        message: NetworkMessage,
    ) -> Result<(), End> {
        send(
            stream,
            &message::write(message, self.network),
            &self.counters,
        )
        .await
    }
}

async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    counters: &Counters,
) -> Result<(), End> {
    let sent = timeout(PATIENCE, stream.write_all(bytes)).await;
    sent.map_err(|_| End::Slow)?.map_err(broken)?;
    counters
        .sent
        .fetch_add(bytes.len() as u64, Ordering::Relaxed);
    Ok(())
}

async fn connect(peer: &PeerAddress, way: &Way) -> Result<TcpStream, End> {
    let stream = match way.proxy {
        Some(proxy) => connect_through(proxy, peer).await?,
        None => connect_directly(peer, &way.resolve).await?,
    };
    let _ = stream.set_nodelay(true); // slower without
    Ok(stream)
}

async fn connect_through(proxy: SocketAddr, peer: &PeerAddress) -> Result<TcpStream, End> {
    let host = match peer.host() {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    };
    let stream = Socks5Stream::connect(proxy, (host.as_str(), peer.port())).await;
    let stream = stream.map_err(|error| End::Unreachable(format!("the proxy says: {error}")))?;
    Ok(stream.into_inner())
}

async fn connect_directly(peer: &PeerAddress, resolve: &Arc<Resolve>) -> Result<TcpStream, End> {
    let addresses = match peer.host() {
        Host::Ip(ip) => vec![*ip],
        Host::Name(name) => look_up(resolve, name.clone()).await,
    };
    let mut problem = "its name has no address".to_owned();
    for ip in addresses.into_iter().take(ADDRESSES_MAX) {
        let address = SocketAddr::new(ip, peer.port());
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => problem = error.to_string(),
            Err(_) => "no answer".clone_into(&mut problem),
        }
    }
    Err(End::Unreachable(problem))
}

/// The addresses of a name, none where it has none or cannot be looked up.
pub(super) async fn look_up(resolve: &Arc<Resolve>, name: String) -> Vec<IpAddr> {
    let resolve = Arc::clone(resolve);
    let found = spawn_blocking(move || resolve(&name)).await;
    found.unwrap_or_default() // the runtime ends
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn broken(error: std::io::Error) -> End {
    End::Broken(error.to_string())
}
