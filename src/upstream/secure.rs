//! An encrypted upstream: DNS over TLS (RFC 7858) or over HTTPS (RFC 8484), authenticated before anything is asked.

use std::net::SocketAddr;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ask::Ask;
use super::attempt::{Budget, Failed, Received};
use super::config::{Method, Secured};
use super::connect::Locator;
use super::entry::Channel;
use super::https::Https;
use super::message::{Judged, Letters, Options, Sent};
use super::shared::{Connection, Shared};
use super::stream::Stream;
use super::tls::{Tls, TlsError, server_name};

/// An upstream that has to prove who it is before it is asked.
pub struct Secure<C> {
    shared: Shared<C>,
    locator: Locator,
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl<C: Connection> Secure<C> {
    /// One that speaks the protocol `alpn` inside of TLS.
    pub fn new(
        server: &Secured,
        tls: &Tls,
        alpn: &[u8],
        bootstrap: &[SocketAddr],
    ) -> Result<Self, TlsError> {
        Ok(Self {
            shared: Shared::default(),
            locator: Locator::new(server.place.clone(), bootstrap),
            connector: TlsConnector::from(tls.client(server, alpn)?),
            name: server_name(server),
        })
    }

    /// Closes its connection and forgets addresses that were looked up: the network is another one.
    pub fn forget(&self) {
        self.shared.clear();
        self.locator.forget();
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, Failed> {
        let stream = self.locator.connect().await?;
        // A handshake's state is large, and rarely there.
        let handshake = Box::pin(self.connector.connect(self.name.clone(), stream));
        Ok(handshake.await?)
    }

    /// Asks in `letters`, and in lower case once they came back changed, until `deadline`. `exchange` gives the response
    /// and its age.
    async fn ask<M, E>(
        &self,
        (ask, mut letters): (&Ask, Letters),
        budget: &mut Budget,
        deadline: Instant,
        connect: impl Fn() -> M,
        exchange: impl Fn(C, Sent) -> E,
    ) -> Result<Received, Failed>
    where
        M: Future<Output = Result<C, Failed>>,
        E: Future<Output = Result<(Judged, u32), Failed>>,
    {
        while budget.take() {
            let sent = Sent::new(ask, letters, Options::Padded);
            let exchange = |connection| exchange(connection, sent.clone());
            match self.shared.ask(deadline, &connect, exchange).await {
                Ok((judged, age)) => {
                    let channel = Channel::Authenticated;
                    return Ok(Received {
                        judged,
                        age,
                        channel,
                    });
                }
                Err(Failed::WrongCase) if letters == Letters::Mixed => letters = Letters::Lower,
                Err(failed) => return Err(failed),
            }
        }
        Err(Failed::WrongCase)
    }
}

impl Secure<Stream> {
    /// Asks over TLS.
    pub async fn ask_tls(
        &self,
        ask: &Ask,
        budget: &mut Budget,
        deadline: Instant,
    ) -> Result<Received, Failed> {
        let connect = async || Ok(Stream::start(self.connect().await?));
        let exchange = async |stream: Stream, sent| Ok((stream.ask(sent, deadline).await?, 0));
        let question = (ask, Letters::Mixed);
        self.ask(question, budget, deadline, connect, exchange)
            .await
    }
}

impl Secure<Https> {
    /// Asks over HTTPS.
    pub async fn ask_https(
        &self,
        ask: &Ask,
        (uri, method): (&str, Method),
        budget: &mut Budget,
        deadline: Instant,
    ) -> Result<Received, Failed> {
        // For GET, letters in one case let caches on the way do their work; TLS and the ID-less exchange
        // bind the response to the question already.
        let letters = match method {
            Method::Get => Letters::Lower,
            Method::Post => Letters::Mixed,
        };
        let connect = || Box::pin(async { Https::start(self.connect().await?).await });
        let exchange = |https: Https, sent| https.ask(sent, uri, method);
        let question = (ask, letters);
        self.ask(question, budget, deadline, connect, exchange)
            .await
    }
}
