//! Replacing rows and keeping their indexes in step; applying and undoing a block both go through here.

use std::collections::BTreeMap;

use crate::bns::changes::Change;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::record::{NameRecord, NamespaceRecord};
use crate::hash::ZonefileHash;

use super::codec::write_length;
use super::error::Result;
use super::key;
use super::name_row::{NameRow, Place, write_name_row};
use super::record::{Row, RowKey as _};
use super::table::{Rows, Tables, WriteTable};
use super::undo::{Earlier, write_earlier};
use super::wanted::{WantedZonefile, wanted_zonefile};

/// Replaces the rows of one table, checks what was there, and notes it in `undo`, if that is wanted.
pub(super) fn exchange<R: Row>(
    rows: &mut Rows<WriteTable<'_>>,
    height: u32,
    changes: &BTreeMap<R::Key, Change<R>>,
    undo: &mut Option<Vec<u8>>,
) -> Result<()> {
    if let Some(undo) = undo {
        write_length(changes.len(), undo);
    }
    let (mut key, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
    for (record_key, change) in changes {
        key.clear();
        record_key.write_key(&mut key);
        let expected = encode(change.before.as_ref(), &mut before);
        if let Some(undo) = undo {
            write_earlier(&key, expected.as_deref().map(Vec::as_slice), undo);
        }
        let expected = expected.map(|row| row.as_slice());
        let wanted = encode(change.after.as_ref(), &mut after);
        if !rows.replace(&key, wanted, |old| old == expected)? {
            return Err(rows.stale(height, &key));
        }
    }
    Ok(())
}

/// Replaces rows of names likewise. `last` says where the last operation on a name stands from now on, wherever that changes;
/// the places where the last ones stood are put there instead.
pub(super) fn exchange_names(
    rows: &mut Rows<WriteTable<'_>>,
    height: u32,
    changes: &BTreeMap<Name, Change<NameRecord>>,
    last: &mut BTreeMap<Name, Option<Place>>,
    undo: &mut Option<Vec<u8>>,
) -> Result<()> {
    if let Some(undo) = undo {
        write_length(changes.len(), undo);
    }
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (name, change) in changes {
        let key = name.as_str().as_bytes();
        let expected = encode(change.before.as_ref(), &mut before);
        if let Some(undo) = undo {
            write_earlier(key, expected.as_deref().map(Vec::as_slice), undo);
        }
        let expected = expected.map(|row| row.as_slice());
        let place = last.get_mut(name);
        let wanted = match (&change.after, &place) {
            (None, _) => None,
            (Some(record), Some(place)) => Some((**place, record)),
            (Some(record), None) => Some((last_place(rows, name)?, record)),
        };
        let wanted = wanted.map(|(place, record)| {
            after.clear();
            write_name_row(place, record, &mut after);
            &mut after
        });
        let old = rows.replace(key, wanted, |old| match old.map(NameRow::read) {
            None => expected.is_none().then_some(None),
            Some(old) => old
                .filter(|old| Some(old.record) == expected)
                .map(|old| old.place),
        })?;
        let old = old.ok_or_else(|| rows.stale(height, key))?;
        if let Some(place) = place {
            *place = old;
        }
    }
    Ok(())
}

/// Where the last operation on a name stands.
fn last_place(rows: &Rows<WriteTable<'_>>, name: &Name) -> Result<Option<Place>> {
    let place = rows.get(name.as_str().as_bytes(), |row| {
        Some(NameRow::read(row)?.place)
    })?;
    Ok(place.flatten())
}

fn encode<'a, R: Row>(record: Option<&R>, row: &'a mut Vec<u8>) -> Option<&'a mut Vec<u8>> {
    record.map(|record| {
        row.clear();
        record.write(row);
        row
    })
}

/// The stored rows, which `read` gives, as the old ones, the earlier rows as the new ones.
pub(super) fn back<R: Row<Key: Clone>>(
    earlier: Earlier<R>,
    read: impl Fn(R::Key) -> Result<Option<R>>,
) -> Result<BTreeMap<R::Key, Change<R>>> {
    earlier
        .into_iter()
        .map(|(key, after)| {
            let before = read(key.clone())?;
            Ok((key, Change { before, after }))
        })
        .collect()
}

