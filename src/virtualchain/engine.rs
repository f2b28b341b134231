//! Runs a state machine over the blocks of a chain (sm §3).

use std::fmt::Display;

use bitcoin::Txid;

use super::merkle;
use super::snapshot::{self, Snapshot, SnapshotView};
use super::transaction::VirtualTransaction;
use crate::hash::ConsensusHash;

/// A deterministic machine whose state is a function of the transactions it is shown, read through `V`.
///
/// [`connect_block`] drives it: every candidate is parsed on its own, then the whole block is processed
/// against the state before it. The machine never stores anything; it returns what should change.
pub trait StateMachine<V: SnapshotView> {
    /// A candidate that could be read.
    type Operation;
    /// The rule that refused an operation.
    type Reject: Display;
    /// What a block changes.
    type Changes;

    /// The first height that belongs to the virtualchain.
    fn first_block(&self) -> u32;

    /// Reads a candidate without any state. `None`: no operation of this machine, it leaves no trace.
    fn parse(
        &self,
        height: u32,
        transaction: &VirtualTransaction,
    ) -> Option<Result<Self::Operation, Self::Reject>>;

    /// Decides on every operation of block `height`, one decision each in the order given, and says what the accepted
    /// ones change.
    fn process(
        &self,
        height: u32,
        operations: &[Located<Self::Operation>],
        view: &V,
    ) -> Result<Processed<Self::Reject, Self::Changes>, V::Error>;
}

/// One decision on each operation of a block, and what the accepted ones change.
pub type Processed<R, C> = (Vec<Decision<R>>, C);

/// Something and where it stands: an operation, or the decision on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// Position of its transaction in the block.
    pub vtxindex: u32,
    /// Its transaction.
    pub txid: Txid,
    /// What stands there.
    pub item: T,
}

impl<T> Located<T> {
    fn at(transaction: &VirtualTransaction, item: T) -> Self {
        Self {
            vtxindex: transaction.vtxindex,
            txid: transaction.txid,
            item,
        }
    }
}

/// What became of one operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision<R> {
    /// It changed the state; the text enters the ops hash (ch §1). `None` for operations without consensus effect.
    Accepted(Option<String>),
    /// A rule refused it.
    Rejected(R),
    /// It could not be read.
    Unparseable(R),
}

/// A block, connected.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockOutcome<R, C> {
    /// Its height.
    pub height: u32,
    /// Every candidate that carries a known opcode, in block order, and what became of it.
    pub decisions: Vec<Located<Decision<R>>>,
    /// What changes.
    pub changes: C,
    /// Ops hash and consensus hash.
    pub snapshot: Snapshot,
}

/// Connects block `height` to the state that `view` shows: the state after block `height - 1`.
pub fn connect_block<V: SnapshotView, M: StateMachine<V>>(
    machine: &M,
    height: u32,
    candidates: &[VirtualTransaction],
    view: &V,
) -> Result<BlockOutcome<M::Reject, M::Changes>, V::Error> {
    let mut decisions = Vec::new();
    let mut operations = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        match machine.parse(height, candidate) {
            None => {}
            Some(Ok(operation)) => operations.push(Located::at(candidate, operation)),
            Some(Err(reject)) => {
                decisions.push(Located::at(candidate, Decision::Unparseable(reject)));
            }
        }
    }
    let (decided, changes) = machine.process(height, &operations, view)?;
    let pairs = operations.iter().zip(decided);
    decisions.reserve(operations.len());
    decisions.extend(pairs.map(|(operation, item)| Located {
        vtxindex: operation.vtxindex,
        txid: operation.txid,
        item,
    }));
    decisions.sort_by_key(|decision| decision.vtxindex);
    Ok(BlockOutcome {
        height,
        snapshot: take_snapshot(height, machine.first_block(), &decisions, view)?,
        decisions,
        changes,
    })
}

/// Both hashes of a block, from the texts of its accepted operations and the hashes before it.
fn take_snapshot<V: SnapshotView, R>(
    height: u32,
    first_block: u32,
    decisions: &[Located<Decision<R>>],
    view: &V,
) -> Result<Snapshot, V::Error> {
    let texts = decisions.iter().filter_map(|located| match &located.item {
        Decision::Accepted(text) => text.as_deref(),
        _ => None,
    });
    let ops_hash = merkle::ops_hash(&texts.collect::<Vec<&str>>());
    let mut previous: Vec<ConsensusHash> = Vec::new();
    for height in snapshot::previous_heights(height, first_block) {
        previous.extend(view.consensus_hash(height)?);
    }
    Ok(Snapshot {
        ops_hash,
        consensus_hash: snapshot::consensus_hash(ops_hash, &previous),
    })
}
