//! One upstream: how it is asked, over whichever transport, and how it has done.
//!
//! An encrypted upstream is asked over its own transport and nothing else: there is no code here that could ask it in
//! the clear.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout_at};

use super::ask::Ask;
use super::attempt::{Budget, Failed, Received};
use super::config::{Identity, Method, Place, Secured, UpstreamConfig};
use super::health::Health;
use super::https::Https;
use super::plain::Plain;
use super::secure::Secure;
use super::stream::Stream;
use super::tls::{Tls, TlsError};

/// An upstream with its connections and its health.
pub struct Upstream {
    /// How it is configured.
    pub config: UpstreamConfig,
    link: Link,
    /// How it has done lately.
    pub health: Health,
}

enum Link {
    Plain(Plain),
    Tls(Secure<Stream>),
    Https(Secure<Https>, String, Method),
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
            UpstreamConfig::Tls(server) => Link::Tls(Secure::new(server, tls, b"dot", bootstrap)?),
            UpstreamConfig::Https {
                server,
                path,
                method,
            } => {
                let secure = Secure::new(server, tls, b"h2", bootstrap)?;
                let uri = format!("https://{}{path}", authority(server));
                Link::Https(secure, uri, *method)
            }
        };
        Ok(Self {
            config: config.clone(),
            link,
            health: Health::default(),
        })
    }

    /// Asks until there is a response, the budget is used up, or `deadline`.
    pub async fn ask(
        &self,
        ask: &Ask,
        budget: &mut Budget,
        deadline: Instant,
    ) -> Result<Received, Failed> {
        let start = Instant::now();
        let asked = async {
            match &self.link {
                Link::Plain(plain) => plain.ask(ask, budget, deadline).await,
                Link::Tls(secure) => Box::pin(secure.ask_tls(ask, budget, deadline)).await,
                Link::Https(secure, uri, method) => {
                    let resource = (uri.as_str(), *method);
                    Box::pin(secure.ask_https(ask, resource, budget, deadline)).await
                }
            }
        };
        let answer = timeout_at(deadline + Duration::from_millis(20), asked).await;
        let answer = answer.unwrap_or(Err(Failed::Timeout));
        match &answer {
            Ok(_) => self.health.answered(start.elapsed()),
            Err(_) => self.health.failed(),
        }
        answer
    }

    /// The network is another one: connections and what was learned are of the old one.
    pub fn reset(&self) {
        self.health.clear();
        match &self.link {
            Link::Plain(plain) => plain.forget(),
            Link::Tls(secure) => secure.forget(),
            Link::Https(secure, ..) => secure.forget(),
        }
    }
}

/// The host in a URL: the name that the certificate has to prove, or where to connect.
fn authority(server: &Secured) -> String {
    match (&server.identity, &server.place) {
        (Identity::Name(ServerName::DnsName(name)), Place::Address(at)) => {
            format!("{}:{}", name.as_ref(), at.port())
        }
        (_, Place::Address(at)) => at.to_string(),
        (_, Place::Host(name, port)) => format!("{name}:{port}"),
    }
}
