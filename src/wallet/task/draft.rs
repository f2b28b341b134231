//! An operation with its coins: built, judged by the rules, signed here or made a PSBT for others.

use bitcoin::{Amount, FeeRate, OutPoint, Psbt, Transaction, TxOut};

use super::error::{Result, TaskError, native_segwit};
use super::state::{Judgement, Proposed};
use super::wallet::{Means, Wallet};
use crate::wallet::coins::{self, Coin, Funding, FundingError, is_spendable};
use crate::wallet::fee::{self, TARGET};
use crate::wallet::journal::Attempt;
use crate::wallet::lock::Lock;
use crate::wallet::operation::{BuildError, Operation, Unsigned};
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
    /// Builds the transaction of an operation for a task on `subject`; one that replaces another spends the same coins
    /// and pays more.
    pub fn draft(
        &self,
        operation: &Operation,
        sender: &Lock,
        means: &Means,
        subject: &str,
        replaced: Option<&Attempt>,
    ) -> Result<Draft> {
        let payer = self.payer(sender, means)?;
        let locks = vec![sender.clone(), payer.clone()];
        let mut coins = self.coins(&locks, means, subject)?;
        let kept = replaced.map(Attempt::coins).unwrap_or_default();
        coins.retain(|coin| kept.iter().all(|(outpoint, _)| coin.outpoint != *outpoint));
        coins.extend(kept.iter().filter_map(|coin| owned(coin.clone(), &locks)));
        let (script, change) = (sender.script(), payer.script());
        let rate = self.rate(means)?;
        let funding = Funding {
            sender: &script,
            coins: &coins,
            change: &change,
            rate: replaced.map_or(rate, |replaced| {
                rate.max(fee::bumped(FeeRate::from_sat_per_kwu(replaced.rate)))
            }),
        };
        let first = kept.first().map(|(outpoint, _)| *outpoint);
        let built = operation.build_first(self.magic, &funding, first);
        let unsigned = built.map_err(|error| match error {
            BuildError::Funding(FundingError::NoSenderCoin) => {
                TaskError::NoCoins(self.text(sender.address()))
            }
            error => error.into(),
        })?;
        means.fees.check(unsigned.fee, unsigned.spent())?;
        Ok(Draft {
            rate: funding.rate,
            unsigned,
            locks,
        })
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
            self.check_given(&found, means)?;
            found.retain(|(outpoint, _)| means.coins.contains(outpoint));
        }
        let coins = found.into_iter().filter_map(|coin| owned(coin, locks));
        Ok(coins.collect())
    }

    fn check_given(&self, found: &[(OutPoint, TxOut)], means: &Means) -> Result<()> {
        let is_found = |given: &OutPoint| found.iter().any(|(outpoint, _)| outpoint == given);
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
    Some(Coin {
        outpoint,
        output,
        input_size: lock.input_size(),
    })
}

/// The worth of coins.
pub(super) fn worth(coins: &[Coin]) -> Amount {
    coins.iter().map(|coin| coin.output.value).sum()
}
