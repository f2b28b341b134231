//! An encrypted upstream: DNS over TLS (RFC 7858) or over HTTPS (RFC 8484), authenticated before anything is asked.

use std::net::SocketAddr;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ask::Ask;
use super::attempt::{Budget, Failed, Received};
use super::connect::Locator;
use super::entry::Channel;
use super::https::Https;
use super::message::{Judged, Letters, Options, Sent};
use super::shared::Shared;
use super::stream::Stream;
use super::tls::{Tls, TlsError, server_name};
use super::upstream::{Method, Secured};

/// An upstream that has to prove who it is before it is asked.
pub struct Secure {
    locator: Locator,
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Secure {
    /// One that speaks the protocol `alpn` inside of TLS.
    pub fn new(
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

    /// Forgets addresses that were looked up: the network is another one.
    pub fn forget(&self) {
        self.locator.forget();
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, Failed> {
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

    /// Asks over TLS.
    pub async fn ask_tls(
        &self,
        shared: &Shared<Stream>,
        ask: &Ask,
        budget: &mut Budget,
        deadline: Instant,
    ) -> Result<Received, Failed> {
        let mut letters = Letters::Mixed;
        let mut last = Failed::Timeout;
        while budget.take() {
            let sent = Sent::new(ask, letters, Options::Padded);
            let patience = deadline.saturating_duration_since(Instant::now());
            let ask = |stream: Stream| stream.ask(sent.clone(), patience);
            match shared.ask(|| self.stream(), ask).await {
                Ok(judged) => return Ok(authenticated(judged, 0)),
                Err(Failed::WrongCase) if letters == Letters::Mixed => letters = Letters::Lower,
                Err(failed) => return Err(failed),
            }
            last = Failed::WrongCase;
        }
        Err(last)
    }

    /// Asks over HTTPS.
    pub async fn ask_https(
        &self,
        shared: &Shared<Https>,
        ask: &Ask,
        (uri, method): (&str, Method),
        budget: &mut Budget,
    ) -> Result<Received, Failed> {
        // For GET, letters in one case let caches on the way do their work; TLS and the ID-less exchange
        // bind the response to the question already.
        let mut letters = match method {
            Method::Get => Letters::Lower,
            Method::Post => Letters::Mixed,
        };
        while budget.take() {
            let sent = Sent::new(ask, letters, Options::Padded);
            let ask = |https: Https| https.ask(sent.clone(), uri, method);
            match shared.ask(|| self.https(), ask).await {
                Ok((judged, age)) => return Ok(authenticated(judged, age)),
                Err(Failed::WrongCase) if letters == Letters::Mixed => letters = Letters::Lower,
                Err(failed) => return Err(failed),
            }
        }
        Err(Failed::WrongCase)
    }
}

fn authenticated(judged: Judged, age: u32) -> Received {
    Received {
        judged,
        age,
        channel: Channel::Authenticated,
    }
}
