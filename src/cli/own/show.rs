//! Transactions as a person should see them before anything is signed.

use std::path::Path;

use bitcoin::{Psbt, Transaction, TxOut};
use serde::Serialize;

use super::bill::{self, Next, Tense};
use crate::bns::address::Address;
use crate::cli::output::Page;
use crate::cli::{CliError, Context, Exit, Result};
use crate::hash::encode_hex;
use crate::virtualchain::scan;
use crate::wallet::task::bill::Bill;
use crate::wallet::task::draft::Draft;
use crate::wallet::task::state::Judgement;
use crate::wallet::task::{Proposal, Wallet};
use crate::wallet::{coins, psbt, words};

/// What `--dry-run` and `--psbt` print as JSON. Amounts are satoshi.
#[derive(Debug, Serialize)]
struct DraftReply<'j> {
    #[serde(flatten)]
    judgement: &'j Judgement,
    payload: Option<String>,
    inputs: Vec<DraftInput>,
    outputs: Vec<DraftOutput>,
    fee: u64,
    /// What everything costs, the operations that follow included; `null` for what was handed out.
    cost: Option<&'j Bill>,
}

#[derive(Debug, Serialize)]
struct DraftInput {
    outpoint: String,
    satoshi: u64,
    address: Option<String>,
}

#[derive(Debug, Serialize)]
struct DraftOutput {
    satoshi: u64,
    address: Option<String>,
    script: String,
}

/// Prints what would be done, what it costs, and what would follow.
pub fn print_proposal(
    context: &Context,
    wallet: &Wallet<'_>,
    subject: &str,
    proposal: &Proposal,
) -> Result<Exit> {
    let (draft, judgement, bill) = (&proposal.draft, &proposal.judgement, &proposal.bill);
    let mut follows = Page::default();
    let operations = bill.charges.iter().map(|charge| charge.operation.as_str());
    let next = Next::Operations(operations.collect(), subject.to_owned());
    next.write(context, &mut follows)?;
    let reply = DraftReply {
        cost: Some(bill),
        ..reply(wallet, draft, judgement)
    };
    context.output.show(&reply, |page| {
        write_draft(page, wallet, draft, judgement);
        bill::write(page, bill, Tense::Ahead);
        page.append(follows);
        page.note("Nothing was sent.");
    })
}

/// Prints a draft that others sign, and where its PSBT was written.
pub fn print_handed_out(
    context: &Context,
    wallet: &Wallet<'_>,
    draft: &Draft,
    judgement: &Judgement,
    written_to: &Path,
) -> Result<Exit> {
    context.output.show(&reply(wallet, draft, judgement), |page| {
        write_draft(page, wallet, draft, judgement);
        page.note(format!("written to {}: sign it with `bnsd tx sign` or another signer, send it with `bnsd tx send`, then run this command again", written_to.display()));
    })
}

fn write_draft(page: &mut Page, wallet: &Wallet<'_>, draft: &Draft, judgement: &Judgement) {
    let operation = judgement.verdicts.first();
    let date = operation.and_then(|verdict| verdict.height_estimated.as_deref());
    let block = words::block_to_come(judgement.height, date);
    let operation = operation.map_or("payment", |verdict| verdict.operation.as_str());
    page.heading(format!("{operation}, accepted if it is in block {block}"));
    let unsigned = &draft.unsigned;
    write_transaction(page, wallet, &unsigned.transaction, &unsigned.prevouts);
}

