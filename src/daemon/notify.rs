//! What the service manager is told: when queries are answered, how it goes, and that the end has begun (sd_notify(3)).
//!
//! Where nobody asked to be told, nothing is sent. The watchdog is told that all is well only while a question of our own is
//! answered by the handler. A worker that ends unasked ends the process without that (the supervisor sees to it).

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::sleep;

/// How often the line about the state is sent where there is no watchdog.
const INTERVAL: Duration = Duration::from_secs(30);
/// How often the watchdog is told within its time, so that one late beat does not matter.
const BEATS: u32 = 3;

/// Queries are answered from now on; the last word of a reload too.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again; [`ready`] ends that.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!("there is no monotonic clock: {error}"),
    }
}

/// The daemon ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Whether somebody wants to be told.
pub fn is_wanted() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Tells how it goes from time to time, and the watchdog that all is well while that is so. Runs until it is dropped.
pub async fn keep_telling(is_well: impl Fn() -> bool, summary: impl Fn() -> String) {
    let watchdog = sd_notify::watchdog_enabled();
    let interval = watchdog.map_or(INTERVAL, |time| time / BEATS);
    loop {
        // This stands still where a query would.
        match is_well() {
            true => tell(&[NotifyState::Status(&summary()), NotifyState::Watchdog]),
            false => tracing::error!("a question of our own got no reply"),
        }
        sleep(interval).await;
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("the service manager cannot be told that {state:?}: {error}");
    }
}
