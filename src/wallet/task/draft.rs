//! An operation with its coins: built, judged by the rules, signed here or made a PSBT for others.

use bitcoin::{Amount, FeeRate, OutPoint, Psbt, Transaction, TxOut, Txid};

use super::bill::Charge;
use super::error::{Result, TaskError, native_segwit};
use super::outlay::{Ask, Outlay};
use super::state::{Judgement, Proposed};
use super::wallet::{Means, Wallet};
use crate::bns::address::Address;
use crate::wallet::coins::{self, Coin, is_spendable};
use crate::wallet::fee::{self, TARGET};
use crate::wallet::journal::{Attempt, Task};
use crate::wallet::lock::Lock;
use crate::wallet::operation::{Operation, Unsigned};
use crate::wallet::psbt;

/// An unsigned transaction, the locks of its inputs, and its rate.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The transaction, what it spends, and its fee.
    pub unsigned: Unsigned,
    /// What opens its inputs.
    pub locks: Vec<Lock>,
    /// What miners get.
    pub rate: FeeRate,
}

impl Draft {
    /// What was built before; `None` if its amounts make no sense.
    pub(crate) fn of_attempt(attempt: &Attempt, locks: Vec<Lock>) -> Option<Self> {
        let transaction = attempt.transactions.first()?.clone();
        let (_, prevouts): (Vec<_>, Vec<TxOut>) = attempt.coins().into_iter().unzip();
        let fee = coins::fee(&prevouts, &transaction.output)?;
        Some(Self {
            unsigned: Unsigned {
                transaction,
                prevouts,
                fee,
            },
            locks,
            rate: FeeRate::from_sat_per_kwu(attempt.rate),
        })
    }

    /// As the rules look at it: with placeholders for signatures.
    pub fn proposed(&self) -> Proposed {
        let mut transaction = self.unsigned.transaction.clone();
        for (input, prevout) in transaction.input.iter_mut().zip(&self.unsigned.prevouts) {
            let mut locks = self.locks.iter();
            let lock = locks.find(|lock| lock.script() == prevout.script_pubkey);
            input.script_sig = lock.map(Lock::placeholder).unwrap_or_default();
        }
        Proposed::new(transaction, &self.unsigned.prevouts)
    }
}

