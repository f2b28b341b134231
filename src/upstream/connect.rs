//! Connections to upstreams that speak over streams, and the addresses of those that are known by name.
//!
//! Addresses of one host are tried one after another with a head start of a quarter second (RFC 8305 §5), the
//! two families in turn. A name of an upstream is asked of the bootstrap resolvers alone, in the clear; it is
//! the only thing that ever is when upstreams are encrypted, and a wrong response fails in the handshake.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hickory_proto::rr::{Name, RecordType};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::ask::Ask;
use super::attempt::Failed;
use super::config::Place;
use super::message::{Judged, Letters, Options, Sent};
use super::udp::ask_udp;
use crate::wire::{Section, rtype};

/// Head start of an address before the next one is tried too.
const HEAD_START: Duration = Duration::from_millis(250);
/// Patience with one bootstrap resolver.
const PATIENCE: Duration = Duration::from_millis(700);
/// Shortest and longest time for which the addresses of an upstream are kept.
const KEEP: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));
/// Bootstrap resolvers that are asked.
const RESOLVERS_MAX: usize = 3;
/// Addresses of a host that are tried.
const ADDRESSES_MAX: usize = 8;

/// Where an upstream is, found out when needed.
#[derive(Debug)]
pub struct Locator {
    place: Place,
    bootstrap: Vec<SocketAddr>,
    /// The addresses of a host, and until when they hold.
    known: Mutex<Option<(Vec<SocketAddr>, Instant)>>,
}

impl Locator {
    /// Where `place` is; a host is asked of `bootstrap`.
    pub fn new(place: Place, bootstrap: &[SocketAddr]) -> Self {
        Self {
            place,
            bootstrap: bootstrap.to_vec(),
            known: Mutex::default(),
        }
    }

    /// Connects over TCP.
    pub async fn connect(&self) -> Result<TcpStream, Failed> {
        let connected = connect_first(&self.addresses().await?).await;
        let stream = connected.inspect_err(|_| self.forget())?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Forgets addresses that were looked up.
    pub fn forget(&self) {
        *self.known() = None;
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, Failed> {
        let (host, port) = match &self.place {
            Place::Address(address) => return Ok(vec![*address]),
            Place::Host(host, port) => (host, *port),
        };
        let known = self.known().clone();
        if let Some((addresses, _)) = known.filter(|(_, until)| Instant::now() < *until) {
            return Ok(addresses);
        }
        let (ips, keep) = look_up(host, &self.bootstrap).await?;
        let addresses: Vec<_> = ips.iter().map(|&ip| SocketAddr::new(ip, port)).collect();
        *self.known() = Some((addresses.clone(), Instant::now() + keep));
        Ok(addresses)
    }

    fn known(&self) -> MutexGuard<'_, Option<(Vec<SocketAddr>, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first connection that stands.
async fn connect_first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut waiting: FuturesUnordered<_> = addresses
        .iter()
        .zip(0_u32..)
        .map(|(&address, place)| async move {
            sleep(HEAD_START * place).await;
            TcpStream::connect(address).await
        })
        .collect();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    while let Some(connected) = waiting.next().await {
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The addresses of a host, the families in turn, and how long they hold.
async fn look_up(host: &str, resolvers: &[SocketAddr]) -> Result<(Vec<IpAddr>, Duration), Failed> {
    let unknown = |why: &str| Failed::Unreachable(format!("cannot find {host}: {why}"));
    if resolvers.is_empty() {
        return Err(unknown("set `dns.bootstrap` or write NAME@ADDRESS"));
    }
    let name = Name::from_ascii(host).map_err(|_| unknown("it is no name"))?;
    for &resolver in resolvers.iter().take(RESOLVERS_MAX) {
        let (v4, v6) = tokio::join!(
            addresses(resolver, &name, RecordType::A),
            addresses(resolver, &name, RecordType::AAAA)
        );
        let keep = v4.1.min(v6.1).clamp(KEEP.0, KEEP.1);
        let longer = v4.0.len().max(v6.0.len());
        let in_turn = (0..longer)
            .flat_map(|index| [v6.0.get(index), v4.0.get(index)])
            .flatten();
        let found: Vec<IpAddr> = in_turn.copied().take(ADDRESSES_MAX).collect();
        if !found.is_empty() {
            return Ok((found, keep));
        }
    }
    Err(unknown("the bootstrap resolvers know no address"))
}

async fn addresses(to: SocketAddr, name: &Name, rtype: RecordType) -> (Vec<IpAddr>, Duration) {
    let ask = Ask::own(name, rtype);
    for letters in [Letters::Mixed, Letters::Lower] {
        let sent = Sent::new(&ask, letters, Options::NoEdns);
        match ask_udp(to, &sent, PATIENCE).await {
            Ok(judged) => return read_addresses(&judged),
            // Only the handshake decides whom to believe, so an old resolver may answer in its own letters
            // to a question without any to change.
            Err(Failed::WrongCase) => {}
            Err(_) => break,
        }
    }
    (Vec::new(), KEEP.1)
}

fn read_addresses(judged: &Judged) -> (Vec<IpAddr>, Duration) {
    let mut keep = KEEP.1;
    let mut found = Vec::new();
    for record in judged.walk.section(Section::Answer) {
        let data = record.data(&judged.bytes);
        let ip = match record.rtype {
            rtype::A => <[u8; 4]>::try_from(data).map(IpAddr::from),
            rtype::AAAA => <[u8; 16]>::try_from(data).map(IpAddr::from),
            _ => continue,
        };
        let Ok(ip) = ip else { continue };
        keep = keep.min(Duration::from_secs(record.ttl.into()));
        found.push(ip);
    }
    (found, keep)
}
