//! `bnsd tx`: transactions that travel between machines, and the embedded chain's conveniences.

use std::path::PathBuf;

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::{Psbt, Transaction, TxOut};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::output::Page;
use super::own::{Desk, KeyOptions, OwnError, judged};
use super::{CliError, Context, Exit};
use crate::api::message::{Reply, Request};
use crate::api::owner::{FaucetRequest, MineRequest, MinedReply};
use crate::hash::{decode_hex, encode_hex};
use crate::virtualchain::scan;
use crate::wallet::harden;
use crate::wallet::lock::Lock;
use crate::wallet::node::Node;
use crate::wallet::psbt;

/// Most blocks that one request mines.
const MINED_AT_ONCE: u32 = 200;

/// Subcommands of `bnsd tx`.
#[derive(Debug, Subcommand)]
pub enum TxCommand {
    /// Show what a PSBT or raw transaction does.
    Decode(Named),
    /// Add the signatures that the keys here can give to a PSBT.
    Sign(Sign),
    /// Send a signed PSBT or raw transaction.
    Send(Send),
    /// Get worthless coins; on the embedded chain only.
    Faucet(Faucet),
    /// Mine blocks; on the embedded chain only.
    Mine(Mine),
}

/// A file with a transaction.
#[derive(Debug, Args)]
pub struct Named {
    /// A PSBT, or a transaction in hex.
    file: PathBuf,
    #[command(flatten)]
    keys: KeyOptions,
}

/// Arguments of `bnsd tx sign`.
#[derive(Debug, Args)]
pub struct Sign {
    /// The PSBT.
    file: PathBuf,
    /// Copies of the same PSBT with the signatures of others; can be repeated
    #[arg(long, value_name = "FILE")]
    join: Vec<PathBuf>,
    /// Write the result here instead of into the same file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    keys: KeyOptions,
}

/// Arguments of `bnsd tx send`.
#[derive(Debug, Args)]
pub struct Send {
    /// A PSBT, or a transaction in hex.
    file: PathBuf,
    /// Send it although the rules would refuse it, or cannot be asked
    #[arg(long)]
    unchecked: bool,
    #[command(flatten)]
    keys: KeyOptions,
}

/// Arguments of `bnsd tx faucet`.
#[derive(Debug, Args)]
pub struct Faucet {
    /// Who gets them.
    address: String,
    /// How many satoshi.
    satoshi: u64,
}

/// Arguments of `bnsd tx mine`.
#[derive(Debug, Args)]
pub struct Mine {
    /// How many blocks.
    #[arg(default_value_t = 1)]
    blocks: u32,
    /// From now on mine only when asked
    #[arg(long, conflicts_with = "automatic")]
    manual: bool,
    /// From now on mine whenever a transaction arrives
    #[arg(long)]
    automatic: bool,
    /// Leave waiting transactions out of the blocks
    #[arg(long)]
    empty: bool,
}

/// What the commands print as JSON.
#[derive(Debug, Serialize)]
struct Shown {
    txid: String,
    complete: bool,
    signatures_added: usize,
    transaction: String,
}

/// A PSBT or a transaction.
enum Found {
    Psbt(Box<Psbt>),
    Raw(Transaction),
}

impl TxCommand {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        harden::forbid_dumps();
        match self {
            Self::Decode(named) => decode(&named, context),
            Self::Sign(sign) => sign.run(context),
            Self::Send(send) => send.run(context),
            Self::Faucet(faucet) => {
                let request = Request::Faucet(FaucetRequest {
                    address: faucet.address,
                    satoshi: faucet.satoshi,
                });
                mined(context, context.ask(&request)?)
            }
            Self::Mine(mine) => mine.run(context),
        }
    }
}

fn decode(named: &Named, context: &Context) -> Result<Exit, CliError> {
    let desk = Desk::open(context, &named.keys)?;
    match read(&named.file)? {
        Found::Raw(transaction) => {
            let spent = spent(&*desk.node()?, &transaction)?.unwrap_or_default();
            show(&desk, &transaction, &spent, Completeness::Signed)
        }
        Found::Psbt(found) => show_psbt(&desk, &found),
    }?;
    Ok(Exit::Success)
}

