//! The little HTTP that a node speaks, with limits on everything that it sends.
//!
//! One connection is kept open and used again; one that the node has closed meanwhile is replaced once per
//! request. A reply has to be complete within [`Limits::timeout`], however slowly it trickles in, and below
//! [`Limits::reply_bytes`]: a node that hangs, or something else that listens on its port, costs neither
//! time nor memory without bound. Replies in pieces (chunked) are refused, Bitcoin Core sends none.
//!
//! Credentials go into the `Authorization` header alone, never into an error or the log. The cookie comes
//! first and is read again when the node refuses it, because every start of the node writes a new one; user
//! and password come second (Bitcoin Core, `httprpc.cpp`).

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// Longest status line with all headers, in bytes.
const HEAD_BYTES: u64 = 16 << 10;
/// Asked of the system for replies that have not been read yet, in bytes. Newer nodes pause for up to 50 ms when a
/// reply does not fit into the buffers between us (Bitcoin Core, httpserver.cpp, `SELECT_TIMEOUT`).
const RECEIVE_BUFFER: usize = 4 << 20;
/// A cookie has 75 bytes; what is longer is no cookie.
const COOKIE_BYTES: u64 = 1 << 10;

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

/// How we show the node who we are.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The node's cookie file, tried first where it is there.
    pub cookie: Option<PathBuf>,
    /// User and password, tried second.
    pub user: Option<UserPassword>,
}

/// A user and a password; never shown.
#[derive(Clone)]
pub struct UserPassword(String);

impl UserPassword {
    /// Joins the two as the node wants them.
    pub fn new(user: &str, password: &str) -> Self {
        Self(format!("{user}:{password}"))
    }
}

impl std::fmt::Debug for UserPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UserPassword(not shown)")
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

/// A reply of the node.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// What follows the headers.
    pub body: Vec<u8>,
}

/// One connection to one node.
#[derive(Debug)]
pub struct Http {
    address: String,
    credentials: Credentials,
    limits: Limits,
    connection: Mutex<Connection>,
    connections: AtomicU64,
}

#[derive(Debug, Default)]
struct Connection {
    stream: Option<BufReader<TcpStream>>,
    authorization: Option<String>,
}

