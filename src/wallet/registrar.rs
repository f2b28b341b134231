//! Puts names on an embedded chain the way their owners would: funded, preordered, registered, updated.
//!
//! There is no shortcut: every step is a signed transaction in a mined block. The registrar keeps the state in memory
//! by running the rules over the chain's blocks, because a preorder has to quote a consensus hash and an operation
//! that was refused must not go unnoticed. Keys follow from names ([`SigningKey::dev_only_from_label`]),
//! so a chain that is opened again can be continued. For worthless chains only.

use std::convert::Infallible;

use bitcoin::{Amount, FeeRate, Transaction, TxOut};

use super::coins::{Coin, Funding};
use super::keys::SigningKey;
use super::operation::{BuildError, Fee, Operation, Unsigned};
use super::psbt::{self, PsbtError};
use crate::bns::changes::Changes;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::price::{self, PriceFunction};
use crate::bns::record::{NameRecord, TokenUnits};
use crate::bns::reject::Reject;
use crate::bns::state::State;
use crate::bns::view::View;
use crate::bns::{Bns, life};
use crate::chain::dev::{COINBASE_MATURITY, DevChain, MineError};
use crate::chain::{BlockRef, Blocks, SourceError};
use crate::hash::{ConsensusHash, ZonefileHash};
use crate::virtualchain::{BlockOutcome, Decision, SnapshotView, derive};

/// What miners get; nobody competes for space.
const RATE: u64 = 10;
/// What an owner is given: enough for the dearest name and years of operations.
const ALLOWANCE: Amount = Amount::from_sat(100_000_000);
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

