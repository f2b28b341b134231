//! Going back to an earlier block, as far as one likes.
//!
//! Within the undo depth blocks are disconnected, all in one transaction. Further back there is no undo data: the
//! state is derived again from the stored operations, up to the wanted block, into a second database that takes
//! the place of the first.
//!
//! Each derived block has to have the hashes that are stored, else the database is not what its operations
//! make it and nothing is replaced.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use bitcoin::Txid;
use serde::Serialize;

use crate::bns::operation::Operation;
use crate::bns::view::View as _;
use crate::bns::wire::{self, Payload};
use crate::bns::{Bns, Name};
use crate::store::{
    Purpose, SecondError, Store, StoreError, StoreSnapshot, StoredDecision, StoredOperation, Writer,
};
use crate::virtualchain::scan;

use super::again::{Derived, Unreadable, derive_again, derive_in_place};

/// Directory of the second database in the data directory.
const BESIDE: &str = "rewind";

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
    #[error("the index begins with block {0}: rewind to that block or a higher one")]
    BelowFirst(u32),
    /// A derived block differs from the stored one.
    #[error(
        "block {0} is not what its operations make it: run `bnsd chain verify --repair`, which derives the database anew"
    )]
    Differs(u32),
    /// It took too long for somebody who wants to end.
    #[error("bnsd was told to stop before the state was derived again")]
    Stopped,
    /// One of the databases failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The second database cannot be created, or cannot take the place of the first.
    #[error(transparent)]
    Second(#[from] SecondError),
}

impl From<Unreadable> for RewindError {
    fn from((height, error): Unreadable) -> Self {
        error.map_or(Self::Differs(height), Self::Store)
    }
}

