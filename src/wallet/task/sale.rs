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
//! elsewhere, as soon as the time runs out, or as soon as the name is gone: see [`super::purchase`].
//!
//! Who acts when, and what each can lose:
//!
//! | step | who | what it costs | what can go wrong |
//! |---|---|---|---|
//! | offer | the seller | nothing, nothing is signed | nobody answers; after 24 blocks it is worthless |
//! | bid | the buyer | nothing, nothing is signed | the seller does not sign; the coins stay free |
//! | signature | the seller | nothing yet | the buyer never sends: the name stays; the seller's coin may be spent elsewhere, which voids the sale |
//! | purchase | the buyer | the price and the miner's fee | the fee of the transaction that takes the payment back, if time runs out or the name is gone |
//!
//! What no transaction can exclude: Bitcoin knows nothing of names, so a seller who at the same moment transfers the
//! name to somebody else, in an earlier transaction of the same block, is paid all the same. Buy from somebody whom you can
//! find again, or a name that costs less than that trick.
//!
//! Both can be the same person: the keys of seller and buyer may be in one keystore. The buyer's key is then found by the
//! address that the offer names.

use bitcoin::{Amount, OutPoint, Psbt, ScriptBuf, TxOut};

use super::bill::Bill;
use super::consent::{Consent, Deal};
use super::error::{Result, TaskError};
use super::state::{ChainFacts, Proposed};
use super::wait::MARGIN;
use super::wallet::{Means, Until, Wallet};
use crate::bns::Name;
use crate::bns::address::Address;
use crate::bns::epoch::Features;
use crate::bns::wire::{self, Payload};
use crate::hash::ConsensusHash;
use crate::virtualchain::scan;
use crate::wallet::coins::DUST;
use crate::wallet::lock::Lock;
use crate::wallet::operation::{OnTransfer, Operation, Unsigned};
use crate::wallet::psbt;
use crate::wallet::words;

impl Wallet<'_> {
    /// The seller's offer: the owner's smallest coin, the transfer and the payment.
    pub fn offer(&self, name: &Name, buyer: Address, price: u64, means: &Means) -> Result<Psbt> {
        self.require_open_end()?;
        let seller = self.owner(name, means.key.as_ref())?;
        let terms = Terms {
            seller: seller.address(),
            buyer,
            price,
        };
        let locks = [seller];
        let coins = self.coins(&locks, means, name.as_str())?;
        let smallest = coins.into_iter().min_by_key(|coin| coin.output.value);
        let coin = smallest.ok_or_else(|| self.asking(terms.seller).into_error(vec![DUST]))?;
        let quoted = self.synced_chain()?.consensus_hash;
        let outputs = self.outputs(name, terms, quoted, coin.output.value)?;
        Ok(self.psbt(&Unsigned::exactly(&[coin], outputs), &locks))
    }

    /// Checks what the buyer made of the offer, and signs it unless it is only to be looked at.
    pub fn accept(
        &self,
        name: &Name,
        buyer: Address,
        price: u64,
        bid: Psbt,
        means: &Means,
    ) -> Result<Psbt> {
        self.require_open_end()?;
        let seller = self.owner(name, means.key.as_ref())?;
        let terms = Terms {
            seller: seller.address(),
            buyer,
            price,
        };
        let mut sale = Sale::read(self, name, bid)?;
        sale.check(self, terms)?;
        sale.expires(&self.synced_chain()?)?;
        // Only one coin is the seller's, it really is there, and it is the first. The buyer's key may be here too.
        let script = seller.script();
        let theirs = buyer.script();
        let is_ours = |spent: &&TxOut| spent.script_pubkey.as_bytes() != theirs;
        let spent: Vec<TxOut> = sale.spent.iter().filter(is_ours).cloned().collect();
        if self.keyring.locks(&spent)?.len() != 1 || sale.first()?.1.script_pubkey != script {
            return Err(usage(
                "the transaction does not spend exactly one coin of the seller, as input 0: do not sign it",
            ));
        }
        sale.check_coins(self, &[script])?;
        self.judge(vec![vec![sale.proposed(Some(&seller))]], name.as_str())?;
        if means.until != Until::Drafted {
            let deal = Deal::Sell {
                name,
                buyer,
                price,
                sale: &sale.psbt,
            };
            let unsigned = &sale.psbt.unsigned_tx;
            let bill = Bill {
                charges: vec![self.charge(TRANSFER, unsigned, &sale.spent)?],
                later: Vec::new(),
            };
            (self.consent)(&Consent {
                deal,
                bill: &bill,
                concerns: &[],
            })?;
            let keys = self.keyring.signing_keys(std::slice::from_ref(&seller))?;
            psbt::sign(&mut sale.psbt, &keys)?;
        }
        Ok(sale.psbt)
    }
}

/// What a sale is on the chain, in the reference's words.
pub(super) const TRANSFER: &str = "NAME_TRANSFER";

/// What a transaction does to a name.
pub(super) struct Sale {
    pub psbt: Psbt,
    pub consensus_hash: ConsensusHash,
    pub spent: Vec<TxOut>,
}

/// What was agreed on.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    pub seller: Address,
    pub buyer: Address,
    /// In satoshi.
    pub price: u64,
}

