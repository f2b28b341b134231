//! A sync in bulk: many blocks are one transaction, and blocks far below the best one leave no undo data. Reorganisations
//! meanwhile and right after it end with the winning chain all the same.

use std::sync::{Arc, Mutex};

use bitcoin::ScriptBuf;
use bnsd::chain::dev::DevChain;
use bnsd::indexer::Turn;
use bnsd::store::StoreOptions;

use super::script::{Base, Index, NOW, Script};

/// Blocks that an index here can undo.
const UNDO_DEPTH: u32 = 5;

/// Operations in most blocks.
fn long_chain() -> Script {
    let mut script = Script::new(&Base::mine(), 17);
    script.mine(80);
    script.settle();
    script
}

/// Replaces the blocks above `fork` by `count` others.
fn replace(chain: &DevChain, fork: u32, count: u32) {
    chain.rewind(fork).unwrap();
    let reward = ScriptBuf::from_bytes(vec![0x51, fork as u8]);
    chain.mine_empty(&reward, count, NOW).unwrap();
}

fn assert_like_a_fresh_one(index: &Index, chain: &DevChain) {
    let mut fresh = Index::new(chain, StoreOptions::DEFAULT_UNDO_DEPTH);
    fresh.follow();
    let (ours, theirs) = (index.store.snapshot(), fresh.store.snapshot());
    assert_eq!(ours.tip(), theirs.tip());
    assert!(ours.dump().unwrap() == theirs.dump().unwrap());
}

#[test]
fn many_blocks_are_one_commit_while_the_index_is_far_behind() {
    let script = long_chain();
    let best = script.chain().tip().height;
    let mut index = Index::new(script.chain(), UNDO_DEPTH);
    let heights = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&heights);
    let tell = move |height| told.lock().unwrap().push(height);
    index.store.subscribe(move |notice| tell(notice.height));
    let turn = index.turn().unwrap();
    assert!(
        matches!(turn, Turn::Connected(at) if (16..=48).contains(&at.height)),
        "{turn:?}"
    );
    assert_eq!(index.follow(), 0);
    let heights = heights.lock().unwrap();
    assert_eq!(heights.last(), Some(&Some(best)));
    assert!(heights.len() as u32 <= best / 16 + 8, "{heights:?}");
    assert_like_a_fresh_one(&index, script.chain());
}

#[test]
fn a_reorganisation_far_below_the_best_block_is_followed_without_undo_data() {
    let script = long_chain();
    let chain = script.chain();
    let mut index = Index::new(chain, UNDO_DEPTH);
    let Turn::Connected(at) = index.turn().unwrap() else {
        panic!("there are blocks");
    };
    assert!(at.height + UNDO_DEPTH < chain.tip().height);
    replace(chain, at.height - 3, 60);
    let turn = index.turn().unwrap();
    assert!(
        matches!(turn, Turn::Disconnected(block) if block.height == at.height - 2),
        "{turn:?}"
    );
    assert_eq!(index.follow(), 0, "all were disconnected at once");
    assert_like_a_fresh_one(&index, chain);
}

#[test]
fn the_last_blocks_of_a_bulk_sync_can_be_undone() {
    let script = long_chain();
    let chain = script.chain();
    let mut index = Index::new(chain, UNDO_DEPTH);
    index.follow();
    replace(chain, chain.tip().height - UNDO_DEPTH, 9);
    assert_eq!(index.follow(), UNDO_DEPTH, "one after the other");
    assert_like_a_fresh_one(&index, chain);
}
