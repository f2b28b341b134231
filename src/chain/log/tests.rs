//! Laws of the formats.

use std::collections::HashMap;

use bitcoin::absolute::LockTime;
use bitcoin::block::Header as BlockHeader;
use bitcoin::consensus::{encode, serialize};
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash as _;
use bitcoin::merkle_tree::PartialMerkleTree;
use bitcoin::p2p::Magic;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::input::{Flaw, Input, write_compact};
use super::manifest::SEGMENT_BYTES_MAX;
use super::record::{Elsewhere, Evidence, Funding, Record, RecordFault, RecordedCandidate};
use super::segment::{Reader, WriteFault, Writer};
use super::{Tree, TreeFault};
use crate::chain::header;
use crate::virtualchain::VirtualTransaction;

const MAGIC: [u8; 2] = *b"id";

fn input(previous_output: OutPoint, script_sig: &[u8]) -> TxIn {
    TxIn {
        previous_output,
        script_sig: ScriptBuf::from(script_sig.to_vec()),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    }
}

/// A transaction with an `OP_RETURN` of `data` and an output of `value`.
fn transaction(input: Vec<TxIn>, data: &[u8], value: u64) -> Transaction {
    let null_data = [&[0x6a, data.len() as u8], data].concat();
    let output = |script: Vec<u8>| TxOut {
        value: Amount::from_sat(value),
        script_pubkey: ScriptBuf::from(script),
    };
    Transaction {
        version: Version::ONE,
        lock_time: LockTime::ZERO,
        input,
        output: vec![output(null_data), output(vec![0x51])],
    }
}

fn coinbase(height: u32, data: &[u8]) -> Transaction {
    let start = input(OutPoint::null(), &height.to_le_bytes());
    transaction(vec![start], data, 50)
}

fn funding(number: u64) -> Transaction {
    let made_up = OutPoint::new(Txid::from_byte_array([9; 32]), 0);
    transaction(vec![input(made_up, b"signed")], b"none", number)
}

fn spend(transaction: &Transaction) -> TxIn {
    input(OutPoint::new(transaction.compute_txid(), 1), b"signature")
}

/// A block with these transactions behind its coinbase.
fn block(height: u32, transactions: &[Transaction]) -> (Vec<u8>, BlockHeader) {
    let all = [&[coinbase(height, b"none")][..], transactions].concat();
    let ids: Vec<Txid> = all.iter().map(Transaction::compute_txid).collect();
    let root = header::merkle_root(&ids).expect("a block without repetitions");
    let header = BlockHeader {
        merkle_root: root,
        ..genesis_block(Network::Regtest).header
    };
    (
        serialize(
            &(bitcoin::Block {
                header,
                txdata: all,
            }),
        ),
        header,
    )
}

/// A short chain whose candidates spend in every way that there is; with what the rules should see of each block.
struct Story {
    headers: HashMap<u32, BlockHeader>,
    candidates: Vec<(u32, Vec<VirtualTransaction>)>,
    segment: Vec<u8>,
}

impl Story {
    fn new() -> Self {
        let (paid, other) = (funding(1), funding(2));
        let first = transaction(vec![spend(&paid)], b"id?one", 1);
        let both = transaction(vec![spend(&first), spend(&paid)], b"id:two", 2);
        let late = transaction(
            vec![spend(&both), spend(&other), spend(&other)],
            b"id+three",
            3,
        );
        let void = transaction(vec![spend(&other), input(OutPoint::null(), b"")], b"id~", 4);
        let plain = transaction(vec![spend(&other)], b"nothing", 5);
        let blocks = [
            (7, vec![plain.clone(), first.clone(), both.clone()]),
            (9, vec![void.clone()]),
            (12, vec![plain, late.clone()]),
        ];
        let outputs = |made: &[&Transaction]| made.iter().map(|tx| tx.output[1].clone()).collect();
        let shown = |vtxindex, made: &Transaction, prevouts| VirtualTransaction {
            vtxindex,
            txid: made.compute_txid(),
            transaction: made.clone(),
            prevouts,
        };
        let candidates = vec![
            (
                7,
                vec![
                    shown(2, &first, outputs(&[&paid])),
                    shown(3, &both, outputs(&[&first, &paid])),
                ],
            ),
            (9, vec![shown(1, &void, Vec::new())]),
            (12, vec![shown(2, &late, outputs(&[&both, &other, &other]))]),
        ];
        let known: HashMap<Txid, Transaction> = [paid, other]
            .map(|funding| (funding.compute_txid(), funding))
            .into();
        let places = |txid: &Txid| {
            let all = candidates.iter();
            all.flat_map(|(height, shown)| shown.iter().map(|shown| (*height, shown)))
                .find(|(_, shown)| shown.txid == *txid)
                .map(|(height, shown)| (height, shown.vtxindex))
        };
        let mut writer = Writer::new(MAGIC, Magic::REGTEST, 5);
        let mut headers = HashMap::new();
        for (height, transactions) in blocks {
            let (raw, header) = block(height, &transactions);
            let evidence = Evidence::of_block(&raw, MAGIC, known.clone()).expect("a block");
            writer
                .push(height, &evidence, places)
                .expect("all is known");
            headers.insert(height, header);
        }
        Self {
            headers,
            segment: writer.finish(20),
            candidates,
        }
    }

