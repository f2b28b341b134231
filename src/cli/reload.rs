//! `bnsd reload`: the running daemon reads its configuration again.

use clap::Args;

use super::output::Page;
use super::{CliError, Context, Exit, Result};
use crate::api::reload::{ReloadReply, ReloadRequest};

/// Arguments of `bnsd reload`.
#[derive(Debug, Args)]
pub struct Reload {}

impl Reload {
    /// Asks, and prints what changed; a wrong configuration is a no.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let reply = context.answer(ReloadRequest {})?;
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

fn page(reply: &ReloadReply) -> Page {
    let mut page = Page::default();
    for change in &reply.applied {
        let (before, after) = (&change.before, &change.after);
        page.row([change.key.clone(), format!("{before} -> {after}")]);
    }
    for change in &reply.needs_restart {
        page.heading(format!("needs a restart: {}", change.key));
    }
    if reply.applied.is_empty() && reply.needs_restart.is_empty() {
        page.note("nothing changed");
    }
    for warning in &reply.warnings {
        page.note(format!("warning: {warning}"));
    }
    page
}
