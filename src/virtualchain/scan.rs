//! Finds the transactions of a raw block that carry the magic bytes (wf §1).
//!
//! A block is walked once over its bytes; only transactions whose deciding `OP_RETURN` starts with the
//! magic are decoded. Which spent outputs the rules will need is then known, and the chain source supplies
//! them. Blocks come from outside: a malformed one is an error, never a panic.

use bitcoin::{OutPoint, Transaction, TxOut, consensus::encode};

use super::script::{self, OP_RETURN};
use super::transaction::VirtualTransaction;
use super::walk::{ScanError, Walk};

/// A transaction whose deciding `OP_RETURN` starts with the magic bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Position in the block, 0 is the coinbase.
    pub vtxindex: u32,
    /// The transaction.
    pub transaction: Transaction,
}

impl Candidate {
    /// The outputs that it spends and that rules look at; none for a coinbase and none if it [`is_void`].
    pub fn outpoints(&self) -> impl Iterator<Item = OutPoint> {
        let inputs = if self.transaction.is_coinbase() || is_void(&self.transaction) {
            &[]
        } else {
            &self.transaction.input[..]
        };
        inputs.iter().map(|input| input.previous_output)
    }

    /// Joins the candidate with its spent outputs, one for each of [`Self::outpoints`], in order.
    pub fn with_prevouts(self, prevouts: Vec<TxOut>) -> VirtualTransaction {
        VirtualTransaction {
            vtxindex: self.vtxindex,
            txid: self.transaction.compute_txid(),
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
    // Quirk LAST-NULLDATA: a malformed or foreign last one cancels an earlier good one.
    let last = scripts.rfind(|script| script.first() == Some(&OP_RETURN))?;
    script::null_data(last)?.strip_prefix(&magic)
}

/// Whether a transaction is no operation whatever it spends: an input has no scriptSig. Neither p2pkh nor p2sh is spent
/// so in a valid block, and an operation spends nothing else (wf §1 step 4). It is decided before anything is asked or
/// read, and the rules refuse it because it comes without spent outputs.
pub fn is_void(transaction: &Transaction) -> bool {
    let mut inputs = transaction.input.iter();
    inputs.any(|input| input.script_sig.is_empty())
}

/// Walks a serialised block and returns the candidates in block order.
///
/// # Errors
/// When the bytes end early, go on after the last transaction, or hold a candidate that does not decode.
pub fn scan(block: &[u8], magic: [u8; 2]) -> Result<Vec<Candidate>, ScanError> {
    let (mut walk, count) = Walk::begin(block)?;
    let mut candidates = Vec::new();
    for vtxindex in 0..count {
        let mut found = false;
        let transaction = walk.transaction(|script| {
            if script.first() == Some(&OP_RETURN) {
                found = script::null_data(script).is_some_and(|data| data.starts_with(&magic));
            }
        })?;
        if !found {
            continue;
        }
        let transaction = encode::deserialize(transaction.whole).map_err(|_| walk.error())?;
        let vtxindex = u32::try_from(vtxindex).map_err(|_| walk.error())?;
        candidates.push(Candidate {
            vtxindex,
            transaction,
        });
    }
    walk.end()?;
    Ok(candidates)
}

#[cfg(test)]
mod tests {
    use bitcoin::absolute::LockTime;
    use bitcoin::hashes::Hash as _;
    use bitcoin::transaction::Version;
    use bitcoin::{ScriptBuf, TxIn, Txid};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_block_that_ends_early_is_an_error() {
        let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
        let bytes = encode::serialize(&genesis);
        assert_eq!(scan(&bytes, *b"id"), Ok(Vec::new()));
        for length in 0..bytes.len() {
            assert!(scan(&bytes[..length], *b"id").is_err(), "{length} bytes");
        }
    }

    #[test]
    fn an_input_without_a_script_asks_for_nothing() {
        let input = |script_sig: &[u8]| TxIn {
            previous_output: OutPoint::new(Txid::from_byte_array([7; 32]), 0),
            script_sig: ScriptBuf::from(script_sig.to_vec()),
            ..TxIn::default()
        };
        let candidate = |input: Vec<TxIn>| Candidate {
            vtxindex: 1,
            transaction: Transaction {
                version: Version::ONE,
                lock_time: LockTime::ZERO,
                input,
                output: Vec::new(),
            },
        };
        let asked = |candidate: &Candidate| candidate.outpoints().count();
        let (signed, bare) = (input(&[1, 7]), input(&[]));
        assert_eq!(asked(&candidate(vec![signed.clone(), signed.clone()])), 2);
        let void = candidate(vec![signed, bare]);
        assert!(is_void(&void.transaction));
        assert_eq!(asked(&void), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_scan(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = scan(&bytes, *b"id");
        }
    }
}
