//! Many names at once, each imported by a transaction of its own.
//!
//! ```text
//! left of the list -> a batch, judged -> coins of one worth -> signed, noted, sent -> awaited -> next batch
//! ```
//!
//! What is on the chain already is left out, so that a stopped import goes on where it was.

use std::cell::{Cell, RefCell};

use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, TxOut, Txid};

use super::bill::{Bill, Charge};
use super::concern::Concern;
use super::consent::{Consent, Deal};
use super::draft::Draft;
use super::error::{Result, TaskError};
use super::outlay::{Outlay, is_shortage, raise};
use super::wait::{Next, Outcome, PAYMENT};
use super::wallet::{Event, Means, Until, Wallet, require_open_end};
use super::wish::{Announced, IMPORT, NAMESPACE_READY};
use crate::bns::address::Address;
use crate::bns::{Name, NamespaceId};
use crate::wallet::coins::{Coin, DUST, Funding, take_spent};
use crate::wallet::journal::{Attempt, Task};
use crate::wallet::lock::Lock;
use crate::wallet::operation::{Operation, Unsigned};
use crate::wallet::psbt;

/// How many names are imported together: fewer than a block holds, and than one forecast judges.
pub const BATCH: usize = 200;
/// Size in virtual bytes of an import with one input and no change, rounded up.
const IMPORT_SIZE: u64 = 310;

/// A name to be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedName {
    /// The name.
    pub name: Name,
    /// Its owner.
    pub owner: Address,
    /// Its zone file.
    pub zonefile: Announced,
}

/// Who imports, for what, and on which terms.
struct Batches<'w> {
    wallet: &'w Wallet<'w>,
    means: &'w Means,
    id: &'w NamespaceId,
    sender: Lock,
    subject: String,
    agreed: Cell<bool>,
    /// What it has cost so far.
    paid: RefCell<Vec<Charge>>,
}

impl Wallet<'_> {
    /// Imports all names of a list into a namespace that is revealed; what that cost.
    pub fn import(&self, id: &NamespaceId, names: &[ImportedName], means: &Means) -> Result<Bill> {
        require_open_end(&self.synced_chain()?)?;
        let batches = self.batches(id, means)?;
        let _held = self.journal.hold(&batches.subject)?;
        batches.finish_begun()?;
        let left = self.still_to_import(names)?;
        let concerns = self.review_import(&left, means)?;
        let (total, mut done) = (names.len(), names.len() - left.len());
        let mut rest = left.as_slice();
        for batch in left.chunks(BATCH) {
            (self.tell)(Event::Imported { done, total });
            batches.carry_out(batch, rest, &concerns)?;
            rest = rest.get(batch.len()..).unwrap_or_default();
            done += batch.len();
        }
        (self.tell)(Event::Imported { done, total });
        Ok(Bill::summed(batches.paid.into_inner()))
    }

    /// What it will cost to import these names.
    pub fn import_bill(
        &self,
        id: &NamespaceId,
        left: &[&ImportedName],
        means: &Means,
    ) -> Result<Bill> {
        let batches = self.batches(id, means)?;
        let rate = self.rate(means)?;
        batches.bill(left, rate, worth_of_one(rate)?)
    }

    fn batches<'w>(&'w self, id: &'w NamespaceId, means: &'w Means) -> Result<Batches<'w>> {
        Ok(Batches {
            wallet: self,
            means,
            id,
            sender: self.revealer(id, means.key.as_ref())?,
            subject: format!("{id}.import"),
            agreed: Cell::new(false),
            paid: RefCell::default(),
        })
    }

    /// Those that the chain does not show as they are wanted.
    pub fn still_to_import<'n>(&self, names: &'n [ImportedName]) -> Result<Vec<&'n ImportedName>> {
        let mut left = Vec::new();
        for wanted in names {
            let found = self.state.name(&wanted.name)?;
            let owner = found.owner.map(ScriptBuf::into_bytes);
            let is_there = found.is_registered
                && owner == Some(wanted.owner.script())
                && found.zonefile_hash == Some(wanted.zonefile.hash);
            if !is_there {
                left.push(wanted);
            }
        }
        Ok(left)
    }
}

/// What a coin has to be worth that pays an import without change.
fn worth_of_one(rate: FeeRate) -> Result<Amount> {
    let fee = rate.fee_vb(IMPORT_SIZE);
    let fee = fee.ok_or(TaskError::Contradiction("the fee rate"))?;
    Ok(DUST * 2 + fee)
}

