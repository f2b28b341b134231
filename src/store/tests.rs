//! What the store promises, on real files.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash as _;
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use super::arbitrary::{self, Wish};
use super::codec::Row;
use super::query::dump_rows;
use super::*;
use crate::bns::address::Address;
use crate::bns::changes::{Change, Event, EventRow};
use crate::bns::record::{Account, NameOp, NameRecord};
use crate::bns::view::View;
use crate::hash::{ConsensusHash, OpsHash, ZonefileHash};
use crate::virtualchain::{
    Accepted, BlockOutcome, Decision, Located, Snapshot, SnapshotView, VirtualTransaction,
};

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

/// Everything that a block is made of, owned.
struct Block {
    candidates: Vec<VirtualTransaction>,
    outcome: BlockOutcome<String, Changes>,
}

impl Block {
    fn hash(height: u32) -> BlockHash {
        BlockHash::hash(&height.to_be_bytes())
    }

    fn connected(&self) -> ConnectedBlock<'_, String> {
        let height = self.outcome.height;
        ConnectedBlock {
            hash: Self::hash(height),
            previous: Self::hash(height - 1),
            time: 1_500_000_000 + height,
            candidates: &self.candidates,
            outcome: &self.outcome,
        }
    }

    fn of_changes(height: u32, changes: Changes) -> Self {
        let seed = height.to_be_bytes()[3];
        Self {
            candidates: Vec::new(),
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
            block.candidates.push(candidate);
            if let Some(operation) = decided(decision) {
                block.outcome.decisions.push(Located {
                    vtxindex: *vtxindex,
                    txid,
                    operation,
                });
            }
        }
        block
    }
}

fn decided(decision: &StoredDecision) -> Option<Decision<String>> {
    match decision.clone() {
        StoredDecision::Ignored => None,
        StoredDecision::Accepted { serialized } => {
            Some(Decision::Accepted(Accepted { serialized }))
        }
        StoredDecision::Rejected { reason } => Some(Decision::Rejected(reason)),
        StoredDecision::Unparseable { reason } => Some(Decision::Unparseable(reason)),
    }
}

