//! How long names and namespaces live (sm §2).
//!
//! Heights and lifetimes are added as 64-bit numbers: a lifetime may be `u32::MAX`, "for ever".

use super::params::Params;
use super::record::{NameRecord, NamespaceOp, NamespaceRecord};

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
    record: &NameRecord,
    namespace: Option<&NamespaceRecord>,
    height: u32,
) -> bool {
    let Some(namespace) = namespace else {
        return false;
    };
    if record.first_registered > height {
        return false;
    }
    if is_revealed(params, namespace, height) {
        return true;
    }
    let term = term(params, namespace, height) + grace(params, height);
    let now = u64::from(height);
    // `>` against `>=`: quirk EXPIRY-SKEW.
    is_ready(namespace)
        && (u64::from(namespace.ready_block) + term > now
            || u64::from(record.last_renewed) + term >= now)
}

/// Whether only a renewal is allowed at `height` (sm §2, GRACE).
pub fn in_grace_period(
    params: &Params,
    record: &NameRecord,
    namespace: &NamespaceRecord,
    height: u32,
) -> bool {
    let Some(expiry) = expiry(params, record, namespace, height) else {
        return false;
    };
    is_live(params, record, Some(namespace), height)
        && (expiry.expire_block..expiry.renewal_deadline).contains(&u64::from(height))
}

/// The ends of a name's term, by the rules in force at some height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// First block in which updates, transfers and revocations are refused.
    pub expire_block: u64,
    /// End of the grace period.
    pub renewal_deadline: u64,
}

/// When the name's term ends; `None` while its namespace is not ready (sm §2, GRACE; §10).
pub fn expiry(
    params: &Params,
    record: &NameRecord,
    namespace: &NamespaceRecord,
    height: u32,
) -> Option<Expiry> {
    if !is_ready(namespace) {
        return None;
    }
    let start = namespace.ready_block.max(record.last_renewed);
    let expire_block = u64::from(start) + term(params, namespace, height);
    Some(Expiry {
        expire_block,
        renewal_deadline: expire_block + grace(params, height),
    })
}

/// First height at which the name is no longer LIVE by the rules in force at `height`; `None` while its
/// namespace is not ready (sm §2, LIVE).
pub fn end(
    params: &Params,
    record: &NameRecord,
    namespace: &NamespaceRecord,
    height: u32,
) -> Option<u64> {
    let term = term(params, namespace, height) + grace(params, height);
    let from_ready = u64::from(namespace.ready_block) + term;
    let from_renewal = u64::from(record.last_renewed) + term + 1; // quirk EXPIRY-SKEW
    is_ready(namespace).then_some(from_ready.max(from_renewal))
}

/// `lifetime·mult(height)`: evaluated at the height asked about, so a new epoch can revive names (sm §8).
pub fn term(params: &Params, namespace: &NamespaceRecord, height: u32) -> u64 {
    let multiplier = params.epoch(height).namespace_lifetime_multiplier;
    u64::from(namespace.lifetime) * u64::from(multiplier)
}

fn grace(params: &Params, height: u32) -> u64 {
    u64::from(params.epoch(height).namespace_lifetime_grace_period)
}