/// Whether all signatures are there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Completeness {
    Signed,
    Unsigned,
}

/// Shows what a PSBT does.
pub(super) fn show_psbt(desk: &Desk<'_>, psbt: &Psbt) -> Result<(), CliError> {
    let spent = psbt::prevouts(psbt).map_err(OwnError::from)?;
    match psbt::finish(psbt) {
        Ok(signed) => show(desk, &signed, &spent, Completeness::Signed),
        Err(_) => show(desk, &psbt.unsigned_tx, &spent, Completeness::Unsigned),
    }
}

fn show(
    desk: &Desk<'_>,
    transaction: &Transaction,
    spent: &[TxOut],
    completeness: Completeness,
) -> Result<(), CliError> {
    let complete = completeness == Completeness::Signed;
    let shown = shown(transaction, complete, 0);
    desk.context.output.print(&shown, || {
        let mut page = Page::default();
        page.heading(if complete {
            "signed"
        } else {
            "not fully signed"
        });
        page.entry("txid", &shown.txid);
        desk.write_transaction(&mut page, transaction, spent);
        page
    })
}

impl Sign {
    fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.keys)?;
        let Found::Psbt(mut psbt) = read(&self.file)? else {
            return Err(OwnError::Usage("only a PSBT can be signed".to_owned()).into());
        };
        for path in &self.join {
            let Found::Psbt(other) = read(path)? else {
                return Err(OwnError::Usage(format!("{} is no PSBT", path.display())).into());
            };
            if !psbt::join(&mut psbt, *other) {
                let text = format!("{} is a PSBT of another transaction", path.display());
                return Err(OwnError::Usage(text).into());
            }
        }
        let locks = locks(&desk, &psbt::prevouts(&psbt).map_err(OwnError::from)?)?;
        let keys = desk.signing_keys(&locks)?;
        let keys: Vec<_> = keys.iter().collect();
        let added = psbt::sign(&mut psbt, &keys).map_err(OwnError::from)?;
        let path = self.output.unwrap_or(self.file);
        write(&path, &Psbt::serialize(&psbt))?;
        let complete = psbt::is_complete(&psbt);
        let shown = shown(&psbt.unsigned_tx, complete, added);
        context.output.print(&shown, || {
            let mut page = Page::default();
            page.heading(format!("{added} signatures added"));
            page.note(if complete {
                "It is complete: send it with `bnsd tx send`."
            } else {
                "Others have to sign it too."
            });
            page
        })?;
        Ok(if added > 0 || complete {
            Exit::Success
        } else {
            Exit::No
        })
    }
}

/// The locks behind outputs that are ours; members of a shared address are found by its file.
pub(super) fn locks(desk: &Desk<'_>, prevouts: &[TxOut]) -> Result<Vec<Lock>, CliError> {
    let mut locks = Vec::new();
    for prevout in prevouts {
        let found = desk
            .vault
            .find(&prevout.script_pubkey)
            .map_err(OwnError::from)?;
        locks.extend(found.map(|(_, lock)| lock));
    }
    Ok(locks)
}

impl Send {
    fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.keys)?;
        let node = desk.node()?;
        let (transaction, spent) = match read(&self.file)? {
            Found::Raw(transaction) => {
                let spent = spent(&*node, &transaction)?;
                (transaction, spent)
            }
            Found::Psbt(found) => {
                let spent = psbt::prevouts(&found).map_err(OwnError::from)?;
                let signed = psbt::finish(&found).map_err(OwnError::from)?;
                (signed, Some(spent))
            }
        };
        if !self.unchecked {
            check(&desk, &transaction, spent.as_deref())?;
        }
        let begun = desk.note_signed(&transaction)?;
        node.send(std::slice::from_ref(&transaction))
            .map_err(OwnError::from)?;
        let shown = shown(&transaction, true, 0);
        context.output.print(&shown, || {
            let mut page = Page::default();
            page.heading("sent");
            page.entry("txid", &shown.txid);
            if let Some(begun) = begun {
                page.note(format!(
                    "Run `bnsd name {}` or `bnsd namespace {}` for {} again: it waits for the block and goes on.",
                    begun.goal, begun.goal, begun.subject
                ));
            }
            page
        })?;
        Ok(Exit::Success)
    }
}

