//! The bytes of a proof, read and written: little endian numbers and CompactSize in its shortest form.

use bitcoin::VarInt;
use bitcoin::consensus::encode::{deserialize_partial, serialize};

use super::way::Way;
use super::{BEGINNING, ProofChain, ProofFault};

/// A place in a proof.
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The error for what was read last.
    pub(super) fn fault(&self) -> ProofFault {
        ProofFault::Malformed(self.at)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], ProofFault> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(self.fault())?;
        self.at += length;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], ProofFault> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| self.fault())
    }

    pub(super) fn u32(&mut self) -> Result<u32, ProofFault> {
        self.array().map(u32::from_le_bytes)
    }

    /// A CompactSize up to `most`.
    pub(super) fn number(&mut self, most: u32) -> Result<u32, ProofFault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (VarInt(number), length) = deserialize_partial(rest).map_err(|_| self.fault())?;
        let number = u32::try_from(number).ok().filter(|number| *number <= most);
        let number = number.ok_or(self.fault())?;
        self.at += length;
        Ok(number)
    }

    /// A count or length up to `most`.
    pub(super) fn size(&mut self, most: usize) -> Result<usize, ProofFault> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        self.number(most).map(|number| number as usize)
    }

    /// The beginning.
    pub(super) fn chain(&mut self) -> Result<ProofChain, ProofFault> {
        let beginning = self.array().map_err(|_| ProofFault::Beginning)?;
        match beginning == BEGINNING {
            true => Ok(ProofChain {
                magic: self.array()?,
                network: self.array()?,
                first_block: self.u32()?,
            }),
            false => Err(ProofFault::Beginning),
        }
    }

    pub(super) fn u8(&mut self) -> Result<u8, ProofFault> {
        self.array().map(|[byte]| byte)
    }

    /// The nodes beside a way: those of the lowest row have `lowest` bytes, the others 32.
    pub(super) fn siblings(
        &mut self,
        way: Way,
        lowest: usize,
    ) -> Result<Vec<&'a [u8]>, ProofFault> {
        let lengths = std::iter::once(lowest).chain(std::iter::repeat(32));
        let written = way
            .sides()
            .zip(lengths)
            .filter(|(side, _)| side.is_written());
        written.map(|(_, length)| self.take(length)).collect()
    }

    /// An error unless everything was read.
    pub(super) fn end(&self) -> Result<(), ProofFault> {
        match self.at == self.bytes.len() {
            true => Ok(()),
            false => Err(self.fault()),
        }
    }
}

/// Appends a count or length.
pub(super) fn write_size(size: usize, out: &mut Vec<u8>) {
    out.extend(serialize(&VarInt::from(size)));
}
