//! A query over UDP: one packet out, and the wait for the right one.
//!
//! Each query has a socket of its own on a random port (RFC 5452 §9.2), connected, so that the system drops what
//! comes from elsewhere.

use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use super::attempt::{Failed, Wait};
use super::message::{Judged, Sent, judge};
use super::random;
use crate::wire::frame::MESSAGE_MAX;

/// Ports that are tried before the system chooses one.
const PORT_TRIES: usize = 16;

/// Asks over UDP.
pub async fn ask_udp(to: SocketAddr, sent: &Sent, patience: Duration) -> Result<Judged, Failed> {
    let socket = UdpSocket::from_std(bind(to)?)?;
    socket.connect(to).await?;
    socket.send(&sent.bytes).await?;
    let mut wait = Wait::until(Instant::now() + patience);
    loop {
        let received = socket.async_io(Interest::READABLE | Interest::ERROR, || receive(&socket));
        let packet = tokio::select! {
            packet = received => packet?,
            () = sleep_until(wait.deadline) => return Err(wait.hint),
        };
        if let Some(done) = wait.take(judge(sent, &packet)) {
            return done;
        }
    }
}

/// The packet that is there. Room for the longest one is taken now and not before: thousands may wait for a silent
/// upstream.
fn receive(socket: &UdpSocket) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; MESSAGE_MAX];
    let length = (&*SockRef::from(socket)).read(&mut packet)?;
    packet.truncate(length);
    Ok(packet)
}

/// A socket on a random port.
fn bind(to: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let is_taken = |bound: &io::Result<_>| matches!(bound, Err(error) if error.kind() == io::ErrorKind::AddrInUse);
    let mut tries = (0..PORT_TRIES).map(|_| std::net::UdpSocket::bind((any, random::port())));
    let bound = tries.find(|bound| !is_taken(bound));
    let socket = bound.unwrap_or_else(|| std::net::UdpSocket::bind((any, 0)))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
