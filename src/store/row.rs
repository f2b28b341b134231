//! The rows that the store itself adds to those of the name system: blocks, operations, announcements.

use std::borrow::Cow;
use std::fmt::Display;

use bitcoin::consensus::{Decodable as _, Encodable as _};
use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use bitcoin::{Amount, BlockHash, ScriptBuf, Transaction, TxOut, Txid};

use crate::bns::name::Name;
use crate::hash::{ConsensusHash, OpsHash, ZonefileHash};
use crate::virtualchain::{Decision, VirtualTransaction};

use super::codec::{Field, Input, read_bytes, read_list, write_bytes, write_length, write_script};
use super::text::{About, restore, shorten};

/// A connected block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedBlock {
    /// Its height.
    pub height: u32,
    /// Hash of its header.
    pub hash: BlockHash,
    /// Hash of the block below.
    pub previous: BlockHash,
    /// Header time, seconds since 1970.
    pub time: u32,
    /// Hash over its accepted operations.
    pub ops_hash: OpsHash,
    /// Hash over it and its past.
    pub consensus_hash: ConsensusHash,
    /// SHA-256 over the rows of its candidates: [`crate::indexer::verify`] notices with it what changed in
    /// them where no rule looks, for example the value of a spent output.
    pub candidates: [u8; 32],
}

/// A candidate transaction of an indexed block and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOperation {
    /// The transaction, as the rules saw it.
    pub candidate: VirtualTransaction,
    /// What became of it.
    pub decision: StoredDecision,
}

/// What became of a candidate; [`crate::virtualchain::Decision`] with its reason as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredDecision<T = String> {
    /// No operation of this virtualchain.
    Ignored,
    /// It changed the state.
    Accepted {
        /// The text that enters the ops hash; `None` without consensus effect.
        serialized: Option<T>,
    },
    /// A rule refused it.
    Rejected {
        /// Which one, in words.
        reason: T,
    },
    /// It could not be read.
    Unparseable {
        /// Why, in words.
        reason: T,
    },
}

/// A zone file hash that an accepted operation put on the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Position among all announcements, from 1; the `inv_index` of the reference implementation.
    pub inventory_index: u32,
    /// The name whose record carries it.
    pub name: Name,
    /// The hash.
    pub hash: ZonefileHash,
    /// Height of the operation.
    pub height: u32,
    /// Its transaction.
    pub txid: Txid,
}

impl StoredDecision {
    /// The stored form of a decision; `None` for a candidate that is no operation.
    pub fn of<R: Display>(decision: Option<&Decision<R>>) -> Self {
        match StoredDecision::lent(decision) {
            StoredDecision::Ignored => Self::Ignored,
            StoredDecision::Accepted { serialized } => Self::Accepted {
                serialized: serialized.map(Cow::into_owned),
            },
            StoredDecision::Rejected { reason } => Self::Rejected {
                reason: reason.into_owned(),
            },
            StoredDecision::Unparseable { reason } => Self::Unparseable {
                reason: reason.into_owned(),
            },
        }
    }
}

impl<'d> StoredDecision<Cow<'d, str>> {
    /// The same, with the text where it is.
    pub(super) fn lent<R: Display>(decision: Option<&'d Decision<R>>) -> Self {
        match decision {
            None => Self::Ignored,
            Some(Decision::Accepted(text)) => Self::Accepted {
                serialized: text.as_deref().map(Cow::Borrowed),
            },
            Some(Decision::Rejected(reason)) => Self::Rejected {
                reason: reason.to_string().into(),
            },
            Some(Decision::Unparseable(reason)) => Self::Unparseable {
                reason: reason.to_string().into(),
            },
        }
    }
}

/// Appends a candidate: txid, spent outputs, and the transaction in Bitcoin's serialisation at
/// the end.
pub(super) fn write_candidate(candidate: &VirtualTransaction, out: &mut Vec<u8>) {
    candidate.txid.write(out);
    write_length(candidate.prevouts.len(), out);
    for prevout in &candidate.prevouts {
        prevout.value.to_sat().write(out);
        write_script(prevout.script_pubkey.as_bytes(), out);
    }
    candidate
        .transaction
        .consensus_encode(out)
        .expect("a vector takes all bytes");
}

impl StoredOperation {
    /// The id of the transaction alone.
    pub(super) fn read_id(bytes: &[u8]) -> Option<Txid> {
        let mut input = Input::new(bytes);
        Kept::read(&mut input)?;
        Field::read(&mut input)
    }

    /// Appends the row: the decision, and the candidate behind it.
    pub(super) fn write<T: AsRef<str>>(
        height: u32,
        candidate: &VirtualTransaction,
        decision: &StoredDecision<T>,
        out: &mut Vec<u8>,
    ) {
        let mut bytes = Vec::with_capacity(512);
        write_candidate(candidate, &mut bytes);
        let about = About {
            height,
            vtxindex: candidate.vtxindex,
            candidate: &bytes,
        };
        decision.write(about, out);
        out.extend_from_slice(&bytes);
    }

