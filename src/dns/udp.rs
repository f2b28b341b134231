//! The UDP loop: one per socket, one socket per core, no task for what needs no upstream.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use tokio::net::UdpSocket;

use super::access::{Access, Admission};
use super::client::{Client, Transport};
use super::handler::{Handled, Handler, Pending, Snapshots};

/// Largest query that is read; longer ones arrive cut and fail to parse. Queries take a few hundred bytes.
const RECEIVE: usize = 4096;

/// Answers queries from `socket` until the task is dropped.
pub async fn serve<P: Snapshots>(
    socket: Arc<UdpSocket>,
    handler: Arc<Handler<P>>,
    access: Arc<Access>,
) {
    let start = Instant::now();
    let listener = socket
        .local_addr()
        .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip());
    let mut query = vec![0; RECEIVE];
    let mut answer = Vec::with_capacity(RECEIVE);
    loop {
        let (length, source) = match socket.recv_from(&mut query).await {
            Ok(received) => received,
            Err(error) => {
                // ICMP errors of earlier answers arrive here; they concern nobody else.
                tracing::debug!("receiving on UDP: {error}");
                tokio::task::yield_now().await;
                continue;
            }
        };
        if source.port() == 0 {
            continue;
        }
        let received = query.get(..length).unwrap_or_default();
        let client = Client {
            address: source.ip(),
            transport: Transport::Udp,
        };
        let handled = match access.admit(client.address, listener, start.elapsed()) {
            Admission::Welcome => handler.handle(received, client, &mut answer),
            Admission::Refused => handler.refuse(received, client, &mut answer),
            Admission::Slowed => handler.send_to_tcp(received, client, &mut answer),
            Admission::Dropped => Handled::Silence,
        };
        match handled {
            Handled::Silence => {}
            Handled::Ready => send(&socket, &answer, source).await,
            Handled::Pending(pending) => {
                let work = finish(Arc::clone(&socket), Arc::clone(&handler), *pending, source);
                tokio::spawn(work);
            }
        }
    }
}

async fn finish<P: Snapshots>(
    socket: Arc<UdpSocket>,
    handler: Arc<Handler<P>>,
    pending: Pending,
    client: SocketAddr,
) {
    let mut answer = Vec::new();
    handler.finish(pending, &mut answer).await;
    send(&socket, &answer, client).await;
}

async fn send(socket: &UdpSocket, answer: &[u8], client: SocketAddr) {
    if let Err(error) = socket.send_to(answer, client).await {
        tracing::debug!("answering on UDP: {error}");
    }
}
