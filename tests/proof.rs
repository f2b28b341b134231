//! Proofs of names: made, checked here and by a program of its own, and damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bnsd::bns::shown::{Shown, shown};
use bnsd::bns::state::State;
use bnsd::bns::{Bns, Name, Params};
use bnsd::cli::vectorfile::VectorFile;
use bnsd::hash::{ConsensusHash, OpsHash, encode_hex, sha256};
use bnsd::virtualchain::merkle::ops_hash;
use bnsd::virtualchain::proof::{ProofChain, ProofView, Wanted, check, prove};
use bnsd::virtualchain::serialize::fields;
use bnsd::virtualchain::snapshot::{consensus_hash, previous_heights};
use bnsd::virtualchain::{Decision, Snapshot, SnapshotView, connect_block};
use serde_json::json;

/// Through the commands.
mod commands;

use crate::common::generated::{Generated, NAMES_PER_OWNER, Outcome, Owner};

/// Names of the chain that is proved.
const NAMES: usize = 1_000;
/// Names that are preordered, registered or changed in a block: rows of many lengths.
const AT_ONCE: [usize; 5] = [1, 2, 7, 16, 41];
const REGTEST: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

/// What an index has of each height.
#[derive(Default)]
struct Index(BTreeMap<u32, (Snapshot, Vec<String>)>);

impl SnapshotView for Index {
    type Error = Infallible;

    fn consensus_hash(&self, height: u32) -> Result<Option<ConsensusHash>, Infallible> {
        Ok(self.0.get(&height).map(|(hashes, _)| hashes.consensus_hash))
    }
}

impl ProofView for Index {
    fn hashes(&self, height: u32) -> Result<Option<Snapshot>, Infallible> {
        Ok(self.0.get(&height).map(|(hashes, _)| *hashes))
    }

    fn texts(&self, height: u32) -> Result<Vec<String>, Infallible> {
        let texts = self.0.get(&height).map(|(_, texts)| texts.clone());
        Ok(texts.unwrap_or_default())
    }
}

/// Names through the real rules, and the operation that changed each last.
struct Proved {
    index: Index,
    tip: u32,
    ready: Wanted,
    last: BTreeMap<String, Wanted>,
}

const CHAIN: ProofChain = ProofChain {
    magic: *b"id",
    network: REGTEST,
    first_block: 1,
};

impl Proved {
    fn new() -> Self {
        let mut chain = Generated::new();
        let mut proved = Self {
            index: Index::default(),
            tip: 0,
            ready: wanted(0, ""),
            last: BTreeMap::new(),
        };
        for outcome in std::mem::take(&mut chain.opening) {
            proved.take(outcome);
        }
        let owner = |number: usize| Owner::new(number / NAMES_PER_OWNER);
        let names = (0..NAMES).map(|number| {
            let name: Name = format!("name{number}.test").parse().unwrap();
            (name, owner(number))
        });
        let names: Vec<(Name, Owner)> = names.collect();
        let mut rest = names.as_slice();
        let mut sizes = AT_ONCE.into_iter().cycle();
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(sizes.next().unwrap().min(rest.len()));
            rest = later;
            proved.register(&mut chain, batch);
        }
        proved
    }

    /// Registers names in two blocks, and changes three of four in a third one.
    fn register(&mut self, chain: &mut Generated, batch: &[(Name, Owner)]) {
        let newcomer = Owner::new(10_000 + self.tip as usize);
        let preorders = batch
            .iter()
            .map(|(name, owner)| chain.preorder(name, owner));
        let preorders: Vec<_> = preorders.collect();
        self.take(chain.connect(&preorders));
        let registered = batch.iter();
        let registered = registered.map(|(name, owner)| chain.registration(name, owner));
        let registered: Vec<_> = registered.collect();
        self.take(chain.connect(&registered));
        let mut changed = Vec::new();
        for (place, (name, owner)) in batch.iter().enumerate() {
            changed.extend(match place % 4 {
                0 => Some(chain.update(name, owner)),
                1 => Some(chain.renewal(name, owner)),
                2 => Some(chain.transfer(name, owner, &newcomer)),
                _ => None,
            });
        }
        self.take(chain.connect(&changed));
    }

    fn take(&mut self, outcome: Outcome) {
        let (height, hashes) = (outcome.height, outcome.snapshot);
        let texts = outcome
            .decisions
            .into_iter()
            .filter_map(|located| match located.item {
                Decision::Accepted(text) => text,
                _ => None,
            });
        let texts: Vec<String> = texts.collect();
        for text in &texts {
            let (opcode, fields) = fields(text).unwrap();
            match opcode {
                '!' => self.ready = wanted(height, text),
                ':' | '+' | '>' => {
                    let name = fields[0].to_owned();
                    self.last.insert(name, wanted(height, text));
                }
                _ => {}
            }
        }
        self.index.0.insert(height, (hashes, texts));
        self.tip = height;
    }

    fn trusted(&self) -> ConsensusHash {
        self.index.0[&self.tip].0.consensus_hash
    }

    fn proof(&self, name: &str) -> Vec<u8> {
        let wanted = [self.last[name].clone(), self.ready.clone()];
        prove(&self.index, &CHAIN, self.tip, &wanted, b"").unwrap()
    }

    fn shown(&self, proof: &[u8]) -> Option<Shown> {
        let proof = check(proof, &CHAIN, self.trusted()).ok()?;
        shown(&Params::regtest(), &proof).ok()
    }
}

