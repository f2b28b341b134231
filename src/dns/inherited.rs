//! Sockets for plain DNS that a service manager bound and handed over: what came is checked before anything is served.
//!
//! Whoever handed them over keeps them, and gives them to the next process. So queries that arrive in between wait in
//! the socket, and what we do to a socket stays: it is never shut down.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use rustix::fs::{FileType, fstat};
use socket2::{Domain, Protocol, SockRef, Type};

use super::bind::{BindError, Bound, RECEIVE_BUFFER};
use super::udp::Sockets;

/// Why what was handed over is not served on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotForDns {
    /// It is something else.
    #[error(
        "descriptor {0} that the service manager passed is {1}, and bnsd takes UDP sockets and listening TCP sockets of IPv4 or IPv6: correct the socket unit"
    )]
    Kind(RawFd, String),
    /// An address has only one of the two.
    #[error(
        "the service manager passed no {0} socket for {1}, and DNS needs UDP and TCP: add {2}={1} to the socket unit"
    )]
    Half(&'static str, SocketAddr, &'static str),
    /// An address came twice.
    #[error("the service manager passed two {0} sockets for {1}: remove one from the socket unit")]
    Twice(&'static str, SocketAddr),
}

/// Sockets for plain DNS, both kinds for each address.
pub struct Inherited(BTreeMap<SocketAddr, (TcpListener, UdpSocket)>);

/// What may be served on.
enum Served {
    Udp,
    Tcp,
}

impl Inherited {
    /// Takes the descriptors if all of them are for DNS.
    pub fn new(descriptors: Vec<OwnedFd>) -> Result<Self, NotForDns> {
        let (mut udp, mut tcp) = (BTreeMap::new(), BTreeMap::new());
        for descriptor in descriptors {
            let number = descriptor.as_raw_fd();
            let kind = |what| NotForDns::Kind(number, what);
            let (served, address) = served(&descriptor).map_err(kind)?;
            let twice = match served {
                Served::Udp => udp.insert(address, descriptor.into()).map(|_| "UDP"),
                Served::Tcp => tcp.insert(address, descriptor.into()).map(|_| "TCP"),
            };
            if let Some(name) = twice {
                return Err(NotForDns::Twice(name, address));
            }
        }
        let mut both = BTreeMap::new();
        for (address, udp) in udp {
            let tcp = tcp.remove(&address);
            let tcp = tcp.ok_or(NotForDns::Half("TCP", address, "ListenStream"))?;
            both.insert(address, (tcp, udp));
        }
        match tcp.keys().next() {
            Some(&address) => Err(NotForDns::Half("UDP", address, "ListenDatagram")),
            None => Ok(Self(both)),
        }
    }

    /// What is served on.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.keys().copied()
    }

    /// The same as sockets that were bound here, each UDP socket for so many readers.
    pub(super) fn bound(self, readers: usize) -> Result<Vec<Bound>, BindError> {
        let mut all = Vec::new();
        for (address, (tcp, udp)) in self.0 {
            let fail = |error| BindError::new(address, error);
            udp.set_nonblocking(false).map_err(fail)?; // the loops wait in the kernel
            let options = SockRef::from(&udp);
            // As for those that are bound here; a manager may have given more than we can.
            if options
                .recv_buffer_size()
                .is_ok_and(|size| size < RECEIVE_BUFFER)
            {
                let _ = options.set_recv_buffer_size(RECEIVE_BUFFER);
            }
            all.push((tcp, Sockets::Inherited(udp, readers)));
        }
        Ok(all)
    }
}

/// How a descriptor is served on, and where, or what it is instead.
fn served(descriptor: &OwnedFd) -> Result<(Served, SocketAddr), String> {
    let socket = SockRef::from(descriptor);
    let Ok(kind) = socket.r#type() else {
        return Err(file(descriptor));
    };
    let local = socket.local_addr().map_err(|error| error.to_string())?;
    let what = || format!("{} {}", family(local.domain()), name(kind));
    let is_ip = local.domain() == Domain::IPV4 || local.domain() == Domain::IPV6;
    let served = match kind {
        Type::DGRAM if is_ip && is_of(&socket, Protocol::UDP) => Served::Udp,
        Type::STREAM if is_ip && is_of(&socket, Protocol::TCP) => Served::Tcp,
        _ => return Err(what()),
    };
    match served {
        Served::Udp if socket.peer_addr().is_ok() => {
            return Err("a UDP socket that is connected to one client".to_owned());
        }
        Served::Tcp if !listens(&socket) => {
            return Err("a TCP socket that does not listen".to_owned());
        }
        Served::Udp | Served::Tcp => {}
    }
    let address = local.as_socket().filter(|address| address.port() != 0);
    match address {
        None => Err(format!("{} without an address", what())),
        // Addresses of IPv4 clients would arrive in IPv6 clothes, and `dns.access` would not know them.
        Some(address) if takes_both(&socket, address).unwrap_or(true) => {
            Err("an IPv6 socket that takes IPv4 too (set BindIPv6Only=ipv6-only)".to_owned())
        }
        Some(address) => Ok((served, address)),
    }
}

