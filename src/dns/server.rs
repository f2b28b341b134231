//! Listening: binding with errors that help, and running until told to stop.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::access::Access;
use super::client::{Client, Transport};
use super::connections::{Activity, Connections};
use super::handler::Handler;
use super::tls::{Application, Identity, IdentityError};
use super::{https, tcp, udp};
use crate::resolver::Snapshots;
use crate::worker::Crew;

/// How often port 0 is tried again when UDP cannot have the port that TCP got.
const PORT_TRIES: usize = 16;
/// Bytes that wait in a UDP socket, if the system allows as many: about a thousand small packets. More would only make
/// everybody wait behind a flood.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Pending TCP connections in the kernel.
const BACKLOG: i32 = 1024;

/// Patience with a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Descriptors that we would like to have: connections, and a socket for each query at an upstream.
const DESCRIPTORS: u64 = 16_384;

/// Where and how to listen.
#[derive(Debug, Clone)]
pub struct Options {
    /// Addresses, each over UDP and TCP. Port 0 takes any port, the same for both.
    pub listen: Vec<SocketAddr>,
    /// Addresses of DNS over TLS.
    pub tls: Option<Encrypted>,
    /// Addresses of DNS over HTTPS.
    pub https: Option<Encrypted>,
    /// Names by which DNS over HTTPS may be called, lower case, beside `localhost` and addresses.
    pub https_hosts: Vec<String>,
    /// UDP sockets per address; as many as cores is best.
    pub udp_sockets: usize,
    /// TCP connections over all addresses.
    pub tcp_connections: usize,
}

/// Where something encrypted is served, and who it says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encrypted {
    /// Addresses; port 0 takes any port.
    pub listen: Vec<SocketAddr>,
    /// Certificate and key.
    pub identity: Identity,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: vec![
                SocketAddr::from(([127, 0, 0, 1], 53)),
                SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 53)),
            ],
            tls: None,
            https: None,
            https_hosts: Vec::new(),
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
    /// No certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
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
    tls: Vec<(TcpListener, TlsAcceptor)>,
    https: Vec<(TcpListener, TlsAcceptor)>,
    https_hosts: Arc<Vec<String>>,
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
            tls: bind_encrypted(options.tls.as_ref(), Application::Dns)?,
            https: bind_encrypted(options.https.as_ref(), Application::Http)?,
            https_hosts: Arc::new(options.https_hosts.clone()),
            tcp_connections: options.tcp_connections.min(connections_possible()),
        })
    }

    /// The addresses of plain DNS in fact, with the ports that port 0 became.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|one| one.address).collect()
    }

    /// The same for DNS over TLS.
    pub fn tls_addrs(&self) -> Vec<SocketAddr> {
        addresses(&self.tls)
    }

    /// The same for DNS over HTTPS.
    pub fn https_addrs(&self) -> Vec<SocketAddr> {
        addresses(&self.https)
    }

    /// Begins to answer those whom `access` admits, with workers of `crew`. Must be called inside of a tokio runtime.
    pub fn start<P: Snapshots>(
        self,
        handler: &Arc<Handler<P>>,
        access: &Arc<Access>,
        crew: &mut Crew,
    ) -> io::Result<Serving> {
        let connections = Arc::new(Connections::new(self.tcp_connections));
        let mut accept = |protocol: &str, listener: TcpListener, start: Start| {
            let address = listener.local_addr()?;
            let work = tcp::accept(listener, Arc::clone(access), start);
            crew.task(&format!("{protocol} {address}"), work);
            io::Result::Ok(())
        };
        let mut sockets = Vec::new();
        for listener in self.listeners {
            sockets.extend(listener.udp);
            let (handler, connections) = (Arc::clone(handler), Arc::clone(&connections));
            let start = move |stream, peer| {
                let handler = Arc::clone(&handler);
                connections.start(|activity| plain(stream, peer, handler, activity));
            };
            accept("tcp", listener.tcp, Box::new(start))?;
        }
        for (listener, acceptor) in self.tls {
            let (handler, connections) = (Arc::clone(handler), Arc::clone(&connections));
            let start = move |stream, peer| {
                let (handler, acceptor) = (Arc::clone(&handler), acceptor.clone());
                connections.start(|activity| tls(stream, peer, acceptor, handler, activity));
            };
            accept("tls", listener, Box::new(start))?;
        }
        for (listener, acceptor) in self.https {
            let (handler, connections) = (Arc::clone(handler), Arc::clone(&connections));
            let hosts = Arc::clone(&self.https_hosts);
            let start = move |stream, peer| {
                let (handler, acceptor) = (Arc::clone(&handler), acceptor.clone());
                let hosts = Arc::clone(&hosts);
                connections.start(|activity| web(stream, peer, acceptor, hosts, handler, activity));
            };
            accept("https", listener, Box::new(start))?;
        }
        Ok(Serving {
            _loops: udp::Loops::start(sockets, handler, access, crew)?,
            connections,
        })
    }
}

