//! A network of schedules in virtual time: how far a new file comes, what liars achieve, what a partition leaves behind.
//!
//! A call takes 0.2 to 1 second; a round is a second. The ordinary run has 3 seeds of 200 nodes; the form for releases has
//! 20 seeds of 1,000.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::time::Duration;

use super::super::dice::Dice;
use super::super::dice::fixture::Seeded;
use super::super::inventory::Inventory;
use super::{Action, Call, Event, Failure, Reply, Schedule, Settings};
use crate::hash::ZonefileHash;
use crate::peer_address::PeerAddress;

/// The longest time a call takes.
const ROUND: Duration = Duration::from_secs(1);
/// How long nobody notices that a peer is mute.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Time to get acquainted.
const WARM_UP: Duration = Duration::from_secs(600);
/// Peers of everybody's configuration.
const SEEDS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Honest,
    /// Accepts calls and never answers.
    Mute,
    /// Claims everything, delivers nothing, and knows only its like.
    Claimer,
    /// Claims everything and delivers other files.
    Forger,
}

struct Node {
    kind: Kind,
    schedule: Schedule,
    have: Inventory,
    tick: Option<Duration>,
}

#[derive(Debug)]
enum Happening {
    Tick(usize),
    Arrives {
        from: usize,
        to: usize,
        call: Call,
        back: Duration,
    },
    Returns {
        from: usize,
        to: usize,
        end: Result<Reply, Failure>,
        call: Call,
    },
}

struct World {
    dice: Seeded,
    now: Duration,
    nodes: Vec<Node>,
    rows: u32,
    queue: BinaryHeap<Reverse<(Duration, u64)>>,
    happenings: std::collections::BTreeMap<u64, Happening>,
    count: u64,
    is_parted: bool,
    /// Whether a file was stored since somebody looked.
    is_new: bool,
}

fn address(node: usize) -> PeerAddress {
    PeerAddress::new([20 + (node >> 8) as u8, node as u8, 1, 1].into(), 6264)
}

fn node_at(peer: &PeerAddress) -> usize {
    let text = peer.to_string();
    let mut parts = text
        .split('.')
        .map(|part| part.parse::<usize>().unwrap_or_default());
    let (high, low) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    ((high - 20) << 8) + low
}

fn hash(row: u32) -> ZonefileHash {
    ZonefileHash::of(&row.to_be_bytes())
}

impl World {
    fn new(nodes: usize, liars: usize, seed: u64) -> Self {
        let mut dice = Seeded::new(seed);
        let node = |number: usize, dice: &mut Seeded| {
            let is_liar = number >= SEEDS && dice.below(100) < liars;
            let kinds = [Kind::Mute, Kind::Claimer, Kind::Forger];
            let kind = if is_liar {
                kinds[dice.below(3)]
            } else {
                Kind::Honest
            };
            let settings = Settings {
                own: vec![address(number)],
                peers: (0..SEEDS).map(address).collect(),
                ..Settings::default()
            };
            let schedule = Schedule::new(settings, Duration::ZERO);
            let (have, tick) = (Inventory::new(0), None);
            Node {
                kind,
                schedule,
                have,
                tick,
            }
        };
        let nodes: Vec<_> = (0..nodes).map(|number| node(number, &mut dice)).collect();
        let mut world = Self {
            dice,
            now: Duration::ZERO,
            nodes,
            rows: 0,
            queue: BinaryHeap::new(),
            happenings: Default::default(),
            count: 0,
            is_parted: false,
            is_new: true,
        };
        (0..world.nodes.len()).for_each(|node| world.set_tick(node));
        world
    }

    fn after(&mut self, wait: Duration, happening: Happening) {
        self.count += 1;
        self.queue.push(Reverse((self.now + wait, self.count)));
        self.happenings.insert(self.count, happening);
    }

    fn set_tick(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        let next = it.schedule.next().map(|next| next.max(self.now));
        if it.kind == Kind::Honest
            && it
                .tick
                .is_none_or(|tick| next.is_some_and(|next| next < tick))
        {
            it.tick = next;
            let wait = next.map(|next| next - self.now);
            wait.into_iter()
                .for_each(|wait| self.after(wait, Happening::Tick(node)));
        }
    }

    fn tell(&mut self, node: usize, event: Event) {
        if self.nodes[node].kind == Kind::Honest {
            let actions = self.nodes[node]
                .schedule
                .handle(event, self.now, &mut self.dice);
            self.act(node, actions);
        }
    }

