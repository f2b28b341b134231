//! Files of a web server, with limits on everything that it sends.
//!
//! hyper speaks HTTP/1.1 and rustls proves who speaks; what is ours are the limits. A server that sends too much, too
//! slowly or another part than was asked for is an error. Redirects are refused: they could lead anywhere. One
//! connection is kept and used again. The caller's thread waits, and what it waits for runs on it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use std::time::{Duration, Instant};

use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT_ENCODING, CONTENT_RANGE, HOST, LOCATION, RANGE, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_socks::tcp::Socks5Stream;

use super::place::{PlaceError, Rest, Take, Wanted};
use super::shared::Ending;
use crate::worker::Tasks;

/// Longest time for a connection, and for the first byte of a response.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest time without a byte.
const SILENCE: Duration = Duration::from_secs(20);
/// Bytes a second that a server has to reach after [`PATIENCE`].
const FLOOR: u64 = 4 << 10;
/// How often a thread that waits looks whether it is to end.
const LOOK_FOR_STOP: Duration = Duration::from_millis(100);
/// Of a redirect, so much is quoted.
const QUOTED: usize = 200;

/// A stream to a server, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// One web server.
pub(super) struct Web {
    base: Uri,
    proxy: Option<SocketAddr>,
    ending: Arc<Ending>,
    runtime: Option<Runtime>,
    tls: Option<Arc<ClientConfig>>,
    sender: Option<SendRequest<String>>,
    conversations: Tasks,
}

/// Does not wait for a name that is still looked up.
impl Drop for Web {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Web {
    /// The server of the folder `base`; connects with the first question, through the SOCKS5 `proxy` if there is one.
    pub(super) fn new(base: Uri, proxy: Option<SocketAddr>, ending: Arc<Ending>) -> Self {
        Self {
            base,
            proxy,
            ending,
            runtime: None,
            tls: None,
            sender: None,
            conversations: Tasks::new("a connection to the server of a log"),
        }
    }

    /// Gives the bytes of a file to `take`.
    pub(super) fn get(
        &mut self,
        wanted: Wanted<'_>,
        take: &mut Take<'_>,
    ) -> Result<(), PlaceError> {
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(unreachable)?,
        };
        let ending = Arc::clone(&self.ending);
        let result = runtime.block_on(async {
            tokio::select! {
                result = self.exchange(wanted, take) => result,
                () = stopped(&ending) => Err(PlaceError::Stopped),
            }
        });
        self.runtime = Some(runtime);
        if result.is_err() {
            self.sender = None;
        }
        result
    }

