//! `bnsd demo`: from nothing to a working resolver.

use std::path::PathBuf;

use clap::Args;

use super::{CliError, Context, Exit, Result, flag, log, serve};
use crate::config::{Flag, Profile};
use crate::daemon;

/// Arguments of `bnsd demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Serve DNS here instead of on 127.0.0.1:5300; can be repeated [env: BNSD_LISTEN]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<String>,
    /// Ask this resolver for all other names; can be repeated [env: BNSD_DNS_UPSTREAMS]
    #[arg(long, value_name = "ADDR")]
    upstream: Vec<String>,
    /// Register the names of the NAME.zone files in this directory instead of the ones that come along.
    #[arg(long, value_name = "DIR")]
    zonefiles: Option<PathBuf>,
}

impl Demo {
    /// Runs until a signal ends it.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let config = context.load(Profile::Demo, self.flags())?;
        log::start(config.log);
        serve::warn(&config);
        daemon::run_demo(config, self.zonefiles).map_err(CliError::Daemon)?;
        Ok(Exit::Success)
    }

    fn flags(&self) -> Vec<Flag> {
        let listen = flag("listen", "--listen", &self.listen);
        let upstream = flag("dns.upstreams", "--upstream", &self.upstream);
        listen.into_iter().chain(upstream).collect()
    }
}
