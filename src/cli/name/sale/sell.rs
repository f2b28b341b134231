//! The seller's part: an offer, and the signature under what the buyer made of it.

use std::path::PathBuf;

use clap::Args;

use super::super::change::owner;
use super::super::parse;
use super::super::register::quoted;
use super::{Sale, Terms, give, outputs, target, usage};
use crate::bns::Name;
use crate::cli::own::{Desk, OwnError, SendOptions, Sender};
use crate::cli::{CliError, Context, Exit, tx};
use crate::wallet::node::Node;
use crate::wallet::operation::Unsigned;
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
    /// What the buyer made of the offer: check it and sign it
    #[arg(long, value_name = "FILE")]
    accept: Option<PathBuf>,
    #[command(flatten)]
    options: SendOptions,
}

impl Sell {
    /// Offers, or accepts.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.options.keys)?;
        let name = parse(&self.name)?;
        let seller = owner(&desk, &name, &self.options)?;
        let terms = Terms {
            seller: seller.address(),
            buyer: desk.address(&self.to)?,
            price: self.price,
        };
        match &self.accept {
            None => self.offer(&desk, &name, &seller, terms),
            Some(path) => self.accept(&desk, &name, &seller, terms, path),
        }?;
        Ok(Exit::Success)
    }

    fn offer(
        &self,
        desk: &Desk<'_>,
        name: &Name,
        seller: &Sender,
        terms: Terms,
    ) -> Result<(), CliError> {
        let path = target(&self.options, "the offer")?;
        let node = desk.node()?;
        let locks = [seller.lock.clone()];
        let mut coins = desk.coins(&*node, &locks, &self.options, name.as_str(), None)?;
        coins.sort_by_key(|coin| coin.output.value);
        let coin = coins.into_iter().next().ok_or_else(|| OwnError::NoCoins {
            address: desk.text(seller.address()),
        })?;
        let chain = desk.synced_chain()?;
        let outputs = outputs(desk, name, terms, quoted(&chain)?, coin.output.value)?;
        let unsigned = Unsigned::exactly(&[coin], outputs);
        let psbt = psbt::create(&unsigned, &locks, |txid| {
            node.transaction(txid).ok().flatten()
        });
        let heading = format!("{name} is offered for {} satoshi", self.price);
        let next = format!(
            "buyer, who answers with `bnsd name buy … --psbt`. Nothing is signed yet; the offer holds for {} blocks.",
            chain.consensus_hash_lifetime
        );
        give(desk, &path, &psbt, &heading, &next)
    }

    fn accept(
        &self,
        desk: &Desk<'_>,
        name: &Name,
        seller: &Sender,
        terms: Terms,
        path: &PathBuf,
    ) -> Result<(), CliError> {
        let mut sale = Sale::read(desk, name, path)?;
        sale.check(desk, terms)?;
        sale.expires(&desk.synced_chain()?)?;
        self.check_inputs(desk, &*desk.node()?, seller, &sale)?;
        desk.judge(vec![vec![sale.judged(&seller.lock)]], name.as_str())?;
        if self.options.dry_run {
            return tx::show_psbt(desk, &sale.psbt);
        }
        let path = target(&self.options, "the signed sale")?;
        let keys = desk.signing_keys(std::slice::from_ref(&seller.lock))?;
        let keys: Vec<_> = keys.iter().collect();
        psbt::sign(&mut sale.psbt, &keys).map_err(OwnError::from)?;
        let heading = format!("{name} for {} satoshi: signed", self.price);
        let next =
            "buyer, who signs and sends it with `bnsd name buy`. The name is yours until then.";
        give(desk, &path, &sale.psbt, &heading, next)
    }

    /// Only one coin is the seller's, it really is there, and it is the first.
    fn check_inputs(
        &self,
        desk: &Desk<'_>,
        node: &dyn Node,
        seller: &Sender,
        sale: &Sale,
    ) -> Result<(), CliError> {
        let script = seller.lock.script();
        let ours = tx::locks(desk, &sale.spent)?.len();
        if ours != 1 || sale.first()?.1.script_pubkey != script {
            return Err(usage("the transaction does not spend exactly one coin of the seller, as input 0: do not sign it").into());
        }
        Ok(sale.check_coins(node, &[script])?)
    }
}