/// Makes the block at `height` the tip. `reached` is told how far it is where the state has to be derived again. `bns`
/// must have the constants that the database was made with.
pub fn rewind(
    store: Store,
    bns: &Bns,
    height: u32,
    reached: impl FnMut(u32),
) -> Result<Rewound, RewindError> {
    let first = store.chain().first_block;
    if height < first {
        return Err(RewindError::BelowFirst(first));
    }
    let stored = store.snapshot();
    if stored.tip().is_none_or(|tip| tip.height <= height) {
        return Ok(Rewound::Already);
    }
    let undone = store.write(|writer| {
        while writer.state().tip().is_some_and(|tip| tip.height > height) {
            writer.undo_tip()?;
        }
        Ok(())
    });
    match undone {
        Ok(()) => return Ok(Rewound::Undone),
        Err(StoreError::UndoGone { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let second = store.create_second(BESIDE, Purpose::Lasting)?;
    derive_again(bns, &stored, Some(height), second.store(), take, reached)?;
    drop(stored);
    store.replace_by(second)?;
    Ok(Rewound::Derived)
}

/// The same in a database that others read: the block below `height` becomes the tip, or none. Readers have the state
/// before until all is done. Ends early once `stop` is set; nothing is changed then.
pub(super) fn go_below(
    store: &Store,
    bns: &Bns,
    height: u32,
    stop: &AtomicBool,
) -> Result<(), RewindError> {
    let undone = store.write(|writer| {
        while writer.state().tip().is_some_and(|tip| tip.height >= height) {
            writer.undo_tip()?;
        }
        Ok(())
    });
    match undone {
        Err(StoreError::UndoGone { .. }) => {}
        undone => return Ok(undone?),
    }
    let first = store.chain().first_block;
    let last = height.checked_sub(1).filter(|last| *last >= first);
    derive_in_place(bns, store, last, take, || {
        match stop.load(Ordering::Relaxed) {
            true => Err(RewindError::Stopped),
            false => Ok(()),
        }
    })
}

fn take(writer: &mut Writer<'_>, derived: Derived) -> Result<(), RewindError> {
    let (stored, found) = (derived.block.about.block, derived.outcome.snapshot);
    if (stored.ops_hash, stored.consensus_hash) != (found.ops_hash, found.consensus_hash) {
        return Err(RewindError::Differs(stored.height));
    }
    Ok(derived.write(writer)?)
}

/// An operation that had changed the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UndoneOperation {
    /// Height of its block.
    pub height: u32,
    /// Its transaction.
    pub txid: Txid,
    /// Its name in the reference's words.
    pub operation: &'static str,
    /// The name or namespace; where neither the transaction nor the database says it, the hash in the transaction.
    pub subject: Option<String>,
}

/// The accepted operations above the block at `height`, oldest first: what a rewind to it undoes.
pub fn operations_above(
    stored: &StoreSnapshot,
    bns: &Bns,
    height: u32,
) -> Result<Vec<UndoneOperation>, StoreError> {
    let tip = stored.tip().map_or(0, |tip| tip.height);
    let mut operations = Vec::new();
    for height in height.saturating_add(1)..=tip {
        for operation in stored.operations_at(height)? {
            operations.extend(undone(stored, bns, height, &operation)?);
        }
    }
    Ok(operations)
}

/// The operation if it had an effect.
fn undone(
    stored: &StoreSnapshot,
    bns: &Bns,
    height: u32,
    operation: &StoredOperation,
) -> Result<Option<UndoneOperation>, StoreError> {
    if !matches!(operation.decision, StoredDecision::Accepted { .. }) {
        return Ok(None);
    }
    let candidate = &operation.candidate;
    let Some(Ok(parsed)) = Operation::parse(bns.params(), height, candidate) else {
        return Ok(None);
    };
    let features = bns.params().epoch(height).features;
    let payload = scan::payload(&candidate.transaction, bns.params().magic)
        .and_then(|payload| Payload::parse(payload, &features)?.ok());
    let subject = match payload {
        Some(payload) => subject(stored, candidate.txid, payload)?,
        None => None,
    };
    Ok(Some(UndoneOperation {
        height,
        txid: candidate.txid,
        operation: parsed.opcode_name(),
        subject,
    }))
}

/// What an operation was about. Some transactions say it only by a hash; then it is the name that the database knows
/// by that hash, or else the hash.
fn subject(
    stored: &StoreSnapshot,
    txid: Txid,
    payload: Payload,
) -> Result<Option<String>, StoreError> {
    Ok(match payload {
        Payload::NameRegistration(wire::NameRegistration { name, .. })
        | Payload::NameRevoke { name }
        | Payload::NameImport { name, .. } => Some(name.to_string()),
        Payload::NamePreorder(wire::NamePreorder { preorder_hash, .. }) => {
            let names = stored.names_of_preorder(&preorder_hash)?;
            Some(known(names.first(), &preorder_hash))
        }
        Payload::NameUpdate(wire::NameUpdate {
            update_hash,
            value_hash,
        }) => {
            let announced = stored.announcements(&value_hash)?;
            let ours = announced.iter().find(|announced| announced.txid == txid);
            Some(known(ours.map(|ours| &ours.name), &update_hash))
        }
        Payload::NameTransfer(wire::NameTransfer { name_hash128, .. }) => {
            let name = stored.name_by_hash128(&name_hash128)?;
            Some(known(name.as_ref(), &name_hash128))
        }
        Payload::NamespacePreorder(wire::NamespacePreorder { preorder_hash, .. }) => {
            Some(preorder_hash.to_string())
        }
        Payload::NamespaceReveal(wire::NamespaceReveal { namespace_id, .. })
        | Payload::NamespaceReady { namespace_id, .. } => Some(namespace_id.to_string()),
        Payload::Announce { message_hash } => Some(message_hash.to_string()),
        Payload::TokenTransfer(wire::TokenTransfer { amount, .. }) => {
            Some(format!("{amount} µSTX"))
        }
        Payload::Unregistrable { .. } => None,
    })
}

fn known(name: Option<&Name>, hash: &impl fmt::Display) -> String {
    name.map_or_else(|| hash.to_string(), ToString::to_string)
}
