//! What a command costs: computed from its transactions, before they are signed and once more when they are in blocks.
//!
//! A bill looks from the side of the keys here. What their outputs are worth before, less what they are worth after, is
//! what leaves; that is the price, the miner's fee, and what others keep. Nothing else leaves, so that the sum of all coins
//! before and after tells whether a bill was right.

use bitcoin::{Amount, Script, Transaction, TxOut, Txid};
use serde::{Serialize, Serializer};

use super::wish::{IMPORT, NAMESPACE_PREORDER, PREORDER, RENEWAL};
use crate::bns::address::{Address, AddressVersions};
use crate::wallet::coins::{self, DUST};

/// What a command costs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bill {
    /// Its transactions, in the order in which they are sent.
    pub charges: Vec<Charge>,
    /// What other commands will cost that the goal needs after this one.
    pub later: Vec<Charge>,
}

/// What a transaction costs. As JSON all amounts are satoshi.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Charge {
    /// What it does, in the reference's words; `PAYMENT` if it carries no operation.
    pub operation: String,
    /// How many transactions like this one; amounts are those of all together.
    pub count: u64,
    /// Its hash; `null` while it is not signed.
    pub txid: Option<Txid>,
    /// The price, and whom it is paid to.
    pub price: Option<Payment>,
    /// What miners get from the keys here.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub miners_fee: Amount,
    /// What others keep: the outputs that carry a new owner, or a zone file hash.
    pub kept_by_others: Vec<Payment>,
    /// What the keys here give.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub spent: Amount,
    /// What comes back to them: change, and outputs that carry their own addresses.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub comes_back: Amount,
}

/// An output to somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Payment {
    /// Whom it is paid to.
    pub to: Option<String>,
    /// Whether nobody can spend it.
    pub burnt: bool,
    /// How much.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub satoshi: Amount,
}

impl Bill {
    /// The bill of transactions of which many are alike: one charge for each kind.
    pub(super) fn summed(charges: impl IntoIterator<Item = Charge>) -> Self {
        let mut bill = Self::default();
        for charge in charges {
            let mut known = bill.charges.iter_mut();
            match known.find(|known| known.operation == charge.operation) {
                Some(known) => known.add(charge),
                None => bill.charges.push(charge),
            }
        }
        bill
    }

    /// What leaves the keys here, in satoshi; less than nothing for a seller.
    pub fn total(&self) -> i64 {
        total(&self.charges)
    }

    /// What other commands will cost after this one, in satoshi.
    pub fn total_later(&self) -> i64 {
        total(&self.later)
    }
}

fn total(charges: &[Charge]) -> i64 {
    charges.iter().map(Charge::leaves).sum()
}

impl Serialize for Bill {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Whole<'b> {
            transactions: &'b [Charge],
            total: i64,
            later: &'b [Charge],
        }
        let whole = Whole {
            transactions: &self.charges,
            total: self.total(),
            later: &self.later,
        };
        whole.serialize(serializer)
    }
}

impl Charge {
    /// What a transaction costs those to whom the scripts `ours` belong.
    pub(super) fn of(
        operation: &str,
        transaction: &Transaction,
        prevouts: &[TxOut],
        ours: &[&Script],
        versions: AddressVersions,
    ) -> Self {
        let is_ours = |output: &&TxOut| ours.contains(&output.script_pubkey.as_script());
        let spent = worth(prevouts.iter().filter(is_ours));
        let comes_back = worth(transaction.output.iter().filter(is_ours));
        let fee = coins::fee(prevouts, &transaction.output).unwrap_or_default();
        let fee_is_ours = spent
            .checked_sub(comes_back)
            .is_some_and(|left| left >= fee);
        // Behind the change, where a rule says so (wf §4); a sale pays its seller.
        let is_priced = [PREORDER, RENEWAL, NAMESPACE_PREORDER].contains(&operation);
        let is_sale = spent != worth(prevouts.iter());
        let last = transaction.output.len().saturating_sub(1);
        let mut charge = Self {
            operation: operation.to_owned(),
            count: 1,
            txid: None,
            price: None,
            miners_fee: if fee_is_ours { fee } else { Amount::ZERO },
            kept_by_others: Vec::new(),
            spent,
            comes_back,
        };
        for (place, output) in transaction.output.iter().enumerate() {
            let given = prevouts
                .iter()
                .filter(|coin| coin.script_pubkey == output.script_pubkey);
            let net = output.value.checked_sub(worth(given)).unwrap_or_default();
            if is_ours(&output) || net == Amount::ZERO || !fee_is_ours {
                continue;
            }
            let payment = payment(output, net, versions);
            if (is_priced && place == last) || (is_sale && charge.price.is_none()) {
                charge.price = Some(payment);
            } else {
                charge.kept_by_others.push(payment);
            }
        }
        charge
    }

    /// What so many imports cost, each paid with a coin of this worth and without change; so many owners are ours.
    pub(super) fn imports(count: u64, ours: u64, value: Amount) -> Self {
        let times = |amount: Amount, count| amount.checked_mul(count).unwrap_or_default();
        let kept = |burnt, count| Payment {
            to: None,
            burnt,
            satoshi: times(DUST, count),
        };
        let others = count.saturating_sub(ours);
        let others = (others > 0).then(|| kept(false, others));
        Self {
            operation: IMPORT.to_owned(),
            count,
            txid: None,
            price: None,
            miners_fee: times(value.checked_sub(DUST * 2).unwrap_or_default(), count),
            kept_by_others: std::iter::once(kept(true, count)).chain(others).collect(),
            spent: times(value, count),
            comes_back: times(DUST, ours),
        }
    }

