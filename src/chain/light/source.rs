//! The source that the index asks.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bitcoin::block::Header;
use bitcoin::{Network, OutPoint, Transaction, TxOut, Txid};

use super::desk::{self, Auditing, Audits};
use super::evidence::Kept;
use super::fetch::{Fetcher, Log};
use super::notes::{NoteFile, Notes};
use super::place::Reader;
use super::shared::{Condition, LogState, Shared};
use super::shelf::Shelf;
use super::whole::{self, Full};
use super::window::Window;
use super::{LightOptions, LogPlace};
use crate::chain::evidence::not_spent;
use crate::chain::headers::HeaderChain;
use crate::chain::log::manifest::SEGMENT_BLOCKS;
use crate::chain::log::record::Evidence;
use crate::chain::p2p::Peers;
use crate::chain::{
    Block, BlockRef, ChainSource, Event, HEADERS_MAX, Indexed, Result, SourceError, checked, header,
};
use crate::clock::{Clock as _, SystemClock};
use crate::progress::Known;
use crate::worker;

/// Longest wait for a window within one question.
const PATIENCE: Duration = Duration::from_millis(100);
/// How old the newest block may be for the index to count as synced: one interval in a hundred million is longer.
const FRESH: Duration = Duration::from_secs(3 * 3600);
/// For how long after the start the headers that a Bitcoin peer claims to have are waited for. Nothing proves the claim.
const HEADERS_TIME: Duration = Duration::from_secs(20);
/// How long ago a log has to have been heard for that.
const HEARD: Duration = Duration::from_secs(120);

/// Follows logs.
pub struct LightSource {
    pub(super) options: LightOptions,
    pub(super) headers: Arc<Mutex<HeaderChain>>,
    pub(super) indexed: Box<dyn Indexed>,
    pub(super) shared: Arc<Shared>,
    pub(super) thread: Option<JoinHandle<()>>,
    pub(super) windows: BTreeMap<u32, Window>,
    /// Candidates that were given out and may not be in the index yet.
    pub(super) recent: HashMap<(u32, u32), Transaction>,
    /// An indexed block that lacks a candidate, and who left it out.
    pub(super) hole: Option<(u32, String)>,
    pub(super) notes: Notes,
    pub(super) file: NoteFile,
    /// Why the index stays where it is.
    pub(super) held: Option<String>,
    /// Blocks from which something was left out, by height.
    pub(super) found: BTreeMap<u32, Block>,
    pub(super) auditing: Auditing,
    pub(super) kept: Kept,
    /// Blocks from Bitcoin peers.
    pub(super) full: Option<Full>,
    began: Instant,
    /// The highest height up to which the pins were compared.
    pub(super) pinned_to: Option<u32>,
}

impl LightSource {
    /// A source; nothing is asked before the first question. `headers` are those in the directory of the options.
    pub fn new(
        options: LightOptions,
        headers: Arc<Mutex<HeaderChain>>,
        peers: Option<Arc<Peers>>,
        indexed: Box<dyn Indexed>,
    ) -> Self {
        let (file, notes) = NoteFile::open(&options.directory);
        let shared = Arc::new(Shared::default());
        shared.lock().checked.clone_from(&notes.checked);
        Self {
            found: found(&options),
            auditing: Auditing::new(),
            kept: Kept::default(),
            options,
            headers,
            indexed,
            shared,
            thread: None,
            windows: BTreeMap::new(),
            recent: HashMap::new(),
            hole: None,
            notes,
            file,
            held: None,
            full: peers.map(Full::new),
            began: Instant::now(),
            pinned_to: None,
        }
    }

    pub(super) fn header_chain(&self) -> MutexGuard<'_, HeaderChain> {
        self.headers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread that reads logs, once.
    fn start(&mut self) -> Result<()> {
        if self.thread.is_some() {
            return Ok(());
        }
        let directory = &self.options.directory;
        let shelf = Shelf::open(directory).map_err(|error| {
            let directory = directory.display();
            SourceError::Unavailable(format!("cannot use {directory}: {error}"))
        })?;
        let log = |place: &LogPlace| {
            let ending = Arc::clone(&self.shared.ending);
            Log::new(
                place.to_string(),
                Reader::new(place.clone(), self.options.proxy, ending),
            )
        };
        let state = |place: &LogPlace| {
            let name = place.to_string();
            LogState {
                lacks: self.notes.lacking.contains(&name),
                name,
                condition: Condition::New,
                entries: Vec::new(),
            }
        };
        self.shared.lock().logs = self.options.logs.iter().map(state).collect();
        let fetcher = Fetcher {
            chain: self.options.chain(),
            headers: Arc::clone(&self.headers),
            shelf,
            shared: Arc::clone(&self.shared),
            logs: self.options.logs.iter().map(log).collect(),
            cache: Vec::new(),
            clock: SystemClock::start(),
            published_at: None,
        };
        let thread = worker::thread("logs", move || fetcher.run());
        let thread = thread.map_err(|error| {
            SourceError::Unavailable(format!("cannot start the thread that reads logs: {error}"))
        })?;
        self.thread = Some(thread);
        Ok(())
    }

