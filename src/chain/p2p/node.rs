//! The loop that joins connections, known peers, headers and wanted blocks. It runs on a thread and a runtime of its own.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::p2p::Magic;
use bitcoin::p2p::message::NetworkMessage;
use bitcoin::{BlockHash, Network, Target};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::book::Book;
use super::circle::{Action, Circle};
use super::end::{End, Lie};
use super::line::{Event, Line, Way, look_up};
use super::member::{News, Serves};
use super::message::{self, HEADERS_MAX, Heard};
use super::orders::Standard;
use super::shared::Shared;
use super::{PeerChoice, PeerId, PeerOptions, seeds};
use crate::chain::headers::HeaderChain;
use crate::chain::headers::rules::HeaderFault;
use crate::chain::{checked, header};
use crate::clock::{Clock as _, SystemClock};
use crate::disk;
use crate::peer_address::PeerAddress;
use crate::worker::Tasks;

/// How often it is looked for what is due.
const TICK: Duration = Duration::from_millis(500);
/// Events that wait; a connection waits for its place. Each may be a block.
const EVENTS_MAX: usize = 4;
/// What waits to be said to a peer; one that reads so slowly is let go of.
const OUTBOX_MAX: usize = 64;
/// With so many peers nobody else is looked for by name.
const ENOUGH: usize = 4;
/// How long peers of an earlier run have before seeds are asked.
const REMEMBERED_TIME: Duration = Duration::from_secs(10);
/// How long the machine has to have slept for the connections to be doubted.
const SLEPT: Duration = Duration::from_secs(30);
/// The first pause between two rounds of questions to seeds, and the longest.
const SEEDS_PAUSE: Duration = Duration::from_secs(15);
const SEEDS_PAUSE_MAX: Duration = Duration::from_secs(600);
/// How long a seed that is called itself may take to name peers.
const SEED_TIME: Duration = Duration::from_secs(60);
/// How often the file of peers is written at most.
const SAVE_AFTER: Duration = Duration::from_secs(60);
/// The file of peers in its directory, and how much of it is read.
const FILE: &str = "peers";
const FILE_MAX: u64 = 16 * 1024;

/// The node: everything that the loop owns.
pub(super) struct Node {
    network: Network,
    magic: Magic,
    easiest: Target,
    wants_strangers: bool,
    size: usize,
    way: Way,
    shared: Arc<Shared>,
    headers: Arc<Mutex<HeaderChain>>,
    circle: Circle,
    book: Book,
    links: HashMap<PeerId, Link>,
    next_id: PeerId,
    tasks: Tasks,
    events: Sender<Event>,
    start: Instant,
    /// Goes on while the machine sleeps, as `start` does not.
    clock: SystemClock,
    slept: Duration,
    seeds_asked: u32,
    seeds_next: Duration,
    file: PathBuf,
    saved: String,
    save_next: Duration,
}

/// A connection that was begun.
struct Link {
    peer: PeerAddress,
    outbox: Sender<NetworkMessage>,
    task: AbortHandle,
    since: Duration,
}

impl Node {
    pub fn new(
        options: &PeerOptions,
        headers: Arc<Mutex<HeaderChain>>,
        way: Way,
        shared: Arc<Shared>,
    ) -> (Self, Receiver<Event>) {
        let (events, heard) = channel(EVENTS_MAX);
        let mut book = Book::default();
        let file = options.directory.join(FILE);
        let wants_strangers = match &options.choice {
            PeerChoice::Seeds => true,
            PeerChoice::Given(peers) => {
                book.give(peers);
                false
            }
        };
        if wants_strangers {
            book.remember(&read(&file));
        }
        let saved = book.remembered();
        let seeds_next = match saved.is_empty() {
            true => Duration::ZERO,
            false => REMEMBERED_TIME,
        };
        let node = Self {
            network: options.network,
            magic: Magic::from(options.network),
            easiest: checked::easiest_target(options.network),
            wants_strangers,
            size: options.outbound,
            way,
            shared,
            headers,
            circle: Circle::new(options.outbound),
            saved,
            book,
            links: HashMap::new(),
            next_id: 0,
            tasks: Tasks::new("a connection to a Bitcoin peer"),
            events,
            start: Instant::now(),
            seeds_asked: 0,
            seeds_next,
            clock: SystemClock::start(),
            slept: Duration::ZERO,
            file,
            save_next: SAVE_AFTER,
        };
        (node, heard)
    }

    /// Runs until it is told to stop.
    pub async fn run(mut self, mut heard: Receiver<Event>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shared = Arc::clone(&self.shared);
        loop {
            tokio::select! {
                event = heard.recv() => self.happened(event),
                () = shared.wake.notified() => {}
                _ = ticks.tick() => self.look_around(),
            }
            if shared.is_stopped() {
                break;
            }
            let (now, tip) = (self.now(), self.chain(|chain| chain.tip().height));
            let actions = self.circle.due(&mut shared.orders(), tip, now);
            actions.into_iter().for_each(|action| self.act(action));
            shared.set_peers(self.circle.len(), self.circle.best_claimed());
        }
        self.save();
    }

