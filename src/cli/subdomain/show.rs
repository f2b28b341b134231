//! `bnsd subdomain show`: what is known of a subdomain.

use clap::Args;

use super::{known, subdomain, unserved};
use crate::cli::explain::write_subdomain;
use crate::cli::{Context, Exit, Result};
use crate::names::SubdomainDetails;

/// Arguments of `bnsd subdomain show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The subdomain, as LABEL.NAME.NAMESPACE
    subdomain: String,
}

impl Show {
    /// Asks and prints; no, if none of its records is accepted.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let subdomain = subdomain(&self.subdomain)?;
        let reply = known::ask(context, &subdomain)?;
        context.output.show(&reply, |page| {
            match &reply.subdomain {
                Some(details) => write_subdomain(details, page),
                None => page.note(format!(
                    "No zone file that is here holds a record of {subdomain}."
                )),
            }
            if reply.subdomain.is_none() && !reply.missing.is_empty() {
                let rows: Vec<String> = reply.missing.iter().map(u32::to_string).collect();
                page.caution(format!(
                    "Zone files of {} are missing that may hold one, inventory index {}.",
                    subdomain.name(),
                    rows.join(", ")
                ));
            }
            if let Some(reason) = unserved(&subdomain) {
                page.caution(format!("{reason}."));
            }
            if !reply.current {
                page.caution("The daemon has not read all announced zone files yet.");
            }
        })?;
        let is_there = |details: &SubdomainDetails| details.owner.is_some();
        Ok(Exit::success_if(
            reply.subdomain.as_ref().is_some_and(is_there),
        ))
    }
}
