//! The UDP loop: one per socket, one socket per core, no task for what needs no upstream.

use std::sync::Arc;

use tokio::net::UdpSocket;

use super::handler::{Handled, Handler, Pending, Snapshots, Transport};

/// Largest query that is read; longer ones arrive cut and fail to parse. Queries take a few hundred bytes.
const RECEIVE: usize = 4096;

/// Answers queries from `socket` until the task is dropped.
pub async fn serve<P: Snapshots>(socket: Arc<UdpSocket>, handler: Arc<Handler<P>>) {
    let mut query = vec![0; RECEIVE];
    let mut answer = Vec::with_capacity(RECEIVE);
    loop {
        let (length, client) = match socket.recv_from(&mut query).await {
            Ok(received) => received,
            Err(error) => {
                // ICMP errors of earlier answers arrive here; they concern nobody else.
                tracing::debug!("receiving on UDP: {error}");
                tokio::task::yield_now().await;
                continue;
            }
        };
        if client.port() == 0 {
            continue;
        }
        let received = query.get(..length).unwrap_or_default();
        match handler.handle(received, Transport::Udp, &mut answer) {
            Handled::Silence => {}
            Handled::Ready => send(&socket, &answer, client).await,
            Handled::Pending(pending) => {
                let work = finish(Arc::clone(&socket), Arc::clone(&handler), *pending, client);
                tokio::spawn(work);
            }
        }
    }
}

async fn finish<P: Snapshots>(
    socket: Arc<UdpSocket>,
    handler: Arc<Handler<P>>,
    pending: Pending,
    client: std::net::SocketAddr,
) {
    let mut answer = Vec::new();
    handler.finish(pending, &mut answer).await;
    send(&socket, &answer, client).await;
}

async fn send(socket: &UdpSocket, answer: &[u8], client: std::net::SocketAddr) {
    if let Err(error) = socket.send_to(answer, client).await {
        tracing::debug!("answering on UDP: {error}");
    }
}
