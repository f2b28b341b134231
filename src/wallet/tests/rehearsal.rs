//! A chain in memory on which operations are judged first and then happen.

use bitcoin::{Amount, FeeRate, OutPoint, Transaction, TxOut};

use crate::bns::address::AddressVersions;
use crate::bns::epoch::historical;
use crate::bns::forecast::forecast;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::params::Params;
use crate::bns::price::PriceFunction;
use crate::bns::state::State;
use crate::bns::{Bns, Reject};
use crate::hash::ConsensusHash;
use crate::virtualchain::{Decision, SnapshotView as _, VirtualTransaction, connect_block};
use crate::wallet::coins::{Coin, Funding};
use crate::wallet::keys::SigningKey;
use crate::wallet::lock::Lock;
use crate::wallet::operation::{Fee, Operation};

/// What everybody has, in satoshi.
const WORTH: u64 = 200_000_000_000;
/// µSTX that [`Rehearsal::me`] has at the start.
pub const TOKENS: u64 = 10_000_000_000;
/// What a namespace of five letters costs in µSTX.
const NAMESPACE_TOKENS: u64 = 6_400_000_000;

/// The chain, and the only person of most stories.
pub struct Rehearsal {
    pub bns: Bns,
    pub state: State,
    /// The next block's.
    pub height: u32,
    /// Who does everything, unless said otherwise.
    pub me: Lock,
}

/// The key that is a small number.
pub fn numbered(number: u8) -> SigningKey {
    let mut bytes = [0; 32];
    bytes[31] = number;
    SigningKey::from_bytes(&bytes).expect("a small number is a key")
}

/// p2pkh of that key.
pub fn person(number: u8) -> Lock {
    Lock::KeyHash(numbered(number).public())
}

pub fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub fn id(text: &str) -> NamespaceId {
    text.parse().expect("an id")
}

