//! What clients ask of the proxy, and how they are refused.

use std::time::Duration;

use data_encoding::BASE64;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
};
use tokio::time::timeout;

/// How long a client or a server may take for a step.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Longest head of a request in bytes; those of browsers have some hundreds.
const HEAD_MAX: u64 = 16_384;

/// A request.
pub enum Request {
    /// For a file at a path.
    Get(String),
    /// For a connection to HOST:PORT, with the password that came with it.
    Connect(String, Option<String>),
}

/// Why a client does not get what it asks for.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The head cannot be read.
    #[error("this is no request to a proxy")]
    Nonsense,
    /// Something else is asked for.
    #[error("nothing is here: ask `bnsd tls proxy` for the address of the file")]
    NotHere,
    /// It is for programs that know the token.
    #[error("send the token of `bnsd tls proxy` as the password, with any user")]
    NoToken,
    /// The method is another one.
    #[error("this proxy takes CONNECT alone: send http: to the server itself")]
    NoConnect,
    /// The target is no HOST:PORT.
    #[error("write the target as me.id:443; addresses have no names to check")]
    NoName,
    /// It is not a name of the chain.
    #[error("{0} is no name of the chain: connect to it without this proxy")]
    NotOurs(String),
    /// It has no pins, or the server has another key.
    #[error("{0}")]
    NotTheServer(String),
    /// Nobody can tell.
    #[error("{0}")]
    Unknown(String),
    /// There is nowhere to connect to.
    #[error("{0}")]
    Unreachable(String),
}

impl Refused {
    fn status(&self) -> &'static str {
        match self {
            Self::Nonsense | Self::NoName => "400 Bad Request",
            Self::NotHere => "404 Not Found",
            Self::NoToken => {
                "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"bnsd\""
            }
            Self::NoConnect => "405 Method Not Allowed\r\nAllow: CONNECT",
            Self::NotOurs(_) | Self::NotTheServer(_) => "403 Forbidden",
            Self::Unknown(_) => "503 Service Unavailable",
            Self::Unreachable(_) => "502 Bad Gateway",
        }
    }

    /// Says it to the client.
    pub async fn reply(&self, client: &mut (impl AsyncWrite + Unpin)) {
        tracing::debug!("the proxy refuses: {self}");
        respond(
            client,
            self.status(),
            "text/plain; charset=utf-8",
            &format!("{self}\n"),
        )
        .await;
    }
}

/// Gives a client the file that it asked for.
pub async fn reply_with_pac(client: &mut (impl AsyncWrite + Unpin), pac: &str) {
    respond(client, "200 OK", "application/x-ns-proxy-autoconfig", pac).await;
}

async fn respond(client: &mut (impl AsyncWrite + Unpin), status: &str, kind: &str, body: &str) {
    let length = body.len();
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
    );
    let said = async {
        client.write_all(response.as_bytes()).await?;
        client.shutdown().await
    };
    let _ = timeout(PATIENCE, said).await; // a client that has gone needs no reply
}

impl Request {
    /// Reads a head; what follows it stays in `client`.
    pub async fn read(client: &mut (impl AsyncBufRead + Unpin)) -> Result<Self, Refused> {
        let mut head = client.take(HEAD_MAX);
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            let read = head.read_until(b'\n', &mut line).await;
            if read.is_err() || line.pop() != Some(b'\n') {
                return Err(Refused::Nonsense);
            }
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if line.is_empty() {
                break;
            }
            lines.push(String::from_utf8(line).map_err(|_| Refused::Nonsense)?);
        }
        let (first, fields) = lines.split_first().ok_or(Refused::Nonsense)?;
        let words: Vec<&str> = first.split(' ').collect();
        let &[method, target, version] = words.as_slice() else {
            return Err(Refused::Nonsense);
        };
        if !version.starts_with("HTTP/1.") {
            return Err(Refused::Nonsense);
        }
        match method {
            "CONNECT" => Ok(Self::Connect(target.to_owned(), password(fields))),
            "GET" if target.starts_with('/') => Ok(Self::Get(target.to_owned())),
            _ => Err(Refused::NoConnect),
        }
    }
}

/// That of `Proxy-Authorization: Basic` (RFC 7617).
fn password(fields: &[String]) -> Option<String> {
    let value = fields.iter().find_map(|field| {
        let (name, value) = field.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("proxy-authorization");
        is_it.then_some(value.trim())
    })?;
    let (scheme, credentials) = value.split_once(' ')?;
    let decoded = BASE64.decode(credentials.trim().as_bytes()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (_, password) = text.split_once(':')?;
    (scheme.eq_ignore_ascii_case("basic")).then(|| password.to_owned())
}
