//! Whether the coins last for all that a wish takes, before its first transaction is signed.
//!
//! A registration that is preordered and cannot be registered for want of coins has burnt its price. So every operation that
//! the goal needs is drafted, each with the coins that the ones before leave, and what is missing is asked for once.

use std::fmt;

use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, FeeRate, OutPoint, TxOut, Txid};

use super::error::{Result, TaskError};
use crate::wallet::coins::{Coin, DUST, Funding, FundingError, take_spent};
use crate::wallet::fee::{FeePolicy, PART, TooHigh};
use crate::wallet::lock::Lock;
use crate::wallet::operation::{BuildError, Operation, Unsigned};
use crate::wallet::words;

/// How often a sum is raised until it suffices; each time by what was missing.
const TRIES: usize = 100;

/// Operations that follow each other, and who pays for them how.
pub(super) struct Outlay<'o> {
    pub magic: [u8; 2],
    pub sender: &'o Lock,
    pub payer: &'o Lock,
    pub rate: FeeRate,
    pub fees: FeePolicy,
    pub operations: &'o [Operation],
}

impl Outlay<'_> {
    /// A transaction for each operation, paid with the coins that the ones before leave; `first` is as in
    /// [`crate::wallet::coins::select`].
    pub fn drafts(
        &self,
        mut coins: Vec<Coin>,
        mut first: Option<OutPoint>,
    ) -> Result<Vec<Unsigned>> {
        let (script, change) = (self.sender.script(), self.payer.script());
        let mut drafts = Vec::new();
        for operation in self.operations {
            let funding = Funding {
                sender: &script,
                coins: &coins,
                change: &change,
                rate: self.rate,
            };
            let unsigned = operation.build_first(self.magic, &funding, first.take())?;
            self.fees.check(unsigned.fee, unsigned.spent())?;
            self.advance(&mut coins, &unsigned);
            drafts.push(unsigned);
        }
        Ok(drafts)
    }

    /// What is left to spend after a transaction.
    fn advance(&self, coins: &mut Vec<Coin>, sent: &Unsigned) {
        take_spent(coins, &sent.transaction);
        let txid = sent.transaction.compute_txid();
        let made = (0..).zip(&sent.transaction.output);
        coins.extend(
            made.filter_map(|(vout, output)| self.coin(OutPoint::new(txid, vout), output.clone())),
        );
    }

    fn coin(&self, outpoint: OutPoint, output: TxOut) -> Option<Coin> {
        let locks = [self.sender, self.payer];
        let lock = locks
            .iter()
            .find(|lock| lock.script() == output.script_pubkey)?;
        Some(lock.coin(outpoint, output))
    }

    /// The coins that the sender has to get so that everything can be paid: mostly one. Empty if nothing is missing.
    fn missing(&self, coins: &[Coin]) -> Result<Vec<Amount>> {
        raise(|added| {
            let pretended = (0..).zip(added).filter_map(|(vout, value)| {
                let output = TxOut {
                    value: *value,
                    script_pubkey: self.sender.script(),
                };
                self.coin(OutPoint::new(Txid::all_zeros(), vout), output)
            });
            let all = coins.iter().cloned().chain(pretended).collect();
            self.drafts(all, None).map(|_| ())
        })
    }

    /// The refusal if it is for want of coins, with all that is missing and where it has to go.
    pub fn explain(&self, refusal: TaskError, coins: &[Coin], ask: Ask) -> TaskError {
        if !is_shortage(&refusal) {
            return refusal;
        }
        match self.missing(coins) {
            Ok(amounts) if !amounts.is_empty() => ask.into_error(amounts),
            _ => refusal,
        }
    }
}

