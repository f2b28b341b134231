//! Puts names on an embedded chain the way their owners would: funded, preordered, registered, updated.
//!
//! There is no shortcut: every step is a signed transaction in a mined block. The registrar keeps the state in memory
//! by running the rules over the chain's blocks, because a preorder has to quote a consensus hash and an operation
//! that was refused must not go unnoticed. Each name has a key of its own, which follows from the name
//! ([`SigningKey::dev_only_from_label`]): no owner meets the quota of names, and a chain that is opened again is
//! continued from any step. For worthless chains only.

use std::collections::HashMap;
use std::convert::Infallible;

use bitcoin::{Amount, FeeRate, Transaction, TxOut, Txid};

use super::coins::{Coin, Funding};
use super::keys::SigningKey;
use super::operation::{BuildError, Fee, Operation, Unsigned};
use super::psbt::{self, PsbtError};
use crate::bns::changes::Changes;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::price::{self, PriceFunction};
use crate::bns::record::{NameRecord, PreorderKind, TokenUnits};
use crate::bns::reject::Reject;
use crate::bns::state::State;
use crate::bns::view::View;
use crate::bns::{Bns, commitment, life};
use crate::chain::dev::{DevChain, MineError};
use crate::chain::{BlockRef, Blocks, SourceError};
use crate::hash::{ConsensusHash, ZonefileHash};
use crate::virtualchain::{BlockOutcome, Decision, SnapshotView, derive};

