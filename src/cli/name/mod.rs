//! `bnsd name`: register a name and keep it.

mod change;
mod choice;
mod query;
mod register;
mod sale;

use clap::Subcommand;

use super::{Context, Exit, Result};
use crate::wallet::harden;

pub(super) use choice::read_zonefile;

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
    /// Say when a name or its owner changes, until q or Ctrl-C.
    Watch(query::Watch),
    /// Commit to a name without saying which: the first step of a registration.
    Preorder(register::Register),
    /// Register a name: preorder, wait, register, wait. Run it again if it was stopped.
    Register(register::Register),
    /// Announce another zone file.
    Update(change::Change),
    /// Give a name to another address.
    Transfer(change::Transfer),
    /// Pay for another term.
    Renew(change::Change),
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
    /// Runs the subcommand.
    pub fn run(self, context: &Context) -> Result<Exit> {
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
            Self::Update(change) => change.update(context),
            Self::Transfer(transfer) => transfer.run(context),
            Self::Renew(change) => change.renew(context),
            Self::Revoke(revoke) => revoke.run(context),
            Self::Import(import) => import.run(context),
            Self::Sell(sell) => sell.run(context),
            Self::Buy(buy) => buy.run(context),
        }
    }
}
