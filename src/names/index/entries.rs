//! What is kept of each name, found by a hash of it.
//!
//! Names are chosen by strangers, so the hash is keyed with random numbers of this process: two runs of the standard
//! library's hash for tables, 128 bits. Nobody who does not know the keys can make two names with one hash, and by chance
//! that happens to some pair of a billion names with a probability of 10^-21. So the name itself is not kept.
//!
//! The first bits of the hash choose a bucket, and the entries of a bucket are in the order of their hashes, which are
//! spread evenly: a guess where one stands is a few entries off. An entry takes 49 bytes and a bucket has room for at most an
//! eighth more of them, so a name takes at most 56 bytes. Each bucket has a lock of its own, which is held for less than
//! it takes to move a bucket's entries by one.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::bns::life::Life;
use crate::hash::ZonefileHash;
use crate::store::Standing;

/// Bits of a hash that choose the bucket: 244 entries in each at a million names, which a new one moves in some hundred nanoseconds.
const BUCKET_BITS: u32 = 12;
/// Room that a bucket gets when it is full, as a part of its entries, and at most at first.
const GROWTH: usize = 8;
/// Standard deviations of the number of entries in a bucket for which there is room at first: few buckets have to grow while they
/// are filled.
const DEVIATIONS: usize = 3;

/// The entries of all names.
pub(super) struct Entries {
    keys: RandomState,
    buckets: Box<[RwLock<Vec<Entry>>]>,
    count: AtomicU64,
}

/// What is kept of a name: its hash as big-endian bytes, and how it stands. All fields are bytes, so that none are lost between
/// them.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: [u8; 16],
    height: [u8; 4],
    first_registered: [u8; 4],
    last_renewed: [u8; 4],
    /// [`REVOKED`] and [`HAS_ZONEFILE`].
    flags: u8,
    zonefile: [u8; 20],
}

/// Bits of an entry's flags.
const REVOKED: u8 = 1;
const HAS_ZONEFILE: u8 = 2;

/// The hash of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NameKey(u128);

impl NameKey {
    fn bucket(self) -> usize {
        (self.0 >> (u128::BITS - BUCKET_BITS)) as usize
    }

    /// Where it probably stands in a bucket of so many entries.
    fn guess(self, entries: usize) -> usize {
        let spread = (self.0 << BUCKET_BITS >> 96) as u64; // below 2^32
        ((spread * entries as u64) >> 32) as usize
    }
}

impl Entry {
    fn new(key: NameKey, standing: Standing) -> Self {
        let Standing {
            height,
            life,
            zonefile,
        } = standing;
        let revoked = if life.revoked { REVOKED } else { 0 };
        let has_zonefile = zonefile.map_or(0, |_| HAS_ZONEFILE);
        Self {
            hash: key.0.to_be_bytes(),
            height: height.to_ne_bytes(),
            first_registered: life.first_registered.to_ne_bytes(),
            last_renewed: life.last_renewed.to_ne_bytes(),
            flags: revoked | has_zonefile,
            zonefile: zonefile.map_or([0; 20], |hash| hash.0),
        }
    }

    fn key(&self) -> NameKey {
        NameKey(u128::from_be_bytes(self.hash))
    }

    fn standing(&self) -> Standing {
        let has_zonefile = self.flags & HAS_ZONEFILE != 0;
        Standing {
            height: u32::from_ne_bytes(self.height),
            life: Life {
                first_registered: u32::from_ne_bytes(self.first_registered),
                last_renewed: u32::from_ne_bytes(self.last_renewed),
                revoked: self.flags & REVOKED != 0,
            },
            zonefile: has_zonefile.then_some(ZonefileHash(self.zonefile)),
        }
    }
}

impl Entries {
    /// No entries, with new random keys and room for so many: buckets that grow one by one leave holes in the memory.
    pub(super) fn with_room(count: u64) -> Self {
        let mean = usize::try_from(count >> BUCKET_BITS).unwrap_or(usize::MAX);
        let room = mean.saturating_add((mean / GROWTH).min(DEVIATIONS * mean.isqrt()));
        Self {
            keys: RandomState::new(),
            buckets: (0..1 << BUCKET_BITS)
                .map(|_| RwLock::new(Vec::with_capacity(room)))
                .collect(),
            count: AtomicU64::new(0),
        }
    }

    /// The key of a name.
    pub(super) fn key(&self, name: &[u8]) -> NameKey {
        let [high, low] = [0u8, 1].map(|half| self.keys.hash_one((half, name)));
        NameKey(u128::from(high) << 64 | u128::from(low))
    }

    /// How many names there are.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Bytes that they occupy, room for more included.
    pub(super) fn bytes(&self) -> u64 {
        let entries = |bucket| read(bucket).capacity() * size_of::<Entry>();
        let entries: usize = self.buckets.iter().map(entries).sum();
        (entries + size_of_val(&*self.buckets)) as u64
    }

    /// How a name stands; `None` if there is no such name.
    pub(super) fn get(&self, key: NameKey) -> Option<Standing> {
        let bucket = read(self.buckets.get(key.bucket())?);
        let place = find(&bucket, key).ok()?;
        bucket.get(place).map(Entry::standing)
    }

