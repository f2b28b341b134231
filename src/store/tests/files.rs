//! What the files on disk survive, and whom they serve.

use std::fs;

use super::*;
use crate::store::name_row::write_name_row;

fn mainnet() -> ChainIdentity {
    ChainIdentity {
        network: "mainnet".to_owned(),
        ..chain()
    }
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
    connect_record(&store, FIRST, &record("a.id", NameOp::Register, FIRST));
    drop(store);
    let mainnet = mainnet();
    let error = Store::open(scratch.path(), &mainnet, StoreOptions::default())
        .expect_err("the database is of regtest");
    let message = error.to_string();
    assert!(
        message.contains("\"regtest\"") && message.contains("\"mainnet\""),
        "{message}"
    );
    open_at(scratch.path(), StoreOptions::default());
}

/// A service starts before somebody says which chain it is to follow.
#[test]
fn a_directory_without_a_block_serves_any_chain() {
    let (scratch, store) = scratch();
    drop(store);
    let open = || Store::open(scratch.path(), &mainnet(), StoreOptions::default());
    drop(open().expect("nothing is lost"));
    drop(open().expect("it is of that chain now"));
    let store = open_at(scratch.path(), StoreOptions::default());
    connect_record(&store, FIRST, &record("a.id", NameOp::Register, FIRST));
    drop(store);
    assert!(matches!(open(), Err(OpenError::WrongChain { .. })));
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let (scratch, store) = scratch();
    let transaction = store.begin().expect("writable");
    let mut tables = Tables::of_write(&transaction, &store.damage).expect("writable");
    let mut newer = 6u32.to_be_bytes().to_vec();
    tables.meta.put(b"format", &mut newer).expect("writable");
    drop(tables);
    transaction.commit().expect("writable");
    drop(store);
    let error = Store::open(scratch.path(), &chain(), StoreOptions::default())
        .expect_err("format 6 is unknown");
    assert!(matches!(
        error,
        OpenError::NewerFormat {
            found: 6,
            known: 5,
            ..
        }
    ));
}

/// Format 1 had no tables of zone files.
#[test]
fn an_earlier_format_is_brought_to_this_one() {
    let (scratch, store) = scratch();
    connect_record(&store, FIRST, &record("a.id", NameOp::Register, FIRST));
    let revoked = NameRecord {
        revoked: true,
        ..record("b.id", NameOp::Revoke, FIRST + 1)
    };
    connect_record(&store, FIRST + 1, &revoked);
    let expected = full_dump(&store);
    upgrade::make_format_3(&store);
    let transaction = store.begin().expect("writable");
    let mut tables = Tables::of_write(&transaction, &store.damage).expect("writable");
    let mut earlier = 1u32.to_be_bytes().to_vec();
    tables.meta.put(b"format", &mut earlier).expect("writable");
    drop(tables);
    for table in ["zonefiles", "missing_zonefiles"] {
        let table = redb::TableDefinition::<&[u8], &[u8]>::new(table);
        assert!(transaction.delete_table(table).expect("writable"));
    }
    transaction.commit().expect("writable");
    drop(store);
    let store = open_at(scratch.path(), StoreOptions::default());
    assert_eq!(full_dump(&store), expected);
    connect_record(
        &store,
        FIRST + 2,
        &record("a.id", NameOp::Update, FIRST + 2),
    );
    drop(store);
    open_at(scratch.path(), StoreOptions::default());
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
    write_name_row(None, &record, &mut row);
    let mut tables = Tables::of_write(&transaction, &store.damage).expect("writable");
    tables.names.put(b"a.id", &mut row).expect("writable");
    row[5] ^= 1;
    tables.names.put_unsealed(b"a.id", &row).expect("writable");
    drop(tables);
    transaction.commit().expect("writable");
    store
        .publish(&store.writing(), &notice())
        .expect("readable");
    let error = store
        .snapshot()
        .name(&record.name)
        .expect_err("it is damaged");
    assert!(matches!(error, StoreError::Corrupt { table: "names", ref key } if key == "a.id"));
}

