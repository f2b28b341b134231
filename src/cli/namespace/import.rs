//! `bnsd namespace import`: many names at once, each a transaction of its own.
//!
//! ```text
//! left over of the list -> a batch, judged -> coins of one worth -> signed, noted, sent -> awaited -> next
//! ```
//!
//! What is on the chain already is left out, so that a stopped import goes on where it was.

use std::path::PathBuf;
use std::time::Instant;

use bitcoin::{Amount, OutPoint, TxOut};
use clap::Args;

use super::batch::{Kind, carry_out, finish_begun, judge};
use super::wanted::{self, Wanted, still_to_import};
use super::{parse, revealers_key};
use crate::cli::name::store;
use crate::cli::output::Page;
use crate::cli::own::{Desk, Draft, OwnError, SendOptions, Sender};
use crate::cli::{CliError, Context, Exit};
use crate::wallet::coins::{Coin, DUST, Funding};
use crate::wallet::journal::Attempt;
use crate::wallet::operation::Unsigned;

/// How many names are imported together.
const BATCH: usize = 200;
/// Size in virtual bytes of an import with one input and no change, rounded up.
const IMPORT_SIZE: u64 = 310;
/// Arguments of `bnsd namespace import`.
#[derive(Debug, Args)]
pub struct Import {
    /// Its id.
    id: String,
    /// CSV file with lines NAME,OWNER,ZONEFILE (a file or its hash), or a folder of NAME.zone files
    from: PathBuf,
    /// Owner of the names of a folder, by default the revealer
    #[arg(long, value_name = "ADDRESS")]
    owner: Option<String>,
    #[command(flatten)]
    options: SendOptions,
}

/// What a dry run shows: the names that are still to be imported, each with its owner and zone file hash.
fn preview(desk: &Desk<'_>, wanted: &[Wanted]) -> Result<Exit, CliError> {
    let left = still_to_import(desk, wanted)?;
    let rows = left.iter().map(|wish| {
        serde_json::json!({
            "name": wish.name.to_string(),
            "owner": wish.owner.encode(desk.versions),
            "zonefile_hash": wish.hash.to_string(),
        })
    });
    let reply = serde_json::json!({ "to_import": rows.collect::<Vec<_>>() });
    desk.context.output.print(&reply, || {
        let mut page = Page::default();
        page.heading(format!("{} names would be imported", left.len()));
        for wish in &left {
            let owner = wish.owner.encode(desk.versions);
            page.row([wish.name.to_string(), owner, wish.hash.to_string()]);
        }
        page
    })?;
    Ok(Exit::Success)
}

impl Import {
    /// Does it.
    pub(super) fn run(self, context: &Context) -> Result<Exit, CliError> {
        if self.options.psbt.is_some() {
            let text = "an import sends many transactions, which do not fit into one PSBT: import from a machine with the key, or each name with `bnsd name import --psbt`";
            return Err(OwnError::Usage(text.to_owned()).into());
        }
        let desk = Desk::open(context, &self.options.keys)?;
        let id = parse(&self.id)?;
        desk.synced_chain()?;
        let sender = revealers_key(&desk, &id, &self.options)?;
        let owner = match &self.owner {
            Some(owner) => desk.address(owner)?,
            None => sender.address(),
        };
        let wanted = wanted::read(&desk, &id, &self.from, owner)?;
        if self.options.dry_run {
            return preview(&desk, &wanted);
        }
        let total = wanted.len();
        let subject = format!("{id}.import");
        let _held = desk.journal.hold(&subject).map_err(OwnError::from)?;
        finish_begun(&desk, &subject)?;
        let left = still_to_import(&desk, &wanted)?;
        let mut progress = Progress::new(total, total - left.len());
        for batch in left.chunks(BATCH) {
            self.batch(&desk, &sender, &subject, batch)?;
            eprintln!("{}", progress.after(batch.len()));
        }
        context
            .output
            .print(&serde_json::json!({"imported": total}), || {
                let mut page = Page::default();
                page.heading(format!("{total} names are in {id}"));
                page
            })?;
        Ok(Exit::Success)
    }