    pub(super) fn read(height: u32, vtxindex: u32, bytes: &[u8]) -> Option<Self> {
        let mut input = Input::new(bytes);
        let kept = Kept::read(&mut input)?;
        let about = About {
            height,
            vtxindex,
            candidate: Input::clone(&input).rest(),
        };
        let decision = kept.decision(about)?;
        let txid = Field::read(&mut input)?;
        let prevouts = read_prevouts(&mut input)?;
        let mut rest = input.rest();
        let transaction = Transaction::consensus_decode_from_finite_reader(&mut rest).ok()?;
        rest.is_empty().then_some(Self {
            candidate: VirtualTransaction {
                vtxindex,
                txid,
                transaction,
                prevouts,
            },
            decision,
        })
    }
}

/// The hash over a block's rows of operations, see [`IndexedBlock::candidates`].
#[derive(Default)]
pub(super) struct Digest(sha256::HashEngine);

impl Digest {
    /// Adds the next row.
    pub(super) fn add(&mut self, vtxindex: u32, row: &[u8]) {
        self.0.input(&vtxindex.to_be_bytes());
        self.0.input(&(row.len() as u64).to_be_bytes());
        self.0.input(row);
    }

    /// The hash.
    pub(super) fn finish(self) -> [u8; 32] {
        sha256::Hash::from_engine(self.0).to_byte_array()
    }
}

fn read_prevouts(input: &mut Input<'_>) -> Option<Vec<TxOut>> {
    read_list(input, |input| {
        Some(TxOut {
            value: u64::read(input).map(Amount::from_sat)?,
            script_pubkey: Vec::read(input).map(ScriptBuf::from_bytes)?,
        })
    })
}

impl<T: AsRef<str>> StoredDecision<T> {
    /// Appends the decision; `about` is what will stand behind it.
    fn write(&self, about: About<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Ignored => out.push(0),
            Self::Accepted { serialized: None } => {
                out.push(1);
                false.write(out);
            }
            Self::Accepted {
                serialized: Some(text),
            } => write_text(text.as_ref(), about, out),
            Self::Rejected { reason } => {
                out.push(2);
                write_bytes(reason.as_ref().as_bytes(), out);
            }
            Self::Unparseable { reason } => {
                out.push(3);
                write_bytes(reason.as_ref().as_bytes(), out);
            }
        }
    }
}

/// Appends the text of an accepted operation, shortened if it can be.
fn write_text(text: &str, about: About<'_>, out: &mut Vec<u8>) {
    if let Some(short) = shorten(text, about) {
        out.push(4);
        write_bytes(&short, out);
    } else {
        out.push(1);
        true.write(out);
        write_bytes(text.as_bytes(), out);
    }
}

/// A decision as it stands in a row.
enum Kept<'r> {
    Whole(StoredDecision),
    /// Accepted, with a shortened text.
    Short(&'r [u8]),
}

impl<'r> Kept<'r> {
    fn read(input: &mut Input<'r>) -> Option<Self> {
        Some(Self::Whole(match u8::read(input)? {
            0 => StoredDecision::Ignored,
            1 => StoredDecision::Accepted {
                serialized: Field::read(input)?,
            },
            2 => StoredDecision::Rejected {
                reason: Field::read(input)?,
            },
            3 => StoredDecision::Unparseable {
                reason: Field::read(input)?,
            },
            4 => return read_bytes(input).map(Self::Short),
            _ => return None,
        }))
    }

    fn decision(self, about: About<'_>) -> Option<StoredDecision> {
        match self {
            Self::Whole(decision) => Some(decision),
            Self::Short(short) => Some(StoredDecision::Accepted {
                serialized: Some(restore(short, about)?),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::arbitrary;
    use super::super::record::Row as _;
    use super::*;

    proptest! {
        #[test]
        fn operations_come_back(
            candidate in arbitrary::candidate(),
            decision in arbitrary::decision(),
        ) {
            let mut row = Vec::new();
            StoredOperation::write(7, &candidate, &decision, &mut row);
            prop_assert_eq!(StoredOperation::read_id(&row), Some(candidate.txid));
            let operation = StoredOperation { candidate, decision };
            prop_assert_eq!(StoredOperation::read(7, 0, &row), Some(operation));
        }

        #[test]
        fn announcements_come_back(name in arbitrary::name(), bytes in any::<[u8; 32]>()) {
            let announcement = Announcement {
                inventory_index: 7,
                name,
                hash: ZonefileHash([bytes[0]; 20]),
                height: u32::from(bytes[1]),
                txid: Txid::from_byte_array(bytes),
            };
            let mut row = Vec::new();
            announcement.write(&mut row);
            prop_assert_eq!(Announcement::read(7, &row), Some(announcement));
        }

        #[test]
        fn no_bytes_panic(row in vec(prop_oneof![0u8..5, any::<u8>()], 0..300)) {
            let _ = StoredOperation::read(0, 0, &row);
            let _ = Announcement::read(0, &row);
            let _ = IndexedBlock::read(0, &row);
        }
    }
}
