//! How long names and namespaces live (sm §2), and the end of a name as everybody is told it ([`Term`]).
//!
//! The rules know a name as LIVE or not at a height, and as being in its grace period or not. Most of them ask for
//! LIVE of the block before the one under way. People ask when; the four heights of a [`Term`] are the answer. For a name
//! that was last renewed after its namespace was opened, with `E` the end of its lifetime and `D` that of the grace period
//! (sm §10):
//!
//! ```text
//! block          resolves  renewal  update  somebody else registers
//! before E       yes       yes      yes     no
//! E .. D-1       yes       yes      no      no     E   = grace_start
//! D              yes       yes      yes     no     D   = last_resolves
//! D+1            no        yes      yes     no     D+1 = renewal_deadline
//! D+2 and later  no        no       no      yes    D+2 = free_from
//! ```
//!
//! For an imported name that was never renewed each of the last three is one less. An epoch can change lifetime and grace
//! period of every name from its first block on; the epochs to come are known and are taken into account.
//!
//! Heights and lifetimes are added as 64-bit numbers: a lifetime may be `u32::MAX`, "for ever".

use serde::{Deserialize, Serialize};

use super::epoch::Epoch;
use super::params::Params;
use super::record::{NamespaceOp, NamespaceRecord};

/// What of a name's record says how long it lives and how it stands: see
/// [`NameRecord::life`](super::record::NameRecord::life).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Height at which this life began.
    pub first_registered: u32,
    /// Height of the last registration or renewal.
    pub last_renewed: u32,
    /// Whether the owner revoked it.
    pub revoked: bool,
}

/// Whether names can be registered in the namespace (sm §2, READY); true inside the very block.
pub fn is_ready(namespace: &NamespaceRecord) -> bool {
    namespace.op == NamespaceOp::Ready
}

/// Whether names can be imported at `height` (sm §2, REVEALED).
pub fn is_revealed(params: &Params, namespace: &NamespaceRecord, height: u32) -> bool {
    namespace.op == NamespaceOp::Reveal
        && namespace.reveal_block <= height
        && u64::from(height)
            < u64::from(namespace.reveal_block) + u64::from(params.namespace_reveal_expire)
}

/// Whether the name exists at `height` (sm §2, LIVE). Rules almost always ask this of the block before
/// the one under way, so that a name is unusable in its registration block (quirk NEXT-BLOCK).
pub fn is_live(
    params: &Params,
    life: Life,
    namespace: Option<&NamespaceRecord>,
    height: u32,
) -> bool {
    let Some(namespace) = namespace else {
        return false;
    };
    if life.first_registered > height {
        return false;
    }
    if is_revealed(params, namespace, height) {
        return true;
    }
    is_ready(namespace) && u64::from(height) <= last_live(life, namespace, params.epoch(height))
}

/// Whether only a renewal is allowed at `height` (sm §2, GRACE).
pub fn in_grace_period(
    params: &Params,
    life: Life,
    namespace: &NamespaceRecord,
    height: u32,
) -> bool {
    let (start, end) = grace_period(life, namespace, params.epoch(height));
    is_ready(namespace)
        && is_live(params, life, Some(namespace), height)
        && (start..end).contains(&u64::from(height))
}

/// The end of a name, as it is known at some height. `None` is a height that never comes: the name has no end, or its
/// namespace is not open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Term {
    /// First block of the grace period, in which the owner can only renew; `None` where there is none.
    pub grace_start: Option<u32>,
    /// Last block in which the name resolves.
    pub last_resolves: Option<u32>,
    /// Last block in which the owner can renew it.
    pub renewal_deadline: Option<u32>,
    /// First block in which somebody else can register it.
    pub free_from: Option<u32>,
}

impl Term {
    /// The end of the life that the name has at `height`, or had last. `height` is not below its registration. What would
    /// come after the end of the network never comes.
    pub fn of(params: &Params, life: Life, namespace: &NamespaceRecord, height: u32) -> Self {
        let Some(last) = end_of_life(params, life, namespace, height.into()) else {
            return Self::default();
        };
        let block = |height: u64| {
            let height = u32::try_from(height).ok();
            height.filter(|height| !params.is_after_end(*height))
        };
        Self {
            grace_start: first_in_grace(params, life, namespace, height.into(), last)
                .and_then(block),
            // A name that is LIVE in the last block of the network resolves for ever.
            last_resolves: block(last + 1).and(block(last)),
            // A rule about the name in block H asks for LIVE at H-1.
            renewal_deadline: block(last + 1),
            free_from: block(last + 2),
        }
    }

    /// What remains of it once the name is revoked: nobody can renew it, and it is free as if nobody had.
    pub fn of_revoked(self) -> Self {
        Self {
            free_from: self.free_from,
            ..Self::default()
        }
    }

    /// The first block in which something is over for the owner: the grace period begins, or renewal is about to be too late.
    pub fn due(&self) -> Option<u32> {
        self.grace_start.or(self.renewal_deadline)
    }
}

/// The last block of the newest run of blocks in which the name is LIVE that began at or before `height`.
fn end_of_life(
    params: &Params,
    life: Life,
    namespace: &NamespaceRecord,
    height: u64,
) -> Option<u64> {
    let mut end: Option<u64> = None;
    for (first, last, epoch) in spans(params) {
        let live = last_live(life, namespace, epoch).min(last);
        let goes_on = first <= height || end.is_some_and(|end| end + 1 == first);
        if live >= first && goes_on {
            end = Some(live);
        }
    }
    end.filter(|_| is_ready(namespace))
}