    fn try_next(&mut self, tip: Option<BlockRef>, first_block: u32) -> Result<Event> {
        self.start()?;
        if let Some(event) = self.prepare() {
            return Ok(event);
        }
        if let Some(tip) = tip
            && let Some(event) = self.place_of(tip)?
        {
            return Ok(event);
        }
        let height = tip.map_or(first_block, |tip| tip.height.saturating_add(1));
        self.want(height);
        self.receive(tip)?;
        self.require_whole(tip)?;
        if let Some(tip) = tip
            && !self.check_hashes(tip)?
        {
            return Ok(Event::Preparing { done: 0, of: 1 }); // as soon as the tip is committed
        }
        let best = self.header_chain().tip();
        if height.saturating_add(self.options.confirmations) > best.height {
            return self.rest(tip, best);
        }
        if let Some(block) = self.found_at(height) {
            return self.show_block(block);
        }
        if self.comes_whole(height, best) {
            return self.show_whole(height, best);
        }
        if self.is_told(height) {
            return self.show(height);
        }
        let conditions = self.shared.lock().conditions();
        Ok(self.hold(format!(
            "block {height} has a header, and no log tells of it yet: {conditions}"
        )))
    }

    /// What there is to do before the headers are known.
    fn prepare(&mut self) -> Option<Event> {
        let headers = self.header_chain();
        let (tip, is_enough) = (headers.tip(), headers.has_enough_work());
        drop(headers);
        let state = self.shared.lock();
        if let Some((done, of)) = state.headers.filter(|(_, of)| *of >= SEGMENT_BLOCKS) {
            drop(self.shared.wait(state, PATIENCE));
            let (done, of) = (done as usize, of as usize);
            return Some(Event::Preparing {
                done: done.min(of - 1),
                of,
            });
        }
        let has_peers = self
            .full
            .as_ref()
            .is_some_and(|full| full.peers.status().connected > 0);
        if is_enough && (state.asked_all || has_peers) {
            return None;
        }
        let (conditions, asked_all) = (state.conditions(), state.asked_all);
        drop(self.shared.wait(state, PATIENCE));
        Some(match asked_all {
            false => Event::Preparing { done: 0, of: 1 },
            true => self.hold(format!(
                "block headers reach to {} and show less work than the network has: {conditions}",
                tip.height
            )),
        })
    }

    /// What to do with a tip that is not on the best chain.
    fn place_of(&mut self, tip: BlockRef) -> Result<Option<Event>> {
        let (hash, best) = {
            let headers = self.header_chain();
            (headers.hash_at(tip.height), headers.tip())
        };
        match hash {
            Some(hash) if hash == tip.hash => Ok(None),
            Some(_) => {
                self.recent.clear();
                Ok(Some(Event::Disconnect))
            }
            None => Err(SourceError::Behind {
                source_name: self.describe(),
                reach: best.height,
                tip: tip.height,
            }),
        }
    }

    /// Tells the thread what is needed next. It reads windows, so that it is woken for the first block of one only.
    fn want(&self, height: u32) {
        let before = self.shared.lock().wanted.replace(height);
        if before.map(|before| before / SEGMENT_BLOCKS) != Some(height / SEGMENT_BLOCKS) {
            self.shared.notify();
        }
    }

    /// An error as long as the index has a block with a hole.
    fn require_whole(&mut self, tip: Option<BlockRef>) -> Result<()> {
        let Some((height, source_names)) = self.hole.clone() else {
            return Ok(());
        };
        if tip.is_some_and(|tip| tip.height >= height) {
            return Err(SourceError::Hole {
                height,
                source_names,
            });
        }
        self.hole = None;
        self.recent.clear();
        self.pinned_to = None;
        Ok(())
    }

    /// Whether a log tells of a block.
    pub(super) fn is_told(&self, height: u32) -> bool {
        self.shared.lock().telling(height).next().is_some()
    }

    /// Nothing follows: that is true only if somebody was heard lately and the newest block is not old.
    fn rest(&mut self, tip: Option<BlockRef>, best: BlockRef) -> Result<Event> {
        if let Some(missing) = self.doubt(best) {
            return Ok(self.hold(missing));
        }
        self.held = None;
        self.write_notes();
        self.audit(tip, best)?;
        Ok(Event::Idle)
    }

