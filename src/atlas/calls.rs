//! What the schedule wants done with peers, done: one task a call, each of which ends with an event.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::answer::Testnet;
use super::backup::{Backups, Unanswered};
use super::client::{CallError, Client};
use super::reply::PeerInfo;
use super::schedule::{Call, Event, Failure, Reply};
use crate::hash::ZonefileHash;
use crate::names::NameStore;
use crate::peer_address::PeerAddress;
use crate::store::{Offchain, StoreError};

/// Nobody had a file for so many seconds that a person should know.
const LONG: u64 = 24 * 3_600;
/// The pause after the disk took nothing, before files are fetched again.
const NO_ROOM: Duration = Duration::from_secs(10);
/// How long a look into the backups goes on; then the schedule asks again for the rest.
const BACKUPS_TIME: Duration = Duration::from_secs(300);

/// What a call ended with.
pub enum Ended {
    /// For the schedule.
    Call(Event),
    /// Files came from a peer, and are stored.
    Files {
        /// Who sent them.
        peer: PeerAddress,
        /// What was asked for.
        asked: Vec<ZonefileHash>,
        /// What came.
        delivered: Vec<ZonefileHash>,
    },
    /// The backups were asked.
    Backups {
        /// What they had, and is stored.
        found: Vec<ZonefileHash>,
        /// The rest, for the schedule.
        event: Event,
    },
    /// How many files nobody has had for more than a day.
    Searched(usize),
}

/// What calls are made with.
pub struct Caller {
    /// How peers are reached.
    pub client: Client,
    /// What we have ourselves.
    pub names: Arc<NameStore>,
    /// Where files are kept as well.
    pub backups: Arc<Backups>,
    /// What was tried to get files.
    pub offchain: Arc<Offchain>,
    /// Where somebody on this machine finds us; `None` if nobody does.
    pub own: Option<PeerAddress>,
}

impl Caller {
    /// Calls a peer. Our chain has so many `rows`.
    pub async fn call(&self, peer: PeerAddress, call: Call, rows: u32) -> Ended {
        let ended = match &call {
            Call::Info => self.info(&peer).await,
            Call::Inventory => self
                .client
                .inventory(&peer, rows)
                .await
                .map(Reply::Inventory),
            Call::Neighbours => self.neighbours(&peer).await.map(Reply::Neighbours),
            Call::Fetch(hashes) => match self.fetch(&peer, hashes).await {
                Ok(None) => {
                    let failure = Failure::Ours;
                    return Ended::Call(Event::Failed {
                        peer,
                        call,
                        failure,
                    });
                }
                Ok(Some(delivered)) => {
                    let asked = hashes.clone();
                    return Ended::Files {
                        peer,
                        asked,
                        delivered,
                    };
                }
                Err(error) => Err(error),
            },
            Call::Push(hashes) => self.push(&peer, hashes).await,
        };
        Ended::Call(match ended {
            Ok(reply) => Event::Replied { peer, reply },
            Err(error) => {
                tracing::debug!(%peer, %error, "a peer did not answer");
                let failure = error.failure();
                Event::Failed {
                    peer,
                    call,
                    failure,
                }
            }
        })
    }

    async fn info(&self, peer: &PeerAddress) -> Result<Reply, CallError> {
        let info = self.client.info(peer).await?;
        let agrees = self.agrees(&info);
        Ok(Reply::Info { agrees })
    }

    /// Whether a peer is of our network, up to date, and has our consensus hash at its height, if we are as far (Atlas §5).
    fn agrees(&self, info: &PeerInfo) -> bool {
        let snapshot = self.names.store.snapshot();
        let ours = snapshot.tip().map_or(0, |tip| tip.height);
        let height = info.last_block_processed;
        let has_our_hash = height > ours
            || matches!(snapshot.block(height), Ok(Some(block)) if block.consensus_hash == info.consensus);
        info.is_admissible(&Testnet::of(&self.names.params)) && has_our_hash
    }

    /// Whom a peer knows. It learns of us if we can be asked.
    async fn neighbours(&self, peer: &PeerAddress) -> Result<Vec<PeerAddress>, CallError> {
        match &self.own {
            Some(own) => self.client.exchange(peer, own).await,
            None => self.client.neighbours(peer).await,
        }
    }

