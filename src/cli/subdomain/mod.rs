//! `bnsd subdomain`: names below names, made, changed and put into the zone file of the name that carries them.
//!
//! A record file is a small zone file of the carrier: `$ORIGIN`, `$TTL`, and the record as one TXT line. So it says itself
//! which name may carry it, and it is read with the rules that read announced zone files.

mod known;
mod pack;
mod show;
mod signer;
mod write;

use std::path::Path;

use clap::Subcommand;

use super::argument::fold_name;
use super::{CliError, Context, Exit, Result};
use crate::bns::Name;
use crate::bns::address::AddressVersions;
use crate::bns::subdomain::{self, Base, RESERVED, Record, Subdomain};
use crate::wallet::harden;

pub use known::{Known, ask};
pub use pack::announced_base;

/// Subcommands of `bnsd subdomain`.
#[derive(Debug, Subcommand)]
pub enum SubdomainCommand {
    /// Show a subdomain: its owner, its zone file, and the records that count for nothing.
    Show(show::Show),
    /// Write the record that makes a subdomain.
    New(write::New),
    /// Write the record that gives a subdomain another zone file.
    Update(write::Update),
    /// Write the record that gives a subdomain to somebody else.
    Transfer(write::Transfer),
    /// Put records into zone files of the name that carries them, as few as possible.
    Pack(pack::Pack),
}

impl SubdomainCommand {
    /// Runs the subcommand.
    pub fn run(self, context: &Context) -> Result<Exit> {
        harden::forbid_dumps();
        match self {
            Self::Show(show) => show.run(context),
            Self::New(new) => new.run(context),
            Self::Update(update) => update.run(context),
            Self::Transfer(transfer) => transfer.run(context),
            Self::Pack(pack) => pack.run(context),
        }
    }
}

/// A subdomain as an argument, in any case and with or without the last dot.
fn subdomain(text: &str) -> Result<Subdomain> {
    let subdomain = fold_name(text).parse();
    subdomain.map_err(|error| CliError::Usage(format!("{text:?} is no subdomain: {error}")))
}

/// A subdomain as an argument, if records of it are of use.
fn writable(text: &str) -> Result<Subdomain> {
    let subdomain = subdomain(text)?;
    let label = subdomain.label();
    if RESERVED.contains(&label) {
        return Err(CliError::No(format!(
            "the zone files of names use the label {label} for something else: choose another one"
        )));
    }
    match unserved(&subdomain) {
        None => Ok(subdomain),
        Some(reason) => Err(CliError::No(format!(
            "{reason}: choose another label. Nothing was written"
        ))),
    }
}

/// Why DNS never serves a subdomain; `None` if it can be served.
fn unserved(subdomain: &Subdomain) -> Option<String> {
    let is_owner = subdomain.label().starts_with('_');
    is_owner.then(|| {
        format!(
            "DNS never serves {subdomain}: a label that begins with _ belongs to the records of {} itself",
            subdomain.name()
        )
    })
}

/// A record as a file that its carrier could announce.
fn record_file(carrier: &Name, record: &Record, versions: AddressVersions) -> String {
    let head = Base::empty(carrier);
    let head = String::from_utf8_lossy(head.bytes());
    let (subdomain, sequence) = (&record.subdomain, record.sequence);
    let owner = record.owner.encode(versions);
    let line = record.line(versions);
    format!("; {subdomain}, seqn {sequence}, owner {owner}\n{head}{line}\n")
}

/// The records in a file for a carrier, or why it is of no use.
pub fn records_of(
    carrier: &Name,
    bytes: &[u8],
    versions: AddressVersions,
) -> Result<Vec<Record>, String> {
    let carried =
        subdomain::read(carrier, bytes, versions).map_err(|error| format!("no record: {error}"))?;
    if let Some(refused) = carried.refused.first() {
        return Err(refused.to_string());
    }
    let mut reasons = carried.records.iter().map(|it| unserved(&it.subdomain));
    match (carried.records.is_empty(), reasons.find_map(|it| it)) {
        (true, _) => Err("there is no record in it".to_owned()),
        (false, Some(reason)) => Err(reason),
        (false, None) => Ok(carried.records),
    }
}

/// The same of a file that was named.
fn read_records(carrier: &Name, path: &Path, versions: AddressVersions) -> Result<Vec<Record>> {
    let bytes = super::name::read_zonefile(path)?;
    let records = records_of(carrier, &bytes, versions);
    records.map_err(|reason| CliError::No(format!("{}: {reason}", path.display())))
}