impl Http {
    /// A client for the node at `address` (HOST:PORT); connects with the first request.
    pub fn new(address: String, credentials: Credentials, limits: Limits) -> Self {
        Self {
            address,
            credentials,
            limits,
            connection: Mutex::default(),
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
        Self::new(self.address.clone(), self.credentials.clone(), self.limits)
    }

    /// Asks for a path of the REST interface.
    pub fn get(&self, path: &str) -> Result<Reply, HttpError> {
        let mut connection = self.lock();
        connection.exchange(self, &self.head("GET", path, None), b"")
    }

    /// Posts a JSON-RPC request, with credentials.
    pub fn post(&self, body: &[u8]) -> Result<Reply, HttpError> {
        let mut connection = self.lock();
        if connection.authorization.is_none() {
            connection.authorization = self.credentials.offers().into_iter().next();
        }
        let used = connection.authorization.clone();
        let reply = connection.exchange(self, &self.post_head(used.as_deref(), body), body)?;
        if reply.status != 401 {
            return Ok(reply);
        }
        let others = self.credentials.offers().into_iter();
        for offer in others.filter(|offer| Some(offer) != used.as_ref()) {
            let reply = connection.exchange(self, &self.post_head(Some(&offer), body), body)?;
            if reply.status != 401 {
                connection.authorization = Some(offer);
                return Ok(reply);
            }
        }
        connection.authorization = None;
        Err(HttpError::Unauthorized(self.credentials.advice()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn post_head(&self, authorization: Option<&str>, body: &[u8]) -> String {
        let mut fields = format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        if let Some(authorization) = authorization {
            fields += &format!("Authorization: {authorization}\r\n");
        }
        self.head("POST", "/", Some(&fields))
    }

    fn head(&self, method: &str, path: &str, fields: Option<&str>) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{}\r\n",
            self.address,
            fields.unwrap_or_default()
        )
    }

    fn connect(&self, deadline: Instant) -> Result<TcpStream, HttpError> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in self.address.to_socket_addrs()? {
            match connect(address, remaining(deadline)?) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    self.connections.fetch_add(1, Ordering::Relaxed);
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }
}

impl Connection {
    /// Sends a request and reads its reply; once more on a new connection if the kept one was dead.
    fn exchange(&mut self, http: &Http, head: &str, body: &[u8]) -> Result<Reply, HttpError> {
        let deadline = Instant::now() + http.limits.timeout;
        let kept = self.stream.take();
        if let Some(mut stream) = kept {
            match try_exchange(&mut stream, head, body, deadline, http.limits) {
                Ok((reply, keep)) => {
                    self.stream = keep.then_some(stream);
                    return Ok(reply);
                }
                Err(HttpError::Connection(error)) if !is_timeout(&error) => {}
                Err(error) => return Err(in_time(error, http.limits)),
            }
        }
        let mut stream = BufReader::with_capacity(64 << 10, http.connect(deadline)?);
        let (reply, keep) = try_exchange(&mut stream, head, body, deadline, http.limits)
            .map_err(|error| in_time(error, http.limits))?;
        self.stream = keep.then_some(stream);
        Ok(reply)
    }
}

fn connect(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER); // it works without, slower
    socket.connect_timeout(&address.into(), timeout)?;
    Ok(socket.into())
}

fn try_exchange(
    stream: &mut BufReader<TcpStream>,
    head: &str,
    body: &[u8],
    deadline: Instant,
    limits: Limits,
) -> Result<(Reply, bool), HttpError> {
    let socket = stream.get_mut();
    socket.set_write_timeout(Some(remaining(deadline)?))?;
    socket.write_all(&[head.as_bytes(), body].concat())?;
    let mut timed = Timed { stream, deadline };
    let head = read_head(&mut timed)?;
    let length = head.length.ok_or(HttpError::Malformed)?;
    if length > limits.reply_bytes {
        return Err(HttpError::TooLarge(limits.reply_bytes));
    }
    let mut body = Vec::new();
    let read = (&mut timed).take(length).read_to_end(&mut body)?;
    if (read as u64) < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    let reply = Reply {
        status: head.status,
        body,
    };
    Ok((reply, !head.closes))
}

/// What the headers of a reply say.
struct Head {
    status: u16,
    length: Option<u64>,
    closes: bool,
}

fn read_head(timed: &mut Timed<'_>) -> Result<Head, HttpError> {
    let mut lines = timed.take(HEAD_BYTES);
    let first = read_line(&mut lines)?;
    let status = first.strip_prefix("HTTP/1.").and_then(|rest| {
        let code = rest.split(' ').nth(1)?;
        code.parse().ok()
    });
    let mut head = Head {
        status: status.ok_or(HttpError::Malformed)?,
        length: None,
        closes: first.starts_with("HTTP/1.0"),
    };
    loop {
        let line = read_line(&mut lines)?;
        if line.is_empty() {
            return Ok(head);
        }
        let (name, value) = line.split_once(':').ok_or(HttpError::Malformed)?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                head.length = Some(value.parse().map_err(|_| HttpError::Malformed)?);
            }
            "transfer-encoding" => return Err(HttpError::Malformed),
            "connection" => head.closes = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
}

/// A line without its end; an end of the stream before the end of the headers is no reply.
fn read_line(lines: &mut io::Take<&mut Timed<'_>>) -> Result<String, HttpError> {
    let mut line = Vec::new();
    lines.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    let text = String::from_utf8(line).map_err(|_| HttpError::Malformed)?;
    let text = text.strip_suffix('\n').ok_or(HttpError::Malformed)?;
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Reads with what is left of the time, so that a reply that trickles in ends too.
struct Timed<'a> {
    stream: &'a mut BufReader<TcpStream>,
    deadline: Instant,
}

impl Timed<'_> {
    fn arm(&mut self) -> io::Result<()> {
        if !self.stream.buffer().is_empty() {
            return Ok(());
        }
        let left = remaining(self.deadline).map_err(|_| io::ErrorKind::TimedOut)?;
        self.stream.get_ref().set_read_timeout(Some(left))
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.arm()?;
        self.stream.read(bytes)
    }
}

