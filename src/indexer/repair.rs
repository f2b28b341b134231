//! A damaged database, derived anew.
//!
//! The stored operations are read as far as they are whole and give the hashes that are stored. Whatever is missing
//! then comes from the chain's source. All of it goes into a second database, which takes the place of the damaged one once it has
//! everything: killed anywhere, or without a source that it needs, nothing is replaced.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::bns::Bns;
use crate::chain::{ChainSource, SourceError};
use crate::clock::SystemClock;
use crate::progress::Progress;
use crate::store::{IndexedBlock, Purpose, SecondError, Store, StoreError, Writer};

use super::again::{Derived, Unreadable, derive_again};
use super::error::IndexError;
use super::follow::{Indexer, Turn};

/// Directory of the second database in the data directory.
const BESIDE: &str = "repair";

/// How often a block that the source waits for is asked for, and the time between: two minutes together.
const WAITS: u32 = 480;
const WAIT: Duration = Duration::from_millis(250);

/// Why a database is not repaired. It is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The stored operations do not suffice.
    #[error(
        "the stored operations are whole up to block {0} only, and there is no chain to read the rest from: set `chain.source` and try again; nothing was replaced"
    )]
    NoSource(u32),
    /// The source cannot answer, or the new database cannot be written.
    #[error("{0}; nothing was replaced")]
    Index(#[from] IndexError),
    /// The new database cannot be written.
    #[error("{0}; nothing was replaced")]
    Store(#[from] StoreError),
    /// The new database cannot be created, or cannot take the place of the other.
    #[error(transparent)]
    Second(#[from] SecondError),
}

/// Why the stored operations are read no further.
enum Stop {
    /// They are damaged there.
    Damaged,
    /// The second database failed.
    Failed(StoreError),
}

impl From<Unreadable> for Stop {
    fn from(_: Unreadable) -> Self {
        Self::Damaged
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// Derives the state anew, from the operations in `store` and from the source that `source` opens for the new database, and
/// puts it in the place of `store`. Gives its last block. `reached` is told how far it is. `bns` must have the constants that the database was made with.
pub fn repair(
    store: Store,
    bns: &Bns,
    source: impl FnOnce(&Arc<Store>) -> Option<Box<dyn ChainSource>>,
    mut reached: impl FnMut(u32),
) -> Result<Option<IndexedBlock>, RepairError> {
    let second = store.create_second(BESIDE, Purpose::Lasting)?;
    let tip = store.snapshot().tip();
    let last = tip.map(|tip| tip.height);
    match derive_again(
        bns,
        &store.snapshot(),
        last,
        second.store(),
        take,
        &mut reached,
    ) {
        Err(Stop::Failed(error)) => return Err(error.into()),
        Ok(()) | Err(Stop::Damaged) => {}
    }
    let mut derived = second.store().snapshot().tip();
    if tip.is_none() || derived != tip {
        let Some(source) = source(&second.shared()) else {
            return Err(RepairError::NoSource(derived.map_or(0, |tip| tip.height)));
        };
        follow(source, bns, second.shared(), reached)?;
        derived = second.store().snapshot().tip();
    }
    store.replace_by(second)?;
    Ok(derived)
}

/// Takes a block that has the hashes which are stored.
fn take(writer: &mut Writer<'_>, derived: Derived) -> Result<(), Stop> {
    let (stored, found) = (derived.block.about.block, derived.outcome.snapshot);
    if (stored.ops_hash, stored.consensus_hash) != (found.ops_hash, found.consensus_hash) {
        return Err(Stop::Damaged);
    }
    derived.write(writer)?;
    match writer.state().tip() == Some(stored) {
        true => Ok(()),
        false => Err(Stop::Damaged), // its operations are not those that were written
    }
}

/// Connects what the source has beyond the tip.
fn follow(
    source: Box<dyn ChainSource>,
    bns: &Bns,
    store: Arc<Store>,
    mut reached: impl FnMut(u32),
) -> Result<(), IndexError> {
    let (progress, clock) = (Arc::default(), Arc::new(SystemClock::start()));
    let progress: Arc<Progress> = progress;
    let mut indexer = Indexer::new(source, bns.params().clone(), store, progress, clock);
    let mut waits = 0;
    loop {
        match indexer.turn()? {
            Turn::Connected(block) => reached(block.height),
            Turn::Idle | Turn::Final => return Ok(()),
            Turn::Disconnected(_) | Turn::WentBelow(_) | Turn::Preparing(..) => {}
            Turn::Waiting(missing) if waits == WAITS => {
                return Err(SourceError::Unavailable(missing).into());
            }
            Turn::Waiting(_) => {
                waits += 1;
                thread::sleep(WAIT);
                continue;
            }
        }
        waits = 0;
    }
}
