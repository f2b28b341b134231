//! States of golden chains, row by row and field by field.

use std::collections::BTreeMap;

use bnsd::bns::state::State;
use bnsd::bns::view::View as _;
use bnsd::virtualchain::SnapshotView as _;
use serde_json::Value;

use super::{Tally, rows};
use crate::common::chain_file::{ChainFile, number, text};

/// Compares the state after `height` with what the file says about that height, if it does.
pub fn check(chain: &ChainFile, height: u32, state: &State, tally: &mut Tally) {
    let here = |expected: &&Value| number(&expected["height"]) == u64::from(height);
    for expected in chain.states.iter().filter(here) {
        tally.states += 1;
        let mut comparison = Comparison {
            place: format!("{} at height {height}", chain.name),
            tally,
        };
        comparison.consensus_hash(expected, height, state);
        let tables = [
            ("namespaces", namespaces(chain, height, state)),
            ("names", names(chain, height, state)),
            ("preorders", preorders(chain, state)),
            ("accounts", accounts(chain, state)),
        ];
        for (table, ours) in tables {
            if let Some(golden) = expected[table].as_array() {
                comparison.table(table, ours, golden);
            }
        }
    }
}

/// Rows by a key that reads well in a message.
type Table = BTreeMap<String, Value>;

fn namespaces(chain: &ChainFile, height: u32, state: &State) -> Table {
    let row = |record| rows::namespace(&chain.params, record, height);
    keyed("namespaces", state.namespaces().map(row))
}

fn names(chain: &ChainFile, height: u32, state: &State) -> Table {
    let rows = state.names().map(|record| {
        let id = record.name.namespace_id().expect("a registered name");
        let namespace = state.namespace(&id).expect("memory does not fail");
        rows::name(&chain.params, record, namespace.as_ref(), height)
    });
    keyed("names", rows)
}

fn preorders(chain: &ChainFile, state: &State) -> Table {
    let rows = state.all_preorders();
    keyed(
        "preorders",
        rows.map(|row| rows::preorder(&chain.params, row)),
    )
}

fn accounts(chain: &ChainFile, state: &State) -> Table {
    let rows = state.accounts();
    keyed(
        "accounts",
        rows.map(|row| rows::account(&chain.params, row)),
    )
}

fn keyed(table: &str, rows: impl Iterator<Item = Value>) -> Table {
    rows.map(|row| (key(table, &row), row)).collect()
}

fn key(table: &str, row: &Value) -> String {
    match table {
        "namespaces" => text(&row["namespace_id"]),
        "names" => text(&row["name"]),
        "preorders" => format!("{} {}", text(&row["preorder_hash"]), text(&row["txid"])),
        _ => text(&row["address"]),
    }
}

struct Comparison<'t> {
    place: String,
    tally: &'t mut Tally,
}

impl Comparison<'_> {
    fn differs(&mut self, what: &str) {
        self.tally.failures.push(format!("{}: {what}", self.place));
    }

    fn consensus_hash(&mut self, expected: &Value, height: u32, state: &State) {
        let ours = state.consensus_hash(height).expect("memory does not fail");
        let ours = ours.map_or_else(String::new, |hash| hash.to_string());
        let golden = text(&expected["consensus_hash"]);
        if ours != golden {
            self.differs(&format!("consensus hash {ours}, golden {golden}"));
        }
    }

    fn table(&mut self, table: &str, mut ours: Table, golden: &[Value]) {
        for row in golden {
            self.tally.rows += 1;
            let key = key(table, row);
            match ours.remove(&key) {
                Some(ours) => self.row(&format!("{table}, {key}"), &ours, row),
                None => self.differs(&format!("{table}: our state has no row {key}")),
            }
        }
        for key in ours.keys() {
            self.differs(&format!("{table}: only our state has a row {key}"));
        }
    }

    fn row(&mut self, place: &str, ours: &Value, golden: &Value) {
        for difference in rows::differences(ours, golden) {
            self.differs(&format!("{place}, {difference}"));
        }
    }
}