impl io::BufRead for Timed<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.arm()?;
        self.stream.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.stream.consume(amount);
    }
}

fn remaining(deadline: Instant) -> Result<Duration, HttpError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::Error::from(io::ErrorKind::TimedOut).into());
    }
    Ok(left)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    )
}

fn in_time(error: HttpError, limits: Limits) -> HttpError {
    match error {
        HttpError::Connection(error) if is_timeout(&error) => HttpError::Timeout(limits.timeout),
        error => error,
    }
}

impl Credentials {
    /// Values of the `Authorization` header, best first.
    fn offers(&self) -> Vec<String> {
        let cookie = self.cookie.as_deref().and_then(read_cookie);
        let user = self.user.as_ref().map(|user| user.0.clone());
        let texts = cookie.into_iter().chain(user);
        texts
            .map(|text| format!("Basic {}", base64(text.as_bytes())))
            .collect()
    }

    /// What was refused, what is not there, and what to do.
    fn advice(&self) -> String {
        let user = self
            .user
            .as_ref()
            .map(|_| "the configured user and password");
        let readable = |path: &Path| read_cookie(path).is_some();
        let said = match (self.cookie.as_ref(), user) {
            (Some(path), None) if readable(path) => {
                format!("it refuses the cookie in {}", path.display())
            }
            (Some(path), Some(user)) if readable(path) => {
                format!("it refuses the cookie in {} and {user}", path.display())
            }
            (Some(path), Some(user)) => {
                format!("it refuses {user}, and {} cannot be read", path.display())
            }
            (None, Some(user)) => format!("it refuses {user}"),
            (Some(path), None) => {
                format!(
                    "it wants credentials, and {} cannot be read",
                    path.display()
                )
            }
            (None, None) => "it wants credentials, and none are configured".to_owned(),
        };
        format!("{said}: set `chain.rpc-cookie`, or `chain.rpc-user` and `chain.rpc-password-file`")
    }
}

/// User and password as the node wrote them, in one line.
fn read_cookie(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(COOKIE_BYTES).read_to_string(&mut text).ok()?;
    let line = text.lines().next()?.trim();
    line.contains(':').then(|| line.to_owned())
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, at| {
            bits << 8 | u32::from(chunk.get(at).copied().unwrap_or(0))
        });
        for digit in 0..4 {
            let at = (bits >> (18 - 6 * digit)) as usize % DIGITS.len();
            let symbol = if digit <= chunk.len() {
                DIGITS[at]
            } else {
                b'='
            };
            text.push(char::from(symbol));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        // RFC 4648 §10.
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

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
        http.lock().authorization = Some("Basic old".to_owned());
        assert_eq!(http.post(b"{}").expect("a reply").status, 200);
        assert!(requests.recv().expect("a request").contains("Basic old"));
        let second = requests.recv().expect("a request");
        assert!(second.contains(&base64(b"__cookie__:new")), "{second}");

        let (address, requests) = scripted(vec![refusal(), refusal()]);
        let http = client(address, http.credentials.clone());
        let error = http.post(b"{}").expect_err("refused").to_string();
        assert!(error.contains("refuses the cookie"), "{error}");
        assert!(
            error.contains("and the configured user and password"),
            "{error}"
        );
        assert!(!error.contains("pass:") && !error.contains("new"));
        let requests: Vec<_> = requests.iter().collect();
        assert!(requests[1].contains(&base64(b"me:pass")));
    }
}
