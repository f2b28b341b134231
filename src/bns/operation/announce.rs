//! ANNOUNCE: a message from the owner of a known name; changes nothing (sm §6.11).

use super::origin::Origin;
use crate::bns::block::{Block, Checked, ensure};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::hash::ZonefileHash;

/// `#`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// Hash of the message.
    pub message_hash: ZonefileHash,
}

impl Announce {
    /// sm §6.11.
    pub(super) fn check<V: View>(&self, origin: &Origin, block: &Block<'_, V>) -> Checked<V> {
        for name in &block.params.announcers {
            let owner = block.live_name(name)?;
            if owner.is_some_and(|record| !record.revoked && record.sender == origin.sender) {
                return Ok(());
            }
        }
        ensure(false, Reject::AnnouncerNotWhitelisted)
    }
}
