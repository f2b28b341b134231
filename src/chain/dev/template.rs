//! Puts a block together that Bitcoin Core in regtest accepts from `submitblock`.
//!
//! Rules and constants are those of Bitcoin Core's `chainparams.cpp` (regtest), `miner.cpp` and
//! `consensus/`: the subsidy halves every 150 blocks, the height stands first in the coinbase (BIP 34),
//! and no witness commitment is needed because no transaction here carries a witness (BIP 141).

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::script::{Builder, Script};
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxOut, Txid, Witness, transaction,
};

use crate::chain::header::{self, REGTEST_BITS};

/// Blocks between two halvings of the subsidy in regtest.
const HALVING_INTERVAL: u32 = 150;

/// Block version with the top bits of BIP 9 and no deployment signalled.
const VERSION: i32 = 0x2000_0000;

/// Weight and signature operations that a block may hold, less what its header and coinbase take.
const MAX_WEIGHT: u64 = 4_000_000 - 4_000;
/// Cost of signature operations that a block may have (`MAX_BLOCK_SIGOPS_COST`), less the coinbase's.
const MAX_SIGOPS: usize = 80_000 - 400;

/// What a block is made of, besides its work.
#[derive(Debug)]
pub(super) struct Template<'a> {
    /// The block below.
    pub previous: BlockHash,
    /// Its own height.
    pub height: u32,
    /// Header time, seconds since 1970.
    pub time: u32,
    /// Script that subsidy and fees go to.
    pub reward: &'a Script,
    /// Sum of the transactions' fees.
    pub fees: Amount,
    /// Makes otherwise equal blocks different.
    pub extra_nonce: u32,
    /// What goes in after the coinbase.
    pub transactions: Vec<Transaction>,
}

impl Template<'_> {
    /// The block, with its work done.
    pub fn mine(self) -> Block {
        let mut txdata = vec![self.coinbase()];
        txdata.extend(self.transactions);
        let txids: Vec<Txid> = txdata.iter().map(Transaction::compute_txid).collect();
        let header = Header {
            version: Version::from_consensus(VERSION),
            prev_blockhash: self.previous,
            merkle_root: header::merkle_root(&txids).expect("transaction ids are distinct"),
            time: self.time,
            bits: CompactTarget::from_consensus(REGTEST_BITS),
            nonce: 0,
        };
        let header = header::find_nonce(header).expect("half of all nonces are good");
        Block { header, txdata }
    }

    fn coinbase(&self) -> Transaction {
        let input = TxIn {
            previous_output: OutPoint::null(),
            script_sig: coinbase_script(self.height, self.extra_nonce),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        };
        let output = TxOut {
            value: subsidy(self.height) + self.fees,
            script_pubkey: self.reward.to_owned(),
        };
        Transaction {
            version: transaction::Version::ONE,
            lock_time: LockTime::ZERO,
            input: vec![input],
            output: vec![output],
        }
    }
}

/// What a block at `height` may create.
pub(super) fn subsidy(height: u32) -> Amount {
    let first = Amount::from_int_btc(50).to_sat();
    Amount::from_sat(first.checked_shr(height / HALVING_INTERVAL).unwrap_or(0))
}

/// Whether the transactions fit into one block.
pub(super) fn fits(transactions: &[Transaction]) -> bool {
    let weight: u64 = transactions.iter().map(|tx| tx.weight().to_wu()).sum();
    // A multisignature spend has up to 16 keys; counting them for every input needs no look at the coins.
    let sigops: usize = transactions
        .iter()
        .map(|tx| tx.total_sigop_cost(|_| None) + tx.input.len() * 16 * 4)
        .sum();
    weight <= MAX_WEIGHT && sigops <= MAX_SIGOPS
}

/// Height, then the extra nonce, both as minimal numbers: at least the two bytes that a coinbase must have.
fn coinbase_script(height: u32, extra_nonce: u32) -> ScriptBuf {
    Builder::new()
        .push_int(i64::from(height))
        .push_int(i64::from(extra_nonce))
        .into_script()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subsidy_halves_every_150_blocks_until_nothing_is_left() {
        assert_eq!(subsidy(149), Amount::from_int_btc(50));
        assert_eq!(subsidy(150), Amount::from_int_btc(25));
        assert_eq!(subsidy(150 * 64), Amount::ZERO);
    }

    #[test]
    fn the_height_stands_first_in_the_coinbase() {
        // The crate reads BIP 34 heights only beyond 16 as a push, so both forms are written out.
        assert_eq!(coinbase_script(1, 0).as_bytes(), [0x51, 0x00]);
        assert_eq!(coinbase_script(17, 0).as_bytes(), [0x01, 0x11, 0x00]);
        assert_eq!(coinbase_script(128, 1).as_bytes(), [0x02, 0x80, 0x00, 0x51]);
    }
}
