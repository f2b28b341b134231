//! Sockets to listen on, and errors that say what to do where there are none.
//!
//! Plain DNS takes each address over UDP and TCP. TCP goes first: its port is not shared between processes, so a second
//! instance is noticed there. UDP sockets share their port (SO_REUSEPORT), one for each thread. Sockets that somebody
//! else bound are [`Inherited`](super::Inherited).

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::inherited::NotForDns;
use super::udp::Sockets;

/// How often port 0 is tried again when UDP cannot have the port that TCP got.
const PORT_TRIES: usize = 16;
/// Bytes that wait in a UDP socket, if the system allows as many: about a thousand small packets. More would only make
/// everybody wait behind a flood.
pub(super) const RECEIVE_BUFFER: usize = 1 << 20;
/// Pending TCP connections in the kernel.
const BACKLOG: i32 = 1024;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else has the port.
    #[error("port {} on {} is taken{}: stop it, or choose another with --listen", .0.port(), .0.ip(), suspect(*.0))]
    Taken(SocketAddr),
    /// Ports below 1024 are not for everyone.
    #[error("port {} on {} needs more rights: give bnsd CAP_NET_BIND_SERVICE, run it as root, or choose a port above 1023 with --listen", .0.port(), .0.ip())]
    Denied(SocketAddr),
    /// No interface has the address.
    #[error("{} is no address of this machine: choose another with --listen", .0.ip())]
    NoSuchAddress(SocketAddr),
    /// A socket that was handed over is none for DNS.
    #[error(transparent)]
    Inherited(#[from] NotForDns),
    /// Nothing to listen on.
    #[error("no address to listen on: give one with --listen")]
    Nothing,
    /// Something else.
    #[error("cannot listen on {0}: {1}; choose another address with --listen")]
    Other(SocketAddr, io::Error),
}

/// Who usually has that port.
fn suspect(address: SocketAddr) -> &'static str {
    if address.port() == 53 {
        " (by systemd-resolved?)"
    } else {
        " (by another bnsd?)"
    }
}

impl BindError {
    pub(super) fn new(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::Taken(address),
            io::ErrorKind::PermissionDenied => Self::Denied(address),
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress(address),
            _ => Self::Other(address, error),
        }
    }

    /// Whether the machine lacks IPv6 or IPv4; it is then served on what it has.
    fn is_absent_loopback(&self) -> bool {
        match self {
            Self::NoSuchAddress(address) => address.ip().is_loopback(),
            Self::Other(address, error) => {
                address.ip().is_loopback() && error.raw_os_error() == Some(libc::EAFNOSUPPORT)
            }
            _ => false,
        }
    }
}

/// The sockets of one address.
pub(super) type Bound = (TcpListener, Sockets);

/// Takes addresses for plain DNS. A loopback address that the machine does not have is left out if there are others.
pub(super) fn bind_all(
    addresses: &[SocketAddr],
    udp_sockets: usize,
) -> Result<Vec<Bound>, BindError> {
    let mut all = Vec::with_capacity(addresses.len());
    for &address in addresses {
        match bind(address, udp_sockets.max(1)) {
            Ok(bound) => all.push(bound),
            Err(error) if error.is_absent_loopback() && addresses.len() > 1 => {
                tracing::warn!("not listening on {address}: this machine does not have it");
            }
            Err(error) => return Err(error),
        }
    }
    match all.is_empty() {
        true => Err(BindError::Nothing),
        false => Ok(all),
    }
}

fn bind(address: SocketAddr, udp_sockets: usize) -> Result<Bound, BindError> {
    let fail = |error| BindError::new(address, error);
    let mut tries = 0;
    loop {
        let tcp = tcp_socket(address)?;
        let actual = tcp.local_addr().map_err(fail)?;
        let udp = (0..udp_sockets).map(|_| udp_socket(actual));
        match udp.collect::<io::Result<Vec<_>>>() {
            Ok(udp) => return Ok((tcp, Sockets::Own(udp))),
            Err(error)
                if address.port() == 0
                    && error.kind() == io::ErrorKind::AddrInUse
                    && tries < PORT_TRIES =>
            {
                tries += 1;
            }
            Err(error) => return Err(fail(error)),
        }
    }
}

/// Takes an address for connections.
pub(super) fn tcp_socket(address: SocketAddr) -> Result<TcpListener, BindError> {
    let listen = || {
        let socket = socket(address, Type::STREAM, Protocol::TCP)?;
        // A restart must not wait for the old connections to fade.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    listen().map_err(|error| BindError::new(address, error))
}

fn udp_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    socket.set_reuse_port(true)?;
    // As much as the system allows: what does not fit is lost.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}
