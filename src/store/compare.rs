//! Two databases of the same chain, compared row by row.

use super::codec::{Field, Input};
use super::error::Result;
use super::key;
use super::record::Row as _;
use super::row::Announcement;
use super::table::{AllTables as _, Differing, Missing};
use super::view::StoreSnapshot;
use crate::bns::address::Address;
use crate::bns::name::{Name, NamespaceId};

/// A row in which a stored database differs from one that was derived from its operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowDifference {
    /// The table.
    pub table: &'static str,
    /// The key, printable.
    pub key: String,
    /// What is wrong with the stored row, to be read behind its name.
    pub problem: &'static str,
    /// When the row changed last.
    pub changed: LastChange,
}

/// When a row changed last, as far as the tables tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastChange {
    /// In the block at this height.
    At(u32),
    /// With this import keychain, which has no history.
    WithKeychain(NamespaceId),
    /// With the account of this address, which has no history.
    WithAccount(Address),
    /// Nothing tells.
    Unknown,
}

impl StoreSnapshot {
    /// Compares all rows, seals included, with those of a database that was derived from the same operations. Left
    /// out are `meta`, which is compared when a database is opened, undo data that only the other has, because
    /// reorganisations use it up, and zone files that only the other lacks. Returns how many rows there are if all are
    /// alike, otherwise the first that differs.
    pub fn compare(&self, derived: &Self) -> Result<Result<u64, RowDifference>> {
        let mut rows = 0;
        for (stored, others) in self.tables.all().into_iter().zip(derived.tables.all()) {
            let missing = match stored.name() {
                "meta" => continue,
                // What the archive has does not follow from operations.
                "undo" | "missing_zonefiles" => Missing::Allowed,
                _ => Missing::Counts,
            };
            if let Some(row) = stored.first_difference(others, missing)? {
                return Ok(Err(RowDifference {
                    table: stored.name(),
                    key: row.key.escape_ascii().to_string(),
                    problem: match (&row.ours, &row.theirs) {
                        (None, _) => "is missing",
                        (_, None) => "follows from no operation",
                        _ => "is not what the operations make it",
                    },
                    changed: last_change(stored.name(), &row, derived)
                        .unwrap_or(LastChange::Unknown),
                }));
            }
            rows += stored.len()?;
        }
        Ok(Ok(rows))
    }
}

/// When the row of a table changed last; `None` if its key and the derived rows do not tell.
fn last_change(table: &str, row: &Differing, derived: &StoreSnapshot) -> Option<LastChange> {
    let key = &row.key[..];
    let behind_hash = || key.get(20..);
    let height = match table {
        "blocks" | "undo" | "operations" | "name_history" => leading_number(key),
        "namespace_history" => leading_number(key.get(key.len().checked_sub(8)?..)?),
        "preorders" => leading_number(behind_hash()?),
        "names" => last_of_name(key, derived),
        "name_hashes" => last_of_name(payload(row)?, derived),
        "name_preorders" | "zonefiles" | "missing_zonefiles" => {
            last_of_name(behind_hash()?, derived)
        }
        "owners" => last_of_name(owned(key)?, derived),
        "namespaces" => last_of_namespace(key, derived),
        "namespace_preorders" => last_of_namespace(behind_hash()?, derived),
        "keychains" => {
            return NamespaceId::from_bytes(key)
                .ok()
                .map(LastChange::WithKeychain);
        }
        "accounts" => return Address::read(&mut Input::new(key)).map(LastChange::WithAccount),
        "announcements" => Some(Announcement::read(0, payload(row)?)?.height),
        "announced_hashes" => {
            let index = leading_number(behind_hash()?)?;
            Some(derived.announcement(index).ok()??.height)
        }
        _ => None,
    };
    height.map(LastChange::At)
}

fn leading_number(bytes: &[u8]) -> Option<u32> {
    key::number(bytes.get(..4)?)
}

/// What the derived row says, or else the stored one; without its seal.
fn payload(row: &Differing) -> Option<&[u8]> {
    let value = row.theirs.as_deref().or(row.ours.as_deref())?;
    value.split_last_chunk::<4>().map(|(payload, _)| payload)
}

/// The name at the end of a key of `owners`.
fn owned(key: &[u8]) -> Option<&[u8]> {
    let mut input = Input::new(key);
    <Vec<u8> as Field>::read(&mut input)?;
    Some(input.rest())
}

fn last_of_name(name: &[u8], derived: &StoreSnapshot) -> Option<u32> {
    let name = Name::from_bytes(name).ok()?;
    Some(derived.name_at(&name, u32::MAX).ok()??.height)
}

fn last_of_namespace(id: &[u8], derived: &StoreSnapshot) -> Option<u32> {
    let id = NamespaceId::from_bytes(id).ok()?;
    Some(derived.namespace_at(&id, u32::MAX).ok()??.height)
}
