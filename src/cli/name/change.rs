//! Operations on a name that is owned: one transaction each.

use clap::Args;

use super::register::{fee, quoted};
use super::{ZonefileChoice, parse, report};
use crate::bns::Name;
use crate::cli::own::{Desk, OwnError, Plan, Progress, SendOptions, Sender};
use crate::cli::{CliError, Context, Exit};
use crate::hash::ZonefileHash;
use crate::wallet::operation::{OnTransfer, Operation};

/// Arguments of `bnsd name update`.
#[derive(Debug, Args)]
pub struct Update {
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
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// Let the new owner start without a zone file
    #[arg(long)]
    drop_zonefile: bool,
    #[command(flatten)]
    options: SendOptions,
}

/// Arguments of `bnsd name renew`.
#[derive(Debug, Args)]
pub struct Renew {
    /// The name.
    name: String,
    #[command(flatten)]
    zonefile: ZonefileChoice,
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

impl Update {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.options.keys)?;
        let name = parse(&self.name)?;
        let hash = self
            .zonefile
            .publish(context, &self.options)?
            .ok_or_else(no_zonefile)?;
        let progress = update(&desk, &name, hash, &self.options)?;
        report(&desk, name.as_str(), progress)
    }
}

/// Announces a zone file hash.
pub(in crate::cli) fn update(
    desk: &Desk<'_>,
    name: &Name,
    hash: ZonefileHash,
    options: &SendOptions,
) -> Result<Progress, CliError> {
    let sender = owner(desk, name, options)?;
    let address = sender.address();
    let plan = Plan {
        operation: "NAME_UPDATE",
        quotes: true,
        sender,
        make: Box::new(move |chain| {
            Ok(Operation::name_update(name, address, quoted(chain)?, hash))
        }),
        then: None,
    };
    let terms = [("zone file", hash.to_string())];
    desk.single(name.as_str(), "update", &terms, &plan, options)
}

impl Transfer {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.options.keys)?;
        let name = parse(&self.name)?;
        let sender = owner(&desk, &name, &self.options)?;
        let (from, to) = (sender.address(), desk.address(&self.to)?);
        let zonefile = if self.drop_zonefile {
            OnTransfer::ClearZonefile
        } else {
            OnTransfer::KeepZonefile
        };
        let transferred = &name;
        let plan = Plan {
            operation: "NAME_TRANSFER",
            quotes: true,
            sender,
            make: Box::new(move |chain| {
                let quoted = quoted(chain)?;
                Ok(Operation::name_transfer(
                    transferred,
                    from,
                    to,
                    quoted,
                    zonefile,
                ))
            }),
            then: None,
        };
        let terms = [("new owner", self.to.clone())];
        let progress = desk.single(name.as_str(), "transfer", &terms, &plan, &self.options)?;
        report(&desk, name.as_str(), progress)
    }
}

impl Renew {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.options.keys)?;
        let name = parse(&self.name)?;
        let hash = self.zonefile.publish(context, &self.options)?;
        let sender = owner(&desk, &name, &self.options)?;
        let address = sender.address();
        let renewed = &name;
        let desk_again = &desk;
        let plan = Plan {
            operation: "NAME_RENEWAL",
            quotes: false,
            sender,
            make: Box::new(move |chain| {
                let hash = hash.filter(|_| chain.register_with_value_hash);
                // The long form needs its token field where names can be paid in tokens (wf §6).
                let tokens = hash.and(chain.names_take_tokens.then_some(0));
                let burn = fee(desk_again, renewed)?;
                Ok(Operation::name_renew(renewed, address, hash, tokens, burn))
            }),
            then: None,
        };
        let progress = desk.single(name.as_str(), "renew", &[], &plan, &self.options)?;
        report(&desk, name.as_str(), progress)
    }
}

impl Revoke {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.options.keys)?;
        let name = parse(&self.name)?;
        let sender = owner(&desk, &name, &self.options)?;
        let address = sender.address();
        let revoked = &name;
        let plan = Plan {
            operation: "NAME_REVOKE",
            quotes: false,
            sender,
            make: Box::new(move |_| Ok(Operation::name_revoke(revoked, address))),
            then: None,
        };
        let progress = desk.single(name.as_str(), "revoke", &[], &plan, &self.options)?;
        report(&desk, name.as_str(), progress)
    }
}

impl Import {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.options.keys)?;
        let name = parse(&self.name)?;
        let hash = self
            .zonefile
            .publish(context, &self.options)?
            .ok_or_else(no_zonefile)?;
        let to = desk.address(&self.owner)?;
        let sender = desk.sender(self.options.key.as_ref(), None)?;
        let imported = &name;
        let plan = Plan {
            operation: "NAME_IMPORT",
            quotes: false,
            sender,
            make: Box::new(move |_| Ok(Operation::name_import(imported, to, hash))),
            then: None,
        };
        let terms = [
            ("owner", self.owner.clone()),
            ("zone file", hash.to_string()),
        ];
        let progress = desk.single(name.as_str(), "import", &terms, &plan, &self.options)?;
        report(&desk, name.as_str(), progress)
    }
}

fn no_zonefile() -> OwnError {
    OwnError::Usage("name the zone file with --zonefile, or its hash with --hash".to_owned())
}

/// The owner's key: the one that was named, or the one that the chain says.
pub(super) fn owner(
    desk: &Desk<'_>,
    name: &Name,
    options: &SendOptions,
) -> Result<Sender, CliError> {
    let reply = desk.name(name)?;
    let script = reply.owner_script.ok_or_else(|| {
        OwnError::No(format!(
            "{name} was never registered: `bnsd name register {name}`"
        ))
    })?;
    desk.sender(options.key.as_ref(), Some(&script))
}
