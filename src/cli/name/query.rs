//! Questions about names; only `list`, `expiring` and `pending` look at keys, and none opens one.

use std::time::Duration;

use clap::Args;

use crate::api::names::NamesRequest;
use crate::cli::argument::fold;
use crate::cli::count::count;
use crate::cli::output::Page;
use crate::cli::own::{KeyOptions, name, open, state_of};
use crate::cli::term::{free_from, in_bitcoin, next_end, show_price, write_past, write_term};
use crate::cli::terminal::{Keys, leaves};
use crate::cli::{CliError, Context, Exit, Result};
use crate::names::{ListedName, NameDetails, NameState, expected};
use crate::wallet::words;

/// How often a watched name is looked at.
const WATCH: Duration = Duration::from_secs(2);

/// A name.
#[derive(Debug, Args)]
pub struct One {
    /// The name, like me.id
    name: String,
}

/// Arguments of `bnsd name list`.
#[derive(Debug, Args)]
pub struct List {
    /// Of this address instead of the keys here; can be repeated
    #[arg(long, value_name = "ADDRESS")]
    owner: Vec<String>,
    /// All names that there are
    #[arg(long, conflicts_with = "owner")]
    all: bool,
    #[command(flatten)]
    keys: KeyOptions,
}

/// Arguments of `bnsd name expiring`.
#[derive(Debug, Args)]
pub struct Expiring {
    /// Within how many blocks; a day has about 144
    #[arg(long, default_value_t = 4_320)]
    within: u32,
    /// Of this address instead of the keys here; can be repeated
    #[arg(long, value_name = "ADDRESS")]
    owner: Vec<String>,
    #[command(flatten)]
    keys: KeyOptions,
}

/// Arguments of `bnsd name pending`.
#[derive(Debug, Args)]
pub struct Pending {
    /// Give up what is under way on this name or namespace
    #[arg(long, value_name = "NAME")]
    forget: Option<String>,
    #[command(flatten)]
    keys: KeyOptions,
}

/// Arguments of `bnsd name watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// The name.
    name: String,
    /// End after the first change
    #[arg(long)]
    once: bool,
}

impl One {
    fn ask(&self, context: &Context) -> Result<Box<NameDetails>> {
        state_of(context, &name(&self.name)?)
    }

    /// Prints the price.
    pub fn price(self, context: &Context) -> Result<Exit> {
        let reply = self.ask(context)?;
        let price = reply.price.as_ref().ok_or_else(|| {
            let name = &reply.name;
            CliError::No(format!(
                "{name} has no price: its namespace was never revealed"
            ))
        })?;
        show_price(context, reply.name.as_str(), price)
    }

    /// Prints whether it is free; exit code 1 if it is not.
    pub fn available(self, context: &Context) -> Result<Exit> {
        let reply = self.ask(context)?;
        let free = reply.state == NameState::Free && reply.price.is_some();
        context.output.show(&reply, |page| {
            let answer = match (free, reply.price.is_some()) {
                (true, _) => "is free",
                (false, false) => "has no namespace yet",
                (false, true) => "is taken",
            };
            page.heading(format!("{} {answer}", reply.name));
            page.entry_if(
                "free from",
                free_from(&reply.registration.term).filter(|_| !free),
            );
        })?;
        Ok(Exit::success_if(free))
    }

    /// Prints everything about it.
    pub fn show(self, context: &Context) -> Result<Exit> {
        let reply = self.ask(context)?;
        context.output.show(&reply, |page| write(page, &reply))?;
        Ok(Exit::success_if(reply.state != NameState::Free))
    }

    /// Prints its operations.
    pub fn history(self, context: &Context) -> Result<Exit> {
        let reply = self.ask(context)?;
        let history = &reply.registration.history;
        context.output.show(history, |page| {
            if history.is_empty() {
                page.note(format!("Nothing has happened to {} yet.", reply.name));
                return;
            }
            page.heading(reply.name.as_str());
            for event in history {
                let zonefile = event.zonefile_hash.map(|hash| hash.to_string());
                let block = words::block_there(event.height, event.time.as_deref());
                page.row([
                    format!("  {block}"),
                    event.operation.clone(),
                    event.owner.clone().unwrap_or_default(),
                    zonefile.unwrap_or("no zone file".to_owned()),
                    event.txid.to_string(),
                ]);
            }
        })?;
        Ok(Exit::success_if(!history.is_empty()))
    }
}

fn state(state: NameState) -> &'static str {
    match state {
        NameState::Free => "free",
        NameState::Registered => "registered",
        NameState::Grace => "expired, only a renewal is allowed",
        NameState::Revoked => "revoked",
    }
}

fn write(page: &mut Page, reply: &NameDetails) {
    let known = &reply.registration;
    page.heading(reply.name.as_str());
    page.entry("state", state(reply.state));
    page.entry_if("owner", known.owner.as_ref());
    page.entry_if("on the later chain", known.later_owner.as_ref());
    page.entry_if("rests on", reply.rests_on.as_ref());
    page.entry_if("zone file hash", known.zonefile_hash.as_ref());
    if known.zonefile_hash.is_some() {
        let present = if reply.zonefile_present {
            "present"
        } else {
            "missing"
        };
        page.entry("zone file", present);
    }
    page.entry_if("last operation", known.operation.as_ref());
    write_past(page, "at height", known.height, known.time.as_ref());
    page.entry_if("transaction", known.txid.as_ref());
    let time = known.first_registered_time.as_ref();
    write_past(page, "registered at", known.first_registered, time);
    let time = known.last_renewed_time.as_ref();
    write_past(page, "renewed at", known.last_renewed, time);
    write_term(&known.term, page);
    page.entry_if("price", reply.price.as_ref().and_then(in_bitcoin));
}

