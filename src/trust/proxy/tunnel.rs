//! One connection from a browser to a server that was checked.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::{DnsName, ServerName};
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, split};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector};

use super::Shared;
use super::request::{PATIENCE, Refused};
use crate::tlsa::Pin;
use crate::trust::{Pins, Verifier};

/// What is offered to a server before it is known what the browser speaks.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// What tells a client that the connection stands.
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
/// A tunnel through which nothing goes for this long is closed; WebSockets that live say something every minute or so.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// Pins are compared at every commit and this often, since settings change them too.
const COMPARISON: Duration = Duration::from_secs(5);
/// Most addresses of a host that are tried.
const ADDRESSES_MAX: usize = 8;
/// Bytes that are passed on at a time.
const CHUNK: usize = 16_384;

/// Checks the server, and passes bytes between it and the client until either has enough, or the pins change.
pub async fn serve(
    shared: &Shared,
    mut client: BufReader<TcpStream>,
    host: &DnsName<'static>,
    port: u16,
) {
    let place = Place { shared, host, port };
    let (pins, server) = match place.open(&PROTOCOLS.map(<[u8]>::to_vec)).await {
        Ok(open) => open,
        Err(refused) => return refused.reply(&mut client).await,
    };
    let answered = timeout(PATIENCE, client.write_all(ESTABLISHED)).await;
    if !matches!(answered, Ok(Ok(()))) {
        return;
    }
    if let Err(reason) = place.relay(client, server, &pins).await {
        tracing::debug!(
            "a connection to {} through the proxy: {reason}",
            host.as_ref()
        );
    }
}

/// What a client wants to reach.
struct Place<'a> {
    shared: &'a Shared,
    host: &'a DnsName<'static>,
    port: u16,
}

impl Place<'_> {
    /// A connection to the server, which has shown the key that the name binds, and all pins of the name.
    async fn open(
        &self,
        protocols: &[Vec<u8>],
    ) -> Result<(Vec<Pin>, TlsStream<TcpStream>), Refused> {
        let host = self.host.as_ref();
        let pins = match self.shared.pins.pins(self.host, self.port) {
            Ok(Pins::Bound(pins)) => pins,
            Ok(Pins::NotOurs) => return Err(Refused::NotOurs(host.to_owned())),
            Err(error) => {
                return Err(Refused::Unknown(format!(
                    "cannot tell what key {host} has: {error}"
                )));
            }
        };
        if pins.is_empty() {
            let text = format!(
                "nothing is bound to {host}, port {}: its owner has to put a key into the zone file",
                self.port
            );
            return Err(Refused::NotTheServer(text));
        }
        let stream = self.connect().await?;
        let verifier = Verifier::new(Arc::clone(&self.shared.pins)).on_port(self.port);
        let mut config = verifier.client_config();
        config.alpn_protocols = protocols.to_vec();
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::DnsName(self.host.clone());
        match timeout(PATIENCE, connector.connect(name, stream)).await {
            Ok(Ok(server)) => Ok((pins, server)),
            Ok(Err(error)) => Err(refusal(host, &error)),
            Err(_) => Err(Refused::Unreachable(format!(
                "the server of {host} is silent"
            ))),
        }
    }

    async fn connect(&self) -> Result<TcpStream, Refused> {
        let host = self.host.as_ref();
        let addresses = self.shared.surroundings.addresses(host).await;
        let mut reason = "it has no address".to_owned();
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            let address = SocketAddr::new(address, self.port);
            match timeout(PATIENCE, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true); // slower without, and right
                    return Ok(stream);
                }
                Ok(Err(error)) => reason = format!("{address}: {error}"),
                Err(_) => reason = format!("{address} is silent"),
            }
        }
        Err(Refused::Unreachable(format!(
            "cannot reach {host}: {reason}"
        )))
    }

    /// Holds the session with the client in the protocol of the server, or of another connection to it that speaks one of
    /// the client's.
    async fn relay(
        &self,
        client: BufReader<TcpStream>,
        mut server: TlsStream<TcpStream>,
        pins: &[Pin],
    ) -> Result<(), String> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), client);
        let hello = timeout(PATIENCE, hello)
            .await
            .map_err(|_| "the client is silent")?;
        let hello = hello.map_err(|error| error.to_string())?;
        let wanted: Vec<Vec<u8>> = hello
            .client_hello()
            .alpn()
            .map(|names| names.map(<[u8]>::to_vec).collect())
            .unwrap_or_default();
        let spoken = server.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        if spoken.is_some_and(|spoken| !wanted.contains(&spoken)) {
            let again = self.open(&wanted).await;
            server = again.map_err(|refused| refused.to_string())?.1;
        }
        let protocol = server.get_ref().1.alpn_protocol();
        let now = self.shared.surroundings.now();
        let config = self
            .shared
            .identities
            .config(self.host.as_ref(), protocol, now);
        let config = config.map_err(|error| error.to_string())?;
        let client = timeout(PATIENCE, hello.into_stream(Arc::new(config))).await;
        let client = client.map_err(|_| "the client is silent")?;
        let client = client.map_err(|error| error.to_string())?;
        let beat = AtomicU64::default();
        let ((from_client, to_client), (from_server, to_server)) = (split(client), split(server));
        let both = async {
            tokio::try_join!(
                pump(from_client, to_server, &beat),
                pump(from_server, to_client, &beat)
            )
        };
        tokio::select! {
            ended = both => ended.map(drop).map_err(|error| error.to_string()),
            () = silence(&beat) => Err("nothing went through for ten minutes".to_owned()),
            () = self.change(pins) => Err("what the name binds has changed".to_owned()),
        }
    }

    /// Returns when the name no longer binds these pins, or nobody can tell.
    fn change(&self, pins: &[Pin]) -> impl Future<Output = ()> {
        let mut changes = self.shared.changes.clone();
        async move {
            loop {
                let now = self.shared.pins.pins(self.host, self.port);
                if !matches!(now, Ok(Pins::Bound(now)) if now == pins) {
                    return;
                }
                let _ = timeout(COMPARISON, changes.changed()).await; // either way it is time
            }
        }
    }
}

/// What is wrong with a handshake: the server, or the way to it.
fn refusal(host: &str, error: &io::Error) -> Refused {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(error)) => Refused::NotTheServer(match error {
            rustls::CertificateError::Other(other) => other.to_string(),
            error => format!("the certificate of {host} does not count: {error}"),
        }),
        _ => Refused::Unreachable(format!("no TLS with the server of {host}: {error}")),
    }
}

/// Passes on all that comes, and its end.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    beat: &AtomicU64,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = from.read(&mut chunk).await?;
        let Some(read) = chunk.get(..length).filter(|read| !read.is_empty()) else {
            return to.shutdown().await;
        };
        to.write_all(read).await?;
        to.flush().await?;
        beat.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns when nothing has gone through for long enough.
async fn silence(beat: &AtomicU64) {
    let mut last = None;
    loop {
        let now = beat.load(Ordering::Relaxed);
        if last == Some(now) {
            return;
        }
        last = Some(now);
        sleep(IDLE_MAX).await;
    }
}
