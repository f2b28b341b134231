//! `bnsd namespace`: open a namespace: preorder, reveal, import names, ready.

mod import;
mod open;
mod prices;
mod reveal;
mod wanted;

use clap::{Args, Subcommand};

use super::output::Page;
use super::own::{SendOptions, carry_out, namespace};
use super::term::{show_price, write_past};
use super::{Context, Exit, Result};
use crate::api::names::{NamespaceRequest, NamespacesRequest};
use crate::names::{NamespaceDetails, NamespaceState};
use crate::wallet::harden;
use crate::wallet::task::Wish;
use crate::wallet::words;

/// Subcommands of `bnsd namespace`.
#[derive(Debug, Subcommand)]
pub enum NamespaceCommand {
    /// Say what a namespace costs in the next block.
    Price(One),
    /// Show a namespace.
    Show(One),
    /// List all namespaces.
    List,
    /// Open a namespace in one command, with coins of the faucet; on the embedded chain only.
    Open(open::Open),
    /// Commit to a namespace without saying which.
    Preorder(Preorder),
    /// Say which namespace it is and by which rules it works.
    Reveal(Box<reveal::Reveal>),
    /// Put names into a revealed namespace, from a CSV file or a folder of zone files.
    Import(import::Import),
    /// Open a namespace for everybody.
    Ready {
        /// Its id.
        id: String,
        #[command(flatten)]
        options: Box<SendOptions>,
    },
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

impl NamespaceCommand {
    /// Runs the subcommand.
    pub fn run(self, context: &Context) -> Result<Exit> {
        harden::forbid_dumps();
        match self {
            Self::Price(one) => one.price(context),
            Self::Show(one) => one.show(context),
            Self::List => list(context),
            Self::Open(open) => open.run(context),
            Self::Preorder(preorder) => preorder.run(context),
            Self::Reveal(reveal) => reveal.run(context),
            Self::Import(import) => import.run(context),
            Self::Ready { id, options } => carry_out(context, &options, |_| {
                Ok(Wish::OpenNamespace {
                    id: namespace(&id)?,
                })
            }),
        }
    }
}

impl One {
    fn ask(&self, context: &Context) -> Result<Box<NamespaceDetails>> {
        let id = namespace(&self.id)?.to_string();
        context.answer(NamespaceRequest { id })
    }

    fn price(self, context: &Context) -> Result<Exit> {
        let reply = self.ask(context)?;
        show_price(context, reply.id.as_str(), &reply.price)
    }

    fn show(self, context: &Context) -> Result<Exit> {
        let reply = self.ask(context)?;
        let mut page = page(&reply);
        if let (Some(prices), Some(version)) = (reply.prices, reply.version) {
            prices::write(context, &mut page, prices, version)?;
        }
        context.output.print(&reply, || page)?;
        Ok(Exit::success_if(reply.state != NamespaceState::Free))
    }
}

fn list(context: &Context) -> Result<Exit> {
    let reply = context.answer(NamespacesRequest {})?;
    context.output.show(&reply.namespaces, |page| {
        if reply.namespaces.is_empty() {
            page.note("No namespace is revealed yet.");
        }
        for namespace in &reply.namespaces {
            let revealer = namespace.revealer.clone().unwrap_or_default();
            page.row([
                namespace.id.to_string(),
                state(namespace.state).to_owned(),
                since(namespace),
                revealer,
            ]);
        }
    })
}

/// The block of the opening, or of the reveal.
fn since(namespace: &NamespaceDetails) -> String {
    let block = |height, time: &Option<String>| words::block_there(height, time.as_deref());
    match (namespace.ready_block, namespace.reveal_block) {
        (Some(height), _) => format!("opened at {}", block(height, &namespace.ready_time)),
        (None, Some(height)) => format!("revealed at {}", block(height, &namespace.reveal_time)),
        (None, None) => String::new(),
    }
}

fn state(state: NamespaceState) -> &'static str {
    match state {
        NamespaceState::Free => "free",
        NamespaceState::Revealed => "revealed, not open",
        NamespaceState::Ready => "open",
    }
}

fn page(reply: &NamespaceDetails) -> Page {
    let mut page = Page::default();
    page.heading(reply.id.as_str());
    page.entry("state", state(reply.state));
    page.entry_if("version", reply.version);
    write_lifetime(reply, &mut page);
    page.entry_if("payer", reply.payer.as_ref());
    page.entry_if("revealer", reply.revealer.as_ref());
    let (revealed, opened) = (reply.reveal_time.as_ref(), reply.ready_time.as_ref());
    write_past(&mut page, "revealed at", reply.reveal_block, revealed);
    write_past(&mut page, "opened at", reply.ready_block, opened);
    let lapse = reply.lapses_at_estimated.as_deref();
    let lapse = |height| words::block_to_come(height, lapse);
    page.entry_if("lapses at", reply.lapses_at.map(lapse));
    page
}

/// How long names really live, and what the chain says of it: a number that the epoch in force multiplies.
fn write_lifetime(reply: &NamespaceDetails, page: &mut Page) {
    let Some(on_chain) = reply.lifetime else {
        return;
    };
    let (Some(blocks), Some(grace)) = (reply.lifetime_in_force, reply.grace_period) else {
        page.entry("names live", "for ever");
        return;
    };
    let lasting = |blocks: u64| {
        format!(
            "{} blocks ({})",
            words::grouped(blocks),
            words::span(blocks)
        )
    };
    page.entry("names live", &lasting(blocks));
    page.entry("grace period", &lasting(grace.into()));
    let factor = blocks.checked_div(on_chain.into()).unwrap_or(1);
    let on_chain = words::grouped(on_chain.into());
    page.entry(
        "lifetime on chain",
        &format!("{on_chain} blocks, times {factor} by the rules in force"),
    );
}

impl Preorder {
    fn run(self, context: &Context) -> Result<Exit> {
        let revealer = self.revealer.as_ref();
        carry_out(context, &self.options, |wallet| {
            Ok(Wish::PreorderNamespace {
                id: namespace(&self.id)?,
                revealer: revealer.map(|text| wallet.address(text)).transpose()?,
            })
        })
    }
}
