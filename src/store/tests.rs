//! What the store promises, on real files.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bitcoin::BlockHash;
use bitcoin::hashes::Hash as _;
use proptest::prelude::*;
use tempfile::TempDir;

use super::arbitrary::{self, Wish};
use super::damage::SENSELESS;
use super::pages::make_sums;
use super::query::dump_rows;
use super::record::Row;
use super::table::{AllTables as _, OffchainTables, Tables};
use super::*;
use crate::bns::address::Address;
use crate::bns::changes::{Change, Changes, Event, EventRow};
use crate::bns::name::{Name, NamespaceId};
use crate::bns::record::{Account, NameOp, NameRecord};
use crate::bns::view::View;
use crate::hash::{ConsensusHash, OpsHash, ZonefileHash};
use crate::virtualchain::{
    BlockHeader, BlockOutcome, CandidateBlock, Decision, Located, Snapshot, SnapshotView,
    VirtualTransaction,
};

/// Power cuts while zone files are stored.
mod cuts;
/// The database's files: kills, damage, locks, formats.
mod files;
/// Compiled forms in the records of segments.
mod forms;
/// Laws that hold for any blocks.
mod laws;
/// Power cuts.
mod power;
/// The segments of an archive as the format describes them.
#[path = "../../tests/common/segments.rs"]
#[allow(dead_code)] // other tests use the rest
pub(super) mod segments;
/// Databases of earlier formats.
mod upgrade;
/// Zone files in segments that somebody damages.
mod zones;

const FIRST: u32 = 10;

fn chain() -> ChainIdentity {
    ChainIdentity {
        network: "regtest".to_owned(),
        magic: *b"id",
        first_block: FIRST,
    }
}

fn open_at(directory: &Path, options: StoreOptions) -> Store {
    Store::open(directory, &chain(), options).expect("the directory is free and writable")
}

fn scratch() -> (TempDir, Store) {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let store = open_at(scratch.path(), StoreOptions::default());
    (scratch, store)
}

/// A block and what rules are said to have made of it.
struct Block {
    block: CandidateBlock,
    outcome: BlockOutcome<String, Changes>,
}

impl Block {
    fn hash(height: u32) -> BlockHash {
        BlockHash::hash(&height.to_be_bytes())
    }

    fn connect(&self, store: &Store) -> Result<(), StoreError> {
        store.write(|writer| self.apply(writer))
    }

    fn apply(&self, writer: &mut Writer<'_>) -> Result<(), StoreError> {
        writer.apply(&self.block, &self.outcome)
    }

    fn of_changes(height: u32, changes: Changes) -> Self {
        let seed = height.to_be_bytes()[3];
        Self {
            block: CandidateBlock {
                height,
                candidates: Vec::new(),
                about: BlockHeader {
                    hash: Self::hash(height),
                    previous: Self::hash(height - 1),
                    time: 1_500_000_000 + height,
                },
            },
            outcome: BlockOutcome {
                height,
                decisions: Vec::new(),
                changes,
                snapshot: Snapshot {
                    ops_hash: OpsHash([seed; 32]),
                    consensus_hash: ConsensusHash([seed; 16]),
                },
            },
        }
    }

    /// A block that grants a wish on top of `state`.
    fn of_wish<V: View<Error = StoreError>>(height: u32, wish: &Wish, state: &V) -> Self {
        let mut block = Self::of_changes(height, changes(wish, state));
        for (vtxindex, (candidate, decision)) in &wish.candidates {
            let candidate = VirtualTransaction {
                vtxindex: *vtxindex,
                ..candidate.clone()
            };
            let txid = candidate.txid;
            block.block.candidates.push(candidate);
            if let Some(operation) = decided(decision) {
                block.outcome.decisions.push(Located {
                    vtxindex: *vtxindex,
                    txid,
                    item: operation,
                });
            }
        }
        block
    }
}

fn decided(decision: &StoredDecision) -> Option<Decision<String>> {
    match decision.clone() {
        StoredDecision::Ignored => None,
        StoredDecision::Accepted { serialized } => Some(Decision::Accepted(serialized)),
        StoredDecision::Rejected { reason } => Some(Decision::Rejected(reason)),
        StoredDecision::Unparseable { reason } => Some(Decision::Unparseable(reason)),
    }
}

