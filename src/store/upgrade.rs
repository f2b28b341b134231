//! A database of an earlier format, brought to this one where it is.
//!
//! The first transaction writes the number of this format, so that an older program refuses the database from then on, and
//! from which height on its rows are still as they were. Each further one brings some blocks along and moves that height.
//! Killed anywhere, the next opening goes on behind the last part that was committed. Nobody reads meanwhile.

use std::sync::Arc;

use redb::Database;

use super::change::index_zonefile;
use super::codec::{Field as _, read_whole};
use super::damage::Damage;
use super::error::Result;
use super::key;
use super::open::{FORMAT, OLDEST, change};
use super::query::read_row;
use super::record::Row as _;
use super::row::{Digest, IndexedBlock, StoredOperation};
use super::table::{Tables, WriteTable};
use super::view::StoreSnapshot;
use crate::bns::record::NameRecord;

/// The row of `meta` that says how far an upgrade is: the height of the first block whose operations have whole texts.
const WHOLE_FROM_KEY: &[u8] = b"whole_texts_from";
/// How many blocks at most, and after how many operations, a part ends.
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
    let mut tenth = 0;
    while let Some((height, tip)) = go_on(database, damage)? {
        let reached = u64::from(height) * 10 / u64::from(tip).max(1);
        if is_large && reached > tenth {
            tenth = reached;
            tracing::info!("the database is in format {FORMAT} up to block {height} of {tip}");
        }
    }
    Ok(())
}

/// Does the next part, if there is one. Gives the height of its last block, and that of the tip.
fn go_on(database: &Database, damage: &Arc<Damage>) -> Result<Option<(u32, u32)>> {
    let is_begun = {
        let tables = StoreSnapshot::of(database, 0, damage)?.tables;
        tables.meta.get(WHOLE_FROM_KEY, |_| Some(()))?.is_some()
    };
    match is_begun {
        true => change(database, damage, shorten_part),
        false => Ok(None),
    }
}

fn begin(tables: &mut Tables<WriteTable<'_>>, format: u32) -> Result<()> {
    if format == OLDEST {
        list_zonefiles(tables)?;
    }
    let first = tables.blocks.range(.., 1, read_row::<IndexedBlock>)?;
    match first.first() {
        Some(block) => write_whole_from(tables, block.height),
        None => Ok(()),
    }
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
