//! `bnsd chain verify`: whether the database is what its operations make it.

use clap::Args;
use serde::Serialize;

use super::open_database;
use super::progress::ProgressLine;
use crate::cli::output::Page;
use crate::cli::{CliError, Context, Exit, Result};
use crate::hash::ConsensusHash;
use crate::indexer::{self, VerifyError};

/// Arguments of `bnsd chain verify`.
#[derive(Debug, Args)]
pub struct Verify {}

/// What `--json` prints.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Whether everything agrees.
    ok: bool,
    /// The last block, or the one with the first difference.
    height: Option<u32>,
    /// Consensus hash of the last block, if everything agrees.
    consensus_hash: Option<ConsensusHash>,
    /// How many blocks, operations and rows were compared, if everything agrees.
    blocks: Option<u64>,
    operations: Option<u64>,
    rows: Option<u64>,
    /// What differs first.
    difference: Option<String>,
}

impl Verify {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let (store, bns) = open_database(context)?;
        let last = store.snapshot().tip().map_or(0, |tip| tip.height);
        let mut progress = ProgressLine::on_terminal(bns.params().first_block);
        let verified = indexer::verify(&store, &bns, |height| progress.reached(height, last));
        drop(progress);
        let report = match verified {
            Ok(verified) => Report {
                ok: true,
                height: verified.tip.map(|(height, _)| height),
                consensus_hash: verified.tip.map(|(_, hash)| hash),
                blocks: Some(verified.blocks),
                operations: Some(verified.operations),
                rows: Some(verified.rows),
                difference: None,
            },
            Err(VerifyError::Difference { height, what }) => return differ(height, what, context),
            Err(error) => return Err(CliError::Trouble(error.into())),
        };
        context.output.print(&report, || report.page())?;
        Ok(Exit::Success)
    }
}

impl Report {
    fn page(&self) -> Page {
        let mut page = Page::default();
        page.heading("OK");
        page.entry_if("height", self.height);
        page.entry_if("consensus hash", self.consensus_hash);
        page.entry_if("blocks", self.blocks);
        page.entry_if("operations", self.operations);
        page.entry_if("rows", self.rows);
        page
    }
}

fn differ(height: u32, what: String, context: &Context) -> Result<Exit> {
    let advice = "move the database away and start again, it is rebuilt from the chain";
    let error = CliError::No(format!("block {height}: {what}; {advice}"));
    let report = Report {
        height: Some(height),
        difference: Some(what),
        ..Report::default()
    };
    if context.output.is_json() {
        context.output.print(&report, Page::default)?;
    }
    Err(error)
}
