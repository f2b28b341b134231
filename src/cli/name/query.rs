//! Questions about names; only `list`, `expiring` and `pending` look at keys, and none opens one.

use std::thread::sleep;
use std::time::Duration;

use clap::Args;

use crate::api::names::{NameReply, NameRow, NameState, NamesRequest};
use crate::cli::output::Page;
use crate::cli::own::{KeyOptions, name, open, state_of};
use crate::cli::term::{free_from, next_end, write_term};
use crate::cli::{CliError, Context, Exit};
use crate::wallet::task::Wallet;

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
    fn ask(&self, context: &Context) -> Result<Box<NameReply>, CliError> {
        state_of(context, &name(&self.name)?)
    }

    /// Prints the price.
    pub fn price(self, context: &Context) -> Result<Exit, CliError> {
        let reply = self.ask(context)?;
        let Some(price) = &reply.price else {
            let text = format!(
                "{} has no price: its namespace was never revealed",
                reply.name
            );
            return Err(CliError::No(text));
        };
        context.output.print(price, || {
            let mut page = Page::default();
            page.heading(&reply.name);
            page.entry_if(
                "price",
                price.satoshi.map(|satoshi| format!("{satoshi} satoshi")),
            );
            page.entry_if(
                "or",
                price.micro_stacks.map(|amount| format!("{amount} µSTX")),
            );
            page.entry("paid to", &price.pay_to);
            page
        })?;
        Ok(Exit::Success)
    }

    /// Prints whether it is free; exit code 1 if it is not.
    pub fn available(self, context: &Context) -> Result<Exit, CliError> {
        let reply = self.ask(context)?;
        let free = reply.state == NameState::Free && reply.price.is_some();
        context.output.print(&reply, || {
            let mut page = Page::default();
            match (free, reply.price.is_some()) {
                (true, _) => page.heading(format!("{} is free", reply.name)),
                (false, false) => page.heading(format!("{} has no namespace yet", reply.name)),
                (false, true) => page.heading(format!("{} is taken", reply.name)),
            }
            page.entry_if("free from", free_from(&reply.term).filter(|_| !free));
            page
        })?;
        Ok(if free { Exit::Success } else { Exit::No })
    }

    /// Prints everything about it.
    pub fn show(self, context: &Context) -> Result<Exit, CliError> {
        let reply = self.ask(context)?;
        context.output.print(&reply, || page(&reply))?;
        Ok(exit(&reply))
    }

    /// Prints its operations.
    pub fn history(self, context: &Context) -> Result<Exit, CliError> {
        let reply = self.ask(context)?;
        context.output.print(&reply.history, || {
            let mut page = Page::default();
            page.heading(&reply.name);
            for event in &reply.history {
                page.row([
                    format!("  {}", event.height),
                    event.operation.clone(),
                    event.owner.clone().unwrap_or_default(),
                    event
                        .zonefile_hash
                        .clone()
                        .unwrap_or_else(|| "no zone file".to_owned()),
                    event.txid.clone(),
                ]);
            }
            page
        })?;
        Ok(if reply.history.is_empty() {
            Exit::No
        } else {
            Exit::Success
        })
    }
}