/// Cheap names.
pub const PRICES: PriceFunction = PriceFunction {
    coeff: 4,
    base: 4,
    buckets: [6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    nonalpha_discount: 10,
    no_vowel_discount: 10,
};

impl Rehearsal {
    /// An empty chain with the rules of one epoch.
    pub fn new(epoch: u8) -> Self {
        let me = person(7);
        let params = Params {
            epochs: vec![historical(epoch, u32::MAX)],
            genesis_accounts: vec![(me.address(), TOKENS)],
            ..Params::regtest()
        };
        Self {
            state: State::genesis(&params),
            height: params.first_block,
            bns: Bns::new(params),
            me,
        }
    }

    /// The same with namespace `space` revealed, whose names live so many blocks times the epoch's factor.
    pub fn revealed(epoch: u8, lifetime: u32) -> Self {
        let mut chain = Self::new(epoch);
        let steps = [
            chain.namespace_preorder("space"),
            Operation::namespace_reveal(&id("space"), chain.me.address(), lifetime, PRICES, 1),
        ];
        for step in steps {
            chain.must(&step);
        }
        chain
    }

    /// The same with the namespace opened.
    pub fn open(epoch: u8) -> Self {
        let mut chain = Self::revealed(epoch, 1_000);
        chain.must(&Operation::namespace_ready(
            &id("space"),
            chain.me.address(),
        ));
        chain
    }

    /// The same with `name.space` registered.
    pub fn registered(epoch: u8) -> Self {
        let mut chain = Self::open(epoch);
        chain.must(&chain.preorder("name.space"));
        chain.must(&chain.register("name.space"));
        chain
    }

    pub fn quoted(&self) -> ConsensusHash {
        let Ok(found) = self.state.consensus_hash(self.height - 1);
        found.unwrap_or(self.bns.params().initial_consensus_hash)
    }

    pub fn versions(&self) -> AddressVersions {
        self.bns.params().addresses
    }

    /// More than enough, burnt.
    pub fn burn(&self) -> Fee {
        Fee {
            to: self.bns.params().burn_address,
            amount: Amount::from_sat(5_000_000_000),
        }
    }

    pub fn preorder(&self, text: &str) -> Operation {
        self.preorder_of(text, &self.me)
    }

    /// A preorder by somebody for himself.
    pub fn preorder_of(&self, text: &str, sender: &Lock) -> Operation {
        let owner = (sender.address(), self.versions());
        let script = sender.script();
        Operation::name_preorder(
            &name(text),
            &script,
            owner,
            self.quoted(),
            None,
            self.burn(),
        )
    }

    pub fn register(&self, text: &str) -> Operation {
        Operation::name_register(&name(text), self.me.address(), None)
    }

    pub fn namespace_preorder(&self, text: &str) -> Operation {
        let epoch = self.bns.params().epoch(self.height);
        let tokens = epoch
            .features
            .stacks_buy_namespaces
            .then_some(NAMESPACE_TOKENS);
        self.namespace_preorder_for(text, tokens, self.burn())
    }

    pub fn namespace_preorder_for(&self, text: &str, tokens: Option<u64>, burn: Fee) -> Operation {
        let revealer = (self.me.address(), self.versions());
        let script = self.me.script();
        Operation::namespace_preorder(&id(text), &script, revealer, self.quoted(), tokens, burn)
    }

    /// An operation in a transaction of somebody, signed as far as rules look.
    pub fn sent(&self, sender: &Lock, operation: &Operation) -> VirtualTransaction {
        let script = sender.script();
        let coin = Coin {
            outpoint: OutPoint::null(),
            output: TxOut {
                value: Amount::from_sat(WORTH),
                script_pubkey: script.clone(),
            },
            input_size: sender.input_size(),
        };
        let funding = Funding {
            sender: &script,
            coins: &[coin],
            change: &script,
            rate: FeeRate::from_sat_per_vb_u32(10),
        };
        let unsigned = operation.build(*b"id", &funding).expect("enough");
        let mut transaction = unsigned.transaction;
        for input in &mut transaction.input {
            input.script_sig = sender.placeholder();
        }
        candidate(transaction, unsigned.prevouts)
    }

    /// What the rules would say of a block with these transactions, and what they say when it comes: the same.
    pub fn connect(&mut self, mut block: Vec<VirtualTransaction>) -> Vec<Option<Reject>> {
        for (vtxindex, transaction) in (1..).zip(&mut block) {
            transaction.vtxindex = vtxindex;
        }
        let blocks = [block];
        let (tip, next) = (self.height - 1, self.height);
        let Ok(forecasts) = forecast(&self.bns, &self.state, tip, next, &blocks);
        let forecast: Vec<_> = forecasts.into_iter().map(|one| one.outcome.err()).collect();
        let Ok(outcome) = connect_block(&self.bns, next, &blocks[0], &self.state);
        let decisions = outcome.decisions.iter();
        let decided: Vec<_> = decisions
            .map(|located| match &located.item {
                Decision::Accepted(_) => None,
                Decision::Rejected(reject) | Decision::Unparseable(reject) => Some(*reject),
            })
            .collect();
        assert_eq!(forecast, decided, "the forecast was wrong");
        self.state.connect(next, &outcome.changes, outcome.snapshot);
        self.height += 1;
        decided
    }

    /// What becomes of an operation of somebody in the next block.
    pub fn does_as(&mut self, sender: &Lock, operation: &Operation) -> Option<Reject> {
        let transaction = self.sent(sender, operation);
        let verdicts = self.connect(vec![transaction]);
        *verdicts.first().expect("an operation")
    }

    pub fn does(&mut self, operation: &Operation) -> Option<Reject> {
        let me = self.me.clone();
        self.does_as(&me, operation)
    }

    /// What has to be accepted for the story to go on.
    pub fn must(&mut self, operation: &Operation) {
        assert_eq!(self.does(operation), None, "{:?}", operation.payload());
    }

    /// So many blocks without operations.
    pub fn rest(&mut self, blocks: u32) {
        for _ in 0..blocks {
            self.connect(Vec::new());
        }
    }
}

/// A transaction as the rules get it; its place in the block is given when it is connected.
pub fn candidate(transaction: Transaction, prevouts: Vec<TxOut>) -> VirtualTransaction {
    VirtualTransaction {
        vtxindex: 0,
        txid: transaction.compute_txid(),
        transaction,
        prevouts,
    }
}
