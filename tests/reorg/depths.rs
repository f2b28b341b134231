//! Forks that are too deep to be undone: the blocks at depths 1, 2, 4, 8 ... are compared with the source at every block,
//! also with a source whose chain is shorter than the index.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitcoin::{Network, OutPoint, ScriptBuf, TxOut};
use bnsd::chain::blockfiles::BlockFilesSource;
use bnsd::chain::dev::{DevChain, DevSource};
use bnsd::chain::{Block, BlockRef, ChainSource, Event, SourceError};
use bnsd::indexer::IndexError;

use crate::common::follow::Index;
use crate::common::scratch::scratch;

/// Blocks that an index here can undo.
const UNDO_DEPTH: u32 = 5;

/// A source that notes what it is asked, and can contradict its own blocks from a height on.
struct Doubtful {
    inner: DevSource,
    asked: Arc<Mutex<Vec<u32>>>,
    denied_from: Arc<AtomicU32>,
}

impl ChainSource for Doubtful {
    fn next(&mut self, tip: Option<BlockRef>, first_block: u32) -> Result<Event, SourceError> {
        self.inner.next(tip, first_block)
    }

    fn prevouts(&mut self, block: &Block, spent: &[OutPoint]) -> Result<Vec<TxOut>, SourceError> {
        self.inner.prevouts(block, spent)
    }

    fn best_height(&mut self) -> Result<u32, SourceError> {
        self.inner.best_height()
    }

    fn holds(&mut self, at: BlockRef) -> Result<bool, SourceError> {
        self.asked.lock().unwrap().push(at.height);
        let is_denied = at.height >= self.denied_from.load(Ordering::Relaxed);
        Ok(!is_denied && self.inner.holds(at)?)
    }

    fn wait(&mut self, patience: Duration) {
        self.inner.wait(patience);
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[test]
fn every_block_is_compared_with_one_question_and_a_deep_mismatch_is_said() {
    let scratch = scratch();
    let chain = chain(&scratch.path().join("chain"));
    mine(&chain, 40, "one");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let denied_from = Arc::new(AtomicU32::new(u32::MAX));
    let source = Doubtful {
        inner: chain.source(0),
        asked: Arc::clone(&asked),
        denied_from: Arc::clone(&denied_from),
    };
    let directory = scratch.path().join("index");
    let mut index = Index::with_undo_depth(&directory, source, UNDO_DEPTH);
    index.catch_up().unwrap();
    let during_sync = std::mem::take(&mut *asked.lock().unwrap());
    assert!(during_sync.len() < 10, "{during_sync:?}");
    mine(&chain, 1, "one");
    index.catch_up().unwrap();
    assert_eq!(*asked.lock().unwrap(), [39], "one below the tip");

    denied_from.store(12, Ordering::Relaxed);
    mine(&chain, 1, "one");
    let error = index.catch_up().unwrap_err();
    assert!(
        matches!(error, IndexError::DeepFork { fork: 11, .. }),
        "{error}"
    );
    assert!(
        asked
            .lock()
            .unwrap()
            .starts_with(&[39, 40, 39, 37, 33, 25, 9])
    );
    assert_eq!(index.tip().height, 41, "nothing was done");

    denied_from.store(39, Ordering::Relaxed);
    index.catch_up().expect("what can be undone is not deep");
}

#[test]
fn a_shorter_chain_that_parted_deep_below_is_said_too() {
    let scratch = scratch();
    let directory = |name: &str| scratch.path().join(name);
    let followed = chain(&directory("followed"));
    mine(&followed, 30, "one");
    let index = |source| Index::with_undo_depth(&directory("index"), source, UNDO_DEPTH);
    index(files(&directory("followed"))).catch_up().unwrap();
    let with = |name: &str| index(files(&directory(name))).catch_up().unwrap_err();

    let same = chain(&directory("same"));
    mine(&same, 20, "one");
    assert_eq!(same.tip(), followed.block_at(20).unwrap());
    let message = with("same").to_string();
    let waiting = "is at block 20 and the index at 30: waiting until it has caught up";
    assert!(message.contains(waiting), "{message}");

    let parted = chain(&directory("parted"));
    mine(&parted, 10, "one");
    mine(&parted, 10, "other");
    let error = with("parted");
    assert!(
        matches!(error, IndexError::DeepFork { fork: 10, .. }),
        "{error}"
    );

    let alien = chain(&directory("alien"));
    mine(&alien, 20, "other");
    let message = with("alien").to_string();
    let advice = "before its first block, 1: if the source is right, move the database away";
    assert!(message.contains(advice), "{message}");
    assert_eq!(index(files(&directory("alien"))).tip().height, 30);
}

fn chain(directory: &Path) -> DevChain {
    DevChain::open(directory).unwrap()
}

/// Blocks that pay `who`: chains are the same as long as they pay the same.
fn mine(chain: &DevChain, count: u32, who: &str) {
    let reward = ScriptBuf::from_bytes(who.as_bytes().to_vec());
    chain.mine_empty(&reward, count, 1_700_000_000).unwrap();
}

fn files(directory: &Path) -> BlockFilesSource {
    BlockFilesSource::new(&directory.join("blocks"), Network::Regtest, 0)
}
