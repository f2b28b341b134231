//! What this node answers its peers, from snapshots of what it has (ap §2).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use data_encoding::BASE64;
use tokio::sync::mpsc;

use super::answer::{self, Answer, Files, Info, PROTOCOL_VERSION, Standing, Testnet, ZonefileInfo};
use super::heights::Heights;
use super::inventory::Inventory;
use super::message::{PEERS_MAX, Request};
use super::rule::PeerRule;
use crate::hash::{ConsensusHash, ZonefileHash};
use crate::names::{Imported, NameStore, Names, NamesError, Record};
use crate::peer_address::PeerAddress;
use crate::resolver::{NameSource as _, Snapshots as _, SyncState};
use crate::store::{Announcement, Lookup, StoreError, StoreSnapshot};

/// A node that was not at the tip of its source for so long is stale (ap §1).
const STALE_AFTER: Duration = Duration::from_secs(2 * 3_600);

/// What the node shows to its peers beside the database: written by the node, read at every call.
#[derive(Default)]
pub struct Board {
    inventory: ArcSwap<Inventory>,
    neighbours: ArcSwap<Vec<PeerAddress>>,
}

impl Board {
    /// From now on this is what the node has.
    pub fn set_inventory(&self, inventory: Arc<Inventory>) {
        self.inventory.store(inventory);
    }

    /// From now on these are the neighbours that answer, in the order in which they are told.
    pub fn set_neighbours(&self, neighbours: Vec<PeerAddress>) {
        self.neighbours.store(Arc::new(neighbours));
    }
}

/// What calls are answered from.
pub struct Desk {
    names: Arc<NameStore>,
    board: Arc<Board>,
    suggested: mpsc::Sender<PeerAddress>,
    heights: Heights,
    testnet: Testnet,
    deny: Vec<PeerRule>,
}

/// Who calls, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    /// The address that it has.
    pub(super) ip: IpAddr,
    /// The port that it called.
    pub(super) port: u16,
}

impl Desk {
    /// Answers from `names` and `board`. Who is there, or is said from this machine to be, goes to `suggested`; while that is
    /// full, it is forgotten.
    pub fn new(
        names: Arc<NameStore>,
        board: Arc<Board>,
        suggested: mpsc::Sender<PeerAddress>,
    ) -> Self {
        Self {
            testnet: Testnet::of(&names.params),
            names,
            board,
            suggested,
            heights: Heights::default(),
            deny: Vec::new(),
        }
    }

    /// The same, without an answer for the peers of these rules.
    #[must_use]
    pub fn denying(self, deny: Vec<PeerRule>) -> Self {
        Self { deny, ..self }
    }

    /// Whether a caller gets no answer.
    pub(super) fn denies(&self, caller: Caller) -> bool {
        let peer = PeerAddress::new(caller.ip, caller.port);
        self.deny.iter().any(|rule| rule.matches(&peer))
    }

    /// Time since the daemon started.
    pub(super) fn now(&self) -> Duration {
        self.names.clock.elapsed()
    }

    /// The document that answers a call. Reads files and the database, and may wait for the disk.
    pub(super) fn answer(&self, request: Request, caller: Caller) -> String {
        let names = self.names.snapshot();
        let answered = self.try_answer(request, caller, &names);
        answered.unwrap_or_else(|error| {
            tracing::warn!("cannot answer a peer: {error}");
            answer::failed()
        })
    }

    fn try_answer(
        &self,
        request: Request,
        caller: Caller,
        names: &Names,
    ) -> Result<String, NamesError> {
        let standing = self.standing(names);
        let snapshot = names.snapshot();
        let answered = match request {
            Request::Ping => return Ok(standing.pong()),
            _ if names.sync() == SyncState::Damaged => return Ok(answer::failed()),
            Request::Zonefiles(hashes) => return self.zonefiles(&hashes, standing),
            Request::Info => Answer::Info(self.info(names)?),
            Request::Inventory { offset, length } => self.inventory(offset, length),
            Request::Put(files) => self.put(&files)?,
            Request::Announced {
                from,
                to,
                offset,
                count,
            } => announced(snapshot, from, to, offset, count)?,
            Request::Peers => self.peers(&PeerAddress::new(caller.ip, caller.port)),
            Request::Exchange(said) => match located(said, caller) {
                Some(peer) => self.exchange(peer),
                None => return Ok(answer::refuse("Invalid remote peer address", 400)),
            },
            Request::ConsensusAt(height) => Answer::Consensus {
                consensus: consensus(snapshot, height)?,
            },
            Request::HeightOf(hash) => {
                let first = self.names.params.first_block;
                let block_id = self.heights.of(&hash, snapshot, first)?;
                Answer::Height { block_id }
            }
            Request::ConsensusHashes(heights) => consensus_hashes(snapshot, &heights)?,
            Request::OpsHashAt(height) => {
                let ops_hash = snapshot.block(height)?.map(|block| block.ops_hash);
                Answer::OpsHash { ops_hash }
            }
            Request::OperationCount(height) => {
                let count = names.rows_of_block(height)?.len();
                Answer::Count { count }
            }
            Request::Operations {
                height,
                offset,
                count,
            } => {
                let rows = names.rows_of_block(height)?.into_iter();
                let rows = rows.skip(offset).take(count);
                let nameops = rows.map(|row| to_json(&row.record)).collect();
                Answer::Operations { nameops }
            }
        };
        Ok(standing.respond(&answered))
    }