    fn records(&self) -> Vec<Record> {
        let reader = Reader::new(&self.segment).expect("a segment");
        reader.map(|record| record.expect("a record")).collect()
    }

    /// What the rules are shown of each block of a segment, if nothing is wrong with it.
    fn read(&self, segment: &[u8]) -> Result<Vec<(u32, Vec<VirtualTransaction>)>, String> {
        let mut reader = Reader::new(segment).map_err(|error| error.to_string())?;
        let mut shown: Vec<(u32, Vec<VirtualTransaction>)> = Vec::new();
        while let Some(record) = reader.next() {
            let record = record.map_err(|error| error.to_string())?;
            let header = self.headers.get(&record.height).ok_or("no such block")?;
            let found = record.check(header, MAGIC);
            let found = found.map_err(|fault| fault.to_string())?;
            let joined = record.join(found, |elsewhere| {
                Ok::<_, RecordFault>(match elsewhere {
                    Elsewhere::Spelled(place) => reader.spelled(place),
                    Elsewhere::Candidate { height, vtxindex } => shown
                        .iter()
                        .filter(|(at, _)| *at == height)
                        .flat_map(|(_, shown)| shown)
                        .find(|shown| shown.vtxindex == vtxindex)
                        .map(|shown| shown.transaction.clone()),
                })
            });
            shown.push((record.height, joined.map_err(|fault| fault.to_string())?));
        }
        Ok(shown)
    }
}

#[test]
fn what_is_written_is_read_with_all_that_is_spent() {
    let story = Story::new();
    assert_eq!(story.read(&story.segment), Ok(story.candidates.clone()));
    let records = story.records();
    let entries: Vec<&[Funding]> = records
        .iter()
        .flat_map(|record| &record.candidates)
        .map(|candidate| &candidate.funding[..])
        .collect();
    let earlier = |blocks_back, vtxindex| Funding::Earlier {
        blocks_back,
        vtxindex,
    };
    assert_eq!(entries[0], [Funding::Here(funding(1))]);
    assert_eq!(entries[1], [earlier(0, 2), Funding::Spelled(0)]);
    assert_eq!(entries[2], [], "a void candidate");
    let last = [
        earlier(5, 3),
        Funding::Here(funding(2)),
        Funding::Spelled(1),
    ];
    assert_eq!(entries[3], last);
}

#[test]
fn a_segment_that_goes_on_is_the_one_that_was_written_at_once() {
    let story = Story::new();
    let resumed = |bytes: &[u8], to| Writer::resume(bytes, to).expect("a segment");
    assert_eq!(resumed(&story.segment, 20).finish(20), story.segment);
    for (height, expected) in [(6, 0), (7, 1), (11, 2), (12, 3)] {
        let cut = resumed(&story.segment, height).finish(height.max(5));
        assert_eq!(Reader::new(&cut).expect("a segment").count(), expected);
        let records = story.records();
        let rest = records.iter().filter(|record| record.height > height);
        let mut writer = resumed(&cut, height);
        for record in rest {
            writer.copy(record);
        }
        assert_eq!(writer.finish(20), story.segment);
    }
    let mut writer = resumed(&story.segment, 20);
    let (raw, _) = block(12, &[transaction(vec![spend(&funding(3))], b"id?", 1)]);
    let evidence = Evidence::of_block(&raw, MAGIC, HashMap::new()).expect("a block");
    let order = writer.push(12, &evidence, |_| None);
    assert_eq!(order, Err(WriteFault::Order(12)));
    let missing = writer.push(13, &evidence, |_| None);
    assert!(matches!(
        missing,
        Err(WriteFault::Missing { height: 13, .. })
    ));
}

