//! `bnsd name sell` and `bnsd name buy`: a name against bitcoin, as [`crate::wallet::task::sale`] says.

use std::path::{Path, PathBuf};

use bitcoin::{Amount, Psbt};
use clap::Args;

use crate::cli::output::Page;
use crate::cli::own::{SendOptions, name, open_to_pay, print_psbt, report, write_psbt};
use crate::cli::tx::read_psbt;
use crate::cli::{CliError, Context, Exit, Result};
use crate::wallet::task::Outcome;
use crate::wallet::words;

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

/// Arguments of `bnsd name buy`.
#[derive(Debug, Args)]
pub struct Buy {
    /// The seller's offer, or the same sale signed by the seller.
    sale: PathBuf,
    /// The name that was agreed on.
    name: String,
    /// The price that was agreed on, in satoshi.
    #[arg(long)]
    price: u64,
    #[command(flatten)]
    options: SendOptions,
}

impl Sell {
    /// Offers the name, or signs what the buyer made of the offer.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let wallet = open_to_pay(context, &self.options)?;
        let (name, price, means) = (name(&self.name)?, self.price, self.options.means());
        let buyer = wallet.address(&self.to)?;
        let Some(bid) = &self.accept else {
            let path = self.target("the offer")?;
            let offer = wallet.offer(&name, buyer, price, &means)?;
            let lifetime = wallet.state.chain()?.consensus_hash_lifetime;
            let heading = format!(
                "{name} is offered for {}",
                words::btc(Amount::from_sat(price))
            );
            let next = format!(
                "buyer, who answers with `bnsd name buy … --psbt`. Nothing is signed yet; the offer holds for {lifetime} blocks ({}).",
                words::span(lifetime.into())
            );
            return give(context, path, &offer, &heading, &next);
        };
        let bid = read_psbt(bid)?;
        if self.options.dry_run {
            let shown = wallet.accept(&name, buyer, price, bid, &means)?;
            return print_psbt(context, &wallet, &shown);
        }
        let path = self.target("the signed sale")?;
        let sale = wallet.accept(&name, buyer, price, bid, &means)?;
        let heading = format!("{name} for {}: signed", words::btc(Amount::from_sat(price)));
        let next =
            "buyer, who signs and sends it with `bnsd name buy`. The name is yours until then.";
        give(context, path, &sale, &heading, next)
    }

    fn target(&self, what: &str) -> Result<&Path> {
        let path = self.options.psbt.as_deref();
        path.ok_or_else(|| CliError::Usage(format!("say where to write {what}: --psbt FILE")))
    }
}

impl Buy {
    /// Pays into an offer, or signs and sends what the seller has signed.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let wallet = open_to_pay(context, &self.options)?;
        let (name, price, means) = (name(&self.name)?, self.price, self.options.means());
        let sale = read_psbt(&self.sale)?;
        if let Some(path) = &self.options.psbt {
            let bid = wallet.bid(&name, price, sale, &means)?;
            let heading = format!(
                "{name} for {}: paid into, not signed",
                words::btc(Amount::from_sat(price))
            );
            let next = "seller, who signs it with `bnsd name sell --accept`. You sign last, with `bnsd name buy`.";
            return give(context, path, &bid, &heading, next);
        }
        let outcome = wallet.buy(&name, price, sale, &means)?;
        if matches!(outcome, Outcome::Sent(_)) {
            let mut page = Page::default();
            page.note("Run the same command again soon: if the sale is in no block in time, it takes the payment back.");
            page.say();
        }
        report(context, &wallet, name.as_str(), outcome, None)
    }
}

/// Writes a PSBT for the other side and says what comes next.
fn give(context: &Context, path: &Path, psbt: &Psbt, heading: &str, next: &str) -> Result<Exit> {
    write_psbt(path, psbt)?;
    let reply = serde_json::json!({ "psbt": path });
    context.output.show(&reply, |page| {
        page.heading(heading);
        page.note(format!("Give {} to the {next}", path.display()));
    })
}