fn changes<V: View<Error = StoreError>>(wish: &Wish, state: &V) -> Changes {
    let mut changes = Changes::default();
    for (record, keep) in &wish.names {
        let before = state.name(&record.name).expect("readable");
        let after = keep.then(|| record.clone());
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
    changes.events = events(&changes);
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
    store
        .connect(&block.connected())
        .expect("the block follows");
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
    store
        .connect(&block.connected())
        .expect("the block follows");
}

fn connect_empty(store: &Store, height: u32) -> Result<(), StoreError> {
    store.connect(&Block::of_changes(height, Changes::default()).connected())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// undo(apply(s, c)) = s, to the last row of every table.
    #[test]
    fn disconnecting_takes_back_exactly_what_connecting_did(
        wishes in vec(arbitrary::wish(), 1..6),
    ) {
        let (_scratch, store) = scratch();
        let mut dumps = vec![full_dump(&store)];
        for (height, wish) in (FIRST..).zip(&wishes) {
            connect_wish(&store, height, wish);
            check_indexes(&store.snapshot());
            dumps.push(full_dump(&store));
        }
        for expected in dumps.iter().rev().skip(1) {
            store.disconnect().expect("the undo data is there");
            prop_assert_eq!(&full_dump(&store), expected);
        }
        prop_assert!(matches!(store.disconnect(), Err(StoreError::NothingToUndo)));
    }

    /// One block a transaction or all in one: the same database.
    #[test]
    fn a_batch_equals_single_blocks(wishes in vec(arbitrary::wish(), 1..5)) {
        let (_one, single) = scratch();
        let (_two, batched) = scratch();
        for (height, wish) in (FIRST..).zip(&wishes) {
            connect_wish(&single, height, wish);
        }
        let result: Result<(), StoreError> = batched.write(|writer| {
            for (height, wish) in (FIRST..).zip(&wishes) {
                let block = Block::of_wish(height, wish, writer.state());
                writer.apply(&block.connected())?;
            }
            Ok(())
        });
        result.expect("the blocks follow");
        prop_assert_eq!(full_dump(&single), full_dump(&batched));
        prop_assert_eq!(single.snapshot().tip(), batched.snapshot().tip());
    }

    /// What was connected is read back as it was.
    #[test]
    fn operations_are_kept_as_they_were(wish in arbitrary::wish()) {
        let (_scratch, store) = scratch();
        connect_wish(&store, FIRST, &wish);
        let stored = store.snapshot().operations_at(FIRST).expect("readable");
        prop_assert_eq!(stored.len(), wish.candidates.len());
        for (operation, (vtxindex, (candidate, decision))) in stored.iter().zip(&wish.candidates) {
            prop_assert_eq!(operation.candidate.vtxindex, *vtxindex);
            prop_assert_eq!(&operation.candidate.transaction, &candidate.transaction);
            prop_assert_eq!(&operation.candidate.prevouts, &candidate.prevouts);
            prop_assert_eq!(operation.candidate.txid, candidate.txid);
            prop_assert_eq!(&operation.decision, decision);
        }
    }
}

/// Rebuilds every index from the rows and compares it with what the view answers.
fn check_indexes(state: &StoreSnapshot) {
    let records = state.names(None, usize::MAX).expect("readable");
    let mut owners: BTreeMap<Vec<u8>, Vec<Name>> = BTreeMap::new();
    let mut preorders: BTreeMap<_, Vec<Name>> = BTreeMap::new();
    for record in &records {
        let name = record.name.clone();
        owners
            .entry(record.sender.clone())
            .or_default()
            .push(name.clone());
        preorders
            .entry(record.preorder_hash)
            .or_default()
            .push(name.clone());
        let by_hash = state.name_by_hash128(&name.hash128()).expect("readable");
        assert_eq!(by_hash, Some(name));
    }
    for (sender, names) in owners {
        assert_eq!(state.names_of_sender(&sender).expect("readable"), names);
    }
    for (hash, names) in preorders {
        assert_eq!(state.names_of_preorder(&hash).expect("readable"), names);
    }
    let count = records.len() as u64;
    for index in [
        &state.tables.owners,
        &state.tables.name_preorders,
        &state.tables.name_hashes,
    ] {
        assert_eq!(
            index.len().expect("readable"),
            count,
            "no entry is left over"
        );
    }
    let namespaces = state.namespaces().expect("readable");
    for namespace in &namespaces {
        let known = state.namespace_has_preorder(&namespace.preorder_hash);
        assert!(known.expect("readable"));
    }
    let index = state.tables.namespace_preorders.len().expect("readable");
    assert_eq!(index, namespaces.len() as u64);
    let announcements = state.announced_from(1, usize::MAX).expect("readable");
    for (index, announcement) in (1..).zip(&announcements) {
        assert_eq!(
            announcement.inventory_index, index,
            "the numbering has no gap"
        );
        let of_hash = state.announcements(&announcement.hash).expect("readable");
        assert!(of_hash.contains(announcement));
    }
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
    assert_eq!(at(FIRST).expect("registered").op, NameOp::Register);
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
    let missing = store
        .snapshot()
        .zonefiles(&archive)
        .expect("readable")
        .missing;
    let wanted = MissingZonefile {
        name: b.name,
        hash: b.value_hash.expect("it has one"),
    };
    assert_eq!(missing, [wanted]);
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
    let block = Block::of_changes(FIRST + 1, Changes::default());
    let elsewhere = ConnectedBlock {
        previous: Block::hash(0),
        ..block.connected()
    };
    assert!(matches!(
        store.connect(&elsewhere),
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
    let error = store
        .connect(&block.connected())
        .expect_err("there is a row");
    assert!(matches!(
        error,
        StoreError::StaleChanges { table: "names", .. }
    ));
    let swallowed: Result<(), StoreError> = store.write(|writer| {
        let _ = writer.apply(&block.connected());
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
fn subscribers_hear_of_every_commit() {
    let (_scratch, store) = scratch();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    store.subscribe(move |notice| sink.lock().expect("one thread").push(notice.clone()));
    connect_record(&store, FIRST, &record("a.id", NameOp::Register, FIRST));
    store.disconnect().expect("the undo data is there");
    let names = vec!["a.id".parse().expect("a name")];
    let notice = |height| ChangeNotice {
        height,
        names: names.clone(),
        namespaces: Vec::new(),
    };
    let heard = heard.lock().expect("one thread");
    assert_eq!(*heard, [notice(Some(FIRST)), notice(None)]);
}

#[test]
fn a_directory_serves_one_instance_and_one_chain() {
    let (scratch, store) = scratch();
    let again = Store::open(scratch.path(), &chain(), StoreOptions::default());
    assert!(matches!(
        again,
        Err(OpenError::InUse {
            holder: Some(_),
            ..
        })
    ));
    drop(store);
    let mainnet = ChainIdentity {
        network: "mainnet".to_owned(),
        ..chain()
    };
    let error = Store::open(scratch.path(), &mainnet, StoreOptions::default())
        .expect_err("the database is of regtest");
    let message = error.to_string();
    assert!(
        message.contains("\"regtest\"") && message.contains("\"mainnet\""),
        "{message}"
    );
    open_at(scratch.path(), StoreOptions::default());
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let (scratch, store) = scratch();
    let transaction = store.begin().expect("writable");
    let mut tables = Tables::of_write(&transaction).expect("writable");
    let mut newer = 3u32.to_be_bytes().to_vec();
    tables.meta.put(b"format", &mut newer).expect("writable");
    drop(tables);
    transaction.commit().expect("writable");
    drop(store);
    let error = Store::open(scratch.path(), &chain(), StoreOptions::default())
        .expect_err("format 3 is unknown");
    assert!(matches!(
        error,
        OpenError::NewerFormat {
            found: 3,
            known: 2,
            ..
        }
    ));
}

#[test]
fn the_former_format_is_brought_up_to_date() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let (scratch, store) = scratch();
    let mut runner = TestRunner::deterministic();
    for height in FIRST..FIRST + 5 {
        let wish = arbitrary::wish().new_tree(&mut runner).expect("a wish");
        connect_wish(&store, height, &wish.current());
    }
    let dump = full_dump(&store);
    let transaction = store.begin().expect("writable");
    let mut tables = Tables::of_write(&transaction).expect("writable");
    for height in FIRST..FIRST + 5 {
        let key = height.to_be_bytes();
        let row = tables.blocks.get(&key, |row| Some(row.to_vec()));
        let mut row = row.expect("readable").expect("it was written");
        row.truncate(row.len() - 32);
        tables.blocks.put(&key, &mut row).expect("writable");
    }
    let mut former = 1u32.to_be_bytes().to_vec();
    tables.meta.put(b"format", &mut former).expect("writable");
    drop(tables);
    transaction.commit().expect("writable");
    drop(store);
    let upgraded = open_at(scratch.path(), StoreOptions::default());
    assert_eq!(full_dump(&upgraded), dump);
}

/// A copy of the file while the store is open is what a kill leaves behind.
#[test]
fn a_killed_process_loses_no_committed_block() {
    let (scratch, store) = scratch();
    for height in FIRST..FIRST + 8 {
        connect_record(&store, height, &record("a.id", NameOp::Update, height));
        let killed = tempfile::tempdir().expect("a scratch directory");
        fs::copy(
            scratch.path().join("names.redb"),
            killed.path().join("names.redb"),
        )
        .expect("the file can be copied");
        let after = open_at(killed.path(), StoreOptions::default());
        assert_eq!(full_dump(&after), full_dump(&store));
        connect_empty(&after, height + 1).expect("it goes on");
    }
}

#[test]
fn a_row_with_a_flipped_bit_is_named() {
    let (_scratch, store) = scratch();
    let record = record("a.id", NameOp::Register, FIRST);
    connect_record(&store, FIRST, &record);
    let transaction = store.begin().expect("writable");
    let mut row = Vec::new();
    record.write(&mut row);
    let mut tables = Tables::of_write(&transaction).expect("writable");
    tables.names.put(b"a.id", &mut row).expect("writable");
    row[5] ^= 1;
    tables.names.put_unsealed(b"a.id", &row).expect("writable");
    drop(tables);
    transaction.commit().expect("writable");
    store.publish(&notice()).expect("readable");
    let error = store
        .snapshot()
        .name(&record.name)
        .expect_err("it is damaged");
    assert!(matches!(error, StoreError::Corrupt { table: "names", ref key } if key == "a.id"));
}

fn notice() -> ChangeNotice {
    ChangeNotice {
        height: None,
        names: Vec::new(),
        namespaces: Vec::new(),
    }
}

/// How many single-bit errors are tried; three thousand were, once.
const FLIPS: usize = 200;

/// Wherever the file is hit: an error, or the right rows; no panic, no wrong row.
#[test]
fn a_damaged_file_is_an_error_or_harmless() {
    let (scratch, store) = scratch();
    let empty = full_dump(&store);
    for height in FIRST..FIRST + 4 {
        connect_record(&store, height, &record("a.id", NameOp::Update, height));
    }
    let expected = full_dump(&store);
    drop(store);
    let path = scratch.path().join("names.redb");
    let whole = fs::read(&path).expect("readable");
    let in_use: Vec<usize> = (0..whole.len())
        .filter(|place| whole[*place] != 0)
        .collect();
    for step in 0..FLIPS {
        let mut damaged = whole.clone();
        let place = in_use[(step * 7919 + 13) % in_use.len()];
        damaged[place] ^= 1 << (step % 8);
        fs::write(&path, &damaged).expect("writable");
        check_damaged(scratch.path(), &expected);
    }
    for part in [0, 100, 4096, whole.len() / 2] {
        fs::write(&path, &whole[..part]).expect("writable");
        check_damaged(scratch.path(), &empty);
    }
}

fn check_damaged(directory: &Path, expected: &str) {
    let Ok(store) = Store::open(directory, &chain(), StoreOptions::default()) else {
        return;
    };
    let mut text = String::new();
    for rows in store.snapshot().tables.all() {
        if dump_rows(rows, &mut text).is_err() {
            return;
        }
    }
    assert_eq!(text, expected);
}
