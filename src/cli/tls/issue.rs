//! `bnsd tls issue`: another leaf. Needs no daemon, no configuration and no operation on the chain.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::choice::{begin, day};
use crate::cli::{Context, Exit, Result};
use crate::names::rfc3339;
use crate::trust::owner::{LeafKey, OwnerFiles};

/// Arguments of `bnsd tls issue`.
#[derive(Debug, Args)]
pub struct Issue {
    /// Directory that `bnsd tls init` filled
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Give the server another key too
    #[arg(long)]
    new_key: bool,
}

/// What was replaced.
#[derive(Debug, Serialize)]
struct Issued {
    name: String,
    directory: PathBuf,
    replaced: Vec<String>,
    /// The last second of the leaf (RFC 3339).
    valid_until: String,
}

impl Issue {
    /// Replaces the leaf and what is made of it.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let key = match self.new_key {
            true => LeafKey::New,
            false => LeafKey::Kept,
        };
        let files = OwnerFiles::renewed(&self.dir, key, begin())?;
        files.replace()?;
        let replaced = files.files().filter(|(_, is_new)| *is_new);
        let issued = Issued {
            name: files.name().to_string(),
            directory: files.directory().to_owned(),
            replaced: replaced.map(|(name, _)| name.to_owned()).collect(),
            valid_until: rfc3339(files.leaf_ends()),
        };
        context.output.show(&issued, |page| {
            page.heading(format!("{} has a new certificate", issued.name));
            page.entry("directory", &issued.directory.display());
            page.entry("replaced", &issued.replaced.join(", "));
            page.entry("valid until", &day(files.leaf_ends()));
            page.note(
                "Let the server read it: `systemctl reload nginx`, `systemctl reload haproxy`, or",
            );
            page.note("`caddy reload --force --config /etc/caddy/Caddyfile`.");
        })
    }
}
