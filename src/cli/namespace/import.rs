//! `bnsd namespace import`: many names at once, each a transaction of its own.
//!
//! ```text
//! left over of the list -> a batch, judged -> coins of one worth -> signed, noted, sent -> awaited -> next
//! ```
//!
//! What is on the chain already is left out, so that a stopped import goes on where it was.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Instant;

use bitcoin::{Amount, OutPoint, Transaction, TxOut};
use clap::Args;

use super::wanted::{self, Wanted, still_to_import};
use super::{parse, revealers_key};
use crate::api::own::OperationRequest;
use crate::cli::name::store;
use crate::cli::output::Page;
use crate::cli::own::{Desk, Draft, OwnError, PATIENCE, RESEND, SendOptions, Sender};
use crate::cli::{CliError, Context, Exit};
use crate::wallet::coins::{Coin, DUST, Funding};
use crate::wallet::journal::{Attempt, Step, Task};
use crate::wallet::node::{Node, NodeError};
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
        let mut task = Task::new(subject, "import");
        let height = desk.chain()?.height.unwrap_or(0);
        let attempt = Attempt::new(height, None, rate, &signed, &[]);
        task.steps.push(Step {
            operation: "NAME_IMPORT".to_owned(),
            attempts: vec![attempt],
            done: None,
        });
        desk.journal.store(&task).map_err(OwnError::from)?;
        finish_begun(desk, subject)
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
        let fitting = |desk: &Desk<'_>| -> Result<(Vec<Coin>, Vec<Coin>), CliError> {
            let coins = desk.coins(&*node, &locks, &self.options, subject, None)?;
            Ok(coins
                .into_iter()
                .partition(|coin| coin.output.value == value))
        };
        let (mut fit, larger) = fitting(desk)?;
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
            let unsigned = Unsigned::payment(&funding, vec![output; count - fit.len()])
                .map_err(OwnError::from)?;
            let draft = Draft {
                unsigned,
                locks: locks.to_vec(),
                rate: funding.rate,
            };
            let transaction = desk.sign(&*node, &draft)?;
            node.send(&[transaction]).map_err(OwnError::from)?;
            while fit.len() < count {
                sleep(node.pace());
                fit = fitting(desk)?.0;
            }
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

/// Refuses a batch of which the rules would refuse one.
fn judge(desk: &Desk<'_>, drafts: &[Draft], subject: &str) -> Result<(), CliError> {
    let block = drafts.iter().map(Draft::judged).collect();
    desk.judge(vec![block], subject).map(|_| ())
}

/// Sends what is noted as sent, waits until all of it is accepted, and strikes it off. What an earlier run sent is
/// awaited by the next.
fn finish_begun(desk: &Desk<'_>, subject: &str) -> Result<(), CliError> {
    let Some(task) = desk.journal.load(subject).map_err(OwnError::from)? else {
        return Ok(());
    };
    let attempt = task.steps.last().and_then(|step| step.attempts.last());
    let awaited = attempt.map_or(Ok(()), |attempt| await_batch(desk, subject, attempt));
    // What was refused in a block is over too: the next run begins it anew.
    if matches!(
        awaited,
        Ok(()) | Err(CliError::Own(OwnError::Refused { .. }))
    ) {
        desk.journal.remove(subject).map_err(OwnError::from)?;
    }
    awaited
}

fn await_batch(desk: &Desk<'_>, subject: &str, attempt: &Attempt) -> Result<(), CliError> {
    let node = desk.node()?;
    let (transactions, txids) = (attempt.decoded(), attempt.txids());
    let mut sent: Option<(Instant, Option<NodeError>)> = None;
    loop {
        let request = OperationRequest {
            txids: txids.clone(),
            from: attempt.height,
            ..OperationRequest::default()
        };
        let found = desk.operations(request)?;
        if let Some(refused) = found.iter().find(|found| found.reason.is_some()) {
            return Err(OwnError::Refused {
                height: refused.height,
                txid: refused.txid.clone(),
                reason: refused.reason.clone().unwrap_or_default(),
            }
            .into());
        }
        if found.len() >= txids.len() {
            return Ok(());
        }
        match &sent {
            // A refusal is no surprise for what is in a block that is not indexed yet; later it is.
            Some((at, Some(NodeError::Refused { txid, reason })))
                if at.elapsed() > PATIENCE && desk.chain()?.synced =>
            {
                return Err(OwnError::Lost {
                    txid: txid.to_string(),
                    reason: reason.clone(),
                    subject: subject.to_owned(),
                }
                .into());
            }
            Some((at, _)) if at.elapsed() <= RESEND => {}
            _ => {
                let is_left = |transaction: &&Transaction| {
                    let txid = transaction.compute_txid().to_string();
                    found.iter().all(|found| found.txid != txid)
                };
                let left: Vec<_> = transactions.iter().filter(is_left).cloned().collect();
                sent = Some((Instant::now(), send(&*node, &left)?));
            }
        }
        sleep(node.pace());
    }
}

/// Sends transactions; the last refusal, if there was one.
fn send(node: &dyn Node, transactions: &[Transaction]) -> Result<Option<NodeError>, CliError> {
    if node.send(transactions).is_ok() {
        return Ok(None);
    }
    let mut refusal = None;
    for transaction in transactions {
        match node.send(std::slice::from_ref(transaction)) {
            Ok(()) => {}
            Err(error @ NodeError::Refused { .. }) => refusal = Some(error),
            Err(error) => return Err(OwnError::from(error).into()),
        }
    }
    Ok(refusal)
}
