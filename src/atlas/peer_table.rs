//! The peers that we know: how healthy each is, what it did wrong, and whether it is asked at all.
//!
//! A peer comes in when it agrees with our chain. Each host has one slot of 65,536, drawn with a secret of this run, so that
//! nobody can choose whom to displace; whoever holds the slot keeps it for as long as it answers (`atlas_peer_add` of the
//! reference, whose eviction never worked). Peers of the configuration need no slot and stay. Three strikes ban a peer for
//! an hour. One that has not answered for a day, or that is ill, goes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::dice::{Dice, shuffle};
use super::peer::{HEALTH_MIN, HEALTH_WINDOW, Peer};
use super::rule::PeerRule;
use crate::hash::sha256;
use crate::peer_address::{Host, PeerAddress};

/// Calls from which on a peer can be called ill.
const CALLS_MIN: u32 = 10;
/// Ill peers that go at a time.
const ILL_AT_ONCE: usize = 10;
/// How long a learned peer is kept that answers nothing.
const SILENT_MAX: Duration = Duration::from_secs(86_400);
/// Most neighbours that are told (the reference's limit).
const TOLD_MAX: usize = 80;

/// Who is never asked, and who may be although it is not of the whole Internet.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Our own addresses.
    pub(super) own: Vec<PeerAddress>,
    /// Peers of the configuration.
    pub(super) peers: Vec<PeerAddress>,
    /// Rules that allow.
    pub(super) allow: Vec<PeerRule>,
    /// Rules that deny; they win.
    pub(super) deny: Vec<PeerRule>,
}

impl Lists {
    /// Whether a peer may be asked, whoever named it.
    pub(super) fn admit(&self, peer: &PeerAddress) -> bool {
        !self.own.contains(peer)
            && !self.deny.iter().any(|rule| rule.matches(peer))
            && (peer.is_public()
                || self.peers.contains(peer)
                || self.allow.iter().any(|rule| rule.matches(peer)))
    }
}

/// The peers that we know.
#[derive(Debug, Default)]
pub(super) struct PeerTable {
    peers: BTreeMap<PeerAddress, Peer>,
    slots: BTreeMap<u16, PeerAddress>,
    /// Drawn for this run; hosts cannot tell their slots without it.
    secret: Option<[usize; 4]>,
}

/// What became of a newcomer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is in the table.
    Taken,
    /// Somebody else holds its slot, and answers.
    Held,
    /// It took the slot of somebody who does not answer, and who is gone.
    Instead(PeerAddress),
}

impl PeerTable {
    /// Adds a peer of the configuration.
    pub(super) fn configure(&mut self, peer: PeerAddress, now: Duration) {
        self.peers.insert(peer, Peer::new(true, now));
    }

    /// Adds a peer that agreed, if its slot is free.
    pub(super) fn admit(
        &mut self,
        peer: &PeerAddress,
        now: Duration,
        dice: &mut impl Dice,
    ) -> Place {
        if self.peers.contains_key(peer) {
            return Place::Taken;
        }
        let slot = self.slot(peer, dice);
        let place = match self.slots.get(&slot).cloned() {
            None => Place::Taken,
            Some(holder) if self.answers(&holder, now) => return Place::Held,
            Some(holder) => {
                self.peers.remove(&holder);
                Place::Instead(holder)
            }
        };
        self.slots.insert(slot, peer.clone());
        self.peers.insert(peer.clone(), Peer::new(false, now));
        place
    }

    fn answers(&self, peer: &PeerAddress, now: Duration) -> bool {
        self.get(peer).is_some_and(|peer| {
            let answered = peer.answered.unwrap_or_default();
            peer.failures() == 0 || now.saturating_sub(answered) < HEALTH_WINDOW
        })
    }

    /// An address of IPv6 counts as its network, of which anybody has as many as he likes.
    fn slot(&mut self, peer: &PeerAddress, dice: &mut impl Dice) -> u16 {
        let secret = self
            .secret
            .get_or_insert_with(|| [0; 4].map(|_: usize| dice.below(1 << 16)));
        let text = match peer.host() {
            Host::Ip(IpAddr::V6(_)) => format!("{secret:?}{:?}", peer.prefix()),
            host => format!("{secret:?}{host:?}"),
        };
        let [high, low, ..] = sha256(text.as_bytes());
        u16::from_be_bytes([high, low])
    }

    /// A peer.
    pub(super) fn get(&self, peer: &PeerAddress) -> Option<&Peer> {
        self.peers.get(peer)
    }

    /// A peer, to note something of it.
    pub(super) fn get_mut(&mut self, peer: &PeerAddress) -> Option<&mut Peer> {
        self.peers.get_mut(peer)
    }

