//! `bnsd tx`: transactions that travel between machines, and the embedded chain's conveniences.

mod decode;
mod describe;

use std::path::{Path, PathBuf};

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{Amount, Psbt, Transaction};
use clap::{Args, Subcommand};

use super::count::count;
use super::output::Page;
use super::own::{KeyOptions, Shown, Tense, agree, open, resumed, write_bill, write_psbt};
use super::term::write_past;
use super::{CliError, Context, Exit, Result};
use crate::api::message::Question;
use crate::api::owner::{FaucetRequest, MineRequest, MinedReply};
use crate::wallet::harden;
use crate::wallet::psbt;
use crate::wallet::task::bill::Bill;
use crate::wallet::task::elsewhere::Check;

/// Most blocks that one request mines.
const MINED_AT_ONCE: u32 = 200;

/// Subcommands of `bnsd tx`.
#[derive(Debug, Subcommand)]
pub enum TxCommand {
    /// Show what a PSBT or raw transaction does.
    Decode {
        /// A PSBT, or a transaction in hex.
        file: PathBuf,
        #[command(flatten)]
        keys: KeyOptions,
    },
    /// Add the signatures that the keys here can give to a PSBT, without a question: nothing is sent, `tx decode` shows
    /// what it does.
    Sign(Sign),
    /// Send a signed PSBT or raw transaction.
    Send(Send),
    /// Get worthless coins; on the embedded chain only.
    Faucet {
        /// Who gets them: an address, or a key here.
        address: String,
        /// How many satoshi.
        satoshi: u64,
        #[command(flatten)]
        keys: KeyOptions,
    },
    /// Mine blocks; on the embedded chain only.
    Mine(Mine),
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
    /// Agree to what it costs; asked at a terminal otherwise
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    keys: KeyOptions,
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

/// A PSBT or a transaction.
enum Found {
    Psbt(Box<Psbt>),
    Raw(Transaction),
}

impl TxCommand {
    /// Runs the subcommand.
    pub fn run(self, context: &Context) -> Result<Exit> {
        harden::forbid_dumps();
        match self {
            Self::Decode { file, keys } => decode::run(&file, &keys, context),
            Self::Sign(sign) => sign.run(context),
            Self::Send(send) => send.run(context),
            Self::Faucet {
                address,
                satoshi,
                keys,
            } => {
                let wallet = open(context, &keys)?;
                let address = wallet.text(wallet.address(&address)?);
                let satoshi = Amount::from_sat(satoshi);
                mined(context, FaucetRequest { address, satoshi })
            }
            Self::Mine(mine) => mine.run(context),
        }
    }
}

impl Sign {
    fn run(self, context: &Context) -> Result<Exit> {
        let wallet = open(context, &self.keys)?;
        let mut psbt = self.joined()?;
        let locks = wallet.keyring.locks(&psbt::prevouts(&psbt)?)?;
        let added = psbt::sign(&mut psbt, &wallet.keyring.signing_keys(&locks)?)?;
        write_psbt(self.output.as_ref().unwrap_or(&self.file), &psbt)?;
        let complete = psbt::finish(&psbt).is_ok();
        let shown = Shown::new(&psbt.unsigned_tx, complete, added);
        context.output.show(&shown, |page| {
            page.heading(format!("{} added", count(added as u64, "signature")));
            page.note(if complete {
                "It is complete: send it with `bnsd tx send`."
            } else {
                "Others have to sign it too."
            });
        })?;
        Ok(Exit::success_if(added > 0 || complete))
    }

    /// The PSBT with the signatures of all its copies.
    fn joined(&self) -> Result<Psbt> {
        let Found::Psbt(mut psbt) = read(&self.file)? else {
            return Err(CliError::Usage("only a PSBT can be signed".to_owned()));
        };
        for path in &self.join {
            if !psbt::join(&mut psbt, read_psbt(path)?) {
                let text = format!("{} is a PSBT of another transaction", path.display());
                return Err(CliError::Usage(text));
            }
        }
        Ok(*psbt)
    }
}

impl Send {
    fn run(self, context: &Context) -> Result<Exit> {
        let wallet = open(context, &self.keys)?;
        let (transaction, spent) = match read(&self.file)? {
            Found::Raw(transaction) => {
                let spent = wallet.spent(&transaction)?;
                (transaction, spent)
            }
            Found::Psbt(found) => (psbt::finish(&found)?, Some(psbt::prevouts(&found)?)),
        };
        let check = if self.unchecked {
            Check::Nothing
        } else {
            Check::Rules
        };
        let agree = |bill: Option<&Bill>| {
            let mut page = Page::default();
            match bill {
                Some(bill) => write_bill(&mut page, bill, Tense::Ahead),
                None => {
                    page.note("What it spends is not known here, so nobody can say what it costs.");
                }
            }
            page.say();
            agree(context, self.yes.into())
        };
        let begun = wallet.send(&transaction, spent.as_deref(), check, agree)?;
        let shown = Shown::new(&transaction, true, 0);
        context.output.show(&shown, |page| {
            page.heading("sent");
            page.entry("txid", &shown.txid);
            if let Some(begun) = begun {
                let command = resumed(&begun.goal, &begun.subject);
                page.note(format!(
                    "Run `{command}` again: it waits for the block and goes on."
                ));
            }
        })
    }
}

impl Mine {
    fn run(self, context: &Context) -> Result<Exit> {
        let automatic = match (self.manual, self.automatic) {
            (true, _) => Some(false),
            (_, true) => Some(true),
            _ => None,
        };
        let request = |blocks| MineRequest {
            blocks,
            automatic,
            empty: self.empty,
        };
        let mut left = self.blocks;
        while left > MINED_AT_ONCE {
            context.answer(request(MINED_AT_ONCE))?;
            left -= MINED_AT_ONCE;
        }
        mined(context, request(left))
    }
}

/// Asks for something that changes the embedded chain, and shows how it stands then.
fn mined(context: &Context, request: impl Question<Answer = MinedReply>) -> Result<Exit> {
    let reply = context.answer(request)?;
    context.output.show(&reply, |page| {
        write_past(page, "height", Some(reply.height), reply.time.as_ref());
        page.entry("waiting", &reply.waiting);
    })
}

/// A PSBT from a file.
pub(super) fn read_psbt(path: &Path) -> Result<Psbt> {
    match read(path)? {
        Found::Psbt(psbt) => Ok(*psbt),
        Found::Raw(_) => Err(CliError::Usage(format!("{} is no PSBT", path.display()))),
    }
}

fn read(path: &Path) -> Result<Found> {
    let length = std::fs::metadata(path).map_err(CliError::file(path))?.len();
    if length > psbt::LENGTH_MAX as u64 {
        return Err(psbt::PsbtError::Malformed.into());
    }
    let bytes = std::fs::read(path).map_err(CliError::file(path))?;
    let text = std::str::from_utf8(&bytes).ok();
    match text.and_then(|text| deserialize_hex(text.trim()).ok()) {
        Some(transaction) => Ok(Found::Raw(transaction)),
        None => Ok(Found::Psbt(Box::new(psbt::parse(&bytes)?))),
    }
}
