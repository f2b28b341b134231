//! The buyer's part of a sale: coins into the offer, the last signature, and the payment back if time runs out.

use std::ops::ControlFlow;
use std::thread::sleep;
use std::time::Instant;

use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, FeeRate, OutPoint, Psbt, ScriptBuf, Transaction, TxOut, Txid};

use super::bill::Bill;
use super::consent::{Consent, Deal};
use super::draft::{Draft, worth};
use super::error::{Result, TaskError};
use super::outlay::{is_shortage, raise};
use super::sale::{Sale, TRANSFER, Terms, usage};
use super::state::{ChainFacts, Proposed};
use super::wait::{Next, Outcome, PATIENCE, newest};
use super::wallet::{Means, Until, Wallet, require_open_end};
use crate::bns::Name;
use crate::bns::address::Address;
use crate::wallet::coins::{self, Coin, Funding};
use crate::wallet::journal::{Attempt, Task};
use crate::wallet::lock::Lock;
use crate::wallet::operation::Unsigned;
use crate::wallet::psbt;
use crate::wallet::words;

/// Who buys what for how much.
struct Purchase<'w> {
    wallet: &'w Wallet<'w>,
    means: &'w Means,
    name: &'w Name,
    price: u64,
    buyer: Lock,
}

impl Wallet<'_> {
    /// Adds coins and change to an offer. Nothing is signed: whoever gets this can do nothing with it.
    pub fn bid(&self, name: &Name, price: u64, offer: Psbt, means: &Means) -> Result<Psbt> {
        self.require_open_end()?;
        let offer = Sale::read(self, name, offer)?;
        self.purchase(name, price, &offer, means)?.bid(&offer)
    }

    /// Checks, signs and sends what the seller has signed, and waits. Asked for again after it was stopped, it goes on.
    pub fn buy(&self, name: &Name, price: u64, signed: Psbt, means: &Means) -> Result<Outcome> {
        let sale = Sale::read(self, name, signed)?;
        self.purchase(name, price, &sale, means)?.carry_out(sale)
    }

    fn purchase<'w>(
        &'w self,
        name: &'w Name,
        price: u64,
        sale: &Sale,
        means: &'w Means,
    ) -> Result<Purchase<'w>> {
        if means.payer.is_some() {
            let text =
                "in a sale the buyer's own address pays: send coins there, and leave --payer out";
            return Err(usage(text));
        }
        Ok(Purchase {
            wallet: self,
            means,
            name,
            price,
            buyer: self.buyer(sale, means)?,
        })
    }
}

impl Wallet<'_> {
    /// The key that was named, or the one that would own the name, or the only one.
    fn buyer(&self, sale: &Sale, means: &Means) -> Result<Lock> {
        let new_owner = sale.new_owner().filter(|_| means.key.is_none());
        let script = new_owner.map(|owner| ScriptBuf::from_bytes(owner.script()));
        let found = script
            .map(|script| self.keyring.owner(&script))
            .transpose()?;
        match found.flatten() {
            Some(lock) => Ok(lock),
            None => self.keyring.sender(means.key.as_ref()),
        }
    }
}

