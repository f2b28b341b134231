//! One connected peer: what it was asked, what it sent, and what that makes of it. This file is pure; times are since the
//! node started.

use std::time::Duration;

use bitcoin::BlockHash;

use super::orders::PATIENCE;
use crate::chain::BlockRef;

/// Bytes that a peer may send unasked at once, and how many more each second.
const UNASKED: u64 = 2_000_000;
const UNASKED_A_SECOND: u64 = 2_000;
/// Blocks that a pruned peer has (BIP 159), less some that come while it is asked.
pub(super) const RECENT: u32 = 280;
/// How long an answer may take of a peer that sends other things meanwhile.
const BUSY: Duration = Duration::from_secs(60);

/// Which blocks a peer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serves {
    /// All.
    All,
    /// The newest 288: it is pruned.
    Recent,
}

/// What came of a message with headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct News {
    /// The last of them.
    pub last: Option<BlockRef>,
    /// Whether the message holds as many as one can.
    pub is_full: bool,
    /// Whether they made a better chain.
    pub is_better: bool,
}

/// A connected peer.
#[derive(Debug)]
pub(super) struct Member {
    serves: Serves,
    /// Whether a person named it.
    pub is_given: bool,
    /// The highest block that it told of.
    pub height: u32,
    /// Since when headers are awaited.
    pub headers_asked: Option<Duration>,
    /// When headers last came that were asked for.
    pub headers_came: Option<Duration>,
    /// When something came that was asked for.
    pub delivered: Duration,
    /// When anything came.
    pub heard: Duration,
    /// Since when a word is awaited.
    pub pinged: Option<Duration>,
    /// Whether the connection may have gone without a word.
    pub is_doubted: bool,
    /// When it was the first with something new.
    pub useful: Duration,
    /// Blocks that it was asked for and has not sent, whoever was asked since.
    pub owes: Vec<BlockHash>,
    /// How often in a row it was late with blocks.
    pub late: u32,
    /// Blocks in a row that it refused.
    pub refused: u32,
    /// Headers that it sent on top of none that is known, since it last made a better chain.
    pub unlinked: u32,
    /// Full messages of headers since then.
    pub full: u32,
    unasked: u64,
    unasked_at: Duration,
}

impl Member {
    /// A peer that has just said who it is.
    pub fn new(serves: Serves, height: u32, is_given: bool, now: Duration) -> Self {
        Self {
            serves,
            is_given,
            height,
            headers_asked: None,
            headers_came: None,
            delivered: now,
            heard: now,
            pinged: None,
            is_doubted: false,
            useful: now,
            owes: Vec::new(),
            late: 0,
            refused: 0,
            unlinked: 0,
            full: 0,
            unasked: 0,
            unasked_at: now,
        }
    }

    /// Whether it can have a block: nobody announces what he lacks.
    pub fn can_send(&self, at: BlockRef, tip: u32) -> bool {
        let is_kept = match self.serves {
            Serves::All => true,
            Serves::Recent => at.height.saturating_add(RECENT) >= tip.max(self.height),
        };
        is_kept && self.height >= at.height
    }

    /// Headers came; whether they were asked for.
    pub fn take_news(&mut self, news: News, now: Duration) -> bool {
        let was_asked = self.headers_asked.take().is_some();
        if was_asked {
            (self.headers_came, self.delivered) = (Some(now), now);
        }
        let height = news.last.map_or(0, |last| last.height);
        self.height = self.height.max(height);
        if news.is_better {
            (self.useful, self.full, self.unlinked) = (now, 0, 0);
        } else if news.is_full {
            self.full += 1;
        }
        was_asked
    }

    /// Takes a block off what it owes; whether it was there.
    pub fn settle(&mut self, hash: &BlockHash) -> bool {
        let place = self.owes.iter().position(|owed| owed == hash);
        place.map(|place| self.owes.remove(place)).is_some()
    }

    /// Whether an answer is late that is awaited since a time.
    pub fn is_late(&self, since: Duration, now: Duration) -> bool {
        now >= since.max(self.delivered) + PATIENCE || now >= since + BUSY
    }

    /// Whether so many more bytes unasked are too many.
    pub fn floods(&mut self, bytes: u64, now: Duration) -> bool {
        let since = now.saturating_sub(self.unasked_at).as_secs();
        if since > 0 {
            self.unasked = self.unasked.saturating_sub(since * UNASKED_A_SECOND);
            self.unasked_at = now;
        }
        self.unasked = self.unasked.saturating_add(bytes);
        self.unasked > UNASKED
    }
}
