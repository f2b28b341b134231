//! How far the index is and what keeps it from going on: written by the indexer, read by DNS and `bnsd status`.
//!
//! Every figure is one atomic, so that readers never make the indexer wait. Each figure is true, but two of them may
//! belong to different moments.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

/// Over how long the pace of the index is measured.
const PACE: Duration = Duration::from_secs(60);
/// Shortest time after which it says anything.
const PACE_MIN: Duration = Duration::from_secs(1);
/// Bits of a height in a note: enough for 300 years of blocks, and the rest for 30 years of milliseconds.
const HEIGHT_BITS: u32 = 24;

/// What is known of a chain whose blocks are not all read: each of its operations is proved by work, and these say how
/// likely it is that none is left out.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
pub struct Known {
    /// Logs that are followed and whose data checks.
    pub sources: usize,
    /// Old blocks that were looked at whole.
    pub audited: u32,
    /// The newest height for which the author of an accepted operation vouched.
    pub vouched: Option<u32>,
    /// The highest height with a consensus hash that the configuration names and that the rules led to.
    pub pinned: Option<u32>,
    /// From this height on every block was seen whole.
    pub full_from: Option<u32>,
    /// Why the index stays where it is, as one sentence.
    pub held: Option<String>,
    /// Why it seems that something was left out, as one sentence.
    pub alarm: Option<String>,
}

impl fmt::Display for Known {
    /// What the chain rests on, in one sentence without a full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let (sources, audited) = (self.sources as u64, u64::from(self.audited));
        write!(
            f,
            "proved by work; complete as far as {sources} log{}",
            plural(sources)
        )?;
        write!(f, " and {audited} audited block{} tell", plural(audited))?;
        if let Some(height) = self.full_from {
            write!(f, ", whole blocks from {height} on")?;
        }
        if let Some(height) = self.vouched {
            write!(f, ", vouched for up to {height}")?;
        }
        if let Some(height) = self.pinned {
            write!(f, ", pinned at {height}")?;
        }
        Ok(())
    }
}

/// How far the index is.
#[derive(Debug)]
pub struct Progress {
    height: AtomicU32,
    best_height: AtomicU32,
    block_time: AtomicU32,
    ever_synced: AtomicBool,
    /// Seconds plus one; 0 is "not in this run".
    synced_at: AtomicU64,
    forked: AtomicBool,
    filling: AtomicBool,
    trouble: ArcSwapOption<String>,
    known: ArcSwapOption<Known>,
    /// The height at the first look in each of the last seconds: time in milliseconds plus one, and height. 0 is empty.
    pace: [AtomicU64; PACE.as_secs() as usize + 1],
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            height: AtomicU32::default(),
            best_height: AtomicU32::default(),
            block_time: AtomicU32::default(),
            ever_synced: AtomicBool::default(),
            synced_at: AtomicU64::default(),
            forked: AtomicBool::default(),
            filling: AtomicBool::default(),
            trouble: ArcSwapOption::default(),
            known: ArcSwapOption::default(),
            pace: std::array::from_fn(|_| AtomicU64::default()),
        }
    }
}

impl Progress {
    /// A block was connected or disconnected: the tip is now at `height`, its header says `block_time`
    /// (seconds since 1970).
    pub fn set_tip(&self, height: u32, block_time: u32) {
        self.block_time.store(block_time, Ordering::Relaxed);
        self.height.store(height, Ordering::Relaxed);
    }

    /// The source knows blocks up to `height`.
    pub fn set_best_height(&self, height: u32) {
        self.best_height.store(height, Ordering::Relaxed);
    }

    /// The tip of the source was reached, `now` on the monotonic clock.
    pub fn set_synced(&self, now: Duration) {
        self.synced_at.store(now.as_secs() + 1, Ordering::Relaxed);
        self.ever_synced.store(true, Ordering::Relaxed);
    }

    /// The database has been at the tip of its source in an earlier run.
    pub fn set_ever_synced(&self) {
        self.ever_synced.store(true, Ordering::Relaxed);
    }

    /// Whether the database has been at the tip of its source, now or in an earlier run.
    pub fn has_ever_synced(&self) -> bool {
        self.ever_synced.load(Ordering::Relaxed)
    }

    /// When the tip of the source was last reached in this run, on the monotonic clock, in whole seconds.
    pub fn synced_at(&self) -> Option<Duration> {
        let seconds = self.synced_at.load(Ordering::Relaxed).checked_sub(1)?;
        Some(Duration::from_secs(seconds))
    }

    /// Notes whether the source's chain parted from the index's deeper than can be undone.
    pub fn set_forked(&self, forked: bool) {
        self.forked.store(forked, Ordering::Relaxed);
    }

    /// Whether the source's chain parted from the index's deeper than can be undone. Then no indexed name is
    /// answered.
    pub fn is_forked(&self) -> bool {
        self.forked.load(Ordering::Relaxed)
    }

