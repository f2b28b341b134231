//! `bnsd name register` and the operations on a name that is owned.

use clap::Args;

use super::choice::ZonefileChoice;
use crate::cli::own::{SendOptions, carry_out, name, open_to_pay, report};
use crate::cli::{Context, Exit, Result};
use crate::wallet::operation::OnTransfer;
use crate::wallet::task::{Wallet, Wish};

/// Arguments of `bnsd name preorder` and `bnsd name register`.
#[derive(Debug, Args)]
pub struct Register {
    /// The name, like me.id
    name: String,
    /// Address of the owner, by default that of the sender
    #[arg(long, value_name = "ADDRESS")]
    owner: Option<String>,
    #[command(flatten)]
    zonefile: ZonefileChoice,
    #[command(flatten)]
    options: SendOptions,
}

/// Arguments of `bnsd name update` and `bnsd name renew`.
#[derive(Debug, Args)]
pub struct Change {
    /// The name.
    name: String,
    #[command(flatten)]
    zonefile: ZonefileChoice,
    #[command(flatten)]
    options: SendOptions,
}

/// Arguments of `bnsd name transfer`.
#[derive(Debug, Args)]
pub struct Transfer {
    /// The name.
    name: String,
    /// Address of the new owner.
    #[arg(value_name = "ADDRESS", required_unless_present = "to")]
    address: Option<String>,
    /// Address of the new owner, in place of the second argument
    #[arg(long, value_name = "ADDRESS", conflicts_with = "address")]
    to: Option<String>,
    /// Let the new owner start without a zone file
    #[arg(long)]
    drop_zonefile: bool,
    #[command(flatten)]
    options: SendOptions,
}

/// Arguments of `bnsd name revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The name.
    name: String,
    #[command(flatten)]
    options: SendOptions,
}

/// Arguments of `bnsd name import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The name.
    name: String,
    /// Address of the owner.
    #[arg(long, value_name = "ADDRESS")]
    owner: String,
    #[command(flatten)]
    zonefile: ZonefileChoice,
    #[command(flatten)]
    options: SendOptions,
}

impl Register {
    /// Preorders and waits.
    pub fn preorder(self, context: &Context) -> Result<Exit> {
        let wallet = open_to_pay(context, &self.options)?;
        let wish = self.wish(&wallet)?;
        let outcome = wallet.begin(&wish, &self.options.means())?;
        let psbt = self.options.psbt.as_deref();
        report(context, &wallet, &wish.about(), outcome, psbt)
    }

    /// Preorders, registers and waits.
    pub fn run(self, context: &Context) -> Result<Exit> {
        carry_out(context, &self.options, |wallet| self.wish(wallet))
    }

    fn wish(&self, wallet: &Wallet<'_>) -> Result<Wish> {
        let owner = self.owner.as_ref();
        Ok(Wish::Register {
            name: name(&self.name)?,
            owner: owner.map(|owner| wallet.address(owner)).transpose()?,
            zonefile: self.zonefile.announced()?,
        })
    }
}

impl Change {
    /// Announces the zone file and waits.
    pub fn update(self, context: &Context) -> Result<Exit> {
        carry_out(context, &self.options, |_| {
            Ok(Wish::Update {
                name: name(&self.name)?,
                zonefile: self.zonefile.required()?,
            })
        })
    }

    /// Renews the name and waits.
    pub fn renew(self, context: &Context) -> Result<Exit> {
        carry_out(context, &self.options, |_| {
            Ok(Wish::Renew {
                name: name(&self.name)?,
                zonefile: self.zonefile.announced()?,
            })
        })
    }
}

impl Transfer {
    /// Transfers the name and waits.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let to = self.address.or(self.to).unwrap_or_default();
        carry_out(context, &self.options, |wallet| {
            Ok(Wish::Transfer {
                name: name(&self.name)?,
                to: wallet.address(&to)?,
                zonefile: match self.drop_zonefile {
                    true => OnTransfer::ClearZonefile,
                    false => OnTransfer::KeepZonefile,
                },
            })
        })
    }
}

impl Revoke {
    /// Revokes the name and waits.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let wish = |_: &Wallet<'_>| {
            Ok(Wish::Revoke {
                name: name(&self.name)?,
            })
        };
        carry_out(context, &self.options, wish)
    }
}

impl Import {
    /// Imports the name and waits.
    pub fn run(self, context: &Context) -> Result<Exit> {
        carry_out(context, &self.options, |wallet| {
            Ok(Wish::Import {
                name: name(&self.name)?,
                owner: wallet.address(&self.owner)?,
                zonefile: self.zonefile.required()?,
            })
        })
    }
}
