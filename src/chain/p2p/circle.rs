//! The peers that are connected: what is asked of which, and who is let go of.
//!
//! One peer at a time leads: it is asked for headers until it has no more, so that a first synchronisation costs its bytes
//! once. Then all are asked, so that none can withhold a better chain. A block is asked of the peer with the least to do
//! that can have it. Who is silent, floods or refuses is let go of; others go on meanwhile. This file is pure; times are
//! since the node started.

use std::collections::HashMap;
use std::time::Duration;

use bitcoin::BlockHash;

use super::PeerId;
use super::end::{End, Lie};
use super::member::{Member, News, Serves};
use super::orders::{ASKED_MAX, Orders, PATIENCE};

/// After so long without a word a peer is asked whether it lives (Bitcoin Core's `PING_INTERVAL`).
const PING_AFTER: Duration = Duration::from_secs(120);
/// After so long without headers a peer is asked for new ones, whatever it announced.
const HEADERS_AFTER: Duration = Duration::from_secs(600);
/// How long one peer leads while others could: enough for all headers, unless it is slow on purpose.
const LEAD_MAX: Duration = Duration::from_secs(60);
/// How often in a row a peer may be late with blocks.
const LATE_MAX: u32 = 2;
/// Blocks in a row that a peer may refuse.
const REFUSED_MAX: u32 = 16;
/// Headers in a row that a peer may send on top of none that is known (Bitcoin Core's limit was the same).
const UNLINKED_MAX: u32 = 10;
/// Full messages of headers that may come without a better chain: all headers of the main network until 2030.
const FULL_MAX: u32 = 600;
/// After so long without a new block somebody else is called in place of one peer (Bitcoin Core calls one more), and how
/// often.
const STALE_AFTER: Duration = Duration::from_secs(1_800);
const RELIEVE_AFTER: Duration = Duration::from_secs(600);

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Ask for the headers above this one, or above the best.
    AskHeaders(PeerId, Option<BlockHash>),
    /// Ask for a block.
    AskBlock(PeerId, BlockHash),
    /// Ask whether it lives.
    Ping(PeerId),
    /// Let go of it.
    Drop(PeerId, End),
}

/// The connected peers.
#[derive(Debug)]
pub(super) struct Circle {
    members: HashMap<PeerId, Member>,
    /// Who is asked for all headers, and since when.
    leader: Option<(PeerId, Duration)>,
    /// Whether a peer has sent all its headers.
    is_settled: bool,
    /// How many peers are wanted.
    size: usize,
    /// When there last was a better chain.
    better: Duration,
    relieved: Duration,
}

impl Circle {
    /// Nobody yet; `size` peers are wanted.
    pub fn new(size: usize) -> Self {
        Self {
            members: HashMap::new(),
            leader: None,
            is_settled: false,
            size,
            better: Duration::ZERO,
            relieved: Duration::ZERO,
        }
    }

    /// How many peers are connected.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The highest block that a connected peer told of.
    pub fn best_claimed(&self) -> Option<u32> {
        self.members.values().map(|member| member.height).max()
    }

    /// A peer that said who it is.
    pub fn join(&mut self, id: PeerId, serves: Serves, height: u32, is_given: bool, now: Duration) {
        let member = Member::new(serves, height, is_given, now);
        self.members.insert(id, member);
    }

    /// A peer that is gone.
    pub fn leave(&mut self, id: PeerId, orders: &mut Orders) {
        self.members.remove(&id);
        orders.left(id);
        if self.leads(id) {
            self.leader = None;
        }
    }

    /// A message of so many bytes that nobody asked for.
    pub fn unasked(&mut self, id: PeerId, bytes: u64, now: Duration) -> Option<Action> {
        let member = self.heard(id, now)?;
        member
            .floods(bytes, now)
            .then_some(Action::Drop(id, End::Lied(Lie::Flood)))
    }

