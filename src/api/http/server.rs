//! Listening and connections.
//!
//! HTTP/1.1 alone, so that a connection has one request under way and their number bounds the work. When all places are
//! taken, a new connection takes the place of the least useful one ([`Connections`]). A client that does not send a whole
//! head within [`PATIENCE`] of the last response, or does not take a response, is closed.

use std::convert::Infallible;
use std::io;
use std::net::{self, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use futures_util::future::join_all;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use super::admission::{self, admit};
use super::answer::Api;
use super::{gateway, router};
use crate::api::control::{Control, PATIENCE};
use crate::connections::{Activity, CloseAll, Connections, Patient};
use crate::host::ServerNames;

/// Connections at the same time that are enough: pages and programs of one machine.
pub const CONNECTIONS_MAX: usize = 100;
/// Bytes of a request's head, which hyper reads as a whole.
const HEAD_MAX: usize = 16_384;
/// Header fields of a request; browsers send about twenty.
const HEADERS_MAX: usize = 64;

/// Where to listen, and how the server is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Addresses; port 0 takes any port. Empty for no API at all.
    pub listen: Vec<SocketAddr>,
    /// Names by which it may be called, lower case, beside `localhost` and addresses.
    pub hosts: Vec<String>,
    /// What happens when somebody else has a port.
    pub if_taken: IfTaken,
    /// Where names without an address are shown, each under its own name; `None` for nowhere.
    pub gateway: Option<SocketAddr>,
}

/// What happens when somebody else has a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfTaken {
    /// The program does not start: somebody asked for this port.
    Fail,
    /// It starts without this listener: a resolver does not need it.
    GoOn,
    /// It takes any other port.
    AnyPort,
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else has the port.
    #[error("port {} on {} is taken (by another bnsd?): stop it, or set `api.listen` to another address or to [\"none\"]", .0.port(), .0.ip())]
    Taken(SocketAddr),
    /// The gateway cannot be there.
    #[error("cannot show names on {0}: {1}; set `api.gateway` to another address, or leave it out")]
    Gateway(SocketAddr, io::Error),
    /// Something else.
    #[error(
        "cannot serve the HTTP API on {0}: {1}; set `api.listen` to another address or to [\"none\"]"
    )]
    Other(SocketAddr, io::Error),
}

/// Bound sockets, not yet answering.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<net::TcpListener>,
    taken: Vec<SocketAddr>,
    gateway: Option<net::TcpListener>,
    hosts: Arc<Vec<String>>,
}

impl Server {
    /// Takes all addresses; needs no runtime yet, so that rights for low ports can be given up before there is one.
    pub fn bind(options: &Options) -> Result<Self, BindError> {
        let mut listeners = Vec::with_capacity(options.listen.len());
        let mut taken = Vec::new();
        for &address in &options.listen {
            match bind(address, options.if_taken)? {
                Some(listener) => listeners.push(listener),
                None => taken.push(address),
            }
        }
        let gateway = options
            .gateway
            .map(|address| listen(address).map_err(|error| BindError::Gateway(address, error)));
        Ok(Self {
            listeners,
            taken,
            gateway: gateway.transpose()?,
            hosts: Arc::new(options.hosts.clone()),
        })
    }

    /// The addresses in fact, with the ports that port 0 became.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let all = self.listeners.iter();
        all.filter_map(|listener| listener.local_addr().ok())
            .collect()
    }

    /// Where somebody else listens, so that the server goes on without.
    pub fn taken(&self) -> &[SocketAddr] {
        &self.taken
    }

    /// The address of the gateway in fact.
    pub fn gateway(&self) -> Option<SocketAddr> {
        self.gateway.as_ref()?.local_addr().ok()
    }

    /// Serves `connections_max` connections at the same time, until the future is dropped; that closes all of them. What is
    /// asked becomes a request to `control`.
    pub async fn serve<C: Control>(self, control: Arc<C>, connections_max: usize) {
        let connections = Connections::new(connections_max, "a connection to the HTTP API");
        let _all = CloseAll(Arc::clone(&connections));
        let api = Api::new(control);
        let site = Site {
            router: router(api.clone()),
            hosts: Some(self.hosts),
        };
        let names = Site {
            router: gateway::router(api),
            hosts: None,
        };
        let accepting = self.listeners.into_iter();
        let accepting = accepting.map(|listener| accept(listener, &connections, &site));
        let gateway = self.gateway.into_iter();
        let gateway = gateway.map(|listener| accept(listener, &connections, &names));
        join_all(accepting.chain(gateway)).await;
        std::future::pending::<()>().await; // without a listener
    }
}

/// Takes an address; `None` if the server goes on without it.
fn bind(address: SocketAddr, if_taken: IfTaken) -> Result<Option<net::TcpListener>, BindError> {
    match (listen(address), if_taken) {
        (Ok(listener), _) => Ok(Some(listener)),
        (Err(error), _) if error.kind() != io::ErrorKind::AddrInUse => {
            Err(BindError::Other(address, error))
        }
        (Err(_), IfTaken::Fail) => Err(BindError::Taken(address)),
        (Err(_), IfTaken::GoOn) => Ok(None),
        (Err(_), IfTaken::AnyPort) => {
            let any = SocketAddr::new(address.ip(), 0);
            let listener = listen(any).map_err(|error| BindError::Other(any, error))?;
            Ok(Some(listener))
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<net::TcpListener> {
    let listener = net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// What is served on every connection.
#[derive(Clone)]
struct Site {
    router: Router,
    /// How the server is called beside its addresses; `None` where the router judges that.
    hosts: Option<Arc<Vec<String>>>,
}

async fn accept(listener: net::TcpListener, connections: &Arc<Connections>, site: &Site) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("the HTTP API cannot use its socket: {error}"),
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.make_room().await;
                let site = site.clone();
                connections.start(|activity| converse(stream, site, activity));
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection at the HTTP API: {error}");
                connections.recover(&error).await;
            }
        }
    }
}

/// Serves one connection until either side has had enough.
async fn converse(stream: TcpStream, site: Site, activity: Arc<Activity>) {
    let Ok(address) = stream.local_addr() else {
        return;
    };
    let names = site
        .hosts
        .map(|hosts| ServerNames::new(hosts, address.ip()));
    let service = service_fn(|request| {
        let busy = activity.begin();
        let (router, names, activity) = (site.router.clone(), names.as_ref(), &activity);
        async move {
            let response = respond(request, names, router, activity).await;
            drop(busy);
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_MAX);
    let stream = TokioIo::new(Patient::new(stream, PATIENCE));
    if let Err(error) = builder.serve_connection(stream, service).await {
        tracing::debug!("at the HTTP API: {error}");
    }
}

/// What is admitted is answered; what is not is refused, and too much of that in a row counts against the connection.
async fn respond(
    request: Request<Incoming>,
    names: Option<&ServerNames>,
    router: Router,
    activity: &Activity,
) -> Response<Body> {
    let response = match admit(request, names).await {
        Ok(request) => {
            activity.ask();
            let answer = TowerToHyperService::new(router).call(request).await;
            answer.unwrap_or_else(|never| match never {})
        }
        Err(refusal) => {
            let mut response = axum::response::IntoResponse::into_response(refusal);
            if activity.note_garbage() {
                admission::end_connection(&mut response);
            }
            response
        }
    };
    admission::secure(response)
}
