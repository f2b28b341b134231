//! `bnsd chain verify`: whether the database is what its operations make it.

use clap::Args;
use serde::Serialize;

use super::open_database;
use super::progress::ProgressLine;
use crate::cli::output::Page;
use crate::cli::{CliError, Context, Exit};
use crate::indexer::{self, Verified, VerifyError};

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
    consensus_hash: Option<String>,
    /// How many blocks, operations and rows were compared, if everything agrees.
    blocks: Option<u64>,
    operations: Option<u64>,
    rows: Option<u64>,
    /// What differs first.
    difference: Option<String>,
}

impl Verify {
    /// Verifies.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        let (store, bns) = open_database(context)?;
        let last = store.snapshot().tip().map_or(0, |tip| tip.height);
        let mut progress = ProgressLine::on_terminal(bns.params().first_block);
        let verified = indexer::verify(&store, &bns, |height| progress.reached(height, last));
        drop(progress);
        match verified {
            Ok(verified) => agree(&verified, context),
            Err(VerifyError::Difference { height, what }) => differ(height, what, context),
            Err(error) => Err(CliError::Trouble(error.into())),
        }
    }
}

fn agree(verified: &Verified, context: &Context) -> Result<Exit, CliError> {
    let report = Report {
        ok: true,
        height: verified.tip.map(|(height, _)| height),
        consensus_hash: verified.tip.map(|(_, hash)| hash.to_string()),
        blocks: Some(verified.blocks),
        operations: Some(verified.operations),
        rows: Some(verified.rows),
        ..Report::default()
    };
    context.output.print(&report, || page(verified))?;
    Ok(Exit::Success)
}

fn page(verified: &Verified) -> Page {
    let mut page = Page::default();
    page.heading("OK");
    if let Some((height, hash)) = verified.tip {
        page.entry("height", &height);
        page.entry("consensus hash", &hash);
    }
    page.entry("blocks", &verified.blocks);
    page.entry("operations", &verified.operations);
    page.entry("rows", &verified.rows);
    page
}

fn differ(height: u32, what: String, context: &Context) -> Result<Exit, CliError> {
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
