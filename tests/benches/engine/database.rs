//! Blocks on their way into a database on disk, and the processor time that each part of it takes.

use std::fmt;
use std::time::Duration;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash as _;
use bnsd::bns::{Bns, Params};
use bnsd::store::{ChainIdentity, Store, StoreError, StoreOptions};
use bnsd::virtualchain::{BlockHeader, CandidateBlock, VirtualTransaction, connect_block};
use rustix::time::{ClockId, clock_gettime};

use crate::generated::Generated;

/// A database that takes a run of blocks a commit: one at the tip, several far below it.
pub struct Database {
    bns: Bns,
    store: Store,
    waiting: Vec<CandidateBlock>,
    run: usize,
    /// How far below the best block it is.
    ahead: u32,
    height: u32,
    spent: Spent,
    _directory: tempfile::TempDir,
}

/// Where the processor time went.
#[derive(Default)]
pub struct Spent {
    operations: usize,
    rules: Duration,
    rows: Duration,
    commit: Duration,
}

impl Database {
    /// A new database with the blocks that open the namespace of a [`Generated`] chain.
    pub fn new(run: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let params = Params::regtest();
        let identity = ChainIdentity::new("regtest", &params);
        let options = StoreOptions::default();
        let mut database = Self {
            store: Store::open(directory.path(), &identity, options).expect("a database"),
            waiting: Vec::new(),
            run,
            ahead: if run == 1 { 0 } else { 1_000_000 },
            height: params.first_block,
            spent: Spent::default(),
            bns: Bns::new(params),
            _directory: directory,
        };
        let mut chain = Generated::unopened(None);
        for candidate in chain.opening_operations() {
            database.push(vec![candidate]);
        }
        database
    }

    /// Takes the next block; it is committed when its run is whole.
    pub fn push(&mut self, candidates: Vec<VirtualTransaction>) {
        let hash = |height: u32| BlockHash::hash(&height.to_be_bytes());
        self.waiting.push(CandidateBlock {
            height: self.height,
            candidates,
            about: BlockHeader {
                hash: hash(self.height),
                previous: hash(self.height.wrapping_sub(1)),
                time: self.height,
            },
        });
        self.height += 1;
        if self.waiting.len() == self.run {
            self.commit();
        }
    }

    /// Commits what waits; gives what all took.
    pub fn finish(mut self) -> Spent {
        self.commit();
        self.spent
    }

    fn commit(&mut self) {
        let start = processor_time();
        let (bns, spent, waiting) = (&self.bns, &mut self.spent, &mut self.waiting);
        let (rules, rows) = (spent.rules, spent.rows);
        let best = waiting.last().map_or(0, |last| last.height) + self.ahead;
        let written: Result<(), StoreError> = self.store.write(|writer| {
            writer.expect_best(best);
            for block in waiting.drain(..) {
                let begin = processor_time();
                let outcome = connect_block(bns, block.height, &block.candidates, writer.state())?;
                let ruled = processor_time();
                writer.apply(&block, &outcome)?;
                spent.rules += ruled - begin;
                spent.rows += processor_time() - ruled;
                spent.operations += block.candidates.len();
            }
            Ok(())
        });
        written.expect("the database can be written");
        let parts = (spent.rules - rules) + (spent.rows - rows);
        spent.commit += processor_time() - start - parts;
    }
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / self.operations as f64;
        let all = each(self.rules + self.rows + self.commit);
        write!(
            f,
            "rules {:.1}, rows {:.1}, commit {:.1}, together {all:.1}, {:.0} operations/s",
            each(self.rules),
            each(self.rows),
            each(self.commit),
            1e6 / all
        )
    }
}

/// Time that this thread has been on a processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
