//! The log of a chain, written for others: what it is made from, and that two nodes write the same bytes.

use std::sync::Arc;

use bnsd::bns::Bns;
use bnsd::chain::Indexed as _;
use bnsd::indexer::IndexedCandidates;

use crate::common::golden;
use crate::common::scratch::scratch;

#[test]
fn a_candidate_is_found_by_its_id_as_long_as_its_block_is_indexed() {
    let scratch = scratch();
    let chain = golden::chain("consensus", "walk-all-epochs-seed3");
    let bns = Bns::new(chain.params.clone());
    let store = Arc::new(golden::open(scratch.path(), &chain.params, 100));
    let (early, late) = chain.blocks.split_at(chain.blocks.len() - 40);
    let indexed = IndexedCandidates::new(Arc::clone(&store));
    let assert_all = |until: u32| {
        let mut seen = 0;
        for block in &chain.blocks {
            for candidate in &block.candidates {
                let place = (block.height, candidate.vtxindex);
                let expected = (block.height <= until).then_some(place);
                let found = indexed.place_of(&candidate.txid).expect("readable");
                assert_eq!(found, expected, "{}", candidate.txid);
                let stored = indexed.candidate(place.0, place.1).expect("readable");
                let transaction = expected.map(|_| candidate.transaction.clone());
                assert_eq!(stored, transaction);
                seen += 1;
            }
        }
        assert!(seen > 100);
    };
    let height = |blocks: &[_]| -> u32 {
        let last: Option<&bnsd::indexer::ReplayBlock> = blocks.last();
        last.expect("a block").height
    };
    golden::connect(&store, &bns, early, |_, _| {});
    assert_all(height(early));
    golden::connect(&store, &bns, late, |_, _| {});
    assert_all(height(late));
    for _ in 0..60 {
        store.disconnect().expect("undo data");
    }
    assert_all(height(late) - 60);
}
