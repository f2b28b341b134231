//! `bnsd subdomain new`, `update` and `transfer`: records, written to be packed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use super::known::Known;
use super::signer::Signer;
use super::{record_file, writable};
use crate::api::owner::ZonefileRequest;
use crate::bns::Name;
use crate::bns::address::{Address, AddressVersions};
use crate::bns::subdomain::{Accepted, Base, Packing, Prospect, Record, Subdomain};
use crate::cli::name::read_zonefile;
use crate::cli::output::print_bytes;
use crate::cli::own::{KeyOptions, name};
use crate::cli::{CliError, Context, Exit, Result};
use crate::hash::ZonefileHash;
use crate::resolver::review_subdomain;
use crate::wallet::vault::Reference;

/// Arguments of `bnsd subdomain new`.
#[derive(Debug, Args)]
pub struct New {
    /// The subdomain, as LABEL.NAME.NAMESPACE
    subdomain: String,
    /// Its zone file
    #[arg(long, value_name = "FILE")]
    zonefile: PathBuf,
    /// Address of its owner, who need not sign; by default that of a key here
    #[arg(long, value_name = "ADDRESS", conflicts_with = "owner_key")]
    owner: Option<String>,
    /// Key of its owner: NAME or NAME/INDEX; by default the only one
    #[arg(id = "owner_key", long = "key", value_name = "KEY")]
    key: Option<Reference>,
    /// Ask no daemon whether it is there already
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    writing: Writing,
}

/// Arguments of `bnsd subdomain update`.
#[derive(Debug, Args)]
pub struct Update {
    /// The subdomain, as LABEL.NAME.NAMESPACE
    subdomain: String,
    /// Its new zone file
    #[arg(long, value_name = "FILE")]
    zonefile: PathBuf,
    #[command(flatten)]
    follows: Follows,
    #[command(flatten)]
    writing: Writing,
}

/// Arguments of `bnsd subdomain transfer`.
#[derive(Debug, Args)]
pub struct Transfer {
    /// The subdomain, as LABEL.NAME.NAMESPACE
    subdomain: String,
    /// Address of the new owner
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// Its new zone file; by default the present one
    #[arg(long, value_name = "FILE")]
    zonefile: Option<PathBuf>,
    #[command(flatten)]
    follows: Follows,
    #[command(flatten)]
    writing: Writing,
}

/// What a record has to follow.
#[derive(Debug, Args)]
struct Follows {
    /// Number of the record, where no daemon is asked: one more than that of the last accepted one
    #[arg(long, value_name = "NUMBER", requires = "owner", value_parser = clap::value_parser!(u64).range(1..))]
    sequence: Option<u64>,
    /// Address of the present owner, where no daemon is asked
    #[arg(long, value_name = "ADDRESS", requires = "sequence")]
    owner: Option<String>,
    /// Name whose zone file carries the record, instead of the name above the subdomain
    #[arg(long, value_name = "NAME")]
    carrier: Option<String>,
}

/// Where a record goes, and who signs it.
#[derive(Debug, Args)]
struct Writing {
    /// Write the record to this file; by default to the standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the record although resolvers would leave parts of the zone file out
    #[arg(long)]
    anyway: bool,
    #[command(flatten)]
    keys: KeyOptions,
}

/// A record that was written.
#[derive(Debug, Serialize)]
struct Written<'w> {
    name: String,
    carrier: &'w Name,
    sequence: u64,
    owner: String,
    zonefile_hash: ZonefileHash,
    signed: bool,
    /// The file as text.
    record: &'w str,
    /// Where it was written; `null` for the standard output.
    file: Option<&'w Path>,
}

