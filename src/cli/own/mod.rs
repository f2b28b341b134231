//! What commands that own names share: the wallet on this machine, how drafts are shown, how results are reported.
//!
//! Everything that decides is in [`crate::wallet::task`]. The state comes from the running daemon over its control socket,
//! always: there is one index and one truth. Keys are opened in the process of the command.

mod bill;
mod consent;
mod follow;
mod node;
mod options;
mod show;

use std::path::Path;

use bitcoin::NetworkKind;
use serde::Serialize;

pub use bill::{Next, Tense, write as write_bill};
pub use consent::{agree, ask, say as say_concerns};
use follow::Hints;
pub use follow::resumed;
pub use options::{FeeOptions, KeyOptions, SendOptions, directory_of_keys};
pub use show::{Shown, print_psbt, write_psbt, write_transaction};

pub use super::argument::{name, namespace};
use super::term::write_past;
use super::{CliError, Context, Exit, Result, log};
use crate::api::ask::{Ask as _, Asking};
use crate::api::names::NameRequest;
use crate::api::owner::ChainRequest;
use crate::bns::Name;
use crate::config::BitcoinChain;
use crate::names::NameDetails;
use crate::wallet::journal::Journal;
use crate::wallet::task::consent::Consent;
use crate::wallet::task::keyring::Keyring;
use crate::wallet::task::wallet::Event;
use crate::wallet::task::{Accepted, Outcome, Sent, TaskError, Wallet, Wish};
use crate::wallet::vault::Vault;

/// The wallet of this machine on the network that the daemon follows, to pay with: a person is asked before, or `--yes`
/// agrees.
pub fn open_to_pay<'c>(context: &'c Context, options: &'c SendOptions) -> Result<Wallet<'c>> {
    let consent = move |consent: &Consent<'_>| ask(context, options, consent);
    Ok(Wallet {
        consent: Box::new(consent),
        ..open(context, &options.keys)?
    })
}

/// The wallet of this machine on the network that the daemon follows, to look at.
pub fn open<'c>(context: &'c Context, keys: &'c KeyOptions) -> Result<Wallet<'c>> {
    let config = context.config()?;
    log::start(config.log)?;
    let (daemon, chain) = Asking::begin(context.client()?)?;
    let facts = &chain.facts;
    let vault = vault(keys, facts.p2pkh_version == 0)?;
    let journal = Journal::new(vault.directory(), &facts.network.chain_name());
    Ok(Wallet {
        node: node::choose(config, chain.source, daemon.clone()),
        state: Box::new(daemon),
        keyring: Keyring::new(vault, keys.asking()),
        journal,
        consent: Box::new(|_| Err(TaskError::Contradiction("a payment that nobody wished"))),
        tell: Box::new(log_event),
        magic: facts.magic,
        versions: facts.versions(),
    })
}

fn log_event(event: Event) {
    match event {
        Event::Sending(txid) => tracing::debug!("sending transaction {txid}"),
        Event::Rebuilding => tracing::info!(
            "the consensus hash that was quoted gets too old: building the operation again"
        ),
        Event::Imported { done, total } => tracing::debug!("{done} of {total} names are imported"),
    }
}

/// The vault without a daemon, for the network that the configuration names.
pub fn vault_without_daemon(context: &Context, keys: &KeyOptions) -> Result<Vault> {
    let is_mainnet = match &keys.network {
        Some(network) => network.starts_with("main"),
        None => match context.client()?.ask(ChainRequest {}) {
            Ok(chain) => chain.facts.p2pkh_version == 0,
            Err(_) => context.config()?.chain.bitcoin == BitcoinChain::Main,
        },
    };
    vault(keys, is_mainnet)
}

fn vault(keys: &KeyOptions, is_mainnet: bool) -> Result<Vault> {
    let network = if is_mainnet {
        NetworkKind::Main
    } else {
        NetworkKind::Test
    };
    Ok(Vault::new(keys.directory()?, network))
}

/// How a name stands; needs no keys.
pub fn state_of(context: &Context, name: &Name) -> Result<Box<NameDetails>> {
    let name = name.to_string();
    context.answer(NameRequest { name })
}

/// Carries out what is wished of the wallet here, and shows what became of it.
pub fn carry_out(
    context: &Context,
    options: &SendOptions,
    wish: impl FnOnce(&Wallet<'_>) -> Result<Wish>,
) -> Result<Exit> {
    let wallet = open_to_pay(context, options)?;
    let wish = wish(&wallet)?;
    let outcome = wallet.carry_out(&wish, &options.means())?;
    let psbt = options.psbt.as_deref();
    report(context, &wallet, &wish.about(), outcome, psbt)
}

/// What an operation brought about.
#[derive(Debug, Serialize)]
struct Effect<'e> {
    name: &'e str,
    #[serde(flatten)]
    accepted: Accepted,
    /// Shows what the name says now; `null` where DNS has nothing to show.
    dig: Option<String>,
    /// The command that goes on from here; `null` when all is done.
    next: Option<String>,
}

/// Shows what became of a wish about a name or namespace; a PSBT goes to the file that was named for it.
pub fn report(
    context: &Context,
    wallet: &Wallet<'_>,
    subject: &str,
    outcome: Outcome,
    psbt_to: Option<&Path>,
) -> Result<Exit> {
    match outcome {
        Outcome::Accepted(accepted) => report_accepted(context, subject, accepted),
        Outcome::Drafted(proposal) => {
            say_concerns(&proposal.concerns);
            show::print_proposal(context, wallet, subject, &proposal)
        }
        Outcome::HandedOut(draft, judgement, psbt) => {
            let path = psbt_to.ok_or_else(|| {
                CliError::Usage("say where to write the PSBT: --psbt FILE".to_owned())
            })?;
            write_psbt(path, &psbt)?;
            show::print_handed_out(context, wallet, &draft, &judgement, path)
        }
        Outcome::Shown(psbt) => print_psbt(context, wallet, &psbt),
        Outcome::Sent(sent) => report_sent(context, subject, &sent),
        Outcome::Noted => Ok(Exit::Success),
    }
}

/// An operation that nobody waits for.
#[derive(Debug, Serialize)]
struct OnItsWay<'s> {
    name: &'s str,
    #[serde(flatten)]
    sent: &'s Sent,
}

fn report_sent(context: &Context, name: &str, sent: &Sent) -> Result<Exit> {
    context.output.show(&OnItsWay { name, sent }, |page| {
        page.heading(format!(
            "{} of {name} is sent, and in no block yet",
            sent.operation
        ));
        page.entry("transaction", &sent.txid);
        bill::write(page, &sent.paid, Tense::Paid);
        page.note("Run the same command again: it waits for the block and goes on.");
    })
}

fn report_accepted(context: &Context, name: &str, accepted: Accepted) -> Result<Exit> {
    let Hints { dig, next } = follow::hints(context, &accepted.operation, name)?;
    let effect = Effect {
        name,
        accepted,
        dig,
        next,
    };
    context.output.show(&effect, |page| {
        let accepted = &effect.accepted;
        page.heading(format!("{} of {name} is accepted", accepted.operation));
        let time = accepted.time.as_ref();
        write_past(page, "height", Some(accepted.height), time);
        page.entry("transaction", &accepted.txid);
        page.entry_if("consensus hash", accepted.consensus_hash);
        bill::write(page, &accepted.paid, Tense::Paid);
        page.entry_if("try", effect.dig.as_ref());
        page.entry_if("next", effect.next.as_ref());
    })
}
