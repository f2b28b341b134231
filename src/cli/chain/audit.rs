//! `bnsd chain audit`: the daemon looks at random old blocks whole, so that whoever left something out of one is found.

use std::thread;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use super::progress::ProgressLine;
use crate::api::audit::AuditRequest;
use crate::chain::light::{AUDIT_MAX, AuditHole};
use crate::cli::output::Page;
use crate::cli::{CliError, Context, Exit, Result};

/// Time between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(250);

/// Arguments of `bnsd chain audit`.
#[derive(Debug, Args)]
pub struct Audit {
    /// How many blocks are looked at; each is fetched from Bitcoin peers.
    #[arg(long, value_name = "N", default_value_t = 16,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(AUDIT_MAX)))]
    blocks: u32,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    /// How many blocks were looked at.
    blocks: u32,
    /// Those from which something had been left out, and the logs that tell of them.
    holes: Vec<AuditHole>,
}

impl Audit {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let before = context.answer(AuditRequest {
            blocks: self.blocks,
        })?;
        let mut progress = ProgressLine::on_terminal(0);
        let status = loop {
            let status = context.answer(AuditRequest::default())?;
            if let Some(trouble) = status.trouble {
                return Err(CliError::Trouble(anyhow!(trouble)));
            }
            let done = status.done.saturating_sub(before.done);
            let is_found = status.holes.len() > before.holes.len();
            if is_found || done >= self.blocks || status.left == 0 {
                break status;
            }
            progress.reached(done, self.blocks);
            thread::sleep(LOOK);
        };
        drop(progress);
        let holes = status.holes.iter().skip(before.holes.len());
        let report = Report {
            blocks: status.done.saturating_sub(before.done),
            holes: holes.cloned().collect(),
        };
        context.output.print(&report, || page(&report))?;
        match report.holes.first() {
            None => Ok(Exit::Success),
            Some(AuditHole { height, sources }) => Err(CliError::No(format!(
                "an operation of block {height} is left out by {sources}: names are derived again from there; add a log of somebody else to `chain.logs`"
            ))),
        }
    }
}

fn page(report: &Report) -> Page {
    let mut page = Page::default();
    page.entry("blocks looked at", &report.blocks);
    page.entry("blocks with something left out", &report.holes.len());
    for AuditHole { height, sources } in &report.holes {
        page.note(format!("block {height}, by {sources}"));
    }
    if report.blocks == 0 {
        page.note("every block was seen whole already");
    }
    page
}