#[test]
fn no_segment_is_written_that_is_larger_than_a_reader_takes() {
    let mut writer = Writer::new(MAGIC, Magic::REGTEST, 1);
    let mut push = |height: u32, length: usize| {
        let mut paid = funding(height.into());
        paid.input[0].script_sig = ScriptBuf::from(vec![7; length]);
        let candidate = transaction(vec![spend(&paid)], b"id?large", 1);
        let (raw, _) = block(height, &[candidate]);
        let known = HashMap::from([(paid.compute_txid(), paid)]);
        let evidence = Evidence::of_block(&raw, MAGIC, known).expect("a block");
        let pushed = writer.push(height, &evidence, |_| None);
        (pushed, writer.finish(20))
    };
    for height in 1..=8 {
        assert_eq!(push(height, 3_000_000).0, Ok(()));
    }
    let (refused, after) = push(9, 3_000_000);
    assert_eq!(refused, Err(WriteFault::Large(9)));
    let records: Result<Vec<_>, _> = Reader::new(&after).expect("a segment").collect();
    assert_eq!(records.expect("nothing of the refused one").len(), 8);
    // Up to the last byte that a reader takes there is room.
    let room = SEGMENT_BYTES_MAX as usize - after.len();
    let (pushed, after) = push(10, room - 1_000);
    assert_eq!(pushed, Ok(()));
    let used = after.len() as u64;
    assert!((SEGMENT_BYTES_MAX - 1_000..=SEGMENT_BYTES_MAX).contains(&used));
}

#[test]
fn a_block_without_candidates_has_no_record_and_a_coinbase_can_be_one() {
    let mut writer = Writer::new(MAGIC, Magic::REGTEST, 0);
    let (raw, _) = block(1, &[funding(1)]);
    let evidence = Evidence::of_block(&raw, MAGIC, HashMap::new()).expect("a block");
    writer
        .push(1, &evidence, |_| None)
        .expect("nothing to write");
    let all = [coinbase(2, b"id?coinbase"), funding(1)];
    let ids: Vec<Txid> = all.iter().map(Transaction::compute_txid).collect();
    let header = BlockHeader {
        merkle_root: header::merkle_root(&ids).expect("a root"),
        ..genesis_block(Network::Regtest).header
    };
    let raw = serialize(&bitcoin::Block {
        header,
        txdata: all.to_vec(),
    });
    let evidence = Evidence::of_block(&raw, MAGIC, HashMap::new()).expect("a block");
    writer.push(2, &evidence, |_| None).expect("a record");
    let segment = writer.finish(2);
    let records: Vec<_> = Reader::new(&segment).expect("a segment").collect();
    let [Ok(record)] = &records[..] else {
        panic!("{records:?}");
    };
    assert!(record.candidates.is_empty());
    let found = record.check(&header, MAGIC).expect("a candidate");
    assert_eq!((found.len(), found[0].vtxindex), (1, 0));
    let joined = record.join(found, |_| Ok::<_, RecordFault>(None));
    assert!(joined.expect("nothing to find")[0].prevouts.is_empty());
}

#[test]
fn each_check_has_its_fault() {
    let story = Story::new();
    let records = story.records();
    let header = |record: &Record| story.headers[&record.height];
    let check = |record: &Record| record.check(&header(record), MAGIC);
    let changed = |change: &dyn Fn(&mut Record)| {
        let mut record = records[0].clone();
        change(&mut record);
        check(&record)
    };
    assert_eq!(
        records[0].check(&header(&records[1]), MAGIC),
        Err(RecordFault::Root)
    );
    assert_eq!(
        changed(&|record| record.tree = records[1].tree.clone()),
        Err(RecordFault::Root)
    );
    assert_eq!(
        changed(&|record| record.coinbase.output[0].value += Amount::ONE_SAT),
        Err(RecordFault::Coinbase)
    );
    assert_eq!(
        changed(&|record| record.candidates.swap(0, 1)),
        Err(RecordFault::Other(2))
    );
    let popped = changed(&|record| drop(record.candidates.pop()));
    assert_eq!(popped, Err(RecordFault::Count));
    assert_eq!(
        records[0].check(&header(&records[0]), *b"ok"),
        Err(RecordFault::NoCandidate(2))
    );
    let join = |change: &dyn Fn(&mut Vec<Funding>)| {
        let mut record = records[0].clone();
        change(&mut record.candidates[1].funding);
        let found = check(&record).expect("nothing is wrong with the block");
        record.join(found, |_| Ok(None))
    };
    let spent = records[0].candidates[1].transaction.input.clone();
    let wrong = join(&|funding| funding[0] = Funding::Here(self::funding(1)));
    assert_eq!(wrong, Err(RecordFault::Funding(spent[0].previous_output)));
    let absent = join(&|_| ());
    assert_eq!(absent, Err(RecordFault::Absent(spent[1].previous_output)));
}