/// The first block of the grace period under way at `height`, or else of the next one, or else of the one that was
/// followed by the end of the name's life in block `last`.
fn first_in_grace(
    params: &Params,
    life: Life,
    namespace: &NamespaceRecord,
    height: u64,
    last: u64,
) -> Option<u64> {
    let mut grace: Option<(u64, u64)> = None;
    for (first, end, epoch) in spans(params) {
        let (start, deadline) = grace_period(life, namespace, epoch);
        let (from, to) = (start.max(first), deadline.min(end.saturating_add(1)));
        if from >= to || from > last {
            continue;
        }
        grace = match grace {
            Some((start, before)) if before == from => Some((start, to)),
            Some((_, before)) if before > height => break,
            _ => Some((from, to)),
        };
    }
    grace
        .filter(|(_, end)| *end > height || *end >= last)
        .map(|(start, _)| start)
}

/// The epochs with their first and last blocks; the last one is open.
fn spans(params: &Params) -> impl Iterator<Item = (u64, u64, &Epoch)> {
    let mut first = 0;
    let open = params.epochs.len().saturating_sub(1);
    params.epochs.iter().enumerate().map(move |(place, epoch)| {
        let last = match place == open {
            true => u64::MAX,
            false => u64::from(epoch.end_block),
        };
        (
            std::mem::replace(&mut first, last.saturating_add(1)),
            last,
            epoch,
        )
    })
}

/// The last height at which the name is LIVE by the rules of `epoch`, its namespace being ready (sm §2).
fn last_live(life: Life, namespace: &NamespaceRecord, epoch: &Epoch) -> u64 {
    let term = lifetime(namespace, epoch) + u64::from(epoch.namespace_lifetime_grace_period);
    let from_ready = (u64::from(namespace.ready_block) + term).saturating_sub(1);
    // One block more than from the opening: quirk EXPIRY-SKEW.
    from_ready.max(u64::from(life.last_renewed) + term)
}

/// First block of the grace period by the rules of `epoch`, and the first one behind it (sm §2, GRACE; §10). The reference
/// calls them `expire_block` and `renewal_deadline`; the namespace is ready.
pub fn grace_period(life: Life, namespace: &NamespaceRecord, epoch: &Epoch) -> (u64, u64) {
    let begin = namespace.ready_block.max(life.last_renewed);
    let start = u64::from(begin) + lifetime(namespace, epoch);
    (
        start,
        start + u64::from(epoch.namespace_lifetime_grace_period),
    )
}

/// `lifetime·mult`: evaluated in the epoch asked about, so a new epoch can revive names (sm §8).
pub fn lifetime(namespace: &NamespaceRecord, epoch: &Epoch) -> u64 {
    u64::from(namespace.lifetime) * u64::from(epoch.namespace_lifetime_multiplier)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::bns::address::Address;
    use crate::bns::epoch::historical;
    use crate::bns::record::NameRecord;
    use crate::bns::samples::{name_record, namespace_record};

    /// Longer than any life below.
    const LATER: u32 = 400;
    const OWNER: Address = Address::P2pkh([0; 20]);

    fn chain(epochs: Vec<(u32, u32, u32)>) -> Params {
        let mut end = 0;
        let epochs = epochs.into_iter().map(|(length, multiplier, grace)| {
            end += length;
            Epoch {
                namespace_lifetime_multiplier: multiplier,
                namespace_lifetime_grace_period: grace,
                ..historical(1, end)
            }
        });
        Params {
            epochs: epochs.collect(),
            ..Params::regtest()
        }
    }

    prop_compose! {
        /// A name and its namespace, renewed before or after the opening.
        fn life()(ready in 20u32..60, registered in 10u32..60, renewed in 0u32..40, lifetime in 0u32..30)
            -> (NameRecord, NamespaceRecord) {
            let mut record = name_record("anna.test", OWNER, 0);
            (record.first_registered, record.last_renewed) = (registered, registered + renewed);
            (record, NamespaceRecord { ready_block: ready, lifetime, ..namespace_record(OWNER, 0) })
        }
    }

    proptest! {
        /// The heights are those at which LIVE and GRACE change, found by asking for every height.
        #[test]
        fn a_term_is_what_the_predicates_say(
            (record, namespace) in life(),
            epochs in vec((1u32..60, 0u32..3, 0u32..9), 1..5),
            later in 0u32..80,
        ) {
            let params = chain(epochs);
            let height = record.last_renewed.max(namespace.ready_block) + later;
            let live = |height: &u32| is_live(&params, record.life(), Some(&namespace), *height);
            let grace = |height: &u32| in_grace_period(&params, record.life(), &namespace, *height);
            let mut began = (record.first_registered..=height).rev();
            let Some(newest) = began.find(live) else { return Ok(()) };
            let last = (newest..LATER).take_while(live).last();
            let term = Term::of(&params, record.life(), &namespace, height);
            prop_assert_eq!(term.last_resolves, last);
            prop_assert_eq!(term.renewal_deadline, last.map(|last| last + 1));
            prop_assert_eq!(term.free_from, last.map(|last| last + 2));
            if live(&height) {
                // Under way, or over and followed by the last block, or to come.
                let last = last.unwrap_or(LATER);
                let past = (last.saturating_sub(1).min(height)..=height).rev().find(grace);
                let newest = past.or_else(|| (height..=last).find(grace));
                let next = newest.and_then(|at| (0..=at).rev().take_while(grace).last());
                prop_assert_eq!(term.grace_start, next);
            }
        }
    }
}
