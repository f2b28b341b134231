//! Listening: binding with errors that help, and running until told to stop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use super::handler::{Handler, Snapshots};
use super::{tcp, udp};

/// How often port 0 is tried again when UDP cannot have the port that TCP got.
const PORT_TRIES: usize = 16;
/// Pending TCP connections in the kernel.
const BACKLOG: i32 = 1024;

/// Where and how to listen.
#[derive(Debug, Clone)]
pub struct Options {
    /// Addresses, each over UDP and TCP. Port 0 takes any port, the same for both.
    pub listen: Vec<SocketAddr>,
    /// UDP sockets per address; as many as cores is best.
    pub udp_sockets: usize,
    /// TCP connections over all addresses.
    pub tcp_connections: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: vec![
                SocketAddr::from(([127, 0, 0, 1], 53)),
                SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 53)),
            ],
            udp_sockets: std::thread::available_parallelism().map_or(1, usize::from),
            tcp_connections: 1000,
        }
    }
}

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
    fn new(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::Taken(address),
            io::ErrorKind::PermissionDenied => Self::Denied(address),
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress(address),
            _ => Self::Other(address, error),
        }
    }
}

impl BindError {
    /// A machine without IPv6 (or without IPv4) is served on what it has.
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

/// Bound sockets, not yet answering.
pub struct Server {
    listeners: Vec<Listener>,
    tcp_connections: usize,
}

struct Listener {
    address: SocketAddr,
    tcp: TcpListener,
    udp: Vec<UdpSocket>,
}

impl Server {
    /// Takes all addresses. Must be called inside of a tokio runtime.
    pub fn bind(options: &Options) -> Result<Self, BindError> {
        let mut listeners = Vec::with_capacity(options.listen.len());
        for &address in &options.listen {
            match bind(address, options.udp_sockets.max(1)) {
                Ok(listener) => listeners.push(listener),
                Err(error) if error.is_absent_loopback() && options.listen.len() > 1 => {
                    tracing::warn!("not listening on {address}: this machine does not have it");
                }
                Err(error) => return Err(error),
            }
        }
        if listeners.is_empty() {
            return Err(BindError::Nothing);
        }
        Ok(Self {
            listeners,
            tcp_connections: options.tcp_connections,
        })
    }

    /// The addresses in fact, with the ports that port 0 became.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|one| one.address).collect()
    }

    /// Answers until `shutdown` is ready.
    pub async fn run<P: Snapshots>(
        self,
        handler: Arc<Handler<P>>,
        shutdown: impl Future<Output = ()>,
    ) {
        let connections = Arc::new(tcp::Connections::new(self.tcp_connections));
        let mut tasks = JoinSet::new();
        for listener in self.listeners {
            for socket in listener.udp {
                tasks.spawn(udp::serve(Arc::new(socket), Arc::clone(&handler)));
            }
            tasks.spawn(tcp::serve(
                listener.tcp,
                Arc::clone(&handler),
                Arc::clone(&connections),
            ));
        }
        shutdown.await;
        tasks.shutdown().await;
        connections.close_all();
    }
}

/// TCP goes first: it is not shared between processes, so a second instance is noticed there.
fn bind(address: SocketAddr, udp_sockets: usize) -> Result<Listener, BindError> {
    let fail = |error| BindError::new(address, error);
    let mut tries = 0;
    loop {
        let tcp = tcp_socket(address).map_err(fail)?;
        let actual = tcp.local_addr().map_err(fail)?;
        let udp = (0..udp_sockets)
            .map(|_| udp_socket(actual))
            .collect::<io::Result<Vec<_>>>();
        match udp {
            Ok(udp) => {
                return Ok(Listener {
                    address: actual,
                    tcp,
                    udp,
                });
            }
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

fn tcp_socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address, Type::STREAM, Protocol::TCP)?;
    // A restart must not wait for the old connections to fade.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn udp_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(address: SocketAddr) -> Options {
        Options {
            listen: vec![address],
            ..Options::default()
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_one_sentence_that_says_what_to_do() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = Server::bind(&options(any)).expect("a free port");
        let taken = first.local_addrs()[0];
        let Err(error) = Server::bind(&options(taken)) else {
            panic!("two servers on one port");
        };
        let expected = format!(
            "port {} on 127.0.0.1 is taken (by another bnsd?): stop it, or choose another with --listen",
            taken.port()
        );
        assert_eq!(error.to_string(), expected);
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_refused() {
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
        let Err(error) = Server::bind(&options(elsewhere)) else {
            panic!("bound a foreign address");
        };
        assert!(matches!(error, BindError::NoSuchAddress(_)), "{error}");
    }
}