    fn happened(&mut self, event: Option<Event>) {
        match event {
            Some(Event::Joined(id, serves, height)) => self.joined(id, serves, height),
            Some(Event::Heard(id, heard, bytes)) if self.links.contains_key(&id) => {
                self.shared.set_heard();
                self.heard(id, heard, bytes);
            }
            Some(Event::Ended(id, end)) => self.end(id, &end),
            Some(Event::Named(ips)) => {
                let port = seeds::port(self.network);
                let named = ips.into_iter().map(|ip| (ip, port).into());
                self.book.hear(named.collect(), &mut random);
            }
            Some(Event::Heard(..)) | None => {}
        }
    }

    fn joined(&mut self, id: PeerId, serves: Serves, height: u32) {
        let Some(link) = self.links.get(&id) else {
            return; // it was let go of meanwhile
        };
        self.shared.set_heard();
        let peer = link.peer.clone();
        if self.book.is_seed(&peer) {
            return self.say(id, NetworkMessage::GetAddr);
        }
        tracing::debug!("connected with the Bitcoin peer {peer}, which is at block {height}");
        self.book.worked(&peer);
        let is_given = self.book.is_given(&peer);
        let now = self.now();
        self.circle.join(id, serves, height, is_given, now);
        self.say(id, NetworkMessage::SendHeaders);
        if self.wants_strangers {
            self.say(id, NetworkMessage::GetAddr);
        }
    }

    fn heard(&mut self, id: PeerId, heard: Heard, bytes: u64) {
        let now = self.now();
        let action = match heard {
            Heard::Version(_) | Heard::Verack => lie(id, Lie::Order),
            Heard::Headers(headers) => self.headers(id, &headers, bytes),
            Heard::Block(raw) => self.block(id, raw),
            Heard::Blocks(hashes) if hashes.is_empty() => self.circle.unasked(id, bytes, now),
            Heard::Blocks(_) => self.circle.announced(id, bytes, now),
            Heard::NotFound(hashes) => {
                let mut orders = self.shared.orders();
                let refused = self.circle.refused(id, &hashes, &mut orders, now);
                refused.or_else(|| self.circle.unasked(id, bytes, now))
            }
            Heard::Peers(peers) => self.peers(id, peers, bytes),
            Heard::Ping(number) => {
                self.say(id, NetworkMessage::Pong(number));
                self.circle.unasked(id, bytes, now)
            }
            Heard::GetHeaders => {
                self.say(id, NetworkMessage::Headers(Vec::new())); // we serve nothing
                self.circle.unasked(id, bytes, now)
            }
            Heard::Pong | Heard::Other => self.circle.unasked(id, bytes, now),
        };
        if let Some(action) = action {
            self.act(action);
        }
    }

    fn headers(&mut self, id: PeerId, headers: &[Header], bytes: u64) -> Option<Action> {
        let now = self.now();
        let mut news = News {
            last: None,
            is_full: headers.len() >= HEADERS_MAX,
            is_better: false,
        };
        if !headers.is_empty() {
            let time = self.clock.unix_time();
            match self.chain(|chain| chain.accept(headers, time)) {
                Ok(accepted) => {
                    news.last = Some(accepted.last);
                    news.is_better = accepted.is_new_best;
                }
                Err(HeaderFault::Unlinked(_)) => return self.circle.unlinked(id, now),
                Err(fault) if fault.blames_sender() => return lie(id, Lie::Headers(fault)),
                // The clock or the disk of this machine is wrong: asked again later.
                Err(_) => news.is_full = false,
            }
        }
        if news.is_better {
            self.shared.set_news();
        }
        self.circle.headers(id, news, bytes, now)
    }

    fn block(&mut self, id: PeerId, raw: Vec<u8>) -> Option<Action> {
        let header = match header::parse(&raw) {
            Ok(header) => header,
            Err(error) => return lie(id, Lie::Block(error.into())),
        };
        let hash = header.block_hash();
        if !self.circle.block(id, &hash, self.now()) {
            return lie(id, Lie::Unasked);
        }
        let wanted = self.shared.orders().wanted(&hash);
        let Standard::Wanted(at) = wanted else {
            return None;
        };
        match checked::block(at, raw, self.easiest) {
            Ok(block) => {
                self.shared.orders().put(block);
                self.shared.set_news();
                None
            }
            Err(error) => lie(id, Lie::Block(error)),
        }
    }

    fn peers(&mut self, id: PeerId, peers: Vec<SocketAddr>, bytes: u64) -> Option<Action> {
        let is_seed = self
            .links
            .get(&id)
            .is_some_and(|link| self.book.is_seed(&link.peer));
        let many = peers.len() > 1; // a peer names itself first, alone
        if self.wants_strangers {
            self.book.hear(peers, &mut random);
        }
        match is_seed {
            true => many.then_some(Action::Drop(id, End::Done)),
            false => self.circle.unasked(id, bytes, self.now()),
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::AskHeaders(id, after) => {
                let mut locator: Vec<BlockHash> = after.into_iter().collect();
                locator.extend(self.chain(|chain| chain.locator()));
                self.say(id, message::ask_headers(locator));
            }
            Action::AskBlock(id, hash) => self.say(id, message::ask_block(hash)),
            Action::Ping(id) => self.say(id, NetworkMessage::Ping(random())),
            Action::Drop(id, end) => self.end(id, &end),
        }
    }

