//! What the running daemon knows of subdomains.

use std::collections::BTreeMap;

use anyhow::anyhow;

use crate::api::subdomain::{SubdomainReply, SubdomainRequest};
use crate::bns::Name;
use crate::bns::address::{Address, AddressVersions};
use crate::bns::subdomain::{Accepted, Forecast, Subdomain};
use crate::cli::{CliError, Context, Result};
use crate::hash::ZonefileHash;
use crate::names::SubdomainDetails;

/// What is known of a subdomain.
pub fn ask(context: &Context, subdomain: &Subdomain) -> Result<Box<SubdomainReply>> {
    let name = subdomain.to_string();
    context.answer(SubdomainRequest { name })
}

/// What the daemon knows of some subdomains.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// What is accepted of them.
    pub forecast: Forecast,
    /// The rows of names above them whose zone files are missing; a name that misses none is not among them.
    missing: BTreeMap<Name, Vec<u32>>,
}

impl Known {
    /// Asks for subdomains, each once.
    pub fn learn<'s>(
        &mut self,
        context: &Context,
        subdomains: impl IntoIterator<Item = &'s Subdomain>,
        versions: AddressVersions,
    ) -> Result<()> {
        for subdomain in subdomains {
            if self.forecast.has_learnt(subdomain) {
                continue;
            }
            let reply = ask(context, subdomain)?;
            if !reply.current {
                return Err(CliError::Trouble(anyhow!(
                    "the daemon has not read all announced zone files yet, so what is accepted of {subdomain} is not known: try again in a moment"
                )));
            }
            let details = reply.subdomain.iter();
            let accepted = details.flat_map(|details| accepted(details, versions));
            self.forecast.learn(subdomain.clone(), accepted);
            self.misses(subdomain.name(), reply.missing);
        }
        Ok(())
    }

    /// Notes the rows of a name whose zone files are missing.
    pub fn misses(&mut self, name: &Name, rows: Vec<u32>) {
        if !rows.is_empty() {
            self.missing.insert(name.clone(), rows);
        }
    }

    /// What is missing before anything is certain of a subdomain, and what can be done, as a sentence without its end; `None`
    /// if nothing is missing.
    pub fn gap(&self, subdomain: &Subdomain) -> Option<String> {
        let name = subdomain.name();
        let rows: Vec<String> = self.missing.get(name)?.iter().map(u32::to_string).collect();
        Some(format!(
            "zone files of {name} are missing that may hold other records of {subdomain}, inventory index {}: wait until they come, import them with `bnsd zonefile import`, or let the owner of {name} declare them lost by the line `_missing TXT \"{}\"` in its zone file",
            rows.join(", "),
            rows.join(",")
        ))
    }
}

/// The accepted records that are shown, the last one in any case.
fn accepted(details: &SubdomainDetails, versions: AddressVersions) -> Vec<Accepted> {
    let record = |sequence, owner: &str, zonefile| {
        Some(Accepted {
            sequence,
            owner: Address::decode(owner, versions)?,
            zonefile,
        })
    };
    let shown = details.records.iter().filter(|it| it.refused.is_none());
    let shown = shown.filter_map(|it| record(it.sequence, &it.owner, it.zonefile_hash));
    let last = details.sequence.zip(details.owner.as_deref());
    let last = last.and_then(|(sequence, owner)| {
        let hash = details.zonefile_hash;
        record(sequence, owner, hash.unwrap_or(ZonefileHash::of(&[])))
    });
    shown.chain(last).collect()
}
