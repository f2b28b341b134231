//! Selling a name for bitcoin in one transaction: it pays the seller and transfers the name, or does neither.
//!
//! ```text
//! seller: sell NAME --price --to BUYER --psbt offer                 input 0: the owner's coin
//!                                                                    outputs: transfer, new owner, payment
//! buyer:  buy offer NAME --price --psbt bid                         adds coins and change
//! seller: sell NAME --price --to BUYER --accept bid --psbt signed   checks, signs
//! buyer:  buy signed NAME --price                                   checks, signs, sends, waits
//! ```
//!
//! Both sign everything (`SIGHASH_ALL`), so neither can change what the other has signed, and each checks the
//! whole transaction before signing: the buyer that the name goes to an own address and that the price is the
//! agreed one, the seller that the payment arrives and that no other coin of the seller is spent.
//!
//! The transfer quotes a consensus hash, which holds for 24 blocks (sm §2, CHVALID); mined later, the payment
//! would go through and the transfer would not. Therefore the buyer signs last and sends: nobody else can hold the
//! payment back until the hash is too old. And the buyer's program takes the payment back, by spending its coins
//! elsewhere, as soon as the time runs out, or as soon as the name is gone.
//!
//! What no transaction can exclude: Bitcoin knows nothing of names, so a seller who at the same moment transfers the
//! name to somebody else, in an earlier transaction of the same block, is paid all the same.

mod buy;
mod sell;

use std::path::PathBuf;

use bitcoin::{Amount, OutPoint, Psbt, ScriptBuf, TxOut};

pub use buy::Buy;
pub use sell::Sell;

use crate::api::owner::{ChainReply, JudgedTransaction};
use crate::bns::Name;
use crate::bns::address::Address;
use crate::bns::wire::Payload;
use crate::cli::output::Page;
use crate::cli::own::{Desk, MARGIN, OwnError, SendOptions, judged};
use crate::cli::{CliError, tx};
use crate::hash::ConsensusHash;
use crate::virtualchain::scan;
use crate::wallet::coins::DUST;
use crate::wallet::lock::Lock;
use crate::wallet::node::Node;
use crate::wallet::operation::{OnTransfer, Operation};
use crate::wallet::psbt;

/// What a transaction does to a name.
struct Sale {
    psbt: Psbt,
    consensus_hash: ConsensusHash,
    new_owner: Option<Address>,
    outputs: Vec<TxOut>,
    spent: Vec<TxOut>,
}

/// What was agreed on.
#[derive(Clone, Copy)]
struct Terms {
    seller: Address,
    buyer: Address,
    /// In satoshi.
    price: u64,
}

impl Sale {
    /// Reads what the other side made.
    fn read(desk: &Desk<'_>, name: &Name, path: &PathBuf) -> Result<Self, OwnError> {
        let psbt = tx::read_psbt(path)?;
        let spent = psbt::prevouts(&psbt)?;
        let outputs = psbt.unsigned_tx.output.clone();
        let new_owner = outputs.get(1);
        Ok(Self {
            consensus_hash: transferred(desk, name, &psbt)
                .ok_or_else(|| usage("the PSBT does not transfer this name: do not sign it"))?,
            new_owner: new_owner
                .and_then(|output| Address::of_script(output.script_pubkey.as_bytes())),
            psbt,
            outputs,
            spent,
        })
    }

    /// What an address gets, less what it gives.
    fn paid_to(&self, address: Address) -> i128 {
        let script = address.script();
        let sum = |outputs: &[TxOut]| -> i128 {
            let its = outputs
                .iter()
                .filter(|output| output.script_pubkey.as_bytes() == script);
            its.map(|output| i128::from(output.value.to_sat())).sum()
        };
        sum(&self.outputs) - sum(&self.spent)
    }

    /// The name goes to the buyer, and the price, no more and no less, to the seller.
    fn check(&self, desk: &Desk<'_>, terms: Terms) -> Result<(), OwnError> {
        if self.new_owner != Some(terms.buyer) {
            let to = self.new_owner.map(|owner| desk.text(owner));
            return Err(usage(&format!(
                "the name would go to {} and not to {}: do not sign it",
                to.unwrap_or_default(),
                desk.text(terms.buyer)
            )));
        }
        let paid = self.paid_to(terms.seller);
        if paid != i128::from(terms.price) {
            return Err(usage(&format!(
                "the seller would get {paid} satoshi and not {}: do not sign it",
                terms.price
            )));
        }
        Ok(())
    }

