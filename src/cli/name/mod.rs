//! `bnsd name`: register a name and keep it.

mod change;
mod query;
mod register;
mod sale;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::output::Page;
use super::own::{Desk, Done, OwnError, Progress, SendOptions};
use super::{CliError, Context, Exit};
use crate::api::message::{Reply, Request};
use crate::api::owner::PublishRequest;
use crate::bns::Name;
use crate::hash::{ZonefileHash, encode_hex};
use crate::wallet::harden;
use crate::zonefile::ZONEFILE_MAX;

pub(super) use change::update;

/// Subcommands of `bnsd name`.
#[derive(Debug, Subcommand)]
pub enum NameCommand {
    /// Say what a name costs in the next block.
    Price(query::One),
    /// Say whether a name is free.
    Available(query::One),
    /// Show a name: owner, zone file, term.
    Show(query::One),
    /// Show everything that happened to a name.
    History(query::One),
    /// List the names of the keys here, of an address, or all.
    List(query::List),
    /// List own names whose term ends soon.
    Expiring(query::Expiring),
    /// Show what is under way, or give it up.
    Pending(query::Pending),
    /// Say when a name or its owner changes, until interrupted.
    Watch(query::Watch),
    /// Commit to a name without saying which: the first step of a registration.
    Preorder(register::Register),
    /// Register a name: preorder, wait, register, wait. Run it again if it was stopped.
    Register(register::Register),
    /// Announce another zone file.
    Update(change::Update),
    /// Give a name to another address.
    Transfer(change::Transfer),
    /// Pay for another term.
    Renew(change::Renew),
    /// Take a name out of use until it expires.
    Revoke(change::Revoke),
    /// Put a name into a namespace that is not open yet.
    Import(change::Import),
    /// Sell a name for bitcoin: offer it, then sign what the buyer made of the offer.
    Sell(sale::Sell),
    /// Buy a name: pay into an offer.
    Buy(sale::Buy),
}

impl NameCommand {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        harden::forbid_dumps();
        match self {
            Self::Price(one) => one.price(context),
            Self::Available(one) => one.available(context),
            Self::Show(one) => one.show(context),
            Self::History(one) => one.history(context),
            Self::List(list) => list.run(context),
            Self::Expiring(expiring) => expiring.run(context),
            Self::Pending(pending) => pending.run(context),
            Self::Watch(watch) => watch.run(context),
            Self::Preorder(register) => register.preorder(context),
            Self::Register(register) => register.run(context),
            Self::Update(update) => update.run(context),
            Self::Transfer(transfer) => transfer.run(context),
            Self::Renew(renew) => renew.run(context),
            Self::Revoke(revoke) => revoke.run(context),
            Self::Import(import) => import.run(context),
            Self::Sell(sell) => sell.run(context),
            Self::Buy(buy) => buy.run(context),
        }
    }
}

/// A zone file, or the hash of one.
#[derive(Debug, Clone, Default, Args)]
pub struct ZonefileChoice {
    /// Zone file; it is handed to the daemon's archive too
    #[arg(long, value_name = "FILE")]
    zonefile: Option<PathBuf>,
    /// Hash of a zone file that somebody else supplies
    #[arg(long, value_name = "HASH", conflicts_with = "zonefile")]
    hash: Option<String>,
}

impl ZonefileChoice {
    /// Of a file.
    pub(super) fn of_file(path: PathBuf) -> Self {
        Self {
            zonefile: Some(path),
            hash: None,
        }
    }

    /// The hash, if anything was named; the file goes into the archive unless nothing is to be sent.
    pub(super) fn publish(
        &self,
        context: &Context,
        options: &SendOptions,
    ) -> Result<Option<ZonefileHash>, CliError> {
        if let Some(hash) = &self.hash {
            let hash = hash.parse();
            let wrong = |_| OwnError::Usage("a zone file hash is 40 hex digits".to_owned());
            return Ok(Some(hash.map_err(wrong)?));
        }
        let Some(path) = &self.zonefile else {
            return Ok(None);
        };
        let bytes = read_zonefile(path)?;
        if !options.dry_run {
            store(context, &bytes)?;
        }
        Ok(Some(ZonefileHash::of(&bytes)))
    }
}

/// Hands a zone file to the archive.
pub(super) fn store(context: &Context, bytes: &[u8]) -> Result<(), CliError> {
    let zonefile = encode_hex(bytes);
    match context.ask(&Request::Publish(PublishRequest { zonefile }))? {
        Reply::Zonefile(_) => Ok(()),
        _ => Err(CliError::Unexpected),
    }
}

/// The bytes of a zone file of bearable size.
pub(super) fn read_zonefile(path: &PathBuf) -> Result<Vec<u8>, OwnError> {
    let bytes = std::fs::read(path).map_err(|source| OwnError::File {
        path: path.clone(),
        source,
    })?;
    if bytes.is_empty() || bytes.len() > ZONEFILE_MAX {
        return Err(OwnError::Usage(format!(
            "{} has {} bytes: a zone file has 1 to {ZONEFILE_MAX}",
            path.display(),
            bytes.len()
        )));
    }
    Ok(bytes)
}

/// What an operation brought about.
#[derive(Debug, Serialize)]
struct Effect {
    name: String,
    #[serde(flatten)]
    done: Done,
    dig: Option<String>,
}

/// Shows the effect of an operation on a name.
fn report(desk: &Desk<'_>, name: &str, progress: Progress) -> Result<Exit, CliError> {
    let Progress::Done(done) = progress else {
        return Ok(Exit::Success);
    };
    let effect = Effect {
        dig: desk.dig(name, "ANY")?,
        name: name.to_owned(),
        done,
    };
    desk.context.output.print(&effect, || {
        let mut page = Page::default();
        page.heading(format!("{} of {name} is accepted", effect.done.operation));
        page.entry("height", &effect.done.height);
        page.entry("transaction", &effect.done.txid);
        page.entry("consensus hash", &effect.done.consensus_hash);
        page.entry_if("try", effect.dig.as_ref());
        page
    })?;
    Ok(Exit::Success)
}

/// Shows the effect of an operation on a name or namespace.
pub(super) fn report_on(
    desk: &Desk<'_>,
    subject: &str,
    progress: Progress,
) -> Result<Exit, CliError> {
    report(desk, subject, progress)
}

/// The namespace of a name, which decides what can be done with it.
fn parse(text: &str) -> Result<Name, OwnError> {
    let name: Result<Name, _> = text.parse();
    name.map_err(|error| OwnError::Usage(format!("{text:?} is no name: {error}")))
}
