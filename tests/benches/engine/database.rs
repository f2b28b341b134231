//! Blocks on their way into a database on disk, the processor time that each part of it takes, and the bytes of each table.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash as _;
use bnsd::bns::{Bns, Params};
use bnsd::store::{ChainIdentity, Store, StoreError, StoreOptions};
use bnsd::virtualchain::{BlockHeader, CandidateBlock, VirtualTransaction, connect_block};
use redb::{ReadOnlyDatabase, ReadableDatabase as _, ReadableTableMetadata as _, TableHandle as _};

use crate::generated::Generated;
use crate::processor::processor_time;

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
    directory: tempfile::TempDir,
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
            directory,
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

    /// Commits what waits; gives the time that all took, and the bytes.
    pub fn finish(mut self) -> (Spent, Sizes) {
        self.commit();
        drop(self.store);
        let sizes = Sizes::of(self.directory.path(), self.spent.operations);
        (self.spent, sizes)
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

/// What a closed database takes on disk.
pub struct Sizes {
    operations: usize,
    /// How long the file is; it grows in large steps.
    length: u64,
    /// What was ever written of it.
    written: u64,
    /// Each table with the bytes of its rows and of its pages.
    tables: Vec<(String, u64, u64)>,
}

impl Sizes {
    fn of(directory: &Path, operations: usize) -> Self {
        let path = directory.join("names.redb");
        let database = ReadOnlyDatabase::open(&path).expect("it was closed");
        let transaction = database.begin_read().expect("readable");
        let mut tables = Vec::new();
        for table in transaction.list_tables().expect("readable") {
            let name = table.name().to_owned();
            let table = transaction.open_untyped_table(table).expect("readable");
            let stats = table.stats().expect("readable");
            let rows = stats.stored_bytes();
            let all = rows + stats.metadata_bytes() + stats.fragmented_bytes();
            tables.push((name, rows, all));
        }
        tables.sort_by_key(|(_, _, pages)| std::cmp::Reverse(*pages));
        let file = fs::metadata(&path).expect("it is there");
        Self {
            operations,
            length: file.len(),
            written: file.blocks() * 512,
            tables,
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |bytes: u64| bytes as f64 / self.operations as f64;
        let used: u64 = self.tables.iter().map(|(_, _, pages)| pages).sum();
        let (length, written, used) = (each(self.length), each(self.written), each(used));
        write!(
            f,
            "bytes an operation: file {length:.0}, of which written {written:.0}, tables {used:.0}"
        )?;
        for (name, rows, pages) in &self.tables {
            let (rows, pages) = (each(*rows), each(*pages));
            if pages >= 1.0 {
                write!(
                    f,
                    "\n        {name:<20}{rows:>6.0} in rows{pages:>6.0} in pages"
                )?;
            }
        }
        Ok(())
    }
}
