//! Reorganisations: the index ends up with the winning chain, whatever it saw on the way.
//!
//! `tests/release/README.md` tells how to run a thousand scripts instead of fifty.

use std::sync::OnceLock;

use bitcoin::ScriptBuf;
use bnsd::bns::Bns;
use bnsd::chain::dev::DevChain;
use bnsd::cli::vectorfile::VectorFile;
use bnsd::hash::ZonefileHash;
use bnsd::indexer::IndexError;
use bnsd::store::{Store, StoreError};
use proptest::prelude::*;

use crate::common::golden;

/// Many blocks in one transaction.
mod bulk;
/// Comparing what is deep below the tip with the source.
mod depths;
/// Shared with the long form.
pub mod script;

use crate::common::follow::Reduced;
use crate::common::random;
use crate::common::scratch::scratch;
use script::{Base, Index, Report, Script};

/// Scripts in this short form.
const SCRIPTS: u64 = 50;
/// Blocks of a golden chain that one case of the undo law walks over.
const WINDOW: usize = 40;

#[test]
fn fifty_random_reorganisations_end_with_the_winning_chain() {
    let base = Base::mine();
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let halves: Vec<_> = [0, 1]
            .map(|half| {
                let base = &base;
                scope.spawn(move || {
                    let seeds = (half..SCRIPTS).step_by(2);
                    seeds
                        .map(|seed| script::run(base, seed))
                        .collect::<Vec<_>>()
                })
            })
            .into_iter()
            .collect();
        halves
            .into_iter()
            .flat_map(|half| half.join().unwrap())
            .collect()
    });
    let mut sum = Report::default();
    reports.iter().for_each(|report| sum.add(report));
    let Report {
        reorganisations,
        deepest,
        names,
        ..
    } = sum;
    println!(
        "reorg: {SCRIPTS} scripts, {reorganisations} reorganisations, deepest {deepest}, {names} names"
    );
    assert!(
        u64::from(reorganisations) >= SCRIPTS && deepest >= 80,
        "the scripts do what they are for"
    );
    assert!(names > 5 * SCRIPTS, "the scripts register names");
}

#[test]
fn blocks_without_their_bytes_make_the_same_database() {
    let mut script = Script::new(&Base::mine(), 7);
    script.mine(60);
    script.settle();
    script.compare_with(|chain| Box::new(Reduced(chain.source(0))));
}

#[test]
fn a_reorganisation_beyond_the_undo_depth_is_said() {
    let scratch = scratch();
    let chain = DevChain::open(scratch.path()).unwrap();
    let reward = ScriptBuf::new();
    chain.mine_empty(&reward, 20, 1_700_000_000).unwrap();
    let mut index = Index::new(&chain, 5);
    index.follow();
    chain.rewind(14).unwrap();
    let error = index.turn().expect_err("six blocks are too many");
    assert!(matches!(
        error,
        IndexError::DeepFork {
            fork: 14,
            depth: 6,
            undo_depth: 5
        }
    ));
    let message = error.to_string();
    assert!(message.contains("bnsd chain rewind 14"), "{message}");
    assert_eq!(
        index.store.snapshot().tip().unwrap().height,
        20,
        "nothing was undone"
    );
}

/// A golden random walk and the dump after each of its blocks.
struct Walk {
    chain: VectorFile,
    dumps: Vec<ZonefileHash>,
}

impl Walk {
    fn read(name: &str) -> Self {
        let chain = golden::chain("consensus", name);
        let scratch = scratch();
        let (bns, store) = (
            Bns::new(chain.params.clone()),
            golden::open(scratch.path(), &chain.params, 1),
        );
        let dumps = chain.blocks.iter().map(|block| {
            golden::connect(&store, &bns, std::slice::from_ref(block), |_, _| {});
            dump(&store)
        });
        let dumps = dumps.collect();
        Self { chain, dumps }
    }

    fn all() -> &'static [Self; 2] {
        static WALKS: OnceLock<[Walk; 2]> = OnceLock::new();
        WALKS.get_or_init(|| ["walk-all-epochs-seed3", "walk-mainnet-epoch1-seed4"].map(Self::read))
    }
}

/// A digest of the logical dump; any hash will do.
fn dump(store: &Store) -> ZonefileHash {
    ZonefileHash::of(store.snapshot().dump().unwrap().as_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Undo takes back exactly one block, for any block and as often as the depth allows.
    #[test]
    fn undo_restores_every_earlier_state(
        walk in 0usize..2,
        start in any::<prop::sample::Index>(),
        depth in 1u32..=WINDOW as u32,
        moves in prop::collection::vec((1usize..WINDOW, 0usize..WINDOW), 1..4),
    ) {
        let Walk { chain, dumps } = &Walk::all()[walk];
        let start = 1 + start.index(chain.blocks.len() - 1);
        let scratch = scratch();
        let bns = Bns::new(chain.params.clone());
        let store = golden::open(scratch.path(), &chain.params, depth);
        let (mut at, mut highest) = (start, start);
        golden::connect(&store, &bns, &chain.blocks[..start], |_, _| {});
        for (forward, back) in moves {
            for block in chain.blocks.iter().skip(at).take(forward) {
                golden::connect(&store, &bns, std::slice::from_ref(block), |_, _| {});
                at += 1;
                prop_assert_eq!(dump(&store), dumps[at - 1]);
            }
            highest = highest.max(at);
            for _ in 0..back {
                if at <= 1 {
                    break;
                }
                let undone = store.disconnect();
                // Undo data goes back `depth` blocks from the greatest height there was.
                if highest - at < depth as usize {
                    let undone = undone.expect("there is undo data");
                    prop_assert_eq!(undone.height, chain.blocks[at - 1].height);
                    at -= 1;
                } else {
                    prop_assert!(matches!(undone, Err(StoreError::UndoGone { .. })), "{undone:?}");
                }
                prop_assert_eq!(dump(&store), dumps[at - 1]);
            }
        }
    }
}
