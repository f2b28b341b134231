//! Bytes of a log that are still to be read, in Bitcoin's encodings.
//!
//! Nothing is allocated for a count before the bytes that it counts were seen, and a number has one form only.

use bitcoin::consensus::encode;
use bitcoin::{Transaction, VarInt};

use super::tree::TreeFault;
use crate::virtualchain::walk::Walk;

/// Bytes that are no segment of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}: {flaw}")]
pub struct Malformed {
    /// Where reading stopped.
    pub at: usize,
    /// What is wrong there.
    pub flaw: Flaw,
}

/// What is wrong with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// They end early.
    #[error("the bytes end early")]
    End,
    /// They do not begin like a segment of a format that is known.
    #[error("no segment of a log begins like this")]
    Start,
    /// The heights of a segment or of a record cannot be.
    #[error("the height is not in its place")]
    Height,
    /// A number is longer than it has to be.
    #[error("a number is not in its shortest form")]
    Number,
    /// No transaction, or one with witnesses.
    #[error("no transaction without witnesses can be read")]
    Transaction,
    /// A funding entry of a kind that there is not, or that points behind itself.
    #[error("the funding entry points nowhere")]
    Funding,
    /// The tree is none.
    #[error(transparent)]
    Tree(TreeFault),
    /// Something follows the last record.
    #[error("something follows the last record")]
    Rest,
}

/// Bytes and a place in them.
#[derive(Debug, Clone)]
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// The same bytes from another place on.
    pub(super) fn at_place(&self, at: usize) -> Self {
        Self::new(self.bytes, at)
    }

    /// Where the next byte stands.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The error for what was read last.
    pub(super) fn malformed(&self, flaw: Flaw) -> Malformed {
        Malformed { at: self.at, flaw }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.rest().get(..length);
        let taken = taken.ok_or(self.malformed(Flaw::End))?;
        self.at += length;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let end = self.malformed(Flaw::End);
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| end)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// A CompactSize in its shortest form.
    pub(super) fn compact(&mut self) -> Result<u64, Malformed> {
        let (least, value) = match self.array()? {
            [0xfd] => (0xfd, self.array().map(u16::from_le_bytes)?.into()),
            [0xfe] => (0x1_0000, self.u32()?.into()),
            [0xff] => (0x1_0000_0000, self.array().map(u64::from_le_bytes)?),
            [value] => (0, value.into()),
        };
        if value < least {
            return Err(self.malformed(Flaw::Number));
        }
        Ok(value)
    }

    /// A CompactSize that fits into 32 bits.
    pub(super) fn compact_u32(&mut self) -> Result<u32, Malformed> {
        let value = self.compact()?;
        u32::try_from(value).map_err(|_| self.malformed(Flaw::Number))
    }

    /// A transaction without witnesses. It is gone over before anything is made of it.
    pub(super) fn transaction(&mut self) -> Result<Transaction, Malformed> {
        let none = self.malformed(Flaw::Transaction);
        let walked = Walk::over(self.rest()).transaction(|_| ());
        let walked = walked.map_err(|_| none)?;
        let bare: usize = walked.stripped.iter().map(|part| part.len()).sum();
        if bare != walked.whole.len() {
            return Err(none);
        }
        let transaction = encode::deserialize(walked.whole).map_err(|_| none)?;
        self.at += bare;
        Ok(transaction)
    }
}

/// Appends a CompactSize.
pub(super) fn write_compact(value: u64, out: &mut Vec<u8>) {
    out.extend(encode::serialize(&VarInt(value)));
}

/// Appends a transaction without its witnesses.
pub(super) fn write_transaction(transaction: &Transaction, out: &mut Vec<u8>) {
    out.extend(transaction.version.0.to_le_bytes());
    out.extend(encode::serialize(&transaction.input)); // an input's own encoding has no witness
    out.extend(encode::serialize(&transaction.output));
    out.extend(encode::serialize(&transaction.lock_time));
}
