//! The demo's chain, block by block through `submitblock`; and what each kind of source makes of it.

use std::fs;

use super::*;

#[test]
fn the_demos_blocks_are_accepted_and_every_source_gives_the_same_hashes() {
    let mut mirror = Mirror::start(&["-rest=1"]);
    mirror.publish(&project_zonefiles());
    let height = mirror.dev.tip().height;
    assert_eq!(mirror.node.height(), height);
    assert_eq!(
        mirror.node.hash_at(height),
        mirror.dev.tip().hash.to_string()
    );

    let expected = index(&mirror, "dev", mirror.dev.source(0));
    assert_eq!(expected.len(), height as usize);
    assert_eq!(index(&mirror, "rest", mirror.rpc()), expected);
    assert_eq!(index(&mirror, "files", mirror.block_files()), expected);
    assert!(mirror.node.blocks().join("xor.dat").exists());

    mirror.node.stop();
    mirror.node.start_again(&["-rest=0"]);
    assert_eq!(index(&mirror, "rpc", mirror.rpc()), expected);
}

#[test]
fn block_files_are_followed_while_they_grow() {
    let mut mirror = Mirror::start(&[]);
    mirror.mine(5);
    let mut index = Index::open(&mirror.home.folder("index"), mirror.block_files());
    index.catch_up().expect("blocks");
    assert_eq!(index.tip().height, 5);
    mirror.publish(&project_zonefiles());
    index.catch_up().expect("blocks");
    assert_eq!(index.tip(), mirror.dev.tip());

    // A branch that loses stays in the files.
    mirror.rewind(3);
    mirror
        .registrar
        .mine(Vec::new(), TIME + 7)
        .expect("a block");
    mirror.mine(3);
    index.catch_up().expect("blocks");
    assert_eq!(index.tip(), mirror.dev.tip());
    assert_eq!(
        index.tip().hash.to_string(),
        mirror.node.hash_at(index.tip().height)
    );
}

#[test]
fn block_files_in_another_order_give_the_same_chain() {
    let mut mirror = Mirror::start(&["-blocksxor=0"]);
    mirror.publish(&project_zonefiles());
    let expected = index(&mirror, "dev", mirror.dev.source(0));
    mirror.node.stop();
    let path = mirror.node.blocks().join("blk00000.dat");
    let bytes = fs::read(&path).expect("a block file");
    let mut records = records(&bytes);
    records.reverse();
    let zeros = [0; 1 << 16]; // as preallocated
    fs::write(&path, [&records.concat()[..], &zeros].concat()).expect("written");
    assert_eq!(index(&mirror, "reversed", mirror.block_files()), expected);
}

#[test]
fn block_files_without_undo_files_are_refused() {
    let mut mirror = Mirror::start(&[]);
    mirror.mine(2);
    mirror.node.stop();
    fs::remove_file(mirror.node.blocks().join("rev00000.dat")).expect("an undo file");
    let mut index = Index::open(&mirror.home.folder("index"), mirror.block_files());
    let error = index.catch_up().expect_err("refused").to_string();
    assert!(error.contains("no rev?????.dat"), "{error}");

    let elsewhere = BlockFilesSource::new(mirror.home.path(), Network::Regtest, 0);
    let mut index = Index::open(&mirror.home.folder("other"), elsewhere);
    let error = index.catch_up().expect_err("refused").to_string();
    assert!(error.contains("set `chain.blocks-dir`"), "{error}");

    let mainnet = BlockFilesSource::new(&mirror.node.blocks(), Network::Bitcoin, 0);
    let mut index = Index::open(&mirror.home.folder("mainnet"), mainnet);
    let error = index.catch_up().expect_err("refused").to_string();
    assert!(error.contains("no block of this network"), "{error}");
}

fn index(mirror: &Mirror, folder: &str, source: impl ChainSource + 'static) -> Vec<String> {
    let mut index = Index::open(&mirror.home.folder(folder), source);
    index.catch_up().expect("blocks");
    index.consensus_hashes()
}

/// The records of a block file that is not obfuscated.
fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while let Some(length) = bytes
        .get(4..8)
        .map(|l| u32::from_le_bytes(l.try_into().unwrap()))
    {
        if length == 0 {
            break;
        }
        let (record, rest) = bytes.split_at(8 + length as usize);
        records.push(record);
        bytes = rest;
    }
    records
}
