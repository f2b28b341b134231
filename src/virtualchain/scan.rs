//! Finds the transactions of a raw block that carry the magic bytes (wire-format.md §1).
//!
//! A block is walked once over its bytes; only transactions whose deciding `OP_RETURN` starts with the
//! magic are decoded. Which spent outputs the rules will need is then known, and the chain source supplies
//! them. Blocks come from outside: a malformed one is an error, never a panic.

use bitcoin::{OutPoint, Transaction, Txid, consensus::encode};

use super::script;
use super::transaction::{Prevout, VirtualTransaction};

/// Length of a block header in bytes.
const HEADER_LEN: usize = 80;
/// First byte of an `OP_RETURN` script.
const OP_RETURN: u8 = 0x6a;

/// The bytes are no block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the block is malformed at byte {at} of {length}")]
pub struct ScanError {
    /// Where reading stopped.
    pub at: usize,
    /// How long the block is.
    pub length: usize,
}

/// A transaction whose deciding `OP_RETURN` starts with the magic bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Position in the block, 0 is the coinbase.
    pub vtxindex: u32,
    /// The transaction.
    pub transaction: Transaction,
}

impl Candidate {
    /// The outputs that it spends and that rules look at; none for a coinbase.
    pub fn outpoints(&self) -> impl Iterator<Item = OutPoint> {
        let inputs = if self.transaction.is_coinbase() {
            &[]
        } else {
            &self.transaction.input[..]
        };
        inputs.iter().map(|input| input.previous_output)
    }

    /// Joins the candidate with its spent outputs, one per outpoint, in order.
    pub fn with_prevouts(self, prevouts: Vec<Prevout>) -> VirtualTransaction {
        let txid: Txid = self.transaction.compute_txid();
        VirtualTransaction {
            vtxindex: self.vtxindex,
            txid,
            transaction: self.transaction,
            prevouts,
        }
    }
}

/// The payload of a transaction (wf §1 steps 1 and 2): the data of its *last* nulldata output, if that
/// output is well formed and the data begins with `magic`. What follows the magic is returned.
pub fn payload(transaction: &Transaction, magic: [u8; 2]) -> Option<&[u8]> {
    let mut scripts = transaction
        .output
        .iter()
        .map(|output| output.script_pubkey.as_bytes());
    // History §5, LAST-NULLDATA: a malformed or foreign last one cancels an earlier good one.
    let last = scripts.rfind(|script| script.first() == Some(&OP_RETURN))?;
    script::null_data(last)?.strip_prefix(&magic)
}

/// Walks a serialised block and returns the candidates in block order.
///
/// # Errors
/// When the bytes end early, go on after the last transaction, or hold a candidate that does not decode.
pub fn scan(block: &[u8], magic: [u8; 2]) -> Result<Vec<Candidate>, ScanError> {
    let mut reader = Reader {
        bytes: block,
        at: HEADER_LEN,
    };
    let count = reader.varint()?;
    let mut candidates = Vec::new();
    for vtxindex in 0..count {
        let start = reader.at;
        if !reader.transaction(magic)? {
            continue;
        }
        let bytes = block.get(start..reader.at).ok_or(reader.error())?;
        let transaction = encode::deserialize(bytes).map_err(|_| reader.error())?;
        let vtxindex = u32::try_from(vtxindex).map_err(|_| reader.error())?;
        candidates.push(Candidate {
            vtxindex,
            transaction,
        });
    }
    if reader.at == block.len() {
        Ok(candidates)
    } else {
        Err(reader.error())
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn error(&self) -> ScanError {
        ScanError {
            at: self.at,
            length: self.bytes.len(),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ScanError> {
        let end = self.at.checked_add(length).ok_or(self.error())?;
        let taken = self.bytes.get(self.at..end).ok_or(self.error())?;
        self.at = end;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, ScanError> {
        let width = match self.take(1)? {
            [0xfd] => 2,
            [0xfe] => 4,
            [0xff] => 8,
            [value] => return Ok(u64::from(*value)),
            _ => return Err(self.error()),
        };
        let bytes = self.take(width)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn length(&mut self) -> Result<usize, ScanError> {
        usize::try_from(self.varint()?).map_err(|_| self.error())
    }

    /// Skips one transaction; says whether its deciding `OP_RETURN` may carry the magic.
    fn transaction(&mut self, magic: [u8; 2]) -> Result<bool, ScanError> {
        self.take(4)?;
        let segwit = self
            .bytes
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(&[0, 1]));
        if segwit {
            self.take(2)?;
        }
        let inputs = self.varint()?;
        for _ in 0..inputs {
            self.take(36)?;
            let script = self.length()?;
            self.take(script)?;
            self.take(4)?;
        }
        let mut found = false;
        for _ in 0..self.varint()? {
            self.take(8)?;
            let length = self.length()?;
            let script = self.take(length)?;
            if script.first() == Some(&OP_RETURN) {
                found = script::null_data(script).is_some_and(|data| data.starts_with(&magic));
            }
        }
        if segwit {
            for _ in 0..inputs {
                for _ in 0..self.varint()? {
                    let item = self.length()?;
                    self.take(item)?;
                }
            }
        }
        self.take(4)?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_that_ends_early_is_an_error() {
        let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
        let bytes = encode::serialize(&genesis);
        assert_eq!(scan(&bytes, *b"id"), Ok(Vec::new()));
        for length in 0..bytes.len() {
            assert!(scan(&bytes[..length], *b"id").is_err(), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_scan(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = scan(&bytes, *b"id");
        }
    }
}
