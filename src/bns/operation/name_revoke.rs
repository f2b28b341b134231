//! NAME_REVOKE: takes a name out of use until it expires (sm §6.6).

use super::Decided;
use super::origin::Origin;
use super::text::name_text;
use crate::bns::block::{Block, Checked, Refusal, ensure};
use crate::bns::name::Name;
use crate::bns::record::{NameOp, NameRecord};
use crate::bns::reject::Reject;
use crate::bns::view::View;

/// `~`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRevoke {
    /// The name.
    pub name: Name,
}

impl NameRevoke {
    pub(super) fn decide<V: View>(&self, origin: &Origin, block: &mut Block<'_, V>) -> Decided<V> {
        let before = self.check(origin, block)?;
        let record = NameRecord {
            revoked: true,
            value_hash: None,
            ..origin.touch(before, NameOp::Revoke)
        };
        let text = name_text('~', &record, block.params.addresses);
        block.state.put_name(record)?;
        Ok(text.finish())
    }

    /// sm §6.6. Returns the name's row.
    fn check<V: View>(&self, origin: &Origin, block: &Block<'_, V>) -> Checked<V, NameRecord> {
        let live = block.live_name(&self.name)?;
        let record = live.ok_or(Refusal::Reject(Reject::NameNotLive))?;
        let namespace = block.ready_namespace(&self.name)?;
        ensure(!record.revoked, Reject::NameRevoked)?;
        // Rule 4 asks of the current height, unlike every other rule (quirk EXPIRY-SKEW).
        let live_now = block.live_name_at(&self.name, block.height)?.is_some();
        ensure(live_now, Reject::NameNotLive)?;
        block.ensure_not_in_grace(&record, &namespace)?;
        ensure(record.sender == origin.sender, Reject::NotOwner)?;
        Ok(record)
    }
}
