//! The golden data of the reference implementation, replayed.
//!
//! `BNSD_VECTORS` names the folder; by default it is `../shared/vectors` with `../shared/spec/vectors`, and
//! where that is absent the selection committed under `tests/vectors`. `cargo test --release vectors` runs
//! just these. A folder that is missing is named and passed over; a folder without a case, and a run without
//! any, fail.

use std::fs;
use std::path::{Path, PathBuf};

use bnsd::bns::state::State;
use bnsd::bns::{Bns, Reject};
use bnsd::hash::ConsensusHash;
use bnsd::virtualchain::{Decision, Located, connect_block, merkle, snapshot};

use crate::common::chain_file::{ChainFile, GoldenBlock, GoldenDecision};

/// Where the vectors are: the folder itself, and that of the specification.
struct Folders {
    vectors: PathBuf,
    spec: PathBuf,
}

impl Folders {
    fn find() -> Self {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let shared = project.join("../shared/vectors");
        let vectors = match std::env::var_os("BNSD_VECTORS") {
            Some(folder) => PathBuf::from(folder),
            None if shared.is_dir() => shared,
            None => project.join("tests/vectors"),
        };
        let beside = vectors.join("../spec/vectors");
        let spec = if beside.is_dir() {
            beside
        } else {
            vectors.join("spec")
        };
        Self { vectors, spec }
    }

    /// The vector files of one folder, in order; an empty list if the folder is absent.
    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let folder = if folder == "spec" {
            self.spec.clone()
        } else {
            self.vectors.join(folder)
        };
        let Ok(entries) = fs::read_dir(&folder) else {
            println!("vectors: {} is not there, passed over", folder.display());
            return Vec::new();
        };
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.retain(|path| {
            path.to_string_lossy().ends_with(".json")
                || path.to_string_lossy().ends_with(".json.gz")
        });
        assert!(
            !files.is_empty(),
            "{} is there but holds no vectors",
            folder.display()
        );
        files.sort();
        files
    }
}

/// What a replay counted.
#[derive(Default)]
struct Count {
    files: usize,
    blocks: usize,
    accepted: usize,
    refused: usize,
}

impl Count {
    fn print(&self, folder: &str) {
        let Self {
            files,
            blocks,
            accepted,
            refused,
        } = self;
        println!(
            "vectors: {folder}: {files} chains, {blocks} blocks, {accepted} accepted, {refused} refused"
        );
    }
}