fn wanted(height: u32, text: &str) -> Wanted {
    let text = text.to_owned();
    Wanted { height, text }
}

#[test]
fn an_independent_program_accepts_a_thousand_proofs_and_none_with_a_bit_changed() {
    let proved = Proved::new();
    assert_eq!(proved.last.len(), NAMES);
    let mut lines = String::new();
    let mut operations: BTreeMap<&str, usize> = BTreeMap::new();
    for name in proved.last.keys() {
        let proof = proved.proof(name);
        let shown = proved.shown(&proof).unwrap();
        *operations.entry(shown.operation).or_default() += 1;
        let line = json!({
            "proof": encode_hex(&proof),
            "consensus_hash": proved.trusted(),
            "magic": encode_hex(&CHAIN.magic),
            "network": encode_hex(&CHAIN.network),
            "first": CHAIN.first_block,
            "multiplier": 2,
            "grace": 5_000,
            "shown": {
                "name": shown.name,
                "zonefile_hash": shown.zonefile_hash.map_or(String::new(), |hash| hash.to_string()),
                "owner": shown.owner,
                "txid": shown.txid,
                "height": shown.height,
                "operation_height": shown.operation_height,
                "last_resolves": u64::from(shown.lifetime) * 2 + 5_000 + u64::from(shown.last_renewed),
            },
        });
        writeln!(lines, "{line}").unwrap();
    }
    println!("{operations:?}");
    assert_eq!(operations.len(), 4, "{operations:?}");
    let mut python = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proof/check.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed");
    python
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, format!("{NAMES} {NAMES}\n").as_bytes());
}

/// All names of a golden chain whose namespaces were opened: what a proof of each shows is what the rules made of it.
fn golden_names_are_shown(file: &Path) -> usize {
    let VectorFile { params, blocks } = VectorFile::open(file).unwrap();
    let (bns, mut state) = (Bns::new(params.clone()), State::genesis(&params));
    let (mut index, mut places, mut tip) = (Index::default(), BTreeMap::new(), 0);
    for block in blocks {
        tip = block.height;
        let outcome = connect_block(&bns, tip, &block.candidates, &state).unwrap();
        state.connect(tip, &outcome.changes, outcome.snapshot);
        let mut texts = Vec::new();
        for located in outcome.decisions {
            if let Decision::Accepted(Some(text)) = located.item {
                places.insert(located.txid, wanted(tip, &text));
                texts.push(text);
            }
        }
        index.0.insert(tip, (outcome.snapshot, texts));
    }
    let chain = ProofChain {
        magic: params.magic,
        network: REGTEST,
        first_block: params.first_block,
    };
    let trusted = index.0[&tip].0.consensus_hash;
    let mut count = 0;
    for record in state.names() {
        let mut namespaces = state.namespaces();
        let namespace = namespaces.find(|row| row.namespace_id.as_str() == record.name.namespace());
        let Some(namespace) = namespace.filter(|row| row.ready_block > 0) else {
            continue;
        };
        let wanted = [
            places[&record.txid].clone(),
            places[&namespace.txid].clone(),
        ];
        let proof = prove(&index, &chain, tip, &wanted, b"").unwrap();
        let proof = check(&proof, &chain, trusted).unwrap();
        let shown = shown(&params, &proof).unwrap();
        let owner = record.address().unwrap().encode(params.addresses);
        assert_eq!(
            (&shown.owner, shown.zonefile_hash),
            (&owner, record.value_hash)
        );
        assert_eq!(
            (shown.txid, shown.last_renewed),
            (record.txid, record.last_renewed)
        );
        count += 1;
    }
    count
}

