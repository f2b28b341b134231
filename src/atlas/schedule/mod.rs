//! What to ask of which peer, and when. Events, time and randomness in; actions out.
//!
//! A node keeps a table of peers that agree with its chain, and eight of them as neighbours: it follows their inventories,
//! fetches what it lacks from them, rarest first, and pushes new files to those that lack them. A walk over the network
//! replaces neighbours one by one with uniform samples, so that no part of the network stays apart and nobody can choose
//! whose neighbour to be. All numbers are bounded, whatever peers say.
//!
//! | file | holds |
//! |---|---|
//! | `exchange.rs` | events and actions |
//! | `acquaintance.rs` | whom we get to know: candidates, the walk |
//! | `circle.rs` | who is a neighbour |
//! | `traffic.rs` | inventories, fetches, pushes, backups |
//! | `replies.rs` | what ends a call |

mod acquaintance;
mod circle;
mod exchange;
mod replies;
mod traffic;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use exchange::{Action, Call, Event, Failure, PeerState, Reply, Settings};

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::candidates::{Candidates, Source};
use super::dice::Dice;
use super::inventory::Inventory;
use super::peer::Peer;
use super::peer_table::{Lists, PeerTable};
use super::pushes::Pushes;
use super::walk::Walk;
use super::wanted::Wanted;
use crate::hash::ZonefileHash;
use crate::peer_address::PeerAddress;

/// Missing files from which on new ones are not pushed: a node that fetches an archive has nothing that is new to others.
const MISSING_TO_PUSH: usize = 1000;

/// The state of the network as one node sees it. All times are durations since one moment of the caller's choice.
#[derive(Debug)]
pub struct Schedule {
    lists: Lists,
    wish: Wish,
    table: PeerTable,
    candidates: Candidates,
    /// Candidates that are being asked who they are.
    probing: BTreeSet<PeerAddress>,
    neighbours: BTreeMap<PeerAddress, Neighbour>,
    walk: Walk<PeerAddress>,
    wanted: Wanted,
    pushes: Pushes,
    /// The most rows that our chain ever had.
    rows: u32,
    times: Times,
}

/// The numbers of the settings.
#[derive(Debug)]
struct Wish {
    neighbours: usize,
    per_prefix: usize,
    backups: bool,
}

/// A peer whose inventory we follow.
#[derive(Debug)]
struct Neighbour {
    joined: Duration,
    inventory: Option<Inventory>,
    /// When its inventory was last asked for.
    asked: Option<Duration>,
    is_asking: bool,
    /// When it was last asked who it is.
    checked: Duration,
    /// How many missing files it has.
    offers: usize,
    /// Calls for files that are under way.
    fetches: usize,
    /// Most files of a call.
    batch: usize,
    /// When the next call for files may begin.
    next_fetch: Duration,
    is_pushing: bool,
    /// Where in the queue of new files it goes on.
    next_push: u64,
}

/// When what happens next.
#[derive(Debug)]
struct Times {
    /// When the last tick was.
    now: Duration,
    /// Whether an event waits for a tick.
    stirred: bool,
    walk: Duration,
    clean: Duration,
    freshen: Duration,
    rotate: Duration,
    backups: Duration,
    /// When the backups may be asked again after none answered.
    backups_up: Duration,
    /// Since when the backups are being asked.
    backups_since: Option<Duration>,
    /// When last something was missing, or wanted, that no neighbour had.
    hurry: Duration,
}

impl Schedule {
    /// A node that knows nobody but the peers of its configuration.
    pub fn new(settings: Settings, now: Duration) -> Self {
        let mut table = PeerTable::default();
        let lists = Lists {
            own: settings.own,
            peers: settings.peers,
            allow: settings.allow,
            deny: settings.deny,
        };
        for peer in lists.peers.iter().filter(|peer| lists.admit(peer)) {
            table.configure(peer.clone(), now);
        }
        Self {
            lists,
            wish: Wish {
                neighbours: settings.neighbours,
                per_prefix: settings.per_prefix,
                backups: settings.backups,
            },
            table,
            candidates: Candidates::default(),
            probing: BTreeSet::new(),
            neighbours: BTreeMap::new(),
            walk: Walk::new(),
            wanted: Wanted::default(),
            pushes: Pushes::default(),
            rows: 0,
            times: Times {
                now,
                stirred: true,
                walk: now,
                clean: now + acquaintance::CLEAN_EACH,
                freshen: now + acquaintance::FRESHEN_EACH,
                rotate: now + circle::ROTATE_EACH,
                backups: now + traffic::BACKUPS_AFTER,
                backups_up: now,
                backups_since: None,
                hurry: now,
            },
        }
    }

    /// Takes in what happened; what to do because of it. Events that come in great numbers only make a tick due, so that
    /// one call asks for many files.
    pub fn handle(&mut self, event: Event, now: Duration, dice: &mut impl Dice) -> Vec<Action> {
        let mut actions = Vec::new();
        self.times.stirred = true;
        match event {
            Event::Suggested { peer, by } => {
                let source = by.map_or(Source::Caller, |by| Source::Peer(by.prefix()));
                self.suggest(peer, source, now, dice);
            }
            Event::Remembered(peer) => self.suggest(peer, Source::Memory, now, dice),
            Event::Rows(rows) => self.rows = self.rows.max(rows),
            Event::Missing { hash, rows } => self.miss(hash, rows, now),
            Event::NotMissing(hash) => self.forget_missing(&hash),
            Event::Fresh { hash, rows, from } => self.take_fresh(hash, rows, from.as_ref()),
            Event::Asked(hash) => self.want_now(hash, now),
            Event::Replied { peer, reply } => {
                self.take_reply(&peer, reply, now, dice, &mut actions);
                actions.extend(self.tick(now, dice));
            }
            Event::Failed {
                peer,
                call,
                failure,
            } => {
                self.take_failure(&peer, &call, failure, now, dice);
                actions.extend(self.tick(now, dice));
            }
            Event::BackupsAsked {
                failed,
                unasked,
                are_down,
            } => {
                self.end_backups(&failed, &unasked, now);
                if are_down {
                    self.times.backups_up = now + traffic::BACKUPS_EACH;
                }
            }
        }
        actions
    }

