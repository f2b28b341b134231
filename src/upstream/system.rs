//! The system's resolvers, and what happens to them: another network, a VPN, a night in suspension.
//!
//! `/etc/resolv.conf` says whom to ask; `search` and `options` in it are for stub resolvers, which apply them
//! before they ask us. The file is read again when it changes. When the machine was suspended, connections and
//! what is known of upstreams are forgotten, because the network may be another one.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::address;
use super::config::UpstreamConfig;
use super::forwarder::Forwarder;

/// How often the two clocks are compared, and the file where no notice of changes is to be had.
const TICK: Duration = Duration::from_secs(5);
/// A difference of the clocks from which on the machine was suspended.
const SUSPENDED: Duration = Duration::from_secs(3);
/// The port of DNS; the file can name no other.
const PORT: u16 = 53;
/// Resolvers that are taken from the file; the C library takes three.
const MAX: usize = 3;
/// How long a change settles before the file is read.
const SETTLE: Duration = Duration::from_millis(100);

/// The upstreams in `resolv_conf` (usually `/etc/resolv.conf`), without those that are our own `listeners`:
/// asking ourselves would never end.
pub fn system_upstreams(
    resolv_conf: &Path,
    listeners: &[SocketAddr],
) -> io::Result<Vec<UpstreamConfig>> {
    let text = std::fs::read_to_string(resolv_conf)?;
    Ok(parse(&text, listeners))
}

/// Watches the network for a forwarder.
pub struct Watch {
    /// The file that names upstreams; `None` when they are configured.
    pub resolv_conf: Option<PathBuf>,
    /// Where we listen ourselves.
    pub listeners: Vec<SocketAddr>,
}

impl Watch {
    /// Watches until the task is dropped.
    pub async fn run(self, forwarder: Arc<Forwarder>) {
        let (tell, mut told) = mpsc::channel(1);
        let _watcher = self.resolv_conf.as_deref().and_then(|path| {
            watch(path, tell)
                .inspect_err(|error| tracing::debug!("no notice of changes: {error}"))
                .ok()
        });
        let mut drift = drift(&forwarder);
        loop {
            tokio::select! {
                Some(()) = told.recv() => sleep(SETTLE).await,
                () = sleep(TICK) => {}
            }
            let now = self::drift(&forwarder);
            if now.saturating_sub(drift) >= SUSPENDED {
                tracing::info!("the machine was suspended: asking upstreams afresh");
                forwarder.reset();
            }
            drift = now;
            self.read_again(&forwarder);
        }
    }

    fn read_again(&self, forwarder: &Forwarder) {
        let Some(path) = &self.resolv_conf else {
            return;
        };
        // A file that is being replaced is not there for a moment: what was in it holds on.
        let Ok(upstreams) = system_upstreams(path, &self.listeners) else {
            return;
        };
        if upstreams == forwarder.upstreams() {
            return;
        }
        let list: Vec<String> = upstreams.iter().map(ToString::to_string).collect();
        match list.as_slice() {
            [] => tracing::warn!(
                "{} names no other resolver than bnsd: set `dns.upstreams`",
                path.display()
            ),
            list => tracing::info!("the system's resolvers are now {}", list.join(", ")),
        }
        if let Err(error) = forwarder.set_upstreams(&upstreams) {
            tracing::error!("cannot use the system's resolvers: {error}");
        }
    }
}

/// How much further the daemon's clock is, which counts suspensions, than the one that does not.
fn drift(forwarder: &Forwarder) -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let awake = START.elapsed();
    forwarder.now().saturating_sub(awake)
}

/// Tells of changes in the directories of the file and of what it links to.
fn watch(path: &Path, tell: mpsc::Sender<()>) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |_| {
        let _ = tell.try_send(()); // one notice that waits is enough
    })?;
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    for directory in [path.parent(), real.parent()].into_iter().flatten() {
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

fn parse(text: &str, listeners: &[SocketAddr]) -> Vec<UpstreamConfig> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter(|rest| rest.starts_with([' ', '\t']))
        .filter_map(|rest| address::read(rest.split_whitespace().next()?, PORT))
        .filter(|address| address.port() == PORT)
        .filter(|&address| !is_own_listener(address, listeners))
        .take(MAX)
        .map(UpstreamConfig::Plain)
        .collect()
}

/// Whether we listen at an address ourselves.
pub fn is_own_listener(address: SocketAddr, listeners: &[SocketAddr]) -> bool {
    listeners.iter().any(|listener| {
        listener.port() == address.port()
            && (listener.ip() == address.ip()
                || listener.ip().is_unspecified() && is_local(address))
    })
}

/// Whether an address is this machine's: only then can a socket have it.
fn is_local(address: SocketAddr) -> bool {
    address.ip().is_loopback() || std::net::UdpSocket::bind((address.ip(), 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_upstreams_are_read_without_ourselves() {
        let text = "# by hand\nnameserver 127.0.0.1\nnameserver\t192.0.2.53\nnameservers 1.2.3.4\n\
                    search lan\n  nameserver ::1 # loopback\nnameserver fe80::1%7\noptions edns0\n";
        let ours = ["127.0.0.1:53".parse().expect("an address")];
        let found: Vec<String> = parse(text, &ours).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.53:53", "[::1]:53", "[fe80::1%7]:53"]);
        let everywhere = ["0.0.0.0:53".parse().expect("an address")];
        assert_eq!(parse(text, &everywhere).len(), 2);
    }
}