    /// All peers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&PeerAddress, &Peer)> {
        self.peers.iter()
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whom to tell others of: who answered within the hour and is healthy, in random order.
    pub(super) fn live(&self, now: Duration, dice: &mut impl Dice) -> Vec<PeerAddress> {
        let live = self.peers.iter().filter(|(_, peer)| {
            let answered = peer
                .answered
                .is_some_and(|at| now.saturating_sub(at) < HEALTH_WINDOW);
            answered
                && peer.agrees
                && peer.banned_for(now).is_none()
                && peer.health(now) >= HEALTH_MIN
        });
        let mut live: Vec<_> = live.map(|(address, _)| address.clone()).collect();
        shuffle(&mut live, dice);
        live.truncate(TOLD_MAX);
        live
    }

    /// Removes learned peers that have not answered for a day, and some of those that are ill. Returns whom.
    pub(super) fn clean(&mut self, now: Duration, dice: &mut impl Dice) -> Vec<PeerAddress> {
        let learned = || self.peers.iter().filter(|(_, peer)| !peer.configured);
        let silent = learned().filter(|(_, peer)| {
            let heard = peer.answered.unwrap_or(peer.known_since);
            now.saturating_sub(heard) >= SILENT_MAX
        });
        let mut gone: Vec<PeerAddress> = silent.map(|(address, _)| address.clone()).collect();
        let ill = learned().filter(|(_, peer)| {
            peer.calls(now) >= CALLS_MIN
                && peer.health(now) < HEALTH_MIN
                && peer.banned_for(now).is_none()
        });
        let mut ill: Vec<PeerAddress> = ill.map(|(address, _)| address.clone()).collect();
        shuffle(&mut ill, dice);
        gone.extend(ill.into_iter().take(ILL_AT_ONCE));
        self.peers.retain(|address, _| !gone.contains(address));
        self.slots.retain(|_, address| !gone.contains(address));
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::fixture::Seeded;
    use super::*;

    fn address(text: &str) -> PeerAddress {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn lists_are_honoured_and_deny_wins() {
        let lists = Lists {
            own: vec![address("8.8.8.8:6264")],
            peers: vec![address("127.0.0.1:7000"), address("10.0.0.9:7000")],
            allow: vec![
                "10.0.0.0/8"
                    .parse()
                    .unwrap_or_else(|error| panic!("{error}")),
            ],
            deny: ["9.9.9.9", "10.0.0.9:7000"]
                .map(|rule| rule.parse().unwrap_or_else(|error| panic!("{error}")))
                .to_vec(),
        };
        let admitted = |text| lists.admit(&address(text));
        assert!(
            admitted("8.8.8.8:6265") && admitted("127.0.0.1:7000") && admitted("10.1.1.1:6264")
        );
        for refused in [
            "8.8.8.8:6264",
            "127.0.0.1:7001",
            "9.9.9.9:1",
            "10.0.0.9:7000",
            "192.168.0.1:80",
        ] {
            assert!(!admitted(refused), "{refused}");
        }
    }

    #[test]
    fn whoever_answers_keeps_its_slot() {
        let mut dice = Seeded::new(1);
        let mut table = PeerTable::default();
        let (holder, other) = (address("8.1.0.1:1"), address("8.1.0.1:2"));
        assert_eq!(table.admit(&holder, seconds(0), &mut dice), Place::Taken);
        assert_eq!(
            table.admit(&other, seconds(0), &mut dice),
            Place::Held,
            "one slot a host"
        );
        if let Some(peer) = table.get_mut(&holder) {
            peer.fail(seconds(1), &mut dice);
        }
        assert_eq!(table.admit(&other, seconds(3000), &mut dice), Place::Held);
        assert_eq!(
            table.admit(&other, seconds(3601), &mut dice),
            Place::Instead(holder.clone())
        );
        assert!(table.get(&holder).is_none() && table.get(&other).is_some());
    }

    #[test]
    fn the_silent_and_the_ill_go_and_the_configured_stay() {
        let mut dice = Seeded::new(1);
        let mut table = PeerTable::default();
        table.configure(address("10.0.0.1:80"), seconds(0));
        for number in 1..=40 {
            let peer = address(&format!("8.{number}.0.1:80"));
            table.admit(&peer, seconds(0), &mut dice);
            let Some(peer) = table.get_mut(&peer) else {
                continue;
            };
            peer.answer(seconds(80_000));
            if number <= 30 {
                (0..10).for_each(|_| peer.fail(seconds(86_000), &mut dice));
            }
        }
        table.admit(&address("9.1.0.1:80"), seconds(0), &mut dice);
        let before = table.len();
        let gone = table.clean(seconds(86_400), &mut dice);
        assert_eq!(
            (gone.len(), before - table.len()),
            (1 + ILL_AT_ONCE, 1 + ILL_AT_ONCE)
        );
        assert!(gone.contains(&address("9.1.0.1:80")));
        assert!(table.get(&address("10.0.0.1:80")).is_some());
        table.clean(seconds(200_000), &mut dice);
        assert_eq!(table.len(), 1);
        assert_eq!(table.slots.len(), 0);
    }
}
