//! Indexes of zone files, written late while blocks are far below the best one.
//!
//! The rows of `announced_hashes`, `zonefiles` and `missing_zonefiles` stand in the order of hashes, so each operation touches
//! pages of its own in all three. Where no reorganisation reaches they are therefore written for many blocks at once, in their
//! order, from the history of names: each page is touched once. Until then the row [`UNLISTED_KEY`] of `meta` says from
//! which block on they are not. The next block that can be undone, too many operations, and the next opening end that.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use redb::ReadableTable;

use crate::bns::name::Name;
use crate::hash::ZonefileHash;

use super::codec::{Field, Input};
use super::error::Result;
use super::key;
use super::name_row::{NameRow, Place};
use super::record::Row as _;
use super::row::Announcement;
use super::table::{Bytes, Rows, Tables, WriteTable};
use super::wanted::wanted_zonefile;

/// The row of `meta` that says which blocks are not listed; there is none if all are.
const UNLISTED_KEY: &[u8] = b"unlisted_from";
/// Operations on names that wait to be listed, at most, beside those of one block.
const WAITING_MAX: u64 = match cfg!(test) {
    true => 3,
    false => 100_000,
};

/// The blocks that are not listed.
#[derive(Debug, Clone, Copy)]
struct Unlisted {
    /// The height of the first one.
    from: u32,
    /// How many rows the history of names had below it.
    rows: u64,
}

/// Announcements that are not listed: the inventory indexes of each hash, ascending.
pub(super) type LateAnnouncements = HashMap<ZonefileHash, Vec<u32>>;

/// Notes that the block at `height`, and every later one, is not listed.
pub(super) fn put_off(tables: &mut Tables<WriteTable<'_>>, height: u32) -> Result<()> {
    if unlisted(tables)?.is_some() {
        return Ok(());
    }
    let mut row = Vec::new();
    height.write(&mut row);
    tables.name_history.len()?.write(&mut row);
    tables.meta.put(UNLISTED_KEY, &mut row)
}

/// Forgets that blocks are not listed, when their rows are gone.
pub(super) fn forget(tables: &mut Tables<WriteTable<'_>>) -> Result<()> {
    tables.meta.remove(UNLISTED_KEY)
}

/// Whether any block is not listed.
pub(super) fn is_due<T: ReadableTable<Bytes, Bytes>>(tables: &Tables<T>) -> Result<bool> {
    Ok(unlisted(tables)?.is_some())
}

/// Whether more operations wait than may.
pub(super) fn is_full<T: ReadableTable<Bytes, Bytes>>(tables: &Tables<T>) -> Result<bool> {
    let rows = tables.name_history.len()?;
    let unlisted = unlisted(tables)?;
    Ok(unlisted.is_some_and(|unlisted| rows.saturating_sub(unlisted.rows) > WAITING_MAX))
}

/// Lists all blocks; gives the names that ask for another zone file since.
pub(super) fn list(tables: &mut Tables<WriteTable<'_>>) -> Result<Vec<Name>> {
    let Some(Unlisted { from, .. }) = unlisted(tables)? else {
        return Ok(Vec::new());
    };
    list_announcements(tables, from)?;
    let changed = changed_zonefiles(tables, from)?;
    let mut keys: Vec<(Vec<u8>, bool)> = Vec::new();
    for (name, Asked { before, now }) in &changed {
        for (hash, is_asked_for) in [(before, false), (now, true)] {
            if let Some(hash) = hash {
                let mut key = Vec::new();
                key::behind_hash(&mut key, hash.as_bytes(), name.as_str());
                keys.push((key, is_asked_for));
            }
        }
    }
    keys.sort_unstable();
    for table in [&mut tables.zonefiles, &mut tables.missing_zonefiles] {
        for (key, is_asked_for) in &keys {
            match is_asked_for {
                true => table.mark(key)?,
                false => table.remove(key)?,
            }
        }
    }
    forget(tables)?;
    Ok(changed.into_keys().collect())
}

/// The announcements that are not listed.
pub(super) fn announcements<T: ReadableTable<Bytes, Bytes>>(
    tables: &Tables<T>,
) -> Result<LateAnnouncements> {
    let mut late = LateAnnouncements::new();
    if let Some(Unlisted { from, .. }) = unlisted(tables)? {
        for (hash, index) in announced_from(tables, from)?.into_iter().rev() {
            late.entry(hash).or_default().push(index);
        }
    }
    Ok(late)
}

/// The zone files that a name asked for before the blocks that are not listed, and asks for now.
struct Asked {
    before: Option<ZonefileHash>,
    now: Option<ZonefileHash>,
}

fn unlisted<T: ReadableTable<Bytes, Bytes>>(tables: &Tables<T>) -> Result<Option<Unlisted>> {
    tables.meta.get(UNLISTED_KEY, |row| {
        let mut input = Input::new(row);
        let unlisted = Unlisted {
            from: Field::read(&mut input)?,
            rows: Field::read(&mut input)?,
        };
        input.finish(unlisted)
    })
}

fn list_announcements(tables: &mut Tables<WriteTable<'_>>, from: u32) -> Result<()> {
    let mut late = announced_from(tables, from)?;
    late.sort_unstable();
    let hashes = &mut tables.announced_hashes;
    late.iter()
        .try_for_each(|(hash, index)| hashes.mark(&key::announced(hash, *index)))
}

/// What was announced from a height on, with inventory indexes, the last one first.
fn announced_from<T: ReadableTable<Bytes, Bytes>>(
    tables: &Tables<T>,
    from: u32,
) -> Result<Vec<(ZonefileHash, u32)>> {
    let mut found = Vec::new();
    tables.announcements.descend(.., |key, row| {
        let Announcement {
            inventory_index,
            hash,
            height,
            ..
        } = Announcement::read(key::number(key)?, row)?;
        if height < from {
            return Some(ControlFlow::Break(()));
        }
        found.push((hash, inventory_index));
        Some(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// The names that ask for another zone file than below the height `from`.
fn changed_zonefiles(tables: &Tables<WriteTable<'_>>, from: u32) -> Result<BTreeMap<Name, Asked>> {
    let history = &tables.name_history;
    let rows = history.range(&key::height(from)[..].., usize::MAX, |key, row| {
        let name = key::name_of_history(key)?;
        let now = wanted_zonefile(&NameRow::record_of(name.clone(), row)?);
        Some((name, NameRow::read(row)?.place, now))
    })?;
    let mut asked: BTreeMap<Name, Asked> = BTreeMap::new();
    for (name, before, now) in rows {
        match asked.entry(name) {
            Entry::Occupied(entry) => entry.into_mut().now = now,
            Entry::Vacant(entry) => {
                let before = match before {
                    Some(place) => asked_at(history, place, entry.key())?,
                    None => None,
                };
                entry.insert(Asked { before, now });
            }
        }
    }
    asked.retain(|_, Asked { before, now }| before != now);
    Ok(asked)
}

/// The zone file that a name asked for after one operation.
fn asked_at(
    history: &Rows<WriteTable<'_>>,
    place: Place,
    name: &Name,
) -> Result<Option<ZonefileHash>> {
    let mut key = Vec::new();
    key::name_history(&mut key, place, name.as_str());
    let record = history.get(&key, |row| NameRow::record_of(name.clone(), row))?;
    let record = record.ok_or_else(|| history.corrupt(&key))?;
    Ok(wanted_zonefile(&record))
}
