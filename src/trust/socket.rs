//! `trust.sock`: agents of users learn here which certificates are needed.
//!
//! Everybody may open the socket, since the daemon's user and those of the agents have no group in common. So the kernel is
//! asked who is at the other end (SO_PEERCRED, unix(7)): root and the users of `tls.users` are served, everybody else is
//! closed at once. What is said here is no secret that a user could use: certificates that hold for this machine, for names
//! that somebody on it looked up. It is told to nobody else all the same.

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::hub::{Hub, NEEDED_MAX};
use super::message::{Order, Report, encode, next};
use crate::connections::{CloseAll, Connections};
use crate::disk::users;

/// Agents at the same time: one for each user of a machine, and their successors while these start.
pub const AGENTS_MAX: usize = 16;
/// Characters of the certificates that an agent has: [`NEEDED_MAX`] of the usual kilobyte, and some that exclude many hosts.
const HAD_MAX: usize = 8 << 20;
/// How long an agent may take to say what it has, or to take a line.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves agents of `users` on a socket until the future is dropped. It was bound by the caller, and is removed with `file`.
pub async fn serve(listener: StdListener, file: impl Send, users: Vec<String>, hub: Arc<Hub>) {
    let _file = file;
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!("agents cannot be served: {error}");
            return std::future::pending().await;
        }
    };
    let connections = Connections::new(AGENTS_MAX, "a connection of an agent");
    let _all = CloseAll(Arc::clone(&connections));
    loop {
        match listener.accept().await {
            Ok((stream, _)) if is_permitted(&stream, &users) => {
                connections.make_room().await;
                let hub = Arc::clone(&hub);
                connections.start(|activity| async move {
                    activity.ask();
                    if let Err(error) = converse(stream, &hub).await {
                        tracing::info!("an agent left: {error}");
                    }
                });
            }
            Ok(_) => tracing::warn!("refused a user at trust.sock that `tls.users` does not name"),
            Err(error) => {
                tracing::warn!("cannot accept a connection of an agent: {error}");
                connections.recover(&error).await;
            }
        }
    }
}

fn is_permitted(stream: &UnixStream, users: &[String]) -> bool {
    let Ok(peer) = stream.peer_cred().map(|credentials| credentials.uid()) else {
        return false;
    };
    peer == 0 || users.iter().any(|user| users::number(user) == Some(peer))
}

async fn converse(stream: UnixStream, hub: &Arc<Hub>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let root = tokio::task::block_in_place(|| hub.root()).map_err(io::Error::other)?;
    send(&mut write, &root).await?;
    let had = timeout(PATIENCE, introduction(&mut read)).await;
    let had = had.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let mut member = tokio::task::block_in_place(|| hub.join(&had));
    // A line that was half read is lost when an order comes in between, so the reader has a task of its own turn.
    let (reports, mut reported) = tokio::sync::mpsc::channel(1);
    let reading = async move {
        while let Some(report) = next::<Report, _>(&mut read).await? {
            if reports.send(report).await.is_err() {
                break;
            }
        }
        Ok::<(), io::Error>(())
    };
    let writing = async {
        loop {
            tokio::select! {
                order = member.orders.recv() => match order {
                    Some(order) => send(&mut write, &order).await?,
                    None => return Err(io::Error::other("it did not keep up")),
                },
                report = reported.recv() => match report {
                    Some(report) => member.report(&report),
                    None => return Ok(()),
                },
            }
        }
    };
    tokio::select! {
        done = writing => done,
        Err(error) = reading => Err(error),
        else => Ok(()),
    }
}

/// The certificates that an agent has; those beyond [`HAD_MAX`] are left out.
async fn introduction(read: &mut BufReader<OwnedReadHalf>) -> io::Result<Vec<Vec<u8>>> {
    let (mut had, mut length) = (Vec::new(), 0);
    loop {
        match next::<Report, _>(read).await? {
            Some(Report::Ready {}) => return Ok(had),
            Some(Report::Have(text)) if had.len() < NEEDED_MAX => {
                length += text.len();
                let read = BASE64.decode(text.as_bytes()).ok();
                had.extend(read.filter(|_| length <= HAD_MAX));
            }
            Some(_) => return Err(io::Error::other("it said something out of turn")),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

async fn send(write: &mut OwnedWriteHalf, order: &Order) -> io::Result<()> {
    let line = encode(order);
    let sent = timeout(PATIENCE, write.write_all(&line)).await;
    sent.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
