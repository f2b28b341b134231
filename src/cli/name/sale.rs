//! Selling a name for bitcoin in one transaction: it pays the seller and transfers the name, or does neither.
//!
//! ```text
//! seller: sell NAME --price --to BUYER --psbt offer      input 0: the owner's coin, unsigned
//!                                                         outputs: transfer, new owner, payment
//! buyer:  buy offer --price --psbt signed                adds coins and change, signs
//! seller: sell NAME --price --to BUYER --accept signed   checks, signs, sends
//! ```
//!
//! Both sign everything (`SIGHASH_ALL`), so neither can change what the other has signed, and each checks the
//! whole transaction before signing: the buyer that the name goes to an own address and that the price is the
//! agreed one, the seller that the payment arrives and that no other coin of the seller is spent.

use std::path::PathBuf;

use bitcoin::{Amount, Psbt, ScriptBuf, Transaction, TxOut};
use clap::Args;

use super::change::owner;
use super::register::quoted;
use super::{parse, report};
use crate::api::own::NameState;
use crate::bns::Name;
use crate::bns::address::Address;
use crate::bns::wire::Payload;
use crate::cli::output::Page;
use crate::cli::own::{Desk, Done, OwnError, Progress, SendOptions, Sender, judged};
use crate::cli::{CliError, Context, Exit, tx};
use crate::virtualchain::scan;
use crate::wallet::coins::{self, ChangeOutput, Coin, DUST, Funding};
use crate::wallet::journal::{Attempt, Step, Task};
use crate::wallet::operation::{OnTransfer, Operation, Unsigned};
use crate::wallet::psbt;

/// Arguments of `bnsd name sell`.
#[derive(Debug, Args)]
pub struct Sell {
    /// The name.
    name: String,
    /// Price in satoshi.
    #[arg(long)]
    price: u64,
    /// Address of the buyer, who will own the name.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// What the buyer made of the offer: check it, sign it, send it
    #[arg(long, value_name = "FILE", conflicts_with = "psbt")]
    accept: Option<PathBuf>,
    #[command(flatten)]
    options: SendOptions,
}

/// Arguments of `bnsd name buy`.
#[derive(Debug, Args)]
pub struct Buy {
    /// The seller's offer.
    offer: PathBuf,
    /// The name that was agreed on.
    name: String,
    /// The price that was agreed on, in satoshi.
    #[arg(long)]
    price: u64,
    #[command(flatten)]
    options: SendOptions,
}

impl Sell {
    /// Offers, or accepts.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.options.keys)?;
        let name = parse(&self.name)?;
        let seller = owner(&desk, &name, &self.options)?;
        match &self.accept {
            None => self.offer(&desk, &name, &seller),
            Some(path) => self.accept(&desk, &name, &seller, path),
        }
    }

    fn offer(&self, desk: &Desk<'_>, name: &Name, seller: &Sender) -> Result<Exit, CliError> {
        let path = self.options.psbt.clone();
        let path = path.ok_or_else(|| usage("say where to write the offer: --psbt FILE"))?;
        let node = desk.node()?;
        let locks = [seller.lock.clone()];
        let mut coins = desk.coins(&*node, &locks, &self.options, name.as_str(), None)?;
        coins.sort_by_key(|coin| coin.output.value);
        let coin = coins.into_iter().next().ok_or_else(|| OwnError::NoCoins {
            address: desk.text(seller.address()),
        })?;
        let buyer = desk.address(&self.to)?;
        let chain = desk.synced_chain()?;
        let outputs = outputs(
            desk,
            name,
            seller.address(),
            buyer,
            quoted(&chain)?,
            Amount::from_sat(self.price),
            coin.output.value,
        )?;
        let unsigned = spending(&[coin], outputs);
        let psbt = psbt::create(&unsigned, &locks, |txid| {
            node.transaction(txid).ok().flatten()
        });
        tx::write(&path, &psbt.serialize())?;
        desk.context.output.print(&serde_json::json!({"offer": path, "price": self.price}), || {
            let mut page = Page::default();
            page.heading(format!("{name} is offered for {} satoshi", self.price));
            page.note(format!("Give {} to the buyer, who answers with `bnsd name buy`. Nothing is signed yet.", path.display()));
            page
        })?;
        Ok(Exit::Success)
    }

    fn accept(
        &self,
        desk: &Desk<'_>,
        name: &Name,
        seller: &Sender,
        path: &PathBuf,
    ) -> Result<Exit, CliError> {
        let subject = name.to_string();
        let _held = desk.journal.hold(&subject).map_err(OwnError::from)?;
        let mut psbt = tx::read_psbt(path)?;
        let prevouts = psbt::prevouts(&psbt).map_err(OwnError::from)?;
        desk.synced_chain()?;
        let sale = Sale::read(desk, name, &psbt, &prevouts)?;
        sale.check(desk, seller.address(), desk.address(&self.to)?, self.price)?;
        let node = desk.node()?;
        self.check_coins(desk, &*node, seller, &psbt, &prevouts)?;
        desk.judge(vec![vec![placeholder(seller, &psbt, &prevouts)]], &subject)?;
        let keys = desk.signing_keys(std::slice::from_ref(&seller.lock))?;
        let keys: Vec<_> = keys.iter().collect();
        psbt::sign(&mut psbt, &keys).map_err(OwnError::from)?;
        let transaction = psbt::finish(&psbt).map_err(OwnError::from)?;
        let done = self.send(desk, &subject, &transaction, &prevouts)?;
        report(desk, &subject, Progress::Done(done))
    }

    /// Only one coin is the seller's, it really is there, and it is the first.
    fn check_coins(
        &self,
        desk: &Desk<'_>,
        node: &dyn crate::wallet::node::Node,
        seller: &Sender,
        psbt: &Psbt,
        prevouts: &[TxOut],
    ) -> Result<(), CliError> {
        let ours = tx::locks(desk, prevouts)?.len();
        if ours != 1
            || prevouts
                .first()
                .is_none_or(|first| first.script_pubkey != seller.lock.script())
        {
            return Err(usage("the transaction does not spend exactly one coin of the seller, as input 0: do not sign it").into());
        }
        let coins = node
            .coins(&[seller.lock.script()])
            .map_err(OwnError::from)?;
        let first = psbt
            .unsigned_tx
            .input
            .first()
            .map(|input| input.previous_output);
        let known = coins
            .iter()
            .any(|(outpoint, output)| Some(*outpoint) == first && Some(output) == prevouts.first());
        if known {
            Ok(())
        } else {
            Err(usage("the seller's coin in this transaction is spent already or worth something else: make a new offer").into())
        }
    }

    fn send(
        &self,
        desk: &Desk<'_>,
        subject: &str,
        transaction: &Transaction,
        prevouts: &[TxOut],
    ) -> Result<Done, CliError> {
        let chain = desk.chain()?;
        let height = chain.height.unwrap_or(0);
        let mut task = Task::new(subject, "sell");
        let rate = bitcoin::FeeRate::BROADCAST_MIN;
        let attempt = Attempt::new(
            height,
            None,
            rate,
            std::slice::from_ref(transaction),
            prevouts,
        );
        task.steps.push(Step {
            operation: "NAME_TRANSFER".to_owned(),
            attempts: vec![attempt],
            done: None,
        });
        desk.journal.store(&task).map_err(OwnError::from)?;
        let done = desk.await_task(&mut task)?;
        desk.journal.remove(subject).map_err(OwnError::from)?;
        Ok(done)
    }
}