    /// Adds another transaction of the same kind.
    fn add(&mut self, other: Self) {
        let sum = |one: &mut Amount, other| *one = one.checked_add(other).unwrap_or(*one);
        self.count += other.count;
        self.txid = None;
        sum(&mut self.miners_fee, other.miners_fee);
        sum(&mut self.spent, other.spent);
        sum(&mut self.comes_back, other.comes_back);
        for payment in other.kept_by_others {
            let mut known = self.kept_by_others.iter_mut();
            match known.find(|it| (&it.to, it.burnt) == (&payment.to, payment.burnt)) {
                Some(known) => sum(&mut known.satoshi, payment.satoshi),
                None => self.kept_by_others.push(payment),
            }
        }
    }

    /// What leaves the keys here, in satoshi; less than nothing for a seller.
    pub fn leaves(&self) -> i64 {
        let signed = |amount: Amount| i64::try_from(amount.to_sat()).unwrap_or(i64::MAX);
        signed(self.spent).saturating_sub(signed(self.comes_back))
    }
}

fn worth<'o>(outputs: impl Iterator<Item = &'o TxOut>) -> Amount {
    let mut values = outputs.map(|output| output.value);
    values
        .try_fold(Amount::ZERO, Amount::checked_add)
        .unwrap_or_default()
}

fn payment(output: &TxOut, satoshi: Amount, versions: AddressVersions) -> Payment {
    let to = Address::of_script(output.script_pubkey.as_bytes());
    Payment {
        to: to.map(|to| to.encode(versions)),
        burnt: to == Some(Address::BURN),
        satoshi,
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::absolute::LockTime;
    use bitcoin::hashes::Hash as _;
    use bitcoin::transaction::Version;
    use bitcoin::{PubkeyHash, ScriptBuf};

    use super::*;

    fn pay(owner: u8, satoshi: u64) -> TxOut {
        TxOut {
            value: Amount::from_sat(satoshi),
            script_pubkey: ScriptBuf::new_p2pkh(&PubkeyHash::from_byte_array([owner; 20])),
        }
    }

    /// From the side of owner 1.
    fn charge(operation: &str, prevouts: &[TxOut], output: Vec<TxOut>) -> Charge {
        let transaction = Transaction {
            version: Version::ONE,
            lock_time: LockTime::ZERO,
            input: Vec::new(),
            output,
        };
        let ours = pay(1, 0).script_pubkey;
        let versions = AddressVersions::TESTNET;
        let charge = Charge::of(operation, &transaction, prevouts, &[&ours], versions);
        let others = charge.kept_by_others.iter().chain(&charge.price);
        let paid: Amount = others.map(|payment| payment.satoshi).sum();
        if charge.leaves() >= 0 {
            let leaves = paid + charge.miners_fee;
            assert_eq!(charge.leaves(), leaves.to_sat() as i64, "{charge:?}");
        }
        charge
    }

    #[test]
    fn a_preorder_burns_its_last_output() {
        let charge = charge(
            PREORDER,
            &[pay(1, 100_000)],
            vec![pay(1, 70_000), pay(0, 29_000)],
        );
        let price = charge.price.expect("a price");
        assert_eq!((price.satoshi.to_sat(), price.burnt), (29_000, true));
        assert_eq!(charge.miners_fee.to_sat(), 1_000);
        assert_eq!(charge.comes_back.to_sat(), 70_000);
    }

    #[test]
    fn a_new_owner_keeps_an_output() {
        let outputs = vec![pay(2, 5_500), pay(1, 5_500), pay(1, 88_000)];
        let charge = charge("NAME_TRANSFER", &[pay(1, 100_000)], outputs);
        assert_eq!((charge.price, charge.kept_by_others.len()), (None, 1));
    }

    #[test]
    fn many_imports_are_one_charge() {
        let value = Amount::from_sat(12_000);
        let batches = [
            Charge::imports(200, 200, value),
            Charge::imports(50, 10, value),
        ];
        let bill = Bill::summed(batches);
        let [charge] = bill.charges.as_slice() else {
            panic!("{bill:?}");
        };
        assert_eq!((charge.count, charge.miners_fee.to_sat()), (250, 250_000));
        // A hash a name, and an output for each owner who is somebody else.
        assert_eq!(bill.total(), 250_000 + 250 * 5_500 + 40 * 5_500);
    }

    #[test]
    fn a_sale_costs_the_buyer_and_pays_the_seller() {
        let sale = |seller, buyer| {
            let spent = [pay(seller, 10_000), pay(buyer, 100_000)];
            let outputs = vec![pay(buyer, 5_500), pay(seller, 60_000), pay(buyer, 43_500)];
            charge("NAME_TRANSFER", &spent, outputs)
        };
        let bought = sale(2, 1);
        let price = bought.price.as_ref().expect("a price");
        assert_eq!((price.satoshi.to_sat(), bought.leaves()), (50_000, 51_000));
        let sold = sale(1, 2);
        assert_eq!((sold.price.as_ref(), sold.leaves()), (None, -50_000));
        assert_eq!(sold.miners_fee, Amount::ZERO);
    }
}