    /// What to do because time went by, or because events wait.
    pub fn tick(&mut self, now: Duration, dice: &mut impl Dice) -> Vec<Action> {
        let mut actions = Vec::new();
        self.times.now = now;
        self.times.stirred = false;
        self.get_acquainted(now, dice, &mut actions);
        self.keep_circle(now, dice, &mut actions);
        self.take_step(now, dice, &mut actions);
        self.ask_inventories(now, &mut actions);
        self.fetch(now, dice, &mut actions);
        self.push(now, &mut actions);
        self.ask_backups(now, &mut actions);
        actions
    }

    /// When [`Schedule::tick`] is due, if nothing happens before.
    pub fn next(&self) -> Option<Duration> {
        let times = &self.times;
        if times.stirred {
            return Some(times.now);
        }
        let fixed = [times.walk, times.clean, times.freshen, times.rotate];
        let backups = self.next_backups();
        let late = self.wanted.next_late(times.now);
        let neighbours = self.neighbours.iter();
        let traffic = neighbours.flat_map(|(peer, neighbour)| self.next_traffic(peer, neighbour));
        let configured = self
            .lists
            .peers
            .iter()
            .filter_map(|peer| self.table.get(peer));
        let configured = configured.map(Peer::free_at);
        let all = fixed.into_iter().chain(backups).chain(late);
        let all = all.chain(traffic).chain(configured);
        all.filter(|time| *time > times.now).min()
    }

    /// Whom to tell others of: peers that answered within the hour and are healthy, at most 80, in random order. Those of
    /// our own network are left out unless a list names them.
    pub fn neighbours(&self, now: Duration, dice: &mut impl Dice) -> Vec<PeerAddress> {
        self.table.live(now, dice)
    }

    /// All peers, neighbours first.
    pub fn peers(&self, now: Duration) -> Vec<PeerState> {
        let mut peers: Vec<PeerState> = self
            .table
            .iter()
            .map(|(address, peer)| {
                let neighbour = self.neighbours.get(address);
                let inventory = neighbour.and_then(|neighbour| neighbour.inventory.as_ref());
                PeerState {
                    address: address.clone(),
                    configured: peer.configured,
                    neighbour: neighbour.is_some(),
                    health: peer.health(now),
                    calls: peer.calls(now),
                    strikes: peer.strikes(now),
                    banned_for: peer.banned_for(now),
                    answered: peer.answered.map(|at| now.saturating_sub(at)),
                    present: inventory.map(Inventory::present),
                }
            })
            .collect();
        peers.sort_by_key(|peer| !peer.neighbour);
        peers
    }

    /// A file is missing. If no neighbour has it, their inventories are asked for at once.
    fn miss(&mut self, hash: ZonefileHash, rows: Vec<u32>, now: Duration) {
        self.forget_missing(&hash);
        self.wanted.add(hash, rows);
        let mut claims = 0;
        for neighbour in self.neighbours.values_mut() {
            let inventory = neighbour.inventory.as_ref();
            if inventory.is_some_and(|inventory| self.wanted.claimed(&hash, inventory)) {
                neighbour.offers += 1;
                claims += 1;
            }
        }
        self.wanted.set_claims(&hash, claims);
        if claims == 0 {
            self.times.hurry = now;
        }
    }

    /// A file is not missing any more.
    fn forget_missing(&mut self, hash: &ZonefileHash) {
        for neighbour in self.neighbours.values_mut() {
            let inventory = neighbour.inventory.as_ref();
            if inventory.is_some_and(|inventory| self.wanted.claimed(hash, inventory)) {
                neighbour.offers = neighbour.offers.saturating_sub(1);
            }
        }
        self.wanted.remove(hash);
    }

    /// Somebody waits for a file: it goes first, and if no neighbour had it, they are asked again.
    fn want_now(&mut self, hash: ZonefileHash, now: Duration) {
        self.wanted.urge(hash);
        if self.wanted.nobody_has(&hash) {
            if now.saturating_sub(self.times.hurry) >= traffic::HURRY_AGAIN {
                self.times.hurry = now;
            }
            self.times.backups = now;
        }
    }

    /// A new file: whoever sent it has it, and the other neighbours may lack it.
    fn take_fresh(&mut self, hash: ZonefileHash, rows: Vec<u32>, from: Option<&PeerAddress>) {
        self.forget_missing(&hash);
        let sender = from.and_then(|from| self.neighbours.get_mut(from));
        if let Some(inventory) = sender.and_then(|sender| sender.inventory.as_mut()) {
            let ours = rows.iter().filter(|row| **row <= self.rows);
            ours.for_each(|row| inventory.set(*row));
        }
        if self.wanted.len() < MISSING_TO_PUSH {
            self.pushes.add(hash, rows);
        }
    }
}
