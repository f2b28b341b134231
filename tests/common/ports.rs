//! Ports for programs that are told theirs.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// An address whose port nobody has, over UDP and TCP. It is below those that the system gives to sockets without a
/// port and below those that bnsd asks upstreams from, so that none of these takes it before it is bound.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const PORTS: Range<u32> = 7_000..10_000;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let start = std::process::id().wrapping_mul(97); // another run has others
        let port = PORTS.start + start.wrapping_add(step) % (PORTS.end - PORTS.start);
        let address = SocketAddr::from(([127, 0, 0, 1], port as u16));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}
