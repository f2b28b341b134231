//! Whom we get to know. Candidates are asked who they are, a few at a time; peers of the table that have not been heard of
//! are asked again, one by one; the walk asks whom others know.

use std::time::Duration;

use super::super::candidates::Source;
use super::super::dice::{Dice, pick};
use super::super::peer_table::Place;
use super::{Action, Call, Schedule};
use crate::peer_address::PeerAddress;

/// Candidates that are asked at once while neighbours are lacking.
const PROBES_MAX: usize = 8;
/// Candidates that are asked at once otherwise.
const PROBES_FEW: usize = 2;
/// How often a peer that is no neighbour is asked whether it is still there: more than 80 an hour, so that there are 80
/// to tell others of.
pub(super) const FRESHEN_EACH: Duration = Duration::from_secs(30);
/// How long a peer that is no neighbour is left alone after an answer.
const FRESH_FOR: Duration = Duration::from_secs(1800);
/// How often the table is cleaned (the reference's interval for old peers).
pub(super) const CLEAN_EACH: Duration = Duration::from_secs(3600);
/// Between two steps of the walk (the reference's crawl interval for neighbours).
const STEP_EACH: Duration = Duration::from_secs(300);
/// The same while neighbours are lacking; a step has three calls at most, each of up to 10 seconds.
const STEP_EACH_LACKING: Duration = Duration::from_secs(10);
/// Most peers of a list (the reference's limit).
const LIST_MAX: usize = 80;
/// How often a peer that stays in the table is kept anew for the next run.
const REMEMBER_EACH: Duration = Duration::from_secs(3600);

impl Schedule {
    /// Takes in the name of a peer.
    pub(super) fn suggest(
        &mut self,
        peer: PeerAddress,
        source: Source,
        now: Duration,
        dice: &mut impl Dice,
    ) {
        let is_new = self.table.get(&peer).is_none() && !self.probing.contains(&peer);
        if is_new && self.lists.admit(&peer) {
            self.candidates.add(peer, source, now, dice);
        }
    }

    /// Takes in a list that a peer sent, and goes on with the walk if that waits for it.
    pub(super) fn take_list(
        &mut self,
        by: &PeerAddress,
        mut list: Vec<PeerAddress>,
        now: Duration,
        dice: &mut impl Dice,
        actions: &mut Vec<Action>,
    ) {
        list.truncate(LIST_MAX);
        list.sort();
        list.dedup();
        list.retain(|peer| self.lists.admit(peer));
        for peer in &list {
            self.suggest(peer.clone(), Source::Peer(by.prefix()), now, dice);
        }
        let next = self.walk.heard(by, list, dice);
        self.ask_for_walk(next, now, actions);
    }

    /// Asks candidates, peers of the configuration that do not answer or agree yet, and peers that were long not heard of.
    pub(super) fn get_acquainted(
        &mut self,
        now: Duration,
        dice: &mut impl Dice,
        actions: &mut Vec<Action>,
    ) {
        let is_lacking = self.neighbours.len() < self.wish.neighbours;
        let most = if is_lacking { PROBES_MAX } else { PROBES_FEW };
        while self.probing.len() < most && !self.candidates.is_empty() {
            let candidate = self.candidates.take(dice);
            if let Some(peer) = candidate.filter(|peer| self.table.get(peer).is_none()) {
                self.probe(peer, actions);
            }
        }
        let configured = self.lists.peers.iter().filter(|address| {
            let peer = self.table.get(address);
            peer.is_some_and(|peer| !peer.asking && peer.is_free(now) && !peer.is_good(now))
        });
        let configured: Vec<_> = configured.cloned().collect();
        configured.iter().for_each(|peer| self.check(peer, actions));
        if self.times.freshen <= now {
            self.times.freshen = now + FRESHEN_EACH;
            self.freshen(now, dice, actions);
        }
        if self.times.clean <= now {
            self.times.clean = now + CLEAN_EACH;
            let gone = self.table.clean(now, dice);
            actions.extend(gone.into_iter().map(Action::Forget));
        }
    }

