//! Golden chains: what every block decides, both its hashes, and the states on the way.

use std::collections::HashMap;

use bnsd::bns::operation::Action;
use bnsd::bns::state::State;
use bnsd::bns::{Bns, Operation, Params, Reject};
use bnsd::virtualchain::{Decision, Located, connect_block};

use super::{Tally, states};
use crate::common::chain_file::{ChainFile, GoldenBlock, GoldenDecision};

/// Where a chain first differs.
pub struct Mismatch {
    /// Scenario, height, operation and both texts.
    pub text: String,
    /// The height.
    pub height: u32,
    /// Ours and the golden one, if the difference is about one operation.
    pub decisions: Option<Box<[GoldenDecision; 2]>>,
    /// The state before the block.
    pub before: State,
}

/// Replays a chain to its end or first mismatch.
pub fn replay(chain: &ChainFile, tally: &mut Tally) -> Result<(), Box<Mismatch>> {
    let bns = Bns::new(chain.params.clone());
    let mut state = State::genesis(&chain.params);
    tally.chains += 1;
    for block in &chain.blocks {
        let outcome = connect_block(&bns, block.height, &block.candidates, &state)
            .expect("memory does not fail");
        let ours = decisions(&chain.params, block, &outcome.decisions);
        let place = format!("{} at height {}", chain.name, block.height);
        let mismatch = |(text, decisions)| {
            Box::new(Mismatch {
                text: format!("{place}: {text}"),
                height: block.height,
                decisions,
                before: state.clone(),
            })
        };
        compare(block, &ours).map_err(mismatch)?;
        let hashes = [
            outcome.snapshot.ops_hash.to_string(),
            outcome.snapshot.consensus_hash.to_string(),
        ];
        let golden = [block.ops_hash.clone(), block.consensus_hash.clone()];
        if hashes != golden {
            let text = format!("ops hash and consensus hash {hashes:?}, golden {golden:?}");
            return Err(mismatch((text, None)));
        }
        tally.blocks += 1;
        let accepted = ours.iter().filter(|ours| ours.status == "accepted").count();
        tally.accepted += accepted;
        tally.refused += ours.len() - accepted;
        state.connect(block.height, &outcome.changes, outcome.snapshot);
        states::check(chain, block.height, &state, tally);
    }
    Ok(())
}

/// What we decided, in the form of the files.
fn decisions(
    params: &Params,
    block: &GoldenBlock,
    decisions: &[Located<Decision<Reject>>],
) -> Vec<GoldenDecision> {
    let parsed = block.candidates.iter().filter_map(|candidate| {
        let operation = Operation::parse(params, block.height, candidate)?.ok()?;
        let known = !matches!(operation.action, Action::Unregistrable);
        known.then(|| (candidate.vtxindex, operation.opcode_name()))
    });
    let opcodes: HashMap<u32, &str> = parsed.collect();
    let decision = |located: &Located<Decision<Reject>>| {
        let (status, serialized, reason) = match &located.item {
            Decision::Accepted(accepted) => ("accepted", accepted.clone(), String::new()),
            Decision::Rejected(reject) => ("rejected", None, reject.to_string()),
            Decision::Unparseable(reject) => ("unparseable", None, reject.to_string()),
        };
        GoldenDecision {
            vtxindex: located.vtxindex,
            txid: located.txid.to_string(),
            opcode: opcodes
                .get(&located.vtxindex)
                .map(|&opcode| opcode.to_owned()),
            status: status.to_owned(),
            serialized,
            reason,
            name: None,
        }
    };
    decisions.iter().map(decision).collect()
}

type Difference = (String, Option<Box<[GoldenDecision; 2]>>);

fn compare(block: &GoldenBlock, ours: &[GoldenDecision]) -> Result<(), Difference> {
    let Some(golden) = &block.decisions else {
        return compare_texts(&block.serialized, ours);
    };
    let indexes = |list: &[GoldenDecision]| -> Vec<u32> {
        list.iter().map(|decision| decision.vtxindex).collect()
    };
    if indexes(ours) != indexes(golden) {
        let text = format!(
            "operations at positions {:?}, golden {:?}",
            indexes(ours),
            indexes(golden)
        );
        return Err((text, None));
    }
    for (ours, golden) in ours.iter().zip(golden) {
        let opcodes = ours.opcode.as_ref().zip(golden.opcode.as_ref());
        let same = (&ours.txid, &ours.status, &ours.serialized)
            == (&golden.txid, &golden.status, &golden.serialized)
            && opcodes.is_none_or(|(ours, golden)| ours == golden);
        if !same {
            let text = format!("\n  ours   {}\n  golden {}", show(ours), show(golden));
            return Err((text, Some(Box::new([ours.clone(), golden.clone()]))));
        }
    }
    Ok(())
}

/// Where only the texts of accepted operations are known.
fn compare_texts(golden: &[String], ours: &[GoldenDecision]) -> Result<(), Difference> {
    let texts = ours
        .iter()
        .filter_map(|decision| decision.serialized.as_ref());
    let texts: Vec<&String> = texts.collect();
    if texts.iter().copied().eq(golden) {
        return Ok(());
    }
    let all: Vec<String> = ours.iter().map(show).collect();
    Err((format!("\n  ours   {all:#?}\n  golden {golden:#?}"), None))
}

fn show(decision: &GoldenDecision) -> String {
    format!(
        "{} {} ({}, position {}) {} {}",
        decision.opcode.as_deref().unwrap_or("operation"),
        decision.status,
        decision.txid,
        decision.vtxindex,
        decision.serialized.as_deref().unwrap_or("no text"),
        decision.reason
    )
}
