//! The unspent outputs at the tip, and the rules by which transactions consume and create them.
//!
//! Follows `CheckTransaction`, `CheckTxInputs`, `IsFinalTx` and the coin handling of `ConnectBlock` in
//! Bitcoin Core. Where this chain is stricter (kinds of outputs that can be spent, relative lock times), it
//! refuses what Core would take, never the other way round.

use std::collections::{BTreeSet, HashMap, HashSet};

use bitcoin::absolute::LOCK_TIME_THRESHOLD;
use bitcoin::{Amount, OutPoint, Script, ScriptBuf, Transaction, TxOut, Txid};

use super::spend::{self, SpendError};
use crate::chain::blockfile::undo::{BlockUndo, Coin};

/// How many blocks must lie between a coinbase and its spend (`COINBASE_MATURITY`).
pub const COINBASE_MATURITY: u32 = 100;

/// Largest size of a transaction without witnesses, in bytes (`MAX_BLOCK_WEIGHT / WITNESS_SCALE_FACTOR`).
const MAX_TRANSACTION_SIZE: usize = 1_000_000;

/// Which rule a transaction breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// It has no inputs or no outputs, or is larger than a block may be.
    #[error("it has no inputs or no outputs, or is too large")]
    Shape,
    /// It is a coinbase; only the chain itself makes those.
    #[error("it is a coinbase")]
    Coinbase,
    /// It spends the same output twice.
    #[error("it spends {0} twice")]
    Repeated(OutPoint),
    /// An output that it spends never existed or is spent already.
    #[error("{0}, which it spends, does not exist or is already spent")]
    Missing(OutPoint),
    /// A coinbase that it spends is too young.
    #[error("{outpoint}, which it spends, is a block reward that matures at height {height}")]
    Immature {
        /// The reward.
        outpoint: OutPoint,
        /// First height at which it may be spent.
        height: u32,
    },
    /// Its lock time is not reached.
    #[error("its lock time is not reached")]
    LockTime,
    /// It uses relative lock times (BIP 68), which this chain does not know.
    #[error("it uses relative lock times, which this chain does not know")]
    RelativeLock,
    /// Its outputs are worth more than its inputs, or more than all money.
    #[error("its outputs are worth more than its inputs")]
    Overspent,
    /// An input may not spend its output.
    #[error("input {index}: {reason}")]
    Spend {
        /// Which input, from 0.
        index: usize,
        /// Why not.
        reason: SpendError,
    },
}

/// A transaction that cannot be in the block, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("transaction {txid} cannot be mined: {reason}")]
pub struct Refused {
    /// The transaction.
    pub txid: Txid,
    /// The rule that it breaks.
    pub reason: TransactionError,
}

/// Whether signatures are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signatures {
    /// New transactions.
    Check,
    /// Blocks from our own files, which were checked when they were mined.
    Trust,
}

/// Where in the chain transactions are to be confirmed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Height of their block.
    pub height: u32,
    /// Median time of the block below.
    pub median_time: u32,
    /// Whether signatures are checked.
    pub signatures: Signatures,
}

/// All unspent outputs at one block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Coins {
    unspent: HashMap<OutPoint, Coin>,
    /// The same by their scripts: every owner of thousands looks for their own.
    by_script: HashMap<ScriptBuf, BTreeSet<OutPoint>>,
}

impl Coins {
    /// Applies transactions in order; gives what they spent and their fees. On refusal nothing is changed.
    pub fn connect(
        &mut self,
        transactions: &[Transaction],
        place: &Place,
    ) -> Result<(BlockUndo, Amount), Refused> {
        let mut undo = BlockUndo::default();
        let mut fees = Amount::ZERO;
        for (done, transaction) in transactions.iter().enumerate() {
            match self.apply(transaction, place) {
                Ok((spent, fee)) => {
                    undo.transactions.push(spent);
                    fees += fee; // no more than all coins are worth together
                }
                Err(reason) => {
                    self.disconnect(transactions.get(..done).unwrap_or_default(), &undo);
                    let txid = transaction.compute_txid();
                    return Err(Refused { txid, reason });
                }
            }
        }
        Ok((undo, fees))
    }

    /// Takes transactions back that [`Self::connect`] applied, newest first.
    pub fn disconnect(&mut self, transactions: &[Transaction], undo: &BlockUndo) {
        for (transaction, spent) in transactions.iter().zip(&undo.transactions).rev() {
            self.remove_outputs(transaction);
            let outpoints = transaction.input.iter().map(|input| input.previous_output);
            for (outpoint, coin) in outpoints.zip(spent) {
                self.insert(outpoint, coin.clone());
            }
        }
    }

    /// Adds the outputs of a transaction that can ever be spent.
    pub fn add_outputs(&mut self, transaction: &Transaction, height: u32) {
        let txid = transaction.compute_txid();
        let coinbase = transaction.is_coinbase();
        for (vout, output) in (0..).zip(&transaction.output) {
            if !output.script_pubkey.is_op_return() {
                let coin = Coin {
                    output: output.clone(),
                    height,
                    coinbase,
                };
                self.insert(OutPoint { txid, vout }, coin);
            }
        }
    }

