//! Who may ask, and how much, once DNS is served beyond loopback.
//!
//! A socket on a loopback address serves this machine alone. A packet that arrives there from elsewhere was forged or
//! misrouted, and gets no reply. A socket on another address serves this machine and the networks of the access list;
//! everybody else is refused, so that nobody runs an open resolver by accident. Clients elsewhere are limited per source.
//! Loopback is not limited, because all programs of a machine share its address.
//!
//! The limit counts UDP packets, whose source can be forged. A connection proves its source; its limits are the number of
//! connections, the queries under way on each, and their timeouts. A DNS cookie proves the source too, but raises no
//! limit: a client that needs more opens a connection.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::subnet::{Subnet, masked};

/// Sources that are counted at the same time. All sources beyond share one count.
const SOURCES_MAX: usize = 16_384;
/// Queries per second and source, unless the configuration says otherwise.
pub const RATE: u32 = 1_000;

/// What is done with somebody's packet or connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is answered.
    Welcome,
    /// It is answered with REFUSED.
    Refused,
    /// It gets no answer at all.
    Dropped,
    /// It is asked to come back over TCP, which shows that it is where it says it is.
    Slowed,
}

/// The access list and what each source has used of its share.
pub struct Access {
    terms: ArcSwap<Terms>,
    used: Mutex<Used>,
}

/// Who may ask, and how much.
struct Terms {
    networks: Vec<Subnet>,
    /// Queries per second and source.
    rate: u32,
}

#[derive(Default)]
struct Used {
    second: u64,
    sources: HashMap<(u8, u128), u32>,
}

impl Default for Access {
    fn default() -> Self {
        Self::new(Vec::new(), RATE)
    }
}

impl Access {
    /// This machine and `networks`; `rate` queries per second from each source beyond loopback.
    pub fn new(networks: Vec<Subnet>, rate: u32) -> Self {
        Self {
            terms: ArcSwap::from_pointee(Terms::new(networks, rate)),
            used: Mutex::default(),
        }
    }

    /// From now on these are admitted, at this rate. Connections that are open stay.
    pub fn set(&self, networks: Vec<Subnet>, rate: u32) {
        self.terms.store(Arc::new(Terms::new(networks, rate)));
    }

    /// What happens to a packet from `client` that arrived at `listener`. `now`, on the monotonic clock, is asked for
    /// only where packets are counted.
    pub fn admit(
        &self,
        client: IpAddr,
        listener: IpAddr,
        now: impl FnOnce() -> Duration,
    ) -> Admission {
        let client = client.to_canonical();
        match self.admit_connection(client, listener) {
            Admission::Welcome if client.is_loopback() => Admission::Welcome,
            Admission::Welcome => self.spend(client, now()),
            other => other,
        }
    }

    /// The same for a connection, which is not counted.
    pub fn admit_connection(&self, client: IpAddr, listener: IpAddr) -> Admission {
        let client = client.to_canonical();
        if client.is_loopback() {
            return Admission::Welcome;
        }
        if listener.is_loopback() {
            return Admission::Dropped;
        }
        let terms = self.terms.load();
        match terms
            .networks
            .iter()
            .any(|network| network.contains(client))
        {
            true => Admission::Welcome,
            false => Admission::Refused,
        }
    }

    /// Every second packet beyond the rate is dropped, the others are sent to TCP.
    fn spend(&self, client: IpAddr, now: Duration) -> Admission {
        // Whoever has an IPv6 address usually has a /64 of them.
        let mut source = masked(client, if client.is_ipv4() { 32 } else { 64 });
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.second != now.as_secs() {
            used.second = now.as_secs();
            used.sources.clear();
        }
        if used.sources.len() >= SOURCES_MAX && !used.sources.contains_key(&source) {
            source = (0, 0);
        }
        let count = used.sources.entry(source).or_insert(0);
        *count = count.saturating_add(1);
        match count.checked_sub(self.terms.load().rate) {
            None | Some(0) => Admission::Welcome,
            Some(over) if over % 2 == 1 => Admission::Slowed,
            Some(_) => Admission::Dropped,
        }
    }
}

impl Terms {
    fn new(networks: Vec<Subnet>, rate: u32) -> Self {
        let rate = rate.max(1);
        Self { networks, rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn networks_are_read_and_contain_what_begins_like_them() {
        let lan: Subnet = "192.168.0.0/16".parse().expect("a network");
        assert!(lan.contains(ip("192.168.7.9")));
        assert!(!lan.contains(ip("192.169.0.1")) && !lan.contains(ip("::1")));
        let one: Subnet = "2001:db8::1".parse().expect("a network");
        assert!(one.contains(ip("2001:db8::1")) && !one.contains(ip("2001:db8::2")));
        let all: Subnet = "0.0.0.0/0".parse().expect("a network");
        assert!(all.contains(ip("203.0.113.1")));
        for wrong in ["", "10.0.0.0/33", "10.0.0.0/x", "lan", "10/8"] {
            assert!(wrong.parse::<Subnet>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn strangers_are_dropped_at_loopback_and_refused_elsewhere() {
        let access = Access::new(vec!["10.0.0.0/8".parse().expect("a network")], RATE);
        let cases = [
            ("127.0.0.1", "127.0.0.1", Admission::Welcome),
            ("127.0.0.1", "0.0.0.0", Admission::Welcome),
            ("::ffff:127.0.0.1", "::", Admission::Welcome),
            ("10.1.2.3", "127.0.0.1", Admission::Dropped),
            ("10.1.2.3", "10.0.0.1", Admission::Welcome),
            ("192.0.2.1", "10.0.0.1", Admission::Refused),
        ];
        for (client, listener, expected) in cases {
            let found = access.admit_connection(ip(client), ip(listener));
            assert_eq!(found, expected, "{client} at {listener}");
        }
    }

    #[test]
    fn a_source_has_its_share_of_every_second_and_loopback_has_all_of_it() {
        let access = Access::new(vec!["10.0.0.0/8".parse().expect("a network")], 2);
        let ask = |client: &str, second| {
            access.admit(ip(client), ip("10.0.0.1"), || Duration::from_secs(second))
        };
        assert_eq!(ask("10.0.0.2", 1), Admission::Welcome);
        assert_eq!(ask("10.0.0.2", 1), Admission::Welcome);
        assert_eq!(ask("10.0.0.2", 1), Admission::Slowed);
        assert_eq!(ask("10.0.0.2", 1), Admission::Dropped);
        assert_eq!(ask("10.0.0.3", 1), Admission::Welcome);
        assert_eq!(ask("10.0.0.2", 2), Admission::Welcome);
        assert!((0..100).all(|_| ask("127.0.0.1", 3) == Admission::Welcome));
    }
}
