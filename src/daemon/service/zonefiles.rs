//! Zone files in bulk: the same answers from a daemon and from a data directory that no daemon uses.

use std::sync::Arc;

use super::answered::{Answered, trouble, usage};
use super::proof;
use crate::api::ask::Ask;
use crate::api::message::{Reply, Request};
use crate::api::zonefiles::{
    AnnouncedReply, Bytes, FILES_MAX, ImportReply, ImportRequest, MissingReply, ROWS_MAX,
    ZonefilesReply,
};
use crate::config::Config;
use crate::daemon::index;
use crate::names::NameStore;
use crate::wallet::task::state::StateError;

/// The names of a data directory whose lock this process has.
pub struct Offline(Arc<NameStore>);

impl Offline {
    /// Opens the data directory of a configuration. Fails if a daemon uses it.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        index::open(config).map(|(names, _)| Self(Arc::new(names)))
    }
}

impl Ask for Offline {
    fn exchange(&self, request: &Request) -> Result<Reply, StateError> {
        let reply = match request {
            Request::Prove(request) => proof::prove(&self.0, request).map(Reply::Prove),
            request => answer(&self.0, request.clone()),
        };
        Ok(reply.unwrap_or_else(|refused| *refused))
    }
}

/// Replies to a request about zone files in bulk.
pub(super) fn answer(names: &NameStore, request: Request) -> Answered<Reply> {
    match request {
        Request::Announced(request) => Ok(Reply::Announced(AnnouncedReply {
            announced: names.announced(request.from, ROWS_MAX).map_err(trouble)?,
            count: names
                .store
                .snapshot()
                .counts()
                .map_err(trouble)?
                .announcements,
        })),
        Request::Zonefiles(request) => {
            if request.hashes.len() > FILES_MAX {
                return Err(usage(format!(
                    "at most {FILES_MAX} zone files are given at once"
                )));
            }
            let files = names.present(&request.hashes).map_err(trouble)?;
            Ok(Reply::Zonefiles(ZonefilesReply {
                zonefiles: files.into_iter().map(Bytes).collect(),
            }))
        }
        Request::Import(ImportRequest { zonefiles }) => {
            let files: Vec<Vec<u8>> = zonefiles.into_iter().map(|Bytes(bytes)| bytes).collect();
            let imported = names.import(&files).map_err(trouble)?;
            Ok(Reply::Import(ImportReply { imported }))
        }
        Request::Missing(_) => Ok(Reply::Missing(MissingReply {
            missing: names.missing(ROWS_MAX).map_err(trouble)?,
            count: names
                .store
                .snapshot()
                .counts()
                .map_err(trouble)?
                .missing_zonefiles,
        })),
        _ => Err(usage("this needs a daemon: start `bnsd serve`")),
    }
}
