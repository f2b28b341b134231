//! A zone file on the command line: a file, or the hash of one.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::{CliError, Result};
use crate::hash::ZonefileHash;
use crate::wallet::task::wish::Announced;
use crate::zonefile::ZONEFILE_MAX;

/// A zone file, or the hash of one.
#[derive(Debug, Clone, Default, Args)]
pub struct ZonefileChoice {
    /// Zone file; it is handed to the daemon's archive too
    #[arg(long, value_name = "FILE")]
    zonefile: Option<PathBuf>,
    /// Hash of a zone file that somebody else supplies
    #[arg(long, value_name = "HASH", conflicts_with = "zonefile")]
    hash: Option<String>,
}

impl ZonefileChoice {
    /// What is to be announced, if anything was named.
    pub fn announced(&self) -> Result<Option<Announced>> {
        if let Some(hash) = &self.hash {
            let hash: Result<ZonefileHash, _> = hash.parse();
            let wrong = |_| CliError::Usage("a zone file hash is 40 hex digits".to_owned());
            return Ok(Some(hash.map_err(wrong)?.into()));
        }
        let file = self.zonefile.as_deref();
        let bytes = file.map(read_zonefile).transpose()?;
        Ok(bytes.map(Announced::from))
    }

    /// The same where one has to be named.
    pub fn required(&self) -> Result<Announced> {
        self.announced()?.ok_or_else(|| {
            let text = "name the zone file with --zonefile, or its hash with --hash";
            CliError::Usage(text.to_owned())
        })
    }
}

/// The bytes of a zone file that the archive would take.
pub fn read_zonefile(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(CliError::file(path))?;
    if bytes.is_empty() || bytes.len() > ZONEFILE_MAX {
        return Err(CliError::No(format!(
            "{} has {} bytes: a zone file has 1 to {ZONEFILE_MAX}, and more is kept and answered by nobody",
            path.display(),
            bytes.len()
        )));
    }
    Ok(bytes)
}
