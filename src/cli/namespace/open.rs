//! `bnsd namespace open`: a namespace of the embedded chain, ready in one command.
//!
//! It takes the same three operations as on any other chain, from where an earlier run stopped. Its coins come from the
//! faucet and are worthless, so nobody is asked. On every other chain the three are commands of their own, because they
//! cost money and cannot be taken back.

use bitcoin::{Amount, TxOut};
use clap::Args;
use serde::Serialize;

use super::state;
use crate::api::names::NamespaceRequest;
use crate::api::owner::{ChainRequest, CoinsRequest, FaucetRequest};
use crate::bns::{NamespaceId, commitment};
use crate::chain::SourceKind;
use crate::cli::output::Page;
use crate::cli::own::{KeyOptions, namespace, open};
use crate::cli::term::write_past;
use crate::cli::{CliError, Context, Exit, Result};
use crate::names::{NamespaceDetails, NamespaceState};
use crate::wallet::fee::{CAP, FeePolicy, HighFee};
use crate::wallet::lock::Lock;
use crate::wallet::registrar::{LIFETIME, PRICES};
use crate::wallet::task::wallet::{Means, Signer, Unanswered, Until};
use crate::wallet::task::{Outcome, Wallet, Wish};
use crate::wallet::vault::Reference;
use crate::wallet::words;

/// What the key has on top of the price: for names and for years of operations.
const ALLOWANCE: Amount = Amount::ONE_BTC;
/// Most that the faucet gives at once.
const GIFT_MAX: Amount = Amount::from_int_btc(500);

/// Arguments of `bnsd namespace open`.
#[derive(Debug, Args)]
pub struct Open {
    /// Its id.
    id: String,
    /// Address that pays, reveals and opens it: NAME, NAME/INDEX or NAME/p2sh/INDEX; by default the only key
    #[arg(long, value_name = "KEY", help_heading = "Keys", env = "BNSD_KEY")]
    key: Option<Reference>,
    #[command(flatten)]
    keys: KeyOptions,
}

/// What `bnsd namespace open` prints with `--json`.
#[derive(Debug, Serialize)]
struct Opened {
    id: NamespaceId,
    state: NamespaceState,
    /// Height of the opening.
    ready_block: Option<u32>,
}

impl Open {
    /// Takes the steps that are missing, with a line on the standard error after each.
    pub(super) fn run(self, context: &Context) -> Result<Exit> {
        let id = namespace(&self.id)?;
        if context.answer(ChainRequest {})?.source != SourceKind::Dev {
            let details = ask(context, &id)?;
            return Err(CliError::Usage(only_here(&details)));
        }
        let details = ask(context, &id)?;
        if details.state == NamespaceState::Ready {
            return show(context, &details, "is open already");
        }
        let mut wallet = open(context, &self.keys)?;
        wallet.consent = Box::new(|_| Ok(()));
        let sender = match details.state {
            NamespaceState::Revealed => wallet.revealer(&id, self.key.as_ref())?,
            _ => wallet.keyring.sender(self.key.as_ref())?,
        };
        let price = Amount::from_sat(details.price.satoshi.unwrap_or(0));
        get_coins(context, &wallet, &sender, price + ALLOWANCE)?;
        for (wish, done) in missing_steps(&wallet, &id, &sender, details.state)? {
            if let Outcome::Accepted(accepted) = wallet.carry_out(&wish, &self.means())? {
                let block = words::block_there(accepted.height, accepted.time.as_deref());
                say(&format!("{id} is {done} in block {block}"));
            }
        }
        let details = ask(context, &id)?;
        show(context, &details, "is open")
    }

    fn means(&self) -> Means {
        Means {
            key: self.key.clone(),
            payer: None,
            coins: Vec::new(),
            fees: FeePolicy {
                fixed: None,
                cap: CAP,
                high: HighFee::Pay,
            },
            unanswered: Unanswered::Refused,
            signer: Signer::Here,
            until: Until::InBlock,
        }
    }
}

fn ask(context: &Context, id: &NamespaceId) -> Result<Box<NamespaceDetails>> {
    let id = id.to_string();
    context.answer(NamespaceRequest { id })
}

/// Why it is refused on other chains, and what to do there.
fn only_here(details: &NamespaceDetails) -> String {
    let id = &details.id;
    let price = match details.price.satoshi {
        Some(satoshi) => words::btc(Amount::from_sat(satoshi)),
        None => "its price".to_owned(),
    };
    format!(
        "`namespace open` is for the embedded chain, whose coins are worthless; here, use `bnsd namespace preorder {id}`, which burns {price}, then `bnsd namespace reveal {id}` and `bnsd namespace ready {id}`, which cost the miner's fee. Nothing was sent"
    )
}

/// The operations that are left, each with what is said when it is done.
fn missing_steps(
    wallet: &Wallet<'_>,
    id: &NamespaceId,
    sender: &Lock,
    state: NamespaceState,
) -> Result<Vec<(Wish, &'static str)>> {
    let mut steps = Vec::new();
    if state == NamespaceState::Free {
        let address = wallet.text(sender.address());
        let script = sender.script();
        let hash = commitment::namespace_preorder_hash(id, script.as_bytes(), &address);
        if !wallet.state.is_preordered(hash)? {
            let id = id.clone();
            let revealer = None;
            steps.push((Wish::PreorderNamespace { id, revealer }, "preordered"));
        }
        let reveal = Wish::RevealNamespace {
            id: id.clone(),
            revealer: None,
            lifetime: LIFETIME,
            prices: PRICES,
            version: 1,
        };
        steps.push((reveal, "revealed"));
    }
    steps.push((Wish::OpenNamespace { id: id.clone() }, "open"));
    Ok(steps)
}

/// Asks the faucet for what the sender lacks.
fn get_coins(context: &Context, wallet: &Wallet<'_>, sender: &Lock, needed: Amount) -> Result<()> {
    let scripts = vec![sender.script()];
    let coins = context.answer(CoinsRequest { scripts })?.coins.into_iter();
    let worth: Amount = coins.map(|row| TxOut::from(row.output).value).sum();
    let mut lacking = needed.checked_sub(worth).unwrap_or(Amount::ZERO);
    let address = wallet.text(sender.address());
    while lacking > Amount::ZERO {
        let satoshi = lacking.min(GIFT_MAX);
        context.answer(FaucetRequest {
            address: address.clone(),
            satoshi,
        })?;
        say(&format!(
            "the faucet gave {} to {address}",
            words::btc(satoshi)
        ));
        lacking -= satoshi;
    }
    Ok(())
}

fn say(text: &str) {
    let mut page = Page::default();
    page.note(text);
    page.say();
}

fn show(context: &Context, details: &NamespaceDetails, how: &str) -> Result<Exit> {
    let opened = Opened {
        id: details.id.clone(),
        state: details.state,
        ready_block: details.ready_block,
    };
    context.output.show(&opened, |page| {
        page.heading(format!("{} {how}", details.id));
        page.entry("state", state(details.state));
        let time = details.ready_time.as_ref();
        write_past(page, "opened at", details.ready_block, time);
        page.entry("next", &format!("bnsd name register NAME.{}", details.id));
    })
}
