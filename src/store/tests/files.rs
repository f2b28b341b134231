//! What the files on disk survive, and whom they serve.

use std::fs;

use super::*;

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
    let transaction = store.begin().expect("writable");
    let mut tables = Tables::of_write(&transaction).expect("writable");
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

#[test]
fn the_format_describes_every_table() {
    let (_scratch, store) = scratch();
    let format = include_str!("../format.md");
    for rows in store.snapshot().tables.all() {
        let name = rows.name();
        assert!(format.contains(&format!("| `{name}` |")), "{name}");
    }
}