    /// Fetches files and stores them; gives those that are stored, or nothing if the disk takes none.
    async fn fetch(
        &self,
        peer: &PeerAddress,
        hashes: &[ZonefileHash],
    ) -> Result<Option<Vec<ZonefileHash>>, CallError> {
        let (files, error) = match self.client.zonefiles(peer, hashes).await {
            Ok(files) => (files.into_iter().map(|(_, bytes)| bytes).collect(), None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let had_some = !files.is_empty();
        let stored = self.store(files).await;
        if had_some && stored.is_empty() {
            sleep(NO_ROOM).await;
            return Ok(None);
        }
        self.note_tried(peer.to_string(), hashes, &stored).await;
        error.map_or(Ok(Some(stored)), Err)
    }

    /// Stores files that have the hashes of announced ones; gives those that are durable.
    pub async fn store(&self, files: Vec<Vec<u8>>) -> Vec<ZonefileHash> {
        if files.is_empty() {
            return Vec::new();
        }
        let archive = Arc::clone(&self.names.archive);
        let stored = spawn_blocking(move || archive.put_many(&files)).await;
        match stored {
            Ok(Ok(hashes)) => hashes,
            Ok(Err(error)) => {
                tracing::warn!("zone files of peers cannot be kept: {error}");
                Vec::new()
            }
            Err(_) => Vec::new(), // the runtime ends
        }
    }

    /// Notes who was asked for what did not come, and forgets that for what did.
    async fn note_tried(&self, by: String, asked: &[ZonefileHash], stored: &[ZonefileHash]) {
        let missed = asked.iter().filter(|hash| !stored.contains(hash));
        let missed: Vec<ZonefileHash> = missed.copied().collect();
        let stored = stored.to_vec();
        let (offchain, time) = (Arc::clone(&self.offchain), self.names.clock.unix_time());
        let noted = spawn_blocking(move || {
            if !missed.is_empty() {
                offchain.note_tried(&missed, &by, time)?;
            }
            // Most files were never asked for in vain: no write, which waits for the disk, is needed for them.
            let is_noted = |hash: &&ZonefileHash| !matches!(offchain.tried(hash), Ok(None));
            let noted: Vec<ZonefileHash> = stored.iter().filter(is_noted).copied().collect();
            match noted.is_empty() {
                true => Ok(()),
                false => offchain.forget_tried(&noted),
            }
        });
        if let Ok(Err(error)) = noted.await {
            tracing::warn!("what was tried to get zone files is not kept: {error}");
        }
    }

    /// Looks for files where we back them up, one after the other, until no backup answers; what is found is stored.
    pub async fn ask_backups(&self, hashes: Vec<ZonefileHash>) -> Ended {
        let (mut found, mut asked) = (Vec::new(), Vec::new());
        let (mut failed, mut unasked) = (Vec::new(), Vec::new());
        let until = self.names.clock.elapsed() + BACKUPS_TIME;
        let mut hashes = hashes.into_iter();
        for hash in hashes.by_ref() {
            match self.backups.fetch(&hash).await {
                Ok(Some((bytes, _))) => match self.store(vec![bytes]).await.is_empty() {
                    true => failed.push(hash),
                    false => found.push(hash),
                },
                Ok(None) => {}
                Err(Unanswered::Failed) => failed.push(hash),
                Err(Unanswered::Skipped) => unasked.push(hash),
            }
            asked.push(hash);
            if self.backups.are_down() || self.names.clock.elapsed() >= until {
                break;
            }
        }
        unasked.extend(hashes);
        asked.retain(|hash| !unasked.contains(hash));
        let by = "backups".to_owned();
        self.note_tried(by, &asked, &found).await;
        let are_down = self.backups.are_down();
        let event = Event::BackupsAsked {
            failed,
            unasked,
            are_down,
        };
        Ended::Backups { found, event }
    }

    async fn push(&self, peer: &PeerAddress, hashes: &[ZonefileHash]) -> Result<Reply, CallError> {
        let (names, hashes) = (Arc::clone(&self.names), hashes.to_vec());
        let files = match spawn_blocking(move || names.present(&hashes)).await {
            Ok(Ok(files)) => files,
            Ok(Err(error)) => {
                tracing::warn!("zone files cannot be sent to peers: {error}");
                Vec::new()
            }
            Err(_) => Vec::new(), // the runtime ends
        };
        if !files.is_empty() {
            self.client.put(peer, &files).await?;
        }
        Ok(Reply::Pushed)
    }

    /// How many of these files have been missing for more than a day. Those that are noticed now are noted.
    pub async fn long_missing(&self, missing: HashSet<ZonefileHash>) -> usize {
        let (offchain, now) = (Arc::clone(&self.offchain), self.names.clock.unix_time());
        let counted = spawn_blocking(move || -> Result<usize, StoreError> {
            let (mut new, mut long) = (Vec::new(), 0);
            for hash in missing {
                match offchain.tried(&hash)? {
                    Some(tried) if now.saturating_sub(tried.since) > LONG => long += 1,
                    Some(_) => {}
                    None => new.push(hash),
                }
            }
            if !new.is_empty() {
                offchain.note_tried(&new, "no peer has it", now)?;
            }
            Ok(long)
        });
        match counted.await {
            Ok(Ok(0)) | Err(_) => 0,
            Ok(Ok(long)) => {
                tracing::warn!(
                    "zone files that have been missing for more than a day: {long}; `bnsd zonefile missing` lists them"
                );
                long
            }
            Ok(Err(error)) => {
                tracing::warn!("what was tried to get zone files cannot be read: {error}");
                0
            }
        }
    }
}
