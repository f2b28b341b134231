//! The names that somebody wants to import: from a CSV file, or from a folder of zone files.

use std::collections::HashSet;
use std::path::Path;

use crate::bns::NamespaceId;
use crate::bns::address::Address;
use crate::cli::argument::fold;
use crate::cli::name::read_zonefile;
use crate::cli::{CliError, Result};
use crate::hash::ZonefileHash;
use crate::wallet::task::Wallet;
use crate::wallet::task::import::ImportedName;

/// Ending of zone files.
const ENDING: &str = ".zone";

/// Reads what `from` lists, which has to belong into the namespace; names of a folder get `owner`.
pub(super) fn read(
    wallet: &Wallet<'_>,
    id: &NamespaceId,
    from: &Path,
    owner: Address,
) -> Result<Vec<ImportedName>> {
    let wanted = if from.is_dir() {
        from_folder(from, owner)?
    } else {
        from_csv(wallet, from)?
    };
    // Of two lines on a name one undoes the other, at every run again, and each is paid for.
    let mut seen = HashSet::new();
    if let Some(twice) = wanted.iter().find(|wish| !seen.insert(&wish.name)) {
        let text = format!("{} stands there twice: leave one out", twice.name);
        return Err(CliError::Usage(text));
    }
    let foreign = wanted
        .iter()
        .find(|wish| wish.name.namespace_id().as_ref() != Some(id));
    if let Some(foreign) = foreign {
        let text = format!("{} does not belong into {id}", foreign.name);
        return Err(CliError::Usage(text));
    }
    Ok(wanted)
}

fn from_folder(folder: &Path, owner: Address) -> Result<Vec<ImportedName>> {
    let failed = CliError::file(folder);
    let mut wanted = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(ENDING));
        let Some(name) = name else {
            continue;
        };
        let name = name.parse().map_err(|_| {
            let path = path.display();
            CliError::Usage(format!("{path} is not called NAME.zone: rename it"))
        })?;
        let bytes = read_zonefile(&path)?;
        wanted.push(ImportedName {
            name,
            owner,
            zonefile: bytes.into(),
        });
    }
    wanted.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(wanted)
}

fn from_csv(wallet: &Wallet<'_>, path: &Path) -> Result<Vec<ImportedName>> {
    let text = std::fs::read_to_string(path).map_err(CliError::file(path))?;
    let mut wanted = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || (number == 1 && line.starts_with("name,")) {
            continue;
        }
        let wrong =
            |what: &str| CliError::Usage(format!("{}, line {number}: {what}", path.display()));
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [name, owner, zonefile] = fields.as_slice() else {
            return Err(wrong("write NAME,OWNER,ZONEFILE"));
        };
        let name = fold(name).parse().map_err(|_| wrong("no name"))?;
        let owner = wallet
            .address(owner)
            .map_err(|error| wrong(&error.to_string()))?;
        let zonefile = match zonefile.parse::<ZonefileHash>() {
            Ok(hash) => hash.into(),
            Err(_) => {
                let near = path.parent().unwrap_or(Path::new("")).join(zonefile);
                read_zonefile(&near)?.into()
            }
        };
        wanted.push(ImportedName {
            name,
            owner,
            zonefile,
        });
    }
    Ok(wanted)
}
