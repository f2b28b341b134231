//! `bnsd namespace`: open a namespace: preorder, reveal, import names, ready.

mod import;
mod prices;
mod reveal;
mod wanted;

use clap::{Args, Subcommand};

use super::output::Page;
use super::own::{SendOptions, carry_out, namespace, open};
use super::{CliError, Context, Exit};
use crate::api::names::{NamespaceReply, NamespaceRequest, NamespaceState, NamespacesRequest};
use crate::wallet::harden;
use crate::wallet::task::Wish;

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
    /// Runs the subcommand.
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

impl One {
    fn ask(&self, context: &Context) -> Result<Box<NamespaceReply>, CliError> {
        let id = namespace(&self.id)?.to_string();
        context.answer(NamespaceRequest { id })
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
            prices::write(context, &mut page, prices, version)?;
        }
        context.output.print(&reply, || page)?;
        Ok(match reply.state {
            NamespaceState::Free => Exit::No,
            _ => Exit::Success,
        })
    }
}

fn list(context: &Context) -> Result<Exit, CliError> {
    let reply = context.answer(NamespacesRequest {})?;
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
        let wallet = open(context, &self.options.keys)?;
        let revealer = self.revealer.as_ref();
        let wish = Wish::PreorderNamespace {
            id: namespace(&self.id)?,
            revealer: revealer.map(|text| wallet.address(text)).transpose()?,
        };
        carry_out(context, &wallet, &wish, &self.options)
    }
}

impl Ready {
    fn run(self, context: &Context) -> Result<Exit, CliError> {
        let wallet = open(context, &self.options.keys)?;
        let id = namespace(&self.id)?;
        carry_out(context, &wallet, &Wish::OpenNamespace { id }, &self.options)
    }
}