impl New {
    /// Writes the record.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let subdomain = writable(&self.subdomain)?;
        let zonefile = self.writing.zonefile(&subdomain, &self.zonefile)?;
        let signer = Signer::open(context, &self.writing.keys)?;
        let (versions, keyring) = (signer.versions, &signer.keyring);
        let mut known = Known::default();
        if !self.offline {
            known.learn(context, [&subdomain], versions)?;
        }
        let lock = match &self.owner {
            Some(_) => None,
            None => Some(keyring.sender(self.key.as_ref())?),
        };
        let owner = match (&self.owner, &lock) {
            (Some(owner), _) => signer.owner(owner)?,
            (None, Some(lock)) => lock.address(),
            (None, None) => return Err(CliError::Usage("name an owner with --owner".to_owned())),
        };
        let mut record = Record {
            independent: false,
            owner,
            sequence: 0,
            zonefile,
            signature: None,
            subdomain,
        };
        judge(&mut known, &record, versions)?;
        if let Some(lock) = &lock {
            signer.sign(&mut record, lock)?;
        }
        let carrier = record.subdomain.name().clone();
        self.writing.write(context, &carrier, &record, versions)
    }
}

impl Update {
    /// Signs and writes the record.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let subdomain = writable(&self.subdomain)?;
        let zonefile = self.writing.zonefile(&subdomain, &self.zonefile)?;
        let signer = Signer::open(context, &self.writing.keys)?;
        let last = self.follows.last(context, &subdomain, &signer)?;
        let change = Change {
            owner: last.owner,
            zonefile,
        };
        let follows = &self.follows;
        follows.write(context, &self.writing, &signer, (subdomain, last), change)
    }
}

impl Transfer {
    /// Signs and writes the record.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let subdomain = writable(&self.subdomain)?;
        let signer = Signer::open(context, &self.writing.keys)?;
        let last = self.follows.last(context, &subdomain, &signer)?;
        let zonefile = match &self.zonefile {
            Some(path) => self.writing.zonefile(&subdomain, path)?,
            None if self.follows.sequence.is_some() => {
                let text =
                    "name its zone file with --zonefile: no daemon is asked for the present one";
                return Err(CliError::Usage(text.to_owned()));
            }
            None => present_zonefile(context, &subdomain, last.zonefile)?,
        };
        let change = Change {
            owner: signer.owner(&self.to)?,
            zonefile,
        };
        let follows = &self.follows;
        follows.write(context, &self.writing, &signer, (subdomain, last), change)
    }
}

/// What a subdomain becomes.
struct Change {
    owner: Address,
    zonefile: Vec<u8>,
}

impl Follows {
    /// The last accepted record: what was said of it, or what the daemon knows.
    fn last(
        &self,
        context: &Context,
        subdomain: &Subdomain,
        signer: &Signer<'_>,
    ) -> Result<Accepted> {
        if let (Some(sequence), Some(owner)) = (self.sequence, &self.owner) {
            return Ok(Accepted {
                sequence: sequence.saturating_sub(1),
                owner: signer.keyring.address(owner, signer.versions)?,
                zonefile: ZonefileHash::of(&[]), // not known, and not looked at
            });
        }
        let mut known = Known::default();
        known.learn(context, [subdomain], signer.versions)?;
        known.forecast.last(subdomain).ok_or_else(|| {
            CliError::No(known.gap(subdomain).unwrap_or_else(|| {
                format!("there is no subdomain {subdomain} yet: make it with `bnsd subdomain new {subdomain}`")
            }))
        })
    }

    /// Signs the record that makes `change` of a subdomain, and writes it.
    fn write(
        &self,
        context: &Context,
        writing: &Writing,
        signer: &Signer<'_>,
        (subdomain, last): (Subdomain, Accepted),
        change: Change,
    ) -> Result<Exit> {
        let carrier = match &self.carrier {
            Some(carrier) => name(carrier)?,
            None => subdomain.name().clone(),
        };
        let mut record = Record {
            independent: carrier != *subdomain.name(),
            owner: change.owner,
            sequence: last.sequence.saturating_add(1),
            zonefile: change.zonefile,
            signature: None,
            subdomain,
        };
        let lock = signer.lock(last.owner)?;
        signer.sign(&mut record, &lock)?;
        let mut known = Known::default();
        known.forecast.learn(record.subdomain.clone(), [last]);
        judge(&mut known, &record, signer.versions)?;
        writing.write(context, &carrier, &record, signer.versions)
    }
}