    /// Notes whether names are still being put on the chain, an embedded one. Then nobody can say which are absent.
    pub fn set_filling(&self, filling: bool) {
        self.filling.store(filling, Ordering::Relaxed);
    }

    /// Whether names are still being put on the chain.
    pub fn is_filling(&self) -> bool {
        self.filling.load(Ordering::Relaxed)
    }

    /// Notes what keeps the index from going on, as one sentence; `None` when it goes on.
    pub fn set_trouble(&self, trouble: Option<String>) {
        if trouble.is_some() || self.trouble.load().is_some() {
            self.trouble.store(trouble.map(Arc::new));
        }
    }

    /// What keeps the index from going on, as one sentence.
    pub fn trouble(&self) -> Option<Arc<String>> {
        self.trouble.load_full()
    }

    /// Notes how much is known of a chain whose blocks are not all read; `None` where they are.
    pub fn set_known(&self, known: Option<Known>) {
        if self.known.load().as_deref() != known.as_ref() {
            self.known.store(known.map(Arc::new));
        }
    }

    /// Whether the index stays where it is because something is missing that nobody has shown yet.
    pub fn is_held(&self) -> bool {
        self.known
            .load()
            .as_ref()
            .is_some_and(|known| known.held.is_some())
    }

    /// How much is known of a chain whose blocks are not all read.
    pub fn known(&self) -> Option<Arc<Known>> {
        self.known.load_full()
    }

    /// Notes how far it is `now` on the monotonic clock, so that the pace can be told; cheap enough for every block.
    pub fn note_pace(&self, now: Duration) {
        let slot = &self.pace[now.as_secs() as usize % self.pace.len()];
        let noted = slot.load(Ordering::Relaxed) >> HEIGHT_BITS;
        let is_this_second = noted.saturating_sub(1) / 1_000 == now.as_secs() && noted > 0;
        let height = u64::from(self.height());
        if height > 0 && !is_this_second {
            let time = now.as_millis() as u64 + 1;
            slot.store(time << HEIGHT_BITS | height, Ordering::Relaxed);
        }
    }

    /// How many blocks a minute the index gained lately, `now` on the monotonic clock; `None` if it did not run for long
    /// enough to say.
    pub fn blocks_per_minute(&self, now: Duration) -> Option<u64> {
        let notes = self.pace.iter().map(|slot| slot.load(Ordering::Relaxed));
        let notes = notes.filter_map(|note| {
            let time = Duration::from_millis((note >> HEIGHT_BITS).checked_sub(1)?);
            let age = now.checked_sub(time)?;
            let height = note & ((1 << HEIGHT_BITS) - 1);
            (age <= PACE).then_some((age, height))
        });
        let (age, height) = notes.max()?;
        let gained = u64::from(self.height()).saturating_sub(height);
        (age >= PACE_MIN).then(|| gained * 60_000 / age.as_millis() as u64)
    }

    /// Height of the indexed tip, 0 before the first block.
    pub fn height(&self) -> u32 {
        self.height.load(Ordering::Relaxed)
    }

    /// Height of the best block that the source knows.
    pub fn best_height(&self) -> u32 {
        self.best_height.load(Ordering::Relaxed)
    }

    /// Header time of the indexed tip, seconds since 1970.
    pub fn block_time(&self) -> u32 {
        self.block_time.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_said_in_one_sentence() {
        let mut known = Known {
            sources: 1,
            audited: 48,
            ..Known::default()
        };
        let short = "proved by work; complete as far as 1 log and 48 audited blocks tell";
        assert_eq!(known.to_string(), short);
        known.full_from = Some(900);
        known.vouched = Some(890);
        known.pinned = Some(665_749);
        let rest = ", whole blocks from 900 on, vouched for up to 890, pinned at 665749";
        assert_eq!(known.to_string(), format!("{short}{rest}"));
    }

    #[test]
    fn the_pace_is_that_of_the_last_minute() {
        let progress = Progress::default();
        let pace = |seconds| progress.blocks_per_minute(Duration::from_secs(seconds));
        let note = |seconds, height| {
            progress.note_pace(Duration::from_secs(seconds));
            progress.set_tip(height, 0);
        };
        note(5, 1_000);
        assert_eq!(pace(5), None, "nothing is noted before the first block");
        // The first minute: what was there at the start does not count.
        for second in 6..=36 {
            note(second, 1_000 + 10 * (second as u32 - 5));
        }
        assert_eq!(pace(36), Some(31 * 60 * 10 / 30));
        // Then it stands still, and after a minute nothing was gained.
        for second in 37..=150 {
            note(second, 1_310);
        }
        assert_eq!(pace(150), Some(0));
        // A daemon whose source is gone cannot say.
        assert_eq!(pace(1_000), None);
    }
}
