//! NAME_REVOKE: takes a name out of use until it expires (sm §6.6).

use super::{Origin, name_text};
use crate::bns::block::{Block, Refusal, ensure};
use crate::bns::name::Name;
use crate::bns::record::{NameOp, NameRecord};
use crate::bns::reject::Reject;
use crate::bns::view::View;

/// `~`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRevoke {
    /// Who sent it: the owner.
    pub origin: Origin,
    /// The name.
    pub name: Name,
}

impl NameRevoke {
    pub(super) fn decide<V: View>(
        &self,
        block: &mut Block<'_, V>,
    ) -> Result<String, Refusal<V::Error>> {
        let before = self.check(block)?;
        let record = NameRecord {
            revoked: true,
            value_hash: None,
            op: NameOp::Revoke,
            txid: self.origin.txid,
            vtxindex: self.origin.vtxindex,
            ..before
        };
        let text = name_text('~', &record, block.params.addresses);
        block.state.put_name(record)?;
        Ok(text.finish())
    }

    fn check<V: View>(&self, block: &Block<'_, V>) -> Result<NameRecord, Refusal<V::Error>> {
        let record = block
            .live_name(&self.name)?
            .ok_or(Refusal::Reject(Reject::NameNotLive))?;
        let namespace = block.ready_namespace(self.name.namespace_id().as_ref())?;
        ensure(!record.revoked, Reject::NameRevoked)?;
        // Rule 4 asks of the current height, unlike every other rule (quirk EXPIRY-SKEW).
        ensure(
            block.live_name_at(&self.name, block.height)?.is_some(),
            Reject::NameNotLive,
        )?;
        block.ensure_not_in_grace(&record, &namespace)?;
        ensure(record.sender == self.origin.sender, Reject::NotOwner)?;
        Ok(record)
    }
}