    /// Asks a random peer that is no neighbour and was not heard of for a while.
    fn freshen(&mut self, now: Duration, dice: &mut impl Dice, actions: &mut Vec<Action>) {
        let stale = self.table.iter().filter(|(address, peer)| {
            let answered = peer.answered.unwrap_or_default();
            let is_stale = peer.failures() > 0 || now.saturating_sub(answered) >= FRESH_FOR;
            is_stale && peer.is_free(now) && !peer.asking && !self.neighbours.contains_key(*address)
        });
        let stale: Vec<_> = stale.map(|(address, _)| address.clone()).collect();
        if let Some(peer) = pick(&stale, dice) {
            self.check(peer, actions);
        }
    }

    /// Asks a candidate who it is.
    fn probe(&mut self, peer: PeerAddress, actions: &mut Vec<Action>) {
        if self.probing.insert(peer.clone()) {
            let call = Call::Info;
            actions.push(Action::Call { peer, call });
        }
    }

    /// Asks a peer of the table who it is.
    pub(super) fn check(&mut self, peer: &PeerAddress, actions: &mut Vec<Action>) {
        if let Some(known) = self.table.get_mut(peer).filter(|known| !known.asking) {
            known.asking = true;
            let (peer, call) = (peer.clone(), Call::Info);
            actions.push(Action::Call { peer, call });
        }
    }

    /// Begins a step of the walk if one is due.
    pub(super) fn take_step(
        &mut self,
        now: Duration,
        dice: &mut impl Dice,
        actions: &mut Vec<Action>,
    ) {
        if self.times.walk > now {
            return;
        }
        let is_lacking = self.neighbours.len() < self.wish.neighbours;
        self.times.walk = now
            + if is_lacking {
                STEP_EACH_LACKING
            } else {
                STEP_EACH
            };
        let start = match self.walk.current() {
            Some(_) => None,
            None => {
                let good = self.table.iter().filter(|(_, peer)| peer.is_good(now));
                let good: Vec<_> = good.map(|(address, _)| address.clone()).collect();
                pick(&good, dice).cloned()
            }
        };
        let node = self.walk.step(start, dice);
        self.ask_for_walk(node, now, actions);
    }

    /// Asks a node of the walk whom it knows. One that we do not know is asked first who it is; one that must not be asked
    /// counts as silent.
    fn ask_for_walk(
        &mut self,
        node: Option<PeerAddress>,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let Some(node) = node else { return };
        match self.table.get(&node) {
            None => self.probe(node, actions),
            Some(peer) if peer.agrees && peer.is_free(now) => {
                let (peer, call) = (node, Call::Neighbours);
                actions.push(Action::Call { peer, call });
            }
            Some(_) => self.walk.failed(&node),
        }
    }

    /// Takes in what a peer says of itself.
    pub(super) fn take_info(
        &mut self,
        peer: &PeerAddress,
        agrees: bool,
        now: Duration,
        dice: &mut impl Dice,
        actions: &mut Vec<Action>,
    ) {
        let was_probed = self.probing.remove(peer);
        if was_probed && (!agrees || !self.admit(peer, now, dice, actions)) {
            self.refuse(peer, now);
            return;
        }
        let Some(known) = self.table.get_mut(peer) else {
            return;
        };
        known.asking = false;
        known.answer(now);
        known.agrees = agrees;
        if !agrees {
            known.disagree(now);
            self.walk.failed(peer);
            return;
        }
        let remembered = known.remembered;
        if remembered.is_none_or(|at| now.saturating_sub(at) >= REMEMBER_EACH) {
            known.remembered = Some(now);
            actions.push(Action::Remember(peer.clone()));
        }
        if was_probed && self.walk.waits_for(peer) {
            self.ask_for_walk(Some(peer.clone()), now, actions);
        }
    }

    /// Brings a peer that agrees into the table, if there is a place for it.
    fn admit(
        &mut self,
        peer: &PeerAddress,
        now: Duration,
        dice: &mut impl Dice,
        actions: &mut Vec<Action>,
    ) -> bool {
        match self.table.admit(peer, now, dice) {
            Place::Taken => true,
            Place::Held => false,
            Place::Instead(gone) => {
                self.leave(&gone);
                actions.push(Action::Forget(gone));
                true
            }
        }
    }

    /// Leaves a candidate alone for an hour.
    pub(super) fn refuse(&mut self, peer: &PeerAddress, now: Duration) {
        self.walk.failed(peer);
        self.candidates.refuse(peer.clone(), now);
    }
}