/// What miners get; nobody competes for space.
const RATE: u64 = 10;
/// What an owner is given on top of the price: some sixty operations at [`RATE`]. The chain creates 15,000 BTC, so that
/// is enough for millions of owners.
const ALLOWANCE: Amount = Amount::from_sat(200_000);
/// Names whose preorders share a block. A block holds about a thousand operations (its limit of signature operations),
/// and a preorder must be followed by its registration within 144 blocks.
const BATCH: usize = 500;
/// What the payer of a namespace is given on top of its price.
const MARGIN: Amount = Amount::from_sat(10_000_000);
/// The price function of the historical `.id` (sm §9).
const PRICES: PriceFunction = PriceFunction {
    coeff: 250,
    base: 4,
    buckets: [6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    nonalpha_discount: 4,
    no_vowel_discount: 4,
};
/// Blocks that a name lives before the epoch's multiplier: a year.
const LIFETIME: u32 = 52_595;

/// Why a name did not get onto the chain.
#[derive(Debug, thiserror::Error)]
pub enum RegistrarError {
    /// The chain refuses the block.
    #[error(transparent)]
    Mine(#[from] MineError),
    /// The chain cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The transaction cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The transaction cannot be signed.
    #[error(transparent)]
    Sign(#[from] PsbtError),
    /// A rule refused the operation.
    #[error("the chain refused an operation at block {height}: {reason}")]
    Refused {
        /// The block.
        height: u32,
        /// The rule, in words.
        reason: String,
    },
    /// The name cannot be registered here.
    #[error("{0} can belong to no namespace: a namespace has at most 19 characters")]
    NoNamespace(Name),
}

impl From<Infallible> for RegistrarError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A zone file that was not announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The name that it is for.
    pub name: Name,
    /// Why, as the rest of a sentence about the name.
    pub reason: String,
}

/// Registers names on one embedded chain.
pub struct Registrar {
    chain: DevChain,
    blocks: Blocks,
    bns: Bns,
    state: State,
    treasury: SigningKey,
    /// Is told how many of the names are done, after each batch.
    pub tell: Box<dyn Fn(usize) + Send>,
}

/// What a name needs next.
enum Next {
    /// Its zone file is announced.
    Nothing,
    Preorder,
    Register,
    Update,
    LeaveOut(&'static str),
}

/// A name and the hash of its zone file.
type Wanted = (Name, ZonefileHash);

impl Registrar {
    /// Reads what is on the chain already.
    pub fn open(chain: DevChain, bns: Bns) -> Result<Self, RegistrarError> {
        let params = bns.params();
        let mut registrar = Self {
            blocks: Blocks::new(Box::new(chain.source(0)), params.first_block, params.magic),
            state: State::genesis(params),
            treasury: SigningKey::dev_only_from_label("treasury"),
            chain,
            bns,
            tell: Box::new(|_| ()),
        };
        registrar.follow()?;
        Ok(registrar)
    }

    /// The key that owns a name.
    pub fn owner(name: &Name) -> SigningKey {
        SigningKey::dev_only_from_label(name.as_str())
    }

    /// The chain's tip, as far as it was read.
    pub fn tip(&self) -> Option<BlockRef> {
        self.blocks.tip()
    }

    /// The consensus hash to quote.
    pub fn consensus_hash(&self) -> ConsensusHash {
        let tip = self
            .tip()
            .and_then(|tip| in_memory(self.state.consensus_hash(tip.height)));
        tip.unwrap_or(self.bns.params().initial_consensus_hash)
    }

    /// Makes the chain say what `zonefiles` say: namespaces are opened, new names preordered and registered,
    /// changed zone files announced. `time` is in seconds since 1970. What the rules refuse is left out and returned.
    pub fn publish(
        &mut self,
        zonefiles: &[(Name, ZonefileHash)],
        time: u32,
    ) -> Result<Vec<LeftOut>, RegistrarError> {
        let namespaces = self.closed_namespaces(zonefiles)?;
        for batch in namespaces.chunks(BATCH) {
            self.open_namespaces(batch, time)?;
        }
        let mut left_out = Vec::new();
        let mut done = 0;
        for batch in zonefiles.chunks(BATCH) {
            left_out.extend(self.publish_batch(batch, time)?);
            done += batch.len();
            (self.tell)(done);
        }
        Ok(left_out)
    }

    /// Mines a block with these transactions and reads it; an error if the rules refuse one of them.
    pub fn mine(
        &mut self,
        transactions: Vec<Transaction>,
        time: u32,
    ) -> Result<BlockRef, RegistrarError> {
        let (block, refused) = self.mine_and_read(transactions, time)?;
        match refused.into_values().next() {
            Some(reason) => Err(RegistrarError::Refused {
                height: block.height,
                reason,
            }),
            None => Ok(block),
        }
    }

    /// Mines a block and reads it; gives what the rules refused in it, and why.
    fn mine_and_read(
        &mut self,
        transactions: Vec<Transaction>,
        time: u32,
    ) -> Result<(BlockRef, HashMap<Txid, String>), RegistrarError> {
        let ours: Vec<Txid> = transactions.iter().map(Transaction::compute_txid).collect();
        let block = self
            .chain
            .mine(&self.treasury.script(), transactions, time)?;
        // Blocks of others may have come in between.
        let mut refused = self.follow()?;
        refused.retain(|txid, _| ours.contains(txid));
        Ok((block, refused))
    }

    /// A signed transaction of an operation that `key` sends and pays.
    pub fn transaction(
        &self,
        operation: &Operation,
        key: &SigningKey,
    ) -> Result<Transaction, RegistrarError> {
        self.signed(key, |funding| {
            operation.build(self.bns.params().magic, funding)
        })
    }

    /// The preorder of a name by its owner's key.
    pub fn preorder(&self, name: &Name) -> Result<Transaction, RegistrarError> {
        let (operation, key) = self.preordering(name)?;
        self.transaction(&operation, &key)
    }

    /// Pays `outputs` in one transaction of the treasury.
    pub fn give(&mut self, outputs: Vec<TxOut>, time: u32) -> Result<(), RegistrarError> {
        let chain = self.chain.clone();
        let _turn = chain.turn(); // the faucet has the same purse
        let needed = outputs.iter().map(|output| output.value).sum::<Amount>() + MARGIN;
        chain.mine_until(&self.treasury.script(), needed, time)?;
        let payment = |funding: &Funding<'_>| Ok(Unsigned::payment(funding, None, outputs)?);
        let transaction = self.signed(&self.treasury, payment)?;
        self.mine(vec![transaction], time)?;
        Ok(())
    }

    /// A transaction that `key` pays from all it has, signed.
    fn signed(
        &self,
        key: &SigningKey,
        build: impl FnOnce(&Funding<'_>) -> Result<Unsigned, BuildError>,
    ) -> Result<Transaction, RegistrarError> {
        let script = key.script();
        let coins = self.chain.spendable(&script).into_iter();
        let funding = Funding {
            sender: &script,
            coins: &coins.map(Coin::from).collect::<Vec<_>>(),
            change: &script,
            rate: FeeRate::from_sat_per_vb(RATE).unwrap_or(FeeRate::BROADCAST_MIN),
        };
        Ok(psbt::signed(&build(&funding)?, &[key])?)
    }

    fn preordering(&self, name: &Name) -> Result<(Operation, SigningKey), RegistrarError> {
        let key = Self::owner(name);
        let burn = self.burn(self.name_price(name)?);
        let owner = (key.address(), self.bns.params().addresses);
        let quoted = self.consensus_hash();
        let operation = Operation::name_preorder(name, &key.script(), owner, quoted, None, burn);
        Ok((operation, key))
    }

    fn name_price(&self, name: &Name) -> Result<Amount, RegistrarError> {
        let params = self.bns.params();
        let epoch = params.epoch(self.next_height());
        let id = namespace_of(name)?;
        let function =
            in_memory(self.state.namespace(&id)).map_or(PRICES, |namespace| namespace.price);
        let price = price::name_price(&function, name.label(), params, epoch).least_fee();
        Ok(Amount::from_sat(price.unwrap_or(u64::MAX)))
    }

    fn burn(&self, amount: Amount) -> Fee {
        let to = self.bns.params().burn_address;
        Fee { to, amount }
    }

    /// The namespaces of these names that are not open.
    fn closed_namespaces(&self, zonefiles: &[Wanted]) -> Result<Vec<NamespaceId>, RegistrarError> {
        let mut closed = Vec::new();
        for (name, _) in zonefiles {
            let id = namespace_of(name)?;
            let record = in_memory(self.state.namespace(&id));
            let is_open = record.as_ref().is_some_and(life::is_ready);
            if !is_open && !closed.contains(&id) {
                closed.push(id);
            }
        }
        Ok(closed)
    }

    /// Preorder, reveal and ready, a block each, from where an earlier run was stopped. The payer is the revealer too.
    fn open_namespaces(&mut self, ids: &[NamespaceId], time: u32) -> Result<(), RegistrarError> {
        let revealed = |registrar: &Self, id: &NamespaceId| {
            let record = in_memory(registrar.state.namespace(id));
            let params = registrar.bns.params();
            record.is_some_and(|row| life::is_revealed(params, &row, registrar.next_height()))
        };
        let hidden: Vec<NamespaceId> = ids
            .iter()
            .filter(|id| !revealed(self, id))
            .cloned()
            .collect();
        let unknown: Vec<NamespaceId> = hidden
            .iter()
            .filter(|id| !self.is_namespace_preordered(id))
            .cloned()
            .collect();
        self.fund_payers(&unknown, time)?;
        self.send_all(&unknown, time, |registrar, id| {
            let key = revealer(id);
            let revealer = (key.address(), registrar.bns.params().addresses);
            let (script, quoted) = (key.script(), registrar.consensus_hash());
            let burn = registrar.burn(registrar.namespace_price(id));
            let operation =
                Operation::namespace_preorder(id, &script, revealer, quoted, None, burn);
            Ok((operation, key))
        })?;
        self.send_all(&hidden, time, |_, id| {
            let key = revealer(id);
            let operation = Operation::namespace_reveal(id, key.address(), LIFETIME, PRICES, 1);
            Ok((operation, key))
        })?;
        self.send_all(ids, time, |_, id| {
            let key = revealer(id);
            Ok((Operation::namespace_ready(id, key.address()), key))
        })
    }

    fn fund_payers(&mut self, ids: &[NamespaceId], time: u32) -> Result<(), RegistrarError> {
        let purses = ids.iter().map(|id| TxOut {
            value: self.namespace_price(id) + MARGIN,
            script_pubkey: revealer(id).script(),
        });
        let purses: Vec<TxOut> = purses.collect();
        match purses.is_empty() {
            true => Ok(()),
            false => self.give(purses, time),
        }
    }

    /// Takes every step that the names of a batch still need.
    fn publish_batch(
        &mut self,
        batch: &[Wanted],
        time: u32,
    ) -> Result<Vec<LeftOut>, RegistrarError> {
        let mut left_out = Vec::new();
        let (mut new, mut preordered, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        for wanted in batch {
            match self.next(wanted) {
                Next::Nothing => {}
                Next::Preorder => new.push(wanted.clone()),
                Next::Register => preordered.push(wanted.clone()),
                Next::Update => changed.push(wanted.clone()),
                Next::LeaveOut(reason) => left_out.push(LeftOut {
                    name: wanted.0.clone(),
                    reason: reason.to_owned(),
                }),
            }
        }
        self.fund_owners(&new, time)?;
        preordered.extend(self.send(new, time, &mut left_out, |registrar, (name, _)| {
            registrar.preordering(name)
        })?);
        self.send(preordered, time, &mut left_out, |_, (name, hash)| {
            let key = Self::owner(name);
            let operation = Operation::name_register(name, key.address(), Some(*hash));
            Ok((operation, key))
        })?;
        self.send(changed, time, &mut left_out, |registrar, (name, hash)| {
            let key = Self::owner(name);
            let quoted = registrar.consensus_hash();
            let operation = Operation::name_update(name, key.address(), quoted, *hash);
            Ok((operation, key))
        })?;
        Ok(left_out)
    }

    fn next(&self, (name, hash): &Wanted) -> Next {
        let owner = Self::owner(name).script();
        match self.record(name) {
            Some(record) if record.revoked => Next::LeaveOut("its owner revoked it"),
            Some(record) if record.value_hash == Some(*hash) => Next::Nothing,
            Some(record) if record.sender != owner.as_bytes() => {
                Next::LeaveOut("it belongs to somebody else, who alone can announce a zone file")
            }
            Some(_) => Next::Update,
            None if self.is_preordered(name) => Next::Register,
            None => Next::Preorder,
        }
    }

    fn is_preordered(&self, name: &Name) -> bool {
        let key = Self::owner(name);
        let address = key.address().encode(self.bns.params().addresses);
        let hash = commitment::name_preorder_hash(name, key.script().as_bytes(), &address);
        let rows = in_memory(self.state.preorders(&hash));
        rows.iter().any(|row| row.kind == PreorderKind::Name)
    }

    fn is_namespace_preordered(&self, id: &NamespaceId) -> bool {
        let key = revealer(id);
        let address = key.address().encode(self.bns.params().addresses);
        let hash = commitment::namespace_preorder_hash(id, key.script().as_bytes(), &address);
        let rows = in_memory(self.state.preorders(&hash));
        rows.iter().any(|row| row.kind == PreorderKind::Namespace)
    }

    fn fund_owners(&mut self, names: &[Wanted], time: u32) -> Result<(), RegistrarError> {
        let mut purses = Vec::new();
        for (name, _) in names {
            purses.push(TxOut {
                value: self.name_price(name)? + ALLOWANCE,
                script_pubkey: Self::owner(name).script(),
            });
        }
        match purses.is_empty() {
            true => Ok(()),
            false => self.give(purses, time),
        }
    }

    /// One operation for each name, all in one block; gives the names whose operation was accepted.
    fn send(
        &mut self,
        names: Vec<Wanted>,
        time: u32,
        left_out: &mut Vec<LeftOut>,
        operation: impl Fn(&Self, &Wanted) -> Result<(Operation, SigningKey), RegistrarError>,
    ) -> Result<Vec<Wanted>, RegistrarError> {
        let transactions = self.transactions(&names, operation)?;
        if transactions.is_empty() {
            return Ok(names);
        }
        let txids: Vec<Txid> = transactions.iter().map(Transaction::compute_txid).collect();
        let (_, mut refused) = self.mine_and_read(transactions, time)?;
        let mut accepted = Vec::new();
        for (wanted, txid) in names.into_iter().zip(txids) {
            match refused.remove(&txid) {
                None => accepted.push(wanted),
                Some(reason) => left_out.push(LeftOut {
                    name: wanted.0,
                    reason,
                }),
            }
        }
        Ok(accepted)
    }

    /// One operation for each item, all in one block; an error if one is refused.
    fn send_all<T>(
        &mut self,
        items: &[T],
        time: u32,
        operation: impl Fn(&Self, &T) -> Result<(Operation, SigningKey), RegistrarError>,
    ) -> Result<(), RegistrarError> {
        let transactions = self.transactions(items, operation)?;
        if !transactions.is_empty() {
            self.mine(transactions, time)?;
        }
        Ok(())
    }

    fn transactions<T>(
        &self,
        items: &[T],
        operation: impl Fn(&Self, &T) -> Result<(Operation, SigningKey), RegistrarError>,
    ) -> Result<Vec<Transaction>, RegistrarError> {
        let signed = items.iter().map(|item| {
            let (operation, key) = operation(self, item)?;
            self.transaction(&operation, &key)
        });
        signed.collect()
    }

    fn record(&self, name: &Name) -> Option<NameRecord> {
        let record = in_memory(self.state.name(name))?;
        let namespace = in_memory(self.state.namespace(&name.namespace_id()?));
        let height = self.tip()?.height;
        life::is_live(self.bns.params(), &record, namespace.as_ref(), height).then_some(record)
    }

    fn namespace_price(&self, id: &NamespaceId) -> Amount {
        let epoch = self.bns.params().epoch(self.next_height());
        Amount::from_sat(price::namespace_price(id, epoch, TokenUnits::Btc).unwrap_or(0))
    }

    fn next_height(&self) -> u32 {
        self.chain.tip().height + 1
    }

    /// Runs the rules over what is new on the chain; what they refused there, and why.
    fn follow(&mut self) -> Result<HashMap<Txid, String>, RegistrarError> {
        let mut refused = HashMap::new();
        let mut sink = self.state.sink(|_, outcome| {
            refused.extend(refusals(outcome));
            Ok::<(), RegistrarError>(())
        });
        let blocks = self.blocks.by_ref().map(|block| Ok(block?));
        derive(&self.bns, blocks, &mut sink)?;
        Ok(refused)
    }
}

/// The operations of a block that a rule refused.
fn refusals(outcome: &BlockOutcome<Reject, Changes>) -> impl Iterator<Item = (Txid, String)> {
    let decisions = outcome.decisions.iter();
    decisions.filter_map(|located| match &located.item {
        Decision::Accepted(_) => None,
        Decision::Rejected(reject) | Decision::Unparseable(reject) => {
            Some((located.txid, reject.to_string()))
        }
    })
}

/// The key that pays for, reveals and readies a namespace.
fn revealer(id: &NamespaceId) -> SigningKey {
    SigningKey::dev_only_from_label(id.as_str())
}

fn namespace_of(name: &Name) -> Result<NamespaceId, RegistrarError> {
    let id = name.namespace_id();
    id.ok_or_else(|| RegistrarError::NoNamespace(name.clone()))
}

/// Reading from memory cannot fail.
fn in_memory<T>(result: Result<T, Infallible>) -> T {
    let Ok(value) = result;
    value
}
