//! What the running daemon knows of subdomains.

use anyhow::anyhow;

use crate::api::subdomain::{SubdomainReply, SubdomainRequest};
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

/// Has a forecast learn what is accepted of subdomains, each once.
pub fn learn<'s>(
    context: &Context,
    forecast: &mut Forecast,
    subdomains: impl IntoIterator<Item = &'s Subdomain>,
    versions: AddressVersions,
) -> Result<()> {
    for subdomain in subdomains {
        if forecast.has_learnt(subdomain) {
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
        forecast.learn(subdomain.clone(), accepted);
    }
    Ok(())
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
