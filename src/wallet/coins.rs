//! Which outputs an operation spends, and what comes back as change.
//!
//! The sender of an operation is whoever owned the output that input 0 spends (wf §3). So the
//! first coin is always the sender's; the others only pay, and may belong to anybody whose key is at hand.
//! Coins are taken largest first, so that few inputs are signed and the choice is the same every time.

use bitcoin::{Amount, FeeRate, OutPoint, Script, Transaction, TxOut};

/// Least worth of an output in satoshi: what wallets of the historical network used (wf §4).
pub(crate) const DUST: Amount = Amount::from_sat(5500);

/// Size in bytes of an input that spends p2pkh: outpoint 36, script length 1, script up to 107, sequence 4.
pub(crate) const KEY_HASH_SIZE: u64 = 148;
/// Size in bytes of a transaction without inputs and outputs, with room for counts up to 65535.
const FRAME_SIZE: u64 = 14;

/// An unspent output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    /// Where it is.
    pub outpoint: OutPoint,
    /// Its worth and its script.
    pub output: TxOut,
    /// Size in virtual bytes of the input that spends it.
    pub input_size: u64,
}

impl From<(OutPoint, TxOut)> for Coin {
    fn from((outpoint, output): (OutPoint, TxOut)) -> Self {
        Self {
            outpoint,
            output,
            input_size: KEY_HASH_SIZE,
        }
    }
}

/// Takes away the coins that a transaction spends.
pub(super) fn take_spent(coins: &mut Vec<Coin>, transaction: &Transaction) {
    coins.retain(|coin| {
        let mut inputs = transaction.input.iter();
        inputs.all(|input| input.previous_output != coin.outpoint)
    });
}

/// Who operates and who pays.
#[derive(Debug, Clone, Copy)]
pub struct Funding<'a> {
    /// Script of the sender, whose coin becomes input 0.
    pub sender: &'a Script,
    /// Spendable p2pkh and p2sh outputs of the sender and of anybody who pays.
    pub coins: &'a [Coin],
    /// Where change goes.
    pub change: &'a Script,
    /// Fee for the miners.
    pub rate: FeeRate,
}

/// Whether a transaction can do without a change output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeOutput {
    /// It stands at a position that the operation's form asks for.
    Required,
    /// It is left out when it would be worth less than [`DUST`].
    Optional,
}

/// Why coins do not suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FundingError {
    /// The sender has no coin: nobody else can send in its name.
    #[error("the sender's address has no spendable output: send at least 5500 satoshi to it first")]
    NoSenderCoin,
    /// All coins together are too little.
    #[error("{missing} more is needed for outputs and fee: send it to one of the paying addresses")]
    TooLittle {
        /// How much more.
        missing: Amount,
    },
    /// Amounts or the fee rate are beyond all money.
    #[error("the amounts are beyond all money")]
    TooMuch,
}

/// The coins to spend, in input order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The first is the sender's.
    pub coins: Vec<Coin>,
    /// Worth of the change output, if there is one.
    pub change: Option<Amount>,
    /// What miners get.
    pub fee: Amount,
}

/// Picks coins for `outputs` (without change) and the fee. `first` is a coin of the sender that has to be input 0: that of
/// a transaction which is replaced.
pub fn select(
    funding: &Funding<'_>,
    first: Option<OutPoint>,
    outputs: &[TxOut],
    change_output: ChangeOutput,
) -> Result<Selection, FundingError> {
    let need = Need::of(funding, outputs, change_output)?;
    let mut chosen = Vec::new();
    let mut total = Amount::ZERO;
    let mut size = 0;
    for coin in in_order(funding, first)? {
        total = sum(total, coin.output.value)?;
        size += coin.input_size;
        chosen.push(coin);
        if let Some((change, fee)) = need.settle(size, total)? {
            return Ok(Selection {
                coins: chosen,
                change,
                fee,
            });
        }
    }
    let missing = need.least(size)?.checked_sub(total);
    Err(FundingError::TooLittle {
        missing: missing.unwrap_or_default(),
    })
}

/// The sender's largest coin, then all others by worth; outpoints decide between equals.
fn in_order(funding: &Funding<'_>, first: Option<OutPoint>) -> Result<Vec<Coin>, FundingError> {
    let mut coins: Vec<Coin> = funding
        .coins
        .iter()
        .filter(|coin| is_spendable(&coin.output.script_pubkey))
        .cloned()
        .collect();
    coins.sort_by_key(|coin| (std::cmp::Reverse(coin.output.value), coin.outpoint));
    let first = coins
        .iter()
        .position(|coin| {
            let is_wanted = first.is_none_or(|first| coin.outpoint == first);
            is_wanted && *coin.output.script_pubkey == *funding.sender
        })
        .ok_or(FundingError::NoSenderCoin)?;
    let sender = coins.remove(first);
    coins.insert(0, sender);
    Ok(coins)
}

/// Whether an operation may spend it: any other kind of input voids the operation (wf §1 step 4).
pub(crate) fn is_spendable(script: &Script) -> bool {
    script.is_p2pkh() || script.is_p2sh()
}

/// What miners get of what is spent; `None` if the outputs are worth more, or more than all money.
pub fn fee(spent: &[TxOut], outputs: &[TxOut]) -> Option<Amount> {
    let sum = |outputs: &[TxOut]| {
        let mut values = outputs.iter().map(|output| output.value);
        values.try_fold(Amount::ZERO, Amount::checked_add)
    };
    sum(spent)?.checked_sub(sum(outputs)?)
}

