//! A second, tiny state machine on the same engine: a notary of announced hashes.
//!
//! Whoever announces a hash first owns it. The notary has its own magic bytes, state, view and texts; that it
//! runs on `virtualchain` without anything of the name system shows that nothing of the name system has
//! leaked into the engine.

use std::collections::BTreeMap;
use std::convert::Infallible;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash as _;
use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::script::PushBytesBuf;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, consensus,
};
use bnsd::hash::{ConsensusHash, encode_hex, sha256d};
use bnsd::virtualchain::serialize::Serializer;
use bnsd::virtualchain::{
    Decision, Located, Snapshot, SnapshotView, StateMachine, VirtualTransaction, connect_block,
    merkle, scan, snapshot,
};
use proptest::prelude::*;

const MAGIC: [u8; 2] = *b"nt";
const FIRST_BLOCK: u32 = 100;

/// First announcer of every hash: the script it spent.
#[derive(Debug, Clone, Default, PartialEq)]
struct Register {
    owners: BTreeMap<Vec<u8>, ScriptBuf>,
    snapshots: BTreeMap<u32, Snapshot>,
}

/// What the notary reads of it.
trait NotaryView: SnapshotView {
    fn owner(&self, hash: &[u8]) -> Result<Option<ScriptBuf>, Self::Error>;
}

impl SnapshotView for Register {
    type Error = Infallible;

    fn consensus_hash(&self, height: u32) -> Result<Option<ConsensusHash>, Infallible> {
        let snapshot = self.snapshots.get(&height);
        Ok(snapshot.map(|snapshot| snapshot.consensus_hash))
    }
}

impl NotaryView for Register {
    fn owner(&self, hash: &[u8]) -> Result<Option<ScriptBuf>, Infallible> {
        Ok(self.owners.get(hash).cloned())
    }
}

struct Notary;

/// `!` and 20 bytes.
struct Announcement {
    hash: Vec<u8>,
    owner: ScriptBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
enum Refused {
    #[error("an announcement is 20 bytes long")]
    Length,
    #[error("the hash has an owner")]
    Owned,
}

impl<V: NotaryView> StateMachine<V> for Notary {
    type Operation = Announcement;
    type Reject = Refused;
    type Changes = BTreeMap<Vec<u8>, ScriptBuf>;

    fn first_block(&self) -> u32 {
        FIRST_BLOCK
    }

    fn parse(
        &self,
        _height: u32,
        transaction: &VirtualTransaction,
    ) -> Option<Result<Announcement, Refused>> {
        let bytes = scan::payload(&transaction.transaction, MAGIC)?;
        let hash = bytes.strip_prefix(b"!")?.to_vec();
        if hash.len() != 20 {
            return Some(Err(Refused::Length));
        }
        let owner = transaction.prevouts.first()?.script_pubkey.clone();
        Some(Ok(Announcement { hash, owner }))
    }

    fn process(
        &self,
        _height: u32,
        operations: &[Located<Announcement>],
        view: &V,
    ) -> Result<(Vec<Decision<Refused>>, Self::Changes), V::Error> {
        let mut changes = BTreeMap::new();
        let mut decisions = Vec::new();
        for located in operations {
            let Announcement { hash, owner } = &located.item;
            if changes.contains_key(hash) || view.owner(hash)?.is_some() {
                decisions.push(Decision::Rejected(Refused::Owned));
                continue;
            }
            let mut text = Serializer::new('!');
            text.hex(hash).hex(owner.as_bytes()).field(located.txid);
            let serialized = Some(text.finish());
            decisions.push(Decision::Accepted(serialized));
            changes.insert(hash.clone(), owner.clone());
        }
        Ok((decisions, changes))
    }
}

impl Register {
    /// Connects raw blocks from `height` on.
    fn connect(&mut self, height: u32, blocks: &[Vec<u8>]) {
        for (height, block) in (height..).zip(blocks) {
            let candidates = scan::scan(block, MAGIC).expect("a generated block");
            let candidates: Vec<VirtualTransaction> = candidates.into_iter().map(join).collect();
            let outcome =
                connect_block(&Notary, height, &candidates, self).expect("memory does not fail");
            self.owners.extend(outcome.changes);
            self.snapshots.insert(height, outcome.snapshot);
        }
    }
}

/// Every output that a generated input spends belongs to the script made of its transaction's hash.
fn join(candidate: scan::Candidate) -> VirtualTransaction {
    let spent = |outpoint: OutPoint| TxOut {
        value: Amount::from_sat(1_000),
        script_pubkey: ScriptBuf::from(outpoint.txid.to_byte_array()[..4].to_vec()),
    };
    let prevouts = candidate.outpoints().map(spent).collect();
    candidate.with_prevouts(prevouts)
}

/// A transaction of `sender` whose `OP_RETURN` holds `data`.
fn announcement(sender: u8, data: &[u8]) -> Transaction {
    let data = PushBytesBuf::try_from(data.to_vec()).expect("short data");
    let script_pubkey = ScriptBuf::builder()
        .push_opcode(OP_RETURN)
        .push_slice(data)
        .into_script();
    Transaction {
        version: Version::ONE,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(Txid::from_byte_array([sender; 32]), 0),
            script_sig: ScriptBuf::from(vec![1, sender]), // without one it would be void
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::ZERO,
            script_pubkey,
        }],
    }
}

