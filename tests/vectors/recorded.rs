//! Runs recorded in 2016 and 2017 with releases 0.13 to 0.14.1.

use bnsd::bns::operation::Action;
use bnsd::bns::view::View as _;
use bnsd::bns::{Name, Operation, Params, life};
use bnsd::hash::{ConsensusHash, OpsHash};
use bnsd::virtualchain::{merkle, snapshot};
use serde_json::Value;

use super::Tally;
use super::announcements;
use super::chains::{self, Mismatch};
use crate::common::chain_file::{ChainFile, GoldenBlock, array, number, text};

/// Recomputes a run's hashes from its recorded texts, then replays it. Releases 0.13 and 0.14 had a few rules
/// that every later one lacks ([`explanation`]); a run that differs in one of them is explained and its rest
/// left out. A recording that lacks a transaction is replayed up to there.
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
        chain
            .queued
            .retain(|line| number(&line["height"]) < u64::from(height));
        chain.blocks.truncate(gap);
    }
    let mut end = u32::MAX;
    if let Err(mismatch) = chains::replay(&chain, tally) {
        end = mismatch.height;
        match explanation(&chain, &mismatch) {
            Some(why) => tally
                .explained
                .push(format!("{}\n  rule   {why}", mismatch.text)),
            None => tally.failures.push(mismatch.text),
        }
    }
    announcements::check(&chain, end, tally);
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

/// The rule that an old release did not have, if that is what made the difference.
fn explanation(chain: &ChainFile, mismatch: &Mismatch) -> Option<&'static str> {
    let [ours, golden] = mismatch.decisions.as_deref()?;
    let (release, _) = chain.name.split_once(' ')?;
    let statuses = (ours.status.as_str(), golden.status.as_str());
    match (release, golden.opcode.as_deref()?, statuses) {
        ("0.13", "NAME_UPDATE", ("rejected", "accepted")) => {
            let name = golden.name.as_ref()?.parse().ok()?;
            dead(&chain.params, mismatch, &name)
        }
        ("0.13", "NAMESPACE_READY", ("rejected", "accepted")) => revealed_here(chain, mismatch),
        ("0.14", "NAME_RENEWAL", ("accepted", "accepted")) => {
            own_key(ours.serialized.as_ref()?, golden.serialized.as_ref()?)
        }
        _ => None,
    }
}

/// Whether the namespace of a ready is revealed in the same block.
fn revealed_here(chain: &ChainFile, mismatch: &Mismatch) -> Option<&'static str> {
    let [ready, _] = mismatch.decisions.as_deref()?;
    let block = chain
        .blocks
        .iter()
        .find(|block| block.height == mismatch.height)?;
    let operations = block.candidates.iter().filter_map(|candidate| {
        let operation = Operation::parse(&chain.params, block.height, candidate)?.ok()?;
        Some((candidate.vtxindex, operation))
    });
    let operations: Vec<(u32, Operation)> = operations.collect();
    let id = operations
        .iter()
        .find_map(|(vtxindex, operation)| match &operation.action {
            Action::NamespaceReady(it) if *vtxindex == ready.vtxindex => Some(&it.namespace_id),
            _ => None,
        })?;
    let reveals = |(vtxindex, operation): &(u32, Operation)| {
        *vtxindex < ready.vtxindex
            && matches!(&operation.action, Action::NamespaceReveal(it) if it.payload.namespace_id == *id)
    };
    operations
        .iter()
        .any(reveals)
        .then_some("from 0.14 on a namespace becomes ready in a later block than its reveal")
}

/// Whether two texts of a renewal differ in the public key alone, which the older one took from its inputs.
fn own_key(ours: &str, golden: &str) -> Option<&'static str> {
    const SENDER_PUBKEY: usize = 3;
    let (ours, golden): (Vec<&str>, Vec<&str>) =
        (ours.split(',').collect(), golden.split(',').collect());
    let differ = |index: &usize| ours.get(*index) != golden.get(*index);
    let places: Vec<usize> = (0..ours.len().max(golden.len())).filter(differ).collect();
    (places == [SENDER_PUBKEY])
        .then_some("until September 2016 a renewal stored the key of its own inputs")
}

/// Why a name could not be updated in the block that differs.
fn dead(params: &Params, mismatch: &Mismatch, name: &Name) -> Option<&'static str> {
    let state = &mismatch.before;
    let record = state.name(name).ok()??;
    let namespace = state.namespace(&name.namespace_id()?).ok()?;
    let live = life::is_live(
        params,
        record.life(),
        namespace.as_ref(),
        mismatch.height - 1,
    );
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
