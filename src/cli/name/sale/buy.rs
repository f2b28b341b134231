//! The buyer's part: coins into the offer, the last signature, and the payment back if time runs out.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Instant;

use bitcoin::{Amount, ScriptBuf, Transaction, TxOut};
use clap::Args;

use super::super::{parse, report};
use super::{Sale, Terms, give, outputs, usage};
use crate::api::names::NameState;
use crate::bns::Name;
use crate::cli::output::Page;
use crate::cli::own::{
    Desk, Draft, OwnError, PATIENCE, Progress, RESEND, SendOptions, Sender, judged,
};
use crate::cli::{CliError, Context, Exit, tx};
use crate::wallet::coins::{self, ChangeOutput, Coin, Funding};
use crate::wallet::journal::{Attempt, Step, Task};
use crate::wallet::node::Node;
use crate::wallet::operation::Unsigned;
use crate::wallet::psbt;

/// Arguments of `bnsd name buy`.
#[derive(Debug, Args)]
pub struct Buy {
    /// The seller's offer, or the same sale signed by the seller.
    sale: PathBuf,
    /// The name that was agreed on.
    name: String,
    /// The price that was agreed on, in satoshi.
    #[arg(long)]
    price: u64,
    #[command(flatten)]
    options: SendOptions,
}

