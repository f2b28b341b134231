//! One upstream: how it is asked, over whichever transport, and what it needs that others do not.
//!
//! A plain upstream is asked over UDP and, where that does not do, over TCP: a cut answer, letters that came
//! back in another case, a cookie that it insists on. One that does not know EDNS is asked without. An encrypted
//! upstream is asked over its own transport and nothing else: there is no code here that could ask it in the clear.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::ask::Ask;
use super::connect::Locator;
use super::entry::Channel;
use super::health::Health;
use super::https::Https;
use super::message::{Judged, Letters, Options, Sent};
use super::random;
use super::tls::{Tls, TlsError, server_name};
use super::transport::{Failed, Stream, ask_udp};
use super::upstream::{Method, Place, Secured, UpstreamConfig};
use crate::wire::edns::{BADCOOKIE, CLIENT_COOKIE};

/// An upstream with its connections and its health.
pub struct Upstream {
    config: UpstreamConfig,
    link: Link,
    /// How it has done lately.
    pub health: Health,
}

enum Link {
    Plain(Plain),
    Tls(Shared<Stream>, Secure),
    Https(Shared<Https>, Secure, String, Method),
}

/// An answer and what is known of how it came.
#[derive(Debug)]
pub struct Answered {
    /// The answer.
    pub judged: Judged,
    /// Its age in seconds.
    pub age: u32,
    /// Who vouches for it.
    pub channel: Channel,
}

/// Packets that one question may still cost.
#[derive(Debug)]
pub struct Budget(pub u8);

impl Budget {
    fn take(&mut self) -> bool {
        let left = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        left
    }
}

impl Upstream {
    /// An upstream that is connected to when it is first asked.
    pub fn new(
        config: &UpstreamConfig,
        tls: &Tls,
        bootstrap: &[SocketAddr],
    ) -> Result<Self, TlsError> {
        let link = match config {
            UpstreamConfig::Plain(address) => Link::Plain(Plain::new(*address)),
            UpstreamConfig::Tls(server) => Link::Tls(
                Shared::default(),
                Secure::new(server, tls, b"dot", bootstrap)?,
            ),
            UpstreamConfig::Https {
                server,
                path,
                method,
            } => {
                let secure = Secure::new(server, tls, b"h2", bootstrap)?;
                let uri = format!("https://{}{path}", authority(server));
                Link::Https(Shared::default(), secure, uri, *method)
            }
        };
        Ok(Self {
            config: config.clone(),
            link,
            health: Health::default(),
        })
    }

    /// How it is configured.
    pub fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// Asks until there is an answer, the budget is used up, or `deadline`.
    pub async fn ask(
        &self,
        ask: &Ask,
        budget: &mut Budget,
        deadline: Instant,
    ) -> Result<Answered, Failed> {
        let start = Instant::now();
        let asked = async {
            match &self.link {
                Link::Plain(plain) => plain.ask(ask, budget, deadline).await,
                Link::Tls(shared, secure) => secure.ask_tls(shared, ask, budget, deadline).await,
                Link::Https(shared, secure, uri, method) => {
                    let request = (uri.as_str(), *method);
                    secure.ask_https(shared, ask, request, budget).await
                }
            }
        };
        let answer = timeout_at(deadline + Duration::from_millis(20), asked).await;
        let answer = answer.unwrap_or(Err(Failed::Timeout));
        match &answer {
            Ok(_) => self.health.answered(start.elapsed()),
            Err(failed) => {
                self.health.failed();
                if *failed == Failed::Timeout {
                    // Whoever is silent on a connection may never speak on it again.
                    self.hang_up().await;
                }
            }
        }
        answer
    }

    async fn hang_up(&self) {
        match &self.link {
            Link::Plain(plain) => plain.tcp.clear().await,
            Link::Tls(shared, _) => shared.clear().await,
            Link::Https(shared, ..) => shared.clear().await,
        }
    }

    /// The network is another one: connections and what was learned are of the old one.
    pub async fn reset(&self) {
        self.health.clear();
        self.hang_up().await;
        match &self.link {
            Link::Plain(plain) => *plain.cookie() = fresh_cookie(),
            Link::Tls(_, secure) | Link::Https(_, secure, ..) => secure.locator.forget(),
        }
    }
}