    /// Headers of which something is known now.
    pub fn headers(&mut self, id: PeerId, news: News, bytes: u64, now: Duration) -> Option<Action> {
        if news.is_better {
            self.better = now;
        }
        let member = self.heard(id, now)?;
        let was_asked = member.take_news(news, now);
        if member.full > FULL_MAX {
            return Some(Action::Drop(id, End::Lied(Lie::Endless)));
        }
        if !was_asked && !news.is_better {
            let flood = self.unasked(id, bytes, now);
            if flood.is_some() {
                return flood;
            }
        }
        if !news.is_full && self.leads(id) {
            (self.leader, self.is_settled) = (None, true);
        }
        let goes_on = news.is_full && self.goes_on(id, news.is_better, now);
        let member = self.members.get_mut(&id).filter(|_| goes_on)?;
        member.headers_asked = Some(now);
        Some(Action::AskHeaders(id, news.last.map(|last| last.hash)))
    }

    /// Whether a peer that has more headers is asked for them at once.
    fn goes_on(&mut self, id: PeerId, is_better: bool, now: Duration) -> bool {
        let has_led_long = self
            .leader
            .is_some_and(|(_, since)| now >= since + LEAD_MAX);
        if self.leads(id) && (!is_better || has_led_long) {
            self.leader = None; // others are asked meanwhile, or instead
            return !is_better;
        }
        if is_better && self.leader.is_none() {
            (self.leader, self.is_settled) = (Some((id, now)), false);
        }
        let waits = is_better && !self.leads(id);
        if waits && let Some(member) = self.members.get_mut(&id) {
            member.headers_came = None; // its turn comes after the leader's
        }
        !waits
    }

    fn leads(&self, id: PeerId) -> bool {
        self.leader.is_some_and(|(leader, _)| leader == id)
    }

    /// Headers on top of none that is known.
    pub fn unlinked(&mut self, id: PeerId, now: Duration) -> Option<Action> {
        let member = self.heard(id, now)?;
        member.unlinked += 1;
        if member.unlinked > UNLINKED_MAX {
            return Some(Action::Drop(id, End::Lied(Lie::Unlinked)));
        }
        member.headers_asked = Some(now);
        Some(Action::AskHeaders(id, None))
    }

    /// It has a block.
    pub fn announced(&mut self, id: PeerId, bytes: u64, now: Duration) -> Option<Action> {
        let flood = self.unasked(id, bytes, now);
        if flood.is_some() {
            return flood;
        }
        let member = self.members.get_mut(&id)?;
        if member.headers_asked.is_some() {
            return None;
        }
        member.headers_asked = Some(now);
        Some(Action::AskHeaders(id, None))
    }

    /// A block has come; whether this peer was asked for it.
    pub fn block(&mut self, id: PeerId, hash: &BlockHash, now: Duration) -> bool {
        let Some(member) = self.heard(id, now) else {
            return false;
        };
        let was_owed = member.settle(hash);
        if was_owed {
            (member.delivered, member.late, member.refused) = (now, 0, 0);
        }
        was_owed
    }

    /// It lacks blocks.
    pub fn refused(
        &mut self,
        id: PeerId,
        hashes: &[BlockHash],
        orders: &mut Orders,
        now: Duration,
    ) -> Option<Action> {
        let member = self.heard(id, now)?;
        for hash in hashes {
            if member.settle(hash) {
                member.refused += 1;
                orders.failed(id, hash, now);
            }
        }
        (member.refused > REFUSED_MAX).then_some(Action::Drop(id, End::Silent))
    }

    /// What is due at a time; `tip` is the height of the best block.
    pub fn due(&mut self, orders: &mut Orders, tip: u32, now: Duration) -> Vec<Action> {
        let mut actions: Vec<Action> = Vec::new();
        for (id, member) in &mut self.members {
            actions.extend(due(*id, member, orders, now));
        }
        actions.extend(self.relieve(now));
        let dropped: Vec<PeerId> = actions.iter().filter_map(Action::dropped).collect();
        actions.extend(self.ask_headers(&dropped, now));
        actions.extend(self.ask_blocks(&dropped, orders, tip, now));
        actions
    }