impl Buy {
    /// Checks the sale; pays into an offer, or signs and sends what the seller has signed.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        if self.options.payer.is_some() {
            let text =
                "in a sale the buyer's own address pays: send coins there, and leave --payer out";
            return Err(usage(text).into());
        }
        let desk = Desk::open(context, &self.options.keys)?;
        let name = parse(&self.name)?;
        let buyer = desk.sender(self.options.key.as_ref(), None)?;
        let sale = Sale::read(&desk, &name, &self.sale)?;
        match &self.options.psbt {
            Some(path) => {
                self.bid(&desk, &name, &buyer, &sale, path)?;
                Ok(Exit::Success)
            }
            None => {
                let progress = self.finish(&desk, &name, &buyer, sale)?;
                report(&desk, name.as_str(), progress)
            }
        }
    }

    fn terms(&self, desk: &Desk<'_>, name: &Name, buyer: &Sender) -> Result<Terms, CliError> {
        let reply = desk.name(name)?;
        let owner = reply.owner.filter(|_| reply.state == NameState::Registered);
        let owner = owner.ok_or_else(|| {
            OwnError::No(format!("{name} is not registered, so nobody can sell it"))
        })?;
        Ok(Terms {
            seller: desk.address(&owner)?,
            buyer: buyer.address(),
            price: self.price,
        })
    }

    /// Adds coins and change. Nothing is signed: whoever gets this can do nothing with it.
    fn bid(
        &self,
        desk: &Desk<'_>,
        name: &Name,
        buyer: &Sender,
        sale: &Sale,
        path: &PathBuf,
    ) -> Result<(), CliError> {
        let terms = self.terms(desk, name, buyer)?;
        sale.check(desk, terms)?;
        sale.expires(&desk.synced_chain()?)?;
        let node = desk.node()?;
        let ours = [buyer.lock.clone()];
        let free = desk.coins(&*node, &ours, &self.options, name.as_str(), None)?;
        let (unsigned, spent) = self.paid(desk, &*node, name, buyer, sale, free)?;
        self.options
            .fees()
            .check(unsigned.fee, spent)
            .map_err(OwnError::from)?;
        let mut bid = psbt::create(&unsigned, &ours, |txid| {
            node.transaction(txid).ok().flatten()
        });
        // What a signer has to know about the seller's coin is in the offer.
        if let (Some(input), Some(offered)) = (bid.inputs.first_mut(), sale.psbt.inputs.first()) {
            input.clone_from(offered);
        }
        let heading = format!("{name} for {} satoshi: paid into, not signed", self.price);
        let next = "seller, who signs it with `bnsd name sell --accept`. You sign last, with `bnsd name buy`.";
        give(desk, path, &bid, &heading, next)
    }

    /// The whole transaction, and the worth of all that it spends.
    fn paid(
        &self,
        desk: &Desk<'_>,
        node: &dyn Node,
        name: &Name,
        buyer: &Sender,
        sale: &Sale,
        free: Vec<Coin>,
    ) -> Result<(Unsigned, Amount), CliError> {
        let terms = self.terms(desk, name, buyer)?;
        let (outpoint, output) = sale.first()?;
        let redeem = sale.psbt.inputs.first();
        let redeem = redeem.and_then(|input| input.redeem_script.as_deref());
        let theirs = Coin {
            outpoint,
            output: output.clone(),
            input_size: psbt::input_size(redeem),
        };
        let mut outputs = outputs(desk, name, terms, sale.consensus_hash, output.value)?;
        let all: Vec<Coin> = std::iter::once(theirs).chain(free).collect();
        let script = ScriptBuf::from_bytes(terms.seller.script());
        let change = buyer.lock.script();
        let funding = Funding {
            sender: &script,
            coins: &all,
            change: &change,
            rate: desk.rate(node, &self.options, None)?,
        };
        let optional = ChangeOutput::Optional;
        let picked = coins::select_first(&funding, Some(outpoint), &outputs, optional)
            .map_err(OwnError::from)?;
        outputs.extend(picked.change.map(|value| TxOut {
            value,
            script_pubkey: change.clone(),
        }));
        let spent = picked.coins.iter().map(|coin| coin.output.value).sum();
        Ok((Unsigned::exactly(&picked.coins, outputs), spent))
    }

    /// Signs, sends, waits. Run again after it was stopped, it goes on.
    fn finish(
        &self,
        desk: &Desk<'_>,
        name: &Name,
        buyer: &Sender,
        sale: Sale,
    ) -> Result<Progress, CliError> {
        let subject = name.to_string();
        let _held = desk.journal.hold(&subject).map_err(OwnError::from)?;
        let unsigned = sale.psbt.unsigned_tx.compute_ntxid().to_string();
        let mut task = desk.task(&subject, "buy", &[("sale", unsigned)])?;
        if task.steps.is_empty() {
            let Some(attempt) = self.sign(desk, name, buyer, sale)? else {
                return Ok(Progress::Stopped);
            };
            task.steps.push(Step {
                operation: "NAME_TRANSFER".to_owned(),
                attempts: vec![attempt],
                done: None,
            });
            desk.journal.store(&task).map_err(OwnError::from)?;
        }
        let progress = self.pursue(desk, buyer, &mut task)?;
        if let Progress::Done(_) = progress {
            desk.journal.remove(&subject).map_err(OwnError::from)?;
        }
        Ok(progress)
    }

    /// The sale signed by both, everything about it checked; `None` if it was only to be shown.
    fn sign(
        &self,
        desk: &Desk<'_>,
        name: &Name,
        buyer: &Sender,
        mut sale: Sale,
    ) -> Result<Option<Attempt>, CliError> {
        let terms = self.terms(desk, name, buyer)?;
        sale.check(desk, terms)?;
        let chain = desk.synced_chain()?;
        let expires = sale.expires(&chain)?;
        let scripts = [
            ScriptBuf::from_bytes(terms.seller.script()),
            buyer.lock.script(),
        ];
        sale.check_coins(&*desk.node()?, &scripts)?;
        let fee = self.check_fee(&sale, terms)?;
        let unsigned = judged(&sale.psbt.unsigned_tx, &sale.spent);
        desk.judge(vec![vec![unsigned]], name.as_str())?;
        if self.options.dry_run {
            tx::show_psbt(desk, &sale.psbt)?;
            return Ok(None);
        }
        let keys = desk.signing_keys(std::slice::from_ref(&buyer.lock))?;
        let keys: Vec<_> = keys.iter().collect();
        psbt::sign(&mut sale.psbt, &keys).map_err(OwnError::from)?;
        let signed = psbt::finish(&sale.psbt).map_err(OwnError::from)?;
        let rate = fee / signed.weight();
        let height = chain.height.unwrap_or(0);
        let expires = Some(expires);
        Ok(Some(Attempt::new(
            height,
            expires,
            rate,
            &[signed],
            &sale.spent,
        )))
    }

    /// Everything that the buyer gives is the price or the miners', and of that not too much.
    fn check_fee(&self, sale: &Sale, terms: Terms) -> Result<Amount, CliError> {
        let fee = psbt::fee(&sale.psbt).map_err(OwnError::from)?;
        let fee = fee.ok_or_else(|| usage("the sale gives more than it takes: make it anew"))?;
        let given = -sale.paid_to(terms.buyer);
        if given != i128::from(terms.price) + i128::from(fee.to_sat()) {
            return Err(usage(&format!(
                "the buyer would give {given} satoshi, which is not the price and the fee: do not sign it"
            ))
            .into());
        }
        let spent = sale.spent.iter().map(|output| output.value).sum();
        self.options
            .fees()
            .check(fee, spent)
            .map_err(OwnError::from)?;
        Ok(fee)
    }

    fn pursue(
        &self,
        desk: &Desk<'_>,
        buyer: &Sender,
        task: &mut Task,
    ) -> Result<Progress, CliError> {
        let node = desk.node()?;
        let mut sent: Option<Instant> = None;
        let mut judged = None;
        loop {
            if let Some(done) = desk.found(task, 0)? {
                return Ok(Progress::Done(done));
            }
            if self.options.dry_run {
                return Ok(Progress::Stopped);
            }
            let height = desk.synced_chain()?.height;
            let is_refused = judged != height && is_refused(desk, task)?;
            judged = height;
            if is_refused || desk.is_stale(task, 0)? {
                return take_back(desk, &*node, buyer, task);
            }
            if sent.is_none_or(|at| at.elapsed() > RESEND) {
                if let Some(done) = desk.send_newest(&*node, task, 0)? {
                    return Ok(Progress::Done(done));
                }
                sent = Some(Instant::now());
            }
            if self.options.no_wait {
                let mut page = Page::default();
                page.note("Run the same command again soon: if the sale is in no block in time, it takes the payment back.");
                page.say();
                return Ok(Progress::Stopped);
            }
            sleep(node.pace());
        }
    }
}

