//! What happens to the system's resolvers: another network, a VPN, a night in suspension.
//!
//! The files that name them ([`super::stub`]) are read again when they change. When the machine was suspended,
//! connections and what is known of upstreams are forgotten, because the network may be another one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::forwarder::Forwarder;
use super::stub::SystemResolvers;

/// How often the two clocks are compared, and the files where no notice of changes is to be had.
const TICK: Duration = Duration::from_secs(5);
/// A difference of the clocks from which on the machine was suspended.
const SUSPENDED: Duration = Duration::from_secs(3);
/// How long a change settles before the files are read.
const SETTLE: Duration = Duration::from_millis(100);

/// Watches the network for a forwarder.
pub struct Watch {
    /// Those that the system names, which count while no upstream is configured; `None` if they never do.
    pub resolvers: Option<SystemResolvers>,
    /// Where we listen ourselves.
    pub listeners: Vec<SocketAddr>,
}

impl Watch {
    /// Watches until the task is dropped.
    pub async fn run(self, forwarder: Arc<Forwarder>) {
        let (tell, mut told) = mpsc::channel(1);
        let _watcher = self.resolvers.as_ref().and_then(|resolvers| {
            watch(resolvers, tell)
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
        let Some(resolvers) = &self.resolvers else {
            return;
        };
        if !forwarder.follows_system() {
            return;
        }
        // A file that is being replaced is not there for a moment: what was in it holds on.
        let Ok(upstreams) = resolvers.upstreams(&self.listeners) else {
            return;
        };
        if upstreams == forwarder.upstreams() {
            return;
        }
        let list: Vec<String> = upstreams.iter().map(ToString::to_string).collect();
        match list.as_slice() {
            [] => {
                tracing::warn!("the system names no other resolver than bnsd: set `dns.upstreams`");
            }
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

/// Tells of changes in the directories of the files.
fn watch(
    resolvers: &SystemResolvers,
    tell: mpsc::Sender<()>,
) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |_| {
        let _ = tell.try_send(()); // one notice that waits is enough
    })?;
    for directory in resolvers.directories() {
        watcher.watch(&directory, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}