    /// Puts a name in, over what is known of it, or takes it out.
    pub(super) fn put(&self, key: NameKey, standing: Option<Standing>) {
        let Some(bucket) = self.buckets.get(key.bucket()) else {
            return;
        };
        let mut bucket = write(bucket);
        match (find(&bucket, key), standing) {
            (Ok(place), Some(standing)) => bucket[place] = Entry::new(key, standing),
            (Ok(place), None) => {
                bucket.remove(place);
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
            (Err(place), Some(standing)) => {
                make_room(&mut bucket);
                bucket.insert(place, Entry::new(key, standing));
                self.count.fetch_add(1, Ordering::Relaxed);
            }
            (Err(_), None) => {}
        }
    }

    /// Adds a name that is not there. Nothing is found before [`Self::sort`].
    pub(super) fn push(&mut self, key: NameKey, standing: Standing) {
        let bucket = self.buckets.get_mut(key.bucket());
        let bucket = bucket.map(|bucket| bucket.get_mut().unwrap_or_else(PoisonError::into_inner));
        if let Some(bucket) = bucket {
            make_room(bucket);
            bucket.push(Entry::new(key, standing));
            *self.count.get_mut() += 1;
        }
    }

    /// Brings what was pushed into order.
    pub(super) fn sort(&mut self) {
        for bucket in &mut self.buckets {
            let bucket = bucket.get_mut().unwrap_or_else(PoisonError::into_inner);
            bucket.sort_unstable_by_key(Entry::key);
        }
    }
}

/// Where a key stands, or else where it belongs.
fn find(bucket: &[Entry], key: NameKey) -> Result<usize, usize> {
    let mut place = key.guess(bucket.len());
    let at = |place: usize| bucket.get(place).map(Entry::key);
    while place > 0 && at(place - 1).is_some_and(|before| before >= key) {
        place -= 1;
    }
    while at(place).is_some_and(|here| here < key) {
        place += 1;
    }
    match at(place) == Some(key) {
        true => Ok(place),
        false => Err(place),
    }
}

/// Doubling would leave half of the memory empty at worst.
fn make_room(bucket: &mut Vec<Entry>) {
    if bucket.len() == bucket.capacity() {
        bucket.reserve_exact(bucket.len() / GROWTH + 1);
    }
}

fn read(bucket: &RwLock<Vec<Entry>>) -> RwLockReadGuard<'_, Vec<Entry>> {
    bucket.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(bucket: &RwLock<Vec<Entry>>) -> RwLockWriteGuard<'_, Vec<Entry>> {
    bucket.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::collection::vec;
    use proptest::option::of;
    use proptest::prelude::*;

    use super::*;

    /// One of its own for each number.
    fn standing(number: u32) -> Standing {
        let zonefile = ZonefileHash::of(&number.to_be_bytes());
        Standing {
            height: number,
            life: Life {
                first_registered: number / 2,
                last_renewed: number / 3,
                revoked: number.is_multiple_of(5),
            },
            zonefile: (!number.is_multiple_of(7)).then_some(zonefile),
        }
    }

    #[test]
    fn an_entry_takes_what_the_head_says() {
        assert_eq!(size_of::<Entry>(), 49);
        let mut entries = Entries::with_room(0);
        for number in 0u32..100_000 {
            entries.push(entries.key(&number.to_be_bytes()), standing(number));
        }
        let a_name = entries.bytes() as f64 / 100_000.0;
        assert!(a_name < 58.0, "{a_name} bytes a name"); // 41 bytes of each bucket among them
    }

    #[test]
    fn what_is_pushed_is_found_among_many() {
        let mut entries = Entries::with_room(0);
        for number in 0u32..50_000 {
            entries.push(entries.key(&number.to_be_bytes()), standing(number));
        }
        entries.sort();
        for number in 0u32..50_000 {
            let found = entries.get(entries.key(&number.to_be_bytes()));
            assert_eq!(found, Some(standing(number)));
        }
        let absent =
            (50_000u32..100_000).find_map(|number| entries.get(entries.key(&number.to_be_bytes())));
        assert_eq!(absent, None);
    }

    proptest! {
        /// Whatever is put in and taken out, they are a map; also in one bucket, and where hashes are not spread.
        #[test]
        fn entries_are_a_map(changes in vec((0u128..40, any::<bool>(), of(any::<u32>())), 0..200)) {
            let (entries, mut expected) = (Entries::with_room(0), HashMap::new());
            for (number, at_end, height) in changes {
                let key = NameKey(if at_end { u128::MAX - number } else { number });
                entries.put(key, height.map(standing));
                match height {
                    Some(height) => expected.insert(key.0, height),
                    None => expected.remove(&key.0),
                };
                prop_assert_eq!(entries.count(), expected.len() as u64);
            }
            for key in (0..40).chain(u128::MAX - 40..=u128::MAX) {
                prop_assert_eq!(entries.get(NameKey(key)), expected.get(&key).copied().map(standing));
            }
        }
    }
}
