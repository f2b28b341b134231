//! Datagrams in batches: one call reads whatever waits in a socket, and one call sends the replies (recvmmsg(2),
//! sendmmsg(2); one datagram at a time on systems other than Linux).
//!
//! The two calls are half of the cost of a reply from memory, so batches save a good part of it under load. A single
//! query does not wait for others.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::SockRef;

/// Largest query that is read; longer ones arrive cut and fail to parse. Queries take a few hundred bytes.
const RECEIVE: usize = 4096;
/// Room for a reply at first; it grows where one is longer.
const REPLY: usize = 512;

/// Queries that were read together, and their replies.
pub(super) struct Batch {
    queries: Vec<Datagram>,
    /// Replies and the places of their queries; those from `ready` on are old.
    replies: Vec<(Vec<u8>, usize)>,
    ready: usize,
    calls: system::Calls,
}

/// A query as it came.
struct Datagram {
    bytes: Box<[u8]>,
    length: usize,
    source: Option<SocketAddr>,
}

impl Batch {
    /// Room for a batch.
    pub(super) fn new() -> Self {
        let datagram = |_| Datagram {
            bytes: vec![0; RECEIVE].into(),
            length: 0,
            source: None,
        };
        Self {
            queries: (0..system::AT_ONCE).map(datagram).collect(),
            replies: Vec::new(),
            ready: 0,
            calls: system::Calls::new(),
        }
    }

    /// Waits for a datagram and reads all that are there; gives their number. A datagram from nobody means that the
    /// socket is shut down.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.ready = 0;
        let count = self.calls.receive(socket, &mut self.queries)?;
        match self.queries.first() {
            Some(first) if first.source.is_none() => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(count),
        }
    }

    /// One of those that were read, where it came from, and a buffer for its reply. `None` if it came from nowhere.
    pub(super) fn query(&mut self, place: usize) -> Option<(&[u8], SocketAddr, &mut Vec<u8>)> {
        let datagram = self.queries.get(place)?;
        let source = datagram.source.filter(|source| source.port() != 0)?;
        if self.replies.len() == self.ready {
            self.replies.push((Vec::with_capacity(REPLY), place));
        }
        let (reply, of) = self.replies.get_mut(self.ready)?;
        *of = place;
        Some((datagram.bytes.get(..datagram.length)?, source, reply))
    }

    /// What stands in the buffer that was given last is a reply.
    pub(super) fn keep_reply(&mut self) {
        self.ready += 1;
    }

    /// Sends all replies. What the system has no room for is lost like a packet on the way.
    pub(super) fn send(&mut self, socket: &UdpSocket) {
        let replies = self.replies.get(..self.ready).unwrap_or_default();
        if let [(reply, place)] = replies
            && let Some(source) = self.queries.get(*place).and_then(|query| query.source)
        {
            return send_one(socket, reply, source);
        }
        self.calls.send(socket, replies, &self.queries);
    }
}

/// Sends one reply without waiting.
pub(super) fn send_one(socket: &UdpSocket, reply: &[u8], client: SocketAddr) {
    let socket = SockRef::from(socket);
    if let Err(error) = socket.send_to_with_flags(reply, &client.into(), libc::MSG_DONTWAIT) {
        tracing::debug!("replying on UDP: {error}");
    }
}

#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "no library has a safe recvmmsg(2), which is half of the speed of answers from memory"
)]
mod system;

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::net::UdpSocket;

    use super::{Datagram, send_one};

    pub(super) const AT_ONCE: usize = 1;

    pub(super) struct Calls;

    impl Calls {
        pub(super) fn new() -> Self {
            Self
        }

        pub(super) fn receive(
            &mut self,
            socket: &UdpSocket,
            queries: &mut [Datagram],
        ) -> io::Result<usize> {
            let Some(query) = queries.first_mut() else {
                return Ok(0);
            };
            let (length, source) = socket.recv_from(&mut query.bytes)?;
            (query.length, query.source) = (length, Some(source));
            Ok(1)
        }

        pub(super) fn send(
            &mut self,
            socket: &UdpSocket,
            replies: &[(Vec<u8>, usize)],
            queries: &[Datagram],
        ) {
            for (reply, place) in replies {
                if let Some(source) = queries.get(*place).and_then(|query| query.source) {
                    send_one(socket, reply, source);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).expect("a socket");
        let patience = std::time::Duration::from_secs(10);
        socket.set_read_timeout(Some(patience)).expect("a timeout");
        socket
    }

    /// Replies everything that comes with its own bytes until `count` came.
    fn echo(socket: &UdpSocket, batch: &mut Batch, mut count: usize) {
        while count > 0 {
            let read = batch.receive(socket).expect("a datagram");
            count -= read;
            for place in 0..read {
                let (query, _, reply) = batch.query(place).expect("a source");
                reply.clear();
                reply.extend_from_slice(query);
                batch.keep_reply();
            }
            batch.send(socket);
        }
    }

    #[test]
    fn every_reply_goes_to_whoever_asked() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let server = bound(address);
            let clients: Vec<UdpSocket> = (0..5).map(|_| bound(address)).collect();
            let target = server.local_addr().expect("an address");
            let mut batch = Batch::new();
            for round in 0..3_u8 {
                for (number, client) in (0_u8..).zip(&clients) {
                    for size in [1, 40, 512] {
                        let query = vec![number ^ round; size];
                        client.send_to(&query, target).expect("a packet sent");
                    }
                }
                echo(&server, &mut batch, 3 * clients.len());
                for (number, client) in (0_u8..).zip(&clients) {
                    for size in [1, 40, 512] {
                        let mut reply = [0; 600];
                        let length = client.recv(&mut reply).expect("a reply");
                        assert_eq!(reply[..length], vec![number ^ round; size]);
                    }
                }
            }
        }
    }

    #[test]
    fn a_datagram_that_is_too_long_is_cut() {
        let (server, client) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
        let target = server.local_addr().expect("an address");
        client.send_to(&[7; 5000], target).expect("a packet sent");
        let mut batch = Batch::new();
        assert_eq!(batch.receive(&server).expect("a datagram"), 1);
        assert_eq!(batch.query(0).expect("a source").0.len(), RECEIVE);
        assert!(batch.query(system::AT_ONCE).is_none());
    }
}
