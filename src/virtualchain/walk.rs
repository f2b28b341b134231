//! A walk over the transactions of a serialised block (BIP 144), without decoding them.
//!
//! Whoever looks for something in every transaction, or hashes all of them, would spend most of the time on
//! building values that nobody wants. Blocks come from outside: a malformed one is an error, never a panic.

use bitcoin::Txid;
use bitcoin::hashes::{Hash as _, HashEngine as _};

/// Length of a block header in bytes.
pub const HEADER_LENGTH: usize = 80;

/// The bytes are no block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the block is malformed at byte {at} of {length}")]
pub struct ScanError {
    /// Where reading stopped.
    pub at: usize,
    /// How long the block is.
    pub length: usize,
}

/// A place in a block.
pub struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The bytes of one transaction.
pub struct Walked<'a> {
    /// All of them.
    pub whole: &'a [u8],
    /// What its id is the hash of: version, inputs and outputs, lock time; no marker, flag or witnesses.
    pub stripped: [&'a [u8]; 3],
}

/// The ids of a serialised block's transactions, hashed where they stand.
pub fn txids(block: &[u8]) -> Result<Vec<Txid>, ScanError> {
    let (mut walk, count) = Walk::begin(block)?;
    let mut txids = Vec::new(); // the count is not trusted; each transaction takes input
    for _ in 0..count {
        let mut engine = Txid::engine();
        let transaction = walk.transaction(|_| ())?;
        for part in transaction.stripped {
            engine.input(part);
        }
        txids.push(Txid::from_engine(engine));
    }
    walk.end()?;
    Ok(txids)
}

impl<'a> Walk<'a> {
    /// At the first byte of `bytes`, which begin with a transaction.
    pub fn over(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// At the first transaction of a block, and how many there are said to be.
    pub fn begin(block: &'a [u8]) -> Result<(Self, u64), ScanError> {
        let mut walk = Self {
            bytes: block,
            at: HEADER_LENGTH,
        };
        let count = walk.varint()?;
        Ok((walk, count))
    }

    /// Goes over one transaction; `output` sees the script of each of its outputs.
    pub fn transaction(
        &mut self,
        mut output: impl FnMut(&'a [u8]),
    ) -> Result<Walked<'a>, ScanError> {
        let start = self.at;
        let version = self.take(4)?;
        let segwit = self.rest().starts_with(&[0, 1]);
        if segwit {
            self.take(2)?;
        }
        let body = self.at;
        let inputs = self.varint()?;
        for _ in 0..inputs {
            self.take(36)?;
            self.string()?;
            self.take(4)?;
        }
        for _ in 0..self.varint()? {
            self.take(8)?;
            output(self.string()?);
        }
        let body = self.since(body);
        if segwit {
            for _ in 0..inputs {
                for _ in 0..self.varint()? {
                    self.string()?;
                }
            }
        }
        let lock_time = self.take(4)?;
        Ok(Walked {
            whole: self.since(start),
            stripped: [version, body, lock_time],
        })
    }

    /// Whether the block ends here, as it has to behind its last transaction.
    pub fn end(&self) -> Result<(), ScanError> {
        match self.rest() {
            [] => Ok(()),
            _ => Err(self.error()),
        }
    }

    /// The error for what was read last.
    pub fn error(&self) -> ScanError {
        ScanError {
            at: self.at,
            length: self.bytes.len(),
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ScanError> {
        let end = self.at.checked_add(length).ok_or(self.error())?;
        let taken = self.bytes.get(self.at..end).ok_or(self.error())?;
        self.at = end;
        Ok(taken)
    }

    /// Bytes behind their length.
    fn string(&mut self) -> Result<&'a [u8], ScanError> {
        let length = usize::try_from(self.varint()?).map_err(|_| self.error())?;
        self.take(length)
    }

    /// A CompactSize.
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
}

#[cfg(test)]
mod tests {
    use bitcoin::Network;
    use bitcoin::consensus::serialize;
    use bitcoin::constants::genesis_block;

    use super::*;

    #[test]
    fn ids_are_those_of_the_bitcoin_crate() {
        let mut transaction = genesis_block(Network::Bitcoin).txdata.remove(0);
        let plain = transaction.clone();
        transaction.input[0].witness = bitcoin::Witness::from_slice(&[vec![1; 300], Vec::new()]);
        transaction.output.resize(300, plain.output[0].clone());
        let transactions = [serialize(&plain), serialize(&transaction)].concat();
        let block = [vec![0; HEADER_LENGTH], vec![2], transactions].concat();
        let expected = [plain.compute_txid(), transaction.compute_txid()];
        assert_eq!(txids(&block), Ok(expected.to_vec()));
        for length in 0..block.len() {
            assert!(txids(&block[..length]).is_err(), "{length} bytes");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = txids(&bytes);
        }
    }
}
