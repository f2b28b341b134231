//! Blocks that are wanted: which of them are asked for, of whom, and which have come.
//!
//! Every block is named by its hash, so it does not matter who sends it, and whoever is late or refuses costs only time:
//! another peer is asked. What is asked for at the same time and what waits to be taken are bounded. This file is pure;
//! times are since the node started.

use std::collections::HashMap;
use std::time::Duration;

use bitcoin::BlockHash;

use super::PeerId;
use crate::chain::{Block, BlockRef};

/// Blocks that are asked for at the same time.
pub(super) const ASKED_MAX: usize = 8;
/// How long a peer has for what it was asked. Another one is asked afterwards.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of blocks that wait to be taken, those included that are on their way.
const WAITING_BYTES: usize = 32 << 20;
/// Bytes that a block on its way may have.
const BLOCK_MAX: usize = 1_000_000;
/// Blocks that are wanted; the oldest wishes are given up beyond.
const ORDERS_MAX: usize = 1_024;

/// All that is wanted.
#[derive(Debug, Default)]
pub(super) struct Orders {
    orders: HashMap<BlockHash, Order>,
    /// How often somebody said what he wants.
    wishes: u64,
    /// Bytes of the blocks that wait.
    waiting: usize,
}

#[derive(Debug)]
struct Order {
    at: BlockRef,
    /// The wish that named it last, and its place there: newer wishes go first.
    wish: (std::cmp::Reverse<u64>, usize),
    standing: Standing,
    /// Who was late with it or refused it, and until when it is not asked again.
    failed: Vec<(PeerId, Duration)>,
}

#[derive(Debug)]
enum Standing {
    Wanted,
    /// Of whom, and since when.
    Asked(PeerId, Duration),
    Here(Block),
}

/// What a block is that a peer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standard {
    /// It is wanted.
    Wanted(BlockRef),
    /// It is not, or has come from somebody else.
    Superfluous,
}

impl Orders {
    /// Wants these blocks, in this order, before all that was wanted earlier.
    pub fn want(&mut self, blocks: &[BlockRef]) {
        self.wishes += 1;
        for (place, at) in blocks.iter().take(ORDERS_MAX).enumerate() {
            let wish = (std::cmp::Reverse(self.wishes), place);
            let order = self.orders.entry(at.hash).or_insert_with(|| Order {
                at: *at,
                wish,
                standing: Standing::Wanted,
                failed: Vec::new(),
            });
            order.wish = wish;
        }
        while self.orders.len() > ORDERS_MAX {
            self.forget_oldest(|_| true);
        }
    }

    /// A block that has come; it is not wanted any more.
    pub fn take(&mut self, hash: &BlockHash) -> Option<Block> {
        let is_here = |order: &Order| matches!(order.standing, Standing::Here(_));
        self.orders.get(hash).filter(|order| is_here(order))?;
        match self.orders.remove(hash)?.standing {
            Standing::Here(block) => {
                self.waiting -= block.raw.len();
                Some(block)
            }
            Standing::Wanted | Standing::Asked(..) => None,
        }
    }

    /// The next block to ask for and its order's peer, which `choose` says for a block and those that are not to be asked;
    /// `None` where nothing is to be asked for now.
    pub fn ask_next(
        &mut self,
        now: Duration,
        mut choose: impl FnMut(BlockRef, &[PeerId]) -> Option<PeerId>,
    ) -> Option<(PeerId, BlockHash)> {
        if self.asked() >= ASKED_MAX || !self.has_room() {
            return None;
        }
        let wanted = self.orders.values();
        let wanted = wanted.filter(|order| matches!(order.standing, Standing::Wanted));
        let mut wanted: Vec<_> = wanted.map(|order| (order.wish, order.at)).collect();
        wanted.sort_unstable_by_key(|(wish, _)| *wish);
        wanted.into_iter().find_map(|(_, at)| {
            let order = self.orders.get_mut(&at.hash)?;
            order.failed.retain(|(_, until)| *until > now);
            let failed: Vec<PeerId> = order.failed.iter().map(|(peer, _)| *peer).collect();
            let peer = choose(at, &failed)?;
            order.standing = Standing::Asked(peer, now);
            Some((peer, at.hash))
        })
    }

    /// Where a block is wanted, whoever sends it.
    pub fn wanted(&self, hash: &BlockHash) -> Standard {
        match self.orders.get(hash) {
            Some(order) if !matches!(order.standing, Standing::Here(_)) => {
                Standard::Wanted(order.at)
            }
            _ => Standard::Superfluous,
        }
    }

    /// Keeps a block that was wanted and checked until it is taken.
    pub fn put(&mut self, block: Block) {
        let Some(order) = self.orders.get_mut(&block.at.hash) else {
            return;
        };
        if !matches!(order.standing, Standing::Here(_)) {
            self.waiting += block.raw.len();
            order.standing = Standing::Here(block);
        }
    }

    /// What a peer was asked for and has not sent, and since when it is awaited.
    pub fn asked_of(&self, peer: PeerId) -> Vec<(BlockHash, Duration)> {
        let asked = self
            .orders
            .values()
            .filter_map(|order| match order.standing {
                Standing::Asked(id, since) if id == peer => Some((order.at.hash, since)),
                _ => None,
            });
        asked.collect()
    }

    /// Asks somebody else for a block that `peer` was asked for, and that peer no sooner than after a while.
    pub fn failed(&mut self, peer: PeerId, hash: &BlockHash, now: Duration) {
        if let Some(order) = self.orders.get_mut(hash)
            && matches!(order.standing, Standing::Asked(id, _) if id == peer)
        {
            order.standing = Standing::Wanted;
            order.failed.push((peer, now + PATIENCE));
        }
    }

