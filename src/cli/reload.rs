//! `bnsd reload`: the running daemon reads its configuration again.

use std::path::Path;

use clap::Args;

use super::output::Page;
use super::{CliError, Context, Exit, Result};
use crate::api::reload::{ChangedKey, ReloadReply, ReloadRequest};

/// Arguments of `bnsd reload`.
#[derive(Debug, Args)]
pub struct Reload {}

impl Reload {
    /// Asks, and prints what changed; a wrong configuration is a no.
    pub fn run(self, context: &Context) -> Result<Exit> {
        if context.global.log.is_some() {
            let text = "--log is not for a daemon that runs: write `log.level` in its configuration, and reload";
            return Err(CliError::Usage(text.to_owned()));
        }
        let reply = context.answer(ReloadRequest {})?;
        if let Some(named) = &context.global.config {
            check_file(named, &reply)?;
        }
        match &reply.error {
            Some(error) if !context.output.is_json() => Err(CliError::No(format!(
                "{error}; bnsd goes on with the settings before"
            ))),
            error => {
                context.output.print(&reply, || page(&reply))?;
                Ok(Exit::success_if(error.is_none()))
            }
        }
    }
}

/// A daemon reads the file that it was started with, whatever the command is told.
fn check_file(named: &Path, reply: &ReloadReply) -> Result<()> {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let is_read = |file: &String| real(named).is_some_and(|it| real(Path::new(file)) == Some(it));
    match &reply.file {
        Some(file) if is_read(file) => Ok(()),
        file => Err(CliError::Usage(format!(
            "the daemon was started with {} and read that again, not {}: leave --config out, or start bnsd with it",
            file.as_deref().unwrap_or("no configuration file"),
            named.display()
        ))),
    }
}

fn page(reply: &ReloadReply) -> Page {
    let mut page = Page::default();
    match &reply.file {
        Some(file) => page.note(format!("read {file}")),
        None => page.note("there is no configuration file: what is set comes from flags and variables of the daemon"),
    }
    for change in &reply.applied {
        page.row(row(change));
    }
    for change in &reply.needs_restart {
        page.heading(format!("needs a restart: {}", change.key));
    }
    if reply.applied.is_empty() && reply.needs_restart.is_empty() {
        page.note(format!(
            "nothing changed since {}, when {}",
            time_of_day(reply.in_force_since),
            match reply.applied_then.is_empty() {
                true => "bnsd was started",
                false => "this came into force:",
            }
        ));
        for change in &reply.applied_then {
            page.row(row(change));
        }
    }
    for warning in &reply.warnings {
        page.note(format!("warning: {warning}"));
    }
    page
}

fn row(change: &ChangedKey) -> [String; 2] {
    let (before, after) = (&change.before, &change.after);
    [change.key.clone(), format!("{before} -> {after}")]
}

/// Seconds since 1970 as an hour of that day.
fn time_of_day(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02} UTC", seconds % 60)
}
