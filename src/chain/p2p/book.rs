//! Who can be called: given peers, those that seeds and peers name, and those that worked before.
//!
//! Strangers name strangers, so what they name is bounded, from each and in all; one peer of a network (/16, of IPv6 /32)
//! is called at a time. Who cannot be reached is called again after a while that grows, and who lied after an hour. Given
//! peers may be anywhere. This file is pure; times are since the node started, and randomness is handed in.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::peer_address::{Host, PeerAddress, Prefix, is_public};

/// How long a peer that lied is not called.
const BAN: Duration = Duration::from_secs(3_600);
/// The first pause after a failed call; it doubles with each.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause: a given peer is waited for, a stranger is one of many.
const PAUSE_MAX_GIVEN: Duration = Duration::from_secs(120);
const PAUSE_MAX: Duration = Duration::from_secs(3_600);
/// Failed calls after which a stranger that never worked is forgotten.
const FAILURES_MAX: u32 = 3;
/// Strangers that are known.
const KNOWN_MAX: usize = 1_000;
/// Strangers that one seed or peer may name.
const NAMED_MAX: usize = 100;
/// Strangers of one network.
const OF_NETWORK_MAX: usize = 4;
/// Hosts that are kept away.
const BANNED_MAX: usize = 1_000;
/// Peers that are remembered between runs.
const REMEMBERED_MAX: usize = 64;

/// The known peers.
#[derive(Debug, Default)]
pub(super) struct Book {
    known: HashMap<PeerAddress, Entry>,
    banned: HashMap<PeerAddress, Duration>,
    /// How often a call worked, for the order in which peers are remembered.
    worked: u64,
}

#[derive(Debug, Default)]
struct Entry {
    is_given: bool,
    /// Only asked for other peers.
    is_seed: bool,
    is_called: bool,
    /// The number of its last call that worked; 0 for never.
    worked: u64,
    failures: u32,
    not_before: Duration,
}

impl Book {
    /// Peers that a person named.
    pub fn give(&mut self, peers: &[PeerAddress]) {
        for peer in peers {
            self.known.entry(peer.clone()).or_default().is_given = true;
        }
    }

    /// Seeds that are called themselves, because a proxy looks their names up.
    pub fn give_seeds(&mut self, seeds: Vec<PeerAddress>) {
        for seed in seeds {
            self.known.entry(seed).or_default().is_seed = true;
        }
    }

    /// Peers that somebody named. Only addresses of the whole Internet count; a random choice where there are too many.
    pub fn hear(&mut self, named: Vec<SocketAddr>, dice: &mut impl FnMut() -> u64) {
        let mut named: Vec<_> = named
            .into_iter()
            .filter(|address| is_public(address.ip()) && address.port() != 0)
            .map(|address| PeerAddress::new(address.ip(), address.port()))
            .collect();
        for _ in 0..NAMED_MAX.min(named.len()) {
            let at = dice() as usize % named.len();
            self.learn(named.swap_remove(at), dice);
        }
    }

    fn learn(&mut self, peer: PeerAddress, dice: &mut impl FnMut() -> u64) {
        let of_network = self
            .known
            .keys()
            .filter(|known| known.prefix() == peer.prefix());
        if self.known.contains_key(&peer) || of_network.count() >= OF_NETWORK_MAX {
            return;
        }
        if self.known.len() >= KNOWN_MAX {
            let mut strangers: Vec<_> = self
                .known
                .iter()
                .filter(|(_, entry)| entry.may_go())
                .collect();
            strangers.sort_unstable_by_key(|(peer, _)| *peer);
            let at = dice() as usize % strangers.len().max(1);
            let Some(gone) = strangers.get(at).map(|(peer, _)| (*peer).clone()) else {
                return;
            };
            self.known.remove(&gone);
        }
        self.known.insert(peer, Entry::default());
    }

    /// Whom to call next: given ones, then those that worked, then others; `None` while nobody may be called.
    pub fn next(&mut self, now: Duration, dice: &mut impl FnMut() -> u64) -> Option<PeerAddress> {
        self.banned.retain(|_, until| *until > now);
        let called = self
            .known
            .iter()
            .filter(|(_, entry)| entry.is_called && !entry.is_given);
        let called: Vec<Prefix> = called.map(|(peer, _)| peer.prefix()).collect();
        let free = self.known.iter().filter(|(peer, entry)| {
            let is_exempt = entry.is_given || entry.is_seed;
            !entry.is_called
                && entry.not_before <= now
                && !self.is_banned(peer, entry)
                && (is_exempt || !called.contains(&peer.prefix()))
        });
        let rank = |entry: &Entry| match (entry.is_given, entry.is_seed, entry.worked) {
            (true, ..) => 0,
            (false, false, 1..) => 1,
            (false, false, 0) => 2,
            (false, true, _) => 3,
        };
        let mut free: Vec<_> = free.map(|(peer, entry)| (rank(entry), peer)).collect();
        free.sort_unstable();
        let best = free.first()?.0;
        free.retain(|(rank, _)| *rank == best);
        let chosen = free.get(dice() as usize % free.len())?.1.clone();
        self.known.get_mut(&chosen)?.is_called = true;
        Some(chosen)
    }