#[test]
fn a_transaction_of_64_bytes_is_no_proof() {
    let mut short = coinbase(1, b"");
    short.output = vec![TxOut {
        value: Amount::ZERO,
        script_pubkey: ScriptBuf::new(),
    }];
    assert_eq!(short.base_size(), 64);
    let candidate = transaction(vec![spend(&funding(1))], b"id?", 1);
    let ids = [short.compute_txid(), candidate.compute_txid()];
    let header = BlockHeader {
        merkle_root: header::merkle_root(&ids).expect("a root"),
        ..genesis_block(Network::Regtest).header
    };
    let record = Record {
        height: 1,
        tree: Tree::of(&ids, vec![0, 1]).expect("a tree"),
        coinbase: short,
        candidates: vec![RecordedCandidate {
            transaction: candidate,
            funding: vec![Funding::Here(funding(1))],
        }],
    };
    assert_eq!(record.check(&header, MAGIC), Err(RecordFault::NodePair(0)));
}

#[test]
fn an_inner_node_passes_for_no_transaction() {
    let spends = [1, 2, 3].map(|number| transaction(vec![spend(&funding(number))], b"id?", 1));
    let (_, header) = block(1, &spends);
    let all = [&[coinbase(1, b"none")][..], &spends].concat();
    let ids: Vec<[u8; 32]> = all
        .iter()
        .map(|tx| tx.compute_txid().to_byte_array())
        .collect();
    let above: Vec<Txid> = ids
        .chunks(2)
        .map(|pair| Txid::from_byte_array(header::hash_pair(pair)))
        .collect();
    let tree = Tree::of(&above, vec![0, 1]).expect("a tree of half as many");
    assert_eq!(tree.root().expect("a root").0, header.merkle_root);
    let record = Record {
        height: 1,
        tree,
        coinbase: all[0].clone(),
        candidates: vec![RecordedCandidate {
            transaction: all[2].clone(),
            funding: vec![Funding::Here(funding(2))],
        }],
    };
    assert_eq!(record.check(&header, MAGIC), Err(RecordFault::Coinbase));
}

#[test]
fn numbers_have_one_form() {
    for value in [
        0,
        0xfc,
        0xfd,
        0xffff,
        0x1_0000,
        0xffff_ffff,
        1 << 32,
        u64::MAX,
    ] {
        let mut bytes = Vec::new();
        write_compact(value, &mut bytes);
        assert_eq!(Input::new(&bytes, 0).compact(), Ok(value));
    }
    for long in [
        &[0xfd, 0xfc, 0][..],
        &[0xfe, 0xff, 0xff, 0, 0],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
    ] {
        let error = Input::new(long, 0).compact().expect_err("too long");
        assert_eq!(error.flaw, Flaw::Number);
    }
}

#[test]
fn a_transaction_with_witnesses_is_refused() {
    let mut signed = transaction(vec![spend(&funding(1))], b"id?", 1);
    let bare = serialize(&signed);
    assert_eq!(Input::new(&bare, 0).transaction(), Ok(signed.clone()));
    signed.input[0].witness = Witness::from_slice(&[b"witness"]);
    let bytes = serialize(&signed);
    let error = Input::new(&bytes, 0).transaction().expect_err("a witness");
    assert_eq!(error.flaw, Flaw::Transaction);
    let mut written = Vec::new();
    super::input::write_transaction(&signed, &mut written);
    assert_eq!(written, bare);
}

fn ids(count: usize) -> Vec<Txid> {
    let id = |number: usize| Txid::hash(&number.to_le_bytes());
    (0..count).map(id).collect()
}

fn bytes_of(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    tree.write(&mut bytes);
    bytes
}

