//! `bnsd namespace`: open a namespace: preorder, reveal, import names, ready.

mod batch;
mod import;
mod reveal;
mod wanted;

use bitcoin::Amount;
use clap::{Args, Subcommand};

use super::name::report_on;
use super::output::Page;
use super::own::{Desk, OwnError, Plan, SendOptions, Sender};
use super::{CliError, Context, Exit};
use crate::api::message::{Reply, Request};
use crate::api::names::{NamespaceReply, NamespaceState, NamespacesRequest};
use crate::bns::NamespaceId;
use crate::bns::address::Address;
use crate::wallet::harden;
use crate::wallet::operation::{Fee, Operation};

/// Subcommands of `bnsd namespace`.
#[derive(Debug, Subcommand)]
pub enum NamespaceCommand {
    /// Say what a namespace costs in the next block.
    Price(One),
    /// Show a namespace.
    Show(One),
    /// List all namespaces.
    List,
    /// Commit to a namespace without saying which.
    Preorder(Preorder),
    /// Say which namespace it is and by which rules it works.
    Reveal(Box<reveal::Reveal>),
    /// Put names into a revealed namespace, from a CSV file or a folder of zone files.
    Import(import::Import),
    /// Open a namespace for everybody.
    Ready(Ready),
}

/// A namespace.
#[derive(Debug, Args)]
pub struct One {
    /// Its id, like id
    id: String,
}

/// Arguments of `bnsd namespace preorder`.
#[derive(Debug, Args)]
pub struct Preorder {
    /// Its id.
    id: String,
    /// Address that will reveal, import and open it, by default that of the sender
    #[arg(long, value_name = "ADDRESS")]
    revealer: Option<String>,
    #[command(flatten)]
    options: SendOptions,
}

/// Arguments of `bnsd namespace ready`.
#[derive(Debug, Args)]
pub struct Ready {
    /// Its id.
    id: String,
    #[command(flatten)]
    options: SendOptions,
}

impl NamespaceCommand {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        harden::forbid_dumps();
        match self {
            Self::Price(one) => one.price(context),
            Self::Show(one) => one.show(context),
            Self::List => list(context),
            Self::Preorder(preorder) => preorder.run(context),
            Self::Reveal(reveal) => reveal.run(context),
            Self::Import(import) => import.run(context),
            Self::Ready(ready) => ready.run(context),
        }
    }
}

fn parse(id: &str) -> Result<NamespaceId, OwnError> {
    let parsed: Result<NamespaceId, _> = id.parse();
    parsed.map_err(|error| OwnError::Usage(format!("{id:?} is no namespace: {error}")))
}

impl One {
    fn ask(&self, context: &Context) -> Result<NamespaceReply, CliError> {
        let id = parse(&self.id)?.to_string();
        match context.ask(&Request::Namespace(crate::api::names::NamespaceRequest {
            id,
        }))? {
            Reply::Namespace(reply) => Ok(*reply),
            _ => Err(CliError::Unexpected),
        }
    }

    fn price(self, context: &Context) -> Result<Exit, CliError> {
        let reply = self.ask(context)?;
        context.output.print(&reply.price, || {
            let mut page = Page::default();
            page.heading(&reply.id);
            page.entry_if(
                "price",
                reply
                    .price
                    .satoshi
                    .map(|satoshi| format!("{satoshi} satoshi")),
            );
            page.entry_if(
                "or",
                reply
                    .price
                    .micro_stacks
                    .map(|amount| format!("{amount} µSTX")),
            );
            page.entry("paid to", &reply.price.pay_to);
            page
        })?;
        Ok(Exit::Success)
    }

    fn show(self, context: &Context) -> Result<Exit, CliError> {
        let reply = self.ask(context)?;
        let mut page = page(&reply);
        if let (Some(prices), Some(version)) = (reply.prices, reply.version) {
            reveal::write_prices(context, &mut page, prices, version)?;
        }
        context.output.print(&reply, || page)?;
        Ok(match reply.state {
            NamespaceState::Free => Exit::No,
            _ => Exit::Success,
        })
    }
}