    /// Whether a peer that `next` gave is asked for other peers only.
    pub fn is_seed(&self, peer: &PeerAddress) -> bool {
        self.known.get(peer).is_some_and(|entry| entry.is_seed)
    }

    /// Whether a person named it.
    pub fn is_given(&self, peer: &PeerAddress) -> bool {
        self.known.get(peer).is_some_and(|entry| entry.is_given)
    }

    /// Whether there is a stranger that was not called in vain.
    pub fn has_strangers(&self) -> bool {
        let mut entries = self.known.values();
        entries.any(|entry| {
            !entry.is_given && !entry.is_seed && entry.failures == 0 && !entry.is_called
        })
    }

    /// The call led to a peer of our network.
    pub fn worked(&mut self, peer: &PeerAddress) {
        self.worked += 1;
        if let Some(entry) = self.known.get_mut(peer) {
            (entry.worked, entry.failures) = (self.worked, 0);
        }
    }

    /// The call is over.
    pub fn ended(&mut self, peer: &PeerAddress, now: Duration, dice: &mut impl FnMut() -> u64) {
        let Some(entry) = self.known.get_mut(peer) else {
            return;
        };
        entry.is_called = false;
        let most = if entry.is_given {
            PAUSE_MAX_GIVEN
        } else {
            PAUSE_MAX
        };
        let pause = PAUSE.saturating_mul(1 << entry.failures.min(12)).min(most);
        // Between half and all of it, so that not everybody calls at the same moment.
        let part = 50 + (dice() % 51) as u32;
        entry.not_before = now + pause * part / 100;
        entry.failures += 1;
        let is_lost = entry.failures >= FAILURES_MAX && entry.worked == 0;
        if is_lost && !entry.is_given && !entry.is_seed {
            self.known.remove(peer);
        }
    }

    /// The peer lied: it is not called for an hour, and of a stranger's host no other port either.
    pub fn ban(&mut self, peer: &PeerAddress, now: Duration) {
        let key = match self.is_given(peer) {
            true => peer.clone(),
            false => whole_host(peer),
        };
        if self.banned.len() >= BANNED_MAX {
            let soonest = self.banned.iter().min_by_key(|(_, until)| **until);
            let soonest = soonest.map(|(peer, _)| peer.clone());
            soonest.and_then(|peer| self.banned.remove(&peer));
        }
        self.banned.insert(key, now + BAN);
    }

    fn is_banned(&self, peer: &PeerAddress, entry: &Entry) -> bool {
        let key = if entry.is_given {
            peer.clone()
        } else {
            whole_host(peer)
        };
        self.banned.contains_key(&key)
    }

    /// The peers that worked, a line each, the last one first.
    pub fn remembered(&self) -> String {
        let strangers = self
            .known
            .iter()
            .filter(|(_, entry)| !entry.is_given && !entry.is_seed);
        let mut worked: Vec<_> = strangers.filter(|(_, entry)| entry.worked > 0).collect();
        worked.sort_unstable_by_key(|(_, entry)| std::cmp::Reverse(entry.worked));
        let lines = worked.iter().take(REMEMBERED_MAX);
        lines.map(|(peer, _)| format!("{peer}\n")).collect()
    }

    /// The peers of an earlier run; lines that name none are left out.
    pub fn remember(&mut self, text: &str) {
        let peers = text
            .lines()
            .take(REMEMBERED_MAX)
            .filter_map(|line| line.parse().ok());
        let addresses = peers
            .filter(|peer: &PeerAddress| matches!(peer.host(), Host::Ip(ip) if is_public(*ip)));
        for peer in addresses.collect::<Vec<_>>().into_iter().rev() {
            self.worked += 1;
            self.known.entry(peer).or_default().worked = self.worked;
        }
    }
}

impl Entry {
    fn may_go(&self) -> bool {
        !self.is_given && !self.is_seed && !self.is_called && self.worked == 0
    }
}

/// The host of a stranger, at any port.
fn whole_host(peer: &PeerAddress) -> PeerAddress {
    match peer.host() {
        Host::Ip(ip) => PeerAddress::new(network_of(*ip), 1),
        Host::Name(_) => peer.clone(),
    }
}

