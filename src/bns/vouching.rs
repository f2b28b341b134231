//! Whose history our own agrees with, as far as operations tell.
//!
//! Whoever follows a log sees proof that an operation is on the chain, and none that an operation is not. But most
//! operations quote a consensus hash of the last 24 blocks, and who quotes a hash knew all operations up to its height. If
//! one of them is hidden from us, our consensus hashes differ from there on: honest operations quote hashes that we do not
//! know, and the rules here refuse them. What each operation tells:
//!
//! | opcode | its quote | it vouches | it doubts |
//! |---|---|---|---|
//! | `?` `*` `>` `$` | in the payload | accepted: for the height of the hash | refused: the hash is of none of our heights |
//! | `+` | hashed with the name | accepted: the rules found the hash that fits | refused: the sender has names here, and none fits with a hash of the last `UPDATE_WINDOW` heights |
//! | `:` `;` `~` `&` `!` `#` | none | | |
//!
//! An old hash of ours that came too late is *stale* and tells nothing; nor do the hash before the first block and
//! the zeros of a token transfer (sm §6.12). A refused `+` can also be an attempt on somebody else's name by one who owns
//! another, and a hash can be one of a branch that Bitcoin left: one doubt alone means little. `ALARM_AFTER` doubts of as
//! many senders without an accepted quote between them are an alarm: something above the last vouched height is hidden
//! from us. It is a signal and no proof, since for its fees anybody can quote what he likes.
//!
//! From the epoch on in which names can be paid with tokens, a node without the token accounts of the genesis block (sm
//! §7.3) refuses what others accept. It then parts from the history of others by itself, and the alarm says so.

use std::collections::{BTreeSet, VecDeque};

use super::commitment::update_hash;
use super::operation::{Action, Operation};
use super::params::Params;
use super::record::Script;
use super::view::View;
use crate::hash::{ConsensusHash, UpdateHash};
use crate::virtualchain::serialize::fields;
use crate::virtualchain::{Decision, SnapshotView, VirtualTransaction};

/// Blocks, up to the tip, that a new [`Vouching`] has to be shown to know what one that saw all of them knows. More than a
/// week: the newest quotes of a network with few operations are in it.
pub const SHOWN_AT_START: u32 = 2_016;
/// Senders that have to doubt in a row.
const ALARM_AFTER: usize = 3;
/// Heights whose hashes a refused update is tried with; two days, since who builds one sends it soon.
const UPDATE_WINDOW: u32 = 288;
/// Names of a sender that a refused update is tried with. Only importers have more than the quota (sm §2).
const UPDATE_NAMES: usize = 100;
/// What operations told, of the newest ones: more than three senders send in between.
const TOLD_MAX: usize = 1_024;
/// Newest heights that are put in order with the others together.
const UNSORTED_MAX: usize = 4_096;

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate<'a> {
    /// It was accepted with this text (ch §1).
    Accepted(Option<&'a str>),
    /// A rule refused it.
    Refused,
}

impl<'a> Fate<'a> {
    /// The fate that a decision is; `None` for what could not be read.
    pub fn of<R>(decision: &'a Decision<R>) -> Option<Self> {
        match decision {
            Decision::Accepted(text) => Some(Self::Accepted(text.as_deref())),
            Decision::Rejected(_) => Some(Self::Refused),
            Decision::Unparseable(_) => None,
        }
    }
}

/// What the operations of the newest blocks tell of our history.
#[derive(Debug)]
pub struct Vouching {
    params: Params,
    heights: Heights,
    /// Oldest first.
    told: VecDeque<(u32, Told)>,
}

/// What an operation tells.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// Its author knew our history up to this height.
    Knows(u32),
    /// This sender quotes another one.
    Doubts(Script),
}

/// Several senders quote a history that is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// The height up to which the last accepted quote vouched.
    pub vouched: Option<u32>,
    /// Height of the first operation that doubted since.
    pub since: u32,
    /// How many senders.
    pub senders: usize,
    /// Whether it may be us who lack the token accounts.
    pub without_tokens: bool,
}

