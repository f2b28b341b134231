//! `bnsd chain rewind`: back to an earlier block, with a list of the operations that are undone by it.
//!
//! It is for the one case that bnsd does not decide itself: the chain parted from what was indexed deeper than
//! blocks can be undone automatically. The list says which operations have to be sent again if the new chain
//! lacks them.

use clap::Args;
use serde::Serialize;

use super::open_database;
use super::progress::ProgressLine;
use crate::bns::Bns;
use crate::cli::output::Page;
use crate::cli::{CliError, Context, Exit, Result};
use crate::hash::ConsensusHash;
use crate::indexer::{self, Rewound, UndoneOperation};
use crate::store::{StoreError, StoreSnapshot};

/// Arguments of `bnsd chain rewind`.
#[derive(Debug, Args)]
pub struct Rewind {
    /// The block to go back to; it becomes the last one.
    #[arg(value_name = "HEIGHT")]
    height: u32,
    /// Only list what would be undone.
    #[arg(long)]
    dry_run: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    /// The block that is the last one now.
    height: u32,
    /// Its consensus hash.
    consensus_hash: Option<ConsensusHash>,
    /// How many blocks were undone.
    blocks: u32,
    /// The accepted operations in them, oldest first.
    operations: Vec<UndoneOperation>,
}

impl Rewind {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let (store, bns) = open_database(context)?;
        let report = self.report(&store.snapshot(), &bns).map_err(trouble)?;
        let mut how = Rewound::Already;
        if !self.dry_run {
            let mut progress = ProgressLine::on_terminal(bns.params().first_block);
            let reached = |height| progress.reached(height, self.height);
            how = indexer::rewind(store, &bns, self.height, reached).map_err(trouble)?;
        }
        let output = context.output;
        output.print(&report, || page(&report, how, self.dry_run))?;
        Ok(Exit::Success)
    }

    fn report(&self, stored: &StoreSnapshot, bns: &Bns) -> Result<Report, StoreError> {
        let tip = stored.tip().map_or(0, |tip| tip.height);
        let height = self.height.min(tip);
        let block = stored.block(height)?;
        Ok(Report {
            height,
            consensus_hash: block.map(|block| block.consensus_hash),
            blocks: tip - height,
            operations: indexer::operations_above(stored, bns, height)?,
        })
    }
}

fn page(report: &Report, how: Rewound, dry_run: bool) -> Page {
    let mut page = Page::default();
    page.heading(match (dry_run, how) {
        (true, _) => "Would be undone",
        (false, Rewound::Already) => "Nothing to undo",
        (false, Rewound::Undone) => "Undone",
        (false, Rewound::Derived) => "Undone, and the state derived again",
    });
    page.entry("height", &report.height);
    page.entry_if("consensus hash", report.consensus_hash);
    page.entry("blocks undone", &report.blocks);
    page.entry("operations", &report.operations.len());
    for undone in &report.operations {
        let subject = undone.subject.as_deref().unwrap_or("-");
        page.note(format!(
            "{} {} {subject} {}",
            undone.height, undone.operation, undone.txid
        ));
    }
    page
}

fn trouble(error: impl Into<anyhow::Error>) -> CliError {
    CliError::Trouble(error.into())
}