    fn act(&mut self, from: usize, actions: Vec<Action>) {
        for action in actions {
            let Action::Call { peer, call } = action else {
                continue;
            };
            let (to, time) = (node_at(&peer), ROUND.mul_f64(0.2 + 0.8 * self.dice.unit()));
            let parted = self.is_parted && from % 2 != to % 2;
            let it = match (self.nodes[to].kind, parted) {
                (_, true) => Some(Failure::Unreachable),
                (Kind::Mute, _) => Some(Failure::TooSlow),
                _ => None,
            };
            match it {
                Some(failure) => {
                    let end = Err(failure);
                    self.after(
                        TIMEOUT,
                        Happening::Returns {
                            from,
                            to,
                            end,
                            call,
                        },
                    );
                }
                None => {
                    let back = time / 2;
                    self.after(
                        time / 2,
                        Happening::Arrives {
                            from,
                            to,
                            call,
                            back,
                        },
                    );
                }
            }
        }
        self.set_tick(from);
    }

    /// What a node does with a call, and what it answers.
    fn answer(&mut self, from: usize, to: usize, call: &Call) -> Result<Reply, Failure> {
        let kind = self.nodes[to].kind;
        Ok(match (call, kind) {
            (Call::Info, _) => Reply::Info { agrees: true },
            (Call::Inventory, Kind::Honest) => Reply::Inventory(self.nodes[to].have.clone()),
            (Call::Inventory, _) => {
                let bytes = vec![0xff; self.rows.div_ceil(8) as usize];
                Reply::Inventory(Inventory::from_bytes(&bytes, self.rows).expect("it fits"))
            }
            (Call::Neighbours, Kind::Honest) => {
                let told = self.nodes[to].schedule.neighbours(self.now, &mut self.dice);
                let (peer, by) = (address(from), None);
                self.tell(to, Event::Suggested { peer, by });
                Reply::Neighbours(told)
            }
            (Call::Neighbours, _) => {
                let like =
                    (0..self.nodes.len()).filter(|node| self.nodes[*node].kind != Kind::Honest);
                Reply::Neighbours(like.map(address).collect())
            }
            (Call::Fetch(asked), Kind::Honest) => {
                let have = &self.nodes[to].have;
                let rows: BTreeSet<_> = (1..=self.rows)
                    .filter(|row| have.get(*row))
                    .map(hash)
                    .collect();
                let delivered = asked.iter().filter(|hash| rows.contains(hash)).copied();
                let delivered = delivered.collect();
                Reply::Files {
                    asked: asked.clone(),
                    delivered,
                }
            }
            (Call::Fetch(_), Kind::Forger) => return Err(Failure::WrongFile),
            (Call::Fetch(asked), _) => Reply::Files {
                asked: asked.clone(),
                delivered: vec![],
            },
            (Call::Push(files), _) => {
                files.iter().for_each(|hash| self.store(to, *hash, None));
                Reply::Pushed
            }
        })
    }

    fn store(&mut self, node: usize, file: ZonefileHash, from: Option<PeerAddress>) {
        let row = (1..=self.rows)
            .find(|row| hash(*row) == file)
            .expect("announced");
        if self.nodes[node].kind == Kind::Honest && !self.nodes[node].have.get(row) {
            self.nodes[node].have.set(row);
            self.is_new = true;
            let (hash, rows) = (file, vec![row]);
            self.tell(node, Event::Fresh { hash, rows, from });
        }
    }

    /// A block announces a file that one node has.
    fn announce(&mut self, owner: usize) {
        self.rows += 1;
        let (row, hash) = (self.rows, hash(self.rows));
        for node in 0..self.nodes.len() {
            self.nodes[node].have.grow(row);
            self.tell(node, Event::Rows(row));
            if node != owner {
                self.tell(
                    node,
                    Event::Missing {
                        hash,
                        rows: vec![row],
                    },
                );
            }
        }
        self.store(owner, hash, None);
    }