/// The host in a URL: the name that the certificate has to prove, or where to connect.
fn authority(server: &Secured) -> String {
    match (&server.identity, &server.place) {
        (super::upstream::Identity::Name(ServerName::DnsName(name)), Place::Address(at)) => {
            format!("{}:{}", name.as_ref(), at.port())
        }
        (_, Place::Address(at)) => at.to_string(),
        (_, Place::Host(name, port)) => format!("{name}:{port}"),
    }
}

// ---- plain ----------------------------------------------------------------------------------------------

struct Plain {
    address: SocketAddr,
    tcp: Shared<Stream>,
    /// Our cookie, and the server's behind it once we know that (RFC 7873 §5.1).
    cookie: Mutex<Vec<u8>>,
}

/// How a plain upstream is asked next.
#[derive(Debug, Clone, Copy)]
struct Way {
    tcp: bool,
    edns: bool,
    letters: Letters,
}

impl Plain {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            tcp: Shared::default(),
            cookie: Mutex::new(fresh_cookie()),
        }
    }

    async fn ask(
        &self,
        ask: &Ask,
        budget: &mut Budget,
        deadline: Instant,
    ) -> Result<Answered, Failed> {
        let mut way = Way {
            tcp: false,
            edns: true,
            letters: Letters::Mixed,
        };
        let mut last = Failed::Timeout;
        while Instant::now() < deadline && budget.take() {
            let failed = match self.once(ask, way, deadline).await {
                Ok(judged) => match self.read(judged, &mut way) {
                    Ok(answered) => return Ok(answered),
                    Err(again) => again,
                },
                Err(failed) => failed,
            };
            match failed {
                Failed::Truncated if !way.tcp => way.tcp = true,
                Failed::WrongCase if !way.tcp => way.tcp = true,
                // Only TCP, which nobody beside the path can forge, may do without the letters.
                Failed::WrongCase if way.letters == Letters::Mixed => way.letters = Letters::Lower,
                Failed::Headless if way.edns => way.edns = false,
                Failed::Closed => {}
                failed => return Err(failed),
            }
            last = failed;
        }
        Err(last)
    }

    /// A refusal may concern how we asked rather than what.
    fn read(&self, judged: Judged, way: &mut Way) -> Result<Answered, Failed> {
        if let Some(cookie) = &judged.cookie {
            *self.cookie() = cookie.clone();
        }
        let dislikes_edns = matches!(judged.rcode, 1 | 4) && judged.walk.opt.is_none();
        if way.edns && dislikes_edns {
            return Err(Failed::Headless);
        }
        if judged.rcode == BADCOOKIE {
            // Once more with the server's new cookie, over TCP where none is needed (RFC 7873 §5.3).
            way.tcp = judged.cookie.is_none();
            return Err(Failed::Closed);
        }
        Ok(Answered {
            judged,
            age: 0,
            channel: Channel::Plain,
        })
    }

    async fn once(&self, ask: &Ask, way: Way, deadline: Instant) -> Result<Judged, Failed> {
        let cookie = self.cookie().clone();
        let options = match way.edns {
            true => Options::Cookie(&cookie),
            false => Options::NoEdns,
        };
        let sent = Sent::new(ask, way.letters, options);
        let patience = deadline.saturating_duration_since(Instant::now());
        if !way.tcp {
            return ask_udp(self.address, &sent, patience).await;
        }
        self.tcp.ask(|| self.connect(), &sent, patience).await
    }

    async fn connect(&self) -> Result<Stream, Failed> {
        let stream = tokio::net::TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(Stream::start(stream))
    }

    fn cookie(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.cookie.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fresh_cookie() -> Vec<u8> {
    random::bytes::<CLIENT_COOKIE>().to_vec()
}

// ---- encrypted ------------------------------------------------------------------------------------------

struct Secure {
    locator: Locator,
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Secure {
    fn new(
        server: &Secured,
        tls: &Tls,
        alpn: &[u8],
        bootstrap: &[SocketAddr],
    ) -> Result<Self, TlsError> {
        Ok(Self {
            locator: Locator::new(server.place.clone(), bootstrap),
            connector: TlsConnector::from(tls.client(server, alpn)?),
            name: server_name(server),
        })
    }

    async fn connect(
        &self,
    ) -> Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>, Failed> {
        let stream = self.locator.connect().await?;
        // A handshake's state is large, and rarely there.
        let handshake = Box::pin(self.connector.connect(self.name.clone(), stream));
        Ok(handshake.await?)
    }

    async fn stream(&self) -> Result<Stream, Failed> {
        Ok(Stream::start(self.connect().await?))
    }

    async fn https(&self) -> Result<Https, Failed> {
        Box::pin(Https::start(self.connect().await?)).await
    }

    async fn once_https(
        &self,
        shared: &Shared<Https>,
        sent: &Sent,
        (uri, method): (&str, Method),
    ) -> Result<(Judged, u32), Failed> {
        loop {
            let (https, made) = shared.get(self.https()).await?;
            match https.ask(sent.clone(), uri, method).await {
                Err(Failed::Closed) if made == Made::Before => shared.clear().await,
                answer => return answer,
            }
        }
    }

    async fn ask_tls(
        &self,
        shared: &Shared<Stream>,
        ask: &Ask,
        budget: &mut Budget,
        deadline: Instant,
    ) -> Result<Answered, Failed> {
        let mut letters = Letters::Mixed;
        let mut last = Failed::Timeout;
        while budget.take() {
            let sent = Sent::new(ask, letters, Options::Padded);
            let patience = deadline.saturating_duration_since(Instant::now());
            match shared.ask(|| self.stream(), &sent, patience).await {
                Ok(judged) => return Ok(authenticated(judged, 0)),
                Err(Failed::WrongCase) if letters == Letters::Mixed => letters = Letters::Lower,
                Err(failed) => return Err(failed),
            }
            last = Failed::WrongCase;
        }
        Err(last)
    }

    async fn ask_https(
        &self,
        shared: &Shared<Https>,
        ask: &Ask,
        (uri, method): (&str, Method),
        budget: &mut Budget,
    ) -> Result<Answered, Failed> {
        // For GET, letters in one case let caches on the way do their work; TLS and the ID-less exchange
        // bind the answer to the question already.
        let mut letters = match method {
            Method::Get => Letters::Lower,
            Method::Post => Letters::Mixed,
        };
        while budget.take() {
            let sent = Sent::new(ask, letters, Options::Padded);
            match self.once_https(shared, &sent, (uri, method)).await {
                Ok((judged, age)) => return Ok(authenticated(judged, age)),
                Err(Failed::WrongCase) if letters == Letters::Mixed => letters = Letters::Lower,
                Err(failed) => return Err(failed),
            }
        }
        Err(Failed::WrongCase)
    }
}

fn authenticated(judged: Judged, age: u32) -> Answered {
    Answered {
        judged,
        age,
        channel: Channel::Authenticated,
    }
}

/// A connection that questions share, made when it is needed.
struct Shared<C> {
    connection: Arc<tokio::sync::Mutex<Option<C>>>,
}

impl<C> Default for Shared<C> {
    fn default() -> Self {
        Self {
            connection: Arc::default(),
        }
    }
}

/// What can be shared.
trait Connection: Clone {
    /// Whether it can still be asked.
    fn is_open(&self) -> bool;
}

impl Connection for Stream {
    fn is_open(&self) -> bool {
        self.is_open()
    }
}

impl Connection for Https {
    fn is_open(&self) -> bool {
        self.is_open()
    }
}

/// Whether a connection was made for this question; one that was not may have been closed meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Now,
    Before,
}

impl<C: Connection> Shared<C> {
    /// The connection that is open, or the one that `connect` makes.
    async fn get(
        &self,
        connect: impl Future<Output = Result<C, Failed>>,
    ) -> Result<(C, Made), Failed> {
        let mut place = self.connection.lock().await;
        if let Some(open) = place.as_ref().filter(|open| open.is_open()) {
            return Ok((open.clone(), Made::Before));
        }
        let connection = connect.await?;
        *place = Some(connection.clone());
        Ok((connection, Made::Now))
    }

    async fn clear(&self) {
        *self.connection.lock().await = None;
    }
}

impl Shared<Stream> {
    /// Asks over the stream; one that turns out to be closed is replaced.
    async fn ask<F>(
        &self,
        connect: impl Fn() -> F,
        sent: &Sent,
        patience: Duration,
    ) -> Result<Judged, Failed>
    where
        F: Future<Output = Result<Stream, Failed>>,
    {
        loop {
            let (stream, made) = self.get(connect()).await?;
            match stream.ask(sent.clone(), patience).await {
                Err(Failed::Closed) if made == Made::Before => self.clear().await,
                answer => return answer,
            }
        }
    }
}