fn takes_both(socket: &SockRef<'_>, address: SocketAddr) -> io::Result<bool> {
    Ok(address.is_ipv6() && address.ip().is_unspecified() && !socket.only_v6()?)
}

#[cfg(target_os = "linux")]
fn is_of(socket: &SockRef<'_>, protocol: Protocol) -> bool {
    matches!(socket.protocol(), Ok(Some(found)) if found == protocol)
}

#[cfg(target_os = "linux")]
fn listens(socket: &SockRef<'_>) -> bool {
    socket.is_listener().unwrap_or(false)
}

/// Other systems do not say it.
#[cfg(not(target_os = "linux"))]
fn is_of(_: &SockRef<'_>, _: Protocol) -> bool {
    true
}

#[cfg(not(target_os = "linux"))]
fn listens(_: &SockRef<'_>) -> bool {
    true
}

fn family(domain: Domain) -> &'static str {
    match domain {
        Domain::UNIX => "a unix",
        Domain::IPV4 => "an IPv4",
        Domain::IPV6 => "an IPv6",
        _ => "a foreign",
    }
}

fn name(kind: Type) -> &'static str {
    match kind {
        Type::STREAM => "stream socket",
        Type::DGRAM => "datagram socket",
        _ => "raw or packet socket",
    }
}

/// What a descriptor is that is no socket.
fn file(descriptor: &OwnedFd) -> String {
    let kind = fstat(descriptor).map(|stat| FileType::from_raw_mode(stat.st_mode));
    match kind {
        Ok(FileType::Fifo) => "a pipe",
        Ok(FileType::RegularFile) => "a file",
        Ok(FileType::Directory) => "a directory",
        Ok(FileType::CharacterDevice) => "a device",
        _ => "no socket",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;

    fn udp() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").expect("a socket")
    }

    fn refusal(descriptors: Vec<OwnedFd>) -> String {
        match Inherited::new(descriptors) {
            Ok(_) => panic!("taken"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn whatever_is_not_for_dns_is_named() {
        let (reader, _writer) = io::pipe().expect("a pipe");
        let file = std::fs::File::open("/dev/null").expect("a file");
        let (stream, _other) = UnixStream::pair().expect("a pair");
        let idle = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let loose = socket2::Socket::new(Domain::IPV6, Type::DGRAM, None).expect("a socket");
        let connected = udp();
        connected.connect("127.0.0.1:9").expect("an address");
        let cases: [(OwnedFd, &str); 7] = [
            (reader.into(), "is a pipe,"),
            (file.into(), "is a device,"),
            (stream.into(), "is a unix stream socket,"),
            (
                UnixDatagram::unbound().expect("a socket").into(),
                "is a unix datagram socket,",
            ),
            (idle.into(), "is a TCP socket that does not listen,"),
            (
                loose.into(),
                "is an IPv6 datagram socket without an address,",
            ),
            (connected.into(), "connected to one client,"),
        ];
        for (descriptor, part) in cases {
            let text = refusal(vec![descriptor]);
            assert!(
                text.contains(part) && text.contains("correct the socket unit"),
                "{text}"
            );
        }
    }

    #[test]
    fn every_address_has_both_kinds_once() {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = tcp.local_addr().expect("an address");
        let alone = refusal(vec![tcp.try_clone().expect("a copy").into()]);
        assert!(
            alone.ends_with(&format!("add ListenDatagram={address} to the socket unit")),
            "{alone}"
        );
        let other = refusal(vec![udp().into()]);
        assert!(other.contains("no TCP socket"), "{other}");
        let twice = refusal(vec![tcp.try_clone().expect("a copy").into(), tcp.into()]);
        assert!(twice.contains("two TCP sockets"), "{twice}");
    }
}
