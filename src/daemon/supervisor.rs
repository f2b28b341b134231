//! How the process of a daemon lives and ends.
//!
//! SIGTERM and SIGINT stop the daemon in order. SIGHUP has the configuration read again. A worker that the daemon cannot do without and
//! that ends unasked ends the process with an error that names it, so that a service manager starts it again. What
//! may fail alone is started again by its owner ([`crate::dns`], the UDP loops) or costs one client one answer.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context as _, anyhow};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::notify;
use super::running::Daemon;

/// Runs `work` on a runtime for sockets and tasks. While it runs, panics are only logged.
pub fn run(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = runtime()?;
    report_panics();
    let run = AssertUnwindSafe(|| runtime.block_on(work)); // nothing of it is used after a panic
    let result = catch_unwind(run).unwrap_or_else(|_| {
        Err(anyhow!(
            "bnsd failed: start it again and report what the log says"
        ))
    });
    if result.is_err() {
        runtime.shutdown_background(); // a thread that did not stop must not keep the process
    }
    result
}

/// Serves until a signal comes or a worker ends unasked, then stops the daemon.
pub async fn serve(
    mut daemon: Daemon,
    mut signals: EndSignals,
    mut hangups: Signal,
) -> anyhow::Result<()> {
    let ended = loop {
        tokio::select! {
            () = signals.wait() => break None,
            ended = daemon.ended() => break Some(ended),
            Some(()) = hangups.recv() => daemon.reload(),
        }
    };
    notify::stopping();
    let stopped = daemon.stop().await;
    match (ended, stopped) {
        (None, stopped) => stopped,
        (Some(ended), Ok(())) => Err(ended.into()),
        (Some(ended), Err(error)) => {
            tracing::warn!("{error:#}");
            Err(ended.into())
        }
    }
}

/// The signals that ask the daemon to end.
pub struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    /// From now on such a signal no longer ends the process at once.
    pub fn register() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: register(SignalKind::terminate())?,
            interrupt: register(SignalKind::interrupt())?,
        })
    }

    /// Returns when one has come.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!("stopping");
    }
}

/// SIGHUP, which no longer ends the process. Those that come before somebody waits are waited for as one.
pub fn hangups() -> anyhow::Result<Signal> {
    register(SignalKind::hangup())
}

fn register(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("cannot wait for signals")
}

fn runtime() -> anyhow::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.enable_all().thread_name("runtime").build();
    runtime.context("cannot start threads: the system's limits are too tight")
}

/// From now on a panic is one line in the log with thread and place. A message that was computed may contain the name
/// that somebody asked for, so only constant ones are logged.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name");
        let place = panic.location().map(ToString::to_string);
        let place = place.unwrap_or_default();
        let message = panic.payload().downcast_ref::<&str>();
        let message = message.unwrap_or(&"an unexpected value");
        tracing::error!("the thread \"{name}\" failed at {place}: {message}");
    }));
}