    /// Lets time go by until `end`, or until something `is_done`.
    fn run(&mut self, end: Duration, is_done: impl Fn(&Self) -> bool) -> bool {
        while let Some(Reverse((time, number))) = self.queue.pop() {
            if time > end {
                self.queue.push(Reverse((time, number)));
                self.now = end;
                return is_done(self);
            }
            self.now = time;
            match self.happenings.remove(&number).expect("it was put there") {
                Happening::Tick(node) if self.nodes[node].tick == Some(time) => {
                    self.nodes[node].tick = None;
                    let actions = self.nodes[node].schedule.tick(time, &mut self.dice);
                    self.act(node, actions);
                }
                Happening::Tick(_) => {}
                Happening::Arrives {
                    from,
                    to,
                    call,
                    back,
                } => {
                    let end = self.answer(from, to, &call);
                    self.after(
                        back,
                        Happening::Returns {
                            from,
                            to,
                            end,
                            call,
                        },
                    );
                }
                Happening::Returns {
                    from,
                    to,
                    end,
                    call,
                } => self.hand_back(from, to, end, call),
            }
            if std::mem::take(&mut self.is_new) && is_done(self) {
                return true;
            }
        }
        is_done(self)
    }

    fn hand_back(&mut self, from: usize, to: usize, end: Result<Reply, Failure>, call: Call) {
        let peer = address(to);
        let delivered = match &end {
            Ok(Reply::Files { delivered, .. }) => delivered.clone(),
            _ => Vec::new(),
        };
        let event = match end {
            Ok(reply) => Event::Replied {
                peer: peer.clone(),
                reply,
            },
            Err(failure) => Event::Failed {
                peer: peer.clone(),
                call,
                failure,
            },
        };
        self.tell(from, event);
        delivered
            .into_iter()
            .for_each(|hash| self.store(from, hash, Some(peer.clone())));
    }

    fn honest(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.kind == Kind::Honest)
    }

    /// The part of the honest nodes that have a file.
    fn spread(&self, row: u32) -> f64 {
        let have = self.honest().filter(|node| node.have.get(row)).count();
        have as f64 / self.honest().count() as f64
    }

    fn is_complete(&self) -> bool {
        self.honest().all(|node| node.have.present() == self.rows)
    }
}

/// Seeds, and nodes of each.
fn form() -> (u64, usize) {
    match std::env::var("BNSD_TEST_FORM").is_ok_and(|form| form == "release") {
        true => (20, 1000),
        false => (3, 200),
    }
}

#[test]
fn a_new_file_is_nearly_everywhere_within_few_rounds() {
    let (seeds, nodes) = form();
    for seed in 0..seeds {
        let mut world = World::new(nodes, 0, seed);
        world.run(WARM_UP, |_| false);
        let owner = world.dice.below(nodes);
        world.announce(owner);
        let rounds = (nodes as f64).log(9.0).ceil() as u32 + 5;
        let start = world.now;
        let is_spread = world.run(start + ROUND * rounds, |world| world.spread(1) >= 0.99);
        let rounds = (world.now - start).as_secs_f64();
        assert!(
            is_spread,
            "seed {seed}: {} after {rounds} rounds",
            world.spread(1)
        );
        assert!(
            world.run(world.now + ROUND * 60, World::is_complete),
            "seed {seed}"
        );
    }
}

#[test]
fn honest_nodes_are_complete_whoever_lies() {
    let (seeds, nodes) = form();
    for seed in 0..seeds {
        let mut world = World::new(nodes, 30, seed);
        world.run(WARM_UP, |_| false);
        for _ in 0..20 {
            let honest: Vec<_> = (0..nodes)
                .filter(|it| world.nodes[*it].kind == Kind::Honest)
                .collect();
            let owner = honest[world.dice.below(honest.len())];
            world.announce(owner);
        }
        let start = world.now;
        let is_complete = world.run(start + Duration::from_secs(3600), World::is_complete);
        let rows = 1..=world.rows;
        let spread: Vec<_> = rows.map(|row| world.spread(row)).collect();
        assert!(is_complete, "seed {seed}: {spread:?}");
    }
}

#[test]
fn a_partition_heals() {
    let (seeds, nodes) = form();
    let nodes = nodes / 2;
    for seed in 0..seeds {
        let mut world = World::new(nodes, 0, seed);
        world.run(WARM_UP, |_| false);
        world.is_parted = true;
        let [one, other] = [0, 1].map(|side| world.dice.below(nodes / 2) * 2 + side);
        world.announce(one);
        world.announce(other);
        let end = world.now + Duration::from_secs(1200);
        world.run(end, |_| false);
        let half = world.spread(1);
        assert!((0.45..0.55).contains(&half), "seed {seed}: {half}");
        world.is_parted = false;
        let end = world.now + Duration::from_secs(3600);
        assert!(
            world.run(end, World::is_complete),
            "seed {seed}: {}",
            world.spread(1)
        );
    }
}
