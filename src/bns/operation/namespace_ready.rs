//! NAMESPACE_READY: opens a namespace for registrations (sm §6.10).

use super::Decided;
use super::namespace_reveal::namespace_text;
use super::origin::Origin;
use crate::bns::address::AddressVersions;
use crate::bns::block::{Block, Checked, Refusal, ensure};
use crate::bns::life;
use crate::bns::name::NamespaceId;
use crate::bns::record::{NamespaceOp, NamespaceRecord};
use crate::bns::reject::Reject;
use crate::bns::view::View;

/// `!`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceReady {
    /// The namespace.
    pub namespace_id: NamespaceId,
}

impl NamespaceReady {
    pub(super) fn decide<V: View>(&self, origin: &Origin, block: &mut Block<'_, V>) -> Decided<V> {
        let before = self.check(origin, block)?;
        let record = NamespaceRecord {
            op: NamespaceOp::Ready,
            ready_block: block.height,
            sender: origin.sender.clone(), // quirk READY-SENDER
            txid: origin.txid,
            vtxindex: origin.vtxindex,
            ..before
        };
        let text = ready_text(&record, block.params.addresses);
        block.state.put_namespace(record)?;
        Ok(text)
    }

    /// sm §6.10. Returns the namespace's row.
    fn check<V: View>(&self, origin: &Origin, block: &Block<'_, V>) -> Checked<V, NamespaceRecord> {
        let namespace = block.state.namespace(&self.namespace_id)?;
        let revealed = namespace.filter(|row| life::is_revealed(block.params, row, block.last));
        let namespace = revealed.ok_or(Refusal::Reject(Reject::NamespaceNotRevealed))?;
        ensure(namespace.recipient == origin.sender, Reject::NotOwner)?;
        Ok(namespace)
    }
}

/// ch §1, `!`.
pub(super) fn ready_text(record: &NamespaceRecord, versions: AddressVersions) -> String {
    let mut text = namespace_text('!', record, versions);
    text.field(record.ready_block);
    text.finish()
}
