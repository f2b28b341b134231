//! Whether operations would be accepted: the real rules, run over blocks that do not exist yet.
//!
//! ```text
//! state after the tip -> Forecast -> connect_block(tip + 1) -> Forecast -> connect_block(tip + 2) ...
//! ```
//!
//! No rule is repeated here: a [`Forecast`] is a view on the present state plus what pretended blocks change,
//! and the engine decides as it does for real ones. Consensus hashes of heights that are still to come are
//! taken to be that of the tip, because whoever builds an operation then will quote the newest one.
//!
//! A verdict holds as long as nobody else's operations come in between.

use std::collections::BTreeMap;

use crate::bns::address::Address;
use crate::bns::changes::Changes;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::operation::Operation;
use crate::bns::pending::Pending;
use crate::bns::record::{Account, ImportKeychain, NameRecord, NamespaceRecord, Preorder};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::bns::{Bns, life};
use crate::hash::{ConsensusHash, NameHash128, PreorderHash};
use crate::virtualchain::{Decision, SnapshotView, VirtualTransaction, connect_block};

/// What would become of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
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
pub fn judge<V: View>(
    bns: &Bns,
    view: &V,
    tip: u32,
    start: u32,
    blocks: &[Vec<VirtualTransaction>],
) -> Result<Vec<Judgement>, V::Error> {
    let newest = view.consensus_hash(tip)?;
    let newest = newest.unwrap_or(bns.params().initial_consensus_hash);
    let mut forecast = Forecast {
        pending: Pending::new(view),
        tip,
        newest,
    };
    let mut judgements = Vec::new();
    for (height, block) in (start..).zip(blocks) {
        let outcome = connect_block(bns, height, block, &forecast)?;
        for located in &outcome.decisions {
            let transaction = block.iter().find(|found| found.txid == located.txid);
            judgements.push(Judgement {
                height,
                operation: transaction.map_or("MALFORMED", |found| named(bns, height, found)),
                outcome: match &located.operation {
                    Decision::Accepted(accepted) => Ok(accepted.serialized.clone()),
                    Decision::Rejected(reject) | Decision::Unparseable(reject) => Err(*reject),
                },
            });
        }
        forecast.apply(outcome.changes)?;
    }
    Ok(judgements)
}

/// The first later height at which everything in `blocks` would be accepted, if one is found among those at
/// which something changes for the name or namespace `about`.
pub fn passes_at<V: View>(
    bns: &Bns,
    view: &V,
    tip: u32,
    blocks: &[Vec<VirtualTransaction>],
    about: &str,
) -> Result<Option<u32>, V::Error> {
    for height in turning_points(bns, view, tip, about)? {
        let judgements = judge(bns, view, tip, height, blocks)?;
        if judgements.iter().all(|judgement| judgement.outcome.is_ok()) {
            return Ok(Some(height));
        }
    }
    Ok(None)
}

fn named(bns: &Bns, height: u32, transaction: &VirtualTransaction) -> &'static str {
    match Operation::parse(bns.params(), height, transaction) {
        Some(Ok(operation)) => operation.opcode_name(),
        _ => "MALFORMED",
    }
}

/// Heights beyond the next block at which the rules begin to say something else, in ascending order.
fn turning_points<V: View>(
    bns: &Bns,
    view: &V,
    tip: u32,
    about: &str,
) -> Result<Vec<u32>, V::Error> {
    let params = bns.params();
    let next = tip.saturating_add(1);
    let mut points: Vec<u64> = params
        .epochs
        .iter()
        .map(|epoch| u64::from(epoch.end_block) + 1)
        .collect();
    let name: Option<Name> = about.parse().ok();
    let id = match &name {
        Some(name) => name.namespace_id(),
        None => about.parse::<NamespaceId>().ok(),
    };
    let namespace = match &id {
        Some(id) => view.namespace(id)?,
        None => None,
    };
    if let Some(namespace) = &namespace {
        points.push(u64::from(namespace.reveal_block) + u64::from(params.namespace_reveal_expire));
        if let Some(name) = &name
            && let Some(record) = view.name(name)?
        {
            let expiry = life::expiry(params, &record, namespace, next);
            points.extend(
                expiry
                    .iter()
                    .flat_map(|expiry| [expiry.expire_block, expiry.renewal_deadline]),
            );
            points.extend(life::end(params, &record, namespace, next));
        }
    }
    let mut heights: Vec<u32> = points
        .into_iter()
        .flat_map(|point| [point, point + 1])
        .filter_map(|point| u32::try_from(point).ok())
        .filter(|height| *height > next && *height < u32::MAX - 100)
        .collect();
    heights.sort_unstable();
    heights.dedup();
    Ok(heights)
}

/// The state with pretended blocks on top.
struct Forecast<'v, V> {
    pending: Pending<'v, V>,
    tip: u32,
    newest: ConsensusHash,
}

impl<V: View> Forecast<'_, V> {
    fn apply(&mut self, changes: Changes) -> Result<(), V::Error> {
        for (key, change) in changes.preorders {
            match change.after {
                Some(preorder) => self.pending.put_preorder(preorder),
                None => self.pending.remove_preorders(&key.preorder_hash)?,
            }
        }
        for record in rows(changes.names) {
            self.pending.put_name(record)?;
        }
        for record in rows(changes.namespaces) {
            self.pending.put_namespace(record)?;
        }
        for keychain in rows(changes.keychains) {
            self.pending.put_keychain(keychain)?;
        }
        for account in rows(changes.accounts) {
            self.pending.put_account(account)?;
        }
        Ok(())
    }
}

/// Rows after the block; none of these kinds is ever removed by one.
fn rows<K: Ord, T>(
    changed: BTreeMap<K, crate::bns::changes::Change<T>>,
) -> impl Iterator<Item = T> {
    changed.into_values().filter_map(|change| change.after)
}

impl<V: View> SnapshotView for Forecast<'_, V> {
    type Error = V::Error;

    fn consensus_hash(&self, height: u32) -> Result<Option<ConsensusHash>, V::Error> {
        if height > self.tip {
            return Ok(Some(self.newest));
        }
        self.pending.consensus_hash(height)
    }
}

impl<V: View> View for Forecast<'_, V> {
    fn name(&self, name: &Name) -> Result<Option<NameRecord>, V::Error> {
        self.pending.name(name)
    }

    fn name_by_hash128(&self, hash: &NameHash128) -> Result<Option<Name>, V::Error> {
        self.pending.name_by_hash128(hash)
    }

    fn names_of_sender(&self, sender: &[u8]) -> Result<Vec<Name>, V::Error> {
        self.pending.names_of_sender(sender)
    }

    fn names_of_preorder(&self, hash: &PreorderHash) -> Result<Vec<Name>, V::Error> {
        self.pending.names_of_preorder(hash)
    }

    fn namespace(&self, id: &NamespaceId) -> Result<Option<NamespaceRecord>, V::Error> {
        self.pending.namespace(id)
    }

    fn namespace_has_preorder(&self, hash: &PreorderHash) -> Result<bool, V::Error> {
        self.pending.namespace_has_preorder(hash)
    }

    fn preorders(&self, hash: &PreorderHash) -> Result<Vec<Preorder>, V::Error> {
        self.pending.preorders(hash)
    }

    fn keychain(&self, id: &NamespaceId) -> Result<Option<ImportKeychain>, V::Error> {
        self.pending.keychain(id)
    }

    fn account(&self, address: &Address) -> Result<Option<Account>, V::Error> {
        self.pending.account(address)
    }
}
