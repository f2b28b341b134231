//! Plain HTTP by hand, so that tests can send what no client would.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// A header field by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).expect("a head in ASCII");
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_ascii_lowercase(), value.to_owned()))
        });
        Some(Self {
            status,
            headers: headers.collect(),
            body: bytes[end + 4..].to_vec(),
        })
    }
}

/// Sends bytes, and reads the response to the end of the connection; `None` if it was closed without one.
pub fn send(address: SocketAddr, request: &[u8]) -> Option<Response> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).expect("a living socket");
    let _ = stream.write_all(request); // whoever is refused may be closed before all is sent
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes); // the same
    Response::read(&bytes)
}

/// A request with a method, a target and more lines of its head.
pub fn request(address: SocketAddr, method: &str, target: &str, lines: &[&str]) -> Response {
    let mut head = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    let named = |line: &&str| line.to_ascii_lowercase().starts_with("host:");
    if !lines.iter().any(named) {
        head.push_str(&format!("Host: {address}\r\n"));
    }
    for line in lines {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    let response = send(address, head.as_bytes());
    response.unwrap_or_else(|| panic!("no response to {method} {target} {lines:?}"))
}

/// Gets a path.
pub fn get(address: SocketAddr, target: &str) -> Response {
    request(address, "GET", target, &[])
}