#[test]
fn a_proof_shows_what_the_rules_made_of_a_name() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut count = 0;
    for folder in ["scenarios", "consensus"] {
        for file in std::fs::read_dir(vectors.join(folder)).unwrap() {
            count += golden_names_are_shown(&file.unwrap().path());
        }
    }
    println!("{count} names of golden chains");
    assert!(count > 200, "{count}");
}

#[test]
fn every_bit_of_a_proof_decides() {
    let proved = Proved::new();
    let batch = [
        proved.last.keys().nth(500).unwrap(),
        proved.last.keys().last().unwrap(),
    ];
    for name in batch {
        let proof = proved.proof(name);
        assert!(proved.shown(&proof).is_some());
        for bit in 0..8 * proof.len() {
            let mut damaged = proof.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(proved.shown(&damaged), None, "bit {bit}");
        }
        for length in 0..proof.len() {
            assert_eq!(proved.shown(&proof[..length]), None, "{length} bytes");
        }
        assert_eq!(proved.shown(&[&proof[..], &[0]].concat()), None);
    }
}

/// A chain of which only what is looked at is there: every other consensus hash is a number that nobody folded.
struct Sparse {
    first: u32,
    folded: BTreeMap<u32, ConsensusHash>,
    texts: BTreeMap<u32, Vec<String>>,
}

impl Sparse {
    /// The hashes of the heights on the ways of a proof have to be right.
    fn new(first: u32, tip: u32, texts: BTreeMap<u32, Vec<String>>) -> Self {
        let mut heights = BTreeSet::from([tip]);
        for target in texts.keys().rev() {
            let above = heights.range(target..).copied();
            let ways = above.map(|height| way_down(height, *target));
            let shortest = ways.min_by_key(Vec::len).unwrap();
            heights.extend(shortest);
        }
        let mut sparse = Self {
            first,
            folded: BTreeMap::new(),
            texts,
        };
        for height in heights {
            let previous = previous_heights(height, first).map(|height| sparse.hash(height));
            let previous: Vec<ConsensusHash> = previous.collect();
            let hash = consensus_hash(sparse.ops_hash(height), &previous);
            sparse.folded.insert(height, hash);
        }
        sparse
    }

    fn hash(&self, height: u32) -> ConsensusHash {
        let made_up = || *sha256(&height.to_le_bytes()).first_chunk().unwrap();
        let folded = self.folded.get(&height).copied();
        folded.unwrap_or_else(|| ConsensusHash(made_up()))
    }

    fn ops_hash(&self, height: u32) -> OpsHash {
        match self.texts.get(&height) {
            Some(texts) => ops_hash(&texts.iter().map(String::as_str).collect::<Vec<_>>()),
            None => OpsHash(sha256(&height.to_be_bytes())),
        }
    }
}

impl SnapshotView for Sparse {
    type Error = Infallible;

    fn consensus_hash(&self, height: u32) -> Result<Option<ConsensusHash>, Infallible> {
        Ok((height >= self.first).then(|| self.hash(height)))
    }
}

impl ProofView for Sparse {
    fn hashes(&self, height: u32) -> Result<Option<Snapshot>, Infallible> {
        Ok((height >= self.first).then(|| Snapshot {
            ops_hash: self.ops_hash(height),
            consensus_hash: self.hash(height),
        }))
    }