impl Purchase<'_> {
    fn terms(&self) -> Result<Terms> {
        let found = self.wallet.state.name(self.name)?;
        let owner = found.owner.filter(|_| found.is_registered);
        let seller = owner.and_then(|owner| Address::of_script(owner.as_bytes()));
        Ok(Terms {
            seller: seller.ok_or_else(|| {
                TaskError::No(format!(
                    "{} is not registered, so nobody can sell it",
                    self.name
                ))
            })?,
            buyer: self.buyer.address(),
            price: self.price,
        })
    }

    fn bid(&self, sale: &Sale) -> Result<Psbt> {
        let terms = self.terms()?;
        sale.check(self.wallet, terms)?;
        sale.expires(&self.wallet.synced_chain()?)?;
        let ours = [self.buyer.clone()];
        let free = self.wallet.coins(&ours, self.means, self.name.as_str())?;
        let unsigned = self.paid(terms, sale, &free, &[]);
        let unsigned = unsigned.map_err(|refusal| self.explain(refusal, terms, sale, &free))?;
        let mut bid = self.wallet.psbt(&unsigned, &ours);
        // What a signer has to know about the seller's coin is in the offer.
        if let (Some(input), Some(offered)) = (bid.inputs.first_mut(), sale.psbt.inputs.first()) {
            input.clone_from(offered);
        }
        Ok(bid)
    }

    /// The refusal if it is for want of coins, with all that is missing.
    fn explain(&self, refusal: TaskError, terms: Terms, sale: &Sale, free: &[Coin]) -> TaskError {
        if !is_shortage(&refusal) || !self.means.coins.is_empty() {
            return refusal;
        }
        let pay = |added: &[Amount]| self.paid(terms, sale, free, added).map(|_| ());
        match raise(pay) {
            Ok(amounts) => self.wallet.asking(terms.buyer).into_error(amounts),
            Err(_) => refusal,
        }
    }

    /// The whole transaction, its fee checked; `added` are coins that the buyer would have besides.
    fn paid(&self, terms: Terms, sale: &Sale, free: &[Coin], added: &[Amount]) -> Result<Unsigned> {
        let (outpoint, output) = sale.first()?;
        let redeem = sale.psbt.inputs.first();
        let redeem = redeem.and_then(|input| input.redeem_script.as_deref());
        let theirs = Coin {
            outpoint,
            output: output.clone(),
            input_size: psbt::input_size(redeem),
        };
        let quoted = sale.consensus_hash;
        let wallet = self.wallet;
        let outputs = wallet.outputs(self.name, terms, quoted, output.value)?;
        let pretended = (0..).zip(added).map(|(vout, value)| {
            let output = TxOut {
                value: *value,
                script_pubkey: self.buyer.script(),
            };
            let outpoint = OutPoint::new(Txid::all_zeros(), vout);
            self.buyer.coin(outpoint, output)
        });
        let all = std::iter::once(theirs).chain(free.iter().cloned());
        let all: Vec<Coin> = all.chain(pretended).collect();
        let script = ScriptBuf::from_bytes(terms.seller.script());
        let change = self.buyer.script();
        let funding = Funding {
            sender: &script,
            coins: &all,
            change: &change,
            rate: wallet.rate(self.means)?,
        };
        let unsigned = Unsigned::payment(&funding, Some(outpoint), outputs)?;
        self.means.fees.check(unsigned.fee, unsigned.spent())?;
        Ok(unsigned)
    }

    fn carry_out(&self, sale: Sale) -> Result<Outcome> {
        let (wallet, subject) = (self.wallet, self.name.as_str());
        let _held = wallet.journal.hold(subject)?;
        let unsigned = sale.psbt.unsigned_tx.compute_ntxid().to_string();
        let mut task = wallet.task(subject, "buy", &[("sale", unsigned)])?;
        if task.steps.is_empty() {
            match self.sign(sale)? {
                ControlFlow::Continue(attempt) => task.begin(TRANSFER, attempt),
                ControlFlow::Break(psbt) => return Ok(Outcome::Shown(Box::new(psbt))),
            }
            wallet.journal.store(&task)?;
        }
        let mut judged = None;
        let outcome = wallet.send_and_wait(&mut task, 0, self.means.until, &mut |task| {
            self.attend(task, &mut judged)
        })?;
        let outcome = wallet.with_receipt(outcome, &task)?;
        if let Outcome::Accepted(_) = outcome {
            wallet.journal.remove(subject)?;
        }
        Ok(outcome)
    }

    /// The sale signed by both, everything about it checked; as it came if it is only to be looked at.
    fn sign(&self, sale: Sale) -> Result<ControlFlow<Psbt, Attempt>> {
        let wallet = self.wallet;
        let (mut chain, mut expires, fee) = self.judge(&sale)?;
        if self.means.until == Until::Drafted {
            return Ok(ControlFlow::Break(sale.psbt));
        }
        let deal = Deal::Buy {
            name: self.name,
            price: self.price,
            sale: &sale.psbt,
        };
        let unsigned = &sale.psbt.unsigned_tx;
        let bill = Bill {
            charges: vec![wallet.charge(TRANSFER, unsigned, &sale.spent)?],
            later: Vec::new(),
        };
        (wallet.consent)(&Consent {
            deal,
            bill: &bill,
            concerns: &wallet.continuation()?,
        })?;
        if wallet.synced_chain()?.consensus_hash != chain.consensus_hash {
            (chain, expires, _) = self.judge(&sale)?; // blocks came while somebody thought about it
        }
        let ours = std::slice::from_ref(&self.buyer);
        let signed = psbt::sign_and_finish(sale.psbt, &wallet.keyring.signing_keys(ours)?)?;
        let rate = fee / signed.weight();
        let height = chain.height.unwrap_or(0);
        let attempt = Attempt::new(height, Some(expires), rate, vec![signed], &sale.spent);
        Ok(ControlFlow::Continue(attempt))
    }

    /// Everything about a sale, checked against the chain as it is; with the last height that the transfer can be in, and
    /// the miner's fee.
    fn judge(&self, sale: &Sale) -> Result<(ChainFacts, u32, Amount)> {
        let (wallet, terms) = (self.wallet, self.terms()?);
        sale.check(wallet, terms)?;
        let chain = wallet.synced_chain()?;
        require_open_end(&chain)?;
        let expires = sale.expires(&chain)?;
        let seller = ScriptBuf::from_bytes(terms.seller.script());
        sale.check_coins(wallet, &[seller, self.buyer.script()])?;
        let fee = self.check_fee(sale, terms)?;
        wallet.judge(vec![vec![sale.proposed(None)]], self.name.as_str())?;
        Ok((chain, expires, fee))
    }

    /// Everything that the buyer gives is the price or the miners', and of that not too much.
    fn check_fee(&self, sale: &Sale, terms: Terms) -> Result<Amount> {
        let fee = coins::fee(&sale.spent, &sale.psbt.unsigned_tx.output);
        let fee = fee.ok_or_else(|| usage("the sale gives more than it takes: make it anew"))?;
        let given = -sale.paid_to(terms.buyer);
        if given != i128::from(terms.price) + i128::from(fee.to_sat()) {
            return Err(usage(&format!(
                "the buyer would give {}, which is not the price and the fee: do not sign it",
                words::gain(given)
            )));
        }
        let spent = sale.spent.iter().map(|output| output.value).sum();
        self.means.fees.check(fee, spent)?;
        Ok(fee)
    }

    /// Before the sale is sent: takes the payment back when it would come too late, or when the name is gone. The rules
    /// are asked once for each height.
    fn attend(&self, task: &mut Task, judged: &mut Option<u32>) -> Result<Next> {
        if self.means.until == Until::Drafted {
            return Ok(Next::End(Outcome::Noted));
        }
        let height = self.wallet.synced_chain()?.height;
        let is_refused = *judged != height && self.is_refused(task)?;
        *judged = height;
        if is_refused || self.wallet.is_stale(task, 0)? {
            return self.take_back(task).map(Next::End);
        }
        Ok(Next::Wait)
    }

    /// Whether the rules refuse the sale by now: the seller may have transferred the name.
    fn is_refused(&self, task: &mut Task) -> Result<bool> {
        let attempt = noted(task)?;
        let (_, spent): (Vec<_>, Vec<TxOut>) = attempt.coins().into_iter().unzip();
        let signed = attempt.transactions.first().ok_or(NOT_NOTED)?;
        let proposed = Proposed::new(signed.clone(), &spent);
        match self.wallet.judge(vec![vec![proposed]], &task.subject) {
            Ok(_) => Ok(false),
            // A sale that is in a block by now would be refused a second time.
            Err(TaskError::WouldFail(_)) => Ok(self.wallet.found(task, 0)?.is_none()),
            Err(error) => Err(error),
        }
    }

    /// Spends the buyer's coins elsewhere, for a higher fee, so that the sale cannot be mined any more. Made again it
    /// is the same transaction.
    fn take_back(&self, task: &mut Task) -> Result<Outcome> {
        let wallet = self.wallet;
        let refund = self.refund(noted(task)?)?;
        let txid = refund.compute_txid();
        let end = Instant::now() + PATIENCE;
        while let Err(error) = wallet.node()?.send(std::slice::from_ref(&refund)) {
            // Perhaps the sale is in a block that is not indexed yet.
            if let Some(accepted) = wallet.found(task, 0)? {
                return Ok(Outcome::Accepted(accepted));
            }
            if Instant::now() > end {
                return Err(error.into());
            }
            sleep(wallet.node()?.pace());
        }
        wallet.journal.remove(&task.subject)?;
        Err(TaskError::SaleLapsed { txid })
    }

    fn refund(&self, sale: &Attempt) -> Result<Transaction> {
        let script = self.buyer.script();
        let (ours, theirs): (Vec<Coin>, Vec<Coin>) = sale
            .coins()
            .into_iter()
            .map(|(outpoint, output)| self.buyer.coin(outpoint, output))
            .partition(|coin| coin.output.script_pubkey == script);
        let given = sale.transactions.iter().flat_map(|sale| &sale.output);
        let given: Amount = given.map(|output| output.value).sum();
        // All that the sale gave, and one satoshi more per byte of this (BIP 125 rules 3 and 4).
        let size: u64 = 48 + ours.iter().map(|coin| coin.input_size).sum::<u64>();
        let rate = FeeRate::from_sat_per_kwu(sale.rate).max(FeeRate::BROADCAST_MIN);
        let fee = (worth(&ours) + worth(&theirs)).checked_sub(given);
        let fee = fee.and_then(|fee| fee.checked_add(rate.fee_vb(size)?));
        let value = fee.and_then(|fee| worth(&ours).checked_sub(fee));
        let output = TxOut {
            value: value.ok_or(TaskError::Contradiction("the amounts of the sale"))?,
            script_pubkey: script,
        };
        self.wallet.sign(&Draft {
            unsigned: Unsigned::exactly(&ours, vec![output]),
            locks: vec![self.buyer.clone()],
            rate,
        })
    }
}

const NOT_NOTED: TaskError = TaskError::Contradiction("a purchase without a sale");

fn noted(task: &Task) -> Result<&Attempt> {
    newest(task, 0).ok_or(NOT_NOTED)
}