    async fn exchange(
        &mut self,
        wanted: Wanted<'_>,
        take: &mut Take<'_>,
    ) -> Result<(), PlaceError> {
        let response = match self.sender.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => match self.ask(sender, wanted).await {
                Err(PlaceError::Unreachable(_)) => self.ask_anew(wanted).await?,
                response => response?,
            },
            None => self.ask_anew(wanted).await?,
        };
        let skip = match response.status() {
            StatusCode::OK => wanted.from,
            StatusCode::PARTIAL_CONTENT => starts_at(&response, wanted.from)?,
            StatusCode::RANGE_NOT_SATISFIABLE => return Ok(()), // there is no more
            status => return Err(refused(&response, status)),
        };
        receive(response.into_body(), skip, wanted, take).await
    }

    async fn ask_anew(&mut self, wanted: Wanted<'_>) -> Result<Response<Incoming>, PlaceError> {
        let sender = timeout(PATIENCE, self.connect())
            .await
            .map_err(unreachable)??;
        self.ask(sender, wanted).await
    }

    async fn ask(
        &mut self,
        mut sender: SendRequest<String>,
        wanted: Wanted<'_>,
    ) -> Result<Response<Incoming>, PlaceError> {
        let folder = self.base.path().trim_end_matches('/');
        let mut request = Request::get(format!("{folder}/{}", wanted.name))
            .header(HOST, self.base.authority().map_or("", |host| host.as_str()))
            .header(USER_AGENT, concat!("bnsd/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT_ENCODING, "identity");
        if let Some(range) = range(wanted) {
            request = request.header(RANGE, range);
        }
        let request = request.body(String::new()).map_err(unreachable)?;
        let response = timeout(PATIENCE, async {
            sender.ready().await?;
            sender.send_request(request).await
        });
        let response = response.await.map_err(unreachable)?.map_err(unreachable)?;
        self.sender = Some(sender);
        Ok(response)
    }

    async fn connect(&mut self) -> Result<SendRequest<String>, PlaceError> {
        let is_secure = self.base.scheme_str() == Some("https");
        let host = self
            .base
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let port = self
            .base
            .port_u16()
            .unwrap_or(if is_secure { 443 } else { 80 });
        let stream: Box<dyn Stream> = match self.proxy {
            None => Box::new(
                TcpStream::connect((&*host, port))
                    .await
                    .map_err(unreachable)?,
            ),
            Some(proxy) => {
                let through = Socks5Stream::connect(proxy, (&*host, port)).await;
                Box::new(through.map_err(unreachable)?)
            }
        };
        let stream: Box<dyn Stream> = if is_secure {
            let name = ServerName::try_from(host).map_err(unreachable)?;
            let connector = TlsConnector::from(self.tls()?);
            Box::new(connector.connect(name, stream).await.map_err(unreachable)?)
        } else {
            stream
        };
        let (sender, conversation) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(unreachable)?;
        self.conversations.spawn(async {
            let _ = conversation.await; // an error is also that of the request under way
        });
        Ok(sender)
    }

    /// The authorities that the system trusts.
    fn tls(&mut self) -> Result<Arc<ClientConfig>, PlaceError> {
        if let Some(tls) = &self.tls {
            return Ok(Arc::clone(tls));
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(&provider));
        let verifier = verifier.map_err(unreachable)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unreachable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Arc::clone(self.tls.insert(Arc::new(config))))
    }
}

/// The part of the file that is asked for, unless it is all of it.
fn range(wanted: Wanted<'_>) -> Option<String> {
    let Wanted { from, most, .. } = wanted;
    match wanted.rest {
        Rest::Left => {
            let last = from.saturating_add(most).saturating_sub(1);
            Some(format!("bytes={from}-{last}"))
        }
        Rest::Refused if from > 0 => Some(format!("bytes={from}-")),
        Rest::Refused => None,
    }
}

fn unreachable(error: impl std::fmt::Display) -> PlaceError {
    PlaceError::Unreachable(error.to_string())
}

async fn stopped(ending: &Ending) {
    while !ending.is_set() {
        sleep(LOOK_FOR_STOP).await;
    }
}

/// 0 if the part that comes begins where it has to.
fn starts_at(response: &Response<Incoming>, from: u64) -> Result<u64, PlaceError> {
    let range = response.headers().get(CONTENT_RANGE);
    let range = range.and_then(|range| range.to_str().ok());
    let start = range.and_then(|range| {
        range
            .strip_prefix("bytes ")?
            .split('-')
            .next()?
            .parse()
            .ok()
    });
    match start == Some(from) {
        true => Ok(0),
        false => Err(PlaceError::Wrong(format!(
            "the server sends another part of the file than bytes from {from} on"
        ))),
    }
}

fn refused(response: &Response<Incoming>, status: StatusCode) -> PlaceError {
    let to = response.headers().get(LOCATION);
    match to
        .and_then(|to| to.to_str().ok())
        .filter(|_| status.is_redirection())
    {
        Some(to) => {
            let to: String = to
                .chars()
                .filter(|c| !c.is_control())
                .take(QUOTED)
                .collect();
            let advice = "write where the log is into `chain.logs`";
            PlaceError::Unreachable(format!("the server redirects to {to}: {advice}"))
        }
        None => PlaceError::Unreachable(format!("the server replies with HTTP status {status}")),
    }
}