pub(super) fn index_names(
    tables: &mut Tables<WriteTable<'_>>,
    changes: &BTreeMap<Name, Change<NameRecord>>,
) -> Result<()> {
    for (name, Change { before, after }) in changes {
        let (before, after) = (before.as_ref(), after.as_ref());
        let owners = [before, after].map(|record| record.map(|record| &record.sender[..]));
        let by_owner = |sender: &[u8], key: &mut Vec<u8>| key::owner(key, sender, name.as_str());
        move_entry(&mut tables.owners, owners, by_owner)?;
        let preorders = [before, after].map(|record| record.map(|record| &record.preorder_hash.0));
        let by_preorder = |hash: &[u8; 20], key: &mut Vec<u8>| {
            key::behind_hash(key, hash, name.as_str());
        };
        move_entry(&mut tables.name_preorders, preorders, by_preorder)?;
        match (before, after) {
            (None, Some(_)) => {
                let mut row = name.as_str().as_bytes().to_vec();
                let hashes = &mut tables.name_hashes;
                hashes.put(name.hash128().as_bytes(), &mut row)?;
            }
            (Some(_), None) => tables.name_hashes.remove(name.hash128().as_bytes())?,
            _ => {}
        }
    }
    Ok(())
}

/// Notes which zone files names ask for now.
pub(super) fn index_zonefiles(
    tables: &mut Tables<WriteTable<'_>>,
    changes: &BTreeMap<Name, Change<NameRecord>>,
) -> Result<()> {
    for (name, Change { before, after }) in changes {
        index_zonefile(tables, name, before.as_ref(), after.as_ref())?;
    }
    Ok(())
}

/// Notes which zone file a name asks for now. Whether the archive has one that is new here is not known yet.
pub(super) fn index_zonefile(
    tables: &mut Tables<WriteTable<'_>>,
    name: &Name,
    before: Option<&NameRecord>,
    after: Option<&NameRecord>,
) -> Result<()> {
    let by_hash = |hash: &ZonefileHash, key: &mut Vec<u8>| {
        key::behind_hash(key, hash.as_bytes(), name.as_str());
    };
    let wanted = [before, after].map(|record| record.and_then(wanted_zonefile));
    for index in [&mut tables.zonefiles, &mut tables.missing_zonefiles] {
        move_entry(index, wanted.each_ref().map(Option::as_ref), by_hash)?;
    }
    Ok(())
}

/// Notes whether the archive has the zone file of a name, if that is still the one that the name asks for.
pub(super) fn note_zonefile(
    tables: &mut Tables<WriteTable<'_>>,
    zonefile: &WantedZonefile,
    present: bool,
) -> Result<()> {
    let key = zonefile.key();
    if present {
        tables.missing_zonefiles.remove(&key)
    } else if tables.zonefiles.get(&key, |_| Some(()))?.is_some() {
        tables.missing_zonefiles.mark(&key)
    } else {
        Ok(())
    }
}

pub(super) fn index_namespaces(
    tables: &mut Tables<WriteTable<'_>>,
    changes: &BTreeMap<NamespaceId, Change<NamespaceRecord>>,
) -> Result<()> {
    for (id, Change { before, after }) in changes {
        let by_preorder = |hash: &[u8; 20], key: &mut Vec<u8>| {
            key::behind_hash(key, hash, id.as_str());
        };
        let hash = |record: &Option<NamespaceRecord>| record.as_ref().map(|it| it.preorder_hash.0);
        let preorders = [hash(before), hash(after)];
        let preorders = preorders.each_ref().map(Option::as_ref);
        move_entry(&mut tables.namespace_preorders, preorders, by_preorder)?;
    }
    Ok(())
}

/// Moves the index entry of a record whose indexed field was the first and is the second; where they are the same, nothing
/// moves.
fn move_entry<F: PartialEq + ?Sized>(
    index: &mut Rows<WriteTable<'_>>,
    [before, after]: [Option<&F>; 2],
    write_key: impl Fn(&F, &mut Vec<u8>),
) -> Result<()> {
    if before == after {
        return Ok(());
    }
    let mut key = Vec::with_capacity(64);
    if let Some(before) = before {
        write_key(before, &mut key);
        index.remove(&key)?;
    }
    if let Some(after) = after {
        write_key(after, &mut key);
        index.mark(&key)?;
    }
    Ok(())
}