/// Refuses a record that the rules would refuse, and one of which that is not certain.
fn judge(known: &mut Known, record: &Record, versions: AddressVersions) -> Result<()> {
    let subdomain = &record.subdomain;
    match (known.forecast.judge(record, versions), known.gap(subdomain)) {
        (Prospect::Accepted, None) => Ok(()),
        (Prospect::Accepted | Prospect::Refused(_), Some(gap)) => {
            Err(CliError::No(format!("{gap}. Nothing was written")))
        }
        (Prospect::Known, _) => Err(CliError::No(format!(
            "this record of {subdomain} is accepted already: `bnsd subdomain show {subdomain}`"
        ))),
        (Prospect::Refused(refusal), None) => Err(CliError::No(format!(
            "a record {} of {subdomain} would be refused: {refusal}. Nothing was written",
            record.sequence
        ))),
    }
}

/// The zone file that a subdomain has.
fn present_zonefile(
    context: &Context,
    subdomain: &Subdomain,
    hash: ZonefileHash,
) -> Result<Vec<u8>> {
    let missing = || {
        CliError::Trouble(anyhow!(
            "the zone file {hash} of {subdomain} is not here: name it, or another one, with --zonefile"
        ))
    };
    let reply = context.answer(ZonefileRequest { hash })?;
    reply.zonefile.ok_or_else(missing)
}

impl Writing {
    /// The zone file of a subdomain, unless resolvers would leave something of it out.
    fn zonefile(&self, subdomain: &Subdomain, path: &Path) -> Result<Vec<u8>> {
        let bytes = read_zonefile(path)?;
        let reviewed = review_subdomain(subdomain, &bytes);
        let reviewed = reviewed.map_err(|error| CliError::No(error.to_string()))?;
        if reviewed.count() == 0 || self.anyway {
            return Ok(bytes);
        }
        let problems: Vec<String> = reviewed.problems().collect();
        Err(CliError::No(format!(
            "resolvers would leave out of the zone file of {subdomain}\n  {}\nMend it, or insist with --anyway. Nothing was written",
            problems.join("\n  ")
        )))
    }

    /// Writes a record that some zone file of its carrier has room for.
    fn write(
        &self,
        context: &Context,
        carrier: &Name,
        record: &Record,
        versions: AddressVersions,
    ) -> Result<Exit> {
        let one = std::slice::from_ref(record);
        Packing::all(&Base::empty(carrier), one, versions)
            .map_err(|_| CliError::No(too_large(record)))?;
        let text = record_file(carrier, record, versions);
        if let Some(path) = &self.out {
            write_whole(path, &text).map_err(CliError::file(path))?;
        } else if !context.output.is_json() {
            print_bytes(text.as_bytes())?;
            return Ok(Exit::Success);
        }
        let written = Written {
            name: record.subdomain.to_string(),
            carrier,
            sequence: record.sequence,
            owner: record.owner.encode(versions),
            zonefile_hash: ZonefileHash::of(&record.zonefile),
            signed: record.signature.is_some(),
            record: &text,
            file: self.out.as_deref(),
        };
        context.output.show(&written, |page| {
            page.heading(format!("record {} of {}", written.sequence, written.name));
            page.entry("owner", &written.owner);
            page.entry("zone file hash", &written.zonefile_hash);
            page.entry_if("written to", written.file.map(|file| file.display()));
            page.note(format!(
                "It is in force when {carrier} announces it: give the file to whoever owns that name (`bnsd subdomain pack`)."
            ));
        })
    }
}

fn too_large(record: &Record) -> String {
    format!(
        "the zone file of {} has {} bytes, and no zone file of its carrier has room for it: make it shorter than about 30,000",
        record.subdomain,
        record.zonefile.len()
    )
}

/// Writes a file that is there whole or not at all, so that it can be written where a registrar waits for it.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{file}.{}", std::process::id()));
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}
