//! A proxy for browsers and programs that know no pins, on this machine alone and for names of the chain alone.
//!
//! A browser that is given [`pac`]'s file sends its connections to such names here (CONNECT, RFC 9110 §9.3.6). On each the
//! server is checked by its pins before anything else happens; then the proxy shows the browser a certificate of its own and
//! passes bytes from one TLS session to the other, which speak the same protocol, so that HTTP/2 and WebSockets work. When
//! the chain takes a key back, new connections are refused and open ones end.
//!
//! It never passes on what it has not checked: every other name, port or method is refused with a sentence. The key that its
//! certificates hang on never leaves its directory, and may sign names of the served namespaces alone ([`super::root`]). The
//! keys of servers that it shows are in memory. Whoever uses it needs a token, since every user of the machine can reach
//! the port.

mod access;
mod identity;
mod pac;
mod request;
mod tunnel;

use std::fs;
use std::io;
use std::net::{self, IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustls::pki_types::DnsName;
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use self::access::Token;
use self::identity::Identities;
use self::request::{PATIENCE, Refused, Request};
use super::mint::Terms;
use super::root::{Root, RootError, certificate_file};
use super::source::PinSource;
use crate::connections::{Activity, CloseAll, Connections};

/// Connections at the same time that are enough for the browsers of a machine. Each takes two descriptors.
pub const TUNNELS_MAX: usize = 200;
/// The directory in the data directory.
const DIRECTORY: &str = "proxy";

/// What the proxy needs of the daemon beside pins.
pub trait Surroundings: Terms {
    /// The addresses of a host, as a DNS client gets them.
    fn addresses(&self, host: &str) -> BoxFuture<'_, Vec<IpAddr>>;

    /// Seconds since 1970.
    fn now(&self) -> u64;
}

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The address cannot be listened on.
    #[error(
        "cannot serve the proxy on {0}: {1}; set `tls.proxy` to another address, or leave it out"
    )]
    Listen(SocketAddr, io::Error),
    /// Its files cannot be used.
    #[error("cannot use {}: {source}; correct its rights, or move it away", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Its root cannot be used.
    #[error(transparent)]
    Root(#[from] RootError),
}

/// What a person has to know to use the proxy of a daemon.
#[derive(Debug, Clone)]
pub struct Access {
    /// What programs send as the password.
    pub token: String,
    /// The certificate that they have to trust, PEM.
    pub root: String,
}

/// What is in the data directory of a daemon that has served the proxy.
pub fn access(data: &Path) -> Result<Access, ProxyError> {
    let directory = data.join(DIRECTORY);
    let path = certificate_file(&directory);
    match fs::read_to_string(&path) {
        Ok(root) => Ok(Access {
            token: Token::read(&directory)?.to_string(),
            root,
        }),
        Err(source) => Err(ProxyError::File { path, source }),
    }
}

/// A proxy, not yet answering.
pub struct Proxy {
    listener: net::TcpListener,
    shared: Shared,
}

/// What all connections use.
struct Shared {
    address: SocketAddr,
    token: Token,
    identities: Identities,
    pins: Arc<dyn PinSource>,
    surroundings: Arc<dyn Surroundings>,
    changes: watch::Receiver<()>,
}

impl Proxy {
    /// Listens at `address`; its files are in the data directory, and made if there are none. `changes` tells of commits.
    pub fn open(
        address: SocketAddr,
        data: &Path,
        pins: Arc<dyn PinSource>,
        surroundings: Arc<dyn Surroundings>,
        changes: watch::Receiver<()>,
    ) -> Result<Self, ProxyError> {
        let taken = |error| ProxyError::Listen(address, error);
        let listener = net::TcpListener::bind(address).map_err(taken)?;
        listener.set_nonblocking(true).map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let directory = data.join(DIRECTORY);
        let token = Token::open(&directory)?;
        let constraints = surroundings.constraints();
        let root = Root::open(&directory, &constraints, surroundings.now())?;
        let missing = root.missing(&constraints.namespaces);
        if !missing.is_empty() {
            tracing::warn!(
                "the proxy's authority is older than namespaces that are served ({}), so browsers refuse their names: remove {}, start again, and have browsers trust the new one",
                missing.join(", "),
                directory.join("trust").display()
            );
        }
        Ok(Self {
            listener,
            shared: Shared {
                address,
                token,
                identities: Identities::new(root)?,
                pins,
                surroundings,
                changes,
            },
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Serves until the future is dropped; that ends all connections.
    pub async fn serve(self) {
        let connections = Connections::new(TUNNELS_MAX, "a connection to the proxy");
        let _all = CloseAll(Arc::clone(&connections));
        let shared = Arc::new(self.shared);
        let listener = match TcpListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!("the proxy cannot use its socket: {error}"),
        };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    connections.make_room().await;
                    let shared = Arc::clone(&shared);
                    connections.start(|activity| async move {
                        shared.converse(stream, &activity).await;
                    });
                }
                Err(error) => {
                    tracing::warn!("cannot accept a connection at the proxy: {error}");
                    connections.recover(&error).await;
                }
            }
        }
    }
}

impl Shared {
    /// One request and what follows it.
    async fn converse(&self, stream: TcpStream, activity: &Activity) {
        let mut stream = BufReader::new(stream);
        let request = match timeout(PATIENCE, Request::read(&mut stream)).await {
            Ok(Ok(request)) => request,
            Ok(Err(refused)) => return refused.reply(&mut stream).await,
            Err(_) => return,
        };
        match self.admit(request) {
            Ok(Admitted::Pac) => {
                activity.ask();
                let pac = pac::render(self.address, &*self.surroundings);
                request::reply_with_pac(&mut stream, &pac).await;
            }
            Ok(Admitted::Tunnel(host, port)) => {
                activity.ask();
                let _busy = activity.begin();
                tunnel::serve(self, stream, &host, port).await;
            }
            Err(refused) => refused.reply(&mut stream).await,
        }
    }

    fn admit(&self, request: Request) -> Result<Admitted, Refused> {
        match request {
            Request::Get(path) => {
                let is_ours = path
                    .strip_prefix('/')
                    .and_then(|path| path.strip_suffix("/proxy.pac"))
                    .is_some_and(|token| self.token.is(token));
                match is_ours {
                    true => Ok(Admitted::Pac),
                    false => Err(Refused::NotHere),
                }
            }
            Request::Connect(target, password) => {
                if !password.is_some_and(|password| self.token.is(&password)) {
                    return Err(Refused::NoToken);
                }
                let target = target.rsplit_once(':').and_then(|(host, port)| {
                    let host = host.trim_end_matches('.').to_ascii_lowercase();
                    let port = port.parse().ok().filter(|port: &u16| *port > 0)?;
                    Some((DnsName::try_from(host).ok()?, port))
                });
                let (host, port) = target.ok_or(Refused::NoName)?;
                Ok(Admitted::Tunnel(host, port))
            }
        }
    }
}

/// What is done for a client.
enum Admitted {
    Pac,
    Tunnel(DnsName<'static>, u16),
}