impl Sale {
    /// Reads what the other side made.
    pub fn read(wallet: &Wallet<'_>, name: &Name, psbt: Psbt) -> Result<Self> {
        let spent = psbt::prevouts(&psbt)?;
        Ok(Self {
            consensus_hash: transferred(wallet, name, &psbt)
                .ok_or_else(|| usage("the PSBT does not transfer this name: do not sign it"))?,
            psbt,
            spent,
        })
    }

    /// Who gets the name.
    pub(super) fn new_owner(&self) -> Option<Address> {
        let second = self.psbt.unsigned_tx.output.get(1)?;
        Address::of_script(second.script_pubkey.as_bytes())
    }

    /// What an address gets, less what it gives.
    pub(crate) fn paid_to(&self, address: Address) -> i128 {
        let script = address.script();
        let sum = |outputs: &[TxOut]| -> i128 {
            let is_its = |output: &&TxOut| output.script_pubkey.as_bytes() == script;
            let its = outputs.iter().filter(is_its);
            its.map(|output| i128::from(output.value.to_sat())).sum()
        };
        sum(&self.psbt.unsigned_tx.output) - sum(&self.spent)
    }

    /// The name goes to the buyer, and the price, no more and no less, to the seller.
    pub fn check(&self, wallet: &Wallet<'_>, terms: Terms) -> Result<()> {
        let new_owner = self.new_owner();
        if new_owner != Some(terms.buyer) {
            let to = new_owner.map(|owner| wallet.text(owner));
            return Err(usage(&format!(
                "the name would go to {} and not to {}: do not sign it",
                to.unwrap_or_default(),
                wallet.text(terms.buyer)
            )));
        }
        if self.first()?.1.script_pubkey.as_bytes() != terms.seller.script() {
            return Err(TaskError::No(format!(
                "the name is owned by {}, who did not make this offer: do not sign it. Nothing was sent",
                wallet.text(terms.seller)
            )));
        }
        let paid = self.paid_to(terms.seller);
        if paid != i128::from(terms.price) {
            return Err(usage(&format!(
                "the seller would get {} and not {}: do not sign it",
                words::gain(paid),
                words::gain(terms.price.into())
            )));
        }
        Ok(())
    }

    /// Last height at which the transfer can be accepted. Refuses a sale that has hardly any time left.
    pub fn expires(&self, chain: &ChainFacts) -> Result<u32> {
        let hash = self.consensus_hash;
        let age = chain.quotable.iter().position(|known| *known == hash);
        let age = age.and_then(|age| u32::try_from(age).ok());
        let height = chain.height.unwrap_or(0);
        let expires = age.map(|age| (height + chain.consensus_hash_lifetime).saturating_sub(age));
        expires
            .filter(|expires| *expires > chain.best_height.saturating_add(1 + MARGIN))
            .ok_or(TaskError::SaleTooOld)
    }

    /// Every input of `script` spends what it says, and that is still there.
    pub(crate) fn check_coins(&self, wallet: &Wallet<'_>, scripts: &[ScriptBuf]) -> Result<()> {
        let known = wallet.node()?.coins(scripts)?;
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
    pub fn first(&self) -> Result<(OutPoint, &TxOut)> {
        let input = self.psbt.unsigned_tx.input.first();
        let first = input
            .map(|input| input.previous_output)
            .zip(self.spent.first());
        first.ok_or_else(|| usage("the offer spends nothing"))
    }

    /// As the rules look at it: with a placeholder where a seller has not signed yet.
    pub fn proposed(&self, unsigned: Option<&Lock>) -> Proposed {
        let mut transaction = self.psbt.unsigned_tx.clone();
        if let (Some(first), Some(seller)) = (transaction.input.first_mut(), unsigned) {
            first.script_sig = seller.placeholder();
        }
        Proposed::new(transaction, &self.spent)
    }
}

/// The consensus hash that the transfer of this name quotes, if it is one.
fn transferred(wallet: &Wallet<'_>, name: &Name, psbt: &Psbt) -> Option<ConsensusHash> {
    let bytes = scan::payload(&psbt.unsigned_tx, wallet.magic)?;
    match Payload::parse(bytes, &Features::default())? {
        Ok(Payload::NameTransfer(wire::NameTransfer {
            name_hash128,
            consensus_hash,
            ..
        })) if name_hash128 == name.hash128() => Some(consensus_hash),
        _ => None,
    }
}

impl Wallet<'_> {
    /// Transfer, new owner, payment; the seller's coin comes back with the price.
    pub(super) fn outputs(
        &self,
        name: &Name,
        terms: Terms,
        quoted: ConsensusHash,
        coin: Amount,
    ) -> Result<Vec<TxOut>> {
        let keep = OnTransfer::KeepZonefile;
        let operation = Operation::name_transfer(name, terms.seller, terms.buyer, quoted, keep);
        let price = Amount::from_sat(terms.price);
        let total = price
            .checked_add(coin)
            .filter(|total| *total <= Amount::MAX_MONEY && price >= DUST)
            .ok_or_else(|| {
                usage(&format!(
                    "the price is at least {}, and less than all money",
                    words::btc(DUST)
                ))
            })?;
        let mut outputs = operation.outputs(self.magic)?;
        if let Some(payment) = outputs.last_mut() {
            payment.value = total; // to the old owner, who is the seller
        }
        Ok(outputs)
    }
}

pub(super) fn usage(text: &str) -> TaskError {
    TaskError::Usage(text.to_owned())
}
