//! What is exchanged with neighbours: their inventories, files that we lack, files that are new. And what the backups are
//! asked for.

use std::time::Duration;

use super::super::dice::{Dice, shuffle};
use super::{Action, Call, Neighbour, Schedule};
use crate::hash::ZonefileHash;
use crate::peer_address::PeerAddress;

/// How long an inventory is fresh (the reference's constant).
const INVENTORY_EACH: Duration = Duration::from_secs(600);
/// The shortest time between two inventories of a peer, while a file is missing that nobody has.
const INVENTORY_HURRY: Duration = Duration::from_secs(5);
/// How often a question for a file that nobody has makes the inventories be asked for at once.
pub(super) const HURRY_AGAIN: Duration = Duration::from_secs(60);
/// Files of a call (the reference's limit of `get_zonefiles`).
pub(super) const BATCH_MAX: usize = 100;
/// Calls for files that are under way at once; a reply takes up to 6 MB of memory.
const FETCHES_MAX: usize = 8;
/// The same to one peer: the second is on its way while the files of the first are stored.
const FETCHES_OF_PEER_MAX: usize = 2;
/// More of both for files that somebody waits for.
const FETCHES_URGENT: usize = 1;
/// Between two calls for files to one peer: whoever asked for its inventory, as we have, may make 200 a second.
const FETCH_GAP: Duration = Duration::from_millis(7);
/// How long neighbours have to show a missing file before the backups are asked.
pub(super) const BACKUPS_AFTER: Duration = Duration::from_secs(30);
/// Between two looks for files that only the backups can have.
pub(super) const BACKUPS_EACH: Duration = Duration::from_secs(60);
/// Files of one look.
const BACKUPS_MAX: usize = 100;
/// How long a file waits that a backup failed to give: others are tried first, so that no file keeps them back.
const BACKUPS_FAILED: Duration = Duration::from_secs(600);
/// After so long a look that did not end counts as ended; one that goes well takes less.
const BACKUPS_LIMIT: Duration = Duration::from_secs(600);

impl Schedule {
    /// When an inventory that was asked for at a time is old. While a file is missing that no neighbour has, each lasts as
    /// long as the file was missing then: a new file is soon somewhere, and one that is lost for good must not keep
    /// everybody busy.
    fn inventory_due(&self, asked: Duration) -> Duration {
        let missing_for = asked.saturating_sub(self.times.hurry);
        asked
            + match self.wanted.nobody_has_some() {
                true => missing_for.clamp(INVENTORY_HURRY, INVENTORY_EACH),
                false => INVENTORY_EACH,
            }
    }

    /// Asks neighbours for inventories that are old.
    pub(super) fn ask_inventories(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let due = self.neighbours.iter().filter(|(peer, neighbour)| {
            let is_due = neighbour
                .asked
                .is_none_or(|asked| now >= self.inventory_due(asked));
            is_due && !neighbour.is_asking && self.may_ask(peer, now)
        });
        for peer in due.map(|(peer, _)| peer.clone()).collect::<Vec<_>>() {
            if let Some(neighbour) = self.neighbours.get_mut(&peer) {
                neighbour.asked = Some(now);
                neighbour.is_asking = true;
            }
            let call = Call::Inventory;
            actions.push(Action::Call { peer, call });
        }
    }

    /// Whether a peer may be asked now.
    fn may_ask(&self, peer: &PeerAddress, now: Duration) -> bool {
        self.table.get(peer).is_some_and(|peer| peer.is_free(now))
    }

    /// Asks neighbours for missing files, the healthiest first, until enough calls are under way.
    pub(super) fn fetch(&mut self, now: Duration, dice: &mut impl Dice, actions: &mut Vec<Action>) {
        let mut sources: Vec<_> = self
            .neighbours
            .iter()
            .filter(|(_, it)| it.offers > 0)
            .collect();
        if sources.is_empty() {
            return;
        }
        shuffle(&mut sources, dice);
        let health = |peer| self.table.get(peer).map_or(0.0, |peer| peer.health(now));
        sources.sort_by(|(one, _), (other, _)| health(other).total_cmp(&health(one)));
        let sources: Vec<_> = sources.into_iter().map(|(peer, _)| peer.clone()).collect();
        while sources
            .iter()
            .any(|peer| self.fetch_from(peer, now, actions))
        {}
    }

