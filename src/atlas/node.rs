//! The node: joins what the schedule decides with chain, archive, peers and server.
//!
//! It runs on a runtime of its own, so that nothing that a peer does can hold up an answer over DNS.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::calls::{Caller, Ended};
use super::desk::Board;
use super::dice::Dice;
use super::ledger::Ledger;
use super::schedule::{Action, Call, Event, Failure, Reply, Schedule, Settings};
use super::shared::{Report, Shared};
use super::signals::News;
use crate::hash::ZonefileHash;
use crate::peer_address::PeerAddress;
use crate::store::{Archive, RememberedPeer, StoreError};
use crate::worker::Tasks;

/// How often what is shown is brought up to date, and the chain read again after a failure.
const LOOK: Duration = Duration::from_secs(1);
/// Peers of the last run that are asked again.
const REMEMBERED_MAX: usize = 800;
/// Seconds after which a silent peer is forgotten (Atlas §5).
const PEER_AGE_MAX: u64 = 2_678_400;
/// How often it is looked for how long files have been missing.
const MISSING_EVERY: Duration = Duration::from_secs(3_600);
/// The first time after the start.
const MISSING_SOON: Duration = Duration::from_secs(60);
/// Missing files that are looked at for that.
const MISSING_MAX: usize = 10_000;
/// The window in which fetched files are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// A node of Atlas.
pub struct Node {
    schedule: Schedule,
    ledger: Ledger,
    dice: Random,
    caller: Arc<Caller>,
    shared: Arc<Shared>,
    board: Arc<Board>,
    suggested: Receiver<PeerAddress>,
    ended: (UnboundedSender<Ended>, UnboundedReceiver<Ended>),
    calls: Tasks,
    /// Whether the chain has to be read, since the last time failed or a commit came.
    is_behind: bool,
    /// Whether the rows of the start have been read.
    has_begun: bool,
    /// When each peer was first heard of, seconds since 1970.
    discovered: HashMap<String, u64>,
    /// Files of the last minute, by when they came.
    fetched: VecDeque<(Duration, usize)>,
    looked: Duration,
    search_at: Duration,
    long_missing: usize,
}

/// Ends a call that panics or is aborted, so that its peer is not taken for busy for ever.
struct Unended(Option<(UnboundedSender<Ended>, Event)>);

impl Unended {
    fn new(ended: &UnboundedSender<Ended>, peer: &PeerAddress, call: &Call) -> Self {
        let failed = Event::Failed {
            peer: peer.clone(),
            call: call.clone(),
            failure: Failure::Unreachable,
        };
        Self(Some((ended.clone(), failed)))
    }

    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Unended {
    fn drop(&mut self) {
        if let Some((ended, failed)) = self.0.take() {
            let _ = ended.send(Ended::Call(failed)); // the node ends
        }
    }
}

/// Numbers from the system's generator.
struct Random(StdRng);

impl Dice for Random {
    fn below(&mut self, bound: usize) -> usize {
        if bound == 0 {
            0
        } else {
            self.0.random_range(0..bound)
        }
    }

    fn unit(&mut self) -> f64 {
        self.0.random()
    }
}

impl Node {
    /// A node that has read nothing yet.
    pub fn new(
        settings: Settings,
        caller: Caller,
        (shared, board): (&Arc<Shared>, &Arc<Board>),
        suggested: Receiver<PeerAddress>,
    ) -> Self {
        let now = caller.names.clock.elapsed();
        Self {
            schedule: Schedule::new(settings, now),
            ledger: Ledger::new(caller.names.chosen.clone()),
            dice: Random(StdRng::from_rng(&mut rand::rng())),
            caller: Arc::new(caller),
            shared: Arc::clone(shared),
            board: Arc::clone(board),
            suggested,
            ended: unbounded_channel(),
            calls: Tasks::new("a call to a peer"),
            discovered: HashMap::new(),
            is_behind: true,
            has_begun: false,
            fetched: VecDeque::new(),
            looked: now,
            search_at: now + MISSING_SOON,
            long_missing: 0,
        }
    }

    /// Works until it is told to stop.
    pub async fn run(mut self) {
        self.begin();
        loop {
            let now = self.now();
            let due = self.schedule.next().unwrap_or(now + LOOK);
            let wait = due.saturating_sub(now).min(LOOK);
            tokio::select! {
                news = self.shared.signals.next() => match news.stop {
                    true => return,
                    false => self.take(news),
                },
                Some(ended) = self.ended.1.recv() => self.finish(ended),
                Some(peer) = self.suggested.recv() => {
                    self.handle(Event::Suggested { peer, by: None });
                }
                () = sleep(wait) => {}
            }
            self.tick();
        }
    }