    pub fn remove_outputs(&mut self, transaction: &Transaction) {
        let txid = transaction.compute_txid();
        for (vout, _) in (0..).zip(&transaction.output) {
            self.remove(&OutPoint { txid, vout });
        }
    }

    /// The outputs to `script` that a transaction at `height` may spend, oldest first.
    pub fn spendable(&self, script: &Script, height: u32) -> Vec<(OutPoint, TxOut)> {
        let outpoints = self.by_script.get(script).into_iter().flatten();
        let coins = outpoints.filter_map(|outpoint| self.unspent.get_key_value(outpoint));
        let mut found: Vec<_> = coins
            .filter(|(_, coin)| matures_at(coin) <= height)
            .collect();
        found.sort_unstable_by_key(|(outpoint, coin)| (coin.height, **outpoint));
        let found = found.into_iter();
        found
            .map(|(outpoint, coin)| (*outpoint, coin.output.clone()))
            .collect()
    }

    fn insert(&mut self, outpoint: OutPoint, coin: Coin) {
        let script = coin.output.script_pubkey.clone();
        self.by_script.entry(script).or_default().insert(outpoint);
        self.unspent.insert(outpoint, coin);
    }

    fn remove(&mut self, outpoint: &OutPoint) {
        let Some(coin) = self.unspent.remove(outpoint) else {
            return;
        };
        let script = &coin.output.script_pubkey;
        if let Some(outpoints) = self.by_script.get_mut(script) {
            outpoints.remove(outpoint);
            if outpoints.is_empty() {
                self.by_script.remove(script);
            }
        }
    }

    fn apply(
        &mut self,
        transaction: &Transaction,
        place: &Place,
    ) -> Result<(Vec<Coin>, Amount), TransactionError> {
        check_alone(transaction, place)?;
        let spent = self.coins_of(transaction, place)?;
        let paid = total(spent.iter().map(|coin| &coin.output))?;
        let given = total(transaction.output.iter())?;
        let fee = paid.checked_sub(given).ok_or(TransactionError::Overspent)?;
        if place.signatures == Signatures::Check {
            for (index, coin) in spent.iter().enumerate() {
                spend::check(transaction, index, &coin.output.script_pubkey)
                    .map_err(|reason| TransactionError::Spend { index, reason })?;
            }
        }
        for input in &transaction.input {
            self.remove(&input.previous_output);
        }
        self.add_outputs(transaction, place.height);
        Ok((spent, fee))
    }

    fn coins_of(
        &self,
        transaction: &Transaction,
        place: &Place,
    ) -> Result<Vec<Coin>, TransactionError> {
        transaction
            .input
            .iter()
            .map(|input| {
                let outpoint = input.previous_output;
                let coin = self
                    .unspent
                    .get(&outpoint)
                    .ok_or(TransactionError::Missing(outpoint))?;
                let height = matures_at(coin);
                if height > place.height {
                    return Err(TransactionError::Immature { outpoint, height });
                }
                Ok(coin.clone())
            })
            .collect()
    }
}

fn matures_at(coin: &Coin) -> u32 {
    if coin.coinbase {
        coin.height.saturating_add(COINBASE_MATURITY)
    } else {
        coin.height
    }
}

/// What can be said without looking at the coins.
fn check_alone(transaction: &Transaction, place: &Place) -> Result<(), TransactionError> {
    if transaction.is_coinbase() {
        return Err(TransactionError::Coinbase);
    }
    if transaction.input.is_empty()
        || transaction.output.is_empty()
        || transaction.base_size() > MAX_TRANSACTION_SIZE
    {
        return Err(TransactionError::Shape);
    }
    let mut seen = HashSet::new();
    for input in &transaction.input {
        if !seen.insert(input.previous_output) {
            return Err(TransactionError::Repeated(input.previous_output));
        }
    }
    check_locks(transaction, place)
}

/// `IsFinalTx` with the median time (BIP 113), and no relative locks (BIP 68).
fn check_locks(transaction: &Transaction, place: &Place) -> Result<(), TransactionError> {
    let relative = transaction.version.0 >= 2
        && transaction
            .input
            .iter()
            .any(|input| input.sequence.is_relative_lock_time());
    if relative {
        return Err(TransactionError::RelativeLock);
    }
    let lock = transaction.lock_time.to_consensus_u32();
    let now = if lock < LOCK_TIME_THRESHOLD {
        place.height
    } else {
        place.median_time
    };
    let disabled = transaction
        .input
        .iter()
        .all(|input| input.sequence.is_final());
    if lock == 0 || lock < now || disabled {
        Ok(())
    } else {
        Err(TransactionError::LockTime)
    }
}

fn total<'a>(mut outputs: impl Iterator<Item = &'a TxOut>) -> Result<Amount, TransactionError> {
    outputs
        .try_fold(Amount::ZERO, |total, output| {
            total.checked_add(output.value)
        })
        .filter(|total| *total <= Amount::MAX_MONEY)
        .ok_or(TransactionError::Overspent)
}