fn exit(reply: &NameReply) -> Exit {
    if reply.state == NameState::Free {
        Exit::No
    } else {
        Exit::Success
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

fn page(reply: &NameReply) -> Page {
    let mut page = Page::default();
    page.heading(&reply.name);
    page.entry("state", state(reply.state));
    page.entry_if("owner", reply.owner.as_ref());
    page.entry_if("zone file hash", reply.zonefile_hash.as_ref());
    if reply.zonefile_hash.is_some() {
        page.entry(
            "zone file",
            if reply.zonefile_present {
                "present"
            } else {
                "missing"
            },
        );
    }
    page.entry_if("last operation", reply.operation.as_ref());
    page.entry_if("at height", reply.height);
    page.entry_if("transaction", reply.txid.as_ref());
    page.entry_if("registered at", reply.first_registered);
    page.entry_if("renewed at", reply.last_renewed);
    write_term(&reply.term, &mut page);
    let price = reply.price.as_ref().and_then(|price| price.satoshi);
    page.entry_if("price", price.map(|satoshi| format!("{satoshi} satoshi")));
    page
}

/// The addresses of all keys here.
fn own_addresses(wallet: &Wallet<'_>) -> Result<Vec<String>, CliError> {
    let addresses = wallet.keyring.addresses()?.into_iter();
    Ok(addresses.map(|address| wallet.text(address)).collect())
}

fn names(context: &Context, mut request: NamesRequest) -> Result<Vec<NameRow>, CliError> {
    let mut names = Vec::new();
    loop {
        let reply = context.answer(request.clone())?;
        names.extend(reply.names);
        match reply.next {
            Some(next) => request.after = Some(next),
            None => return Ok(names),
        }
    }
}

fn print(context: &Context, names: &[NameRow]) -> Result<Exit, CliError> {
    context.output.print(&names, || {
        let mut page = Page::default();
        if names.is_empty() {
            page.note("none");
        }
        for name in names {
            page.row([
                name.name.clone(),
                state(name.state).to_owned(),
                name.owner.clone().unwrap_or_default(),
                next_end(&name.term).unwrap_or_default(),
            ]);
        }
        page
    })?;
    Ok(Exit::Success)
}

impl List {
    /// Prints the list.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        let owners = match (self.all, self.owner.is_empty()) {
            (true, _) => Vec::new(),
            (false, false) => self.owner,
            (false, true) => own_addresses(&open(context, &self.keys)?)?,
        };
        let request = NamesRequest {
            owners,
            ..NamesRequest::default()
        };
        print(context, &names(context, request)?)
    }
}

impl Expiring {
    /// Prints the list.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        let owners = if self.owner.is_empty() {
            own_addresses(&open(context, &self.keys)?)?
        } else {
            self.owner
        };
        let request = NamesRequest {
            owners,
            expiring_within: Some(self.within),
            after: None,
        };
        print(context, &names(context, request)?)
    }
}

impl Pending {
    /// Prints the list, or gives something up.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        let journal = open(context, &self.keys)?.journal;
        if let Some(subject) = &self.forget {
            let _held = journal.hold(subject)?;
            journal.remove(subject)?;
        }
        let tasks = journal.list()?;
        context.output.print(&tasks, || {
            let mut page = Page::default();
            if tasks.is_empty() {
                page.note("Nothing is under way.");
            }
            for task in &tasks {
                page.heading(format!("{}: {}", task.subject, task.goal));
                for step in &task.steps {
                    let newest = step.attempts.last();
                    let txids = newest.map(|attempt| {
                        let txids = attempt.txids().into_iter();
                        txids
                            .map(|txid| txid.to_string())
                            .collect::<Vec<_>>()
                            .join(" ")
                    });
                    page.row([
                        format!("  {}", step.operation),
                        step.done
                            .map_or("waiting".to_owned(), |height| format!("done at {height}")),
                        txids.unwrap_or_default(),
                    ]);
                }
            }
            page
        })?;
        Ok(Exit::Success)
    }
}

impl Watch {
    /// Prints every change.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        let name = name(&self.name)?;
        let mut before = state_of(context, &name)?;
        context.output.print(&before, || page(&before))?;
        loop {
            sleep(WATCH);
            let now = state_of(context, &name)?;
            let changed = (&now.txid, now.state, now.zonefile_present)
                != (&before.txid, before.state, before.zonefile_present);
            if changed {
                context.output.print(&now, || {
                    let mut page = page(&now);
                    if now.owner != before.owner {
                        page.heading("THE OWNER CHANGED: its key is another one");
                    }
                    page
                })?;
                if self.once {
                    return Ok(Exit::Success);
                }
            }
            before = now;
        }
    }
}