/// Whether the rules refuse the sale by now: the seller may have transferred the name.
fn is_refused(desk: &Desk<'_>, task: &mut Task) -> Result<bool, CliError> {
    let attempt = task.steps.first().and_then(|step| step.attempts.last());
    let attempt = attempt.ok_or(CliError::Unexpected)?;
    let (_, spent): (Vec<_>, Vec<TxOut>) = attempt.coins().into_iter().unzip();
    let signed = attempt.decoded().into_iter().next();
    let judged = judged(&signed.ok_or(CliError::Unexpected)?, &spent);
    match desk.judge(vec![vec![judged]], &task.subject) {
        Ok(_) => Ok(false),
        // A sale that is in a block by now would be refused a second time.
        Err(CliError::Own(OwnError::WouldFail(_))) => Ok(desk.found(task, 0)?.is_none()),
        Err(error) => Err(error),
    }
}

/// Spends the buyer's coins elsewhere, for a higher fee, so that the sale cannot be mined any more. Made again it
/// is the same transaction.
fn take_back(
    desk: &Desk<'_>,
    node: &dyn Node,
    buyer: &Sender,
    task: &mut Task,
) -> Result<Progress, CliError> {
    let attempt = task.steps.first().and_then(|step| step.attempts.last());
    let refund = attempt.map(|attempt| refund(desk, buyer, attempt));
    let refund = refund.ok_or(CliError::Unexpected)??;
    let txid = refund.compute_txid().to_string();
    let end = Instant::now() + PATIENCE;
    while let Err(error) = node.send(std::slice::from_ref(&refund)) {
        // Perhaps the sale is in a block that is not indexed yet.
        if let Some(done) = desk.found(task, 0)? {
            return Ok(Progress::Done(done));
        }
        if Instant::now() > end {
            return Err(OwnError::from(error).into());
        }
        sleep(node.pace());
    }
    desk.journal.remove(&task.subject).map_err(OwnError::from)?;
    Err(OwnError::SaleLapsed { txid }.into())
}

fn refund(desk: &Desk<'_>, buyer: &Sender, sale: &Attempt) -> Result<Transaction, CliError> {
    let script = buyer.lock.script();
    let all = sale.coins();
    let given: Amount = sale
        .decoded()
        .iter()
        .flat_map(|sale| &sale.output)
        .map(|output| output.value)
        .sum();
    let spent: Amount = all.iter().map(|(_, output)| output.value).sum();
    let ours: Vec<Coin> = all
        .into_iter()
        .filter(|(_, output)| output.script_pubkey == script)
        .map(|(outpoint, output)| Coin {
            outpoint,
            output,
            input_size: buyer.lock.input_size(),
        })
        .collect();
    // All that the sale gave, and one satoshi more per byte of this (BIP 125 rules 3 and 4).
    let size: u64 = 48 + ours.iter().map(|coin| coin.input_size).sum::<u64>();
    let rate = bitcoin::FeeRate::from_sat_per_kwu(sale.rate).max(bitcoin::FeeRate::BROADCAST_MIN);
    let more = rate.fee_vb(size).ok_or(CliError::Unexpected)?;
    let fee = spent
        .checked_sub(given)
        .and_then(|fee| fee.checked_add(more));
    let ours_worth: Amount = ours.iter().map(|coin| coin.output.value).sum();
    let value = fee.and_then(|fee| ours_worth.checked_sub(fee));
    let output = TxOut {
        value: value.ok_or(CliError::Unexpected)?,
        script_pubkey: script,
    };
    let draft = Draft {
        unsigned: Unsigned::exactly(&ours, vec![output]),
        locks: vec![buyer.lock.clone()],
        rate,
    };
    let signed = desk.sign_all(std::slice::from_ref(&draft))?;
    signed.into_iter().next().ok_or(CliError::Unexpected)
}
