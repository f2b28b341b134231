//! What the fuzzer calls (`tests/fuzz`): compiled for it alone.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::{Message, ResponseCode};

use super::client::Transport;
use super::cookie::Cookies;
use super::encode::{Frame, Reply, encode, longest};
use super::query::{Decoded, Query, decode};
use crate::wire::{ExtendedError, Header, flag};

/// Takes a packet of a client: it is passed over, or gets a reply that is whole, its own, and not too long.
///
/// # Panics
///
/// If the reply is none of these.
pub fn message_of_client(bytes: &[u8]) {
    let (query, rcode) = match decode(bytes) {
        Decoded::Silence => return,
        Decoded::Rejected(query, rcode) => (query, rcode),
        Decoded::Asked(query, _) => (query, ResponseCode::ServFail),
    };
    for transport in [Transport::Udp, Transport::Tcp] {
        check(bytes, &query, rcode, transport);
    }
}

fn check(bytes: &[u8], query: &Query, rcode: ResponseCode, transport: Transport) {
    let cookies = Cookies::new();
    let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let edns = query.edns.unwrap_or_default();
    let frame = Frame {
        limit: longest(transport, query.edns.map(|edns| edns.payload)),
        cookie: edns.cookie.map(|cookie| cookies.answer(&cookie, from, 1)),
        keepalive: edns.keepalive.then_some(100),
        padding: edns.padding,
    };
    let mut reply = Reply::bare(rcode);
    reply.ede = Some(ExtendedError::new(22, "x".repeat(300)));
    let mut out = Vec::new();
    encode(query, &reply, &frame, &mut out);
    assert!(out.len() <= usize::from(frame.limit));
    let header = Header::read(&out).expect("a header");
    assert_eq!(Some(header.id), Header::read(bytes).map(|theirs| theirs.id));
    assert_ne!(header.flags & flag::QR, 0);
    Message::from_vec(&out).expect("a whole message");
}
