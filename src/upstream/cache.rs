//! Responses of upstreams, bounded in bytes.
//!
//! Nothing of the chain is in here and nothing in here is asked about the chain: whether a name is ours is decided
//! before anybody looks here. A response serves exactly the question that it was given for, by name, type, DO
//! and CD; what came along in other sections never answers another question. A missing name is kept once for all
//! types, and settles the names below it (RFC 8020) where that is allowed.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache as QuickCache;

use super::ask::{ALL_TYPES, Ask, Key, NxdomainCut, key, split_key};
use super::entry::Entry;
use crate::wire;

/// What the table needs for an entry besides its key and its response, in bytes.
const OVERHEAD: usize = 64;
/// What an entry weighs on average, for the size of the tables.
const ENTRY_AVERAGE: usize = 400;

/// The cache.
pub struct Cache {
    entries: QuickCache<Key, Arc<Entry>, Bytes>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Arc<Entry>> for Bytes {
    fn weight(&self, key: &Key, entry: &Arc<Entry>) -> u64 {
        (OVERHEAD + key.len() + entry.weight()) as u64
    }
}

impl Cache {
    /// A cache of about `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        let items = (capacity / ENTRY_AVERAGE).max(1);
        Self {
            entries: QuickCache::with_weighter(items, capacity as u64, Bytes),
        }
    }

    /// The response to a question, in date or not.
    pub fn find(&self, ask: &Ask) -> Option<Arc<Entry>> {
        let name = ask.wire_name();
        self.get(&name, ask.question.rtype.into(), ask.flag_bits())
            .or_else(|| self.get(&name, ALL_TYPES, ask.flag_bits()))
    }

    /// A response in date that says that a name above this one is missing.
    pub fn find_cut(&self, ask: &Ask, now: Duration) -> Option<Arc<Entry>> {
        if ask.nxdomain_cut == NxdomainCut::Never {
            return None;
        }
        let name = ask.wire_name();
        let mut above = wire::parent(&name);
        while let Some(shorter) = above.filter(|name| name.len() > 1) {
            let found = self.get(shorter, ALL_TYPES, ask.flag_bits());
            if let Some(entry) = found.filter(|entry| entry.remaining(now) > 0) {
                return Some(entry);
            }
            above = wire::parent(shorter);
        }
        None
    }

    /// Keeps a response, unless it holds for no time.
    pub fn insert(&self, ask: &Ask, entry: &Arc<Entry>) {
        if entry.lifetime == 0 || !ask.is_cacheable() {
            return;
        }
        let name = ask.wire_name();
        let rtype = match entry.denies_its_name() {
            true => ALL_TYPES,
            false => {
                // The name is there after all.
                let missing = self.entries.remove(&key(&name, ALL_TYPES, ask.flag_bits()));
                missing.inspect(|(_, entry)| entry.retire());
                ask.question.rtype.into()
            }
        };
        self.insert_key(key(&name, rtype, ask.flag_bits()), Arc::clone(entry));
    }

    /// Keeps a response under a key that was read from a file.
    pub fn insert_key(&self, key: Key, entry: Arc<Entry>) {
        self.entries.get(&key).inspect(|before| before.retire());
        self.entries.insert(key, entry);
    }

    /// Forgets everything, or everything at and below a name in wire form; gives the number of responses.
    pub fn flush(&self, zone: Option<&[u8]>) -> usize {
        self.flush_if(|name| zone.is_none_or(|zone| wire::is_within(name, zone)))
    }

    /// Forgets the responses about names, in wire form, of which `goes` says so; gives their number.
    pub fn flush_if(&self, goes: impl Fn(&[u8]) -> bool) -> usize {
        let before = self.entries.len();
        self.entries.retain(|key, entry| {
            let goes = split_key(key).is_some_and(|(name, ..)| goes(name));
            if goes {
                entry.retire();
            }
            !goes
        });
        before.saturating_sub(self.entries.len())
    }

    /// From now on it has about `capacity` bytes.
    pub fn resize(&self, capacity: usize) {
        self.entries.set_capacity(capacity as u64);
    }

    /// All responses with their keys.
    pub fn iter(&self) -> impl Iterator<Item = (Key, Arc<Entry>)> + '_ {
        self.entries.iter()
    }

    /// How many responses there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Bytes in use.
    pub fn weight(&self) -> u64 {
        self.entries.weight()
    }

    fn get(&self, name: &[u8], rtype: u16, flag_bits: u8) -> Option<Arc<Entry>> {
        self.entries.get(&*key(name, rtype, flag_bits))
    }
}
