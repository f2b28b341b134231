//! The outputs that a block spent: what is needed to take it back, and what each input was worth.
//!
//! ```text
//! block:       count (CompactSize), then per transaction but the coinbase
//! transaction: count (CompactSize), then per input
//! output:      height * 2 + coinbase | 0 if height > 0 | amount | script     (module compress)
//! ```
//!
//! Follows `CBlockUndo`, `CTxUndo` and `TxInUndoFormatter` of Bitcoin Core's `undo.h`.

use std::collections::HashMap;

use bitcoin::consensus::encode::VarInt;
use bitcoin::consensus::{Decodable as _, Encodable as _};
use bitcoin::hashes::{Hash as _, HashEngine as _, sha256d};
use bitcoin::{Block, BlockHash, OutPoint, TxOut};

use super::compress::{self, CompressError};

/// Length of [`checksum`] in bytes.
pub(crate) const CHECKSUM_LENGTH: usize = 32;
/// Fewest bytes that a spent output can take: height, amount, script tag or length.
const MIN_OUTPUT_LENGTH: usize = 3;

/// An output and where it came from, which decides when it may be spent (`Coin` in Bitcoin Core).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    /// Amount and script.
    pub output: TxOut,
    /// Height of the block that created it.
    pub height: u32,
    /// Whether a coinbase created it.
    pub coinbase: bool,
}

/// The spent outputs of a block, by transaction (the coinbase left out) and input.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockUndo {
    /// One list per transaction after the coinbase, one output per input.
    pub transactions: Vec<Vec<Coin>>,
}

/// Why bytes are not the spent outputs of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UndoError {
    /// A count is not a CompactSize, or exceeds what the bytes could hold.
    #[error("the undo data holds a count that its length rules out")]
    Count,
    /// A height beyond 31 bits.
    #[error("the undo data holds an impossible height")]
    Height,
    /// A value is broken.
    #[error("the undo data is damaged: {0}")]
    Value(#[from] CompressError),
    /// Bytes are left over.
    #[error("the undo data is followed by {0} bytes that do not belong to it")]
    Trailing(usize),
}

impl BlockUndo {
    /// The bytes that a `rev` record carries.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_count(&mut bytes, self.transactions.len());
        for outputs in &self.transactions {
            write_count(&mut bytes, outputs.len());
            for spent in outputs {
                write_output(&mut bytes, spent);
            }
        }
        bytes
    }

    /// The spent outputs that a `rev` record's payload holds.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, UndoError> {
        let input = &mut bytes;
        let count = read_count(input, 1)?;
        let transactions = (0..count)
            .map(|_| read_outputs(input))
            .collect::<Result<_, _>>()?;
        if input.is_empty() {
            Ok(Self { transactions })
        } else {
            Err(UndoError::Trailing(input.len()))
        }
    }

    /// The outputs that `block` spent, whose undo data this has to be.
    pub fn outputs(self, block: &Block) -> HashMap<OutPoint, TxOut> {
        let coins = self.coins(block).into_iter();
        coins
            .map(|(outpoint, coin)| (outpoint, coin.output))
            .collect()
    }

    /// The same with where they came from.
    pub fn coins(self, block: &Block) -> HashMap<OutPoint, Coin> {
        let inputs = block.txdata.iter().skip(1).flat_map(|tx| &tx.input);
        let outpoints = inputs.map(|input| input.previous_output);
        outpoints
            .zip(self.transactions.into_iter().flatten())
            .collect()
    }
}

/// What ties undo data to its block: a hash over the hash of the block below and the data.
pub(crate) fn checksum(previous: BlockHash, undo: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let mut engine = sha256d::Hash::engine();
    engine.input(previous.as_byte_array());
    engine.input(undo);
    sha256d::Hash::from_engine(engine).to_byte_array()
}

fn write_count(bytes: &mut Vec<u8>, count: usize) {
    VarInt::from(count)
        .consensus_encode(bytes)
        .expect("a Vec takes all bytes");
}

