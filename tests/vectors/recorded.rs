//! Runs recorded in 2016 and 2017 with releases 0.13 to 0.14.1.

use bnsd::bns::view::View as _;
use bnsd::bns::{Name, Params, life};
use bnsd::hash::{ConsensusHash, OpsHash};
use bnsd::virtualchain::{merkle, snapshot};
use serde_json::Value;

use super::Tally;
use super::chains::{self, Mismatch};
use crate::common::chain_file::{ChainFile, GoldenBlock, array, number, text};

/// Recomputes a run's hashes from its recorded texts, then replays it. A run may differ in one way only:
/// release 0.13 accepted updates of expired and revoked names, which every later one refuses. A recording
/// that lacks a transaction is replayed up to there.
pub fn recorded_chain(mut chain: ChainFile, tally: &mut Tally) {
    for block in &chain.blocks {
        if let Some(difference) = hash_difference(&chain, block) {
            let (name, height) = (&chain.name, block.height);
            tally
                .failures
                .push(format!("{name} at height {height}: {difference}"));
        }
    }
    if let Some(gap) = chain.blocks.iter().position(|block| !block.complete) {
        let (name, height) = (&chain.name, chain.blocks[gap].height);
        let what = format!("{name} at height {height}: the recording lacks a transaction");
        tally.explained.push(what);
        chain.blocks.truncate(gap);
    }
    match chains::replay(&chain, tally) {
        Ok(()) => {}
        Err(mismatch) => match explanation(&chain, &mismatch) {
            Some(why) => tally
                .explained
                .push(format!("{}\n  rule   {why}", mismatch.text)),
            None => tally.failures.push(mismatch.text),
        },
    }
}

/// Both hashes of a block follow from its recorded texts and the hashes before it.
fn hash_difference(chain: &ChainFile, block: &GoldenBlock) -> Option<String> {
    let texts: Vec<&str> = block.serialized.iter().map(String::as_str).collect();
    let ops_hash = merkle::ops_hash(&texts);
    let heights = snapshot::previous_heights(block.height, chain.params.first_block);
    let previous = heights.filter_map(|height| {
        let block = chain.blocks.iter().find(|block| block.height == height)?;
        block.consensus_hash.parse().ok()
    });
    let previous: Vec<ConsensusHash> = previous.collect();
    let ours = [
        ops_hash.to_string(),
        snapshot::consensus_hash(ops_hash, &previous).to_string(),
    ];
    let golden = [block.ops_hash.clone(), block.consensus_hash.clone()];
    (ours != golden).then(|| format!("its texts give {ours:?}, golden {golden:?}"))
}

/// The rule that 0.13 did not have, if that is what made the difference.
fn explanation(chain: &ChainFile, mismatch: &Mismatch) -> Option<&'static str> {
    let [ours, golden] = mismatch.decisions.as_deref()?;
    let old = chain.name.starts_with("0.13 ");
    let accepted_update =
        golden.status == "accepted" && golden.opcode.as_deref() == Some("NAME_UPDATE");
    if !old || !accepted_update || ours.status != "rejected" {
        return None;
    }
    let name = golden.name.as_ref()?.parse().ok()?;
    dead(&chain.params, mismatch, &name)
}

/// Why a name could not be updated in the block that differs.
fn dead(params: &Params, mismatch: &Mismatch, name: &Name) -> Option<&'static str> {
    let state = &mismatch.before;
    let record = state.name(name).ok()??;
    let namespace = state.namespace(&name.namespace_id()?).ok()?;
    let live = life::is_live(params, &record, namespace.as_ref(), mismatch.height - 1);
    if record.revoked {
        Some("from 0.14 on a revoked name takes no update")
    } else if !live {
        Some("from 0.14 on an expired name takes no update")
    } else {
        None
    }
}

/// Light verification walks: at every step the consensus hash follows from the served hashes.
pub fn light_walks(file: &Value, tally: &mut Tally) {
    for example in array(&file["examples"]) {
        tally.light_walks += 1;
        for step in array(&example["steps"]) {
            let (ours, golden) = (step_hash(step), text(&step["consensus_hash"]));
            if ours != golden {
                let (name, height) = (text(&example["scenario"]), number(&step["height"]));
                tally.failures.push(format!(
                    "{name} at height {height}: the walk gives {ours}, golden {golden}"
                ));
            }
        }
    }
}

fn step_hash(step: &Value) -> String {
    let ops_hash: OpsHash = text(&step["ops_hash_reply"]).parse().expect("a hash");
    let previous = step["previous_hashes"].as_object().into_iter().flatten();
    let previous: Vec<ConsensusHash> = previous
        .map(|(_, hash)| text(hash).parse().expect("a hash"))
        .collect();
    snapshot::consensus_hash(ops_hash, &previous).to_string()
}
