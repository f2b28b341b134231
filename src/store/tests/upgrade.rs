//! Databases of formats 3 and 4, brought to this one: the same rows as if it had always been of it, whatever happens on the way.

use proptest::collection::vec;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::power::random::Random;
use super::power::{Disk, Event, FILES, check, cuts, fast_scratch, open_recorded};
use super::*;
use crate::store::codec::Field as _;
use crate::store::key;
use crate::store::name_row::Place;
use crate::store::query::read_row;
use crate::store::row::{Digest, write_candidate};
use crate::store::table::WriteTable;

/// Blocks of a database that is upgraded.
const BLOCKS: usize = 30;

/// Writes names and operations as format 3 had them: without places, and with their whole texts. Gives how many those are.
pub(super) fn make_format_3(store: &Store) -> usize {
    let mut texts = 0;
    rewrite(store, 3, |state, tables| {
        remove_places(state, tables);
        texts = lengthen(state, tables);
    });
    texts
}

/// Writes the names as format 4 had them: without places.
fn make_format_4(store: &Store) {
    rewrite(store, 4, remove_places);
}

/// Lets `write` make a database of an earlier format.
fn rewrite(
    store: &Store,
    format: u32,
    write: impl FnOnce(&StoreSnapshot, &mut Tables<WriteTable<'_>>),
) {
    let transaction = store.begin().expect("writable");
    let mut tables = Tables::of_write(&transaction, &store.damage).expect("writable");
    write(&store.snapshot(), &mut tables);
    let mut format = format.to_be_bytes().to_vec();
    tables.meta.put(b"format", &mut format).expect("writable");
    drop(tables);
    transaction.commit().expect("writable");
    store
        .publish(&store.writing(), &files::notice())
        .expect("readable");
}

fn remove_places(state: &StoreSnapshot, tables: &mut Tables<WriteTable<'_>>) {
    for record in state.names(None, usize::MAX).expect("readable") {
        let history = state.name_history(&record.name).expect("readable");
        let (mut key, mut row) = (Vec::new(), Vec::new());
        for HistoryEntry {
            height,
            vtxindex,
            record,
        } in history
        {
            key::name_history(&mut key, Place { height, vtxindex }, record.name.as_str());
            tables.name_history.remove(&key).expect("writable");
            key::history(&mut key, record.name.as_str(), height, vtxindex);
            row.clear();
            record.write(&mut row);
            tables.name_history.put(&key, &mut row).expect("writable");
        }
        row.clear();
        record.write(&mut row);
        let key = record.name.as_str().as_bytes();
        tables.names.put(key, &mut row).expect("writable");
    }
}

fn lengthen(state: &StoreSnapshot, tables: &mut Tables<WriteTable<'_>>) -> usize {
    let blocks = &state.tables.blocks;
    let blocks = blocks.range(.., usize::MAX, read_row::<IndexedBlock>);
    let mut texts = 0;
    for mut block in blocks.expect("readable") {
        let mut digest = Digest::default();
        for operation in state.operations_at(block.height).expect("readable") {
            let StoredOperation {
                candidate,
                decision,
            } = operation;
            let mut row = Vec::new();
            if let StoredDecision::Accepted { serialized } = &decision {
                texts += usize::from(serialized.is_some());
                row.push(1);
                serialized.write(&mut row);
                write_candidate(&candidate, &mut row);
            } else {
                StoredOperation::write(block.height, &candidate, &decision, &mut row);
            }
            digest.add(candidate.vtxindex, &row);
            let key = key::operation(block.height, candidate.vtxindex);
            tables.operations.put(&key, &mut row).expect("writable");
        }
        block.candidates = digest.finish();
        let mut row = Vec::new();
        block.write(&mut row);
        let key = key::height(block.height);
        tables.blocks.put(&key, &mut row).expect("writable");
    }
    texts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_upgraded_database_is_as_if_it_had_always_been_of_this_format(
        wishes in vec(arbitrary::wish(), 1..12),
        is_format_3 in any::<bool>(),
    ) {
        let (scratch, store) = scratch();
        let mut dumps = vec![full_dump(&store)];
        for (height, wish) in (FIRST..).zip(&wishes) {
            connect_wish(&store, height, wish);
            dumps.push(full_dump(&store));
        }
        if is_format_3 {
            make_format_3(&store);
        } else {
            make_format_4(&store);
        }
        drop(store);
        let store = open_at(scratch.path(), StoreOptions::default());
        prop_assert_eq!(dumps.last(), Some(&full_dump(&store)));
        for expected in dumps.iter().rev().skip(1) {
            store.disconnect().expect("the undo data is there");
            prop_assert_eq!(&full_dump(&store), expected);
        }
    }
}

/// A database of format 3 with many operations, and its rows in this format.
fn format_3(directory: &Path) -> String {
    let store = open_at(directory, StoreOptions::default());
    let mut runner = TestRunner::deterministic();
    for height in (FIRST..).take(BLOCKS) {
        let wish = arbitrary::wish().new_tree(&mut runner).expect("a wish");
        connect_wish(&store, height, &wish.current());
    }
    let expected = full_dump(&store);
    assert!(make_format_3(&store) > BLOCKS / 4);
    assert_ne!(full_dump(&store), expected);
    expected
}

/// Killed, or without power, at any moment: the next opening goes on, and leaves what an upgrade without trouble leaves.
#[test]
fn an_upgrade_that_was_cut_goes_on() {
    let seed = 17;
    let mut random = Random::new(seed);
    let scratch = fast_scratch();
    let made = scratch.path().join("made");
    let expected = format_3(&made);
    let read = |file| std::fs::read(made.join(file)).expect("readable");
    let mut disks = FILES.map(|file| Disk::of(read(file)));
    let log = Arc::default();
    drop(open_recorded(&made, &log, &Arc::default()));
    let events = std::mem::take(&mut *log.lock().expect("one thread"));
    let mut places: Vec<usize> = (0..cuts()).map(|_| random.below(events.len())).collect();
    places.sort_unstable();
    let mut places = places.into_iter().peekable();
    let image = scratch.path().join("image");
    std::fs::create_dir(&image).expect("a directory");
    for (number, event) in events.iter().enumerate() {
        while places.next_if_eq(&number).is_some() {
            for (file, disk) in FILES.iter().zip(&disks) {
                std::fs::write(image.join(file), disk.cut(&mut random)).expect("writable");
            }
            let what = format!("seed {seed}, cut before event {number}");
            check(&image, &expected, &expected, &what);
        }
        disks
            .iter_mut()
            .enumerate()
            .for_each(|(file, disk)| disk.take(file, event));
    }
    let syncs = events
        .iter()
        .filter(|event| matches!(event, Event::Sync(0)));
    assert!(syncs.count() > 2 * BLOCKS / 4, "an upgrade has many parts");
}

/// What was changed on purpose is still found afterwards.
#[test]
fn an_upgrade_mends_no_digest() {
    let (scratch, store) = scratch();
    let mut runner = TestRunner::deterministic();
    let wishes = std::iter::repeat_with(|| arbitrary::wish().new_tree(&mut runner));
    let wishes = wishes.map(|wish| wish.expect("a wish").current());
    let wish = { wishes }.find(|wish| !wish.candidates.is_empty());
    connect_wish(&store, FIRST, &wish.expect("one of them"));
    make_format_3(&store);
    let mut block = store.snapshot().tip().expect("a block");
    block.candidates = [7; 32];
    let transaction = store.begin().expect("writable");
    let mut tables = Tables::of_write(&transaction, &store.damage).expect("writable");
    let mut row = Vec::new();
    block.write(&mut row);
    let key = key::height(FIRST);
    tables.blocks.put(&key, &mut row).expect("writable");
    drop(tables);
    transaction.commit().expect("writable");
    drop(store);
    let store = open_at(scratch.path(), StoreOptions::default());
    assert_eq!(store.snapshot().tip(), Some(block));
}