/// A block as it goes over the wire; the notary looks at no header.
fn block(transactions: &[Transaction]) -> Vec<u8> {
    let mut bytes = vec![0; 80];
    bytes.extend(consensus::serialize(&transactions.to_vec()));
    bytes
}

/// What one transaction of a generated chain announces: few senders and hashes, so that they meet.
fn transactions() -> impl Strategy<Value = Transaction> {
    let data = prop_oneof![
        6 => (0u8..12).prop_map(|hash| [b"nt!".as_slice(), &[hash; 20]].concat()),
        1 => Just(b"nt!short".to_vec()),
        1 => Just(b"nt?unknown".to_vec()),
        1 => Just(b"id!foreign".to_vec()),
    ];
    (1u8..5, data).prop_map(|(sender, data)| announcement(sender, &data))
}

fn chains() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let blocks = proptest::collection::vec(transactions(), 0..6);
    proptest::collection::vec(blocks.prop_map(|transactions| block(&transactions)), 1..20)
}

#[test]
fn the_first_announcer_owns_a_hash() {
    let data = [b"nt!".as_slice(), &[7; 20]].concat();
    let first = announcement(1, &data);
    let blocks = [
        block(&[first.clone(), announcement(2, &data)]),
        block(&[announcement(3, &data), announcement(4, b"nt!short")]),
    ];
    let mut register = Register::default();
    register.connect(FIRST_BLOCK, &blocks);
    let owner = &register.owners[&vec![7; 20]];
    assert_eq!(owner.as_bytes(), [1; 4]);

    let text = format!(
        "!:40:{},8:01010101,64:{}",
        encode_hex(&[7; 20]),
        first.compute_txid()
    );
    let ops_hash = merkle::ops_hash(&[&text]);
    let leaf = sha256d(text.as_bytes());
    assert_eq!(ops_hash.as_bytes(), leaf, "one leaf is its own root");
    let snapshot = register.snapshots[&FIRST_BLOCK];
    assert_eq!(snapshot.ops_hash, ops_hash);
    assert_eq!(
        snapshot.consensus_hash,
        snapshot::consensus_hash(ops_hash, &[])
    );
    let second = register.snapshots[&(FIRST_BLOCK + 1)];
    let previous = [snapshot.consensus_hash];
    assert_eq!(second.ops_hash, merkle::ops_hash(&[]));
    assert_eq!(
        second.consensus_hash,
        snapshot::consensus_hash(second.ops_hash, &previous)
    );
}

proptest! {
    #[test]
    fn one_run_and_batches_with_restarts_agree(
        blocks in chains(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut whole = Register::default();
        whole.connect(FIRST_BLOCK, &blocks);

        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(blocks.len())).collect();
        cuts.extend([0, blocks.len()]);
        cuts.sort_unstable();
        let mut register = Register::default();
        for pair in cuts.windows(2) {
            // A restart keeps nothing but what is stored.
            let stored = register.clone();
            drop(register);
            register = stored;
            let start = FIRST_BLOCK + pair[0] as u32;
            register.connect(start, &blocks[pair[0]..pair[1]]);
        }
        prop_assert_eq!(register, whole);
    }

    #[test]
    fn every_hash_follows_from_the_blocks_before(blocks in chains()) {
        let mut register = Register::default();
        register.connect(FIRST_BLOCK, &blocks);
        for (&height, stored) in &register.snapshots {
            let previous: Vec<ConsensusHash> = snapshot::previous_heights(height, FIRST_BLOCK)
                .map(|height| register.snapshots[&height].consensus_hash)
                .collect();
            let expected = snapshot::consensus_hash(stored.ops_hash, &previous);
            prop_assert_eq!(stored.consensus_hash, expected);
        }
    }
}