#[test]
fn chains() {
    let folders = Folders::find();
    let mut failures = Vec::new();
    let mut total = 0;
    for folder in [
        "scenarios",
        "scenarios-stacks",
        "consensus",
        "history",
        "spec",
    ] {
        let files = folders.files(folder);
        let mut count = Count::default();
        for path in &files {
            let chain = if folder == "spec" {
                ChainFile::read_spec(path)
            } else {
                ChainFile::read(path)
            };
            if let Err(mismatch) = replay(&chain, &mut count) {
                failures.push(mismatch);
            }
        }
        if !files.is_empty() {
            count.print(folder);
            assert!(count.blocks > 0, "{folder} yields no block");
        }
        total += count.blocks;
    }
    assert!(total > 0, "no chain vectors were found");
    assert!(
        failures.is_empty(),
        "{} chains differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn recorded() {
    for path in Folders::find().files("recorded") {
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if !name.starts_with("recorded-") {
            continue;
        }
        let mut count = Count::default();
        let mut failures = Vec::new();
        for chain in ChainFile::read_recorded(&path) {
            for block in &chain.blocks {
                assert_recorded_hashes(&chain, block);
            }
            if let Err(mismatch) = replay(&chain, &mut count) {
                failures.push(mismatch);
            }
        }
        count.print(&name);
        assert!(count.blocks > 0, "{name} yields no block");
        println!(
            "vectors: {name}: {} runs differ:\n{}",
            failures.len(),
            failures.join("\n")
        );
    }
}

/// The hashes of a recorded block follow from its recorded texts.
fn assert_recorded_hashes(chain: &ChainFile, block: &GoldenBlock) {
    let texts: Vec<&str> = block.serialized.iter().map(String::as_str).collect();
    let ops_hash = merkle::ops_hash(&texts);
    assert_eq!(
        ops_hash.to_string(),
        block.ops_hash,
        "{} at {}",
        chain.name,
        block.height
    );
    let previous: Vec<ConsensusHash> =
        snapshot::previous_heights(block.height, chain.params.first_block)
            .filter_map(|height| chain.blocks.iter().find(|block| block.height == height))
            .map(|block| block.consensus_hash.parse().expect("a hash"))
            .collect();
    let hash = snapshot::consensus_hash(ops_hash, &previous).to_string();
    assert_eq!(
        hash, block.consensus_hash,
        "{} at {}",
        chain.name, block.height
    );
}

/// Replays a chain; the first difference is returned as text.
fn replay(chain: &ChainFile, count: &mut Count) -> Result<(), String> {
    let bns = Bns::new(chain.params.clone());
    let mut state = State::genesis(&chain.params);
    count.files += 1;
    for block in &chain.blocks {
        let outcome = connect_block(&bns, block.height, &block.candidates, &state)
            .expect("memory does not fail");
        let ours: Vec<GoldenDecision> = outcome.decisions.iter().map(decision).collect();
        compare(chain, block, &ours)?;
        let hashes = [
            outcome.snapshot.ops_hash.to_string(),
            outcome.snapshot.consensus_hash.to_string(),
        ];
        if hashes != [block.ops_hash.clone(), block.consensus_hash.clone()] {
            return Err(format!(
                "{} at {}: hashes {hashes:?}",
                chain.name, block.height
            ));
        }
        state.connect(block.height, &outcome.changes, outcome.snapshot);
        count.blocks += 1;
        count.accepted += ours
            .iter()
            .filter(|decision| decision.status == "accepted")
            .count();
        count.refused += ours
            .iter()
            .filter(|decision| decision.status != "accepted")
            .count();
    }
    Ok(())
}

fn decision(located: &Located<Decision<Reject>>) -> GoldenDecision {
    let (status, serialized, what) = match &located.operation {
        Decision::Accepted(accepted) => ("accepted", accepted.serialized.clone(), String::new()),
        Decision::Rejected(reject) => ("rejected", None, format!("{reject:?}")),
        Decision::Unparseable(reject) => ("unparseable", None, format!("{reject:?}")),
    };
    GoldenDecision {
        vtxindex: located.vtxindex,
        txid: located.txid.to_string(),
        status: status.to_owned(),
        serialized,
        what,
    }
}

fn compare(chain: &ChainFile, block: &GoldenBlock, ours: &[GoldenDecision]) -> Result<(), String> {
    let place = format!("{} at {}", chain.name, block.height);
    let Some(golden) = &block.decisions else {
        let texts: Vec<String> = ours
            .iter()
            .filter_map(|decision| decision.serialized.clone())
            .collect();
        return if texts == block.serialized {
            Ok(())
        } else {
            Err(format!(
                "{place}:\n  ours   {texts:#?}\n  golden {:#?}",
                block.serialized
            ))
        };
    };
    let indexes = |list: &[GoldenDecision]| {
        list.iter()
            .map(|decision| decision.vtxindex)
            .collect::<Vec<_>>()
    };
    if indexes(ours) != indexes(golden) {
        return Err(format!(
            "{place}: operations at {:?}, golden {:?}",
            indexes(ours),
            indexes(golden)
        ));
    }
    for (ours, golden) in ours.iter().zip(golden) {
        let same = (&ours.txid, &ours.status, &ours.serialized)
            == (&golden.txid, &golden.status, &golden.serialized);
        if !same {
            return Err(format!("{place}:\n  ours   {ours:?}\n  golden {golden:?}"));
        }
    }
    Ok(())
}
