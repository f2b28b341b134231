//! One peer: how much of what it was asked it answered, what it did wrong, and when it may be asked again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dice::Dice;
use crate::hash::ZonefileHash;

/// How long a call counts for health.
pub(super) const HEALTH_WINDOW: Duration = Duration::from_secs(3600);
/// Parts of the window; a part that ends is forgotten at once.
const HEALTH_PARTS: usize = 12;
/// Who answers a smaller part of the calls is ill.
pub(super) const HEALTH_MIN: f64 = 0.5;
/// Strikes that ban.
const STRIKES_MAX: u32 = 3;
/// How long a ban lasts.
const BAN: Duration = Duration::from_secs(3600);
/// How long a strike counts.
const STRIKE_LIFE: Duration = Duration::from_secs(86_400);
/// The pause after the first failed call; each further one doubles it.
const PAUSE_MIN: Duration = Duration::from_secs(5);
/// How long a peer that is behind, or on another chain, is left alone.
const DISAGREED_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(3600);
/// How often a peer that claims a file without delivering it is asked for it again, in a day.
const BROKEN_MAX: u8 = 8;
/// Files that a peer may fail to deliver in a day; then no claim of it counts that day.
const BROKEN_FILES_MAX: usize = 10_000;
/// How long broken claims count.
const BROKEN_LIFE: Duration = Duration::from_secs(86_400);

/// Calls of the last hour, and how many were answered.
#[derive(Debug, Default)]
struct Health {
    /// (calls, answers) of each part; a part stands at its number modulo their count.
    parts: [(u16, u16); HEALTH_PARTS],
    newest: u64,
}

impl Health {
    fn part(now: Duration) -> u64 {
        now.as_secs() / (HEALTH_WINDOW.as_secs() / HEALTH_PARTS as u64)
    }

    fn note(&mut self, is_answer: bool, now: Duration) {
        let part = Self::part(now);
        for old in self.newest + 1..=part.min(self.newest + HEALTH_PARTS as u64) {
            self.parts[old as usize % HEALTH_PARTS] = (0, 0);
        }
        self.newest = part;
        let (calls, answers) = &mut self.parts[part as usize % HEALTH_PARTS];
        *calls = calls.saturating_add(1);
        *answers = answers.saturating_add(is_answer.into());
    }

    /// Calls and answers of the last hour.
    fn sum(&self, now: Duration) -> (u32, u32) {
        let oldest = (Self::part(now) + 1).saturating_sub(HEALTH_PARTS as u64);
        let parts = (oldest..=self.newest).map(|part| self.parts[part as usize % HEALTH_PARTS]);
        parts.fold((0, 0), |(calls, answers), (more_calls, more_answers)| {
            (
                calls + u32::from(more_calls),
                answers + u32::from(more_answers),
            )
        })
    }

    /// The answered part of the calls; 0 if there were none.
    fn ratio(&self, now: Duration) -> f64 {
        match self.sum(now) {
            (0, _) => 0.0,
            (calls, answers) => f64::from(answers) / f64::from(calls),
        }
    }
}

/// The files that a peer claims to have and did not deliver.
#[derive(Debug, Default)]
struct Broken {
    since: Duration,
    tries: BTreeMap<ZonefileHash, u8>,
}

/// A peer.
#[derive(Debug)]
pub(super) struct Peer {
    /// Whether the configuration names it.
    pub(super) configured: bool,
    /// Whether it agreed with our chain when it was last asked.
    pub(super) agrees: bool,
    /// Whether it is being asked who it is.
    pub(super) asking: bool,
    /// When it answered last.
    pub(super) answered: Option<Duration>,
    /// When it was last kept for the next run.
    pub(super) remembered: Option<Duration>,
    health: Health,
    strikes: u32,
    struck: Duration,
    banned_until: Duration,
    failures: u32,
    pause_until: Duration,
    /// When it came into the table.
    pub(super) known_since: Duration,
    broken: Broken,
}

impl Peer {
    /// A peer that nobody has asked yet.
    pub(super) fn new(configured: bool, now: Duration) -> Self {
        Self {
            configured,
            agrees: false,
            asking: false,
            answered: None,
            remembered: None,
            health: Health::default(),
            strikes: 0,
            struck: Duration::ZERO,
            banned_until: Duration::ZERO,
            failures: 0,
            pause_until: Duration::ZERO,
            known_since: now,
            broken: Broken::default(),
        }
    }

    /// The answered part of its calls of the last hour.
    pub(super) fn health(&self, now: Duration) -> f64 {
        self.health.ratio(now)
    }

    /// Calls of the last hour.
    pub(super) fn calls(&self, now: Duration) -> u32 {
        self.health.sum(now).0
    }

    /// Strikes against it that still count.
    pub(super) fn strikes(&self, now: Duration) -> u32 {
        match now.saturating_sub(self.struck) < STRIKE_LIFE {
            true => self.strikes,
            false => 0,
        }
    }

    /// How long it stays banned.
    pub(super) fn banned_for(&self, now: Duration) -> Option<Duration> {
        self.banned_until
            .checked_sub(now)
            .filter(|left| !left.is_zero())
    }

    /// From when on it may be asked again.
    pub(super) fn free_at(&self) -> Duration {
        self.banned_until.max(self.pause_until)
    }

    /// Whether it may be asked now: not banned, and not failed a moment ago.
    pub(super) fn is_free(&self, now: Duration) -> bool {
        self.free_at() <= now
    }

