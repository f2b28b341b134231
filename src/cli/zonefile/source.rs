//! Where names and zone files are: with the daemon, or in a data directory that no daemon uses.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::api::ask::Ask as _;
use crate::api::client::Client;
use crate::api::message::Question;
use crate::api::zonefiles::{AnnouncedReply, AnnouncedRequest};
use crate::cli::{CliError, Context, Result, log};
use crate::config::Profile;
use crate::daemon::Offline;
use crate::names::AnnouncedZonefile;

/// How often the line changes.
const EVERY: Duration = Duration::from_millis(200);

/// Who has them.
pub(in crate::cli) enum Source {
    /// A running daemon.
    Daemon(Client),
    /// A data directory.
    Directory(Box<Offline>),
}

impl Source {
    /// The daemon if one listens; otherwise its data directory, for as long as this lives.
    pub(in crate::cli) fn find(context: &Context) -> Result<Self> {
        let sockets = context.control_candidates()?;
        if sockets
            .iter()
            .any(|socket| UnixStream::connect(socket).is_ok())
        {
            return Ok(Self::Daemon(context.client()?));
        }
        let config = context.load(Profile::Serve, Vec::new())?;
        log::start(config.log)?;
        let offline = Offline::open(&config).map_err(CliError::Trouble)?;
        Ok(Self::Directory(Box::new(offline)))
    }

    pub(in crate::cli) fn ask<Q: Question>(&self, question: Q) -> Result<Q::Answer> {
        Ok(match self {
            Self::Daemon(client) => client.ask(question)?,
            Self::Directory(offline) => offline.ask(question)?,
        })
    }

    /// The announced zone files from a number on, as many as come at once, and how many there are in all.
    pub(super) fn announced(&self, from: u32) -> Result<(Vec<AnnouncedZonefile>, u64)> {
        let AnnouncedReply { announced, count } = self.ask(AnnouncedRequest { from })?;
        Ok((announced, count))
    }
}

/// A line on the terminal that says how far it is; elsewhere nothing.
pub(in crate::cli) struct FileLine {
    start: Instant,
    shown: Option<Instant>,
    visible: bool,
}

impl FileLine {
    pub(in crate::cli) fn new() -> Self {
        Self {
            start: Instant::now(),
            shown: None,
            visible: io::stderr().is_terminal(),
        }
    }

    /// So many files are done, which is `done` of `all` parts of the work.
    pub(in crate::cli) fn reached(&mut self, files: u64, done: u64, all: u64) {
        let now = Instant::now();
        if !self.visible || self.shown.is_some_and(|shown| now < shown + EVERY) {
            return;
        }
        self.shown = Some(now);
        let line = line(files, done, all, now - self.start);
        let _ = write!(io::stderr(), "\r{line}\x1b[K"); // a line that cannot be shown is no trouble
    }
}

impl Drop for FileLine {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(files: u64, done: u64, all: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let rate = files as f64 / seconds;
    let left = seconds * (all.saturating_sub(done)) as f64 / done.max(1) as f64;
    let percent = done.saturating_mul(100) / all.max(1);
    format!("{files} zone files, {percent} %, {rate:.0} files/s, {left:.0} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_rate_and_time_left() {
        let text = line(100, 25, 100, Duration::from_secs(2));
        assert_eq!(text, "100 zone files, 25 %, 50 files/s, 6 s left");
    }
}
