//! `bnsd chain rewind`: back to an earlier block, with a list of the operations that are undone by it.
//!
//! It is for the one case that bnsd does not decide itself: the chain parted from what was indexed deeper than
//! blocks can be undone automatically. The list says which operations have to be sent again if the new chain
//! lacks them.

use std::fmt;

use bitcoin::Txid;
use clap::Args;
use serde::Serialize;

use super::open_database;
use super::progress::Progress;
use crate::bns::operation::Operation;
use crate::bns::view::View as _;
use crate::bns::wire::Payload;
use crate::bns::{Bns, Name};
use crate::cli::output::Page;
use crate::cli::{CliError, Context, Exit};
use crate::store::{Rewound, StoreError, StoreSnapshot, StoredDecision, StoredOperation};
use crate::virtualchain::scan;

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
    consensus_hash: Option<String>,
    /// How many blocks were undone.
    blocks: u32,
    /// The accepted operations in them, oldest first.
    operations: Vec<Undone>,
}

/// An operation that had changed the state.
#[derive(Debug, Serialize)]
struct Undone {
    height: u32,
    txid: String,
    operation: &'static str,
    /// The name or namespace; where neither the transaction nor the database says it, the hash in the transaction.
    subject: Option<String>,
}

impl Rewind {
    /// Rewinds.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        let (store, bns) = open_database(context)?;
        let report = self.report(&store.snapshot(), &bns).map_err(trouble)?;
        let mut how = Rewound::Already;
        if !self.dry_run {
            let mut progress = Progress::on_terminal(bns.params().first_block);
            let reached = |height| progress.reached(height, self.height);
            how = store.rewind(&bns, self.height, reached).map_err(trouble)?;
        }
        context
            .output
            .print(&report, || page(&report, how, self.dry_run))?;
        Ok(Exit::Success)
    }

    fn report(&self, stored: &StoreSnapshot, bns: &Bns) -> Result<Report, StoreError> {
        let tip = stored.tip().map_or(0, |tip| tip.height);
        let mut operations = Vec::new();
        for height in self.height.saturating_add(1)..=tip {
            for operation in stored.operations_at(height)? {
                operations.extend(undone(stored, bns, height, &operation)?);
            }
        }
        let block = stored.block(self.height.min(tip))?;
        Ok(Report {
            height: self.height.min(tip),
            consensus_hash: block.map(|block| block.consensus_hash.to_string()),
            blocks: tip.saturating_sub(self.height),
            operations,
        })
    }
}

/// The operation if it had an effect.
fn undone(
    stored: &StoreSnapshot,
    bns: &Bns,
    height: u32,
    operation: &StoredOperation,
) -> Result<Option<Undone>, StoreError> {
    if !matches!(operation.decision, StoredDecision::Accepted { .. }) {
        return Ok(None);
    }
    let candidate = &operation.candidate;
    let Some(Ok(parsed)) = Operation::parse(bns.params(), height, candidate) else {
        return Ok(None);
    };
    let epoch = bns.params().epoch(height);
    let payload = scan::payload(&candidate.transaction, bns.params().magic)
        .and_then(|payload| Payload::parse(payload, &epoch.features)?.ok());
    let subject = match payload {
        Some(payload) => subject(stored, candidate.txid, payload)?,
        None => None,
    };
    Ok(Some(Undone {
        height,
        txid: candidate.txid.to_string(),
        operation: parsed.opcode_name(),
        subject,
    }))
}

/// What an operation was about. Some transactions say it only by a hash; then it is the name that the database knows
/// by that hash, or else the hash.
fn subject(
    stored: &StoreSnapshot,
    txid: Txid,
    payload: Payload,
) -> Result<Option<String>, StoreError> {
    Ok(match payload {
        Payload::NameRegistration { name, .. }
        | Payload::NameRevoke { name }
        | Payload::NameImport { name, .. } => Some(name.to_string()),
        Payload::NamePreorder { preorder_hash, .. } => {
            let names = stored.names_of_preorder(&preorder_hash)?;
            Some(known(names.first(), &preorder_hash))
        }
        Payload::NameUpdate {
            update_hash,
            value_hash,
        } => {
            let announced = stored.announcements(&value_hash)?;
            let ours = announced.iter().find(|announced| announced.txid == txid);
            Some(known(ours.map(|ours| &ours.name), &update_hash))
        }
        Payload::NameTransfer { name_hash128, .. } => {
            let name = stored.name_by_hash128(&name_hash128)?;
            Some(known(name.as_ref(), &name_hash128))
        }
        Payload::NamespacePreorder { preorder_hash, .. } => Some(preorder_hash.to_string()),
        Payload::NamespaceReveal { namespace_id, .. }
        | Payload::NamespaceReady { namespace_id, .. } => Some(namespace_id.to_string()),
        Payload::Announce { message_hash } => Some(message_hash.to_string()),
        Payload::TokenTransfer { amount, .. } => Some(format!("{amount} µSTX")),
        Payload::Unregistrable { .. } => None,
    })
}

fn known(name: Option<&Name>, hash: &impl fmt::Display) -> String {
    name.map_or_else(|| hash.to_string(), ToString::to_string)
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
    if let Some(hash) = &report.consensus_hash {
        page.entry("consensus hash", hash);
    }
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