    /// Whether it is one that a neighbour can be: it agrees, and it answers.
    pub(super) fn is_good(&self, now: Duration) -> bool {
        self.agrees && self.is_free(now) && self.failures == 0
    }

    /// Notes that it does not agree with our chain; it is asked again in a minute.
    pub(super) fn disagree(&mut self, now: Duration) {
        self.agrees = false;
        self.pause_until = now + DISAGREED_PAUSE;
    }

    /// Failed calls without an answer between them.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Notes an answer.
    pub(super) fn answer(&mut self, now: Duration) {
        self.health.note(true, now);
        self.answered = Some(now);
        self.failures = 0;
        self.pause_until = Duration::ZERO;
    }

    /// Notes a failed call: the next waits, longer each time, and not as long as for others that failed at once.
    pub(super) fn fail(&mut self, now: Duration, dice: &mut impl Dice) {
        self.health.note(false, now);
        let pause = PAUSE_MIN
            .saturating_mul(1 << self.failures.min(10))
            .min(PAUSE_MAX);
        self.failures += 1;
        self.pause_until = now + pause.mul_f64(0.5 + dice.unit() / 2.0);
    }

    /// Notes something that no honest peer does. Returns whether that bans it.
    pub(super) fn strike(&mut self, now: Duration) -> bool {
        self.strikes = self.strikes(now) + 1;
        self.struck = now;
        let is_banned = self.strikes >= STRIKES_MAX;
        if is_banned {
            self.strikes = 0;
            self.banned_until = now + BAN;
        }
        is_banned
    }

    /// Notes a file that it claimed and did not deliver.
    pub(super) fn break_claim(&mut self, hash: ZonefileHash, now: Duration) {
        if now.saturating_sub(self.broken.since) >= BROKEN_LIFE {
            self.broken.tries.clear();
        }
        if self.broken.tries.is_empty() {
            self.broken.since = now;
        }
        if self.broken.tries.len() < BROKEN_FILES_MAX || self.broken.tries.contains_key(&hash) {
            let tries = self.broken.tries.entry(hash).or_default();
            *tries = tries.saturating_add(1);
        }
    }

    /// The files whose claims do not count today; `None` if no claim of it does.
    pub(super) fn unbelieved(&self, now: Duration) -> Option<Vec<ZonefileHash>> {
        if now.saturating_sub(self.broken.since) >= BROKEN_LIFE {
            return Some(Vec::new());
        }
        let tries = self.broken.tries.iter();
        let spent = tries.filter(|(_, tries)| **tries >= BROKEN_MAX);
        (self.broken.tries.len() < BROKEN_FILES_MAX).then(|| spent.map(|(hash, _)| *hash).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::fixture::Seeded;
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn health_forgets_after_an_hour() {
        let mut health = Health::default();
        health.note(true, seconds(10));
        health.note(false, seconds(20));
        health.note(false, seconds(1800));
        assert_eq!(health.sum(seconds(1800)), (3, 1));
        assert_eq!(health.sum(seconds(3599)), (3, 1));
        assert_eq!(health.sum(seconds(3600)), (1, 0));
        health.note(true, seconds(3700));
        assert_eq!(health.ratio(seconds(3700)), 0.5);
        health.note(true, seconds(1_000_000));
        assert_eq!(health.sum(seconds(1_000_000)), (1, 1));
        assert_eq!(health.sum(seconds(2_000_000)), (0, 0));
    }

    #[test]
    fn the_third_strike_of_a_day_bans_for_an_hour() {
        let mut peer = Peer::new(true, seconds(0));
        assert!(!peer.strike(seconds(0)) && !peer.strike(seconds(1)));
        assert_eq!(peer.strikes(seconds(86_401)), 0);
        assert!(!peer.strike(seconds(86_401)), "the first two are forgotten");
        assert!(!peer.strike(seconds(86_402)));
        assert!(peer.strike(seconds(86_403)));
        assert_eq!(peer.banned_for(seconds(86_404)), Some(seconds(3599)));
        assert!(!peer.is_free(seconds(90_002)) && peer.is_free(seconds(90_003)));
    }

    #[test]
    fn failures_make_pauses_that_grow_to_an_hour() {
        let mut dice = Seeded::new(1);
        let mut peer = Peer::new(true, seconds(0));
        let mut pauses = Vec::new();
        for _ in 0..20 {
            peer.fail(seconds(0), &mut dice);
            pauses.push(peer.free_at());
        }
        assert!(pauses[0] >= PAUSE_MIN / 2 && pauses[0] <= PAUSE_MIN);
        assert!(
            pauses[4] >= PAUSE_MIN * 8 && pauses[19] >= PAUSE_MAX / 2 && pauses[19] <= PAUSE_MAX
        );
        peer.answer(seconds(0));
        assert!(peer.is_free(seconds(0)));
    }

    #[test]
    fn a_claim_is_believed_eight_times_a_day() {
        let mut peer = Peer::new(true, seconds(0));
        let hash = ZonefileHash([1; 20]);
        (0..7).for_each(|_| peer.break_claim(hash, seconds(5)));
        assert_eq!(peer.unbelieved(seconds(6)), Some(vec![]));
        peer.break_claim(hash, seconds(6));
        assert_eq!(peer.unbelieved(seconds(7)), Some(vec![hash]));
        assert_eq!(peer.unbelieved(seconds(86_405)), Some(vec![]));
        for number in 0..BROKEN_FILES_MAX as u32 {
            peer.break_claim(ZonefileHash::of(&number.to_be_bytes()), seconds(86_405));
        }
        assert_eq!(peer.unbelieved(seconds(86_406)), None);
    }
}
