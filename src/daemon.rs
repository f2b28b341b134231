//! The running daemon. TO BE REPLACED: only the signatures that the command line calls stand here so far.

use std::path::PathBuf;

use crate::config::Config;

/// What `bnsd demo` runs with.
#[derive(Debug)]
pub struct DemoOptions {
    /// The configuration, with the demo's built-in values.
    pub config: Config,
    /// A directory whose `NAME.zone` files are registered instead of the ones that come with the program.
    pub zonefiles: Option<PathBuf>,
}

/// Runs the demo until a signal ends it.
pub fn run_demo(_options: DemoOptions) -> anyhow::Result<()> {
    anyhow::bail!("the demo is not built yet")
}

/// Runs the daemon until a signal ends it.
pub fn run_serve(_config: Config) -> anyhow::Result<()> {
    anyhow::bail!("the daemon is not built yet")
}