fn reply<'j>(wallet: &Wallet<'_>, draft: &Draft, judgement: &'j Judgement) -> DraftReply<'j> {
    let address = |output: &TxOut| {
        let address = Address::of_script(output.script_pubkey.as_bytes());
        address.map(|address| wallet.text(address))
    };
    let unsigned = &draft.unsigned;
    let inputs = unsigned.transaction.input.iter().zip(&unsigned.prevouts);
    let input = |(input, spent): (&bitcoin::TxIn, &TxOut)| DraftInput {
        outpoint: input.previous_output.to_string(),
        satoshi: spent.value.to_sat(),
        address: address(spent),
    };
    let output = |output: &TxOut| DraftOutput {
        satoshi: output.value.to_sat(),
        address: address(output),
        script: encode_hex(output.script_pubkey.as_bytes()),
    };
    DraftReply {
        judgement,
        payload: payload(wallet, &unsigned.transaction),
        inputs: inputs.map(input).collect(),
        outputs: unsigned.transaction.output.iter().map(output).collect(),
        fee: unsigned.fee.to_sat(),
        cost: None,
    }
}

/// The payload of an operation with its magic bytes, in hex.
fn payload(wallet: &Wallet<'_>, transaction: &Transaction) -> Option<String> {
    let data = scan::payload(transaction, wallet.magic)?;
    Some(encode_hex(&[&wallet.magic[..], data].concat()))
}

/// Inputs, outputs and fee of a transaction.
pub fn write_transaction(
    page: &mut Page,
    wallet: &Wallet<'_>,
    transaction: &Transaction,
    spent: &[TxOut],
) {
    page.entry_if("payload", payload(wallet, transaction));
    for (input, prevout) in transaction.input.iter().zip(spent) {
        let from = format!(
            "{} from {}",
            words::btc(prevout.value),
            who(wallet, prevout)
        );
        page.entry("input", &format!("{} {from}", input.previous_output));
    }
    let outputs = transaction.output.iter();
    for output in outputs.filter(|output| !output.script_pubkey.is_op_return()) {
        let to = format!("{} to {}", words::btc(output.value), who(wallet, output));
        page.entry("output", &to);
    }
    let fee = coins::fee(spent, &transaction.output);
    page.entry_if("fee", fee.map(words::btc));
}

fn who(wallet: &Wallet<'_>, output: &TxOut) -> String {
    match Address::of_script(output.script_pubkey.as_bytes()) {
        Some(Address::BURN) => format!("{} (burnt)", wallet.text(Address::BURN)),
        Some(address) => wallet.text(address),
        None => format!("script {}", encode_hex(output.script_pubkey.as_bytes())),
    }
}

/// What is printed of a transaction as JSON.
#[derive(Debug, Serialize)]
pub struct Shown {
    pub txid: String,
    pub complete: bool,
    pub signatures_added: usize,
    pub transaction: String,
}

impl Shown {
    /// A transaction, and whether all its signatures are there.
    pub fn new(transaction: &Transaction, complete: bool, signatures_added: usize) -> Self {
        Self {
            txid: transaction.compute_txid().to_string(),
            complete,
            signatures_added,
            transaction: bitcoin::consensus::encode::serialize_hex(transaction),
        }
    }

    /// Prints it with its inputs, outputs and fee.
    pub fn print(
        &self,
        context: &Context,
        wallet: &Wallet<'_>,
        transaction: &Transaction,
        spent: &[TxOut],
    ) -> Result<Exit> {
        context.output.show(self, |page| {
            page.heading(if self.complete {
                "signed"
            } else {
                "not fully signed"
            });
            page.entry("txid", &self.txid);
            write_transaction(page, wallet, transaction, spent);
        })
    }
}

/// Shows what a PSBT does.
pub fn print_psbt(context: &Context, wallet: &Wallet<'_>, psbt: &Psbt) -> Result<Exit> {
    let spent = psbt::prevouts(psbt)?;
    let (transaction, complete) = match psbt::finish(psbt) {
        Ok(signed) => (signed, true),
        Err(_) => (psbt.unsigned_tx.clone(), false),
    };
    Shown::new(&transaction, complete, 0).print(context, wallet, &transaction, &spent)
}

/// Writes a PSBT to a file that others may read: it holds no secret.
pub fn write_psbt(path: &Path, psbt: &Psbt) -> Result<()> {
    std::fs::write(path, psbt.serialize()).map_err(CliError::file(path))
}