impl Wallet<'_> {
    /// Builds the transactions of operations for a task on `subject`, each paid with the coins that the ones before leave.
    /// The first may replace another: then it spends the same coins and pays more. What is missing is asked for once.
    pub(super) fn drafts(
        &self,
        operations: &[Operation],
        sender: &Lock,
        means: &Means,
        subject: &str,
        replaced: Option<&Attempt>,
    ) -> Result<Vec<Draft>> {
        let payer = self.payer(sender, means)?;
        let locks = vec![sender.clone(), payer.clone()];
        let mut coins = self.coins(&locks, means, subject)?;
        let kept = replaced.map(Attempt::coins).unwrap_or_default();
        coins.retain(|coin| kept.iter().all(|(outpoint, _)| coin.outpoint != *outpoint));
        coins.extend(kept.iter().filter_map(|coin| owned(coin.clone(), &locks)));
        let rate = self.rate(means)?;
        let outlay = Outlay {
            magic: self.magic,
            sender,
            payer: &payer,
            rate: replaced.map_or(rate, |replaced| {
                rate.max(fee::bumped(FeeRate::from_sat_per_kwu(replaced.rate)))
            }),
            fees: means.fees,
            operations,
        };
        let first = kept.first().map(|(outpoint, _)| *outpoint);
        let drafts = outlay.drafts(coins.clone(), first);
        let drafts = drafts.map_err(|refusal| match means.coins.is_empty() {
            true => outlay.explain(refusal, &coins, self.asking(sender.address())),
            false => refusal, // other coins than the given ones are not wanted
        })?;
        let draft = |unsigned| Draft {
            rate: outlay.rate,
            unsigned,
            locks: locks.clone(),
        };
        Ok(drafts.into_iter().map(draft).collect())
    }

    /// How coins for an address are asked for.
    pub(super) fn asking(&self, address: Address) -> Ask {
        Ask {
            address: self.text(address),
            has_faucet: self.node().is_ok_and(|node| node.has_faucet()),
        }
    }

    /// What a transaction costs the keys here.
    pub(super) fn charge(
        &self,
        operation: &str,
        transaction: &Transaction,
        prevouts: &[TxOut],
    ) -> Result<Charge> {
        let mut ours = Vec::new();
        for output in prevouts.iter().chain(&transaction.output) {
            let script = output.script_pubkey.as_script();
            if !ours.contains(&script) && self.keyring.owner(script)?.is_some() {
                ours.push(script);
            }
        }
        Ok(Charge::of(
            operation,
            transaction,
            prevouts,
            &ours,
            self.versions,
        ))
    }

    /// Who pays.
    pub(super) fn payer(&self, sender: &Lock, means: &Means) -> Result<Lock> {
        match &means.payer {
            Some(_) => self.keyring.sender(means.payer.as_ref()),
            None => Ok(sender.clone()),
        }
    }

    /// What can be spent: confirmed, ours, not spent by anything under way, of a kind that operations allow.
    pub(super) fn coins(&self, locks: &[Lock], means: &Means, subject: &str) -> Result<Vec<Coin>> {
        let mut scripts: Vec<_> = locks.iter().map(Lock::script).collect();
        scripts.dedup();
        let mut found = self.node()?.coins(&scripts)?;
        let reserved = self.reserved(subject)?;
        found.retain(|(outpoint, _)| !reserved.contains(outpoint));
        if !means.coins.is_empty() {
            // Those that this task has spent already are gone, and what came back of them takes their place.
            let task = self.journal.load(subject)?;
            let sent: Vec<&Transaction> = task.iter().flat_map(Task::transactions).collect();
            let inputs = sent.iter().flat_map(|sent| &sent.input);
            let spent: Vec<OutPoint> = inputs.map(|input| input.previous_output).collect();
            self.check_given(&found, &spent, means)?;
            let made: Vec<Txid> = sent.iter().map(|sent| sent.compute_txid()).collect();
            found.retain(|(outpoint, _)| {
                means.coins.contains(outpoint) || made.contains(&outpoint.txid)
            });
        }
        let coins = found.into_iter().filter_map(|coin| owned(coin, locks));
        Ok(coins.collect())
    }

    fn check_given(
        &self,
        found: &[(OutPoint, TxOut)],
        spent: &[OutPoint],
        means: &Means,
    ) -> Result<()> {
        let is_found = |given: &OutPoint| {
            spent.contains(given) || found.iter().any(|(outpoint, _)| outpoint == given)
        };
        let Some(given) = means.coins.iter().find(|given| !is_found(given)) else {
            return Ok(());
        };
        match self.node()?.output(given)? {
            Some(output) if !is_spendable(&output.script_pubkey) => {
                Err(native_segwit(&given.to_string()))
            }
            _ => Err(TaskError::Usage(format!(
                "{given} is no unspent output of the sender or payer"
            ))),
        }
    }

    /// The fee rate: the given one or the node's estimate.
    pub(super) fn rate(&self, means: &Means) -> Result<FeeRate> {
        Ok(means.fees.rate(self.node()?.fee_rate(TARGET)?))
    }

    /// Refuses what the rules would refuse, with the height from which on they would not.
    pub fn judge(&self, blocks: Vec<Vec<Proposed>>, about: &str) -> Result<Judgement> {
        let judgement = self.state.judge(blocks, about)?;
        if judgement.refusal().is_some() || judgement.verdicts.is_empty() {
            return Err(TaskError::WouldFail(Box::new(judgement)));
        }
        Ok(judgement)
    }

    /// The draft as a PSBT.
    pub fn psbt(&self, unsigned: &Unsigned, locks: &[Lock]) -> Psbt {
        psbt::create(unsigned, locks, |txid| {
            self.node().ok()?.transaction(txid).ok()?
        })
    }

    /// The signed transaction of a draft.
    pub(super) fn sign(&self, draft: &Draft) -> Result<Transaction> {
        let psbt = self.psbt(&draft.unsigned, &draft.locks);
        let keys = self.keyring.signing_keys(&draft.locks)?;
        Ok(psbt::sign_and_finish(psbt, &keys)?)
    }
}

/// A coin that one of these locks opens.
fn owned((outpoint, output): (OutPoint, TxOut), locks: &[Lock]) -> Option<Coin> {
    let mut locks = locks.iter();
    let lock = locks.find(|lock| lock.script() == output.script_pubkey)?;
    Some(lock.coin(outpoint, output))
}

/// The worth of coins.
pub(super) fn worth(coins: &[Coin]) -> Amount {
    coins.iter().map(|coin| coin.output.value).sum()
}
