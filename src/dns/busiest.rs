//! The names that are asked for most, for `bnsd status --watch`. Names are counted only while somebody looks.
//!
//! Counting begins with the first look, and the table is dropped [`FORGET`] after the last one. A count halves with every
//! [`HALF_LIFE`], so the list shows the last seconds. The table holds [`NAMES_MAX`] names; a new name takes the place and
//! the count of the smallest (the "space saving" summary of Metwally, Agrawal and El Abbadi). Memory is bounded whatever is
//! asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::rr::Name as DnsName;

/// Names in the table.
const NAMES_MAX: usize = 256;
/// A count halves in this time.
const HALF_LIFE: Duration = Duration::from_secs(5);
/// The table is dropped this long after the last look.
const FORGET: Duration = Duration::from_secs(10);
/// Below this a count is no longer shown: its name was last asked for half a minute ago.
const FAINT: f64 = 0.02;

/// The table, if somebody looks.
#[derive(Default)]
pub struct Busiest {
    watched: AtomicBool,
    table: Mutex<Option<Table>>,
}

struct Table {
    looked: Instant,
    decayed: Instant,
    counts: HashMap<DnsName, f64>,
}

impl Busiest {
    /// Whether somebody looks.
    pub fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// A name was asked for.
    pub fn count(&self, name: &DnsName) {
        if self.is_watched() {
            self.count_at(name, Instant::now());
        }
    }

    /// The names with the largest counts, largest first; starts the counting.
    pub fn look(&self, most: usize) -> Vec<(DnsName, f64)> {
        self.look_at(most, Instant::now())
    }

    fn count_at(&self, name: &DnsName, now: Instant) {
        let mut place = self.lock();
        if place.take_if(|table| table.is_forgotten(now)).is_some() {
            self.watched.store(false, Ordering::Relaxed);
        }
        if let Some(table) = place.as_mut() {
            table.decay(now);
            table.add(name.to_lowercase());
        }
    }

    fn look_at(&self, most: usize, now: Instant) -> Vec<(DnsName, f64)> {
        let mut place = self.lock();
        place.take_if(|table| table.is_forgotten(now));
        let table = place.get_or_insert_with(|| Table {
            looked: now,
            decayed: now,
            counts: HashMap::new(),
        });
        self.watched.store(true, Ordering::Relaxed);
        table.looked = now;
        table.decay(now);
        let mut names: Vec<_> = table.counts.clone().into_iter().collect();
        names.sort_by(|(a_name, a), (b_name, b)| b.total_cmp(a).then_with(|| a_name.cmp(b_name)));
        names.truncate(most);
        names
    }

    fn lock(&self) -> MutexGuard<'_, Option<Table>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn is_forgotten(&self, now: Instant) -> bool {
        now.duration_since(self.looked) > FORGET
    }

    /// Once a second is often enough for a list that people read.
    fn decay(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.decayed);
        if passed < Duration::from_secs(1) {
            return;
        }
        self.decayed = now;
        let factor = 0.5_f64.powf(passed.as_secs_f64() / HALF_LIFE.as_secs_f64());
        for count in self.counts.values_mut() {
            *count *= factor;
        }
        self.counts.retain(|_, count| *count >= FAINT);
    }

    fn add(&mut self, name: DnsName) {
        if let Some(count) = self.counts.get_mut(&name) {
            *count += 1.0;
            return;
        }
        let smallest = match self.counts.len() {
            NAMES_MAX.. => self
                .counts
                .iter()
                .min_by(|(_, a), (_, b)| a.total_cmp(b))
                .map(|(name, count)| (name.clone(), *count)),
            _ => None,
        };
        let start = smallest.map_or(0.0, |(name, count)| {
            self.counts.remove(&name);
            count
        });
        self.counts.insert(name, start + 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DnsName {
        DnsName::from_ascii(text).expect("a domain name")
    }

    fn names(found: &[(DnsName, f64)]) -> Vec<String> {
        found.iter().map(|(name, _)| name.to_string()).collect()
    }

    #[test]
    fn nothing_is_counted_while_nobody_looks() {
        let busiest = Busiest::default();
        let start = Instant::now();
        busiest.count(&name("a.id."));
        assert!(busiest.look_at(9, start).is_empty());
        busiest.count_at(&name("a.id."), start);
        busiest.count_at(&name("B.id."), start);
        busiest.count_at(&name("b.ID."), start);
        assert_eq!(names(&busiest.look_at(9, start)), ["b.id.", "a.id."]);
        let later = start + FORGET + Duration::from_millis(1);
        busiest.count_at(&name("a.id."), later);
        assert!(!busiest.watched.load(Ordering::Relaxed) && busiest.lock().is_none());
    }

    #[test]
    fn old_counts_fade_and_memory_is_bounded() {
        let busiest = Busiest::default();
        let mut now = Instant::now();
        busiest.look_at(0, now);
        for _ in 0..8 {
            busiest.count_at(&name("old.id."), now);
        }
        now += HALF_LIFE;
        assert!((busiest.look_at(1, now)[0].1 - 4.0).abs() < 0.01);
        for number in 0..10_000 {
            busiest.count_at(&name(&format!("n{number}.id.")), now);
        }
        assert_eq!(busiest.look_at(usize::MAX, now).len(), NAMES_MAX);
        for _ in 0..9 {
            now += HALF_LIFE;
            busiest.look_at(0, now);
        }
        assert!(busiest.look_at(9, now).len() <= NAMES_MAX);
        for _ in 0..9 {
            now += HALF_LIFE;
            busiest.look_at(0, now);
        }
        assert!(busiest.look_at(9, now).is_empty());
    }
}
