//! What commands share that make keys of a name's owner; those about zone files make one unless somebody says otherwise.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use crate::bns::Name;
use crate::cli::output::Page;
use crate::cli::zonefile::web;
use crate::cli::{CliError, Result};
use crate::names::rfc3339;
use crate::trust::owner::{OwnerError, OwnerFiles};
use crate::wallet::harden;

/// Whether a key for TLS is made, and where.
#[derive(Debug, Clone, Default, Args)]
pub struct TlsChoice {
    /// Make no key and certificate for TLS
    #[arg(long, conflicts_with = "tls_dir")]
    no_tls: bool,
    /// Directory of the key and certificate for TLS, by default tls/NAME in the directory of the keys
    #[arg(long, value_name = "DIR")]
    tls_dir: Option<PathBuf>,
}

impl TlsChoice {
    /// What is there or is to be made for a name; `None` if it is not wanted. Nothing is written yet. `keys` finds the
    /// directory of the keys.
    pub fn prepare(
        &self,
        name: &Name,
        keys: impl FnOnce() -> Result<PathBuf>,
    ) -> Result<Option<OwnerFiles>> {
        if self.no_tls {
            return Ok(None);
        }
        let directory = match &self.tls_dir {
            Some(directory) => directory.clone(),
            None => keys()?.join("tls").join(name.as_str()),
        };
        Ok(Some(OwnerFiles::prepare(&directory, name, begin())?))
    }
}

/// Adds the zone file of a web host with these addresses. Refuses where another one is kept, in which they would be missing.
pub fn add_zonefile(files: &mut OwnerFiles, addresses: &[IpAddr]) -> Result<()> {
    let text = web(files.name(), addresses, Some(files));
    files.add_zonefile(&text)?;
    if addresses.is_empty() || files.zonefile() == Some(text.as_bytes()) {
        return Ok(());
    }
    Err(CliError::No(format!(
        "{} is there already and says something else: change it there, or move it away",
        files.zonefile_path().display()
    )))
}

/// Writes what is missing, or says what to do where it cannot be written.
pub fn save(files: &OwnerFiles) -> Result<(), String> {
    let advice = "name another directory with --tls-dir, or make no key with --no-tls";
    files.save().map_err(|error| format!("{error}; {advice}"))
}

/// Whether the zone file binds the key.
pub fn is_bound(files: &OwnerFiles) -> bool {
    let text = files.zonefile().unwrap_or_default();
    String::from_utf8_lossy(text).contains(&files.key())
}

/// Says where the key and certificate of a name are.
pub fn say_place(files: &OwnerFiles) {
    let mut page = Page::default();
    let (name, directory) = (files.name(), shown(files.directory()));
    page.note(format!(
        "The key and certificate for https://{name}, and lines for its web server, are in {directory}."
    ));
    page.note(format!(
        "Renew the certificate before {}: `bnsd tls issue --dir {directory}`.",
        day(files.leaf_ends())
    ));
    page.say();
}

/// A path as it can be typed in a shell.
pub(super) fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    match text.contains(' ') {
        true => format!("'{text}'"), // other special characters are refused
        false => text,
    }
}

impl From<OwnerError> for CliError {
    fn from(error: OwnerError) -> Self {
        match error.is_refusal() {
            true => Self::No(error.to_string()),
            false => Self::Trouble(anyhow::Error::msg(error.to_string())), // it says its cause itself
        }
    }
}

/// The machine's clock, in seconds since 1970. Keys are about to be in memory, which from now on is in no core file.
pub(super) fn begin() -> u64 {
    harden::forbid_dumps();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

/// The day of a time in seconds since 1970.
pub(super) fn day(seconds: u64) -> String {
    let mut date = rfc3339(seconds);
    date.truncate("2027-01-01".len());
    date
}
