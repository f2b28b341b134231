//! A database of an earlier format, brought to this one where it is.
//!
//! The first transaction writes the number of this format, so that an older program refuses the database from then on, and
//! which rows are still as they were: from which height on the operations, from which name on the names. Each further one
//! brings some blocks or names along and moves that height or name. Killed anywhere, the next opening goes on behind the last
//! part that was committed. Nobody reads meanwhile.

use std::sync::Arc;

use redb::Database;

use super::change::index_zonefile;
use super::codec::{Field as _, read_whole};
use super::damage::Damage;
use super::error::{Result, StoreError};
use super::key;
use super::name_row::{NameRow, Place};
use super::open::{FORMAT, OLDEST, change};
use super::query::read_row;
use super::record::Row as _;
use super::row::{Digest, IndexedBlock, StoredOperation};
use super::table::{Tables, WriteTable};
use super::view::StoreSnapshot;
use crate::bns::name::Name;
use crate::bns::record::NameRecord;

/// The row of `meta` that says how far an upgrade is: the height of the first block whose operations have whole texts.
const WHOLE_FROM_KEY: &[u8] = b"whole_texts_from";
/// The row of `meta` that says how far an upgrade is: the first name whose rows have no places.
const UNPLACED_FROM_KEY: &[u8] = b"unplaced_names_from";
/// The format from which on operations have shortened texts.
const SHORTENED: u32 = 4;
/// Names after which somebody is told how far it is.
const TOLD: usize = 100_000;
/// How many blocks or names at most, and after how many operations, a part ends.
const PART: (usize, usize) = match cfg!(test) {
    true => (3, 4),
    false => (10_000, 20_000),
};

/// Brings a database to this format, or goes on with that.
pub(super) fn bring_up(
    database: &Database,
    damage: &Arc<Damage>,
    format: u32,
    is_large: bool,
) -> Result<()> {
    if format != FORMAT {
        tracing::info!("the database is brought to format {FORMAT}");
        change(database, damage, |tables| begin(tables, format))?;
    }
    let is_due = |key| {
        let tables = StoreSnapshot::of(database, 0, damage)?.tables;
        Ok::<_, StoreError>(tables.meta.get(key, |_| Some(()))?.is_some())
    };
    let mut tenth = 0;
    while is_due(WHOLE_FROM_KEY)?
        && let Some((height, tip)) = change(database, damage, shorten_part)?
    {
        let reached = u64::from(height) * 10 / u64::from(tip).max(1);
        if is_large && reached > tenth {
            tenth = reached;
            tracing::info!("the operations are in format {FORMAT} up to block {height} of {tip}");
        }
    }
    let mut names = 0;
    while is_due(UNPLACED_FROM_KEY)?
        && let Some(placed) = change(database, damage, place_part)?
    {
        let before = names / TOLD;
        names += placed;
        if is_large && names / TOLD > before {
            tracing::info!("{names} names are in format {FORMAT}");
        }
    }
    Ok(())
}

fn begin(tables: &mut Tables<WriteTable<'_>>, format: u32) -> Result<()> {
    if format == OLDEST {
        list_zonefiles(tables)?;
    }
    let first = tables.blocks.range(.., 1, read_row::<IndexedBlock>)?;
    if let Some(block) = first.first().filter(|_| format < SHORTENED) {
        write_whole_from(tables, block.height)?;
    }
    tables.meta.put(UNPLACED_FROM_KEY, &mut Vec::new())
}

fn write_whole_from(tables: &mut Tables<WriteTable<'_>>, height: u32) -> Result<()> {
    let mut row = Vec::new();
    height.write(&mut row);
    tables.meta.put(WHOLE_FROM_KEY, &mut row)
}

/// What format 1 lacks: its zone files are listed, from the names.
fn list_zonefiles(tables: &mut Tables<WriteTable<'_>>) -> Result<()> {
    let names = tables.names.range(.., usize::MAX, read_row::<NameRecord>)?;
    for record in names {
        index_zonefile(tables, &record.name, None, Some(&record))?;
    }
    Ok(())
}

