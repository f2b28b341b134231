//! The promises of every [`ChainSource`], written once and tested on each kind.
//!
//! A kind implements [`Stage`]: a chain that the tests can make longer and reorganise, and a source that follows it.

use std::time::{Duration, Instant};

use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::{BlockHash, OutPoint, Target};

use super::{Block, BlockRef, ChainSource, Event, header, place};

/// How long something may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A chain under the tests' control.
pub(super) trait Stage {
    /// A source that follows the chain; blocks are given at once, without confirmations.
    fn source(&self) -> Box<dyn ChainSource>;

    /// Mines `count` blocks, of which some spend outputs.
    fn grow(&mut self, count: u32);

    /// Replaces the topmost `depth` blocks by `depth + 1` others.
    fn reorganise(&mut self, depth: u32);

    /// Returns when the source has heard of all that was mined. Most ask whoever has the blocks each time.
    fn settle(&self, _source: &mut dyn ChainSource) {}
}

/// The whole battery, on stages that start with the genesis block.
pub(super) fn run<S: Stage>(mut new_stage: impl FnMut() -> S) {
    spent_outputs_are_those_of_earlier_blocks(new_stage());
    run_without_bytes(new_stage);
}

/// The battery for a source whose blocks come without their bytes. It is never asked what a block spends, because it gives
/// that together with the candidates.
pub(super) fn run_without_bytes<S: Stage>(mut new_stage: impl FnMut() -> S) {
    blocks_come_in_order_from_the_first(new_stage());
    a_reorganisation_is_followed(new_stage());
    the_same_question_has_the_same_answer(new_stage());
    waiting_ends_with_the_patience(new_stage());
    headers_are_those_of_the_best_chain(new_stage());
}

fn blocks_come_in_order_from_the_first(mut stage: impl Stage) {
    stage.grow(8);
    let mut source = stage.source();
    let blocks = follow(&stage, source.as_mut(), &mut Vec::new(), 3);
    assert_eq!(source.best_height().expect("readable"), 8);
    assert_eq!(heights(&blocks), [3, 4, 5, 6, 7, 8]);
    assert!(blocks.windows(2).all(|w| w[1].previous == w[0].at.hash));
    let beyond = next(source.as_mut(), None, 9);
    assert_eq!(beyond, Event::Idle, "the first block is not mined yet");
}

fn spent_outputs_are_those_of_earlier_blocks(mut stage: impl Stage) {
    stage.grow(110);
    let mut source = stage.source();
    let blocks = follow(&stage, source.as_mut(), &mut Vec::new(), 0);
    let whole = blocks.into_iter().map(|connected| connected.whole);
    let blocks: Vec<Block> = whole.map(|block| block.expect("its bytes")).collect();
    let (mut outputs, mut asked) = (std::collections::HashMap::new(), 0);
    for block in &blocks {
        let decoded = check_bytes(block);
        for transaction in &decoded.txdata {
            let txid = transaction.compute_txid();
            let created = (0..).zip(&transaction.output);
            outputs.extend(created.map(|(vout, out)| (OutPoint { txid, vout }, out.clone())));
        }
        let spends = decoded.txdata.iter().skip(1).flat_map(|tx| &tx.input);
        let mut wanted: Vec<OutPoint> = spends.map(|input| input.previous_output).collect();
        wanted.reverse();
        let given = source.prevouts(block, &wanted).expect("all are spent here");
        let expected: Vec<_> = wanted
            .iter()
            .map(|wanted| outputs[wanted].clone())
            .collect();
        assert_eq!(given, expected);
        asked += wanted.len();
    }
    assert!(asked > 0, "the stage spends something");
    let last = blocks.last().expect("110 blocks");
    assert!(source.prevouts(last, &[OutPoint::null()]).is_err());
}

fn a_reorganisation_is_followed(mut stage: impl Stage) {
    stage.grow(6);
    let mut source = stage.source();
    let mut index = Vec::new();
    follow(&stage, source.as_mut(), &mut index, 0);
    stage.reorganise(2);
    let connected = follow(&stage, source.as_mut(), &mut index, 0);
    assert_eq!(heights(&connected), [5, 6, 7]);
    assert_eq!(connected[0].previous, index[4].hash);
    assert_eq!(index.len(), 8);
}

