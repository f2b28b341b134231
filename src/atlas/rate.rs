//! How many calls somebody may make: a bucket for each address, which a call takes from and time fills.
//!
//! Whoever replicates asks for many files in a row. An address that asked which files there are is known to do that, and
//! may fetch faster for a while. Addresses of IPv6 are counted by their network, of which a host has a whole one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// What fills a bucket in a second, and what it holds: 20 calls, or 200 of somebody who fetches.
const FILL: u64 = 200;
/// What a call takes.
const COST: u64 = 10;
/// What a call takes that fetches files, of somebody who replicates.
const COST_OF_FETCH: u64 = 1;
/// How long an inventory is fresh (ap §3); after that, who asked for it no longer replicates with it.
const INVENTORY_FRESH: Duration = Duration::from_secs(600);
/// Addresses that are counted at the same time. When there are more, those that asked nothing for a second are forgotten.
const ADDRESSES_MAX: usize = 4_096;

/// What a call is, as far as its price goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It asks which files there are.
    Inventory,
    /// It fetches files.
    Fetch,
    /// Any other.
    Other,
}

/// The buckets.
#[derive(Debug, Default)]
pub(super) struct Rates {
    buckets: HashMap<IpAddr, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    left: u64,
    filled: Duration,
    /// When it asked for the inventory.
    replicates: Option<Duration>,
}

impl Bucket {
    fn fill(&mut self, now: Duration) {
        let gained = now.saturating_sub(self.filled).as_millis() as u64 * FILL / 1_000;
        if gained > 0 {
            self.left = (self.left + gained).min(FILL);
            self.filled = now;
        }
    }

    /// Whether it asked for the inventory and that is still fresh.
    fn is_replicating(&self, now: Duration) -> bool {
        let asked = self.replicates;
        asked.is_some_and(|at| now.saturating_sub(at) <= INVENTORY_FRESH)
    }
}

impl Rates {
    /// Whether a caller has nothing left `now` for a call of any kind, so that its call need not be read.
    pub(super) fn is_spent(&mut self, caller: IpAddr, now: Duration) -> bool {
        let Some(bucket) = self.bucket(caller, now) else {
            return true;
        };
        let least = match bucket.is_replicating(now) {
            true => COST_OF_FETCH,
            false => COST,
        };
        bucket.left < least
    }

    /// Whether a call that has been read may be answered `now`, the time since any moment that stays the same.
    pub(super) fn admit(&mut self, caller: IpAddr, kind: Kind, now: Duration) -> bool {
        let Some(bucket) = self.bucket(caller, now) else {
            return false;
        };
        let replicates = bucket.is_replicating(now);
        let cost = if replicates && kind == Kind::Fetch {
            COST_OF_FETCH
        } else {
            COST
        };
        if bucket.left < cost {
            if replicates {
                // To read it was work: otherwise who could fetch could have any number of other calls read.
                bucket.left = bucket.left.saturating_sub(COST_OF_FETCH);
            }
            return false;
        }
        bucket.left -= cost;
        if kind == Kind::Inventory {
            bucket.replicates = Some(now);
        }
        true
    }

    /// The bucket of a caller, as full as it is `now`. `None` if there are too many others.
    fn bucket(&mut self, caller: IpAddr, now: Duration) -> Option<&mut Bucket> {
        let caller = counted(caller);
        if self.buckets.len() >= ADDRESSES_MAX && !self.buckets.contains_key(&caller) {
            self.forget_idle(now);
            if self.buckets.len() >= ADDRESSES_MAX {
                return None;
            }
        }
        let bucket = self.buckets.entry(caller).or_insert(Bucket {
            left: FILL,
            filled: now,
            replicates: None,
        });
        bucket.fill(now);
        Some(bucket)
    }

    /// Forgets those whose buckets are full, unless they replicate.
    fn forget_idle(&mut self, now: Duration) {
        for only_idle in [true, false] {
            self.buckets.retain(|_, bucket| {
                bucket.fill(now);
                bucket.left < FILL || only_idle && bucket.is_replicating(now)
            });
            if self.buckets.len() < ADDRESSES_MAX {
                return;
            }
        }
    }
}

/// The address under which a caller is counted.
pub(super) fn counted(caller: IpAddr) -> IpAddr {
    match caller.to_canonical() {
        IpAddr::V6(ip) => {
            let network = u128::from(ip) >> 64 << 64;
            Ipv6Addr::from(network).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(8, 8, 8, 8));

    fn admitted(rates: &mut Rates, kind: Kind, now: u64, calls: usize) -> usize {
        let now = Duration::from_millis(now);
        let admitted = (0..calls).filter(|_| rates.admit(ME, kind, now));
        admitted.count()
    }

    #[test]
    fn everybody_has_twenty_calls_a_second_and_whoever_replicates_more() {
        let mut rates = Rates::default();
        assert_eq!(admitted(&mut rates, Kind::Other, 0, 100), 20);
        assert_eq!(admitted(&mut rates, Kind::Other, 500, 100), 10);
        assert_eq!(
            admitted(&mut rates, Kind::Fetch, 1_500, 100),
            20,
            "not before it asked what there is"
        );
        assert_eq!(admitted(&mut rates, Kind::Inventory, 3_000, 1), 1);
        assert_eq!(admitted(&mut rates, Kind::Fetch, 3_000, 300), 190);
        assert_eq!(admitted(&mut rates, Kind::Fetch, 4_000, 300), 200);
        assert_eq!(admitted(&mut rates, Kind::Other, 6_000, 300), 20);
        assert_eq!(
            admitted(&mut rates, Kind::Fetch, 900_000, 300),
            20,
            "that is long ago"
        );
        // Many looks in a row do not keep the bucket from being filled.
        let total: usize = (0..1_000)
            .map(|ms| admitted(&mut rates, Kind::Other, 900_000 + ms, 1))
            .sum();
        assert!((19..=20).contains(&total), "{total}");
    }

    #[test]
    fn calls_of_the_spent_need_not_be_read() {
        let mut rates = Rates::default();
        let now = Duration::ZERO;
        assert!(!rates.is_spent(ME, now));
        assert_eq!(admitted(&mut rates, Kind::Other, 0, 20), 20);
        assert!(rates.is_spent(ME, now) && !rates.is_spent(ME, Duration::from_millis(50)));
        assert_eq!(admitted(&mut rates, Kind::Inventory, 1_000, 1), 1);
        assert_eq!(admitted(&mut rates, Kind::Fetch, 1_000, 185), 185);
        let now = Duration::from_secs(1);
        assert!(!rates.is_spent(ME, now), "it may fetch five times more");
        assert_eq!(admitted(&mut rates, Kind::Other, 1_000, 5), 0);
        assert!(rates.is_spent(ME, now), "these were read as well");
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller_and_the_table_is_bounded() {
        let mut rates = Rates::default();
        let ip = |network: u16, host: u16| {
            IpAddr::V6(Ipv6Addr::new(0x2606, 0, 0, network, 0, 0, 0, host))
        };
        let mut admit = |ip, now| rates.admit(ip, Kind::Other, Duration::from_secs(now));
        assert_eq!((0..100).filter(|host| admit(ip(1, *host), 0)).count(), 20);
        let strangers = (2..u16::MAX)
            .filter(|network| admit(ip(*network, 0), 0))
            .count();
        assert_eq!(strangers, ADDRESSES_MAX - 1);
        assert!(admit(ip(u16::MAX, 0), 2), "the others are idle by now");
        assert!(rates.buckets.len() <= ADDRESSES_MAX);
    }
}