    fn texts(&self, height: u32) -> Result<Vec<String>, Infallible> {
        Ok(self.texts.get(&height).cloned().unwrap_or_default())
    }
}

/// The heights from one down to another, each as deep below the one before it as a consensus hash reaches.
fn way_down(mut height: u32, target: u32) -> Vec<u32> {
    let mut heights = vec![height];
    while height > target {
        height = previous_heights(height, target).last().unwrap();
        heights.push(height);
    }
    heights
}

/// A text as long as those of the main network, about other things in each block.
fn text(length: usize, height: u32, place: usize) -> String {
    let number = format!("{height}-{place}-");
    number + &"x".repeat(length - 20)
}

/// The proof about a name that was changed at `name` in a namespace that was opened at `ready`, and the hash to check it with.
fn sparse_proof(chain: &ProofChain, tip: u32, name: u32, ready: u32) -> (Vec<u8>, ConsensusHash) {
    // Operations in a full block of the main network; texts as long as those of an update and a ready there.
    const ROW: usize = 40;
    const TEXT: usize = 560;
    let row = |height| (0..ROW).map(|place| text(TEXT, height, place)).collect();
    let texts: BTreeMap<u32, Vec<String>> =
        BTreeMap::from([(name, row(name)), (ready, row(ready))]);
    let wanted = [
        wanted(name, &texts[&name][7]),
        wanted(ready, &texts[&ready][27]),
    ];
    let sparse = Sparse::new(chain.first_block, tip, texts);
    let proof = prove(&sparse, chain, tip, &wanted, b"").unwrap();
    (proof, sparse.hash(tip))
}

#[test]
fn a_proof_at_600_000_blocks_has_9_kb_and_is_checked_in_5_ms() {
    const TIP: u32 = CHAIN.first_block + 600_000;
    const MOST: usize = 9 * 1_024;
    let draw = |salt: u8, case: u32, count: u32| {
        let digest = sha256(&[&[salt][..], &case.to_le_bytes()].concat());
        CHAIN.first_block + u32::from_le_bytes(*digest.first_chunk().unwrap()) % count
    };
    let proof = |case, opened| {
        let (name, ready) = (draw(1, case, 600_000), draw(2, case, opened));
        sparse_proof(&CHAIN, TIP, name, ready)
    };
    let largest = |cases, opened| {
        let proofs: Vec<_> = (0..cases).map(|case| proof(case, opened)).collect();
        let sum: usize = proofs.iter().map(|(proof, _)| proof.len()).sum();
        let average = sum / proofs.len();
        let largest = proofs.into_iter().max_by_key(|(proof, _)| proof.len());
        let (proof, trusted) = largest.unwrap();
        println!(
            "namespace in the first {opened} blocks: {} bytes at most, {average} on average",
            proof.len()
        );
        assert!(proof.len() <= MOST, "{} bytes", proof.len());
        (proof, trusted)
    };
    // Nearly all names of the main network are in namespaces that were opened in its first days.
    largest(300, 1_000);
    let (proof, trusted) = largest(100, 600_000);
    let fastest = (0..30).map(|_| {
        let start = Instant::now();
        check(&proof, &CHAIN, trusted).unwrap();
        start.elapsed()
    });
    let fastest = fastest.min().unwrap();
    println!("checked in {fastest:?}");
    let unoptimised = if cfg!(debug_assertions) { 8 } else { 1 };
    assert!(
        fastest <= unoptimised * Duration::from_millis(5),
        "{fastest:?}"
    );
}

#[test]
fn a_text_as_short_as_two_nodes_of_a_tree_is_refused() {
    for (length, is_proof) in [(64, false), (65, true)] {
        let text = "~".repeat(length);
        let texts = BTreeMap::from([(5, vec![text.clone()])]);
        let sparse = Sparse::new(CHAIN.first_block, 9, texts);
        let proof = prove(&sparse, &CHAIN, 9, &[wanted(5, &text)], b"").unwrap();
        let checked = check(&proof, &CHAIN, sparse.hash(9));
        assert_eq!(checked.is_ok(), is_proof, "{length} bytes: {checked:?}");
    }
}