/// Refuses what the rules would refuse. A transaction without operation is none of their business.
fn check(
    desk: &Desk<'_>,
    transaction: &Transaction,
    spent: Option<&[TxOut]>,
) -> Result<(), CliError> {
    if scan::payload(transaction, desk.magic).is_none() {
        return Ok(());
    }
    let spent = spent.ok_or_else(|| {
        OwnError::Usage(
            "what this transaction spends is not known here, so the rules cannot be asked: send its PSBT, or insist with --unchecked".to_owned(),
        )
    })?;
    desk.synced_chain()?;
    let about = transaction.compute_txid().to_string();
    desk.judge(vec![vec![judged(transaction, spent)]], &about)?;
    Ok(())
}

/// What a transaction spends, if the node can say.
fn spent(node: &dyn Node, transaction: &Transaction) -> Result<Option<Vec<TxOut>>, OwnError> {
    let outputs = transaction
        .input
        .iter()
        .map(|input| node.output(&input.previous_output));
    let outputs: Vec<Option<TxOut>> = outputs.collect::<Result<_, _>>()?;
    Ok(outputs.into_iter().collect())
}

impl Mine {
    fn run(self, context: &Context) -> Result<Exit, CliError> {
        let automatic = match (self.manual, self.automatic) {
            (true, _) => Some(false),
            (_, true) => Some(true),
            _ => None,
        };
        let mut left = self.blocks;
        loop {
            let blocks = left.min(MINED_AT_ONCE);
            left -= blocks;
            let request = Request::Mine(MineRequest {
                blocks,
                automatic,
                empty: self.empty,
            });
            let reply = context.ask(&request)?;
            if left == 0 {
                return mined(context, reply);
            }
        }
    }
}

fn mined(context: &Context, reply: Reply) -> Result<Exit, CliError> {
    let Reply::Mined(reply) = reply else {
        return Err(CliError::Unexpected);
    };
    context.output.print(&reply, || page(&reply))?;
    Ok(Exit::Success)
}

fn page(reply: &MinedReply) -> Page {
    let mut page = Page::default();
    page.entry("height", &reply.height);
    page.entry("waiting", &reply.waiting);
    page
}

fn shown(transaction: &Transaction, complete: bool, signatures_added: usize) -> Shown {
    Shown {
        txid: transaction.compute_txid().to_string(),
        complete,
        signatures_added,
        transaction: encode_hex(&serialize(transaction)),
    }
}

/// A PSBT from a file.
pub(super) fn read_psbt(path: &PathBuf) -> Result<Psbt, OwnError> {
    match read(path)? {
        Found::Psbt(psbt) => Ok(*psbt),
        Found::Raw(_) => Err(OwnError::Usage(format!("{} is no PSBT", path.display()))),
    }
}

/// Writes a file that others may read: a PSBT holds no secret.
pub(super) fn write(path: &PathBuf, bytes: &[u8]) -> Result<(), OwnError> {
    std::fs::write(path, bytes).map_err(|source| OwnError::File {
        path: path.clone(),
        source,
    })
}

fn read(path: &PathBuf) -> Result<Found, OwnError> {
    let failed = |source| OwnError::File {
        path: path.clone(),
        source,
    };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > psbt::LENGTH_MAX as u64 {
        return Err(psbt::PsbtError::Malformed.into());
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    if let Some(raw) = std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| decode_hex(text.trim()))
        && let Ok(transaction) = deserialize(&raw)
    {
        return Ok(Found::Raw(transaction));
    }
    Ok(Found::Psbt(Box::new(psbt::parse(&bytes)?)))
}