fn changes<V: View<Error = StoreError>>(wish: &Wish, state: &V) -> Changes {
    let mut changes = Changes::default();
    for (record, _) in &wish.names {
        let before = state.name(&record.name).expect("readable");
        let after = Some(record.clone());
        changes
            .names
            .insert(record.name.clone(), Change { before, after });
    }
    for record in &wish.namespaces {
        let id = record.namespace_id.clone();
        let before = state.namespace(&id).expect("readable");
        let after = Some(record.clone());
        changes.namespaces.insert(id, Change { before, after });
    }
    for (preorder, keep) in &wish.preorders {
        let stored = state.preorders(&preorder.preorder_hash).expect("readable");
        for consumed in stored {
            let change = Change {
                before: Some(consumed.clone()),
                after: None,
            };
            changes.preorders.insert(consumed.key(), change);
        }
        if *keep {
            let change = Change {
                before: None,
                after: Some(preorder.clone()),
            };
            changes.preorders.insert(preorder.key(), change);
        }
    }
    for keychain in &wish.keychains {
        let id = keychain.namespace_id.clone();
        let before = state.keychain(&id).expect("readable");
        let after = Some(keychain.clone());
        changes.keychains.insert(id, Change { before, after });
    }
    for account in &wish.accounts {
        let before = state.account(&account.address).expect("readable");
        let after = Some(account.clone());
        changes
            .accounts
            .insert(account.address, Change { before, after });
    }
    let twice: BTreeSet<&Name> = (wish.names.iter())
        .filter_map(|(record, has_earlier)| has_earlier.then_some(&record.name))
        .collect();
    let earlier = twice.into_iter().filter_map(|name| {
        let record = changes.names[name].after.clone()?;
        Some(Event {
            vtxindex: record.vtxindex.checked_sub(1)?,
            txid: record.txid,
            row: EventRow::Name(record),
        })
    });
    changes.events = earlier.collect();
    changes.events.extend(events(&changes));
    changes
}

fn events(changes: &Changes) -> Vec<Event> {
    let names = changes
        .names
        .values()
        .filter_map(|change| change.after.clone());
    let namespaces = changes
        .namespaces
        .values()
        .filter_map(|change| change.after.clone());
    let names = names.map(|record| (record.vtxindex, record.txid, EventRow::Name(record)));
    let namespaces =
        namespaces.map(|record| (record.vtxindex, record.txid, EventRow::Namespace(record)));
    names
        .chain(namespaces)
        .map(|(vtxindex, txid, row)| Event {
            vtxindex,
            txid,
            row,
        })
        .collect()
}

/// Every table, undo data included.
fn full_dump(store: &Store) -> String {
    let mut text = String::new();
    for rows in store.snapshot().tables.all() {
        dump_rows(rows, &mut text).expect("readable");
    }
    text
}

fn connect_wish(store: &Store, height: u32, wish: &Wish) {
    let block = Block::of_wish(height, wish, &*store.snapshot());
    block.connect(store).expect("the block follows");
}

/// A record made from the smallest arbitrary one.
fn record(name: &str, op: NameOp, height: u32) -> NameRecord {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let tree = arbitrary::name_record()
        .new_tree(&mut runner)
        .expect("a record");
    NameRecord {
        name: name.parse().expect("a name"),
        op,
        value_hash: Some(ZonefileHash([height.to_be_bytes()[3]; 20])),
        last_renewed: height,
        revoked: false,
        vtxindex: 3,
        ..tree.current()
    }
}

fn connect_record(store: &Store, height: u32, record: &NameRecord) {
    let before = store.snapshot().name(&record.name).expect("readable");
    let mut changes = Changes::default();
    let after = Some(record.clone());
    changes
        .names
        .insert(record.name.clone(), Change { before, after });
    changes.events = events(&changes);
    let block = Block::of_changes(height, changes);
    block.connect(store).expect("the block follows");
}

fn connect_empty(store: &Store, height: u32) -> Result<(), StoreError> {
    Block::of_changes(height, Changes::default()).connect(store)
}

#[test]
fn a_snapshot_stays_as_it_is() {
    let (_scratch, store) = scratch();
    let first = record("a.id", NameOp::Register, FIRST);
    connect_record(&store, FIRST, &first);
    let old = store.snapshot();
    connect_record(
        &store,
        FIRST + 1,
        &record("a.id", NameOp::Update, FIRST + 1),
    );
    assert_eq!(old.name(&first.name).expect("readable"), Some(first));
    assert_eq!(old.tip().map(|tip| tip.height), Some(FIRST));
    assert_eq!(
        store.snapshot().tip().map(|tip| tip.height),
        Some(FIRST + 1)
    );
}

