//! Replies that are at hand before anything is decoded.

use std::time::Duration;

use super::super::client::Client;
use super::super::plain::Plain;
use super::super::replies::Content;
use super::{Handler, QueryLog};
use crate::bns::name::{Name, NamespaceId};
use crate::resolver::{Snapshots, Subjects};

impl<P: Snapshots> Handler<P> {
    /// Forgets the kept replies that a commit changes. `height` is the indexed height after it; readers see its state
    /// already.
    pub fn note_change(&self, height: Option<u32>, names: &[Name], namespaces: &[NamespaceId]) {
        self.replies.note(height.unwrap_or(0), names, namespaces);
    }

    /// Forgets all kept replies.
    pub fn forget_replies(&self) {
        self.replies.forget();
    }

    /// A query whose reply may come from memory and be kept there. Queries that are logged or counted by name are
    /// decoded instead.
    pub(super) fn plain<'q>(&self, bytes: &'q [u8]) -> Option<Plain<'q>> {
        let is_shown = self.log == QueryLog::On || self.busiest.is_watched();
        Plain::read(bytes).filter(|_| !is_shown)
    }

    /// Replies from memory. Gives false if no valid reply is kept, or if it is too long for the client.
    pub(super) fn reply_kept(
        &self,
        plain: &Plain<'_>,
        client: Client,
        now: Duration,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(kept) = self.replies.get(plain.key.as_bytes(), now) else {
            return false;
        };
        if !self.vouches(&kept.basis.subjects) {
            return false;
        }
        let limit = plain.limit(client.transport);
        let is_written = match &kept.content {
            Content::Message { bytes, verified } => plain.write(bytes, *verified, limit, out),
            Content::Response(entry) => {
                let stamp = plain.stamp();
                self.forwarder.write_kept(entry, stamp, now, out) && plain.add_opt(limit, out)
            }
        };
        if is_written {
            self.counters.count(kept.outcome);
        }
        is_written
    }

    /// Whether the index is far enough for an answer that depended on it.
    fn vouches(&self, subjects: &Subjects) -> bool {
        !subjects.sync_counted || self.policy.load().accepts(self.snapshots.sync_state())
    }
}
