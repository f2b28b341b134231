//! What ends a call: a reply, or a failure. What no honest peer does is a strike.

use std::time::Duration;

use super::super::dice::Dice;
use super::super::inventory::Inventory;
use super::{Action, Call, Failure, Reply, Schedule};
use crate::hash::ZonefileHash;
use crate::peer_address::PeerAddress;

/// By how much a call for files shrinks when the peer was too slow for the one before.
const SHRINK: usize = 4;

impl Schedule {
    /// Takes in a reply.
    pub(super) fn take_reply(
        &mut self,
        peer: &PeerAddress,
        reply: Reply,
        now: Duration,
        dice: &mut impl Dice,
        actions: &mut Vec<Action>,
    ) {
        if let Reply::Info { agrees } = reply {
            return self.take_info(peer, agrees, now, dice, actions);
        }
        if let Some(known) = self.table.get_mut(peer) {
            known.answer(now);
        }
        match reply {
            Reply::Info { .. } => {}
            Reply::Inventory(inventory) => self.take_inventory(peer, inventory, now, dice),
            Reply::Neighbours(list) => self.take_list(peer, list, now, dice, actions),
            Reply::Files { asked, delivered } => self.take_files(peer, &asked, &delivered, now),
            Reply::Pushed => self.end_push(peer),
        }
    }

    fn take_inventory(
        &mut self,
        peer: &PeerAddress,
        mut inventory: Inventory,
        now: Duration,
        dice: &mut impl Dice,
    ) {
        if inventory.rows() > self.rows {
            // Nobody can have more files than the chain has rows.
            self.take_failure(peer, &Call::Inventory, Failure::Malformed, now, dice);
            return;
        }
        match self.table.get(peer).and_then(|peer| peer.unbelieved(now)) {
            None => inventory = Inventory::new(inventory.rows()),
            Some(hashes) => {
                let rows = hashes.iter().flat_map(|hash| self.wanted.rows(hash));
                rows.for_each(|row| inventory.clear(*row));
            }
        }
        if let Some(neighbour) = self.neighbours.get_mut(peer) {
            neighbour.is_asking = false;
            let old = neighbour.inventory.take().unwrap_or_default();
            neighbour.offers = self.wanted.compare(&old, &inventory, neighbour.offers);
            neighbour.inventory = Some(inventory);
        }
    }

    /// Files came. What the peer claimed and did not send is not believed until its next inventory; if nothing came, nothing
    /// of it is.
    fn take_files(
        &mut self,
        peer: &PeerAddress,
        asked: &[ZonefileHash],
        delivered: &[ZonefileHash],
        now: Duration,
    ) {
        self.end_fetch(peer, asked);
        if let Some(neighbour) = self.neighbours.get_mut(peer) {
            neighbour.batch = (neighbour.batch * 2).min(super::traffic::BATCH_MAX);
        }
        delivered.iter().for_each(|hash| self.forget_missing(hash));
        let broken: Vec<_> = asked
            .iter()
            .filter(|hash| self.wanted.contains(hash))
            .copied()
            .collect();
        self.disbelieve(peer, &broken, now);
        if delivered.is_empty() && !broken.is_empty() {
            self.disbelieve_all(peer);
        }
    }

    /// Clears the bits of files that a peer claimed and did not deliver.
    fn disbelieve(&mut self, peer: &PeerAddress, hashes: &[ZonefileHash], now: Duration) {
        if let Some(known) = self.table.get_mut(peer) {
            hashes.iter().for_each(|hash| known.break_claim(*hash, now));
        }
        let Some(neighbour) = self.neighbours.get_mut(peer).filter(|_| !hashes.is_empty()) else {
            return;
        };
        let Some(old) = neighbour.inventory.take() else {
            return;
        };
        let mut new = old.clone();
        let rows = hashes.iter().flat_map(|hash| self.wanted.rows(hash));
        rows.for_each(|row| new.clear(*row));
        neighbour.offers = self.wanted.compare(&old, &new, neighbour.offers);
        neighbour.inventory = Some(new);
    }

    fn disbelieve_all(&mut self, peer: &PeerAddress) {
        if let Some(neighbour) = self.neighbours.get_mut(peer)
            && let Some(old) = neighbour.inventory.take()
        {
            let new = Inventory::new(old.rows());
            neighbour.offers = self.wanted.compare(&old, &new, neighbour.offers);
            neighbour.inventory = Some(new);
        }
    }

    fn end_fetch(&mut self, peer: &PeerAddress, asked: &[ZonefileHash]) {
        self.wanted.land(peer, asked);
        if let Some(neighbour) = self.neighbours.get_mut(peer) {
            neighbour.fetches = neighbour.fetches.saturating_sub(1);
        }
    }

    fn end_push(&mut self, peer: &PeerAddress) {
        if let Some(neighbour) = self.neighbours.get_mut(peer) {
            neighbour.is_pushing = false;
        }
    }

    /// Takes in that there is no reply.
    pub(super) fn take_failure(
        &mut self,
        peer: &PeerAddress,
        call: &Call,
        failure: Failure,
        now: Duration,
        dice: &mut impl Dice,
    ) {
        self.end_call(peer, call, failure, now);
        self.walk.failed(peer);
        if self.probing.contains(peer) && *call == Call::Info {
            self.probing.remove(peer);
            self.refuse(peer, now);
        }
        let Some(known) = self.table.get_mut(peer) else {
            return;
        };
        if failure == Failure::Ours {
            return known.answer(now);
        }
        // A machine that is busy is slow to say who it is, and one that went away looks slow on connections that are open:
        // only what should bring files counts, and silence is one strike, however long it lasts.
        let is_bulk = matches!(call, Call::Inventory | Call::Fetch(_));
        let is_strike = match failure {
            Failure::Unreachable | Failure::Ours => false,
            Failure::TooSlow => is_bulk && known.failures() == 0,
            Failure::Malformed | Failure::WrongFile => true,
        };
        known.fail(now, dice);
        // More inventory than there are rows is no mistake.
        let is_lie = *call == Call::Inventory && failure == Failure::Malformed;
        if is_strike && known.strike(now) || is_lie {
            self.leave(peer);
        }
    }

    /// Makes room for the next call of the same kind.
    fn end_call(&mut self, peer: &PeerAddress, call: &Call, failure: Failure, now: Duration) {
        match call {
            Call::Info => {
                if let Some(known) = self.table.get_mut(peer) {
                    known.asking = false;
                }
            }
            Call::Inventory => {
                if let Some(neighbour) = self.neighbours.get_mut(peer) {
                    neighbour.is_asking = false;
                }
            }
            Call::Neighbours => {}
            Call::Fetch(asked) => {
                self.end_fetch(peer, asked);
                if failure == Failure::WrongFile {
                    self.disbelieve(peer, asked, now);
                }
                let neighbour = self.neighbours.get_mut(peer);
                if let Some(neighbour) = neighbour.filter(|_| failure == Failure::TooSlow) {
                    neighbour.batch = (neighbour.batch / SHRINK).max(1);
                }
            }
            Call::Push(_) => self.end_push(peer),
        }
    }
}
