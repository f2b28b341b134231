//! HTTP to a node, with limits on everything that it sends.
//!
//! hyper speaks HTTP; what is ours are the limits. One connection is kept open and used again, or two where many blocks are
//! asked for; one that the node has closed meanwhile is replaced once per request. A reply has to be complete within
//! [`Limits::timeout`], however slowly it trickles in, and its body below [`Limits::reply_bytes`]: a node that hangs, or
//! something else that listens on its port, costs neither time nor memory without bound. Every reply has to announce its
//! length, as all of Bitcoin Core's do.
//!
//! Callers are threads that wait for one reply at a time, so each connection brings a runtime of its own, which runs
//! on the caller's thread while it waits.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, http};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::runtime::{self, Runtime};
use tokio::time::sleep;

mod turns;

pub use super::credentials::{Credentials, UserPassword};
use crate::worker::Tasks;

/// Asked of the system for replies that have not been read yet, in bytes. Newer nodes pause for up to 50 ms when a
/// reply does not fit into the buffers between us (Bitcoin Core, httpserver.cpp, `SELECT_TIMEOUT`).
const RECEIVE_BUFFER: u32 = 4 << 20;
/// How often a caller that waits looks whether it should end. A daemon that is told to stop ends this much later.
const LOOK_FOR_STOP: Duration = Duration::from_millis(100);

/// What a reply may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the request to the last byte of the reply.
    pub timeout: Duration,
    /// Largest body in bytes.
    pub reply_bytes: u64,
}

impl Default for Limits {
    /// Half a minute, and four times what the largest block takes as JSON with its spent outputs.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            reply_bytes: 64 << 20,
        }
    }
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nobody listens, or the connection broke.
    #[error("it cannot be reached ({0}): start it, or correct `chain.rpc-address`")]
    Connection(#[from] io::Error),
    /// No complete reply in time.
    #[error("it did not reply within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The caller is to end.
    #[error("it had not replied when bnsd was told to stop")]
    Stopped,
    /// The reply exceeds the limit.
    #[error("its reply is larger than {0} bytes")]
    TooLarge(u64),
    /// The reply is no HTTP, or none that Bitcoin Core sends.
    #[error("its reply is not Bitcoin Core's: something else may use that address")]
    Malformed,
    /// No credentials are accepted.
    #[error("{0}")]
    Unauthorized(String),
    /// Another status than 200 without an explanation in the body.
    #[error("it replied with HTTP status {0}")]
    Status(u16),
}

impl From<hyper::Error> for HttpError {
    fn from(error: hyper::Error) -> Self {
        if error.is_parse() {
            return Self::Malformed;
        }
        // What hyper says is "error reading a body from connection"; the cause below it is what a reader needs.
        let reason = error
            .source()
            .map_or_else(|| error.to_string(), ToString::to_string);
        Self::Connection(io::Error::other(reason))
    }
}