#[test]
fn other_encodings_of_a_tree_are_refused() {
    let refusal = |bytes: &[u8]| Tree::parse(bytes).expect_err("not canonical").flaw;
    let fault = Flaw::Tree;
    let good = bytes_of(&Tree::of(&ids(5), vec![0, 3]).expect("a tree"));
    let last = good.len() - 1;
    let mut padded = good.clone();
    padded[last] |= 0x80;
    assert_eq!(refusal(&padded), fault(TreeFault::Flags));
    let mut longer = good.clone();
    longer[last - 2] += 1; // the count of flag bytes
    longer.push(0);
    assert_eq!(refusal(&longer), fault(TreeFault::Flags));
    let without = bytes_of(&Tree::of(&ids(5), vec![3]).expect("a tree"));
    assert_eq!(refusal(&without), fault(TreeFault::NoCoinbase));
    // A node that is opened though nothing is shown below it: the same root, other bytes.
    let [a, b, c, d] = ids(4)[..] else {
        panic!("four")
    };
    let mut open = 4u32.to_le_bytes().to_vec();
    write_compact(4, &mut open);
    open.extend([a, b, c, d].iter().flat_map(|id| id.to_byte_array()));
    open.extend([1, 0b0001_0111]); // top, left, a shown, b, right opened, c, d
    let crate_says: PartialMerkleTree = encode::deserialize(&open).expect("a tree");
    crate_says
        .extract_matches(&mut Vec::new(), &mut Vec::new())
        .map(|_| ())
        .unwrap_or_else(|error| panic!("the crate takes it: {error}"));
    assert_eq!(refusal(&open), fault(TreeFault::Flags));
    let mut few = good.clone();
    few[..4].copy_from_slice(&0u32.to_le_bytes());
    assert_eq!(refusal(&few), fault(TreeFault::Total(0)));
    few[..4].copy_from_slice(&16_667u32.to_le_bytes());
    assert_eq!(refusal(&few), fault(TreeFault::Total(16_667)));
    few[..4].copy_from_slice(&16_666u32.to_le_bytes());
    few[4] = 0xfd;
    assert_eq!(refusal(&few[..6]), Flaw::End);
}

#[test]
fn equal_neighbours_are_refused() {
    let [a, b, c, ..] = ids(4)[..] else {
        panic!("three")
    };
    let tree = Tree::of(&[a, b, c, c], vec![0, 2, 3]).expect("a tree");
    assert_eq!(tree.root(), Err(TreeFault::Twins));
}

proptest! {
    #[test]
    fn trees_are_those_of_the_bitcoin_crate(count in 1usize..70, marks in vec(any::<bool>(), 70)) {
        let ids = ids(count);
        let mut marks = marks[..count].to_vec();
        marks[0] = true;
        let shown = (0..).zip(&marks).filter(|(_, mark)| **mark).map(|(at, _)| at);
        let tree = Tree::of(&ids, shown.collect()).expect("a tree");
        let theirs = PartialMerkleTree::from_txids(&ids, &marks);
        let bytes = bytes_of(&tree);
        prop_assert_eq!(&bytes, &serialize(&theirs));
        let (mut matches, mut positions) = (Vec::new(), Vec::new());
        let root = theirs.extract_matches(&mut matches, &mut positions);
        let (our_root, our_matches) = tree.root().expect("a root");
        prop_assert_eq!(our_root, root.expect("a root"));
        prop_assert_eq!(our_matches, matches);
        prop_assert_eq!(tree.positions(), positions);
        prop_assert_eq!(Tree::parse(&bytes), Ok(tree));
    }

    #[test]
    fn two_trees_of_a_block_make_one(count in 1usize..50, one in vec(any::<bool>(), 50), other in vec(any::<bool>(), 50)) {
        let ids = ids(count);
        let tree = |of: &dyn Fn(usize) -> bool| {
            let shown = (0..count).filter(|at| *at == 0 || of(*at)).map(|at| at as u32);
            Tree::of(&ids, shown.collect()).expect("a tree")
        };
        let both = tree(&|at| one[at] || other[at]);
        let (one, other) = (tree(&|at| one[at]), tree(&|at| other[at]));
        prop_assert_eq!(one.union(&other), Some(both));
    }

    #[test]
    fn what_is_accepted_is_canonical_and_nothing_panics(
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let story = Story::new();
        let mut bytes = story.segment.clone();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= value;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            if let Ok(writer) = Writer::resume(bytes, u32::MAX) {
                let to = Reader::new(bytes).expect("it was read").header().to;
                prop_assert_eq!(writer.finish(to), bytes);
            }
            if let Ok(shown) = story.read(bytes) {
                let is_true = |block| story.candidates.contains(block);
                prop_assert!(shown.iter().all(is_true));
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Tree::parse(&bytes);
        let start = [&Story::new().segment[..29], &bytes].concat();
        let _ = Writer::resume(&start, u32::MAX);
    }
}