    fn now(&self) -> Duration {
        self.caller.names.clock.elapsed()
    }

    /// Reads the archive, the chain and the peers of the last run.
    fn begin(&mut self) {
        let archive = Arc::clone(&self.caller.names.archive);
        let go_on = || !self.shared.signals.is_stopped();
        let listing = block_in_place(|| archive.listing(go_on));
        if let Err(error) = &listing {
            tracing::warn!("{error}");
        }
        self.follow(|_, hash| listing.as_ref().is_ok_and(|listing| listing.has(hash)));
        self.has_begun = !self.is_behind;
        match block_in_place(|| self.caller.offchain.remembered()) {
            Ok(peers) => self.remember_all(peers),
            Err(error) => tracing::warn!("the peers of the last run are forgotten: {error}"),
        }
    }

    /// Those that answered last come first; who has been silent for too long is forgotten.
    fn remember_all(&mut self, mut peers: Vec<RememberedPeer>) {
        let now = self.caller.names.clock.unix_time();
        peers.sort_unstable_by_key(|peer| Reverse(peer.last_seen));
        let is_kept = |(place, peer): &(usize, RememberedPeer)| {
            *place < REMEMBERED_MAX && now.saturating_sub(peer.last_seen) <= PEER_AGE_MAX
        };
        let (kept, old): (Vec<_>, Vec<_>) = peers.into_iter().enumerate().partition(is_kept);
        let old: Vec<String> = old.into_iter().map(|(_, peer)| peer.address).collect();
        if !old.is_empty() {
            warn_of(block_in_place(|| self.caller.offchain.forget(&old)));
        }
        kept.into_iter().for_each(|(_, peer)| self.remember(peer));
    }

    fn remember(&mut self, peer: RememberedPeer) {
        if let Ok(address) = peer.address.parse() {
            self.discovered.insert(peer.address, peer.discovered);
            self.handle(Event::Remembered(address));
        }
    }

    fn tick(&mut self) {
        let now = self.now();
        if self.schedule.next().is_some_and(|due| due <= now) {
            let actions = self.schedule.tick(now, &mut self.dice);
            self.act(actions);
        }
        if now.saturating_sub(self.looked) >= LOOK {
            self.looked = now;
            self.look();
        }
        if now >= self.search_at {
            self.search_at = now + MISSING_EVERY;
            self.search();
        }
    }

