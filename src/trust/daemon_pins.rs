//! What a running daemon says that a name binds, over its HTTP API.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustls::pki_types::DnsName;
use serde::Deserialize;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::source::{PinSource, Pins, SourceError};
use crate::tlsa::PinText;

/// How long the daemon may take for a step; it reads its own database.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest response in bytes: all keys of a zone file (40,960 bytes) in digits, each some times.
const RESPONSE_MAX: u64 = 1 << 20;

/// Asks the daemon that serves its API at an address, with a connection for each question. Blocks the thread for the time of
/// an exchange over loopback; on a runtime with several threads the others go on.
#[derive(Debug, Clone)]
pub struct DaemonPins {
    address: SocketAddr,
}

impl DaemonPins {
    /// `address` is one of `api.listen`, by default 127.0.0.1:6270.
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    fn ask(&self, target: &str) -> Result<Pins, SourceError> {
        let response = self.get(target).map_err(|error| SourceError::Silent {
            place: self.address.to_string(),
            reason: error.to_string(),
        })?;
        let nonsense = || SourceError::Nonsense(self.address.to_string());
        let (status, body) = read(&response).ok_or_else(nonsense)?;
        if status != 200 {
            let refused: Refused = serde_json::from_slice(body).map_err(|_| nonsense())?;
            return Err(SourceError::Unknown(refused.error));
        }
        let reply: Reply = serde_json::from_slice(body).map_err(|_| nonsense())?;
        reply.pins().ok_or_else(nonsense)
    }

    /// HTTP/1.0, so that the response ends with the connection.
    fn get(&self, target: &str) -> io::Result<Vec<u8>> {
        let address = self.address;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let request = format!("GET {target} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut response = Vec::new();
        stream.take(RESPONSE_MAX).read_to_end(&mut response)?;
        Ok(response)
    }
}

impl DaemonPins {
    /// Asks where that holds up nobody else.
    fn ask_aside(&self, target: &str) -> Result<Pins, SourceError> {
        let has_others = Handle::try_current()
            .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
        match has_others {
            true => tokio::task::block_in_place(|| self.ask(target)),
            false => self.ask(target),
        }
    }
}

impl PinSource for DaemonPins {
    fn pins(&self, host: &DnsName<'_>, port: u16) -> Result<Pins, SourceError> {
        self.ask_aside(&format!("/v1/pins/{}?port={port}", host.as_ref()))
    }

    fn pins_with(
        &self,
        host: &DnsName<'_>,
        port: u16,
        delegation: &str,
    ) -> Result<Pins, SourceError> {
        let host = host.as_ref();
        let delegation = percent_encoded(delegation);
        let target = format!("/v1/pins/{host}?port={port}&delegation={delegation}");
        self.ask_aside(&target)
    }
}

/// A text as the value of a query (RFC 3986 §2.1).
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        let _ = match byte.is_ascii_alphanumeric() {
            true => write!(encoded, "{}", char::from(byte)),
            false => write!(encoded, "%{byte:02X}"),
        };
        encoded
    })
}

/// Status and body of a response.
fn read(response: &[u8]) -> Option<(u16, &[u8])> {
    let end = response.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, rest) = response.split_at_checked(end)?;
    let status = std::str::from_utf8(head).ok()?.split(' ').nth(1)?;
    Some((status.parse().ok()?, rest.get(4..)?))
}

/// What is needed of a response of `/v1/pins`.
#[derive(Deserialize)]
struct Reply {
    side: Side,
    pins: Vec<PinText>,
}

/// Who answers for the host.
#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Side {
    Bns,
    Legacy,
    Local,
}

/// Any other response.
#[derive(Deserialize)]
struct Refused {
    error: String,
}

impl Reply {
    /// `None` if a pin cannot be read.
    fn pins(self) -> Option<Pins> {
        if self.side != Side::Bns {
            return Some(Pins::NotOurs);
        }
        let pins = self.pins.iter().map(PinText::pin);
        pins.collect::<Option<_>>().map(Pins::Bound)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::tlsa::{Pin, Rule};
    use crate::worker;

    /// What comes of a server that replies with this.
    fn told(response: &'static str) -> Result<Pins, SourceError> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let server = worker::thread("a server", move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 1_024];
            let length = stream.read(&mut request).expect("a request");
            let line = b"GET /v1/pins/werner.id?port=8443 HTTP/1.0\r\n";
            assert!(request[..length].starts_with(line));
            let _ = stream.write_all(response.as_bytes());
        });
        let host = DnsName::try_from("werner.id").expect("a name");
        let told = DaemonPins::new(address).pins(&host, 8443);
        server.expect("a thread").join().expect("a question");
        told
    }

    #[test]
    fn pins_are_read_and_nothing_else_is_believed() {
        let response = "HTTP/1.0 200 OK\r\n\r\n{\"side\":\"bns\",\"more\":1,\"pins\":[\
             {\"usage\":3,\"selector\":1,\"matching\":1,\"data\":\"00ff\",\"rule\":\"T2\"}]}";
        let pin = Pin {
            usage: 3,
            selector: 1,
            matching: 1,
            data: vec![0, 0xff],
            rule: Rule::Key,
        };
        assert_eq!(told(response), Ok(Pins::Bound(vec![pin])));
        let response = "HTTP/1.0 200 OK\r\n\r\n{\"side\":\"legacy\",\"pins\":[]}";
        assert_eq!(told(response), Ok(Pins::NotOurs));
        let response = "HTTP/1.0 503 No\r\n\r\n{\"error\":\"the index is behind\"}";
        let behind = SourceError::Unknown("the index is behind".to_owned());
        assert_eq!(told(response), Err(behind));
        for nonsense in [
            "",
            "HTTP/1.0 200 OK\r\n",
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\n{\"side\":\"bns\"}",
            "HTTP/1.0 200 OK\r\n\r\n{\"pins\":[]}",
            "HTTP/1.0 200 OK\r\n\r\n{\"side\":\"mine\",\"pins\":[]}",
            "HTTP/1.0 200 OK\r\n\r\n{\"side\":\"bns\",\"pins\":[\
             {\"usage\":3,\"selector\":1,\"matching\":1,\"data\":\"0\",\"rule\":\"T2\"}]}",
            "HTTP/1.0 404 No\r\n\r\n<html>",
        ] {
            let told = told(nonsense);
            assert!(matches!(told, Err(SourceError::Nonsense(_))), "{told:?}");
        }
    }
}
