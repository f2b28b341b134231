//! The names that somebody wants to import: from a CSV file, or from a folder of zone files.

use std::path::Path;

use bitcoin::{FeeRate, ScriptBuf, TxOut};

use crate::api::names::NameState;
use crate::bns::address::Address;
use crate::bns::{Name, NamespaceId};
use crate::cli::CliError;
use crate::cli::name::read_zonefile;
use crate::cli::own::{Desk, Draft, OwnError, Sender};
use crate::hash::ZonefileHash;
use crate::wallet::coins::{Coin, DUST};
use crate::wallet::operation::{Operation, Unsigned};

/// Ending of zone files.
const ENDING: &str = ".zone";

/// A name to be imported.
pub(super) struct Wanted {
    pub(super) name: Name,
    pub(super) owner: Address,
    pub(super) hash: ZonefileHash,
    pub(super) zonefile: Option<Vec<u8>>,
}

/// Reads what `from` lists, which has to belong into the namespace; names of a folder get `owner`.
pub(super) fn read(
    desk: &Desk<'_>,
    id: &NamespaceId,
    from: &Path,
    owner: Address,
) -> Result<Vec<Wanted>, CliError> {
    let wanted = if from.is_dir() {
        from_folder(from, owner)?
    } else {
        from_csv(desk, from)?
    };
    let foreign = wanted
        .iter()
        .find(|wish| wish.name.namespace_id().as_ref() != Some(id));
    if let Some(foreign) = foreign {
        let text = format!("{} does not belong into {id}", foreign.name);
        return Err(OwnError::Usage(text).into());
    }
    Ok(wanted)
}

impl Wanted {
    /// Its import, paid with one coin, without change.
    pub(super) fn draft(
        &self,
        desk: &Desk<'_>,
        sender: &Sender,
        coin: &Coin,
        rate: FeeRate,
    ) -> Result<Draft, CliError> {
        let operation = Operation::name_import(&self.name, self.owner, self.hash);
        let pay = |to: Address| TxOut {
            value: DUST,
            script_pubkey: ScriptBuf::from_bytes(to.script()),
        };
        let outputs = vec![
            operation.data_output(desk.magic).map_err(OwnError::from)?,
            pay(self.owner),
            pay(Address::P2pkh(self.hash.0)),
        ];
        Ok(Draft {
            unsigned: Unsigned::exactly(std::slice::from_ref(coin), outputs),
            locks: vec![sender.lock.clone()],
            rate,
        })
    }
}

/// Those that the chain does not show as they are wanted.
pub(super) fn still_to_import<'w>(
    desk: &Desk<'_>,
    wanted: &'w [Wanted],
) -> Result<Vec<&'w Wanted>, CliError> {
    let mut left = Vec::new();
    for wish in wanted {
        if !is_imported(desk, wish)? {
            left.push(wish);
        }
    }
    Ok(left)
}

fn is_imported(desk: &Desk<'_>, wish: &Wanted) -> Result<bool, CliError> {
    let reply = desk.name(&wish.name)?;
    Ok(reply.state == NameState::Registered
        && reply.owner == Some(desk.text(wish.owner))
        && reply.zonefile_hash == Some(wish.hash.to_string()))
}

fn from_folder(folder: &Path, owner: Address) -> Result<Vec<Wanted>, OwnError> {
    let failed = |source| OwnError::File {
        path: folder.to_owned(),
        source,
    };
    let mut wanted = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(ENDING));
        let Some(name) = name.and_then(|name| name.parse().ok()) else {
            continue;
        };
        let bytes = read_zonefile(&path)?;
        wanted.push(Wanted {
            name,
            owner,
            hash: ZonefileHash::of(&bytes),
            zonefile: Some(bytes),
        });
    }
    wanted.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(wanted)
}

fn from_csv(desk: &Desk<'_>, path: &Path) -> Result<Vec<Wanted>, CliError> {
    let text = std::fs::read_to_string(path).map_err(|source| OwnError::File {
        path: path.to_owned(),
        source,
    })?;
    let mut wanted = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || (number == 1 && line.starts_with("name,")) {
            continue;
        }
        let wrong =
            |what: &str| OwnError::Usage(format!("{}, line {number}: {what}", path.display()));
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [name, owner, zonefile] = fields.as_slice() else {
            return Err(wrong("write NAME,OWNER,ZONEFILE").into());
        };
        let name = name.parse().map_err(|_| wrong("no name"))?;
        let owner = desk
            .address(owner)
            .map_err(|error| wrong(&error.to_string()))?;
        let (hash, zonefile) = match zonefile.parse::<ZonefileHash>() {
            Ok(hash) => (hash, None),
            Err(_) => {
                let near = path.parent().unwrap_or(Path::new("")).join(zonefile);
                let bytes = read_zonefile(&near)?;
                (ZonefileHash::of(&bytes), Some(bytes))
            }
        };
        wanted.push(Wanted {
            name,
            owner,
            hash,
            zonefile,
        });
    }
    Ok(wanted)
}
