//! `bnsd subdomain pack`: records into zone files of the name that carries them.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::known::Known;
use super::read_records;
use super::signer::Signer;
use crate::api::owner::ZonefileRequest;
use crate::bns::Name;
use crate::bns::address::AddressVersions;
use crate::bns::subdomain::{self, Base, BaseError, Packing, Prospect, Record};
use crate::cli::count::count;
use crate::cli::name::read_zonefile;
use crate::cli::own::{KeyOptions, name, open, state_of};
use crate::cli::{CliError, Context, Exit, Result};
use crate::hash::ZonefileHash;
use crate::wallet::fee::{CAP, FeePolicy, HighFee};
use crate::wallet::task::wallet::{Means, Signer as Signs, Unanswered, Until};
use crate::wallet::task::{Outcome, Wish};
use crate::wallet::words;

/// Arguments of `bnsd subdomain pack`.
#[derive(Debug, Args)]
pub struct Pack {
    /// The name that carries the records
    name: String,
    /// Files with records
    #[arg(required = true, value_name = "RECORD")]
    records: Vec<PathBuf>,
    /// Zone file of the name itself; by default the one that the chain announces
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    /// Write the zone file here; a directory if more than one is needed
    #[arg(long, value_name = "FILE|DIR")]
    out: PathBuf,
    /// Ask no daemon: records are only checked against each other, from seqn 0 on
    #[arg(long, requires = "base")]
    offline: bool,
    #[command(flatten)]
    keys: KeyOptions,
}

/// What was packed.
#[derive(Debug, Serialize)]
struct Packed {
    carrier: Name,
    /// In the order in which they have to be announced.
    zonefiles: Vec<PackedFile>,
    /// Records that are in force already.
    known: usize,
    /// What the announcement of each costs, in satoshi; `null` if that cannot be told here.
    satoshi_each: Option<i64>,
    /// Why not.
    cost_unknown: Option<String>,
}

#[derive(Debug, Serialize)]
struct PackedFile {
    file: PathBuf,
    zonefile_hash: ZonefileHash,
    bytes: usize,
    records: usize,
}

/// A record, and the file that it came from.
struct Found {
    path: PathBuf,
    record: Record,
    /// Whether it has to be accepted; what the base holds may be old.
    is_wanted: bool,
}