    /// Asks one neighbour, if it may be asked and has something. Returns whether it was asked.
    fn fetch_from(&mut self, peer: &PeerAddress, now: Duration, actions: &mut Vec<Action>) -> bool {
        let under_way: usize = self.neighbours.values().map(|it| it.fetches).sum();
        let is_free = self.may_ask(peer, now);
        let neighbour = self.neighbours.get_mut(peer).filter(|_| is_free);
        let Some(neighbour) = neighbour.filter(|it| it.next_fetch <= now) else {
            return false;
        };
        let Some(inventory) = &neighbour.inventory else {
            return false;
        };
        let has_room =
            |more| under_way < FETCHES_MAX + more && neighbour.fetches < FETCHES_OF_PEER_MAX + more;
        let hashes = if has_room(0) {
            self.wanted.pick(peer, inventory, neighbour.batch, now)
        } else if has_room(FETCHES_URGENT) {
            self.wanted
                .pick_urgent(peer, inventory, neighbour.batch, now)
        } else {
            return false;
        };
        if hashes.is_empty() {
            return false;
        }
        neighbour.fetches += 1;
        neighbour.next_fetch = now + FETCH_GAP;
        self.wanted.take_off(peer, &hashes, now);
        let (peer, call) = (peer.clone(), Call::Fetch(hashes));
        actions.push(Action::Call { peer, call });
        true
    }

    /// Pushes new files to neighbours whose inventories lack them.
    pub(super) fn push(&mut self, now: Duration, actions: &mut Vec<Action>) {
        for (peer, neighbour) in &mut self.neighbours {
            let is_free = self.table.get(peer).is_some_and(|peer| peer.is_free(now));
            let Some(inventory) = neighbour.inventory.as_ref().filter(|_| is_free) else {
                continue;
            };
            if neighbour.is_pushing {
                continue;
            }
            let (hashes, next) = self.pushes.pick(neighbour.next_push, inventory);
            neighbour.next_push = next;
            if !hashes.is_empty() {
                neighbour.is_pushing = true;
                let (peer, call) = (peer.clone(), Call::Push(hashes));
                actions.push(Action::Call { peer, call });
            }
        }
    }

    /// Looks into the backups for what no neighbour has.
    pub(super) fn ask_backups(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let is_asking = self
            .times
            .backups_since
            .is_some_and(|since| now < since + BACKUPS_LIMIT);
        if !self.wish.backups || is_asking || self.backups_due() > now {
            return;
        }
        let hashes = self.wanted.pick_for_backups(BACKUPS_MAX, now);
        if hashes.is_empty() {
            self.times.backups = now + BACKUPS_EACH;
            return;
        }
        self.times.backups_since = Some(now);
        actions.push(Action::AskBackups(hashes));
    }

    /// When the backups are asked next, if they are not being asked.
    fn backups_due(&self) -> Duration {
        self.times.backups.max(self.times.backups_up)
    }

    /// A look into the backups ended. What they did not say is asked again soon.
    pub(super) fn end_backups(
        &mut self,
        failed: &[ZonefileHash],
        unasked: &[ZonefileHash],
        now: Duration,
    ) {
        self.times.backups_since = None;
        self.wanted.ask_backups_again(failed, now + BACKUPS_FAILED);
        self.wanted.ask_backups_again(unasked, now + BACKUPS_EACH);
    }

    /// When something is due for the backups.
    pub(super) fn next_backups(&self) -> Option<Duration> {
        let is_waiting = self.times.backups_since.map(|since| since + BACKUPS_LIMIT);
        self.wish
            .backups
            .then(|| is_waiting.unwrap_or(self.backups_due()))
    }

    /// When something is due for a neighbour.
    pub(super) fn next_traffic(&self, peer: &PeerAddress, neighbour: &Neighbour) -> [Duration; 2] {
        let free_at = self
            .table
            .get(peer)
            .map_or(Duration::ZERO, |peer| peer.free_at());
        let inventory = self.inventory_due(neighbour.asked.unwrap_or_default());
        let fetch = match neighbour.offers {
            0 => free_at,
            _ => neighbour.next_fetch.max(free_at),
        };
        [inventory.max(free_at), fetch]
    }
}