/// A host of IPv6 has as many addresses as it likes in its /64.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => {
            let mut octets = ip.octets();
            octets.iter_mut().skip(8).for_each(|octet| *octet = 0);
            IpAddr::from(octets)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Numbers that differ, the same in each run.
    fn dice() -> impl FnMut() -> u64 {
        let mut state = 1u64;
        move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state >> 33
        }
    }

    fn peer(text: &str) -> PeerAddress {
        text.parse().expect("an address")
    }

    fn hear(book: &mut Book, named: &[&str]) {
        let named = named.iter().map(|text| text.parse().expect("an address"));
        book.hear(named.collect(), &mut dice());
    }

    fn callable(book: &mut Book, now: Duration) -> Vec<String> {
        let mut dice = dice();
        let mut called = Vec::new();
        while let Some(peer) = book.next(now, &mut dice) {
            called.push(peer.to_string());
        }
        called.sort();
        called
    }

    #[test]
    fn one_stranger_of_a_network_is_called_and_given_peers_may_be_anywhere() {
        let mut book = Book::default();
        let given = ["127.0.0.1:1", "127.0.0.1:2", "8.8.1.1:1"].map(peer);
        book.give(&given);
        hear(
            &mut book,
            &[
                "8.8.3.3:1",
                "8.8.4.4:1",
                "9.9.9.9:1",
                "10.0.0.1:1",
                "1.1.1.1:0",
                "[2606:4700::1]:1",
                "[2606:4700:1::1]:1",
            ],
        );
        let called = callable(&mut book, SECOND);
        assert_eq!(called.len(), 6, "{called:?}");
        for one in ["127.0.0.1:1", "127.0.0.1:2", "8.8.1.1:1", "9.9.9.9:1"] {
            assert!(called.contains(&one.to_owned()), "{called:?}");
        }
    }

    #[test]
    fn who_fails_is_called_later_and_later_and_who_lied_after_an_hour() {
        let mut book = Book::default();
        let given = peer("127.0.0.1:1");
        book.give(std::slice::from_ref(&given));
        let (mut now, mut dice, mut pauses) = (SECOND, dice(), Vec::new());
        for _ in 0..12 {
            assert_eq!(book.next(now, &mut dice), Some(given.clone()));
            assert_eq!(book.next(now, &mut dice), None, "it is being called");
            book.ended(&given, now, &mut dice);
            let before = now;
            while book.next(now, &mut dice).is_none() {
                now += SECOND / 10;
            }
            book.known.get_mut(&given).expect("it is known").is_called = false;
            pauses.push((now - before).as_secs_f32());
        }
        assert!(pauses[0] <= 1.1 && pauses[3] > 2.0, "{pauses:?}");
        assert!(pauses[11] >= 60.0 && pauses[11] <= 121.0, "{pauses:?}");
        book.ban(&given, now);
        assert_eq!(book.next(now + BAN - SECOND, &mut dice), None);
        assert_eq!(book.next(now + BAN, &mut dice), Some(given));
    }

    #[test]
    fn a_stranger_that_lied_is_kept_away_at_all_its_ports_and_one_that_is_gone_is_forgotten() {
        let mut book = Book::default();
        hear(&mut book, &["8.8.8.8:1", "8.8.8.8:2"]);
        let lied = book.next(SECOND, &mut dice()).expect("a stranger");
        book.ban(&lied, SECOND);
        book.ended(&lied, SECOND, &mut dice());
        assert!(callable(&mut book, BAN).is_empty());
        hear(&mut book, &["9.9.9.9:1"]);
        for round in 1..=FAILURES_MAX {
            let now = SECOND * 100 * round;
            let gone = book.next(now, &mut dice()).expect("a stranger");
            book.ended(&gone, now, &mut dice());
        }
        assert!(!book.known.contains_key(&peer("9.9.9.9:1")));
    }

    #[test]
    fn what_strangers_name_is_bounded() {
        let mut book = Book::default();
        let crowd = |second: u8| {
            let addresses = (0..=255).flat_map(move |third| {
                (0..16)
                    .map(move |fourth| SocketAddr::from(([20 + second, third, 1, fourth], 8_333)))
            });
            addresses.collect::<Vec<_>>()
        };
        book.hear(crowd(0), &mut dice());
        assert_eq!(book.known.len(), NAMED_MAX);
        for second in 1..40 {
            book.hear(crowd(second), &mut dice());
        }
        assert_eq!(book.known.len(), KNOWN_MAX);
        let mut of_network: HashMap<Prefix, usize> = HashMap::new();
        book.known
            .keys()
            .for_each(|peer| *of_network.entry(peer.prefix()).or_default() += 1);
        assert!(of_network.values().all(|count| *count <= OF_NETWORK_MAX));
    }

    #[test]
    fn peers_that_worked_are_remembered_in_order_and_called_first() {
        let mut book = Book::default();
        hear(&mut book, &["8.8.8.8:1", "9.9.9.9:1", "1.1.1.1:1"]);
        for one in ["8.8.8.8:1", "9.9.9.9:1"] {
            book.worked(&peer(one));
        }
        let text = book.remembered();
        assert_eq!(text, "9.9.9.9:1\n8.8.8.8:1\n");
        let mut later = Book::default();
        later.remember(&format!("{text}nonsense\n127.0.0.1:1\nname.example:1\n"));
        assert_eq!(later.remembered(), text);
        hear(&mut later, &["1.1.1.1:1"]);
        let first = later.next(SECOND, &mut dice()).map(|peer| peer.to_string());
        assert!(first.is_some_and(|first| text.contains(&first)));
    }
}
