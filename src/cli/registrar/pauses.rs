//! Waiting that SIGTERM and SIGINT end. Between two waits such a signal is kept, so that no work is cut short.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::cli::{CliError, Result};
use crate::daemon::EndSignals;

/// The waits of a process.
pub struct Pauses {
    runtime: Runtime,
    signals: EndSignals,
}

impl Pauses {
    /// From now on a signal ends no more than a wait.
    pub fn new() -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| CliError::Trouble(error.into()))?;
        let signals = runtime.block_on(async { EndSignals::register() });
        Ok(Self {
            signals: signals.map_err(CliError::Trouble)?,
            runtime,
        })
    }

    /// Waits, and says whether a signal has come since the beginning.
    pub fn interrupted_within(&mut self, patience: Duration) -> bool {
        let signals = &mut self.signals;
        let waited = async { timeout(patience, signals.wait()).await.is_ok() };
        self.runtime.block_on(waited)
    }
}