impl Buy {
    /// Checks the offer, pays into it, signs.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.options.keys)?;
        let name = parse(&self.name)?;
        let path = self.options.psbt.clone();
        let path = path.ok_or_else(|| usage("say where to write the signed PSBT: --psbt FILE"))?;
        let buyer = desk.sender(self.options.key.as_ref(), None)?;
        let reply = desk.name(&name)?;
        let owner = reply.owner.filter(|_| reply.state == NameState::Registered);
        let owner = owner.ok_or_else(|| {
            OwnError::No(format!("{name} is not registered, so nobody can sell it"))
        })?;
        let seller = desk.address(&owner)?;
        let offer = tx::read_psbt(&self.offer)?;
        let prevouts = psbt::prevouts(&offer).map_err(OwnError::from)?;
        let sale = Sale::read(&desk, &name, &offer, &prevouts)?;
        sale.check(&desk, seller, buyer.address(), self.price)?;
        let signed = self.pay(&desk, &name, seller, &buyer, &offer, &prevouts)?;
        tx::write(&path, &signed.serialize())?;
        desk.context.output.print(&serde_json::json!({"signed": path, "price": self.price}), || {
            let mut page = Page::default();
            page.heading(format!("{name} for {} satoshi: signed", self.price));
            page.note(format!("Give {} back to the seller. The coins in it are spent only together with the transfer of the name.", path.display()));
            page
        })?;
        Ok(Exit::Success)
    }

    fn pay(
        &self,
        desk: &Desk<'_>,
        name: &Name,
        seller: Address,
        buyer: &Sender,
        offer: &Psbt,
        prevouts: &[TxOut],
    ) -> Result<Psbt, CliError> {
        let node = desk.node()?;
        let ours = [buyer.lock.clone()];
        let free = desk.coins(&*node, &ours, &self.options, name.as_str(), None)?;
        let theirs = Coin {
            outpoint: offer
                .unsigned_tx
                .input
                .first()
                .map(|input| input.previous_output)
                .unwrap_or_default(),
            output: prevouts
                .first()
                .cloned()
                .ok_or_else(|| usage("the offer spends nothing"))?,
            input_size: coins::KEY_HASH_SIZE,
        };
        let chain = desk.synced_chain()?;
        let price = Amount::from_sat(self.price);
        let mut outputs = outputs(
            desk,
            name,
            seller,
            buyer.address(),
            quoted(&chain)?,
            price,
            theirs.output.value,
        )?;
        let all: Vec<Coin> = std::iter::once(theirs.clone()).chain(free).collect();
        let script = ScriptBuf::from_bytes(seller.script());
        let change = buyer.lock.script();
        let funding = Funding {
            sender: &script,
            coins: &all,
            change: &change,
            rate: desk.rate(&*node, &self.options, None)?,
        };
        let picked = coins::select_first(
            &funding,
            Some(theirs.outpoint),
            &outputs,
            ChangeOutput::Optional,
        )
        .map_err(OwnError::from)?;
        outputs.extend(picked.change.map(|value| TxOut {
            value,
            script_pubkey: change.clone(),
        }));
        let unsigned = spending(&picked.coins, outputs);
        let mut psbt = psbt::create(&unsigned, &ours, |txid| {
            node.transaction(txid).ok().flatten()
        });
        let spent = psbt::prevouts(&psbt).map_err(OwnError::from)?;
        desk.judge(
            vec![vec![judged(&unsigned.transaction, &spent)]],
            name.as_str(),
        )?;
        let keys = desk.signing_keys(&ours)?;
        let keys: Vec<_> = keys.iter().collect();
        psbt::sign(&mut psbt, &keys).map_err(OwnError::from)?;
        Ok(psbt)
    }
}