impl From<http::Error> for HttpError {
    fn from(error: http::Error) -> Self {
        Self::Connection(io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}

/// A reply of the node.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// What follows the headers.
    pub body: Vec<u8>,
}

/// One way to one node.
#[derive(Debug)]
pub struct Http {
    address: String,
    credentials: Credentials,
    limits: Limits,
    stop: OnceLock<Arc<AtomicBool>>,
    connection: Mutex<Connection>,
    conversations: Tasks,
    connections: AtomicU64,
}

/// What is kept between two requests.
#[derive(Debug, Default)]
struct Connection {
    /// Built with the first request.
    runtime: Option<Runtime>,
    sender: Option<SendRequest<String>>,
    /// Takes turns with the first where much is asked for.
    second: Option<SendRequest<String>>,
    authorization: Option<HeaderValue>,
}

/// Does not wait for a name that is still looked up.
impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Http {
    /// A client for the node at `address` (HOST:PORT); connects with the first request.
    pub fn new(address: String, credentials: Credentials, limits: Limits) -> Self {
        Self {
            address,
            credentials,
            limits,
            stop: OnceLock::new(),
            connection: Mutex::default(),
            conversations: Tasks::new("a connection to the node"),
            connections: AtomicU64::new(0),
        }
    }

    /// Where the node is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many connections were made: behind a new one may be another node.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Another connection to the same node.
    pub fn another(&self) -> Self {
        Self {
            stop: self.stop.clone(),
            ..Self::new(self.address.clone(), self.credentials.clone(), self.limits)
        }
    }

    /// Ends requests with [`HttpError::Stopped`] once `stop` is set, also those of connections made with
    /// [`Self::another`] from now on.
    pub fn stop_with(&self, stop: Arc<AtomicBool>) {
        let _ = self.stop.set(stop); // the first one stays
    }

    /// Asks for a path of the REST interface.
    pub fn get(&self, path: &str) -> Result<Reply, HttpError> {
        let request = self.get_request(path)?;
        self.lock().exchange(self, request)
    }

    fn get_request(&self, path: &str) -> Result<Request<String>, HttpError> {
        let request = Request::get(path).header(HOST, &self.address);
        Ok(request.body(String::new())?)
    }

    /// Posts a JSON-RPC request, with credentials.
    pub fn post(&self, body: &str) -> Result<Reply, HttpError> {
        let mut connection = self.lock();
        let kept = connection.authorization.clone();
        let first = kept.or_else(|| self.credentials.offers().into_iter().next());
        let reply = connection.exchange(self, self.post_request(first.as_ref(), body)?)?;
        if reply.status != 401 {
            connection.authorization = first;
            return Ok(reply);
        }
        let others = self.credentials.offers().into_iter().map(Some);
        for offer in others.filter(|offer| *offer != first) {
            let reply = connection.exchange(self, self.post_request(offer.as_ref(), body)?)?;
            if reply.status != 401 {
                connection.authorization = offer;
                return Ok(reply);
            }
        }
        connection.authorization = None;
        Err(HttpError::Unauthorized(self.credentials.advice()))
    }

    fn post_request(
        &self,
        authorization: Option<&HeaderValue>,
        body: &str,
    ) -> Result<Request<String>, HttpError> {
        let mut head = Request::post("/")
            .header(HOST, &self.address)
            .header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = authorization {
            head = head.header(AUTHORIZATION, authorization);
        }
        Ok(head.body(body.to_owned())?)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

// ---- on the wire ----------------------------------------------------------------------------------------

impl Connection {
    /// Sends a request and reads its reply; once more on a new connection if the kept one was dead.
    fn exchange(&mut self, http: &Http, request: Request<String>) -> Result<Reply, HttpError> {
        let kept = self.sender.take().filter(|sender| !sender.is_closed());
        let exchange = async {
            if let Some(sender) = kept {
                match http.ask(sender, request.clone()).await {
                    Err(HttpError::Connection(_)) => {}
                    result => return result,
                }
            }
            http.ask(http.connect().await?, request).await
        };
        let (reply, sender) = self.runtime()?.block_on(http.bounded(exchange))?;
        self.sender = Some(sender);
        Ok(reply)
    }

    fn runtime(&mut self) -> io::Result<&Runtime> {
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
        };
        Ok(self.runtime.insert(runtime))
    }
}

impl Http {
    /// The same, ended by the timeout or the stop if one of them comes first.
    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, HttpError>>,
    ) -> Result<T, HttpError> {
        tokio::select! {
            result = work => result,
            () = sleep(self.limits.timeout) => Err(HttpError::Timeout(self.limits.timeout)),
            () = self.stopped() => Err(HttpError::Stopped),
        }
    }

    async fn stopped(&self) {
        while !self
            .stop
            .get()
            .is_some_and(|stop| stop.load(Ordering::Relaxed))
        {
            sleep(LOOK_FOR_STOP).await;
        }
    }

    async fn connect(&self) -> Result<SendRequest<String>, HttpError> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in lookup_host(&self.address).await? {
            match open(address).await {
                Ok(stream) => {
                    self.connections.fetch_add(1, Ordering::Relaxed);
                    return self.converse(stream).await;
                }
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }

    async fn converse(&self, stream: TcpStream) -> Result<SendRequest<String>, HttpError> {
        let mut client = http1::Builder::new();
        client.title_case_headers(true); // as most clients write them
        let (sender, conversation) = client.handshake(TokioIo::new(stream)).await?;
        self.conversations.spawn(async {
            let _ = conversation.await; // an error is also that of the request under way
        });
        Ok(sender)
    }

    async fn ask(
        &self,
        mut sender: SendRequest<String>,
        request: Request<String>,
    ) -> Result<(Reply, SendRequest<String>), HttpError> {
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let reply = Reply {
            status: response.status().as_u16(),
            body: read(response.into_body(), self.limits.reply_bytes).await?,
        };
        Ok((reply, sender))
    }
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER); // it works without, slower
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The whole body, whose length has to be announced and is at most `limit` bytes.
async fn read(mut body: Incoming, limit: u64) -> Result<Vec<u8>, HttpError> {
    let length = body.size_hint().exact().ok_or(HttpError::Malformed)?;
    if length > limit {
        return Err(HttpError::TooLarge(limit));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc;

    use super::super::credentials::basic;
    use super::*;

    /// A server that gives each connection the next of `replies`, then closes it; the requests come back.
    fn scripted(replies: Vec<Vec<u8>>) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let (requests, received) = mpsc::channel();
        std::thread::spawn(move || {
            for reply in replies {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).unwrap_or(0);
                let _ = requests.send(String::from_utf8_lossy(&buffer[..read]).into_owned());
                let _ = stream.write_all(&reply);
            }
        });
        (address, received)
    }

    fn client(address: String, credentials: Credentials) -> Http {
        let limits = Limits {
            timeout: Duration::from_millis(300),
            reply_bytes: 100,
        };
        Http::new(address, credentials, limits)
    }

    fn nobody() -> Credentials {
        Credentials {
            cookie: None,
            user: None,
        }
    }

    /// How a request shows user and password.
    fn shown(user_and_password: &str) -> String {
        let value = basic(user_and_password);
        value.to_str().expect("base64").to_owned()
    }

    fn reply(status: &str, body: &str) -> Vec<u8> {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
    }

    #[test]
    fn a_closed_connection_is_replaced() {
        let (address, _requests) = scripted(vec![reply("200 OK", "a"), reply("200 OK", "b")]);
        let http = client(address, nobody());
        assert_eq!(http.get("/").expect("a reply").body, b"a");
        assert_eq!(http.get("/").expect("a reply").body, b"b");
        assert!(matches!(http.get("/"), Err(HttpError::Connection(_))));
    }

    #[test]
    fn oversized_and_strange_replies_are_refused() {
        let refused = |bytes: &[u8]| {
            let (address, _requests) = scripted(vec![bytes.to_vec()]);
            client(address, nobody())
                .get("/")
                .expect_err("refused")
                .to_string()
        };
        let long = refused(b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n");
        assert!(long.contains("larger than 100"), "{long}");
        for strange in [
            "SSH-2.0-OpenSSH_9.2\r\n",
            "HTTP/1.1 200 OK\r\n\r\nno length",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            let message = refused(strange.as_bytes());
            assert!(message.contains("not Bitcoin Core's"), "{message}");
        }
        let endless = vec![b'x'; 1 << 16];
        assert!(refused(&endless).contains("not Bitcoin Core's"));
    }

    #[test]
    fn a_node_that_hangs_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let http = client(address, nobody());
        assert!(matches!(http.get("/"), Err(HttpError::Timeout(_))));
    }

    #[test]
    fn the_cookie_is_read_again_and_the_password_comes_second() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let cookie = scratch.path().join(".cookie");
        std::fs::write(&cookie, "__cookie__:new").expect("written");
        let refusal = || reply("401 Unauthorized", "");
        let (address, requests) = scripted(vec![refusal(), reply("200 OK", "{}")]);
        let credentials = Credentials {
            cookie: Some(cookie),
            user: Some(UserPassword::new("me", "pass")),
        };
        let http = client(address, credentials);
        http.lock().authorization = Some(HeaderValue::from_static("Basic old"));
        assert_eq!(http.post("{}").expect("a reply").status, 200);
        assert!(requests.recv().expect("a request").contains("Basic old"));
        let second = requests.recv().expect("a request");
        assert!(second.contains(&shown("__cookie__:new")), "{second}");

        let (address, requests) = scripted(vec![refusal(), refusal()]);
        let http = client(address, http.credentials.clone());
        let error = http.post("{}").expect_err("refused").to_string();
        assert!(error.contains("refuses the cookie"), "{error}");
        assert!(
            error.contains("and the configured user and password"),
            "{error}"
        );
        assert!(!error.contains("pass:") && !error.contains("new"));
        let requests: Vec<_> = requests.iter().collect();
        assert!(requests[1].contains(&shown("me:pass")));
    }

    #[test]
    fn a_request_ends_when_bnsd_stops() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let limits = Limits::default();
        let http = Http::new(address, nobody(), limits);
        http.stop_with(Arc::clone(&stop));
        let other = http.another();
        let asking = std::thread::spawn(move || other.get("/"));
        let _request = listener.accept().expect("a client");
        stop.store(true, Ordering::Relaxed);
        let ended = asking.join().expect("no panic");
        assert!(matches!(ended, Err(HttpError::Stopped)), "{ended:?}");
        assert!(matches!(http.get("/"), Err(HttpError::Stopped)));
    }
}
