//! Puts names on an embedded chain the way their owners would: funded, preordered, registered, updated.
//!
//! There is no shortcut: every step is a signed transaction in a mined block. The registrar keeps the state in memory
//! by running the rules over the chain's blocks, because a preorder has to quote a consensus hash and an operation
//! that was refused must not go unnoticed. Each name has a key of its own, which follows from the name
//! ([`SigningKey::dev_only_from_label`]): no owner meets the quota of names, and a chain that is opened again is
//! continued from any step. For worthless chains only.

mod publish;

use std::collections::HashMap;
use std::convert::Infallible;

use bitcoin::{Amount, FeeRate, Transaction, TxOut, Txid};

pub use publish::{LIFETIME, LeftOut};

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
use crate::chain::dev::{DevChain, MineError};
use crate::chain::{BlockRef, Blocks, SourceError};
use crate::hash::ConsensusHash;
use crate::virtualchain::{BlockOutcome, Decision, SnapshotView, derive};

/// What miners get; nobody competes for space.
const RATE: u64 = 10;
/// What the payer of a namespace is given on top of its price.
const MARGIN: Amount = Amount::from_sat(10_000_000);
/// The price function of the historical `.id` (sm §9).
pub const PRICES: PriceFunction = PriceFunction {
    coeff: 250,
    base: 4,
    buckets: [6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    nonalpha_discount: 4,
    no_vowel_discount: 4,
};

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
    /// Is told how many of the names are done, after each batch.
    pub tell: Box<dyn Fn(usize) + Send>,
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

    fn record(&self, name: &Name) -> Option<NameRecord> {
        let record = in_memory(self.state.name(name))?;
        let namespace = in_memory(self.state.namespace(&name.namespace_id()?));
        let height = self.tip()?.height;
        life::is_live(self.bns.params(), record.life(), namespace.as_ref(), height)
            .then_some(record)
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

fn namespace_of(name: &Name) -> Result<NamespaceId, RegistrarError> {
    let id = name.namespace_id();
    id.ok_or_else(|| RegistrarError::NoNamespace(name.clone()))
}

/// Reading from memory cannot fail.
fn in_memory<T>(result: Result<T, Infallible>) -> T {
    let Ok(value) = result;
    value
}
