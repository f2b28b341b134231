//! Whether questions reach bnsd: only bnsd knows `bns.alt` (RFC 9476).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};

use crate::resolver::ALIAS;

/// Largest reply that is read.
const REPLY: usize = 4096;

/// Whether the server at an address is bnsd, or leads there: it has the SOA of `bns.alt`. Silence is no.
pub fn is_bnsd(server: SocketAddr, patience: Duration) -> bool {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    let name = Name::from_ascii(ALIAS).expect("a name");
    query.add_query(Query::query(name, RecordType::SOA));
    exchange(server, &query, patience).is_some_and(|reply| {
        let mut answers = reply.answers.iter();
        answers.any(|record| record.record_type() == RecordType::SOA)
    })
}

/// What a server replies to a query over UDP; `None` if it is silent, or not reached.
pub fn exchange(server: SocketAddr, query: &Message, patience: Duration) -> Option<Message> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(server).ok()?;
    socket.send(&query.to_vec().ok()?).ok()?;
    let end = Instant::now() + patience;
    let mut bytes = [0; REPLY];
    loop {
        let left = end.checked_duration_since(Instant::now())?;
        socket
            .set_read_timeout(Some(left.max(Duration::from_millis(1))))
            .ok()?;
        let length = socket.recv(&mut bytes).ok()?;
        let reply = Message::from_vec(bytes.get(..length)?).ok();
        if let Some(reply) = reply.filter(|reply| reply.metadata.id == query.metadata.id) {
            return Some(reply);
        }
    }
}
