//! A server: it listens on all its sockets, and hands connections and UDP sockets to those who speak on them.
//!
//! Binding needs no runtime, starts no thread and reads no file, so that a process can give up its rights between
//! [`Ports::bind`] and [`Server::new`], which reads keys as whoever it is by then.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::access::Access;
use super::bind::{BindError, Bound, bind_all, tcp_socket};
use super::client::{Client, Transport};
use super::handler::Handler;
use super::inherited::Inherited;
use super::tls::{Identity, IdentityError, Shown};
use super::{https, tcp, udp};
use crate::connections::{Activity, Connections};
use crate::host::ServerNames;
use crate::resolver::Snapshots;
use crate::worker::Crew;

/// Connections that are enough for one machine or network.
pub const CONNECTIONS_MAX: usize = 1000;
/// Patience with a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// UDP sockets per address, or readers of an inherited one; as many as cores is best.
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
            tcp_connections: CONNECTIONS_MAX,
        }
    }
}

/// Bound sockets of which nobody knows yet what is spoken on them.
pub struct Ports {
    plain: Vec<Bound>,
    tls: Vec<TcpListener>,
    https: Vec<TcpListener>,
}

impl Ports {
    /// Takes all addresses. No file is read.
    pub fn bind(options: &Options) -> Result<Self, BindError> {
        Self::beside(bind_all(&options.listen, options.udp_sockets)?, options)
    }

    /// Takes sockets for plain DNS that were handed over, instead of the addresses of `options`.
    pub fn inherit(sockets: Inherited, options: &Options) -> Result<Self, BindError> {
        Self::beside(sockets.bound(options.udp_sockets)?, options)
    }

    fn beside(plain: Vec<Bound>, options: &Options) -> Result<Self, BindError> {
        let listeners = |encrypted: &Option<Encrypted>| -> Result<Vec<_>, BindError> {
            let addresses = encrypted.iter().flat_map(|encrypted| &encrypted.listen);
            addresses.map(|address| tcp_socket(*address)).collect()
        };
        Ok(Self {
            plain,
            tls: listeners(&options.tls)?,
            https: listeners(&options.https)?,
        })
    }
}

/// Bound sockets, not yet answering.
pub struct Server {
    udp: Vec<udp::Sockets>,
    listeners: Vec<(TcpListener, Protocol)>,
    /// What is shown in handshakes.
    shown: Vec<Arc<Shown>>,
    tcp_connections: usize,
}

impl Server {
    /// Reads the identities of `options`, or makes them.
    pub fn new(ports: Ports, options: &Options) -> Result<Self, IdentityError> {
        let mut server = Self {
            udp: Vec::new(),
            listeners: Vec::new(),
            shown: Vec::new(),
            tcp_connections: options.tcp_connections,
        };
        for (tcp, udp) in ports.plain {
            server.udp.push(udp);
            server.listeners.push((tcp, Protocol::Tcp));
        }
        if let Some(tls) = &options.tls {
            let acceptor = server.show(tls, options)?.acceptor(&["dot"])?;
            server.listen(ports.tls, &Protocol::Tls(acceptor));
        }
        if let Some(https) = &options.https {
            let acceptor = server.show(https, options)?.acceptor(&["h2", "http/1.1"])?;
            let hosts = Arc::new(options.https_hosts.clone());
            server.listen(ports.https, &Protocol::Https(acceptor, hosts));
        }
        Ok(server)
    }

    /// The identity of what is encrypted. One of our own is for all that is encrypted.
    fn show(
        &mut self,
        encrypted: &Encrypted,
        options: &Options,
    ) -> Result<Arc<Shown>, IdentityError> {
        let all = [&options.tls, &options.https].into_iter().flatten();
        let addresses = all.flat_map(|all| all.listen.iter().map(SocketAddr::ip));
        let shown = encrypted.identity.show(addresses, &options.https_hosts)?;
        self.shown.push(Arc::clone(&shown));
        Ok(shown)
    }

    fn listen(&mut self, listeners: Vec<TcpListener>, protocol: &Protocol) {
        let listeners = listeners.into_iter();
        self.listeners
            .extend(listeners.map(|listener| (listener, protocol.clone())));
    }