fn the_same_question_has_the_same_answer(mut stage: impl Stage) {
    stage.grow(2);
    let (mut one, mut other) = (stage.source(), stage.source());
    let first = next(one.as_mut(), None, 1);
    assert_eq!(next(one.as_mut(), None, 1), first);
    assert_eq!(next(other.as_mut(), None, 1), first);
}

fn waiting_ends_with_the_patience(mut stage: impl Stage) {
    stage.grow(1);
    let mut source = stage.source();
    let mut index = Vec::new();
    follow(&stage, source.as_mut(), &mut index, 0);
    assert_eq!(next(source.as_mut(), index.last().copied(), 0), Event::Idle);
    source.wait(Duration::from_millis(1));
    assert!(!source.describe().is_empty());
}

fn headers_are_those_of_the_best_chain(mut stage: impl Stage) {
    stage.grow(6);
    let mut source = stage.source();
    let mut index = Vec::new();
    // A source may see what was mined only when it is asked what follows.
    let blocks = follow(&stage, source.as_mut(), &mut index, 1);
    let all = source.headers(0, 100).expect("readable");
    let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest).header;
    assert_eq!((all.len(), all[0]), (7, genesis));
    let hashes =
        |headers: &[Header]| -> Vec<_> { headers.iter().map(Header::block_hash).collect() };
    let followed: Vec<_> = blocks.iter().map(|block| block.at.hash).collect();
    assert_eq!(hashes(&all[1..]), followed);
    assert_eq!(source.headers(2, 3).expect("readable"), all[2..5]);
    assert_eq!(source.headers(7, 1).expect("readable"), []);
    assert_eq!(source.headers(0, 0).expect("readable"), []);
    stage.reorganise(2);
    follow(&stage, source.as_mut(), &mut index, 1);
    let other = source.headers(0, 100).expect("readable");
    assert_eq!(other[..5], all[..5]);
    assert!(other.len() == 8 && other[5] != all[5]);
}

/// A block that was connected.
struct Connected {
    at: BlockRef,
    previous: BlockHash,
    /// All of it, from a source that has that.
    whole: Option<Block>,
}

fn heights(connected: &[Connected]) -> Vec<u32> {
    connected.iter().map(|block| block.at.height).collect()
}

/// Does what an indexer does until there is nothing to do; gives the blocks that were connected.
fn follow(
    stage: &impl Stage,
    source: &mut dyn ChainSource,
    index: &mut Vec<BlockRef>,
    first_block: u32,
) -> Vec<Connected> {
    stage.settle(source);
    let mut connected = Vec::new();
    loop {
        let block = match next(source, index.last().copied(), first_block) {
            Event::Connect(block) => {
                check_bytes(&block);
                Connected {
                    at: block.at,
                    previous: block.previous,
                    whole: Some(block),
                }
            }
            Event::ConnectCandidates(block) => Connected {
                at: place(&block),
                previous: block.about.previous,
                whole: None,
            },
            Event::Disconnect => {
                index.pop().expect("there is something to undo");
                continue;
            }
            Event::Idle => return connected,
            Event::Preparing { .. } | Event::Waiting(_) => unreachable!("not given by `next`"),
        };
        index.push(block.at);
        connected.push(block);
    }
}

/// Asks until the source is prepared and has what it gives.
fn next(source: &mut dyn ChainSource, tip: Option<BlockRef>, first_block: u32) -> Event {
    let end = Instant::now() + PATIENCE;
    loop {
        match source.next(tip, first_block).expect("readable") {
            Event::Preparing { done, of } => assert!(done < of, "{done} of {of}"),
            Event::Waiting(missing) => assert!(Instant::now() < end, "{missing}"),
            event => return event,
        }
    }
}

/// The raw bytes are the block that the rest describes.
fn check_bytes(block: &Block) -> bitcoin::Block {
    let decoded: bitcoin::Block = deserialize(&block.raw).expect("a whole block");
    let hash = header::check_work(&decoded.header, Target::MAX_ATTAINABLE_REGTEST);
    assert_eq!(hash, Ok(block.at.hash));
    assert_eq!(decoded.header.prev_blockhash, block.previous);
    assert_eq!(decoded.header.time, block.time);
    assert!(decoded.check_merkle_root());
    decoded
}
