//! The block under way: the state as its next operation sees it, and the questions that rules ask (sm §2).

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use bitcoin::hashes::Hash as _;

use super::address::Address;
use super::changes::Changes;
use super::epoch::Epoch;
use super::life;
use super::name::Name;
use super::params::Params;
use super::pending::Pending;
use super::record::{
    Account, NameRecord, NamespaceRecord, Preorder, PreorderKind, PublicKey, Script,
};
use super::reject::Reject;
use super::view::View;
use crate::hash::{ConsensusHash, PreorderHash};
use crate::virtualchain::SnapshotView;

/// Why an operation stops being processed: a rule refuses it, or the state cannot be read.
#[derive(Debug)]
pub enum Refusal<E> {
    /// A rule refuses the operation.
    Reject(Reject),
    /// Reading the state failed; nothing is decided.
    View(E),
}

impl<E> From<E> for Refusal<E> {
    fn from(error: E) -> Self {
        Self::View(error)
    }
}

/// What a check returns: what it found, if anything, or what stands in the way.
pub type Checked<V, T = ()> = Result<T, Refusal<<V as SnapshotView>::Error>>;

/// Refuses with `reject` unless the rule holds.
pub fn ensure<E>(holds: bool, reject: Reject) -> Result<(), Refusal<E>> {
    if holds {
        Ok(())
    } else {
        Err(Refusal::Reject(reject))
    }
}

/// Block `height` while its operations are decided one after the other.
#[derive(Debug)]
pub struct Block<'a, V: View> {
    /// The constants.
    pub params: &'a Params,
    /// Those of this height.
    pub epoch: &'a Epoch,
    /// The height of the block, `H` in the rules.
    pub height: u32,
    /// The last processed height, `L`.
    pub last: u32,
    /// State before the block with what its operations changed so far.
    pub state: Pending<'a, V>,
    /// Consensus hashes that may be quoted, newest first, without repetition.
    recent: Vec<ConsensusHash>,
    /// How many names this block registered so far, by their new owner (sm §2, QUOTA).
    registered_to: HashMap<Script, usize>,
    /// Names and namespace ids whose creation a later one of the same block must not repeat (sm §4).
    created: HashSet<String>,
    /// Preorder hashes accepted in this block (sm §4.3).
    preordered: HashSet<PreorderHash>,
    /// The keys that were recognised in this block, by the scripts of their owners.
    keys: HashMap<Script, PublicKey>,
}

impl<'a, V: View> Block<'a, V> {
    /// Begins block `height` on the state after the one before.
    pub fn new(params: &'a Params, height: u32, view: &'a V) -> Result<Self, V::Error> {
        Ok(Self {
            params,
            epoch: params.epoch(height),
            height,
            last: height.saturating_sub(1),
            state: Pending::new(view),
            recent: recent_consensus_hashes(params, height, view)?,
            registered_to: HashMap::new(),
            created: HashSet::new(),
            preordered: HashSet::new(),
            keys: HashMap::new(),
        })
    }

    /// Begins the check pass: what the scan pass found to collide is barred from being created, its
    /// count of registrations is forgotten (sm §4.2).
    pub fn begin_check_pass(&mut self, collided: HashSet<String>) {
        self.registered_to.clear();
        self.created = collided;
    }

    /// What the block changed.
    pub fn into_changes(self) -> Changes {
        self.state.into_changes()
    }

    /// CHVALID: the hash stood at one of the last 24 heights, the pre-seeded ones included (sm §2).
    pub fn ensure_recent(&self, hash: ConsensusHash) -> Checked<V> {
        ensure(self.recent.contains(&hash), Reject::StaleConsensusHash)
    }

    /// The consensus hashes that may be quoted, newest first, without repetition.
    pub fn recent_consensus_hashes(&self) -> &[ConsensusHash] {
        &self.recent
    }

    /// The row of a name's namespace, if names can be registered in it.
    pub fn ready_namespace(&self, name: &Name) -> Checked<V, Rc<NamespaceRecord>> {
        let ready = self.namespace_of(name)?.filter(|row| life::is_ready(row));
        ready.ok_or(Refusal::Reject(Reject::NamespaceNotReady))
    }

    /// The name's row if it is LIVE at `height` (sm §2).
    pub fn live_name_at(&self, name: &Name, height: u32) -> Result<Option<NameRecord>, V::Error> {
        let Some(record) = self.state.name(name)? else {
            return Ok(None);
        };
        let namespace = self.namespace_of(name)?;
        let live = life::is_live(self.params, record.life(), namespace.as_deref(), height);
        Ok(live.then_some(record))
    }

    /// The name's row if it is LIVE at `L`, as almost every rule asks.
    pub fn live_name(&self, name: &Name) -> Result<Option<NameRecord>, V::Error> {
        self.live_name_at(name, self.last)
    }

    /// Refuses an operation on a name in its grace period (sm §2, GRACE).
    pub fn ensure_not_in_grace(
        &self,
        record: &NameRecord,
        namespace: &NamespaceRecord,
    ) -> Checked<V> {
        let in_grace = life::in_grace_period(self.params, record.life(), namespace, self.height);
        ensure(!in_grace, Reject::NameInGracePeriod)
    }

    /// The name's row if it is OWNED: live at `L` and not revoked (sm §2).
    pub fn owned_name(&self, name: &Name) -> Result<Option<NameRecord>, V::Error> {
        Ok(self.live_name(name)?.filter(|record| !record.revoked))
    }