impl Pack {
    /// Packs and writes.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let carrier = name(&self.name)?;
        let versions = Signer::open(context, &self.keys)?.versions;
        let (base, mut found) = self.base(context, &carrier, versions)?;
        for path in &self.records {
            let records = read_records(&carrier, path, versions)?.into_iter();
            found.extend(records.map(|record| Found {
                path: path.clone(),
                record,
                is_wanted: true,
            }));
        }
        let (records, known) = self.sift(context, found, versions)?;
        let packings = Packing::all(&base, &records, versions).map_err(|subdomain| {
            CliError::No(format!(
                "the zone file of {carrier} has no room for the record of {subdomain}: shorten one of them. Nothing was written"
            ))
        })?;
        let zonefiles = self.write(&carrier, packings)?;
        let (satoshi_each, cost_unknown) = match self.cost(context, &carrier, &zonefiles) {
            Ok(satoshi) => (satoshi, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let packed = Packed {
            carrier,
            zonefiles,
            known,
            satoshi_each,
            cost_unknown,
        };
        report(context, &packed)
    }

    /// The zone file that the records are added to, and those that it holds itself.
    fn base(
        &self,
        context: &Context,
        carrier: &Name,
        versions: AddressVersions,
    ) -> Result<(Base, Vec<Found>)> {
        let Some(path) = &self.base else {
            return Ok((announced_base(context, carrier, versions)?, Vec::new()));
        };
        let wrong = |error: BaseError| CliError::No(format!("{}: {error}", path.display()));
        let bytes = read_zonefile(path)?;
        let base = Base::new(carrier, &bytes, versions).map_err(wrong)?;
        let carried = subdomain::read(carrier, &bytes, versions);
        let records = carried.map_err(|error| wrong(error.into()))?.records;
        let found = records.into_iter().map(|record| Found {
            path: path.clone(),
            record,
            is_wanted: false,
        });
        Ok((base, found.collect()))
    }

    /// The records that would be accepted, and how many are already. An error names all that would be refused.
    fn sift(
        &self,
        context: &Context,
        mut found: Vec<Found>,
        versions: AddressVersions,
    ) -> Result<(Vec<Record>, usize)> {
        let mut daemon = Known::default();
        if !self.offline {
            let subdomains = found.iter().map(|found| &found.record.subdomain);
            daemon.learn(context, subdomains, versions)?;
        }
        found.sort_by_key(|found| found.record.sequence);
        let (mut records, mut known, mut refused) = (Vec::new(), 0, Vec::new());
        for Found {
            path,
            record,
            is_wanted,
        } in found
        {
            let prospect = daemon.forecast.judge(&record, versions);
            let said = |text: String| format!("{}: {text}", path.display());
            match (prospect, daemon.gap(&record.subdomain)) {
                (Prospect::Known, _) => known += usize::from(is_wanted),
                (Prospect::Accepted, Some(gap)) if is_wanted && record.sequence == 0 => {
                    refused.push(said(gap));
                }
                (Prospect::Accepted, _) => records.push(record),
                (Prospect::Refused(_), _) if !is_wanted => {}
                (Prospect::Refused(_), Some(gap)) => refused.push(said(gap)),
                (Prospect::Refused(refusal), None) => refused.push(said(format!(
                    "{} would be refused: {refusal}",
                    record.subdomain
                ))),
            }
        }
        match refused.is_empty() {
            true => Ok((records, known)),
            false => Err(CliError::No(format!(
                "{}\nNothing was written",
                refused.join("\n")
            ))),
        }
    }

    /// Writes the zone files: one to the place that was named, several into a directory there.
    fn write(&self, carrier: &Name, packings: Vec<Packing>) -> Result<Vec<PackedFile>> {
        let many = packings.len() > 1;
        if many {
            fs::create_dir_all(&self.out).map_err(CliError::file(&self.out))?;
        }
        let mut written = Vec::new();
        for (number, packing) in (1..).zip(packings) {
            let file = match (many, self.out.is_dir()) {
                (true, _) => self.out.join(format!("{carrier}-{number}.zone")),
                (false, true) => self.out.join(format!("{carrier}.zone")),
                (false, false) => self.out.clone(),
            };
            let records = packing.count();
            let zonefile = packing.into_zonefile();
            fs::write(&file, &zonefile).map_err(CliError::file(&file))?;
            written.push(PackedFile {
                zonefile_hash: ZonefileHash::of(&zonefile),
                bytes: zonefile.len(),
                records,
                file,
            });
        }
        Ok(written)
    }

    /// What the announcement of each file costs. They are transactions of the same size.
    fn cost(
        &self,
        context: &Context,
        carrier: &Name,
        zonefiles: &[PackedFile],
    ) -> Result<Option<i64>> {
        let Some(first) = zonefiles.first().filter(|_| !self.offline) else {
            return Ok(None);
        };
        let wish = Wish::Update {
            name: carrier.clone(),
            zonefile: first.zonefile_hash.into(),
        };
        let means = Means {
            key: None,
            payer: None,
            coins: Vec::new(),
            fees: FeePolicy {
                fixed: None,
                cap: CAP,
                high: HighFee::Pay,
            },
            unanswered: Unanswered::Announced,
            signer: Signs::Here,
            until: Until::Drafted,
        };
        match open(context, &self.keys)?.carry_out(&wish, &means)? {
            Outcome::Drafted(proposal) => Ok(Some(proposal.bill.total())),
            _ => Ok(None),
        }
    }
}

/// What the chain announces for a carrier, without its records.
pub fn announced_base(
    context: &Context,
    carrier: &Name,
    versions: AddressVersions,
) -> Result<Base> {
    let Some(hash) = state_of(context, carrier)?.registration.zonefile_hash else {
        return Ok(Base::empty(carrier));
    };
    let reply = context.answer(ZonefileRequest { hash })?;
    let bytes = reply.zonefile.ok_or_else(|| {
        CliError::No(format!(
            "the zone file {hash} of {carrier} is not here: name it with --base, or hand it to the daemon with `bnsd zonefile publish`"
        ))
    })?;
    Base::new(carrier, &bytes, versions).map_err(|error| {
        CliError::No(format!(
            "the zone file that the chain announces for {carrier} cannot carry records: {error}"
        ))
    })
}

fn report(context: &Context, packed: &Packed) -> Result<Exit> {
    context.output.show(packed, |page| {
        let files = packed.zonefiles.len() as u64;
        let carrier = &packed.carrier;
        page.heading(format!("{} of {carrier}", count(files, "zone file")));
        for file in &packed.zonefiles {
            page.row([
                format!("  {}", file.file.display()),
                count(file.records as u64, "record"),
                format!("{} bytes", words::grouped(file.bytes as u64)),
                file.zonefile_hash.to_string(),
            ]);
        }
        if packed.known > 0 {
            let known = count(packed.known as u64, "record");
            page.note(format!("{known} in force already, which no file needs."));
        }
        if let Some(each) = packed.satoshi_each {
            let each = words::gain(each.into());
            page.note(format!("To announce each costs {each}."));
        }
        if let Some(reason) = &packed.cost_unknown {
            page.note(format!(
                "What it costs to announce them is not known: {reason}"
            ));
        }
        for file in &packed.zonefiles {
            let path = file.file.display();
            page.note(format!("bnsd zonefile publish {carrier} {path}"));
        }
    })
}