#[test]
fn history_tells_the_record_at_any_height() {
    let (_scratch, store) = scratch();
    let records = [NameOp::Register, NameOp::Update, NameOp::TransferKeep]
        .map(|op| record("a.id", op, FIRST));
    for (height, record) in (FIRST..).step_by(2).zip(&records) {
        connect_record(&store, height, record);
        connect_empty(&store, height + 1).expect("it follows");
    }
    let state = store.snapshot();
    let name: Name = "a.id".parse().expect("a name");
    let at = |height| state.name_at(&name, height).expect("readable");
    assert_eq!(at(FIRST - 1), None);
    assert_eq!(at(FIRST).expect("registered").record.op, NameOp::Register);
    assert_eq!(at(FIRST + 3).expect("updated").height, FIRST + 2);
    assert_eq!(at(u32::MAX).expect("transferred").record, records[2]);
    assert_eq!(state.name_history(&name).expect("readable").len(), 3);
    let other: Name = "a.idx".parse().expect("a name");
    assert_eq!(state.name_at(&other, u32::MAX).expect("readable"), None);
}

#[test]
fn announcements_are_numbered_and_transfers_make_none() {
    let (_scratch, store) = scratch();
    let ops = [NameOp::Register, NameOp::TransferKeep, NameOp::Renew];
    let records = ops.map(|op| record("a.id", op, FIRST));
    for (height, record) in (FIRST..).zip(&records) {
        connect_record(&store, height, record);
    }
    let state = store.snapshot();
    let hash = records[0].value_hash.expect("the record has one");
    let announcements = state.announcements(&hash).expect("readable");
    let places: Vec<_> = announcements
        .iter()
        .map(|row| (row.inventory_index, row.height))
        .collect();
    assert_eq!(places, [(1, FIRST), (2, FIRST + 2)]);
    assert!(state.is_announced(&hash).expect("readable"));
    assert!(
        !state
            .is_announced(&ZonefileHash([0xff; 20]))
            .expect("readable")
    );
    let is_in = |hash: &ZonefileHash, ids: &[&str]| {
        let ids = ids.iter().map(|id| id.parse().expect("an id"));
        let ids: Vec<NamespaceId> = ids.collect();
        state.is_announced_in(hash, &ids).expect("readable")
    };
    assert!(is_in(&hash, &[]) && is_in(&hash, &["test", "id"]));
    assert!(!is_in(&hash, &["test"]) && !is_in(&ZonefileHash([0xff; 20]), &[]));
}

#[test]
fn missing_zone_files_are_those_of_current_records() {
    let (scratch, store) = scratch();
    let archive = Archive::open(&scratch.path().join("zonefiles")).expect("it can be made");
    let present = archive.put(b"$ORIGIN a.id\n").expect("it fits");
    let a = NameRecord {
        value_hash: Some(present),
        ..record("a.id", NameOp::Register, FIRST)
    };
    let b = record("b.id", NameOp::Register, FIRST);
    let c = NameRecord {
        revoked: true,
        ..record("c.id", NameOp::Revoke, FIRST)
    };
    for (height, record) in (FIRST..).zip([&a, &b, &c]) {
        connect_record(&store, height, record);
    }
    let wanted = |record: &NameRecord| WantedZonefile {
        name: record.name.clone(),
        hash: record.value_hash.expect("it has one"),
    };
    let missing = |store: &Store| {
        let snapshot = store.snapshot();
        let missing = snapshot.missing_zonefiles(None, 9).expect("readable");
        let counts = snapshot.counts().expect("readable");
        assert_eq!(counts.missing_zonefiles, missing.len() as u64);
        assert_eq!(counts.zonefiles, 2);
        missing
    };
    assert_eq!(missing(&store).len(), 2, "nobody has looked");
    let note = |record: &NameRecord, present| {
        store
            .note_zonefiles(&[(wanted(record), present)])
            .expect("writable");
    };
    note(&a, archive.contains(&present).expect("readable"));
    note(&c, false);
    assert_eq!(missing(&store), [wanted(&b)]);
    note(&a, false);
    assert_eq!(missing(&store).len(), 2);
    note(&a, true);

    // Another zone file is looked for again, the former one no longer.
    let other = NameRecord {
        value_hash: Some(ZonefileHash([0xff; 20])),
        ..b.clone()
    };
    connect_record(&store, FIRST + 3, &other);
    assert_eq!(missing(&store), [wanted(&other)]);
    note(&b, false);
    assert_eq!(missing(&store), [wanted(&other)]);
    store.disconnect().expect("it can be undone");
    assert_eq!(missing(&store), [wanted(&b)]);
}

#[test]
fn blocks_follow_the_tip_or_are_refused() {
    let (_scratch, store) = scratch();
    let error = connect_empty(&store, FIRST + 1).expect_err("the chain begins earlier");
    assert!(matches!(
        error,
        StoreError::NotNext {
            expected: FIRST,
            ..
        }
    ));
    connect_empty(&store, FIRST).expect("it is the first");
    let mut elsewhere = Block::of_changes(FIRST + 1, Changes::default());
    elsewhere.block.about.previous = Block::hash(0);
    assert!(matches!(
        elsewhere.connect(&store),
        Err(StoreError::OtherBranch { .. })
    ));
    let tip = store.snapshot().tip().expect("one block");
    assert_eq!((tip.height, tip.hash), (FIRST, Block::hash(FIRST)));
    let hash = store.snapshot().consensus_hash(FIRST).expect("readable");
    assert_eq!(hash, Some(tip.consensus_hash));
}

