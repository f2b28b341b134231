//! The bytes of a proof, read and written: little endian numbers and CompactSize in its shortest form.

use bitcoin::VarInt;
use bitcoin::consensus::encode::{deserialize_partial, serialize};

use super::{BEGINNING, ProofChain, ProofFault, TARGETS_MAX};

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

    /// Descending heights from `last` to `first`.
    pub(super) fn targets(&mut self, first: u32, last: u32) -> Result<Vec<u32>, ProofFault> {
        let count = self.size(TARGETS_MAX)?;
        let mut targets: Vec<u32> = Vec::new();
        for _ in 0..count {
            let target = self.u32()?;
            let descends = targets.last().is_none_or(|above| target < *above);
            if !descends || !(first..=last).contains(&target) {
                return Err(self.fault());
            }
            targets.push(target);
        }
        match targets.is_empty() {
            true => Err(self.fault()),
            false => Ok(targets),
        }
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