    /// Asks others for all that a peer was asked for that is gone.
    pub fn left(&mut self, peer: PeerId) {
        for order in self.orders.values_mut() {
            if matches!(order.standing, Standing::Asked(id, _) if id == peer) {
                order.standing = Standing::Wanted;
            }
        }
    }

    fn asked(&self) -> usize {
        let orders = self.orders.values();
        orders
            .filter(|order| matches!(order.standing, Standing::Asked(..)))
            .count()
    }

    /// Whether one more block fits in. Blocks that came and that the last wish did not name make room.
    fn has_room(&mut self) -> bool {
        let coming = (self.asked() + 1) * BLOCK_MAX;
        let last = std::cmp::Reverse(self.wishes);
        while self.waiting + coming > WAITING_BYTES {
            let is_old =
                |order: &Order| order.wish.0 > last && matches!(order.standing, Standing::Here(_));
            if !self.forget_oldest(is_old) {
                return false;
            }
        }
        true
    }

    /// Gives up the oldest wish of those that `may_go`; whether there was one.
    fn forget_oldest(&mut self, may_go: impl Fn(&Order) -> bool) -> bool {
        let orders = self.orders.values().filter(|order| may_go(order));
        let oldest = orders
            .max_by_key(|order| order.wish)
            .map(|order| order.at.hash);
        let forgotten = oldest.and_then(|hash| self.orders.remove(&hash));
        if let Some(Order {
            standing: Standing::Here(block),
            ..
        }) = &forgotten
        {
            self.waiting -= block.raw.len();
        }
        forgotten.is_some()
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash as _;

    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn at(height: u32) -> BlockRef {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&height.to_le_bytes());
        BlockRef {
            height,
            hash: BlockHash::from_byte_array(hash),
        }
    }

    fn block(height: u32, length: usize) -> Block {
        Block {
            at: at(height),
            previous: BlockHash::all_zeros(),
            time: 0,
            raw: vec![0; length],
        }
    }

    /// Asks `peer` for all that may be asked for; the heights.
    fn ask(orders: &mut Orders, peer: PeerId) -> Vec<u32> {
        let mut heights = Vec::new();
        while orders
            .ask_next(NOW, |at, failed| {
                let may = !failed.contains(&peer);
                heights.extend(may.then_some(at.height));
                may.then_some(peer)
            })
            .is_some()
        {}
        heights
    }

    #[test]
    fn eight_are_asked_for_in_the_order_of_the_last_wish() {
        let mut orders = Orders::default();
        orders.want(&[at(20), at(1), at(2)]);
        orders.want(&(1..=12).rev().map(at).collect::<Vec<_>>());
        assert_eq!(ask(&mut orders, 7), [12, 11, 10, 9, 8, 7, 6, 5]);
        for height in 5..=12 {
            assert_eq!(
                orders.wanted(&at(height).hash),
                Standard::Wanted(at(height))
            );
            orders.put(block(height, 10));
            assert_eq!(orders.wanted(&at(height).hash), Standard::Superfluous);
        }
        assert_eq!(ask(&mut orders, 7), [4, 3, 2, 1, 20]);
        assert_eq!(orders.take(&at(5).hash), Some(block(5, 10)));
        assert_eq!(orders.take(&at(5).hash), None);
        assert_eq!(orders.take(&at(1).hash), None);
    }

    #[test]
    fn another_peer_is_asked_for_what_one_does_not_send() {
        let mut orders = Orders::default();
        orders.want(&[at(1), at(2)]);
        assert_eq!(ask(&mut orders, 7), [1, 2]);
        orders.failed(7, &at(1).hash, NOW);
        assert_eq!(ask(&mut orders, 7), [0; 0]);
        assert_eq!(ask(&mut orders, 8), [1]);
        // A late word of the first one changes nothing.
        orders.failed(7, &at(1).hash, NOW);
        assert_eq!(orders.asked_of(8), [(at(1).hash, NOW)]);
        orders.left(8);
        orders.left(7);
        assert_eq!(ask(&mut orders, 9), [1, 2]);
        // When all have failed, the first is asked again after its time.
        orders.failed(9, &at(1).hash, NOW);
        let again = orders.ask_next(PATIENCE, |_, failed| failed.is_empty().then_some(7));
        assert_eq!(again, Some((7, at(1).hash)));
    }

    #[test]
    fn what_waits_is_bounded_and_old_wishes_make_room() {
        let mut orders = Orders::default();
        let many: Vec<_> = (0..60).map(at).collect();
        orders.want(&many);
        let mut came = 0;
        loop {
            let asked = ask(&mut orders, 7);
            if asked.is_empty() {
                break;
            }
            came += asked.len();
            for height in asked {
                orders.put(block(height, 1_000_000));
            }
        }
        assert!((24..=33).contains(&came), "{came} of 32 MB");
        orders.want(&[at(100)]);
        assert_eq!(ask(&mut orders, 7)[0], 100);
        assert!(
            orders.take(&at(0).hash).is_some(),
            "the oldest wish is the last of its list"
        );
        orders.want(&(1_000..4_000).map(at).collect::<Vec<_>>());
        assert!(orders.orders.len() <= ORDERS_MAX);
        let waiting = orders.orders.values().map(|order| match &order.standing {
            Standing::Here(block) => block.raw.len(),
            _ => 0,
        });
        assert_eq!(waiting.sum::<usize>(), orders.waiting);
    }
}