#[test]
fn changes_from_another_state_are_refused_and_leave_nothing() {
    let (_scratch, store) = scratch();
    let first = record("a.id", NameOp::Register, FIRST);
    connect_record(&store, FIRST, &first);
    let before = full_dump(&store);
    let mut changes = Changes::default();
    let after = Some(record("a.id", NameOp::Update, FIRST + 1));
    changes.names.insert(
        first.name,
        Change {
            before: None,
            after,
        },
    );
    let block = Block::of_changes(FIRST + 1, changes);
    let error = block.connect(&store).expect_err("there is a row");
    assert!(matches!(
        error,
        StoreError::StaleChanges { table: "names", .. }
    ));
    let swallowed: Result<(), StoreError> = store.write(|writer| {
        let _ = block.apply(writer);
        Ok(())
    });
    assert!(matches!(swallowed, Err(StoreError::Abandoned)));
    assert_eq!(full_dump(&store), before);
}

#[test]
fn rows_before_the_first_block_are_written_once_and_stay() {
    let (_scratch, store) = scratch();
    let account = Account {
        address: Address::P2pkh([7; 20]),
        credit_value: 5,
        debit_value: 0,
        lock_transfer_block_id: 0,
        receive_whitelisted: true,
    };
    let mut genesis = Changes::default();
    let after = Some(account.clone());
    let change = Change {
        before: None,
        after,
    };
    genesis.accounts.insert(account.address, change);
    store.seed(&genesis).expect("writable");
    store.seed(&genesis).expect("nothing is left to do");
    connect_empty(&store, FIRST).expect("it is the first");
    store.disconnect().expect("the undo data is there");
    let stored = store
        .snapshot()
        .account(&account.address)
        .expect("readable");
    assert_eq!(stored, Some(account));
}

#[test]
fn undo_data_is_kept_for_so_many_blocks() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let options = StoreOptions {
        undo_depth: 3,
        ..StoreOptions::default()
    };
    let store = open_at(scratch.path(), options);
    for height in FIRST..FIRST + 10 {
        connect_empty(&store, height).expect("it follows");
    }
    assert_eq!(store.snapshot().tables.undo.len().expect("readable"), 3);
    for _ in 0..3 {
        store.disconnect().expect("the undo data is there");
    }
    let error = store.disconnect().expect_err("deeper than three");
    assert!(matches!(
        error,
        StoreError::UndoGone {
            height: 16,
            depth: 3
        }
    ));
    connect_empty(&store, FIRST + 7).expect("the chain goes on");
}

#[test]
fn blocks_that_no_reorganisation_reaches_leave_no_undo_data() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let options = StoreOptions {
        undo_depth: 3,
        ..StoreOptions::default()
    };
    let store = open_at(scratch.path(), options);
    let connect = |heights: std::ops::Range<u32>, best: u32| {
        let connected: Result<(), StoreError> = store.write(|writer| {
            writer.expect_best(best);
            let mut heights = heights.clone();
            heights
                .try_for_each(|height| Block::of_changes(height, Changes::default()).apply(writer))
        });
        connected.expect("they follow");
        store.snapshot().tables.undo.len().expect("readable")
    };
    assert_eq!(connect(FIRST..FIRST + 4, 0), 3, "nobody knows of more");
    assert_eq!(connect(FIRST + 4..FIRST + 8, FIRST + 100), 0);
    let error = store.disconnect().expect_err("the best block is far away");
    assert!(matches!(error, StoreError::UndoGone { height, .. } if height == FIRST + 7));
    assert_eq!(connect(FIRST + 8..FIRST + 20, FIRST + 19), 3);
    for _ in 0..3 {
        store.disconnect().expect("the undo data is there");
    }
    assert!(store.disconnect().is_err());
}

#[test]
fn subscribers_hear_of_every_commit() {
    let (_scratch, store) = scratch();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    store.subscribe(move |notice| sink.lock().expect("one thread").push(notice.clone()));
    connect_record(&store, FIRST, &record("a.id", NameOp::Register, FIRST));
    store.disconnect().expect("the undo data is there");
    let names = vec!["a.id".parse().expect("a name")];
    let notice = |height: Option<u32>| ChangeNotice {
        height,
        names: names.clone(),
        namespaces: Vec::new(),
        has_undone: height.is_none(),
    };
    let heard = heard.lock().expect("one thread");
    assert_eq!(*heard, [notice(Some(FIRST)), notice(None)]);
}