/// Registers names on one embedded chain.
pub struct Registrar {
    chain: DevChain,
    blocks: Blocks,
    bns: Bns,
    state: State,
    treasury: SigningKey,
}

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
    /// changed zone files announced. `time` is in seconds since 1970. Each step is one block for all names.
    pub fn publish(
        &mut self,
        zonefiles: &[(Name, ZonefileHash)],
        time: u32,
    ) -> Result<(), RegistrarError> {
        let mut namespaces = Vec::new();
        let mut new = Vec::new();
        let mut changed = Vec::new();
        for (name, hash) in zonefiles {
            let id = namespace_of(name)?;
            if in_memory(self.state.namespace(&id)).is_none() && !namespaces.contains(&id) {
                namespaces.push(id);
            }
            match self.record(name) {
                None => new.push((name, *hash)),
                Some(record) if record.value_hash != Some(*hash) => changed.push((name, *hash)),
                Some(_) => {}
            }
        }
        if !namespaces.is_empty() || !new.is_empty() {
            self.fund(&namespaces, &new, time)?;
        }
        self.open_namespaces(&namespaces, time)?;
        self.register(&new, time)?;
        self.update(&changed, time)
    }

    /// Mines a block with these transactions and reads it.
    pub fn mine(
        &mut self,
        transactions: Vec<Transaction>,
        time: u32,
    ) -> Result<BlockRef, RegistrarError> {
        let block = self
            .chain
            .mine(&self.treasury.script(), transactions, time)?;
        match self.follow()? {
            Some(refusal) => Err(refusal),
            None => Ok(block),
        }
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
        let needed = outputs.iter().map(|output| output.value).sum::<Amount>() + MARGIN;
        let script = self.treasury.script();
        loop {
            let coins = self.chain.spendable(&script);
            if coins.iter().map(|(_, output)| output.value).sum::<Amount>() >= needed {
                break;
            }
            // The first reward can be spent a hundred blocks later, then one more with every block.
            let blocks = if coins.is_empty() {
                COINBASE_MATURITY
            } else {
                1
            };
            self.chain.mine_empty(&script, blocks, time)?;
        }
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
        let params = self.bns.params();
        let epoch = params.epoch(self.next_height());
        let id = namespace_of(name)?;
        let function =
            in_memory(self.state.namespace(&id)).map_or(PRICES, |namespace| namespace.price);
        let price = price::name_price(&function, name.label(), params, epoch).least_fee();
        let burn = self.burn(Amount::from_sat(price.unwrap_or(u64::MAX)));
        let owner = (key.address(), params.addresses);
        let quoted = self.consensus_hash();
        let operation = Operation::name_preorder(name, &key.script(), owner, quoted, None, burn);
        Ok((operation, key))
    }

    fn burn(&self, amount: Amount) -> Fee {
        let to = self.bns.params().burn_address;
        Fee { to, amount }
    }

    fn fund(
        &mut self,
        namespaces: &[NamespaceId],
        names: &[(&Name, ZonefileHash)],
        time: u32,
    ) -> Result<(), RegistrarError> {
        let payers = namespaces.iter().map(|id| TxOut {
            value: self.namespace_price(id) + MARGIN,
            script_pubkey: revealer(id).script(),
        });
        let owners = names.iter().map(|(name, _)| TxOut {
            value: ALLOWANCE,
            script_pubkey: Self::owner(name).script(),
        });
        let outputs = payers.chain(owners).collect();
        self.give(outputs, time)
    }

    /// Preorder, reveal and ready, a block each. The payer is the revealer too.
    fn open_namespaces(&mut self, ids: &[NamespaceId], time: u32) -> Result<(), RegistrarError> {
        self.each(ids, time, |registrar, id| {
            let key = revealer(id);
            let revealer = (key.address(), registrar.bns.params().addresses);
            let (script, quoted) = (key.script(), registrar.consensus_hash());
            let burn = registrar.burn(registrar.namespace_price(id));
            let operation =
                Operation::namespace_preorder(id, &script, revealer, quoted, None, burn);
            Ok((operation, key))
        })?;
        self.each(ids, time, |_, id| {
            let key = revealer(id);
            let operation = Operation::namespace_reveal(id, key.address(), LIFETIME, PRICES, 1);
            Ok((operation, key))
        })?;
        self.each(ids, time, |_, id| {
            let key = revealer(id);
            Ok((Operation::namespace_ready(id, key.address()), key))
        })
    }

    fn register(
        &mut self,
        names: &[(&Name, ZonefileHash)],
        time: u32,
    ) -> Result<(), RegistrarError> {
        self.each(names, time, |registrar, (name, _)| {
            registrar.preordering(name)
        })?;
        self.each(names, time, |_, (name, hash)| {
            let key = Self::owner(name);
            let operation = Operation::name_register(name, key.address(), Some(*hash));
            Ok((operation, key))
        })
    }

    fn update(&mut self, names: &[(&Name, ZonefileHash)], time: u32) -> Result<(), RegistrarError> {
        self.each(names, time, |registrar, (name, hash)| {
            let key = Self::owner(name);
            let quoted = registrar.consensus_hash();
            let operation = Operation::name_update(name, key.address(), quoted, *hash);
            Ok((operation, key))
        })
    }

    /// One operation for each item, all in one block.
    fn each<T>(
        &mut self,
        items: &[T],
        time: u32,
        operation: impl Fn(&Self, &T) -> Result<(Operation, SigningKey), RegistrarError>,
    ) -> Result<(), RegistrarError> {
        if items.is_empty() {
            return Ok(());
        }
        let signed = items.iter().map(|item| {
            let (operation, key) = operation(self, item)?;
            self.transaction(&operation, &key)
        });
        let transactions = signed.collect::<Result<_, _>>()?;
        self.mine(transactions, time)?;
        Ok(())
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

    /// Runs the rules over what is new on the chain; the last refusal on the way, if there was one.
    fn follow(&mut self) -> Result<Option<RegistrarError>, RegistrarError> {
        let mut refusal = None;
        let mut sink = self.state.sink(|_, outcome| {
            refusal = first_refusal(outcome).or(refusal.take());
            Ok::<(), RegistrarError>(())
        });
        let blocks = self.blocks.by_ref().map(|block| Ok(block?));
        derive(&self.bns, blocks, &mut sink)?;
        Ok(refusal)
    }
}

/// The first operation of a block that a rule refused.
fn first_refusal(outcome: &BlockOutcome<Reject, Changes>) -> Option<RegistrarError> {
    let mut decisions = outcome.decisions.iter();
    decisions.find_map(|located| match &located.item {
        Decision::Accepted(_) => None,
        Decision::Rejected(reject) | Decision::Unparseable(reject) => {
            Some(RegistrarError::Refused {
                height: outcome.height,
                reason: reject.to_string(),
            })
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