/// What is done with an accepted connection.
type Start = Box<dyn FnMut(TcpStream, IpAddr) + Send>;

/// A server at work. When this is dropped, its threads end and its connections are closed; the tasks that accept
/// new ones are the crew's.
pub struct Serving {
    _loops: udp::Loops,
    connections: Arc<Connections>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.connections.close_all();
    }
}

async fn plain<P: Snapshots>(
    stream: TcpStream,
    peer: IpAddr,
    handler: Arc<Handler<P>>,
    activity: Arc<Activity>,
) {
    let client = Client {
        address: peer,
        transport: Transport::Tcp,
    };
    let _ = stream.set_nodelay(true); // without it answers are late, not wrong
    if let Err(error) = tcp::converse(stream, client, &handler, &activity).await {
        tracing::debug!("on TCP: {error}");
    }
}

async fn tls<P: Snapshots>(
    stream: TcpStream,
    peer: IpAddr,
    acceptor: TlsAcceptor,
    handler: Arc<Handler<P>>,
    activity: Arc<Activity>,
) {
    let client = Client {
        address: peer,
        transport: Transport::Tls,
    };
    let Some(stream) = shake_hands(stream, &acceptor).await else {
        return;
    };
    if let Err(error) = tcp::converse(stream, client, &handler, &activity).await {
        tracing::debug!("on TLS: {error}");
    }
}

async fn web<P: Snapshots>(
    stream: TcpStream,
    peer: IpAddr,
    acceptor: TlsAcceptor,
    hosts: Arc<Vec<String>>,
    handler: Arc<Handler<P>>,
    activity: Arc<Activity>,
) {
    let client = Client {
        address: peer,
        transport: Transport::Https,
    };
    let address = stream.local_addr().map_or(peer, |address| address.ip());
    let Some(stream) = shake_hands(stream, &acceptor).await else {
        return;
    };
    let names = https::Names { hosts, address };
    https::converse(stream, client, names, handler, activity).await;
}

/// The encrypted side of a connection; `None` for clients that do not get that far.
async fn shake_hands(stream: TcpStream, acceptor: &TlsAcceptor) -> Option<TlsStream<TcpStream>> {
    let _ = stream.set_nodelay(true); // as above
    let shaken = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
    shaken.ok()?.ok()
}

fn addresses(listeners: &[(TcpListener, TlsAcceptor)]) -> Vec<SocketAddr> {
    listeners
        .iter()
        .filter_map(|(listener, _)| listener.local_addr().ok())
        .collect()
}

fn bind_encrypted(
    encrypted: Option<&Encrypted>,
    application: Application,
) -> Result<Vec<(TcpListener, TlsAcceptor)>, BindError> {
    let Some(encrypted) = encrypted else {
        return Ok(Vec::new());
    };
    let acceptor = encrypted.identity.acceptor(application)?;
    let bind = |&address: &SocketAddr| {
        let listener = tcp_socket(address).map_err(|error| BindError::new(address, error))?;
        Ok((listener, acceptor.clone()))
    };
    encrypted.listen.iter().map(bind).collect()
}

/// Raises the limit of open descriptors as far as it may be, and leaves a fifth of them for everything else.
fn connections_possible() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a value of our own that lives across the call (POSIX getrlimit).
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return usize::MAX;
    }
    let wanted = limit.rlim_max.min(DESCRIPTORS);
    if limit.rlim_cur < wanted {
        let raised = libc::rlimit {
            rlim_cur: wanted,
            rlim_max: limit.rlim_max,
        };
        // SAFETY: as above; the system copies the value.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            limit.rlim_cur = wanted;
        }
    }
    usize::try_from(limit.rlim_cur / 5 * 4).unwrap_or(usize::MAX)
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
    socket.set_nonblocking(true)?;
    // A restart must not wait for the old connections to fade.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn udp_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    socket.set_reuse_port(true)?;
    // As much as the system allows: what does not fit is lost before anybody has looked at it.
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