    /// The addresses of a transport in fact, with the ports that port 0 became. Plain DNS has those of TCP.
    pub fn addresses(&self, transport: Transport) -> Vec<SocketAddr> {
        let all = self.listeners.iter();
        all.filter(|(_, protocol)| protocol.transport() == transport)
            .filter_map(|(listener, _)| listener.local_addr().ok())
            .collect()
    }

    /// Begins to answer those whom `access` admits, with workers of `crew`. Must be called inside of a tokio runtime.
    pub fn start<P: Snapshots>(
        self,
        handler: &Arc<Handler<P>>,
        access: &Arc<Access>,
        crew: &mut Crew,
    ) -> io::Result<Serving> {
        let connections = Connections::new(self.tcp_connections, "a connection of a client");
        for (listener, protocol) in self.listeners {
            let name = format!("{} {}", protocol.name(), listener.local_addr()?);
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let (handler, places) = (Arc::clone(handler), Arc::clone(&connections));
            let start = move |stream, peer| {
                let (protocol, handler) = (protocol.clone(), Arc::clone(&handler));
                places.start(|activity| protocol.converse(stream, peer, handler, activity));
            };
            let (access, connections) = (Arc::clone(access), Arc::clone(&connections));
            crew.task(&name, tcp::accept(listener, access, connections, start));
        }
        for shown in self.shown {
            crew.task("certificate", shown.keep_fresh());
        }
        Ok(Serving {
            _loops: udp::Loops::start(self.udp, handler, access, crew)?,
            connections,
        })
    }
}

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

/// What is spoken on a connection.
#[derive(Clone)]
enum Protocol {
    Tcp,
    Tls(TlsAcceptor),
    /// With the names by which the server may be called.
    Https(TlsAcceptor, Arc<Vec<String>>),
}

impl Protocol {
    fn transport(&self) -> Transport {
        match self {
            Self::Tcp => Transport::Tcp,
            Self::Tls(_) => Transport::Tls,
            Self::Https(..) => Transport::Https,
        }
    }

    /// As it stands in the names of workers.
    fn name(&self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls(_) => "tls",
            Self::Https(..) => "https",
        }
    }

    /// Serves one connection until either side has had enough.
    async fn converse<P: Snapshots>(
        self,
        stream: TcpStream,
        peer: IpAddr,
        handler: Arc<Handler<P>>,
        activity: Arc<Activity>,
    ) {
        let name = self.name();
        let client = Client {
            address: peer,
            transport: self.transport(),
        };
        let _ = stream.set_nodelay(true); // without it replies are late, not wrong
        let address = stream.local_addr().map_or(peer, |address| address.ip());
        let ended = match self {
            Self::Tcp => tcp::converse(stream, client, &handler, &activity).await,
            Self::Tls(acceptor) => match shake_hands(stream, &acceptor).await {
                Some(stream) => tcp::converse(stream, client, &handler, &activity).await,
                None => return,
            },
            Self::Https(acceptor, hosts) => {
                let Some(stream) = shake_hands(stream, &acceptor).await else {
                    return;
                };
                let names = ServerNames::new(hosts, address);
                return https::converse(stream, client, names, handler, activity).await;
            }
        };
        if let Err(error) = ended {
            tracing::debug!("a conversation over {name} broke off: {error}");
        }
    }
}

/// The encrypted side of a connection; `None` for clients that do not get that far.
async fn shake_hands(stream: TcpStream, acceptor: &TlsAcceptor) -> Option<TlsStream<TcpStream>> {
    let shaken = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
    shaken.ok()?.ok()
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

    #[test]
    fn a_taken_port_is_one_sentence_that_says_what_to_do() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = Ports::bind(&options(any)).expect("a free port");
        let taken = first.plain[0].0.local_addr().expect("an address");
        let Err(error) = Ports::bind(&options(taken)) else {
            panic!("two servers on one port");
        };
        let expected = format!(
            "port {} on 127.0.0.1 is taken (by another bnsd?): stop it, or choose another with --listen",
            taken.port()
        );
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
        let Err(error) = Ports::bind(&options(elsewhere)) else {
            panic!("bound a foreign address");
        };
        assert!(matches!(error, BindError::NoSuchAddress(_)), "{error}");
    }
}