fn write_output(bytes: &mut Vec<u8>, spent: &Coin) {
    let code = u64::from(spent.height) * 2 + u64::from(spent.coinbase);
    compress::write_integer(bytes, code);
    if spent.height > 0 {
        compress::write_integer(bytes, 0); // where old releases kept the transaction's version
    }
    compress::write_integer(bytes, compress::compress_amount(spent.output.value));
    compress::write_script(bytes, &spent.output.script_pubkey);
}

fn read_outputs(input: &mut &[u8]) -> Result<Vec<Coin>, UndoError> {
    let count = read_count(input, MIN_OUTPUT_LENGTH)?;
    (0..count).map(|_| read_output(input)).collect()
}

fn read_output(input: &mut &[u8]) -> Result<Coin, UndoError> {
    let code = compress::read_integer(input)?;
    let height = u32::try_from(code >> 1).map_err(|_| UndoError::Height)?;
    if height > 0 {
        compress::read_integer(input)?;
    }
    let value = compress::decompress_amount(compress::read_integer(input)?)?;
    let script_pubkey = compress::read_script(input)?;
    Ok(Coin {
        output: TxOut {
            value,
            script_pubkey,
        },
        height,
        coinbase: code & 1 == 1,
    })
}

/// A count of things that take at least `item_length` bytes each.
fn read_count(input: &mut &[u8], item_length: usize) -> Result<usize, UndoError> {
    let VarInt(count) = VarInt::consensus_decode(input).map_err(|_| UndoError::Count)?;
    usize::try_from(count)
        .ok()
        .filter(|count| *count <= input.len() / item_length)
        .ok_or(UndoError::Count)
}

#[cfg(test)]
mod tests {
    use bitcoin::{Amount, ScriptBuf};
    use proptest::prelude::*;

    use super::*;

    fn any_coin() -> impl Strategy<Value = Coin> {
        let script = prop::collection::vec(any::<u8>(), 0..40);
        let height = prop_oneof![Just(0u32), 1..0x7fff_ffffu32];
        (0..=2_100_000_000_000_000u64, script, height, any::<bool>()).prop_map(
            |(satoshi, script, height, coinbase)| Coin {
                output: TxOut {
                    value: Amount::from_sat(satoshi),
                    script_pubkey: ScriptBuf::from_bytes(script),
                },
                height,
                coinbase,
            },
        )
    }

    proptest! {
        #[test]
        fn spent_outputs_go_both_ways(
            transactions in prop::collection::vec(prop::collection::vec(any_coin(), 0..4), 0..6),
        ) {
            let undo = BlockUndo { transactions };
            prop_assert_eq!(BlockUndo::decode(&undo.encode()), Ok(undo));
        }

        #[test]
        fn no_bytes_panic_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = BlockUndo::decode(&bytes);
        }
    }

    #[test]
    fn a_block_without_spends_is_one_byte() {
        assert_eq!(BlockUndo::default().encode(), [0]);
        assert_eq!(BlockUndo::decode(&[0, 7]), Err(UndoError::Trailing(1)));
    }

    #[test]
    fn a_count_beyond_the_input_takes_no_memory() {
        let bytes = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(BlockUndo::decode(&bytes), Err(UndoError::Count));
    }

    #[test]
    fn an_output_is_spelled_as_in_core() {
        // Height 100 from a coinbase, 50 BTC to a key hash: 201 as VARINT, the version's place, 0x32, tag 0.
        let script_pubkey =
            ScriptBuf::from_bytes([&[0x76, 0xa9, 0x14][..], &[9; 20], &[0x88, 0xac]].concat());
        let spent = Coin {
            output: TxOut {
                value: Amount::from_sat(5_000_000_000),
                script_pubkey,
            },
            height: 100,
            coinbase: true,
        };
        let undo = BlockUndo {
            transactions: vec![vec![spent]],
        };
        let expected = [&[1, 1, 0x80, 0x49, 0, 0x32, 0][..], &[9; 20]].concat();
        assert_eq!(undo.encode(), expected);
    }
}