impl Batches<'_> {
    /// Imports a batch of the `left` names that are still to be imported.
    fn carry_out(
        &self,
        batch: &[&ImportedName],
        left: &[&ImportedName],
        concerns: &[Concern],
    ) -> Result<()> {
        let wallet = self.wallet;
        let rate = wallet.rate(self.means)?;
        let value = worth_of_one(rate)?;
        // Splitting coins costs a fee: what would be refused is refused before it.
        let pretended = vec![self.coin(OutPoint::null(), value); batch.len()];
        let drafts = self.drafts(batch, &pretended, rate)?;
        let deal = Deal::Import {
            names: left.len(),
            first: drafts.iter().map(|draft| &draft.unsigned).collect(),
        };
        if !self.agreed.get() {
            let bill = &self.bill(left, rate, value)?;
            let consent = Consent {
                deal,
                bill,
                concerns,
            };
            wallet.ask(&self.agreed, &consent)?;
            self.drafts(batch, &pretended, rate)?; // somebody may have thought about it for a while
        }
        let texts = batch
            .iter()
            .filter_map(|wanted| wanted.zonefile.text.as_ref());
        for text in texts {
            wallet.state.publish(text)?;
        }
        let coins = self.split(batch.len(), value)?;
        let drafts = self.drafts(batch, &coins, rate)?;
        let locks = std::slice::from_ref(&self.sender);
        let keys = wallet.keyring.signing_keys(locks)?;
        // The coins were made by this program, so the node is not asked for the transactions behind them.
        let unsigned = drafts.iter().map(|draft| &draft.unsigned);
        let psbts = unsigned.map(|unsigned| psbt::create(unsigned, locks, |_| None));
        let signed = psbts.map(|psbt| psbt::sign_and_finish(psbt, &keys));
        let signed = signed.collect::<Result<_, _>>()?;
        let height = wallet.state.chain()?.height.unwrap_or(0);
        self.note(IMPORT, Attempt::new(height, None, rate, signed, &[]))?;
        self.paid.borrow_mut().push(self.imports(batch, value)?);
        Ok(())
    }

    /// What the import of these names costs, each paid with a coin of this worth.
    fn imports(&self, names: &[&ImportedName], value: Amount) -> Result<Charge> {
        let own = self.wallet.keyring.addresses()?;
        let ours = names.iter().filter(|wanted| own.contains(&wanted.owner));
        Ok(Charge::imports(
            names.len() as u64,
            ours.count() as u64,
            value,
        ))
    }

    /// What everything will cost, if the coins last for it; otherwise they are asked for.
    fn bill(&self, left: &[&ImportedName], rate: FeeRate, value: Amount) -> Result<Bill> {
        let locks = std::slice::from_ref(&self.sender);
        let coins = self.wallet.coins(locks, self.means, &self.subject)?;
        let bill = |added: &[Amount]| self.bill_with(left, rate, value, &coins, added);
        bill(&[]).map_err(|refusal| {
            if !is_shortage(&refusal) || !self.means.coins.is_empty() {
                return refusal;
            }
            match raise(|added| bill(added).map(|_| ())) {
                Ok(amounts) => self
                    .wallet
                    .asking(self.sender.address())
                    .into_error(amounts),
                Err(_) => refusal,
            }
        })
    }

    /// The payments that split coins, batch by batch, all imports, and the opening of the namespace afterwards; `added` are
    /// coins that the sender would have besides.
    fn bill_with(
        &self,
        left: &[&ImportedName],
        rate: FeeRate,
        value: Amount,
        coins: &[Coin],
        added: &[Amount],
    ) -> Result<Bill> {
        let pretended = (0..).zip(added);
        let pretended = pretended
            .map(|(vout, value)| self.coin(OutPoint::new(Txid::all_zeros(), vout), *value));
        let all = coins.iter().cloned().chain(pretended);
        let (fit, mut larger): (Vec<_>, Vec<_>) = all.partition(|it| it.output.value == value);
        let (mut fit, mut charges) = (fit.len(), Vec::new());
        for batch in left.chunks(BATCH) {
            let more = batch.len().saturating_sub(fit);
            fit = fit.saturating_sub(batch.len());
            if more > 0 {
                let payment = self.payment(&larger, more, value, rate)?;
                let (transaction, spent) = (&payment.transaction, &payment.prevouts);
                charges.push(self.wallet.charge(PAYMENT, transaction, spent)?);
                take_spent(&mut larger, transaction);
                let change = (0..).zip(&transaction.output).nth(more);
                let change = change.map(|(vout, output)| {
                    self.coin(
                        OutPoint::new(transaction.compute_txid(), vout),
                        output.value,
                    )
                });
                larger.extend(change);
            }
        }
        charges.push(self.imports(left, value)?);
        let opening = self.opening(larger, rate)?;
        Ok(Bill {
            later: vec![opening],
            ..Bill::summed(charges)
        })
    }

    /// What it costs to open the namespace with these coins.
    fn opening(&self, coins: Vec<Coin>, rate: FeeRate) -> Result<Charge> {
        let ready = Operation::namespace_ready(self.id, self.sender.address());
        let outlay = Outlay {
            magic: self.wallet.magic,
            sender: &self.sender,
            payer: &self.sender,
            rate,
            fees: self.means.fees,
            operations: std::slice::from_ref(&ready),
        };
        let draft = outlay.drafts(coins, None)?.into_iter().next();
        let draft = draft.ok_or(TaskError::Contradiction(
            "an operation without a transaction",
        ))?;
        let (transaction, spent) = (&draft.transaction, &draft.prevouts);
        self.wallet.charge(NAMESPACE_READY, transaction, spent)
    }

    fn coin(&self, outpoint: OutPoint, value: Amount) -> Coin {
        let output = TxOut {
            value,
            script_pubkey: self.sender.script(),
        };
        self.sender.coin(outpoint, output)
    }

    /// A payment of the sender to itself that makes so many coins of this worth.
    fn payment(
        &self,
        coins: &[Coin],
        count: usize,
        value: Amount,
        rate: FeeRate,
    ) -> Result<Unsigned> {
        let script = self.sender.script();
        let funding = Funding {
            sender: &script,
            coins,
            change: &script,
            rate,
        };
        let output = TxOut {
            value,
            script_pubkey: script.clone(),
        };
        Ok(Unsigned::payment(&funding, None, vec![output; count])?)
    }

    /// An import for each coin, judged together.
    fn drafts(&self, batch: &[&ImportedName], coins: &[Coin], rate: FeeRate) -> Result<Vec<Draft>> {
        let pairs = batch.iter().zip(coins);
        let drafts = pairs.map(|(wanted, coin)| self.draft(wanted, coin, rate));
        let drafts = drafts.collect::<Result<Vec<_>, _>>()?;
        let block = drafts.iter().map(Draft::proposed).collect();
        self.wallet.judge(vec![block], &self.subject)?;
        Ok(drafts)
    }

    /// The import of a name, paid with one coin, without change.
    fn draft(&self, wanted: &ImportedName, coin: &Coin, rate: FeeRate) -> Result<Draft> {
        let operation = Operation::name_import(&wanted.name, wanted.owner, wanted.zonefile.hash);
        let outputs = operation.outputs(self.wallet.magic)?;
        Ok(Draft {
            unsigned: Unsigned::exactly(std::slice::from_ref(coin), outputs),
            locks: vec![self.sender.clone()],
            rate,
        })
    }

    /// So many coins of one worth; made from larger ones unless an earlier run left them.
    fn split(&self, count: usize, value: Amount) -> Result<Vec<Coin>> {
        let (mut fit, larger) = self.coins_of(value)?;
        if fit.len() < count {
            let rate = self.wallet.rate(self.means)?;
            let draft = Draft {
                unsigned: self.payment(&larger, count - fit.len(), value, rate)?,
                locks: vec![self.sender.clone()],
                rate,
            };
            let signed = vec![self.wallet.sign(&draft)?];
            self.note(PAYMENT, Attempt::new(0, None, rate, signed, &[]))?;
            let (sent, spent) = (&draft.unsigned.transaction, &draft.unsigned.prevouts);
            let charge = self.wallet.charge(PAYMENT, sent, spent)?;
            self.paid.borrow_mut().push(charge);
            fit = self.coins_of(value)?.0;
        }
        fit.truncate(count);
        Ok(fit)
    }

    /// The sender's coins of this worth, and all others.
    fn coins_of(&self, value: Amount) -> Result<(Vec<Coin>, Vec<Coin>)> {
        let locks = std::slice::from_ref(&self.sender);
        let coins = self.wallet.coins(locks, self.means, &self.subject)?;
        let fits = |coin: &Coin| coin.output.value == value;
        Ok(coins.into_iter().partition(fits))
    }

    /// Notes what was signed, sends it, and waits until all of it is on the chain.
    fn note(&self, operation: &str, attempt: Attempt) -> Result<()> {
        let mut task = Task::new(&self.subject, "import");
        task.begin(operation, attempt);
        self.wallet.journal.store(&task)?;
        self.finish_begun()
    }

    /// Sends what is noted, waits until all of it is on the chain, and strikes it off.
    fn finish_begun(&self) -> Result<()> {
        let journal = &self.wallet.journal;
        let awaited = match journal.load(&self.subject)? {
            None => return Ok(()),
            Some(task) if task.steps.is_empty() => Ok(Outcome::Noted),
            Some(mut task) => {
                let attend = &mut |_: &mut Task| Ok(Next::Wait);
                let until = Until::InBlock;
                self.wallet.send_and_wait(&mut task, 0, until, attend)
            }
        };
        // What was refused in a block is over too: the next run begins it anew.
        if let Ok(_) | Err(TaskError::Refused { .. }) = &awaited {
            journal.remove(&self.subject)?;
        }
        awaited.map(|_| ())
    }
}
