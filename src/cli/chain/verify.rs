//! `bnsd chain verify`: whether the database is what its operations make it, and the compiled zones what their zone files make them.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::open_even_damaged;
use super::progress::ProgressLine;
use crate::bns::Bns;
use crate::cli::output::Page;
use crate::cli::{CliError, Context, Exit, Result};
use crate::config::Config;
use crate::daemon;
use crate::hash::ConsensusHash;
use crate::indexer::{self, Verified, VerifyError};
use crate::store::{Archive, ArchiveError, CheckedForms, Store, StoreError};

/// Arguments of `bnsd chain verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Where it is not, derive it anew, from the stored operations and from the chain; it is replaced only when
    /// all of it is there.
    #[arg(long)]
    repair: bool,
}

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
    /// Of how many zone files the compiled forms were compared, and how many were wrong and are made anew.
    zonefiles: usize,
    wrong_forms: usize,
    /// What differs first, or differed before the repair.
    difference: Option<String>,
    /// Whether the database was derived anew.
    repaired: bool,
}

/// What is wrong with a database.
struct Finding {
    /// The block with the first difference, if it is known.
    height: Option<u32>,
    what: String,
}

impl Verify {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let (store, bns, config) = open_even_damaged(context)?;
        daemon::require_end(&config, bns.params(), &store).map_err(CliError::Trouble)?;
        let forms = checked_forms(&config)?;
        let mut report = match verified(&store, &bns)? {
            Ok(verified) => Report::of(&verified),
            Err(finding) if !self.repair => return differ(finding, context),
            Err(finding) => {
                drop(store); // what is damaged is not read through it any more
                repaired(finding, &bns, &config)?
            }
        };
        (report.zonefiles, report.wrong_forms) = (forms.files, forms.wrong);
        context.output.print(&report, || report.page())?;
        Ok(Exit::Success)
    }
}

/// Compares what was compiled with zone files, and makes it anew where it differs. The daemon does so too, slowly.
fn checked_forms(config: &Config) -> Result<CheckedForms> {
    let trouble = |error: ArchiveError| CliError::Trouble(error.into());
    let archive = Archive::open(&daemon::archive(config)).map_err(trouble)?;
    let mut progress = ProgressLine::of_zonefiles();
    let reached = |count, all| progress.reached(count as u32, all as u32); // a billion of them fit
    archive.check_forms(reached).map_err(trouble)
}

fn verified(store: &Store, bns: &Bns) -> Result<Result<Verified, Finding>> {
    let damaged = |height, what| Ok(Err(Finding { height, what }));
    if let Some(detail) = store.damage() {
        return damaged(None, format!("the database is damaged ({detail})"));
    }
    let last = store.snapshot().tip().map_or(0, |tip| tip.height);
    let mut progress = ProgressLine::on_terminal(bns.params().first_block);
    match indexer::verify(store, bns, |height| progress.reached(height, last)) {
        Ok(verified) => Ok(Ok(verified)),
        Err(VerifyError::Difference { height, what }) => damaged(Some(height), what),
        Err(VerifyError::Store(StoreError::Damaged(detail))) => {
            damaged(None, format!("the database is damaged ({detail})"))
        }
        Err(error) => Err(CliError::Trouble(error.into())),
    }
}

/// Derives the database anew.
fn repaired(finding: Finding, bns: &Bns, config: &Config) -> Result<Report> {
    let mut trouble = None;
    let source = |store: &Arc<Store>| {
        let source = daemon::open_source(config, Some(store));
        source.unwrap_or_else(|error| {
            trouble = Some(error);
            None
        })
    };
    let store = daemon::open_store(config, bns.params()).map_err(CliError::Trouble)?;
    let last = store.snapshot().tip().map_or(0, |tip| tip.height);
    let mut progress = ProgressLine::on_terminal(bns.params().first_block);
    let reached = |height| progress.reached(height, last.max(height));
    let tip = indexer::repair(store, bns, source, reached);
    if let Some(error) = trouble {
        return Err(CliError::Trouble(error));
    }
    let tip = tip.map_err(|error| CliError::Trouble(error.into()))?;
    Ok(Report {
        ok: true,
        height: tip.map(|tip| tip.height),
        consensus_hash: tip.map(|tip| tip.consensus_hash),
        difference: Some(finding.what),
        repaired: true,
        ..Report::default()
    })
}

impl Report {
    fn of(verified: &Verified) -> Self {
        Self {
            ok: true,
            height: verified.tip.map(|(height, _)| height),
            consensus_hash: verified.tip.map(|(_, hash)| hash),
            blocks: Some(verified.blocks),
            operations: Some(verified.operations),
            rows: Some(verified.rows),
            ..Self::default()
        }
    }

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.heading(if self.repaired { "REPAIRED" } else { "OK" });
        page.entry_if("found", self.difference.as_ref());
        page.entry_if("height", self.height);
        page.entry_if("consensus hash", self.consensus_hash);
        page.entry_if("blocks", self.blocks);
        page.entry_if("operations", self.operations);
        page.entry_if("rows", self.rows);
        page.entry("zone files", &self.zonefiles);
        let wrong = Some(self.wrong_forms).filter(|count| *count > 0);
        page.entry_if("compiled anew", wrong);
        page
    }
}

fn differ(finding: Finding, context: &Context) -> Result<Exit> {
    let Finding { height, what } = finding;
    let place = height.map_or(String::new(), |height| format!("block {height}: "));
    let advice = "`bnsd chain verify --repair` derives the database anew";
    let error = CliError::No(format!("{place}{what}; {advice}"));
    let report = Report {
        height,
        difference: Some(what),
        ..Report::default()
    };
    if context.output.is_json() {
        context.output.print(&report, Page::default)?;
    }
    Err(error)
}