pub(super) fn notice() -> ChangeNotice {
    ChangeNotice {
        height: None,
        names: Vec::new(),
        namespaces: Vec::new(),
        has_undone: false,
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

/// A flipped bit in any place that holds a name, in whichever table: what is read is right or an error, and never that
/// the row is not there.
#[test]
fn a_damaged_key_hides_no_row() {
    let (scratch, store) = scratch();
    let mut sound = record("werner.id", NameOp::Register, FIRST);
    sound.value_hash = Some(ZonefileHash([7; 20]));
    connect_record(&store, FIRST, &sound);
    let expected = reads(&store, &sound);
    assert!(expected.iter().all(Option::is_some), "{expected:?}");
    drop(store);
    let path = scratch.path().join("names.redb");
    let whole = fs::read(&path).expect("readable");
    let sums = fs::read(scratch.path().join("names.sums")).expect("readable");
    let text = sound.name.as_str().as_bytes();
    let places = (0..whole.len()).filter(|place| whole[*place..].starts_with(text));
    let places: Vec<usize> = places.collect();
    assert!(places.len() >= 6, "{} places hold a name", places.len());
    for place in places {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        fs::write(&path, &damaged).expect("writable");
        fs::write(scratch.path().join("names.sums"), &sums).expect("writable");
        let options = StoreOptions::default();
        let store = Store::open_even_damaged(scratch.path(), &chain(), options);
        let store = store.expect("a stand-in");
        for (found, expected) in reads(&store, &sound).iter().zip(&expected) {
            assert!(
                found.is_none() || found == expected,
                "byte {place}: {found:?}"
            );
        }
    }
}

/// What is read of a name in every way; `None` is an error.
fn reads(store: &Store, record: &NameRecord) -> Vec<Option<String>> {
    fn shown<T: std::fmt::Debug>(read: Result<T, StoreError>) -> Option<String> {
        read.ok().map(|read| format!("{read:?}"))
    }
    let (state, name) = (store.snapshot(), &record.name);
    let hash = ZonefileHash([7; 20]);
    vec![
        shown(state.name(name)),
        shown(state.name_at(name, FIRST)),
        shown(state.name_history(name)),
        shown(state.name_by_hash128(&name.hash128())),
        shown(state.names_of_sender(&record.sender)),
        shown(state.names_of_preorder(&record.preorder_hash)),
        shown(state.names(None, 10)),
        shown(state.announcements(&hash)),
        shown(state.is_announced(&hash)),
        shown(state.wanted_zonefiles(None, 10)),
        shown(state.missing_zonefiles(None, 10)),
        shown(state.counts()),
    ]
}

/// Pages that are not what redb wrote, with sums that fit: redb stops with panics, and each is an error.
#[test]
fn a_panic_of_redb_is_an_error() {
    let (scratch, store) = scratch();
    for height in FIRST..FIRST + 4 {
        connect_record(&store, height, &record("a.id", NameOp::Update, height));
    }
    drop(store);
    let path = scratch.path().join("names.redb");
    let whole = fs::read(&path).expect("readable");
    let used = |place: &usize| whole[*place] != 0 && *place >= 4_096;
    let in_use: Vec<usize> = (0..whole.len()).filter(used).collect();
    let mut panics = 0;
    for step in 0..FLIPS {
        let mut damaged = whole.clone();
        damaged[in_use[(step * 7919 + 13) % in_use.len()]] ^= 1 << (step % 8);
        fs::write(&path, &damaged).expect("writable");
        make_sums(&path, |_, _| ()).expect("readable");
        let options = StoreOptions::default();
        let store = Store::open_even_damaged(scratch.path(), &chain(), options);
        let store = store.expect("a stand-in");
        for rows in store.snapshot().tables.all() {
            let _ = dump_rows(rows, &mut String::new());
        }
        let _ = store.disconnect();
        panics += usize::from(store.damage() == Some(SENSELESS));
    }
    assert!(panics > 0, "redb bears everything: is the door needed?");
}

/// What nobody asks for is read again, and what changed there is found.
#[test]
fn a_sweep_finds_what_changed_meanwhile() {
    let (scratch, store) = scratch();
    connect_record(&store, FIRST, &record("a.id", NameOp::Update, FIRST));
    assert_eq!(store.sweep(0, usize::MAX >> 1), None);
    assert_eq!((store.damage(), store.sweep(0, 2)), (None, Some(2)));
    let path = scratch.path().join("names.redb");
    let mut whole = fs::read(&path).expect("readable");
    let place = (0..whole.len()).find(|place| whole[*place..].starts_with(b"a.id"));
    whole[place.expect("a name")] ^= 1;
    fs::write(&path, &whole).expect("writable");
    assert_eq!(store.sweep(0, usize::MAX >> 1), None);
    assert!(store.damage().is_some());
    assert!(
        store
            .snapshot()
            .name(&record("a.id", NameOp::Update, FIRST).name)
            .is_err()
    );
}

/// After a kill a page may have another sum than it had, if nothing refers to it. That is no damage.
#[test]
fn a_sweep_after_a_kill_finds_nothing() {
    let (scratch, store) = scratch();
    let killed = tempfile::tempdir().expect("a scratch directory");
    let copy = |file: &str| {
        fs::copy(scratch.path().join(file), killed.path().join(file)).expect("a copy");
    };
    for height in FIRST..FIRST + 40 {
        copy("names.sums"); // older than the pages
        connect_record(&store, height, &record("a.id", NameOp::Update, height));
        let all = full_dump(&store);
        copy("names.redb");
        if height % 8 == 0 {
            copy("names.sums");
            let after = open_at(killed.path(), StoreOptions::default());
            assert_eq!(after.sweep(0, usize::MAX >> 1), None);
            assert_eq!((after.damage(), full_dump(&after)), (None, all));
        }
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

#[test]
fn the_format_describes_every_table() {
    let (_scratch, store) = scratch();
    let format = include_str!("../format.md");
    for rows in store.snapshot().tables.all() {
        let name = rows.name();
        assert!(format.contains(&format!("| `{name}` |")), "{name}");
    }
    let (_, beside) = format.split_once("`atlas.redb`, format").expect("a part");
    let transaction = store.begin().expect("writable");
    let tables = OffchainTables::of_write(&transaction, &store.damage).expect("writable");
    for rows in tables.all() {
        let name = rows.name();
        assert!(beside.contains(&format!("| `{name}` |")), "{name}");
    }
}