    /// Last height at which the transfer can be accepted. Refuses a sale that has hardly any time left.
    fn expires(&self, chain: &ChainReply) -> Result<u32, OwnError> {
        let hash = self.consensus_hash.to_string();
        let age = chain.quotable.iter().position(|known| *known == hash);
        let age = age.and_then(|age| u32::try_from(age).ok());
        let height = chain.height.unwrap_or(0);
        let expires = age.map(|age| (height + chain.consensus_hash_lifetime).saturating_sub(age));
        expires
            .filter(|expires| *expires > chain.best_height.saturating_add(1 + MARGIN))
            .ok_or(OwnError::SaleTooOld)
    }

    /// Every input of `script` spends what it says, and that is still there.
    fn check_coins(&self, node: &dyn Node, scripts: &[ScriptBuf]) -> Result<(), OwnError> {
        let known = node.coins(scripts)?;
        let inputs = self.psbt.unsigned_tx.input.iter().zip(&self.spent);
        for (input, spent) in inputs.filter(|(_, spent)| scripts.contains(&spent.script_pubkey)) {
            let is_there = known
                .iter()
                .any(|(outpoint, output)| *outpoint == input.previous_output && output == spent);
            if !is_there {
                return Err(usage(&format!(
                    "coin {} in this transaction is spent already or worth something else: make the sale anew with `bnsd name sell`",
                    input.previous_output
                )));
            }
        }
        Ok(())
    }

    /// The seller's coin.
    fn first(&self) -> Result<(OutPoint, &TxOut), OwnError> {
        let input = self.psbt.unsigned_tx.input.first();
        let first = input
            .map(|input| input.previous_output)
            .zip(self.spent.first());
        first.ok_or_else(|| usage("the offer spends nothing"))
    }

    /// As the rules look at it: with a placeholder for the seller's signature.
    fn judged(&self, seller: &Lock) -> JudgedTransaction {
        let mut transaction = self.psbt.unsigned_tx.clone();
        if let Some(first) = transaction.input.first_mut() {
            first.script_sig = seller.placeholder();
        }
        judged(&transaction, &self.spent)
    }
}

/// The consensus hash that the transfer of this name quotes, if it is one.
fn transferred(desk: &Desk<'_>, name: &Name, psbt: &Psbt) -> Option<ConsensusHash> {
    let features = crate::bns::epoch::Features::default();
    let bytes = scan::payload(&psbt.unsigned_tx, desk.magic)?;
    match Payload::parse(bytes, &features)? {
        Ok(Payload::NameTransfer {
            name_hash128,
            consensus_hash,
            ..
        }) if name_hash128 == name.hash128() => Some(consensus_hash),
        _ => None,
    }
}

/// Transfer, new owner, payment; the seller's coin comes back with the price.
fn outputs(
    desk: &Desk<'_>,
    name: &Name,
    terms: Terms,
    quoted: ConsensusHash,
    coin: Amount,
) -> Result<Vec<TxOut>, OwnError> {
    let keep = OnTransfer::KeepZonefile;
    let operation = Operation::name_transfer(name, terms.seller, terms.buyer, quoted, keep);
    let pay = |to: Address, value| TxOut {
        value,
        script_pubkey: ScriptBuf::from_bytes(to.script()),
    };
    let price = Amount::from_sat(terms.price);
    let total = price
        .checked_add(coin)
        .filter(|total| *total <= Amount::MAX_MONEY && price >= DUST)
        .ok_or_else(|| usage("the price is at least 5500 satoshi, and less than all money"))?;
    Ok(vec![
        operation.data_output(desk.magic)?,
        pay(terms.buyer, DUST),
        pay(terms.seller, total),
    ])
}

/// Where to write what the other side gets.
fn target(options: &SendOptions, what: &str) -> Result<PathBuf, OwnError> {
    let path = options.psbt.clone();
    path.ok_or_else(|| usage(&format!("say where to write {what}: --psbt FILE")))
}

/// Writes a PSBT for the other side and says what comes next.
fn give(
    desk: &Desk<'_>,
    path: &PathBuf,
    psbt: &Psbt,
    heading: &str,
    next: &str,
) -> Result<(), CliError> {
    tx::write(path, &psbt.serialize())?;
    let reply = serde_json::json!({ "psbt": path });
    desk.context.output.print(&reply, || {
        let mut page = Page::default();
        page.heading(heading);
        page.note(format!("Give {} to the {next}", path.display()));
        page
    })
}

fn usage(text: &str) -> OwnError {
    OwnError::Usage(text.to_owned())
}
