//! The agent of a user, or of the system: does what the daemon orders, with the rights of whoever runs it.
//!
//! The daemon cannot write to homes, and is not to. So each user runs an agent, which connects to `trust.sock`, says what it
//! put into its store before, and then puts and takes certificates there. It believes no more than it checks: that the root is
//! the one that was installed, and that the root signed what it puts, for one name.
//!
//! When the daemon is away, everything stays as it is, and the agent comes back.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use data_encoding::BASE64;

use super::issued::{Issued, RootCertificate};
use super::message::{Order, Report, encode};
use super::stores::{Store, StoreError};
use crate::worker;

/// How often stores are looked at that may be new.
const REFRESH: Duration = Duration::from_secs(5);
/// How long the daemon may take with its first line.
const PATIENCE: Duration = Duration::from_secs(10);
/// Orders that wait while one is carried out.
const WAITING_MAX: usize = 64;

/// Why an agent stopped.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No daemon, or it does not serve this user.
    #[error(
        "cannot talk to bnsd at {}: {source}; start bnsd with this user in `tls.users` (a list in bnsd.toml)", socket.display()
    )]
    Daemon {
        /// Its socket.
        socket: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The daemon has another root.
    #[error(
        "bnsd has another authority (SHA-256 {0}) than the one that is installed: run `bnsd tls uninstall-ca`, then `bnsd tls install-ca`"
    )]
    OtherRoot(String),
}

/// A conversation with the daemon.
struct Talk {
    orders: Receiver<Order>,
    write: UnixStream,
    reader: Option<JoinHandle<()>>,
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.write.shutdown(std::net::Shutdown::Both); // which ends the reader
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// The root that the daemon at `socket` has, as it tells users that it serves.
pub fn root_at(socket: &Path) -> Result<RootCertificate, AgentError> {
    let (_, root) = Talk::begin(socket)?;
    Ok(root)
}

/// Follows the orders of the daemon at `socket` until it goes away.
pub fn follow(socket: &Path, store: &mut dyn Store) -> Result<(), AgentError> {
    let installed = installed(store)?;
    let (mut talk, root) = Talk::begin(socket)?;
    if root != installed {
        return Err(AgentError::OtherRoot(root.fingerprint()));
    }
    let fail = |source| AgentError::Daemon {
        socket: socket.to_owned(),
        source,
    };
    for der in store.held()? {
        talk.say(&Report::Have(BASE64.encode(&der))).map_err(fail)?;
    }
    talk.say(&Report::Ready {}).map_err(fail)?;
    let mut told = String::new();
    refresh(store, &mut told);
    tracing::info!("follows bnsd at {}", socket.display());
    loop {
        match talk.orders.recv_timeout(REFRESH) {
            Ok(order) => {
                self::installed(store)?; // it may have been taken back, and what is put there now would stay
                if let Some(report) = carry_out(&order, store, &installed) {
                    talk.say(&report).map_err(fail)?;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                self::installed(store)?;
                refresh(store, &mut told);
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(fail(io::ErrorKind::ConnectionReset.into()));
            }
        }
    }
}

/// Looks after stores that may be new. What is wrong with one is said once, and no reason to leave the others alone.
fn refresh(store: &mut dyn Store, told: &mut String) {
    let trouble = store.refresh().err().map(|error| error.to_string());
    let trouble = trouble.unwrap_or_default();
    if !trouble.is_empty() && trouble != *told {
        tracing::warn!("{trouble}");
    }
    *told = trouble;
}

/// The root that is installed. Without one nothing of it stays in the store.
fn installed(store: &mut dyn Store) -> Result<RootCertificate, StoreError> {
    store.root().inspect_err(|_| {
        let _ = store.refresh(); // which says the same
    })
}

fn carry_out(order: &Order, store: &mut dyn Store, root: &RootCertificate) -> Option<Report> {
    match order {
        Order::Put(text) => {
            let der = BASE64.decode(text.as_bytes()).ok()?;
            let issued = match Issued::read(&der, root) {
                Ok(issued) => issued,
                Err(error) => {
                    tracing::warn!("a certificate from bnsd is not put anywhere: {error}");
                    return None;
                }
            };
            let certificate = issued.fingerprint().to_owned();
            Some(match store.put(&issued) {
                Ok(()) => {
                    tracing::info!(
                        "{} has a certificate until {}",
                        issued.name().as_str(),
                        issued.until()
                    );
                    Report::Done(certificate)
                }
                Err(error) => {
                    tracing::warn!("{}: {error}", issued.name().as_str());
                    let reason = error.to_string();
                    Report::Failed {
                        certificate,
                        reason,
                    }
                }
            })
        }
        Order::Drop(fingerprint) => {
            if let Err(error) = store.take(fingerprint) {
                tracing::warn!("{error}");
            }
            None
        }
        Order::Root(_) => None,
    }
}

impl Talk {
    /// Connects, and reads which root the daemon has.
    fn begin(socket: &Path) -> Result<(Self, RootCertificate), AgentError> {
        let fail = |source| AgentError::Daemon {
            socket: socket.to_owned(),
            source,
        };
        let stream = UnixStream::connect(socket).map_err(fail)?;
        let read = stream.try_clone().map_err(fail)?;
        let (sender, orders) = sync_channel(WAITING_MAX);
        let reader = worker::thread("orders", move || read_orders(read, &sender)).map_err(fail)?;
        let talk = Self {
            orders,
            write: stream,
            reader: Some(reader),
        };
        let first = talk.orders.recv_timeout(PATIENCE);
        let root = match first {
            Ok(Order::Root(text)) => BASE64.decode(text.as_bytes()).ok(),
            _ => None,
        };
        let root = root.and_then(|der| RootCertificate::read(&der).ok());
        let silent = || {
            fail(io::Error::other(
                "it closed the connection, or said nothing",
            ))
        };
        let root = root.ok_or_else(silent)?;
        Ok((talk, root))
    }

    fn say(&mut self, report: &Report) -> io::Result<()> {
        self.write.write_all(&encode(report))
    }
}

/// Reads orders until the connection ends.
fn read_orders(stream: UnixStream, sender: &SyncSender<Order>) {
    for line in BufReader::new(stream).lines() {
        let order = line.ok().and_then(|line| serde_json::from_str(&line).ok());
        if order.is_none_or(|order| sender.send(order).is_err()) {
            return;
        }
    }
}