/// The addresses that were named, or those of all keys here; `None` if there is no key.
fn owners(context: &Context, keys: &KeyOptions, named: Vec<String>) -> Result<Option<Vec<String>>> {
    if !named.is_empty() {
        return Ok(Some(named));
    }
    let wallet = open(context, keys)?;
    if wallet.keyring.vault().list()?.is_empty() {
        return Ok(None);
    }
    let addresses = wallet.keyring.addresses()?.into_iter();
    Ok(Some(
        addresses.map(|address| wallet.text(address)).collect(),
    ))
}

/// The empty list of somebody who has no key.
fn without_key(context: &Context) -> Result<Exit> {
    context.output.show(&Vec::<ListedName>::new(), |page| {
        page.note("There is no key yet, so no name is yours: make one with `bnsd keys new me`. `bnsd name list --all` lists all names.");
    })
}

/// Prints the names that a request finds, whatever the number of replies; `none` says that it finds none.
fn list(context: &Context, mut request: NamesRequest, none: &str) -> Result<Exit> {
    let mut names: Vec<ListedName> = Vec::new();
    loop {
        let reply = context.answer(request.clone())?;
        names.extend(reply.names);
        if reply.next.is_none() {
            break;
        }
        request.after = reply.next.map(|next| next.to_string());
    }
    context.output.show(&names, |page| {
        if names.is_empty() {
            page.note(none);
        }
        for name in &names {
            page.row([
                name.name.to_string(),
                state(name.state).to_owned(),
                name.owner.clone().unwrap_or_default(),
                next_end(&name.term).unwrap_or_default(),
            ]);
        }
    })
}

impl List {
    /// Prints the list.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let none = match (self.all, self.owner.is_empty()) {
            (true, _) => "There is no name yet.",
            (_, true) => "The keys here own no name.",
            (_, false) => "This address owns no name.",
        };
        let owners = match self.all {
            true => Some(Vec::new()),
            false => owners(context, &self.keys, self.owner)?,
        };
        let Some(owners) = owners else {
            return without_key(context);
        };
        let request = NamesRequest {
            owners,
            ..NamesRequest::default()
        };
        list(context, request, none)
    }
}

impl Expiring {
    /// Prints the list.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let Some(owners) = owners(context, &self.keys, self.owner)? else {
            return without_key(context);
        };
        let request = NamesRequest {
            owners,
            expiring_within: Some(self.within),
            after: None,
        };
        let within = u64::from(self.within);
        let none = format!(
            "No name ends within {} ({}).",
            count(within, "block"),
            words::span(within)
        );
        list(context, request, &none)
    }
}

impl Pending {
    /// Prints the list, or gives something up.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let wallet = open(context, &self.keys)?;
        let journal = &wallet.journal;
        if let Some(subject) = self.forget.as_deref().map(fold) {
            let subject = subject.as_str();
            let _held = journal.hold(subject)?;
            journal.remove(subject)?;
        }
        let tasks = wallet.under_way()?;
        let chain = wallet.state.chain()?;
        let tip = chain.height.zip(chain.block_time);
        let block = |height| {
            let date = tip.map(|tip| expected(height, tip));
            words::block_to_come(height, date.as_deref())
        };
        context.output.show(&tasks, |page| {
            if tasks.is_empty() {
                page.note("Nothing is under way.");
            }
            for task in &tasks {
                page.heading(format!("{}: {}", task.subject, task.goal));
                for step in &task.steps {
                    let done = step.done.map(|height| format!("done at {}", block(height)));
                    let newest = step.attempts.last().into_iter();
                    let txids = newest.flat_map(|attempt| attempt.txids());
                    let txids: Vec<String> = txids.map(|txid| txid.to_string()).collect();
                    page.row([
                        format!("  {}", step.operation),
                        done.unwrap_or("waiting".to_owned()),
                        txids.join(" "),
                    ]);
                }
            }
        })
    }
}

impl Watch {
    /// Prints every change.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let name = name(&self.name)?;
        let mut before = state_of(context, &name)?;
        let mut keys = Keys::of_reader();
        context.output.show(&before, |page| {
            write(page, &before);
            if keys.is_some() {
                page.note("q ends this");
            }
        })?;
        while !leaves(&mut keys, WATCH) {
            let now = state_of(context, &name)?;
            let seen =
                |name: &NameDetails| (name.registration.txid, name.state, name.zonefile_present);
            let changed = seen(&now) != seen(&before);
            if changed {
                context.output.show(&now, |page| {
                    write(page, &now);
                    if now.registration.owner != before.registration.owner {
                        page.heading("THE OWNER CHANGED: its key is another one");
                    }
                })?;
                if self.once {
                    return Ok(Exit::Success);
                }
            }
            before = now;
        }
        Ok(Exit::Success)
    }
}