    fn handle(&mut self, event: Event) {
        let now = self.now();
        let actions = self.schedule.handle(event, now, &mut self.dice);
        self.act(actions);
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Call { peer, call } => {
                    let (caller, ended) = (Arc::clone(&self.caller), self.ended.0.clone());
                    let rows = self.ledger.rows().len();
                    let failed = Unended::new(&ended, &peer, &call);
                    self.calls.spawn(async move {
                        let done = caller.call(peer, call, rows).await;
                        failed.disarm();
                        let _ = ended.send(done); // the node ends
                    });
                }
                Action::AskBackups(hashes) => {
                    let (caller, ended) = (Arc::clone(&self.caller), self.ended.0.clone());
                    self.calls.spawn(async move {
                        let _ = ended.send(caller.ask_backups(hashes).await); // as above
                    });
                }
                Action::Remember(peer) => self.keep(&peer),
                Action::Forget(peer) => self.forget(&peer),
            }
        }
    }

    fn keep(&mut self, peer: &PeerAddress) {
        let (address, now) = (peer.to_string(), self.caller.names.clock.unix_time());
        let discovered = *self.discovered.entry(address.clone()).or_insert(now);
        let peer = RememberedPeer {
            address,
            discovered,
            last_seen: now,
        };
        warn_of(block_in_place(|| self.caller.offchain.remember(&[peer])));
    }

    fn forget(&mut self, peer: &PeerAddress) {
        let address = peer.to_string();
        self.discovered.remove(&address);
        warn_of(block_in_place(|| self.caller.offchain.forget(&[address])));
    }

    fn take(&mut self, news: News) {
        for (hash, is_here) in news.changed {
            self.note(hash, is_here, None);
        }
        for hash in news.asked {
            if self.ledger.rows().is_wanted(&hash) && !self.ledger.rows().is_present(&hash) {
                self.handle(Event::Asked(hash));
            }
        }
        if news.commit {
            self.follow(|archive, hash| archive.contains(hash).unwrap_or(false));
        }
        self.show_inventory();
    }

    fn finish(&mut self, ended: Ended) {
        match ended {
            Ended::Call(event) => self.handle(event),
            Ended::Files {
                peer,
                asked,
                delivered,
            } => {
                self.fetched.push_back((self.now(), delivered.len()));
                let reply = Reply::Files {
                    asked,
                    delivered: delivered.clone(),
                };
                let replied = Event::Replied {
                    peer: peer.clone(),
                    reply,
                };
                self.handle(replied);
                for hash in delivered {
                    self.note(hash, true, Some(peer.clone()));
                }
                self.show_inventory();
            }
            Ended::Backups { found, event } => {
                self.fetched.push_back((self.now(), found.len()));
                for hash in found {
                    self.note(hash, true, None);
                }
                self.handle(event);
                self.show_inventory();
            }
            Ended::Searched(long_missing) => self.long_missing = long_missing,
        }
    }

    /// A file is here, or is not any more.
    fn note(&mut self, hash: ZonefileHash, is_here: bool, from: Option<PeerAddress>) {
        if !self.ledger.rows_mut().note(&hash, is_here) {
            return;
        }
        let rows = self.ledger.rows().of(&hash);
        if is_here {
            self.handle(Event::NotMissing(hash));
            self.handle(Event::Fresh { hash, rows, from });
        } else if self.ledger.rows().is_wanted(&hash) {
            self.handle(Event::Missing { hash, rows });
        }
    }

    /// Reads what is new on the chain.
    fn follow(&mut self, is_here: impl Fn(&Archive, &ZonefileHash) -> bool) {
        let names = Arc::clone(&self.caller.names);
        let snapshot = names.store.snapshot();
        let ledger = &mut self.ledger;
        let followed =
            block_in_place(|| ledger.follow(&snapshot, |hash| is_here(&names.archive, hash)));
        self.is_behind = followed.is_err();
        let followed = match followed {
            Ok(followed) => followed,
            Err(error) => {
                tracing::warn!("announcements of zone files cannot be read: {error}");
                return;
            }
        };
        self.show_inventory();
        self.handle(Event::Rows(self.ledger.rows().len()));
        let gone: HashSet<ZonefileHash> = followed.gone.into_iter().collect();
        for hash in gone {
            let newest = self.ledger.rows().newest(&hash);
            if !newest.is_some_and(|number| followed.new.contains(&number)) {
                self.announce(hash, false);
            }
        }
        for number in followed.new {
            let rows = self.ledger.rows();
            let hash = rows.hash(number);
            if let Some(hash) = hash.filter(|hash| rows.newest(hash) == Some(number)) {
                self.announce(hash, true);
            }
        }
    }

    /// The rows of a hash have changed.
    fn announce(&mut self, hash: ZonefileHash, is_new: bool) {
        let rows = self.ledger.rows();
        let (numbers, is_present) = (rows.of(&hash), rows.is_present(&hash));
        if !is_present && rows.is_wanted(&hash) {
            self.handle(Event::Missing {
                hash,
                rows: numbers,
            });
        } else {
            self.handle(Event::NotMissing(hash));
            if is_present && is_new && self.has_begun {
                self.handle(Event::Fresh {
                    hash,
                    rows: numbers,
                    from: None,
                });
            }
        }
    }

    fn show_inventory(&self) {
        let present = self.ledger.rows().present();
        self.board.set_inventory(Arc::new(present.clone()));
    }

    /// Brings what is shown up to date, and tries again what failed.
    fn look(&mut self) {
        if self.is_behind {
            self.follow(|archive, hash| archive.contains(hash).unwrap_or(false));
            self.has_begun |= !self.is_behind;
        }
        let now = self.now();
        let neighbours = self.schedule.neighbours(now, &mut self.dice);
        self.board.set_neighbours(neighbours);
        while self
            .fetched
            .front()
            .is_some_and(|(at, _)| now.saturating_sub(*at) > MINUTE)
        {
            self.fetched.pop_front();
        }
        let rows = self.ledger.rows();
        let (wanted, present) = rows.wanted();
        self.shared.report.store(Arc::new(Report {
            peers: self.schedule.peers(now),
            announcements: rows.len(),
            wanted,
            present,
            a_minute: self.fetched.iter().map(|(_, count)| count).sum(),
            long_missing: self.long_missing,
        }));
    }

    /// Looks for how long files have been missing.
    fn search(&self) {
        let missing: HashSet<ZonefileHash> = self
            .ledger
            .rows()
            .missing()
            .take(MISSING_MAX)
            .copied()
            .collect();
        let (caller, ended) = (Arc::clone(&self.caller), self.ended.0.clone());
        self.calls.spawn(async move {
            let long = caller.long_missing(missing).await;
            let _ = ended.send(Ended::Searched(long)); // as above
        });
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.calls.abort_all();
    }
}

fn warn_of(result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::warn!("peers are not kept for the next start: {error}");
    }
}