/// What formats 1 to 4 lack: the rows of some names say where the last operation is, and the rows of their histories, whose
/// keys began with the name, get keys that begin with the place. Gives how many names there were; `None` after the last ones.
///
/// Both kinds of keys are in one table meanwhile. A name begins with a letter, digit or sign, a place with the first byte of a
/// height, which is less than any of them.
fn place_part(tables: &mut Tables<WriteTable<'_>>) -> Result<Option<usize>> {
    let from = tables
        .meta
        .get(UNPLACED_FROM_KEY, |name| Some(name.to_vec()))?;
    let from = from.unwrap_or_default();
    let names = tables.names.range(&from[..].., PART.0, |name, record| {
        Some((key::read_name(name)?, record.to_vec()))
    })?;
    let (mut operations, mut done) = (0, 0);
    for (name, record) in &names {
        if operations >= PART.1 {
            let mut row = name.as_str().as_bytes().to_vec();
            tables.meta.put(UNPLACED_FROM_KEY, &mut row)?;
            return Ok(Some(done));
        }
        operations += place_name(tables, name, record)?;
        done += 1;
    }
    match names.last() {
        Some((name, _)) if names.len() == PART.0 => {
            let mut row = [name.as_str().as_bytes(), &[0]].concat(); // behind it
            tables.meta.put(UNPLACED_FROM_KEY, &mut row)?;
            Ok(Some(done))
        }
        _ => {
            tables.meta.remove(UNPLACED_FROM_KEY)?;
            Ok(None)
        }
    }
}

/// Moves the history of a name; gives how many rows it has.
fn place_name(tables: &mut Tables<WriteTable<'_>>, name: &Name, record: &[u8]) -> Result<usize> {
    let mut earlier = Vec::new();
    key::history_of(&mut earlier, name.as_str());
    let rows = tables.name_history.prefixed(&earlier, |place, record| {
        Some((read_whole::<Place>(place)?, record.to_vec()))
    })?;
    let (mut last, mut key, mut row) = (None, Vec::new(), Vec::new());
    for (place, record) in &rows {
        row.clear();
        NameRow {
            place: last,
            record,
        }
        .write(&mut row);
        key::name_history(&mut key, *place, name.as_str());
        tables.name_history.put(&key, &mut row)?;
        key::history(&mut key, name.as_str(), place.height, place.vtxindex);
        tables.name_history.remove(&key)?;
        last = Some(*place);
    }
    row.clear();
    NameRow {
        place: last,
        record,
    }
    .write(&mut row);
    tables.names.put(name.as_str().as_bytes(), &mut row)?;
    Ok(rows.len())
}

/// What formats 1 to 3 have besides: the texts of some blocks' operations are shortened.
fn shorten_part(tables: &mut Tables<WriteTable<'_>>) -> Result<Option<(u32, u32)>> {
    let from = tables.meta.get(WHOLE_FROM_KEY, read_whole::<u32>)?;
    let from = key::height(from.unwrap_or(0));
    let blocks = &tables.blocks;
    let blocks = blocks.range(&from[..].., PART.0, read_row::<IndexedBlock>)?;
    let tip = tables.blocks.last(.., read_row::<IndexedBlock>)?;
    let (mut operations, mut done) = (0, 0);
    for block in blocks {
        done = block.height;
        operations += shorten_block(tables, block)?;
        if operations >= PART.1 {
            break;
        }
    }
    let Some(tip) = tip.filter(|tip| done < tip.height) else {
        tables.meta.remove(WHOLE_FROM_KEY)?;
        return Ok(None);
    };
    write_whole_from(tables, done + 1)?;
    Ok(Some((done, tip.height)))
}

/// Writes a block's operations as this format has them; gives their number. Its digest stays as it is where it was wrong
/// before, so that whoever verifies still finds it so.
fn shorten_block(tables: &mut Tables<WriteTable<'_>>, mut block: IndexedBlock) -> Result<usize> {
    let height = block.height;
    let rows = tables
        .operations
        .prefixed(&key::height(height), |rest, row| {
            let vtxindex = key::number(rest)?;
            let operation = StoredOperation::read(height, vtxindex, row)?;
            Some((row.to_vec(), operation))
        })?;
    let (mut earlier, mut digest) = (Digest::default(), Digest::default());
    for (
        row,
        StoredOperation {
            candidate,
            decision,
        },
    ) in &rows
    {
        let vtxindex = candidate.vtxindex;
        earlier.add(vtxindex, row);
        let mut row = Vec::new();
        StoredOperation::write(height, candidate, decision, &mut row);
        digest.add(vtxindex, &row);
        let operations = &mut tables.operations;
        operations.put(&key::operation(height, vtxindex), &mut row)?;
    }
    if earlier.finish() == block.candidates {
        block.candidates = digest.finish();
        let mut row = Vec::new();
        block.write(&mut row);
        tables.blocks.put(&key::height(height), &mut row)?;
    }
    Ok(rows.len())
}