    /// Why there may be more blocks than anybody shows.
    fn doubt(&self, best: BlockRef) -> Option<String> {
        let header = self.header_chain().header_at(best.height);
        let age = header.map_or(u64::MAX, |header| {
            let now = SystemClock::start().unix_time();
            now.saturating_sub(header.time.into())
        });
        let state = self.shared.lock();
        let is_heard = match &self.full {
            Some(full) => full
                .peers
                .status()
                .last_heard
                .is_some_and(|ago| ago < whole::HEARD),
            None => state
                .logs
                .iter()
                .any(|log| matches!(log.condition, Condition::Heard(at) if at.elapsed() < HEARD)),
        };
        let conditions = state.conditions();
        drop(state);
        if !is_heard {
            let who = if self.full.is_some() {
                "no Bitcoin peer"
            } else {
                "no log"
            };
            return Some(format!("{who} was heard lately: {conditions}"));
        }
        let claimed = self
            .full
            .as_ref()
            .and_then(|full| full.peers.status().best_claimed);
        if let Some(claimed) = claimed.filter(|claimed| *claimed > best.height)
            && self.began.elapsed() < HEADERS_TIME
        {
            return Some(format!("block headers up to {claimed} are on their way"));
        }
        if self.options.network != Network::Regtest && age > FRESH.as_secs() {
            let (height, hours) = (best.height, age / 3600);
            return Some(format!(
                "the newest block that anybody shows, {height}, is {hours} hours old: {conditions}"
            ));
        }
        None
    }

    /// Notes why the index stays where it is.
    pub(super) fn hold(&mut self, why: String) -> Event {
        self.held = Some(why.clone());
        Event::Waiting(why)
    }
}

/// The blocks that were kept because something was left out of them.
fn found(options: &LightOptions) -> BTreeMap<u32, Block> {
    let limit = checked::easiest_target(options.network);
    let blocks = desk::found(&options.directory).into_iter();
    let blocks = blocks.filter_map(|(height, raw)| {
        let hash = header::parse(&raw).ok()?.block_hash();
        let block = checked::block(BlockRef { height, hash }, raw, limit).ok()?;
        Some((height, block))
    });
    blocks.collect()
}

impl ChainSource for LightSource {
    fn next(&mut self, tip: Option<BlockRef>, first_block: u32) -> Result<Event> {
        self.try_next(tip, first_block)
    }

    fn prevouts(&mut self, block: &Block, outpoints: &[OutPoint]) -> Result<Vec<TxOut>> {
        match outpoints.first() {
            None => Ok(Vec::new()),
            Some(outpoint) => Err(not_spent(block.at, *outpoint)),
        }
    }

    fn headers(&mut self, from: u32, count: u32) -> Result<Vec<Header>> {
        Ok(self.header_chain().headers(from, count.min(HEADERS_MAX)))
    }

    fn evidence(
        &mut self,
        at: BlockRef,
        _magic: [u8; 2],
        _known: &dyn Fn(&Txid) -> bool,
    ) -> Result<Evidence> {
        self.evidence_of(at)
    }

    fn known(&self) -> Option<Known> {
        let state = self.shared.lock();
        let is_whole = |log: &&LogState| {
            let is_heard = !matches!(log.condition, Condition::LeftOut(_) | Condition::New);
            is_heard && !log.lacks && log.reach().is_some()
        };
        let pins = self.options.pins.iter().map(|(height, _)| *height);
        Some(Known {
            sources: state.logs.iter().filter(is_whole).count(),
            audited: self.notes.audited,
            vouched: None,
            pinned: pins
                .filter(|height| self.pinned_to.is_some_and(|to| to >= *height))
                .max(),
            full_from: self.notes.full_from,
            held: self.held.clone(),
            alarm: None,
        })
    }

    fn audits(&self) -> Option<Audits> {
        Some(self.auditing.audits.clone())
    }

    fn best_height(&mut self) -> Result<u32> {
        Ok(self.header_chain().tip().height)
    }

    fn holds(&mut self, at: BlockRef) -> Result<bool> {
        Ok(self.header_chain().hash_at(at.height) == Some(at.hash))
    }

    fn wait(&mut self, patience: Duration) {
        if let Some(full) = &self.full {
            full.peers.wait(patience);
            return;
        }
        let end = Instant::now() + patience;
        let mut state = self.shared.lock();
        let before = state.reach();
        while state.reach() == before && state.windows.is_empty() && !self.shared.ending.is_set() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.shared.wait(state, left);
        }
    }

    fn stop_with(&mut self, stop: Arc<AtomicBool>) {
        self.shared.ending.stop_with(stop);
    }

    fn describe(&self) -> String {
        let names: Vec<String> = self.options.logs.iter().map(ToString::to_string).collect();
        format!("the log in {}", names.join(", "))
    }
}

impl Drop for LightSource {
    fn drop(&mut self) {
        self.shared.ending.set();
        self.shared.notify();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic was reported when it happened
        }
    }
}
