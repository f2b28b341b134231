//! A fault that repeats is said once a minute, with how often it was left out.
//!
//! Strangers and failing disks can repeat a fault at any rate. The first time it is logged at once. Within [`WINDOW`] the
//! same sentence from the same line of the program is only counted; then it is said how often that was. Where a line makes
//! many sentences, because a stranger chooses a part of it, those beyond [`SENTENCES_MAX`] count as one. Memory is bounded,
//! since the lines of the program are.
//!
//! This holds for errors and warnings. What is logged at other levels is no fault.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::{self, Write as _};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// For how long a sentence is not said again.
const WINDOW: Duration = Duration::from_secs(60);
/// Beyond the window by so much, nobody says what was left out, and the sentence itself is said again.
const GRACE: Duration = Duration::from_secs(5);
/// Different sentences of one line of the program in a window; further ones count as one.
const SENTENCES_MAX: usize = 16;
/// Bytes of a sentence that are kept to say it again.
const TEXT_MAX: usize = 400;
/// The field of the events that say what was left out.
const COUNT: &str = "repeated";

/// File and line of the program.
type Place = (&'static str, u32);

/// What was said lately.
#[derive(Default)]
pub struct Repeats {
    said: Mutex<HashMap<Place, HashMap<u64, Said>>>,
    hasher: RandomState,
}

/// A sentence.
struct Said {
    since: Instant,
    left_out: u64,
    level: Level,
    text: String,
    /// It stands for other sentences too, beyond [`SENTENCES_MAX`].
    is_one_of_many: bool,
}

impl Said {
    /// What is said about those that were left out.
    fn summary(&self) -> String {
        let (count, text) = (self.left_out, &self.text);
        match self.is_one_of_many {
            true => format!("{count} other messages in the last minute, like: {text}"),
            false => format!("said {count} times in the last minute: {text}"),
        }
    }
}

impl Repeats {
    /// Whether a sentence is to be said now; if not, it is counted.
    fn admit(&self, place: Place, level: Level, text: String, now: Instant) -> bool {
        let mut said = self.lock();
        let of_place = said.entry(place).or_default();
        let hash = self.hasher.hash_one(&text);
        let is_one_of_few = of_place.contains_key(&hash) || of_place.len() < SENTENCES_MAX;
        let fresh = Said {
            since: now,
            left_out: 0,
            level,
            text,
            is_one_of_many: !is_one_of_few,
        };
        match of_place.entry(if is_one_of_few { hash } else { 0 }) {
            Entry::Occupied(mut known) if now < known.get().since + WINDOW + GRACE => {
                known.get_mut().left_out += 1;
                false
            }
            Entry::Occupied(mut known) => {
                known.insert(fresh);
                true
            }
            Entry::Vacant(place) => {
                place.insert(fresh);
                true
            }
        }
    }

    /// What to say about what was left out in the windows that are over, and how often that was; their sentences begin new ones.
    fn due(&self, now: Instant) -> Vec<(Level, u64, String)> {
        let mut due = Vec::new();
        self.lock().retain(|_, of_place| {
            of_place.retain(|_, said| {
                let is_over = now >= said.since + WINDOW;
                if is_over && said.left_out > 0 {
                    due.push((said.level, said.left_out, said.summary()));
                    (said.since, said.left_out) = (now, 0);
                    return true;
                }
                !is_over
            });
            !of_place.is_empty()
        });
        due
    }

    /// Says what was left out in the windows that are over. To be called every second.
    pub fn say(&self) {
        for (level, repeated, text) in self.due(Instant::now()) {
            match level {
                Level::ERROR => {
                    tracing::error!(repeated, "{text}");
                }
                _ => tracing::warn!(repeated, "{text}"),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, HashMap<u64, Said>>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands over to `inner` what is to be said.
pub struct Throttle<L> {
    /// Writes the log.
    pub inner: L,
    /// What was said lately.
    pub repeats: Arc<Repeats>,
}

impl<S: Subscriber, L: Layer<S>> Layer<S> for Throttle<L> {
    fn on_layer(&mut self, subscriber: &mut S) {
        self.inner.on_layer(subscriber);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let is_fault = *metadata.level() <= Level::WARN;
        if is_fault && metadata.fields().field(COUNT).is_none() {
            let place = (
                metadata.file().unwrap_or_default(),
                metadata.line().unwrap_or_default(),
            );
            let text = Sentence::of(event);
            if !self
                .repeats
                .admit(place, *metadata.level(), text, Instant::now())
            {
                return;
            }
        }
        self.inner.on_event(event, context);
    }
}

/// The message of an event and its fields.
struct Sentence(String);

impl Sentence {
    fn of(event: &Event<'_>) -> String {
        let mut sentence = Self(String::new());
        event.record(&mut sentence);
        let mut text = sentence.0;
        let whole = |end: &usize| text.is_char_boundary(*end);
        text.truncate((0..=TEXT_MAX).rev().find(whole).unwrap_or(0));
        text
    }
}

impl Visit for Sentence {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        // Writing into a text never fails.
        let _ = match field.name() {
            "message" => write!(self.0, "{space}{value:?}"),
            name => write!(self.0, "{space}{name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place = ("here.rs", 1);

    #[test]
    fn a_fault_is_said_once_a_minute_with_how_often_it_was_left_out() {
        let (repeats, start) = (Repeats::default(), Instant::now());
        let admit = |text: &str, seconds| {
            let at = start + Duration::from_secs(seconds);
            repeats.admit(HERE, Level::WARN, text.to_owned(), at)
        };
        let due = |seconds| repeats.due(start + Duration::from_secs(seconds));
        assert!(
            admit("no disk", 0) && admit("no node", 0),
            "the first of each"
        );
        assert_eq!(
            (1..42).filter(|second| admit("no disk", *second)).count(),
            0
        );
        assert_eq!(due(59), []);
        let said = |count: u64, text: &str| {
            let text = format!("said {count} times in the last minute: {text}");
            [(Level::WARN, count, text)]
        };
        assert_eq!(due(60), said(41, "no disk"));
        assert!(!admit("no disk", 61) && admit("no node", 61));
        assert_eq!(due(120), said(1, "no disk"));
        assert_eq!(due(180), []);
        assert!(repeats.lock().is_empty(), "what is over is forgotten");
        assert!(admit("no disk", 181));
        assert!(
            admit("no disk", 181 + 65),
            "said again where nobody says what was left out"
        );
    }

    #[test]
    fn a_stranger_who_chooses_the_text_fills_neither_log_nor_memory() {
        let (repeats, now) = (Repeats::default(), Instant::now());
        let said = (0..10_000).filter(|number| {
            repeats.admit(HERE, Level::ERROR, format!("bad packet {number}"), now)
        });
        assert_eq!(said.count(), SENTENCES_MAX + 1);
        let kept: usize = repeats.lock().values().map(HashMap::len).sum();
        assert_eq!(kept, SENTENCES_MAX + 1);
        let due = repeats.due(now + WINDOW);
        let [(_, 9_983, text)] = &due[..] else {
            panic!("{due:?}");
        };
        let start = "9983 other messages in the last minute, like: bad packet ";
        assert!(text.starts_with(start), "{text}");
        let elsewhere = repeats.admit(("there.rs", 1), Level::ERROR, "bad packet".to_owned(), now);
        assert!(elsewhere, "another line of the program is not concerned");
    }
}
