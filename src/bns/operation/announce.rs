//! ANNOUNCE: a message from the owner of a known name; changes nothing (sm §6.11).

use super::Origin;
use crate::bns::block::{Block, Check, ensure};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::hash::ZonefileHash;

/// `#`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// Who sent it.
    pub origin: Origin,
    /// Hash of the message.
    pub message_hash: ZonefileHash,
}

impl Announce {
    pub(super) fn check<V: View>(&self, block: &Block<'_, V>) -> Check<V::Error> {
        for name in &block.params.announcers {
            let owner = block.live_name(name)?;
            if owner.is_some_and(|record| !record.revoked && record.sender == self.origin.sender) {
                return Ok(());
            }
        }
        ensure(false, Reject::AnnouncerNotWhitelisted)
    }
}