    /// Refuses unless at most `most` of these names are OWNED (sm §2), all names of one sender. Few senders have so many
    /// rows that it matters which of them are.
    pub fn ensure_owned_at_most(&self, names: &[Name], most: usize) -> Checked<V> {
        if names.len() <= most {
            return Ok(());
        }
        let mut owned = 0;
        for name in names {
            owned += usize::from(self.owned_name(name)?.is_some());
            ensure(owned <= most, Reject::QuotaExceeded)?;
        }
        Ok(())
    }

    /// QUOTA: the script may receive one more name, those that this block registered to it so far included (sm §2).
    pub fn ensure_quota(&self, sender: &[u8]) -> Checked<V> {
        let here = self.registered_to.get(sender).copied().unwrap_or(0);
        self.ensure_room(sender, here)
    }

    /// The script may receive one more name besides `here` others.
    pub fn ensure_room(&self, sender: &[u8], here: usize) -> Checked<V> {
        let most = self.params.max_names_per_sender.checked_sub(here + 1);
        let most = most.ok_or(Refusal::Reject(Reject::QuotaExceeded))?;
        if self.state.surely_has_at_most(sender, most)? {
            return Ok(());
        }
        self.ensure_owned_at_most(&self.state.owned_by(sender)?, most)
    }

    /// Counts a registration of this block against its owner's quota (sm §2, QUOTA).
    pub fn count_registration(&mut self, owner: &[u8]) {
        if let Some(count) = self.registered_to.get_mut(owner) {
            *count += 1;
        } else {
            self.registered_to.insert(owner.to_vec(), 1);
        }
    }

    /// The key of this script's owner, if an operation of the block revealed it before: no other bytes have its hash.
    pub fn known_key(&self, sender: &[u8]) -> Option<&PublicKey> {
        self.keys.get(sender)
    }

    /// Notes what was found to be the key of a script's owner.
    pub fn note_key(&mut self, sender: &[u8], key: &PublicKey) {
        if !self.keys.contains_key(sender) {
            self.keys.insert(sender.to_vec(), key.clone());
        }
    }

    /// Notes that this block creates a name or namespace; refuses if it did already (sm §4).
    pub fn ensure_created_once(&mut self, id: &str) -> Checked<V> {
        ensure(self.created.insert(id.to_owned()), Reject::Collision)
    }

    /// Notes a preorder; refuses if this block accepted its hash already (sm §4.3).
    pub fn ensure_preordered_once(&mut self, hash: PreorderHash) -> Checked<V> {
        ensure(self.preordered.insert(hash), Reject::PreorderHashInUse)
    }

    /// Whether a live name carries this commitment (sm §6.1 rule 1, §6.2 rule 6).
    pub fn is_preorder_of_live_name(&self, hash: &PreorderHash) -> Result<bool, V::Error> {
        for name in self.state.names_of_preorder(hash)? {
            if self.live_name(&name)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The unspent preorder of a kind with this hash; of several the oldest (sm §6.2 rule 6).
    pub fn oldest_preorder(
        &self,
        hash: &PreorderHash,
        kind: PreorderKind,
    ) -> Result<Option<Preorder>, V::Error> {
        let rows = self.state.preorders(hash)?.into_iter();
        let of_kind = rows.filter(|row| row.kind == kind);
        // Txids sort as they are shown, which is their bytes in reverse.
        let age = |row: &Preorder| {
            let mut txid = row.txid.to_byte_array();
            txid.reverse();
            (row.block_number, txid)
        };
        Ok(of_kind.min_by_key(age))
    }

    /// The token account of an address, if it holds `amount` (sm §6.1 rule 4, §6.3 rule 10, §6.7 rule 4).
    pub fn funded_account(&self, address: &Address, amount: u64) -> Checked<V, Account> {
        let account = self.state.account(address)?;
        let account = account.ok_or(Refusal::Reject(Reject::NoTokenAccount))?;
        let funded = account.balance() >= u128::from(amount);
        ensure(funded, Reject::InsufficientTokens)?;
        Ok(account)
    }

    /// Takes tokens from an account; whether they are there was checked.
    pub fn debit(&mut self, address: &Address, amount: u64) -> Result<(), V::Error> {
        match self.state.account(address)? {
            Some(mut account) if amount > 0 => {
                account.debit_value = account.debit_value.saturating_add(u128::from(amount));
                self.state.put_account(account)
            }
            _ => Ok(()),
        }
    }

    /// The row of a name's namespace.
    pub fn namespace_of(&self, name: &Name) -> Result<Option<Rc<NamespaceRecord>>, V::Error> {
        self.state.namespace_of(name)
    }
}

/// Consensus hashes at `height - 24` to `height - 1`, newest first, the pre-seeded ones included (sm §2), each
/// once.
fn recent_consensus_hashes<V: View>(
    params: &Params,
    height: u32,
    view: &V,
) -> Result<Vec<ConsensusHash>, V::Error> {
    let mut hashes = Vec::new();
    for age in 1..=params.consensus_hash_lifetime {
        let Some(height) = height.checked_sub(age) else {
            break;
        };
        if params.is_pre_seeded(height) {
            hashes.push(params.initial_consensus_hash);
        } else {
            hashes.extend(view.consensus_hash(height)?);
        }
    }
    let mut seen = HashSet::new();
    hashes.retain(|hash| seen.insert(hash.0));
    Ok(hashes)
}