/// Raises what is added until `pay` succeeds with it.
pub(super) fn raise(pay: impl Fn(&[Amount]) -> Result<()>) -> Result<Vec<Amount>> {
    let mut added: Vec<Amount> = Vec::new();
    for _ in 0..TRIES {
        let refusal = match pay(&added) {
            Ok(()) => return Ok(added),
            Err(refusal) => refusal,
        };
        match (shortage(&refusal), added.last_mut()) {
            (Some(Shortage::Coin), _) => added.push(DUST),
            (Some(Shortage::Amount(missing)), None) => added.push(missing.max(DUST)),
            (Some(Shortage::Amount(missing)), Some(last)) => {
                let raised = last.checked_add(missing.max(Amount::from_sat(1)));
                *last = raised.ok_or(FundingError::TooMuch)?;
            }
            (None, _) => return Err(refusal),
        }
    }
    Err(FundingError::TooMuch.into())
}

/// What is missing.
enum Shortage {
    /// A coin of the sender.
    Coin,
    /// So much.
    Amount(Amount),
}

fn shortage(refusal: &TaskError) -> Option<Shortage> {
    match refusal {
        TaskError::Build(BuildError::Funding(FundingError::NoSenderCoin)) => Some(Shortage::Coin),
        TaskError::Build(BuildError::Funding(FundingError::TooLittle { missing })) => {
            Some(Shortage::Amount(*missing))
        }
        TaskError::Fee(TooHigh { fee, spent }) => {
            let enough = fee.checked_mul(PART)?;
            Some(Shortage::Amount(enough.checked_sub(*spent)?))
        }
        _ => None,
    }
}

/// Whether coins are missing; a fee that is too high is not for want of them.
pub(super) fn is_shortage(refusal: &TaskError) -> bool {
    !matches!(refusal, TaskError::Fee(_)) && shortage(refusal).is_some()
}

/// Where coins are to be sent, and how a person gets some.
pub(super) struct Ask {
    /// The address.
    pub address: String,
    /// Whether the chain gives coins away.
    pub has_faucet: bool,
}

impl Ask {
    pub fn into_error(self, amounts: Vec<Amount>) -> TaskError {
        TaskError::MissingCoins(Box::new(Missing {
            amounts,
            address: self.address,
            has_faucet: self.has_faucet,
        }))
    }
}

/// Coins that have to be there before anything is paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    amounts: Vec<Amount>,
    address: String,
    has_faucet: bool,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.address;
        let amounts: Vec<String> = self.amounts.iter().copied().map(words::btc).collect();
        let amounts = amounts.join(" and, as a payment of its own, ");
        write!(
            f,
            "coins are missing, and nothing was sent: send at least {amounts} to {address}, which is enough for all that this takes, fees included"
        )?;
        if self.has_faucet {
            let lines = self
                .amounts
                .iter()
                .map(|amount| format!("`bnsd tx faucet {address} {}`", amount.to_sat()));
            let lines: Vec<String> = lines.collect();
            write!(f, "; on this chain: {}", lines.join(", then "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_once_with_all_there_is_to_do() {
        let ask = Ask {
            address: "mabc".to_owned(),
            has_faucet: true,
        };
        let error = ask.into_error(vec![Amount::from_sat(56_000), DUST]);
        assert_eq!(
            error.to_string(),
            "coins are missing, and nothing was sent: send at least 0.00056000 BTC (56,000 satoshi) and, as a payment of its \
             own, 0.00005500 BTC (5,500 satoshi) to mabc, which is enough for all that this takes, fees included; on this \
             chain: `bnsd tx faucet mabc 56000`, then `bnsd tx faucet mabc 5500`"
        );
    }

    #[test]
    fn a_sum_is_raised_until_it_suffices() {
        let needs = |sum: u64| {
            move |added: &[Amount]| {
                let there: Amount = added.iter().copied().sum();
                match Amount::from_sat(sum).checked_sub(there) {
                    Some(missing) if missing > Amount::ZERO => {
                        Err(FundingError::TooLittle { missing }.into())
                    }
                    _ => Ok(()),
                }
            }
        };
        assert_eq!(raise(needs(0)).expect("nothing"), []);
        assert_eq!(
            raise(needs(9_000)).expect("a sum"),
            [Amount::from_sat(9_000)]
        );
        assert!(raise(|_| Err(FundingError::NoSenderCoin.into())).is_err());
    }
}