    /// Has something said. Who does not read it is let go of.
    fn say(&mut self, id: PeerId, message: NetworkMessage) {
        let link = self.links.get(&id);
        if link.is_some_and(|link| link.outbox.try_send(message).is_err()) {
            self.end(id, &End::Slow);
        }
    }

    /// Lets go of a peer.
    fn end(&mut self, id: PeerId, end: &End) {
        let Some(link) = self.links.remove(&id) else {
            return;
        };
        link.task.abort();
        let (peer, now) = (link.peer, self.now());
        tracing::debug!("no longer connected with the Bitcoin peer {peer}: {end}");
        if matches!(end, End::Lied(_)) {
            if self.book.is_given(&peer) {
                tracing::warn!(
                    "a peer of `chain.peers` is not asked for an hour: {end}; the level debug names it"
                );
            }
            self.book.ban(&peer, now);
        }
        self.book.ended(&peer, now, &mut random);
        self.circle.leave(id, &mut self.shared.orders());
    }

    /// Calls whom there is room for, and asks seeds where nobody is left.
    fn look_around(&mut self) {
        let now = self.now();
        let slept = self.clock.elapsed().saturating_sub(now);
        if slept > self.slept + SLEPT {
            self.circle.doubt();
            self.slept = slept;
        }
        while self.links.len() < self.size
            && let Some(peer) = self.book.next(now, &mut random)
        {
            self.call(peer);
        }
        let is_late = |link: &Link| self.book.is_seed(&link.peer) && now >= link.since + SEED_TIME;
        let late = self.links.iter().filter(|(_, link)| is_late(link));
        let late: Vec<PeerId> = late.map(|(id, _)| *id).collect();
        late.into_iter().for_each(|id| self.end(id, &End::Silent));
        let lacks = self.circle.len() < ENOUGH.min(self.size) && !self.book.has_strangers();
        if self.wants_strangers && lacks && now >= self.seeds_next {
            self.ask_seeds();
        }
        if now >= self.save_next {
            self.save();
        }
    }

    fn call(&mut self, peer: PeerAddress) {
        let id = self.next_id;
        self.next_id += 1;
        let (outbox, said) = channel(OUTBOX_MAX);
        let line = Line {
            id,
            network: self.magic,
            nonce: random(),
            counters: Arc::clone(&self.shared.counters),
            events: self.events.clone(),
            outbox: said,
        };
        let task = self.tasks.spawn(line.call(peer.clone(), self.way.clone()));
        let link = Link {
            peer,
            outbox,
            task,
            since: self.now(),
        };
        self.links.insert(id, link);
    }

    fn ask_seeds(&mut self) {
        let names = seeds::names(self.network);
        let pause = SEEDS_PAUSE.saturating_mul(1 << self.seeds_asked.min(6));
        self.seeds_next = self.now() + pause.min(SEEDS_PAUSE_MAX);
        self.seeds_asked += 1;
        if self.way.proxy.is_some() {
            // The proxy looks the names up, so that nobody here learns of it.
            let port = seeds::port(self.network);
            let seeds = names
                .iter()
                .filter_map(|name| PeerAddress::parse_with_port(name, port).ok());
            return self.book.give_seeds(seeds.collect());
        }
        let (events, resolve) = (self.events.clone(), Arc::clone(&self.way.resolve));
        self.tasks.spawn(async move {
            for name in names {
                let found = look_up(&resolve, name).await;
                if events.send(Event::Named(found)).await.is_err() {
                    return; // the node ends
                }
            }
        });
    }

    /// Remembers the peers that worked. A loss costs a question to the seeds.
    fn save(&mut self) {
        self.save_next = self.now() + SAVE_AFTER;
        let text = self.book.remembered();
        if !self.wants_strangers || text == self.saved {
            return;
        }
        match disk::replace(&self.file, text.as_bytes()) {
            Ok(()) => self.saved = text,
            Err(error) => tracing::debug!("cannot remember Bitcoin peers: {error}"),
        }
    }

    fn chain<T>(&self, ask: impl FnOnce(&mut HeaderChain) -> T) -> T {
        ask(&mut self.headers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

fn lie(id: PeerId, lie: Lie) -> Option<Action> {
    Some(Action::Drop(id, End::Lied(lie)))
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .expect("the operating system's generator does not fail once the system is up");
    u64::from_le_bytes(bytes)
}

/// The file of peers; empty where there is none.
fn read(file: &Path) -> String {
    let mut text = String::new();
    if let Ok(file) = File::open(file) {
        let _ = file.take(FILE_MAX).read_to_string(&mut text); // what is no text names nobody
    }
    text
}