/// What a transaction does to a name.
struct Sale {
    new_owner: Option<Address>,
    /// What the seller's address gets, less what it gives.
    to_seller: Box<dyn Fn(&[u8]) -> i128>,
}

impl Sale {
    fn read(
        desk: &Desk<'_>,
        name: &Name,
        psbt: &Psbt,
        prevouts: &[TxOut],
    ) -> Result<Self, OwnError> {
        let transaction = &psbt.unsigned_tx;
        let features = crate::bns::epoch::Features::default();
        let payload = scan::payload(transaction, desk.magic)
            .and_then(|bytes| Payload::parse(bytes, &features));
        let transfers = matches!(
            payload,
            Some(Ok(Payload::NameTransfer { name_hash128, .. })) if name_hash128 == name.hash128()
        );
        if !transfers {
            return Err(usage(
                "the PSBT does not transfer this name: do not sign it",
            ));
        }
        let new_owner = transaction.output.get(1);
        let (outputs, prevouts) = (transaction.output.clone(), prevouts.to_vec());
        Ok(Self {
            new_owner: new_owner
                .and_then(|output| Address::of_script(output.script_pubkey.as_bytes())),
            to_seller: Box::new(move |script| {
                let sum = |outputs: &[TxOut]| -> i128 {
                    let ours = outputs
                        .iter()
                        .filter(|output| output.script_pubkey.as_bytes() == script);
                    ours.map(|output| i128::from(output.value.to_sat())).sum()
                };
                sum(&outputs) - sum(&prevouts)
            }),
        })
    }

    /// The name goes to the buyer, and the price, no more and no less, to the seller.
    fn check(
        &self,
        desk: &Desk<'_>,
        seller: Address,
        buyer: Address,
        price: u64,
    ) -> Result<(), OwnError> {
        if self.new_owner != Some(buyer) {
            let to = self
                .new_owner
                .map(|owner| desk.text(owner))
                .unwrap_or_default();
            return Err(usage(&format!(
                "the name would go to {to} and not to {}: do not sign it",
                desk.text(buyer)
            )));
        }
        let paid = (self.to_seller)(&seller.script());
        if paid != i128::from(price) {
            return Err(usage(&format!(
                "the seller would get {paid} satoshi and not {price}: do not sign it"
            )));
        }
        Ok(())
    }
}

/// Transfer, new owner, payment; the seller's coin comes back with the price.
fn outputs(
    desk: &Desk<'_>,
    name: &Name,
    seller: Address,
    buyer: Address,
    quoted: crate::hash::ConsensusHash,
    price: Amount,
    coin: Amount,
) -> Result<Vec<TxOut>, OwnError> {
    let operation = Operation::name_transfer(name, seller, buyer, quoted, OnTransfer::KeepZonefile);
    let pay = |to: Address, value| TxOut {
        value,
        script_pubkey: ScriptBuf::from_bytes(to.script()),
    };
    let total = price
        .checked_add(coin)
        .filter(|total| *total <= Amount::MAX_MONEY && price >= DUST)
        .ok_or_else(|| usage("the price is at least 5500 satoshi, and less than all money"))?;
    Ok(vec![
        operation.data_output(desk.magic)?,
        pay(buyer, DUST),
        pay(seller, total),
    ])
}

fn spending(coins: &[Coin], outputs: Vec<TxOut>) -> Unsigned {
    Unsigned::exactly(coins, outputs)
}

/// As the rules look at it: with a placeholder for the seller's signature.
fn placeholder(
    seller: &Sender,
    psbt: &Psbt,
    prevouts: &[TxOut],
) -> crate::api::own::JudgedTransaction {
    let mut transaction = psbt.unsigned_tx.clone();
    if let Some(first) = transaction.input.first_mut() {
        first.script_sig = seller.lock.placeholder();
    }
    judged(&transaction, prevouts)
}

fn usage(text: &str) -> OwnError {
    OwnError::Usage(text.to_owned())
}
