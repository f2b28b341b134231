//! Answers that are at hand before anything is decoded.

use std::time::Duration;

use super::super::answers::Body;
use super::super::client::Client;
use super::super::plain::Plain;
use super::{Handler, QueryLog, Snapshots};
use crate::resolver::Subjects;
use crate::store::ChangeNotice;

impl<P: Snapshots> Handler<P> {
    /// A commit changed the state of names: of the answers that are kept, those go that it changes.
    pub fn note_change(&self, notice: &ChangeNotice) {
        let height = notice.height.unwrap_or(0);
        self.answers.note(height, &notice.names, &notice.namespaces);
    }

    /// Decides every answer anew, from the next query on.
    pub fn forget_answers(&self) {
        self.answers.forget();
    }

    /// A query whose answer may come from memory and go there: what is logged or shown is decoded first.
    pub(super) fn plain<'q>(&self, bytes: &'q [u8]) -> Option<Plain<'q>> {
        let is_shown = self.log == QueryLog::On || self.busiest.is_watched();
        Plain::read(bytes).filter(|_| !is_shown)
    }

    /// Answers from memory, if the answer is there, still true and short enough.
    pub(super) fn reply_kept(
        &self,
        plain: &Plain<'_>,
        client: Client,
        now: Duration,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(kept) = self.answers.get(plain.key.as_bytes(), now) else {
            return false;
        };
        if !self.vouches(&kept.subjects) {
            return false;
        }
        let limit = plain.limit(client.transport);
        let is_written = match &kept.body {
            Body::Message { bytes, verified } => plain.write(bytes, *verified, limit, out),
            Body::Forwarded(entry) => {
                let stamp = plain.stamp();
                self.forwarder.write_kept(entry, stamp, now, out) && plain.add_opt(limit, out)
            }
        };
        if is_written {
            self.counters.count(kept.outcome);
        }
        is_written
    }

    /// Whether the index is far enough for an answer that counted on it.
    fn vouches(&self, subjects: &Subjects) -> bool {
        !subjects.sync_counted || self.policy.load().accepts(self.snapshots.sync_state())
    }
}