fn list(context: &Context) -> Result<Exit, CliError> {
    let Reply::Namespaces(reply) = context.ask(&Request::Namespaces(NamespacesRequest {}))? else {
        return Err(CliError::Unexpected);
    };
    context.output.print(&reply.namespaces, || {
        let mut page = Page::default();
        for namespace in &reply.namespaces {
            let revealer = namespace.revealer.clone().unwrap_or_default();
            page.row([
                namespace.id.clone(),
                state(namespace.state).to_owned(),
                revealer,
            ]);
        }
        page
    })?;
    Ok(Exit::Success)
}

fn state(state: NamespaceState) -> &'static str {
    match state {
        NamespaceState::Free => "free",
        NamespaceState::Revealed => "revealed, not open",
        NamespaceState::Ready => "open",
    }
}

fn page(reply: &NamespaceReply) -> Page {
    let mut page = Page::default();
    page.heading(&reply.id);
    page.entry("state", state(reply.state));
    page.entry_if("version", reply.version);
    page.entry_if("lifetime", reply.lifetime);
    page.entry_if("payer", reply.payer.as_ref());
    page.entry_if("revealer", reply.revealer.as_ref());
    page.entry_if("revealed at", reply.reveal_block);
    page.entry_if("opened at", reply.ready_block);
    page.entry_if("lapses at", reply.lapses_at);
    page
}

impl Preorder {
    fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.options.keys)?;
        let id = parse(&self.id)?;
        let sender = desk.sender(self.options.key.as_ref(), None)?;
        let revealer = revealer(&desk, self.revealer.as_deref(), &sender)?;
        let script = sender.lock.script();
        let (desk_again, preordered) = (&desk, &id);
        let plan = Plan {
            operation: "NAMESPACE_PREORDER",
            quotes: true,
            sender: sender.clone(),
            make: Box::new(move |chain| {
                let price = desk_again.namespace(preordered)?.price;
                let amount = price.satoshi.ok_or_else(|| {
                    OwnError::No(
                        "namespaces are paid in tokens in this epoch, which this command cannot do"
                            .to_owned(),
                    )
                })?;
                let burn = Fee {
                    to: desk_again.address(&price.pay_to)?,
                    amount: Amount::from_sat(amount),
                };
                let quoted = chain
                    .consensus_hash
                    .parse()
                    .map_err(|_| CliError::Unexpected)?;
                let revealer = (revealer, desk_again.versions);
                Ok(Operation::namespace_preorder(
                    preordered, &script, revealer, quoted, None, burn,
                ))
            }),
            then: None,
        };
        let subject = format!("{id}.preorder");
        let terms = [
            ("revealer", desk.text(revealer)),
            ("sender", desk.text(sender.address())),
        ];
        let progress = desk.single(&subject, "preorder", &terms, &plan, &self.options)?;
        report_on(&desk, id.as_str(), progress)
    }
}

fn revealer(desk: &Desk<'_>, given: Option<&str>, sender: &Sender) -> Result<Address, CliError> {
    given.map_or(Ok(sender.address()), |text| desk.address(text))
}

impl Ready {
    fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.options.keys)?;
        let id = parse(&self.id)?;
        let sender = revealers_key(&desk, &id, &self.options)?;
        let (address, opened) = (sender.address(), &id);
        let plan = Plan {
            operation: "NAMESPACE_READY",
            quotes: false,
            sender,
            make: Box::new(move |_| Ok(Operation::namespace_ready(opened, address))),
            then: None,
        };
        let progress = desk.single(id.as_str(), "ready", &[], &plan, &self.options)?;
        report_on(&desk, id.as_str(), progress)
    }
}

/// The key that the reveal named.
fn revealers_key(
    desk: &Desk<'_>,
    id: &NamespaceId,
    options: &SendOptions,
) -> Result<Sender, CliError> {
    let revealer = desk.namespace(id)?.revealer.ok_or_else(|| {
        OwnError::No(format!(
            "{id} was never revealed: `bnsd namespace reveal {id}`"
        ))
    })?;
    let script = crate::hash::encode_hex(&desk.address(&revealer)?.script());
    desk.sender(options.key.as_ref(), Some(&script))
}
