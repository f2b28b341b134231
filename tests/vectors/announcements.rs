//! The numbering of announced zone files, against what nodes of 2016 and 2017 queued to fetch.

use std::collections::HashSet;

use bnsd::bns::Bns;
use bnsd::bns::record::NameOp;
use bnsd::indexer::ReplayBlock;
use bnsd::store::{Announcement, StoreSnapshot};
use serde_json::Value;

use super::Tally;
use crate::common::chain_file::{ChainFile, number, text};
use crate::common::{golden, scratch};

/// Rows that are read at once: few, so that most runs take several reads.
const PAGE: usize = 2;

/// Indexes a run up to and without `end` and compares our rows with what the node queued, in order. Release 0.14.1 queued an
/// operation again when it was started again, and named name and transaction. Those before knew neither and queued a hash once,
/// 0.13 those of a block in any order. None of them queued what a renewal repeats; v20 does, so these rows are left out here.
pub fn check(chain: &ChainFile, end: u32, tally: &mut Tally) {
    let scratch = scratch::scratch();
    let store = golden::open(scratch.path(), &chain.params, 1);
    let blocks = chain.blocks.iter().filter(|block| block.height < end);
    let blocks: Vec<ReplayBlock> = blocks
        .map(|block| ReplayBlock {
            height: block.height,
            candidates: block.candidates.clone(),
            about: None,
        })
        .collect();
    golden::connect(&store, &Bns::new(chain.params.clone()), &blocks, |_, _| {});
    let snapshot = store.snapshot();
    let rows = rows(&snapshot);
    let queued = chain.queued.iter();
    let queued = queued.filter(|line| number(&line["height"]) < u64::from(end));
    let queued: Vec<&Value> = queued.collect();
    let shows_txid = queued.iter().all(|line| line["txid"].is_string());
    let key = |hash: String, txid: String| if shows_txid { txid } else { hash };

    let ours = rows.iter().filter(|row| !is_renewal(&snapshot, row));
    let ours = ours.map(|row| {
        let (hash, txid) = (row.hash.to_string(), row.txid.to_string());
        let name = shows_txid.then(|| row.name.to_string());
        (key(hash.clone(), txid), row.height, hash, name)
    });
    let golden = queued.iter().map(|line| {
        let hash = text(&line["zonefile_hash"]);
        let txid = line["txid"].as_str().unwrap_or_default().to_owned();
        let name = line["name"].as_str().map(str::to_owned);
        (
            key(hash.clone(), txid),
            number(&line["height"]) as u32,
            hash,
            name,
        )
    });
    let (mut ours, mut golden) = (once(ours), once(golden));
    if chain.name.starts_with("0.13 ") {
        ours.sort_by(|a, b| (a.1, &a.2).cmp(&(b.1, &b.2)));
        golden.sort_by(|a, b| (a.1, &a.2).cmp(&(b.1, &b.2)));
    }
    tally.queues += 1;
    tally.queued += golden.len();
    if ours != golden {
        let name = &chain.name;
        let what = format!("{name}: announced\n  ours   {ours:?}\n  golden {golden:?}");
        tally.failures.push(what);
    }
}

/// Every announcement; its index is its place from 1 on.
fn rows(snapshot: &StoreSnapshot) -> Vec<Announcement> {
    let mut rows: Vec<Announcement> = Vec::new();
    loop {
        let next = rows.len() as u32 + 1;
        let page = snapshot.announced_from(next, PAGE).unwrap();
        let indexes: Vec<u32> = page.iter().map(|row| row.inventory_index).collect();
        let expected: Vec<u32> = (next..).take(page.len()).collect();
        assert_eq!(indexes, expected);
        if page.is_empty() {
            return rows;
        }
        rows.extend(page);
    }
}

fn is_renewal(snapshot: &StoreSnapshot, row: &Announcement) -> bool {
    let history = snapshot.name_history(&row.name).unwrap();
    let mut entries = history.iter().map(|entry| &entry.record);
    entries.any(|record| record.txid == row.txid && record.op == NameOp::Renew)
}

/// A row: what makes it one, height, hash, and the name where it is known.
type Row = (String, u32, String, Option<String>);

/// The first of each.
fn once(rows: impl Iterator<Item = Row>) -> Vec<Row> {
    let mut seen = HashSet::new();
    rows.filter(|(key, ..)| seen.insert(key.clone())).collect()
}