/// What the inputs have to cover.
struct Need {
    outputs: Amount,
    outputs_size: u64,
    change_size: u64,
    change_output: ChangeOutput,
    rate: FeeRate,
}

impl Need {
    fn of(
        funding: &Funding<'_>,
        outputs: &[TxOut],
        change_output: ChangeOutput,
    ) -> Result<Self, FundingError> {
        let change = TxOut {
            value: Amount::ZERO,
            script_pubkey: funding.change.to_owned(),
        };
        Ok(Self {
            outputs: outputs
                .iter()
                .try_fold(Amount::ZERO, |total, output| sum(total, output.value))?,
            outputs_size: outputs.iter().map(|output| output.size() as u64).sum(),
            change_size: change.size() as u64,
            change_output,
            rate: funding.rate,
        })
    }

    /// Change and fee if `total` from inputs of this size suffices.
    fn settle(
        &self,
        inputs: u64,
        total: Amount,
    ) -> Result<Option<(Option<Amount>, Amount)>, FundingError> {
        let left = |fee| total.checked_sub(self.outputs)?.checked_sub(fee);
        let fee = self.fee(inputs, self.change_size)?;
        if let Some(change) = left(fee).filter(|change| *change >= DUST) {
            return Ok(Some((Some(change), fee)));
        }
        let without = self.fee(inputs, 0)?;
        Ok(match (self.change_output, left(without)) {
            (ChangeOutput::Optional, Some(rest)) => Some((None, sum(without, rest)?)),
            _ => None,
        })
    }

    /// The least that inputs of this size would have to be worth.
    fn least(&self, inputs: u64) -> Result<Amount, FundingError> {
        match self.change_output {
            ChangeOutput::Optional => sum(self.outputs, self.fee(inputs, 0)?),
            ChangeOutput::Required => sum(
                sum(self.outputs, self.fee(inputs, self.change_size)?)?,
                DUST,
            ),
        }
    }

    fn fee(&self, inputs: u64, change_size: u64) -> Result<Amount, FundingError> {
        let size = FRAME_SIZE + inputs + self.outputs_size + change_size;
        self.rate.fee_vb(size).ok_or(FundingError::TooMuch)
    }
}

fn sum(one: Amount, other: Amount) -> Result<Amount, FundingError> {
    one.checked_add(other)
        .filter(|total| *total <= Amount::MAX_MONEY)
        .ok_or(FundingError::TooMuch)
}

#[cfg(test)]
mod tests {
    use bitcoin::ScriptBuf;
    use bitcoin::hashes::Hash as _;
    use bitcoin::{PubkeyHash, Txid};

    use super::*;

    fn script(owner: u8) -> ScriptBuf {
        ScriptBuf::new_p2pkh(&PubkeyHash::from_byte_array([owner; 20]))
    }

    fn coin(owner: u8, satoshi: u64, vout: u32) -> Coin {
        Coin {
            outpoint: OutPoint::new(Txid::all_zeros(), vout),
            output: pay(owner, satoshi),
            input_size: KEY_HASH_SIZE,
        }
    }

    fn pay(owner: u8, satoshi: u64) -> TxOut {
        TxOut {
            value: Amount::from_sat(satoshi),
            script_pubkey: script(owner),
        }
    }

    fn pick(
        coins: &[Coin],
        outputs: &[TxOut],
        change_output: ChangeOutput,
    ) -> Result<Selection, FundingError> {
        let funding = Funding {
            sender: &script(1),
            coins,
            change: &script(2),
            rate: FeeRate::from_sat_per_vb_u32(10),
        };
        select(&funding, None, outputs, change_output)
    }

    #[test]
    fn the_senders_coin_comes_first_and_the_books_balance() {
        let coins = [coin(2, 90_000, 0), coin(1, 5_500, 1), coin(2, 50_000, 2)];
        let outputs = [pay(3, 100_000)];
        let picked = pick(&coins, &outputs, ChangeOutput::Optional).expect("enough");
        let vouts: Vec<u32> = picked.coins.iter().map(|coin| coin.outpoint.vout).collect();
        assert_eq!(vouts, [1, 0, 2]);
        let change = picked.change.expect("enough for change").to_sat();
        assert_eq!(145_500, 100_000 + change + picked.fee.to_sat());
        assert_eq!(picked.fee.to_sat(), 10 * (14 + 3 * 148 + 34 + 34));
    }

    #[test]
    fn small_change_goes_to_the_miners_unless_it_has_a_place_to_fill() {
        let coins = [coin(1, 20_000, 0)];
        let outputs = [pay(3, 15_000)];
        let picked = pick(&coins, &outputs, ChangeOutput::Optional).expect("enough");
        assert_eq!((picked.change, picked.fee.to_sat()), (None, 5_000));
        let refused = pick(&coins, &outputs, ChangeOutput::Required);
        let missing = Amount::from_sat(15_000 + 10 * (14 + 148 + 68) + 5_500 - 20_000);
        assert_eq!(refused, Err(FundingError::TooLittle { missing }));
    }

    #[test]
    fn nobody_sends_in_anothers_name() {
        let coins = [coin(2, 1_000_000, 0)];
        let refused = pick(&coins, &[], ChangeOutput::Optional);
        assert_eq!(refused, Err(FundingError::NoSenderCoin));
    }

    #[test]
    fn absurd_amounts_are_refused_without_overflow() {
        let coins = [coin(1, u64::MAX, 0), coin(1, u64::MAX, 1)];
        let refused = pick(&coins, &[pay(3, u64::MAX)], ChangeOutput::Optional);
        assert_eq!(refused, Err(FundingError::TooMuch));
    }
}