    /// Has all peers asked whether they live.
    pub fn doubt(&mut self) {
        for member in self.members.values_mut() {
            member.is_doubted = true;
        }
    }

    fn heard(&mut self, id: PeerId, now: Duration) -> Option<&mut Member> {
        let member = self.members.get_mut(&id)?;
        (member.heard, member.pinged, member.is_doubted) = (now, None, false);
        Some(member)
    }

    /// Asks the leader, and everybody once there is no need of one.
    fn ask_headers(&mut self, dropped: &[PeerId], now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut idle: Vec<_> = self
            .members
            .iter_mut()
            .filter(|(id, member)| member.headers_asked.is_none() && !dropped.contains(*id))
            .collect();
        // Whoever was not asked for longest, and of those who claims most.
        idle.sort_unstable_by_key(|(id, member)| {
            (member.headers_came, std::cmp::Reverse(member.height), **id)
        });
        for (id, member) in idle {
            let came = member.headers_came;
            let is_due = match self.is_settled {
                true => came.is_none_or(|came| now >= came + HEADERS_AFTER),
                false => self.leader.is_none(),
            };
            if is_due {
                self.leader = self.leader.or((!self.is_settled).then_some((*id, now)));
                member.headers_asked = Some(now);
                actions.push(Action::AskHeaders(*id, None));
            }
        }
        actions
    }

    fn ask_blocks(
        &mut self,
        dropped: &[PeerId],
        orders: &mut Orders,
        tip: u32,
        now: Duration,
    ) -> Vec<Action> {
        let ids = self.members.keys();
        let busy = ids.map(|id| (*id, orders.asked_of(*id).len()));
        let mut busy: HashMap<PeerId, usize> = busy.collect();
        let mut actions = Vec::new();
        loop {
            let members = &self.members;
            let asked = orders.ask_next(now, |at, failed| {
                let able = members.iter().filter(|(id, member)| {
                    member.can_send(at, tip) && !failed.contains(id) && !dropped.contains(id)
                });
                let least = able.min_by_key(|(id, member)| {
                    let load = busy.get(id).copied().unwrap_or(ASKED_MAX);
                    (member.late, load, std::cmp::Reverse(member.useful), **id)
                });
                least.map(|(id, _)| *id)
            });
            let Some((id, hash)) = asked else {
                return actions;
            };
            *busy.entry(id).or_default() += 1;
            if let Some(member) = self.members.get_mut(&id) {
                member.owes.push(hash);
            }
            actions.push(Action::AskBlock(id, hash));
        }
    }

    /// Lets go of the peer that was useful least recently, if no block came for long: others may know more.
    fn relieve(&mut self, now: Duration) -> Option<Action> {
        let is_due = self.members.len() >= self.size
            && now >= self.better + STALE_AFTER
            && now >= self.relieved + RELIEVE_AFTER;
        let strangers = self
            .members
            .iter()
            .filter(|(_, member)| is_due && !member.is_given);
        let (id, _) = strangers.min_by_key(|(id, member)| (member.useful, **id))?;
        self.relieved = now;
        Some(Action::Drop(*id, End::Relieved))
    }
}

/// What is due with a peer.
fn due(id: PeerId, member: &mut Member, orders: &mut Orders, now: Duration) -> Option<Action> {
    let asked = orders.asked_of(id);
    let late = asked
        .iter()
        .filter(|(_, since)| member.is_late(*since, now));
    let late: Vec<_> = late.map(|(hash, _)| *hash).collect();
    late.iter().for_each(|hash| orders.failed(id, hash, now));
    member.late += u32::from(!late.is_empty());
    let owes_headers = member
        .headers_asked
        .is_some_and(|since| member.is_late(since, now));
    let is_mute = member.pinged.is_some_and(|since| now >= since + PATIENCE);
    if owes_headers || is_mute || member.late >= LATE_MAX {
        return Some(Action::Drop(id, End::Silent));
    }
    let is_quiet = member.is_doubted || now >= member.heard + PING_AFTER;
    let is_due = is_quiet && member.pinged.is_none();
    is_due.then(|| {
        member.pinged = Some(now);
        Action::Ping(id)
    })
}

