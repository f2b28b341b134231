//! `bnsd serve`: the daemon.

use clap::Args;
use serde::Serialize;

use super::{CliError, Context, Exit, Result, flag, log};
use crate::config::{Config, Flag, Profile};
use crate::daemon;

/// Arguments of `bnsd serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Only check the configuration: print OK or what is wrong with it.
    #[arg(long)]
    check_config: bool,
    /// Serve DNS here; can be repeated [env: BNSD_LISTEN]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<String>,
    /// Ask this resolver for all other names; can be repeated [env: BNSD_DNS_UPSTREAMS]
    #[arg(long, value_name = "ADDR")]
    upstream: Vec<String>,
    /// Become this user when the sockets are bound, if root starts this; bnsd if there is such a user [env: BNSD_USER]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Where blocks come from: none, bitcoind, blockfiles, or dev for an embedded chain [env: BNSD_CHAIN_SOURCE]
    #[arg(long, value_name = "KIND")]
    source: Option<String>,
}

/// What `--check-config` prints with `--json`.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    ok: bool,
    file: Option<&'a std::path::Path>,
    warnings: &'a [String],
}

impl Serve {
    /// Runs until a signal ends it.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let sources = context.sources(Profile::Serve, self.flags());
        let config = Config::load(&sources)?;
        if self.check_config {
            daemon::check(&config).map_err(CliError::Daemon)?;
            return report(&config, context);
        }
        let log = log::start(config.log)?;
        warn(&config);
        daemon::run_serve(&config, sources, log).map_err(CliError::Daemon)?;
        Ok(Exit::Success)
    }

    pub(super) fn flags(&self) -> Vec<Flag> {
        let listen = flag("listen", "--listen", &self.listen);
        let upstream = flag("dns.upstreams", "--upstream", &self.upstream);
        let source = flag("chain.source", "--source", self.source.as_slice());
        let user = flag("user", "--user", self.user.as_slice());
        let all = [listen, upstream, source, user];
        all.into_iter().flatten().collect()
    }
}

/// Says in the log what was probably not meant.
pub(super) fn warn(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

fn report(config: &Config, context: &Context) -> Result<Exit> {
    let checked = Checked {
        ok: true,
        file: config.file.as_deref(),
        warnings: &config.warnings,
    };
    context.output.show(&checked, |page| {
        page.heading("OK");
        for warning in &config.warnings {
            page.note(format!("warning: {warning}"));
        }
    })
}