/// Hands a body on, without its first `skip` bytes.
async fn receive(
    mut body: Incoming,
    mut skip: u64,
    wanted: Wanted<'_>,
    take: &mut Take<'_>,
) -> Result<(), PlaceError> {
    let (start, mut received, mut left) = (Instant::now(), 0_u64, wanted.most);
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        let frame = timeout(SILENCE, frame).await.map_err(|_| slow())?;
        let Some(frame) = frame else { return Ok(()) };
        let Ok(data) = frame.map_err(unreachable)?.into_data() else {
            continue;
        };
        received = received.saturating_add(data.len() as u64);
        if start.elapsed() > PATIENCE && received / start.elapsed().as_secs().max(1) < FLOOR {
            return Err(slow());
        }
        let skipped = skip.min(data.len() as u64);
        skip -= skipped;
        let part = data.get(skipped as usize..).unwrap_or_default();
        let (part, is_end) = wanted.cut(part, &mut left)?;
        take(part).map_err(PlaceError::Kept)?;
        if is_end {
            return Ok(());
        }
    }
}

fn slow() -> PlaceError {
    PlaceError::Wrong("the server sends too slowly".to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// A server that gives each connection the next of `replies`; the requests come back at the end.
    fn scripted(replies: Vec<String>) -> (Web, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}/names/", listener.local_addr().expect("bound"));
        let serve = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for reply in replies {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).unwrap_or(0);
                requests.push(String::from_utf8_lossy(&buffer[..read]).into_owned());
                let _ = stream.write_all(reply.as_bytes());
            }
            requests
        });
        let base = base.parse().expect("a URL");
        (Web::new(base, None, Arc::default()), serve)
    }

    fn get(web: &mut Web, from: u64, most: u64) -> Result<Vec<u8>, PlaceError> {
        let mut bytes = Vec::new();
        let mut take = |part: &[u8]| {
            bytes.extend_from_slice(part);
            Ok(())
        };
        let name = "segments/open";
        let rest = Rest::Refused;
        web.get(
            Wanted {
                name,
                from,
                most,
                rest,
            },
            &mut take,
        )?;
        Ok(bytes)
    }

    fn reply(status: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
        )
    }

    #[test]
    fn files_come_whole_in_part_and_from_servers_without_parts() {
        let range = |range| format!("Content-Range: bytes {range}\r\n");
        let (mut web, serve) = scripted(vec![
            reply("200 OK", "", "abcdef"),
            reply("206 Partial Content", &range("4-5/6"), "ef"),
            reply("200 OK", "", "abcdef"),
            reply("206 Partial Content", &range("3-5/6"), "def"),
            reply("200 OK", "", "abcdefg"),
            reply("416 Range Not Satisfiable", "", ""),
        ]);
        assert_eq!(get(&mut web, 0, 6).expect("all"), b"abcdef");
        assert_eq!(get(&mut web, 4, 2).expect("a part"), b"ef");
        assert_eq!(get(&mut web, 4, 2).expect("a part of all"), b"ef");
        let other = get(&mut web, 4, 2).expect_err("another part");
        assert!(matches!(other, PlaceError::Wrong(_)), "{other}");
        let long = get(&mut web, 0, 6).expect_err("too long");
        assert!(long.to_string().contains("longer than 6 bytes"), "{long}");
        assert_eq!(get(&mut web, 6, 2).expect("nothing"), b"");
        let requests = serve.join().expect("it ends");
        assert!(requests[0].starts_with("GET /names/segments/open HTTP/1.1\r\n"));
        assert!(
            requests[1].contains("range: bytes=4-\r\n"),
            "{}",
            requests[1]
        );
    }

    #[test]
    fn a_redirect_is_refused_and_says_where_it_leads() {
        let to = "Location: http://elsewhere.example/\r\n";
        let (mut web, _serve) = scripted(vec![reply("302 Found", to, "")]);
        let error = get(&mut web, 0, 9).expect_err("a redirect").to_string();
        assert!(
            error.contains("elsewhere.example") && error.contains("chain.logs"),
            "{error}"
        );
    }

    #[test]
    fn a_stop_is_heard() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}/", listener.local_addr().expect("bound"));
        let ending = Arc::new(Ending::default());
        ending.set();
        let mut web = Web::new(base.parse().expect("a URL"), None, ending);
        assert!(matches!(get(&mut web, 0, 9), Err(PlaceError::Stopped)));
    }
}
