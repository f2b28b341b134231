//! The operations on a name that is owned, and the import of one.

use clap::Args;

use super::choice::ZonefileChoice;
use crate::cli::own::{SendOptions, carry_out, name};
use crate::cli::{Context, Exit, Result};
use crate::wallet::operation::OnTransfer;
use crate::wallet::task::{Wallet, Wish};

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
