//! `bnsd tx decode`: what a PSBT or transaction does, whom it pays, and what it says to the name system.

use std::path::Path;

use bitcoin::{Transaction, TxOut};
use serde::Serialize;

use super::describe::{Described, describe};
use super::{Found, read};
use crate::bns::address::Address;
use crate::cli::own::{KeyOptions, Shown, open, write_transaction};
use crate::cli::{Context, Exit, Result};
use crate::wallet::task::Wallet;
use crate::wallet::{coins, psbt};

/// The JSON form. Amounts are satoshi.
#[derive(Debug, Serialize)]
struct Decoded {
    #[serde(flatten)]
    shown: Shown,
    /// `null` for a payment.
    operation: Option<Described>,
    /// Empty if it is not known what is spent.
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    /// `null` if it is not known what is spent.
    fee: Option<u64>,
}

/// An output that is spent.
#[derive(Debug, Serialize)]
struct Input {
    outpoint: String,
    satoshi: u64,
    address: Option<String>,
}

/// An output that is made.
#[derive(Debug, Serialize)]
struct Output {
    satoshi: u64,
    address: Option<String>,
}

/// Shows what a file holds; nothing is signed or sent.
pub(super) fn run(file: &Path, keys: &KeyOptions, context: &Context) -> Result<Exit> {
    let wallet = open(context, keys)?;
    let (transaction, spent, complete) = match read(file)? {
        Found::Raw(transaction) => {
            let spent = wallet.spent(&transaction)?;
            (transaction, spent, true)
        }
        Found::Psbt(found) => {
            let spent = Some(psbt::prevouts(&found)?);
            match psbt::finish(&found) {
                Ok(signed) => (signed, spent, true),
                Err(_) => (found.unsigned_tx, spent, false),
            }
        }
    };
    let operation = describe(context, &wallet, &transaction, spent.as_deref())?;
    let spent = spent.unwrap_or_default();
    let decoded = Decoded {
        shown: Shown::new(&transaction, complete, 0),
        operation,
        inputs: inputs(&wallet, &transaction, &spent),
        outputs: outputs(&wallet, &transaction),
        fee: coins::fee(&spent, &transaction.output).map(|fee| fee.to_sat()),
    };
    context.output.show(&decoded, |page| {
        page.heading(match complete {
            true => "signed",
            false => "not fully signed",
        });
        page.entry("txid", &decoded.shown.txid);
        match &decoded.operation {
            None => page.entry("operation", "none: it only pays"),
            Some(operation) => {
                page.entry("operation", operation.operation);
                page.entry("what it does", &operation.what);
            }
        }
        write_transaction(page, &wallet, &transaction, &spent);
    })
}

fn inputs(wallet: &Wallet<'_>, transaction: &Transaction, spent: &[TxOut]) -> Vec<Input> {
    let pairs = transaction.input.iter().zip(spent);
    let input = |(input, spent): (&bitcoin::TxIn, &TxOut)| Input {
        outpoint: input.previous_output.to_string(),
        satoshi: spent.value.to_sat(),
        address: address(wallet, spent),
    };
    pairs.map(input).collect()
}

fn outputs(wallet: &Wallet<'_>, transaction: &Transaction) -> Vec<Output> {
    let output = |output: &TxOut| Output {
        satoshi: output.value.to_sat(),
        address: address(wallet, output),
    };
    transaction.output.iter().map(output).collect()
}

fn address(wallet: &Wallet<'_>, output: &TxOut) -> Option<String> {
    let address = Address::of_script(output.script_pubkey.as_bytes());
    address.map(|address| wallet.text(address))
}