    fn standing(&self, names: &Names) -> Standing {
        let is_synced = names.sync() == SyncState::Synced;
        let at_tip = self.names.progress.synced_at().unwrap_or_default();
        Standing {
            indexing: !is_synced,
            lastblock: last_block(names),
            stale: !is_synced && self.now().saturating_sub(at_tip) >= STALE_AFTER,
        }
    }

    /// Before the first block the consensus hash is that of the heights below it (sm §9).
    fn info(&self, names: &Names) -> Result<Info, NamesError> {
        let snapshot = names.snapshot();
        let params = &self.names.params;
        let last = last_block(names);
        let consensus = snapshot.tip().map(|tip| tip.consensus_hash);
        Ok(Info {
            last_block_seen: self.names.progress.best_height().max(last),
            consensus: consensus.unwrap_or(params.initial_consensus_hash),
            server_version: PROTOCOL_VERSION,
            last_block_processed: last,
            server_alive: true,
            testnet: self.testnet.clone(),
            first_block: params.first_block,
            zonefile_count: snapshot.counts()?.announcements,
        })
    }

    fn inventory(&self, offset: usize, length: usize) -> Answer {
        let inventory = self.board.inventory.load();
        let inv = BASE64.encode(inventory.slice(offset, length));
        Answer::Inventory { inv }
    }

    /// The files that are there. What nobody has is left out without a note in the archive, which strangers could fill.
    fn zonefiles(&self, hashes: &[ZonefileHash], standing: Standing) -> Result<String, NamesError> {
        let archive = &self.names.archive;
        let mut files = Files::new(standing);
        for (place, hash) in hashes.iter().enumerate() {
            if hashes[..place].contains(hash) || !archive.has(hash) {
                continue;
            }
            if let Lookup::Found(bytes) = archive.get(hash)? {
                files.push(hash, &bytes);
            }
        }
        Ok(files.finish())
    }

    /// Keeps the files whose hashes the chain announces. The archive tells its subscribers of them.
    fn put(&self, files: &[Vec<u8>]) -> Result<Answer, NamesError> {
        let imported = self.names.import(files)?.into_iter();
        let is_here = |fate| matches!(fate, Imported::Stored | Imported::Known);
        Ok(Answer::Saved {
            saved: imported.map(|fate| u8::from(is_here(fate))).collect(),
        })
    }

    /// The neighbours of which the caller can be told, but for itself.
    fn peers(&self, caller: &PeerAddress) -> Answer {
        let neighbours = self.board.neighbours.load();
        let others = neighbours.iter().filter(|peer| *peer != caller);
        let peers = others.filter_map(PeerAddress::to_wire).take(PEERS_MAX);
        Answer::Peers {
            peers: peers.collect(),
        }
    }

    fn exchange(&self, peer: PeerAddress) -> Answer {
        let answer = self.peers(&peer);
        let _ = self.suggested.try_send(peer); // peers call again
        answer
    }
}

/// Height of the last indexed block, or of the one before the first.
fn last_block(names: &Names) -> u32 {
    names.next().saturating_sub(1)
}

fn to_json(record: &Record) -> serde_json::Value {
    serde_json::to_value(record).unwrap_or_default() // its keys are texts
}

fn zonefile_info(row: &Announcement) -> ZonefileInfo {
    ZonefileInfo {
        name: row.name.to_string(),
        zonefile_hash: row.hash,
        block_height: row.height,
        txid: row.txid.to_string(),
        inv_index: row.inventory_index,
    }
}

/// Where somebody is who says where: that is believed from this machine alone. Another one is supposed to be where it calls
/// from, at our port (ap §2).
fn located(said: Option<PeerAddress>, caller: Caller) -> Option<PeerAddress> {
    if caller.ip.to_canonical().is_loopback() {
        said
    } else {
        Some(PeerAddress::new(caller.ip, caller.port))
    }
}

fn consensus(snapshot: &StoreSnapshot, height: u32) -> Result<Option<ConsensusHash>, StoreError> {
    Ok(snapshot.block(height)?.map(|block| block.consensus_hash))
}

fn consensus_hashes(snapshot: &StoreSnapshot, heights: &[u32]) -> Result<Answer, StoreError> {
    let hash = |&height: &u32| Ok((height, consensus(snapshot, height)?));
    let hashes: Result<_, StoreError> = heights.iter().map(hash).collect();
    Ok(Answer::ConsensusHashes {
        consensus_hashes: hashes?,
    })
}

/// At most `count` announcements of the blocks `from` to `to`, in their order, without the first `offset` of them.
fn announced(
    snapshot: &StoreSnapshot,
    from: u32,
    to: u32,
    offset: usize,
    count: usize,
) -> Result<Answer, StoreError> {
    let first = first_row(snapshot, from)? as usize;
    let first = u32::try_from(first.saturating_add(offset)).unwrap_or(u32::MAX);
    let mut rows = snapshot.announced_from(first, count)?;
    rows.retain(|row| row.height <= to);
    let zonefile_info = rows.iter().map(zonefile_info).collect();
    Ok(Answer::Announced { zonefile_info })
}

/// The first row that a block at `height` or above announced; their heights never fall.
fn first_row(snapshot: &StoreSnapshot, height: u32) -> Result<u32, StoreError> {
    let (mut low, mut high) = (1, snapshot.counts()?.announcements as u32 + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match snapshot.announcement(middle)? {
            Some(row) if row.height < height => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}