    fn batch(
        &self,
        desk: &Desk<'_>,
        sender: &Sender,
        subject: &str,
        batch: &[&Wanted],
    ) -> Result<(), CliError> {
        let node = desk.node()?;
        let rate = desk.rate(&*node, &self.options, None)?;
        let fee = rate.fee_vb(IMPORT_SIZE).ok_or(CliError::Unexpected)?;
        let value = DUST * 2 + fee;
        let drafts = |coins: &[Coin]| -> Result<Vec<Draft>, CliError> {
            let pairs = batch.iter().zip(coins);
            pairs
                .map(|(wish, coin)| wish.draft(desk, sender, coin, rate))
                .collect()
        };
        // Splitting coins costs a fee: what would be refused is refused before it.
        let pretended = Coin {
            outpoint: OutPoint::null(),
            output: TxOut {
                value,
                script_pubkey: sender.lock.script(),
            },
            input_size: sender.lock.input_size(),
        };
        judge(desk, &drafts(&vec![pretended; batch.len()])?, subject)?;
        for bytes in batch.iter().filter_map(|wish| wish.zonefile.as_ref()) {
            store(desk.context, bytes)?;
        }
        let coins = self.split(desk, sender, subject, batch.len(), value)?;
        let drafts = drafts(&coins)?;
        judge(desk, &drafts, subject)?;
        let signed = desk.sign_all(&drafts)?;
        let height = desk.chain()?.height.unwrap_or(0);
        let attempt = Attempt::new(height, None, rate, &signed, &[]);
        carry_out(desk, subject, Kind::Imports, attempt)
    }

    /// So many coins of one worth; made from larger ones unless an earlier run left them.
    fn split(
        &self,
        desk: &Desk<'_>,
        sender: &Sender,
        subject: &str,
        count: usize,
        value: Amount,
    ) -> Result<Vec<Coin>, CliError> {
        let node = desk.node()?;
        let locks = [sender.lock.clone()];
        let sorted = || -> Result<(Vec<Coin>, Vec<Coin>), CliError> {
            let coins = desk.coins(&*node, &locks, &self.options, subject, None)?;
            let fits = |coin: &Coin| coin.output.value == value;
            Ok(coins.into_iter().partition(fits))
        };
        let (mut fit, larger) = sorted()?;
        if fit.len() < count {
            let script = sender.lock.script();
            let funding = Funding {
                sender: &script,
                coins: &larger,
                change: &script,
                rate: desk.rate(&*node, &self.options, None)?,
            };
            let output = TxOut {
                value,
                script_pubkey: script.clone(),
            };
            let outputs = vec![output; count - fit.len()];
            let draft = Draft {
                unsigned: Unsigned::payment(&funding, outputs).map_err(OwnError::from)?,
                locks: locks.to_vec(),
                rate: funding.rate,
            };
            let signed = desk.sign(&*node, &draft)?;
            let attempt = Attempt::new(0, None, funding.rate, &[signed], &[]);
            carry_out(desk, subject, Kind::Split, attempt)?;
            fit = sorted()?.0;
        }
        fit.truncate(count);
        Ok(fit)
    }
}

/// How far it is.
struct Progress {
    start: Instant,
    total: usize,
    before: usize,
    done: usize,
}

impl Progress {
    fn new(total: usize, before: usize) -> Self {
        Self {
            start: Instant::now(),
            total,
            before,
            done: before,
        }
    }

    /// A line with rate and time left, after so many more.
    fn after(&mut self, more: usize) -> String {
        self.done += more;
        let seconds = self.start.elapsed().as_secs_f64().max(0.001);
        let rate = (self.done - self.before) as f64 / seconds;
        let left = (self.total - self.done) as f64 / rate;
        format!(
            "{} of {} names are imported, {rate:.0} names/s, {left:.0} s left",
            self.done, self.total
        )
    }
}
