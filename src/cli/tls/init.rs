//! `bnsd tls init`: all that a name's owner needs for TLS, in one directory. Needs no daemon and no configuration.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::choice::{add_zonefile, begin, day, is_bound, shown};
use crate::cli::own::name;
use crate::cli::zonefile::HTTPS;
use crate::cli::{CliError, Context, Exit, Result};
use crate::names::rfc3339;
use crate::resolver::review;
use crate::trust::owner::OwnerFiles;

/// Arguments of `bnsd tls init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The name, like me.id
    name: String,
    /// Directory for the files; what is there already stays as it is
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// IPv4 or IPv6 address of the server; can be repeated
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<IpAddr>,
}

/// What is in the directory now.
#[derive(Debug, Serialize)]
struct Made {
    name: String,
    directory: PathBuf,
    made: Vec<String>,
    kept: Vec<String>,
    zonefile: PathBuf,
    /// The line that binds the key.
    record: String,
    /// Whether the zone file has that line.
    is_bound: bool,
    /// The last second of the leaf (RFC 3339).
    valid_until: String,
}

impl Init {
    /// Makes what is missing.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let name = name(&self.name)?;
        let mut files = OwnerFiles::prepare(&self.dir, &name, begin())?;
        add_zonefile(&mut files, &self.address)?;
        refuse_problems(&files)?;
        files.save()?;
        let made = Made::of(&files);
        context.output.show(&made, |page| {
            page.heading(format!("{name} has a key and a certificate for TLS"));
            page.entry("directory", &made.directory.display());
            page.entry_if("made", joined(&made.made));
            page.entry_if("kept", joined(&made.kept));
            page.entry("valid until", &day(files.leaf_ends()));
            let (directory, zonefile) = (shown(files.directory()), shown(&made.zonefile));
            if !made.is_bound {
                page.caution(format!("Add this line to {zonefile}, which does not have it:"));
                page.row([format!("  {}", made.record)]);
            }
            page.note(format!("Announce the zone file: `bnsd name register {name} --zonefile {zonefile}`,"));
            page.note(format!("or, if the name is yours already, `bnsd zonefile publish {name} {zonefile}`."));
            page.note(format!("Renew the certificate before that date: `bnsd tls issue --dir {directory}`."));
            page.note("Keep a copy of authority.key where no server is: who has it can be the name's server.");
        })
    }
}

impl Made {
    fn of(files: &OwnerFiles) -> Self {
        let named = |wanted: bool| {
            let files = files.files().filter(move |(_, is_new)| *is_new == wanted);
            files.map(|(name, _)| name.to_owned()).collect()
        };
        Self {
            name: files.name().to_string(),
            directory: files.directory().to_owned(),
            made: named(true),
            kept: named(false),
            zonefile: files.zonefile_path(),
            record: files.record(HTTPS),
            is_bound: is_bound(files),
            valid_until: rfc3339(files.leaf_ends()),
        }
    }
}

/// What resolvers would leave out of the zone file is refused before anything is written.
fn refuse_problems(files: &OwnerFiles) -> Result<()> {
    let text = files.zonefile().unwrap_or_default();
    let reviewed = review(files.name(), text).map_err(|error| CliError::No(error.to_string()))?;
    match reviewed.problems().next() {
        None => Ok(()),
        Some(problem) => Err(CliError::No(format!(
            "{}: {problem}",
            files.zonefile_path().display()
        ))),
    }
}

fn joined(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(", "))
}