impl Action {
    fn dropped(&self) -> Option<PeerId> {
        match self {
            Self::Drop(id, _) => Some(*id),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash as _;

    use super::super::member::RECENT;
    use super::*;
    use crate::chain::BlockRef;

    const SECOND: Duration = Duration::from_secs(1);
    const TIP: u32 = 1_000;

    fn at(height: u32) -> BlockRef {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&height.to_le_bytes());
        BlockRef {
            height,
            hash: BlockHash::from_byte_array(hash),
        }
    }

    fn news(height: u32, is_full: bool, is_better: bool) -> News {
        News {
            last: Some(at(height)),
            is_full,
            is_better,
        }
    }

    const NO_MORE: News = News {
        last: None,
        is_full: false,
        is_better: false,
    };

    /// A circle of given peers with all blocks, and what is wanted.
    struct Scene {
        circle: Circle,
        orders: Orders,
        now: Duration,
    }

    impl Scene {
        fn of(peers: PeerId) -> Self {
            let mut circle = Circle::new(8);
            for id in 0..peers {
                circle.join(id, Serves::All, TIP, true, SECOND);
            }
            Self {
                circle,
                orders: Orders::default(),
                now: SECOND,
            }
        }

        /// One whose peers have all sent their headers.
        fn settled(peers: PeerId) -> Self {
            let mut scene = Self::of(peers);
            for _ in 0..2 {
                for id in asked_for_headers(&scene.due()) {
                    scene.circle.headers(id, NO_MORE, 25, scene.now);
                }
            }
            scene
        }

        fn due(&mut self) -> Vec<Action> {
            let actions = self.circle.due(&mut self.orders, TIP, self.now);
            for action in &actions {
                if let Action::Drop(id, _) = action {
                    self.circle.leave(*id, &mut self.orders);
                }
            }
            actions
        }

        fn after(&mut self, time: Duration) -> Vec<Action> {
            self.now += time;
            self.due()
        }

        fn asked_of(&self, id: PeerId) -> Vec<BlockHash> {
            let asked = self.orders.asked_of(id);
            asked.into_iter().map(|(hash, _)| hash).collect()
        }

        fn want(&mut self, heights: &[u32]) -> Vec<Action> {
            let blocks: Vec<_> = heights.iter().copied().map(at).collect();
            self.orders.want(&blocks);
            self.due()
        }
    }

    fn asked_for_headers(actions: &[Action]) -> Vec<PeerId> {
        let asked = actions.iter().filter_map(|action| match action {
            Action::AskHeaders(id, _) => Some(*id),
            _ => None,
        });
        asked.collect()
    }

    fn asked_for_blocks(actions: &[Action]) -> Vec<PeerId> {
        let asked = actions.iter().filter_map(|action| match action {
            Action::AskBlock(id, _) => Some(*id),
            _ => None,
        });
        asked.collect()
    }

    #[test]
    fn one_peer_sends_all_headers_and_then_all_are_asked() {
        let mut scene = Scene::of(3);
        assert_eq!(asked_for_headers(&scene.due()), [0]);
        for part in 1..5 {
            let more = scene
                .circle
                .headers(0, news(part * 2_000, true, true), 162_027, scene.now);
            let last = Some(at(part * 2_000).hash);
            assert_eq!(more, Some(Action::AskHeaders(0, last)));
            assert_eq!(scene.due(), []);
        }
        let done = scene
            .circle
            .headers(0, news(8_500, false, true), 40_000, scene.now);
        assert_eq!(done, None);
        assert_eq!(asked_for_headers(&scene.due()), [1, 2]);
        // One of them knows a longer chain: it leads, and the other one's turn comes after it.
        let more = scene
            .circle
            .headers(2, news(10_000, true, true), 162_027, scene.now);
        assert!(matches!(more, Some(Action::AskHeaders(2, _))));
        let waits = scene
            .circle
            .headers(1, news(10_001, true, true), 162_027, scene.now);
        assert_eq!(waits, None);
        scene
            .circle
            .headers(2, news(10_500, false, true), 50_000, scene.now);
        assert_eq!(asked_for_headers(&scene.due()), [1]);
    }

    #[test]
    fn who_leads_slowly_or_nowhere_gives_way() {
        let mut scene = Scene::of(2);
        assert_eq!(asked_for_headers(&scene.due()), [0]);
        scene.now += LEAD_MAX;
        let more = scene
            .circle
            .headers(0, news(2_000, true, true), 162_027, scene.now);
        assert_eq!(more, None);
        assert_eq!(asked_for_headers(&scene.due()), [1]);
        // A chain that is not better is followed beside: it may become so.
        let more = scene
            .circle
            .headers(1, news(2_000, true, false), 162_027, scene.now);
        assert!(matches!(more, Some(Action::AskHeaders(1, _))));
        assert_eq!(asked_for_headers(&scene.due()), [0]);
        let mut last = None;
        for _ in 0..FULL_MAX {
            last = scene
                .circle
                .headers(1, news(2_000, true, false), 162_027, scene.now);
        }
        assert_eq!(last, Some(Action::Drop(1, End::Lied(Lie::Endless))));
    }

    #[test]
    fn blocks_are_shared_out_and_the_late_are_replaced() {
        let mut scene = Scene::settled(4);
        let mut asked = asked_for_blocks(&scene.want(&[1, 2, 3, 4, 5, 6, 7, 8, 9]));
        asked.sort_unstable();
        assert_eq!(asked, [0, 0, 1, 1, 2, 2, 3, 3]);
        // Three send theirs, one is silent.
        for height in 1..=8 {
            for id in 1..4 {
                scene.circle.block(id, &at(height).hash, scene.now);
            }
        }
        let owed: Vec<_> = scene.asked_of(0);
        for id in 1..4 {
            scene.asked_of(id).iter().for_each(|hash| {
                scene.orders.put(crate::chain::Block {
                    at: at(hash.to_byte_array()[0].into()),
                    previous: *hash,
                    time: 0,
                    raw: Vec::new(),
                });
            });
        }
        let rest = asked_for_blocks(&scene.due());
        assert!(
            !rest.contains(&0),
            "the one with least to do is asked: {rest:?}"
        );
        let again = scene.after(PATIENCE - SECOND);
        assert_eq!(asked_for_blocks(&again), [0; 0]);
        let again = scene.after(SECOND);
        let asked = asked_for_blocks(&again);
        assert!(asked.len() >= 2 && !asked.contains(&0), "{again:?}");
        assert!(scene.orders.asked_of(0).is_empty());
        // What it sends after all was asked for, once.
        assert!(scene.circle.block(0, &owed[0], scene.now));
        assert!(!scene.circle.block(0, &owed[0], scene.now));
    }

    #[test]
    fn who_is_silent_is_let_go_of() {
        let mut scene = Scene::settled(1);
        scene.want(&[1]);
        assert_eq!(
            asked_for_blocks(&scene.after(PATIENCE)),
            [0; 0],
            "it alone failed"
        );
        let mut actions = scene.after(PATIENCE);
        assert_eq!(asked_for_blocks(&actions), [0]);
        actions = scene.after(PATIENCE);
        assert_eq!(actions, [Action::Drop(0, End::Silent)]);

        let mut scene = Scene::of(1);
        assert_eq!(asked_for_headers(&scene.due()), [0]);
        assert_eq!(scene.after(PATIENCE), [Action::Drop(0, End::Silent)]);

        let mut scene = Scene::settled(1);
        assert_eq!(scene.after(PING_AFTER), [Action::Ping(0)]);
        scene.circle.unasked(0, 32, scene.now + SECOND);
        assert_eq!(scene.after(PATIENCE), []);
        assert_eq!(scene.after(PING_AFTER), [Action::Ping(0)]);
        assert_eq!(scene.after(PATIENCE), [Action::Drop(0, End::Silent)]);
    }

    #[test]
    fn who_may_be_gone_is_asked_at_once() {
        let mut scene = Scene::settled(2);
        scene.now += PING_AFTER / 2;
        assert_eq!(scene.due(), []);
        scene.circle.doubt();
        assert_eq!(scene.due().len(), 2);
        scene.circle.unasked(0, 32, scene.now);
        assert_eq!(scene.after(PATIENCE), [Action::Drop(1, End::Silent)]);
    }

    #[test]
    fn who_refuses_is_not_asked_and_pruned_peers_only_for_what_they_have() {
        let mut scene = Scene::settled(2);
        scene.circle.join(2, Serves::Recent, TIP, true, scene.now);
        let asked = asked_for_blocks(&scene.want(&[TIP - RECENT - 1]));
        let id = asked[0];
        assert_ne!(id, 2);
        let hashes = [at(TIP - RECENT - 1).hash];
        scene
            .circle
            .refused(id, &hashes, &mut scene.orders, scene.now);
        assert_eq!(asked_for_blocks(&scene.due()), [1 - id]);
        scene
            .circle
            .refused(1 - id, &hashes, &mut scene.orders, scene.now);
        assert_eq!(asked_for_blocks(&scene.due()), [0; 0]);
        scene.circle.leave(0, &mut scene.orders);
        scene.circle.leave(1, &mut scene.orders);
        assert_eq!(asked_for_blocks(&scene.want(&[TIP - RECENT, TIP + 1])), [2]);
        scene
            .circle
            .headers(2, news(TIP + 1, false, true), 106, scene.now);
        assert_eq!(asked_for_blocks(&scene.due()), [2]);
    }

    #[test]
    fn who_floods_or_leads_nowhere_is_let_go_of() {
        let flood = |bytes, pause| {
            let mut scene = Scene::settled(1);
            (1..1_000).find(|_| {
                scene.now += pause;
                let action = scene.circle.unasked(0, bytes, scene.now);
                matches!(action, Some(Action::Drop(0, End::Lied(Lie::Flood))))
            })
        };
        assert_eq!(flood(100_000, Duration::ZERO), Some(21));
        assert_eq!(flood(2_000, SECOND), None);
        let mut scene = Scene::settled(1);
        let known = news(TIP, true, false);
        let flood = (1..100).find(|_| {
            let action = scene.circle.headers(0, known, 162_027, scene.now);
            scene
                .circle
                .members
                .get_mut(&0)
                .expect("it is there")
                .headers_asked = None;
            matches!(action, Some(Action::Drop(..)))
        });
        assert_eq!(flood, Some(13), "headers that nobody asked for");
        let mut scene = Scene::settled(1);
        for _ in 0..UNLINKED_MAX {
            let action = scene.circle.unlinked(0, scene.now);
            assert_eq!(action, Some(Action::AskHeaders(0, None)));
        }
        let action = scene.circle.unlinked(0, scene.now);
        assert_eq!(action, Some(Action::Drop(0, End::Lied(Lie::Unlinked))));
    }

    #[test]
    fn strangers_give_way_one_by_one_while_no_block_comes() {
        let mut circle = Circle::new(2);
        circle.join(0, Serves::All, TIP, true, SECOND);
        circle.join(1, Serves::All, TIP, false, SECOND);
        let mut scene = Scene {
            circle,
            orders: Orders::default(),
            now: SECOND,
        };
        for id in [0, 1] {
            scene.due();
            scene.circle.headers(id, NO_MORE, 25, scene.now);
        }
        let actions = scene.after(STALE_AFTER);
        assert!(
            actions.contains(&Action::Drop(1, End::Relieved)),
            "{actions:?}"
        );
        scene.circle.join(2, Serves::All, TIP, false, scene.now);
        scene
            .circle
            .headers(2, news(TIP + 1, false, true), 106, scene.now);
        let actions = scene.after(RELIEVE_AFTER);
        assert!(!actions.iter().any(|action| action.dropped() == Some(2)));
    }
}
