//! What the rules would say to operations that are not on the chain yet.
//!
//! ```text
//! state after the tip + pretended block 1 -> outcome 1, state + pretended block 2 -> outcome 2 ...
//! ```
//!
//! The loop of [`derive`] runs over blocks that do not exist, so no rule is repeated here: the engine decides as it
//! does for real blocks, on the present state with the changes of the earlier pretended blocks on top. Heights above
//! the tip are taken to have the tip's consensus hash, because whoever builds an operation then will quote the newest
//! one.
//!
//! A forecast holds as long as nobody else's operations come in between.

use super::changes::Changes;
use super::engine::Bns;
use super::life::Term;
use super::name::{Name, NamespaceId};
use super::operation::Operation;
use super::params::Params;
use super::pending::Pending;
use super::record::NamespaceRecord;
use super::reject::Reject;
use super::view::View;
use crate::virtualchain::{
    BlockOutcome, CandidateBlock, Decision, Located, Sink, VirtualTransaction, derive,
};

/// Heights so near the end of the numbers are never looked at: a name that lives for ever ends there.
const NEVER: u32 = u32::MAX - 100;

/// What would become of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// Height of its pretended block.
    pub height: u32,
    /// Its name in the reference's words; `MALFORMED` if it cannot be read.
    pub operation: &'static str,
    /// The text that would enter the ops hash, or the rule that refuses.
    pub outcome: Result<Option<String>, Reject>,
}

/// What would become of the operations in `blocks` if those came right after the tip that `view` shows.
///
/// `start` is the height of the first; heights between the tip and it are taken to be empty.
pub fn forecast<V: View>(
    bns: &Bns,
    view: &V,
    tip: u32,
    start: u32,
    blocks: &[Vec<VirtualTransaction>],
) -> Result<Vec<Forecast>, V::Error> {
    let newest = view.consensus_hash(tip)?;
    let newest = newest.unwrap_or(bns.params().initial_consensus_hash);
    let mut ahead = Ahead {
        params: bns.params(),
        state: Pending::ahead(view, tip, newest),
        forecasts: Vec::new(),
    };
    let pretended = (start..).zip(blocks).map(|(height, candidates)| {
        Ok(CandidateBlock {
            height,
            candidates: candidates.clone(),
            about: (),
        })
    });
    derive(bns, pretended, &mut ahead)?;
    Ok(ahead.forecasts)
}

/// The first later height at which everything in `blocks` would be accepted, if one is found among those at
/// which something changes for the name or namespace `about`.
pub fn accepted_from<V: View>(
    bns: &Bns,
    view: &V,
    tip: u32,
    blocks: &[Vec<VirtualTransaction>],
    about: &str,
) -> Result<Option<u32>, V::Error> {
    for height in turning_points(bns.params(), view, tip, about)? {
        let forecasts = forecast(bns, view, tip, height, blocks)?;
        if forecasts.iter().all(|forecast| forecast.outcome.is_ok()) {
            return Ok(Some(height));
        }
    }
    Ok(None)
}

/// Heights beyond the next block at which the rules begin to say something else, in ascending order: where epochs
/// end, where the namespace can no longer be made ready, and where the term of the name ends.
fn turning_points<V: View>(
    params: &Params,
    view: &V,
    tip: u32,
    about: &str,
) -> Result<Vec<u32>, V::Error> {
    let next = tip.saturating_add(1);
    let name: Option<Name> = about.parse().ok();
    let id = match &name {
        Some(name) => name.namespace_id(),
        None => about.parse::<NamespaceId>().ok(),
    };
    let epochs = params.epochs.iter();
    let mut points: Vec<u64> = epochs.map(|epoch| u64::from(epoch.end_block) + 1).collect();
    if let Some(id) = &id
        && let Some(namespace) = view.namespace(id)?
    {
        points.push(u64::from(namespace.reveal_block) + u64::from(params.namespace_reveal_expire));
        if let Some(name) = &name {
            points.extend(ends_of(params, view, name, &namespace, tip)?);
        }
    }
    let both_sides = points.into_iter().flat_map(|point| [point, point + 1]);
    let mut heights: Vec<u32> = both_sides
        .filter_map(|point| u32::try_from(point).ok())
        .filter(|height| next < *height && *height < NEVER && !params.is_after_end(*height))
        .collect();
    heights.sort_unstable();
    heights.dedup();
    Ok(heights)
}

/// Where the term of a name ends.
fn ends_of<V: View>(
    params: &Params,
    view: &V,
    name: &Name,
    namespace: &NamespaceRecord,
    tip: u32,
) -> Result<Vec<u64>, V::Error> {
    let Some(record) = view.name(name)? else {
        return Ok(Vec::new());
    };
    let term = Term::of(params, record.life(), namespace, tip);
    let ends = [term.grace_start, term.last_resolves, term.free_from];
    Ok(ends.into_iter().flatten().map(u64::from).collect())
}

/// The state with pretended blocks on top, and what became of their operations.
struct Ahead<'v, V> {
    params: &'v Params,
    state: Pending<'v, V>,
    forecasts: Vec<Forecast>,
}

impl<'v, V: View> Sink<()> for Ahead<'v, V> {
    type View = Pending<'v, V>;
    type Reject = Reject;
    type Changes = Changes;
    type Error = V::Error;

    fn view(&self) -> &Pending<'v, V> {
        &self.state
    }

    fn take(
        &mut self,
        block: CandidateBlock<()>,
        outcome: BlockOutcome<Reject, Changes>,
    ) -> Result<(), V::Error> {
        let decisions = outcome.decisions.iter();
        let decided = decisions.map(|decided| of_decision(self.params, &block, decided));
        self.forecasts.extend(decided);
        self.state.absorb(outcome.changes)
    }
}

fn of_decision(
    params: &Params,
    block: &CandidateBlock<()>,
    decided: &Located<Decision<Reject>>,
) -> Forecast {
    let mut candidates = block.candidates.iter();
    let candidate = candidates.find(|candidate| candidate.txid == decided.txid);
    let parsed = candidate.and_then(|found| Operation::parse(params, block.height, found)?.ok());
    Forecast {
        height: block.height,
        operation: parsed.map_or("MALFORMED", |operation| operation.opcode_name()),
        outcome: match &decided.item {
            Decision::Accepted(text) => Ok(text.clone()),
            Decision::Rejected(reject) | Decision::Unparseable(reject) => Err(*reject),
        },
    }
}
