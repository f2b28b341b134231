//! The stored chain, derived again from the stored operations alone.

use crate::bns::{Bns, Changes, Reject};
use crate::store::OpenState;
use crate::store::{IndexedBlock, Store, StoreError, StoreSnapshot, StoredDecision, Writer};
use crate::virtualchain::{BlockHeader, BlockOutcome, CandidateBlock, Sink, derive};

/// How many blocks go into one transaction, and how many operations at most before it is committed.
const BATCH: (u32, usize) = (1_000, 20_000);

/// What the database says of a block that is derived again.
#[derive(Debug)]
pub(super) struct Stored {
    /// Its row.
    pub(super) block: IndexedBlock,
    /// What became of each candidate.
    pub(super) decisions: Vec<StoredDecision>,
}

/// Why the block at this height cannot be derived again: it is not there, or its rows cannot be read.
pub(super) type Unreadable = (u32, Option<StoreError>);

/// A block on its way back into a database, and what the rules made of it now.
pub(super) struct Derived {
    /// The block as it is stored.
    pub(super) block: CandidateBlock<Stored>,
    /// What the rules made of it.
    pub(super) outcome: BlockOutcome<Reject, Changes>,
}

impl Derived {
    /// Connects the block in another database.
    pub(super) fn write(self, writer: &mut Writer<'_>) -> Result<(), StoreError> {
        let block = self.block.about.block;
        let header = BlockHeader {
            hash: block.hash,
            previous: block.previous,
            time: block.time,
        };
        writer.apply(&self.block.with(header), &self.outcome)
    }
}

/// Runs the rules over the blocks in `stored` up to the height `last`; with `None` only the rows before the first block
/// are written. `take` gets each block and has to write it into
/// `second`; `reached` is told the height of the last block of each transaction.
pub(super) fn derive_again<E>(
    bns: &Bns,
    stored: &StoreSnapshot,
    last: Option<u32>,
    second: &Store,
    mut take: impl FnMut(&mut Writer<'_>, Derived) -> Result<(), E>,
    mut reached: impl FnMut(u32),
) -> Result<(), E>
where
    E: From<StoreError> + From<Unreadable>,
{
    second.seed(&bns.params().genesis_changes())?;
    let mut next = bns.params().first_block;
    while let Some(last) = last.filter(|last| next <= *last) {
        let end = last.min(next.saturating_add(BATCH.0 - 1));
        second.write(|writer| {
            writer.expect_best(last);
            let mut operations = 0;
            let blocks = (next..=end).map_while(|height| {
                let block = (operations < BATCH.1).then(|| read(stored, height))?;
                operations += block.as_ref().map_or(0, |block| block.candidates.len());
                next = height.saturating_add(1);
                Some(block.map_err(|error| E::from((height, error))))
            });
            let take = &mut take;
            derive(bns, blocks, &mut Rewritten { writer, take })
        })?;
        reached(next - 1);
    }
    Ok(())
}

/// Derives the chain again in the database that has it, up to the height `last`, in one transaction: whoever reads has the
/// state before until all is done, also after a crash. `go_on` is asked before each block.
pub(super) fn derive_in_place<E>(
    bns: &Bns,
    store: &Store,
    last: Option<u32>,
    mut take: impl FnMut(&mut Writer<'_>, Derived) -> Result<(), E>,
    mut go_on: impl FnMut() -> Result<(), E>,
) -> Result<(), E>
where
    E: From<StoreError> + From<Unreadable>,
{
    let stored = store.snapshot();
    let first = bns.params().first_block;
    let heights = last.map_or(0..0, |last| first..last.saturating_add(1));
    store.write(|writer| {
        writer.begin_again(&bns.params().genesis_changes())?;
        writer.expect_best(last.unwrap_or(0));
        let blocks = heights.map(|height| {
            go_on()?;
            read(&stored, height).map_err(|error| E::from((height, error)))
        });
        let take = &mut take;
        derive(bns, blocks, &mut Rewritten { writer, take })
    })
}

/// Reads what the rules are shown of a stored block.
fn read(stored: &StoreSnapshot, height: u32) -> Result<CandidateBlock<Stored>, Option<StoreError>> {
    let block = stored.block(height)?.ok_or(None)?;
    let operations = stored.operations_at(height)?.into_iter();
    let (candidates, decisions) = operations
        .map(|operation| (operation.candidate, operation.decision))
        .unzip();
    Ok(CandidateBlock {
        height,
        candidates,
        about: Stored { block, decisions },
    })
}

/// A database that is written again.
struct Rewritten<'w, 't, F> {
    writer: &'w mut Writer<'t>,
    take: &'w mut F,
}

impl<'t, E, F> Sink<Stored> for Rewritten<'_, 't, F>
where
    E: From<StoreError>,
    F: FnMut(&mut Writer<'_>, Derived) -> Result<(), E>,
{
    type View = OpenState<'t>;
    type Reject = Reject;
    type Changes = Changes;
    type Error = E;

    fn view(&self) -> &OpenState<'t> {
        self.writer.state()
    }

    fn take(
        &mut self,
        block: CandidateBlock<Stored>,
        outcome: BlockOutcome<Reject, Changes>,
    ) -> Result<(), E> {
        (self.take)(self.writer, Derived { block, outcome })
    }
}