impl Alarm {
    /// What is to be said of it, as one sentence without a full stop; `sources` is where the operations come from.
    pub fn message(&self, sources: &str) -> String {
        let (senders, since) = (self.senders, self.since);
        let quoted = format!(
            "since block {since}, {senders} senders in a row quoted histories that are not this one"
        );
        if self.without_tokens {
            return format!(
                "{quoted}: bnsd lacks the token accounts of the genesis block, with which names are paid by now, so it may be bnsd that parted from the others"
            );
        }
        let hidden = match self.vouched {
            Some(height) => format!(
                "operations above block {height}, the last one that somebody vouched for, may be hidden"
            ),
            None => "operations may be hidden".to_owned(),
        };
        format!(
            "{quoted}: {hidden} by {sources}; add a log of somebody else to `chain.logs`, or have the blocks audited with `bnsd chain audit`"
        )
    }
}

impl Vouching {
    /// Nothing was told yet. Show it the last [`SHOWN_AT_START`] blocks, oldest first.
    pub fn new(params: Params) -> Self {
        Self {
            params,
            heights: Heights::default(),
            told: VecDeque::new(),
        }
    }

    /// Takes what the operations of block `height` tell, each with its fate. `view` has this block, and may have later ones.
    pub fn block<'a, V: View>(
        &mut self,
        height: u32,
        operations: impl IntoIterator<Item = (&'a VirtualTransaction, Fate<'a>)>,
        view: &V,
    ) -> Result<(), V::Error> {
        for (transaction, fate) in operations {
            let parsed = Operation::parse(&self.params, height, transaction);
            let Some(Ok(operation)) = parsed else {
                continue;
            };
            if let Some(told) = self.tell(height, &operation, fate, view)? {
                self.told.push_back((height, told));
            }
        }
        while self.told.len() > TOLD_MAX {
            self.told.pop_front();
        }
        Ok(())
    }

    /// Forgets what the operations of block `height` and of later ones told.
    pub fn undo(&mut self, height: u32) {
        self.told.retain(|(at, _)| *at < height);
        self.heights.undo(height);
    }

    /// The greatest height that an accepted operation vouched for: its author saw all that we see up to there.
    pub fn vouched(&self) -> Option<u32> {
        let known = self.told.iter().filter_map(|(_, told)| match told {
            Told::Knows(height) => Some(*height),
            Told::Doubts(_) => None,
        });
        known.max()
    }

    /// Whether something is wrong.
    pub fn alarm(&self) -> Option<Alarm> {
        let mut senders = BTreeSet::new();
        let (mut since, mut last) = (None, 0);
        for (height, told) in self.told.iter().rev() {
            let Told::Doubts(sender) = told else {
                break;
            };
            senders.insert(sender);
            since = Some(*height);
            last = last.max(*height);
        }
        let features = &self.params.epoch(last).features;
        (senders.len() >= ALARM_AFTER).then(|| Alarm {
            vouched: self.vouched(),
            since: since.unwrap_or(last),
            senders: senders.len(),
            without_tokens: features.nameops_cost_tokens && self.params.genesis_accounts.is_empty(),
        })
    }

    fn tell<V: View>(
        &mut self,
        height: u32,
        operation: &Operation,
        fate: Fate<'_>,
        view: &V,
    ) -> Result<Option<Told>, V::Error> {
        let quoted = quoted(&operation.action);
        let sender = &operation.origin.sender;
        match (fate, quoted) {
            (Fate::Accepted(_), Some(hash)) => self.vouch(height, hash, view),
            (Fate::Accepted(text), None) => match (&operation.action, text.and_then(fitting)) {
                (Action::NameUpdate(_), Some(hash)) => self.vouch(height, hash, view),
                _ => Ok(None),
            },
            (Fate::Refused, Some(hash)) => {
                let is_ours = hash == self.params.initial_consensus_hash
                    || self.recent(height, hash, view)?.is_some()
                    || self
                        .heights
                        .has(self.params.first_block, height, hash, view)?;
                Ok((!is_ours).then(|| Told::Doubts(sender.clone())))
            }
            (Fate::Refused, None) => match &operation.action {
                Action::NameUpdate(update) => {
                    let unknown = self.fits_nothing(height, &update.update_hash, sender, view)?;
                    Ok(unknown.then(|| Told::Doubts(sender.clone())))
                }
                _ => Ok(None),
            },
        }
    }

    fn vouch<V: View>(
        &self,
        height: u32,
        hash: ConsensusHash,
        view: &V,
    ) -> Result<Option<Told>, V::Error> {
        Ok(self.recent(height, hash, view)?.map(Told::Knows))
    }

    /// The height below `height` with this hash, if it may be quoted (sm §2, CHVALID).
    fn recent<V: SnapshotView>(
        &self,
        height: u32,
        hash: ConsensusHash,
        view: &V,
    ) -> Result<Option<u32>, V::Error> {
        let oldest = height.saturating_sub(self.params.consensus_hash_lifetime);
        for quotable in (oldest..height).rev() {
            if view.consensus_hash(quotable)? == Some(hash) {
                return Ok(Some(quotable));
            }
        }
        Ok(None)
    }

    /// Whether the sender of an update has names here, and none of them fits with a hash of ours.
    fn fits_nothing<V: View>(
        &self,
        height: u32,
        update: &UpdateHash,
        sender: &Script,
        view: &V,
    ) -> Result<bool, V::Error> {
        let names = view.names_of_sender(sender)?;
        if names.is_empty() || names.len() > UPDATE_NAMES {
            return Ok(false);
        }
        for quoted in (height.saturating_sub(UPDATE_WINDOW)..height).rev() {
            let hash = match view.consensus_hash(quoted)? {
                Some(hash) => hash,
                None if quoted < self.params.first_block => self.params.initial_consensus_hash,
                None => continue,
            };
            if names.iter().any(|name| update_hash(name, hash) == *update) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The consensus hash that an operation spells out.
fn quoted(action: &Action) -> Option<ConsensusHash> {
    let hash = match action {
        Action::NamePreorder(action) => action.payload.consensus_hash,
        Action::NamespacePreorder(action) => action.payload.consensus_hash,
        Action::NameTransfer(action) => action.payload.consensus_hash,
        Action::TokenTransfer(action) => action.payload.consensus_hash,
        _ => return None,
    };
    (hash.0 != [0; 16]).then_some(hash)
}

/// The hash that the rules found an update to quote: the last field of its text (ch §1).
fn fitting(text: &str) -> Option<ConsensusHash> {
    let (_, fields) = fields(text)?;
    fields.last()?.parse().ok()
}

/// All our heights by their hashes, made when the first old hash is looked for: 16 bytes a height.
#[derive(Debug, Default)]
struct Heights {
    /// Front of the hash, and height; in order.
    sorted: Vec<(u64, u32)>,
    /// The newest ones.
    unsorted: Vec<(u64, u32)>,
    /// The first height that is missing.
    next: Option<u32>,
}

impl Heights {
    /// Whether a height from `first` to below `end` has this hash.
    fn has<V: SnapshotView>(
        &mut self,
        first: u32,
        end: u32,
        hash: ConsensusHash,
        view: &V,
    ) -> Result<bool, V::Error> {
        let mut next = self.next.unwrap_or(first);
        while next < end {
            if let Some(hash) = view.consensus_hash(next)? {
                self.unsorted.push((front(hash), next));
            }
            next += 1;
            self.next = Some(next);
        }
        if self.unsorted.len() > UNSORTED_MAX {
            self.sorted.append(&mut self.unsorted);
            self.sorted.sort_unstable();
        }
        let front = front(hash);
        let from = self.sorted.partition_point(|(other, _)| *other < front);
        let sorted = self.sorted.iter().skip(from);
        let alike = sorted.take_while(|(other, _)| *other == front);
        let newest = self.unsorted.iter().filter(|(other, _)| *other == front);
        for (_, height) in alike.chain(newest) {
            if view.consensus_hash(*height)? == Some(hash) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn undo(&mut self, height: u32) {
        if self.next.is_some_and(|next| next > height) {
            self.sorted.retain(|(_, at)| *at < height);
            self.unsorted.retain(|(_, at)| *at < height);
            self.next = Some(height);
        }
    }
}

fn front(hash: ConsensusHash) -> u64 {
    let front = hash.0.first_chunk().expect("16 bytes have a front of 8");
    u64::from_be_bytes(*front)
}

#[cfg(test)]
mod tests {
    use bitcoin::absolute::LockTime;
    use bitcoin::script::PushBytesBuf;
    use bitcoin::transaction::Version;
    use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxIn, TxOut};

    use super::*;
    use crate::bns::address::Address;
    use crate::bns::changes::{Change, Changes};
    use crate::bns::name::Name;
    use crate::bns::network::Network;
    use crate::bns::samples::name_record;
    use crate::bns::state::State;
    use crate::bns::wire::{self, Payload};
    use crate::hash::{OpsHash, PreorderHash, ZonefileHash};
    use crate::virtualchain::Snapshot;

    const TIP: u32 = 1_000;

    fn hash_at(height: u32) -> ConsensusHash {
        let mut hash = [7; 16];
        hash[8..12].copy_from_slice(&height.to_be_bytes()); // all have the same front
        ConsensusHash(hash)
    }

    /// A chain of `TIP` heights without operations, on which sender 1 has a name.
    fn state() -> State {
        let mut state = State::default();
        for height in 1..=TIP {
            let snapshot = Snapshot {
                ops_hash: OpsHash([0; 32]),
                consensus_hash: hash_at(height),
            };
            let mut changes = Changes::default();
            if height == 1 {
                let record = name_record("werner.id", Address::P2pkh([1; 20]), 1);
                changes.names.insert(name(), Change::insertion(record));
            }
            state.connect(height, &changes, snapshot);
        }
        state
    }

    fn name() -> Name {
        "werner.id".parse().expect("a name")
    }

    fn sender(number: u8) -> Script {
        Address::P2pkh([number; 20]).script()
    }

    fn transaction(payload: &Payload, number: u8) -> VirtualTransaction {
        let data = [&b"id"[..], &payload.encode()].concat();
        let data = PushBytesBuf::try_from(data).expect("short");
        let output = |script_pubkey| TxOut {
            value: Amount::from_sat(5_500),
            script_pubkey,
        };
        let pay = || output(ScriptBuf::from_bytes(sender(number)));
        let transaction = Transaction {
            version: Version::ONE,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                ..TxIn::default()
            }],
            output: vec![output(ScriptBuf::new_op_return(data)), pay(), pay()],
        };
        VirtualTransaction {
            vtxindex: 1,
            txid: transaction.compute_txid(),
            prevouts: vec![pay()],
            transaction,
        }
    }

    fn preorder(quoted: ConsensusHash, number: u8) -> VirtualTransaction {
        let payload = wire::NamePreorder {
            preorder_hash: PreorderHash([number; 20]),
            consensus_hash: quoted,
            tokens: None,
        };
        transaction(&Payload::NamePreorder(payload), number)
    }

    fn update(quoted: ConsensusHash, number: u8) -> VirtualTransaction {
        let payload = wire::NameUpdate {
            update_hash: update_hash(&name(), quoted),
            value_hash: ZonefileHash([1; 20]),
        };
        transaction(&Payload::NameUpdate(payload), number)
    }

    fn vouching() -> Vouching {
        Vouching::new(Network::Regtest.params().expect("built in"))
    }

    /// Shows operations of the block above the tip.
    fn show(vouching: &mut Vouching, operations: &[(VirtualTransaction, Fate<'_>)]) {
        let operations = operations.iter().map(|(one, fate)| (one, *fate));
        let Ok(()) = vouching.block(TIP + 1, operations, &state());
    }

    const STRANGE: ConsensusHash = ConsensusHash([0xee; 16]);

    #[test]
    fn an_accepted_quote_vouches_for_its_height() {
        let mut vouching = vouching();
        show(
            &mut vouching,
            &[(preorder(hash_at(TIP - 3), 1), Fate::Accepted(None))],
        );
        assert_eq!(vouching.vouched(), Some(TIP - 3));
        let text = format!("+:9:werner.id,32:{}", hash_at(TIP - 1));
        show(
            &mut vouching,
            &[(update(hash_at(TIP - 1), 1), Fate::Accepted(Some(&text)))],
        );
        assert_eq!(vouching.vouched(), Some(TIP - 1));
        vouching.undo(TIP + 1);
        assert_eq!(vouching.vouched(), None);
    }

    #[test]
    fn three_senders_of_unknown_quotes_are_an_alarm() {
        let mut vouching = vouching();
        show(
            &mut vouching,
            &[(preorder(hash_at(TIP - 20), 9), Fate::Accepted(None))],
        );
        for number in [1, 2, 2] {
            show(&mut vouching, &[(preorder(STRANGE, number), Fate::Refused)]);
            assert_eq!(vouching.alarm(), None, "so far two senders at most");
        }
        show(&mut vouching, &[(preorder(STRANGE, 3), Fate::Refused)]);
        let alarm = vouching.alarm().expect("an alarm");
        assert_eq!((alarm.vouched, alarm.senders), (Some(TIP - 20), 3));
        let message = alarm.message("the log in /log");
        for part in ["above block 980", "hidden by the log in /log"] {
            assert!(message.contains(part), "{message}");
        }
        show(
            &mut vouching,
            &[(preorder(hash_at(TIP), 4), Fate::Accepted(None))],
        );
        assert_eq!(vouching.alarm(), None);
    }

    #[test]
    fn a_stale_quote_tells_nothing() {
        let initial = vouching().params.initial_consensus_hash;
        let mut vouching = vouching();
        for (number, hash) in (1..).zip([hash_at(5), hash_at(TIP), initial, ConsensusHash([0; 16])])
        {
            show(&mut vouching, &[(preorder(hash, number), Fate::Refused)]);
        }
        assert!(vouching.told.is_empty(), "{:?}", vouching.told);
    }

    #[test]
    fn a_height_that_was_undone_is_looked_for_again() {
        let mut vouching = vouching();
        show(&mut vouching, &[(preorder(hash_at(5), 1), Fate::Refused)]);
        vouching.undo(4);
        assert_eq!(vouching.heights.next, Some(4));
        show(&mut vouching, &[(preorder(hash_at(5), 1), Fate::Refused)]);
        assert!(vouching.told.is_empty(), "{:?}", vouching.told);
    }

    #[test]
    fn a_refused_update_doubts_if_its_sender_has_names_and_none_fits() {
        let cases = [
            (STRANGE, 1, true),
            (STRANGE, 2, false),            // has no name
            (hash_at(TIP - 200), 1, false), // is late
        ];
        for (hash, number, doubts) in cases {
            let mut vouching = vouching();
            show(&mut vouching, &[(update(hash, number), Fate::Refused)]);
            assert_eq!(!vouching.told.is_empty(), doubts, "{number}");
        }
    }

    #[test]
    fn who_lacks_token_accounts_may_be_wrong_himself() {
        for (height, without_tokens) in [(547_921, false), (547_922, true)] {
            let mut vouching = Vouching::new(Network::Mainnet.params().expect("built in"));
            for number in 1..=3 {
                let told = Told::Doubts(sender(number));
                vouching.told.push_back((height, told));
            }
            let alarm = vouching.alarm().expect("an alarm");
            assert_eq!(alarm.without_tokens, without_tokens);
            let message = alarm.message("a log");
            assert_eq!(message.contains("token accounts"), without_tokens);
        }
    }
}
