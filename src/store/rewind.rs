//! Going back to an earlier block, as far as one likes.
//!
//! Within the undo depth blocks are disconnected, all in one transaction. Further back there is no undo data:
//! the state is derived again from the stored operations, up to the wanted block, into a second database that
//! takes the place of the first by a rename. Killed at any moment, the data directory holds either the one
//! or the other, whole; a second database that was left half-way is removed by the next call.
//!
//! Each derived block has to have the hashes that are stored, else the database is not what its operations
//! make it and nothing is replaced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::bns::{Bns, Reject};
use crate::virtualchain::{BlockOutcome, connect_block};

use super::error::{OpenError, StoreError};
use super::open;
use super::row::IndexedBlock;
use super::view::StoreSnapshot;
use super::writer::{ConnectedBlock, Writer};
use super::{Store, StoreOptions};
use crate::bns::changes::Changes;
use crate::disk;

/// Directory of the second database in the data directory.
const BESIDE: &str = "rewind";
/// How many blocks are derived in one transaction.
const BATCH: u32 = 1_000;

/// How the block was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewound {
    /// The tip was not above it.
    Already,
    /// By undoing the blocks above it.
    Undone,
    /// By deriving the state again from the stored operations.
    Derived,
}

/// Why a database cannot be rewound. It is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum RewindError {
    /// The chain begins higher.
    #[error("the index begins with block {first}: rewind to that block or a higher one")]
    BelowFirst {
        /// The first block.
        first: u32,
    },
    /// A derived block differs from the stored one.
    #[error(
        "block {0} is not what its operations make it: run `bnsd chain verify`, or move the database away and start again, it is rebuilt from the chain"
    )]
    Differs(u32),
    /// One of the databases failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The second database cannot be created.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The second database cannot take the place of the first.
    #[error("cannot replace the database with the one in {path}: {source}", path = .path.display())]
    Replace {
        /// The second database's directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Store {
    /// Makes the block at `height` the tip. `progress` is told the height that was reached where the state has
    /// to be derived again. `bns` must have the constants that the database was made with.
    pub fn rewind(
        self,
        bns: &Bns,
        height: u32,
        mut progress: impl FnMut(u32),
    ) -> Result<Rewound, RewindError> {
        let first = self.chain.first_block;
        if height < first {
            return Err(RewindError::BelowFirst { first });
        }
        match self.snapshot().tip() {
            Some(tip) if tip.height > height => {}
            _ => return Ok(Rewound::Already),
        }
        match self.write(|writer| undo_to(writer, height)) {
            Ok(()) => return Ok(Rewound::Undone),
            Err(StoreError::UndoGone { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let beside = self.directory.join(BESIDE);
        clear(&beside)?;
        self.derive(&beside, bns, height, &mut progress)?;
        self.replace(&beside)?;
        Ok(Rewound::Derived)
    }

    fn derive(
        &self,
        beside: &Path,
        bns: &Bns,
        height: u32,
        progress: &mut impl FnMut(u32),
    ) -> Result<(), RewindError> {
        let options = StoreOptions {
            undo_depth: self.options.undo_depth,
            ..StoreOptions::default()
        };
        let second = Self::open(beside, &self.chain, options)?;
        second.seed(&bns.params().genesis_changes())?;
        let stored = self.snapshot();
        let mut next = self.chain.first_block;
        while next <= height {
            let last = height.min(next.saturating_add(BATCH - 1));
            second.write(|writer| {
                (next..=last).try_for_each(|at| derive(writer, bns, &stored, at))
            })?;
            progress(last);
            next = last.saturating_add(1);
        }
        Ok(())
    }

    /// Puts the database in `beside` where this one is, and closes this one.
    fn replace(self, beside: &Path) -> Result<(), RewindError> {
        let broken = |source| RewindError::Replace {
            path: beside.to_owned(),
            source,
        };
        disk::rename(&open::file(beside), &open::file(&self.directory)).map_err(broken)?;
        clear(beside)
    }
}

fn undo_to(writer: &mut Writer<'_>, height: u32) -> Result<(), StoreError> {
    while writer.state().tip().is_some_and(|tip| tip.height > height) {
        writer.undo_tip()?;
    }
    Ok(())
}

fn derive(
    writer: &mut Writer<'_>,
    bns: &Bns,
    stored: &StoreSnapshot,
    height: u32,
) -> Result<(), RewindError> {
    let block = stored.block(height)?.ok_or(RewindError::Differs(height))?;
    let operations = stored.operations_at(height)?.into_iter();
    let candidates: Vec<_> = operations.map(|operation| operation.candidate).collect();
    let outcome: BlockOutcome<Reject, Changes> =
        connect_block(bns, height, &candidates, writer.state())?;
    if !agrees(&block, &outcome) {
        return Err(RewindError::Differs(height));
    }
    writer.apply(&ConnectedBlock {
        hash: block.hash,
        previous: block.previous,
        time: block.time,
        candidates: &candidates,
        outcome: &outcome,
    })?;
    Ok(())
}

fn agrees(block: &IndexedBlock, outcome: &BlockOutcome<Reject, Changes>) -> bool {
    block.ops_hash == outcome.snapshot.ops_hash
        && block.consensus_hash == outcome.snapshot.consensus_hash
}

fn clear(beside: &Path) -> Result<(), RewindError> {
    match fs::remove_dir_all(beside) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(RewindError::Replace {
            path: beside.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}
