//! What holds for any blocks: undoing takes back, batches change nothing, indexes follow from the rows.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::store::query::read_row;
use crate::store::row::Announcement;

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
                block.apply(writer)?;
            }
            Ok(())
        });
        result.expect("the blocks follow");
        prop_assert_eq!(full_dump(&single), full_dump(&batched));
        prop_assert_eq!(single.snapshot().tip(), batched.snapshot().tip());
    }

    /// Far below the best block: what is asked for is there at once, and the indexes that are written late are those of a
    /// database that writes them with each block, as soon as it can be undone or is opened again.
    #[test]
    fn late_indexes_are_those_of_single_blocks(
        wishes in vec(arbitrary::wish(), 1..9),
        ended in any::<bool>(),
    ) {
        let (_one, single) = scratch();
        let two = tempfile::tempdir().expect("a scratch directory");
        let late = open_at(two.path(), StoreOptions::default());
        let last = FIRST + wishes.len() as u32 - 1;
        for (height, wish) in (FIRST..).zip(&wishes) {
            connect_wish(&single, height, wish);
            let connected: Result<(), StoreError> = late.write(|writer| {
                writer.expect_best(if ended && height == last { height } else { u32::MAX });
                Block::of_wish(height, wish, writer.state()).apply(writer)
            });
            connected.expect("the block follows");
            let states = [&single, &late].map(|store| store.snapshot());
            for hash in wish.names.iter().filter_map(|(record, _)| record.value_hash) {
                let [found, of_late] = states.each_ref().map(|state| {
                    (state.announcements(&hash), state.is_announced(&hash))
                });
                prop_assert_eq!(of_late.0.expect("readable"), found.0.expect("readable"));
                prop_assert_eq!(of_late.1.expect("readable"), found.1.expect("readable"));
            }
        }
        let late = match ended {
            true => late,
            false => {
                drop(late);
                open_at(two.path(), StoreOptions::default())
            }
        };
        let states = [single.snapshot(), late.snapshot()];
        let [dump, of_late] = states.each_ref().map(|state| state.dump().expect("readable"));
        prop_assert_eq!(of_late, dump);
        let [missing, of_late] = states.map(|state| state.missing_zonefiles(None, usize::MAX));
        prop_assert_eq!(of_late.expect("readable"), missing.expect("readable"));
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
        for most in 0..3 {
            let counted = state.count_names_of_sender(&sender, most);
            assert_eq!(counted.expect("readable"), names.len().min(most));
        }
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
    let announcements = &state.tables.announcements;
    let announcements = announcements.range(.., usize::MAX, read_row::<Announcement>);
    for (index, announcement) in (1..).zip(&announcements.expect("readable")) {
        assert_eq!(
            announcement.inventory_index, index,
            "the numbering has no gap"
        );
        let of_hash = state.announcements(&announcement.hash).expect("readable");
        assert!(of_hash.contains(announcement));
    }
}
