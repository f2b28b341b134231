//! `bnsd demo`: from nothing to a working resolver.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;

use super::{CliError, Context, Exit, Result, flag, log, serve};
use crate::config::{Flag, Profile};
use crate::daemon;

/// How often a line about long work is printed where it stays.
const EVERY: Duration = Duration::from_secs(3);

/// Arguments of `bnsd demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Serve DNS here instead of on 127.0.0.1:5300; can be repeated [env: BNSD_LISTEN]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<String>,
    /// Ask this resolver for all other names, which nobody is asked for otherwise; can be repeated [env: BNSD_DNS_UPSTREAMS]
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
        log::start(config.log)?;
        serve::warn(&config);
        daemon::run_demo(config, self.zonefiles, Box::new(progress())).map_err(CliError::Daemon)?;
        Ok(Exit::Success)
    }

    fn flags(&self) -> Vec<Flag> {
        let listen = flag("listen", "--listen", &self.listen);
        let upstream = flag("dns.upstreams", "--upstream", &self.upstream);
        listen.into_iter().chain(upstream).collect()
    }
}

/// Says how many names are registered: on one line of a terminal, elsewhere on a line every few seconds.
fn progress() -> impl Fn(usize, usize) + Send {
    let start = Instant::now();
    let is_terminal = io::stderr().is_terminal();
    let shown = Mutex::new(start);
    move |done, total| {
        let text = progress_line(done, total, start.elapsed());
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        // A line that cannot be shown is no trouble.
        let _ = match is_terminal {
            true if done == total => write!(io::stderr(), "\r\x1b[K"),
            true => write!(io::stderr(), "\r{text}\x1b[K"),
            false if shown.elapsed() < EVERY => return,
            false => writeln!(io::stderr(), "{text}"),
        };
        *shown = Instant::now();
    }
}

fn progress_line(done: usize, total: usize, elapsed: Duration) -> String {
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    let left = total.saturating_sub(done) as f64 / rate.max(0.001);
    format!("{done} of {total} names are registered, {rate:.0} names/s, {left:.0} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_has_rate_and_time_left() {
        let line = progress_line(500, 3_000, Duration::from_secs(2));
        assert_eq!(
            line,
            "500 of 3000 names are registered, 250 names/s, 10 s left"
        );
    }
}
