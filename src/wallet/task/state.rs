//! What the engine asks of the state that the rules look at, and the answers.
//!
//! [`ChainState`] is the whole interface: a running daemon answers it over its control socket, and a program that
//! holds the state itself answers it in process. Everything here is public data and no key ever goes there. The
//! types are also the payloads of the control protocol, hence the serde attributes; a field keeps its name.

use std::fmt;

use bitcoin::hashes::sha256d;
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut, Txid};
use serde::{Deserialize, Serialize};

use crate::bns::address::{Address, AddressVersions};
use crate::bns::network::Network;
use crate::bns::{Name, NamespaceId, Reject};
use crate::hash::{ConsensusHash, PreorderHash, ZonefileHash};
use crate::wallet::hex;
use crate::wallet::operation::Fee;
use crate::wallet::words;

/// Answers questions about the state as the next block will find it.
pub trait ChainState {
    /// Constants and tip of the followed chain.
    fn chain(&self) -> Result<ChainFacts, StateError>;

    /// Owner and price of a name.
    fn name(&self, name: &Name) -> Result<NameFacts, StateError>;

    /// Revealer and price of a namespace.
    fn namespace(&self, id: &NamespaceId) -> Result<NamespaceFacts, StateError>;

    /// Whether an unspent preorder commits to this.
    fn is_preordered(&self, hash: PreorderHash) -> Result<bool, StateError>;

    /// What the rules would say if these were the next blocks. `about` is the name or namespace at whose later
    /// heights another verdict is looked for.
    fn judge(&self, blocks: Vec<Vec<Proposed>>, about: &str) -> Result<Judgement, StateError>;

    /// Whether the archive has the zone file with this hash.
    fn has_zonefile(&self, hash: ZonefileHash) -> Result<bool, StateError>;

    /// What became of transactions that are in indexed blocks.
    fn operations(&self, search: Search) -> Result<Vec<IndexedOperation>, StateError>;

    /// Puts a zone file into the archive.
    fn publish(&self, zonefile: &[u8]) -> Result<(), StateError>;
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The question makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Whoever was asked cannot answer.
    #[error("{0}")]
    Trouble(String),
}

/// What somebody who builds operations has to know of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainFacts {
    /// Which network it is.
    pub network: Network,
    /// The two bytes that operations start with.
    #[serde(with = "hex::bytes")]
    pub magic: [u8; 2],
    /// The first block of the virtualchain.
    #[serde(default)]
    pub first_block: u32,
    /// Version byte of p2pkh addresses.
    pub p2pkh_version: u8,
    /// Version byte of p2sh addresses.
    pub p2sh_version: u8,
    /// Whether the next block takes zone file hashes in registrations.
    pub register_with_value_hash: bool,
    /// Whether the next block takes tokens for names, which changes the form of renewals.
    pub names_take_tokens: bool,
    /// Height of the indexed tip; `null` before the first block.
    pub height: Option<u32>,
    /// Header time of that block, seconds since 1970.
    #[serde(default)]
    pub block_time: Option<u32>,
    /// Height of the best block that the source knows.
    pub best_height: u32,
    /// Whether the index is at the tip of its source, or at the end of its network.
    pub synced: bool,
    /// The last block of the network; `null` if it goes on.
    #[serde(default)]
    pub last_block: Option<u32>,
    /// The last block of the network, if no later one can take an operation any more.
    #[serde(default)]
    pub ended_at: Option<u32>,
    /// What a name on this network means, and to whom; one sentence without a full stop.
    #[serde(default)]
    pub network_meaning: String,
    /// The consensus hash to quote.
    pub consensus_hash: ConsensusHash,
    /// For how many blocks it can be quoted.
    pub consensus_hash_lifetime: u32,
    /// All that can be quoted in the next block, newest first: one a height, each for one block less.
    pub quotable: Vec<ConsensusHash>,
    /// How many blocks are on top of an indexed one.
    pub confirmations: u32,
}

impl ChainFacts {
    /// The version bytes of its addresses.
    pub fn versions(&self) -> AddressVersions {
        AddressVersions {
            p2pkh: self.p2pkh_version,
            p2sh: self.p2sh_version,
        }
    }
}

/// What the engine has to know of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameFacts {
    /// Whether it can be used: neither free, nor revoked, nor in its grace period.
    pub is_registered: bool,
    /// Script of the owner, also of a name that is free again.
    pub owner: Option<ScriptBuf>,
    /// Hash of its zone file.
    pub zonefile_hash: Option<ZonefileHash>,
    /// First block of its grace period; `None` if that never comes.
    pub grace_start: Option<BlockToCome>,
    /// First block in which somebody else can register it; `None` if that never comes.
    pub free_from: Option<BlockToCome>,
    /// What it costs; `None` without a namespace that was revealed.
    pub price: Option<Price>,
}

/// A block that is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockToCome {
    /// Its height.
    pub height: u32,
    /// The date at which it is expected (RFC 3339).
    pub date: Option<String>,
}

impl fmt::Display for BlockToCome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words::block_to_come(self.height, self.date.as_deref()))
    }
}

/// What the engine has to know of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// How far it came.
    pub stage: Stage,
    /// Blocks that a name lives by the rules in force; `None` for ever, or before the reveal.
    pub lifetime: Option<u64>,
    /// Who imports names and opens it; `None` if it was never revealed.
    pub revealer: Option<Address>,
    /// What it costs.
    pub price: Price,
}

/// How far a namespace came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Whoever pays for it can have it.
    Free,
    /// Somebody imports names into it.
    Revealed {
        /// First block in which it is free again, if nobody opens it before.
        lapses: Option<BlockToCome>,
    },
    /// Everybody can register names in it.
    Open {
        /// The block since which, with its time.
        since: Option<String>,
    },
}

/// A price in the next block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// `None` where bitcoin is not taken, or no amount would do.
    pub amount: Option<Amount>,
    /// Whom it is paid to.
    pub to: Address,
}

impl Price {
    /// What is to be paid in bitcoin, if that is possible.
    pub fn fee(&self) -> Option<Fee> {
        self.amount.map(|amount| Fee {
            to: self.to,
            amount,
        })
    }
}

/// A transaction with what it spends, to be judged. Its signatures may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposed {
    /// The transaction.
    #[serde(with = "hex::Hex")]
    pub transaction: Transaction,
    /// The output that each input spends.
    pub prevouts: Vec<Prevout>,
}

/// An output that is spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prevout {
    /// Its worth.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub satoshi: Amount,
    /// Its script.
    pub script: ScriptBuf,
}

impl From<&TxOut> for Prevout {
    fn from(output: &TxOut) -> Self {
        Self {
            satoshi: output.value,
            script: output.script_pubkey.clone(),
        }
    }
}

impl From<Prevout> for TxOut {
    fn from(prevout: Prevout) -> Self {
        Self {
            value: prevout.satoshi,
            script_pubkey: prevout.script,
        }
    }
}

impl Proposed {
    /// A transaction and the outputs that its inputs spend, in input order.
    pub fn new(transaction: Transaction, prevouts: &[TxOut]) -> Self {
        Self {
            transaction,
            prevouts: prevouts.iter().map(Prevout::from).collect(),
        }
    }
}

/// What would become of transactions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Height of the first of the blocks.
    pub height: u32,
    /// One for each transaction that is an operation, in order.
    pub verdicts: Vec<Verdict>,
    /// First height from which on all of them would be accepted, if not now and if one was found.
    pub passes_at: Option<u32>,
    /// The date at which that block is expected (RFC 3339).
    #[serde(default)]
    pub passes_at_estimated: Option<String>,
}

impl Judgement {
    /// The first verdict that refuses, with its rule.
    pub fn refusal(&self) -> Option<(&Verdict, Reject)> {
        let mut verdicts = self.verdicts.iter();
        verdicts.find_map(|verdict| Some((verdict, verdict.reject?)))
    }
}

/// What would become of an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Height of its block.
    pub height: u32,
    /// The date at which that block is expected (RFC 3339).
    #[serde(default)]
    pub height_estimated: Option<String>,
    /// In the reference's words.
    pub operation: String,
    /// The rule that would refuse it; `null` if it would be accepted.
    pub reject: Option<Reject>,
    /// That rule in words.
    pub reason: Option<String>,
    /// The text that would enter the ops hash.
    pub text: Option<String>,
}

/// Which transactions are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Their hashes without signatures, which are the same whoever signs.
    pub normalized: Vec<sha256d::Hash>,
    /// First height to look at.
    pub from: u32,
}

/// An operation in an indexed block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedOperation {
    /// Its transaction.
    pub txid: Txid,
    /// Its hash without signatures.
    pub normalized: sha256d::Hash,
    /// Its height.
    pub height: u32,
    /// Time of its block (RFC 3339).
    #[serde(default)]
    pub time: Option<String>,
    /// Consensus hash of that height; `null` for a block that the rules do not cover.
    pub consensus_hash: Option<ConsensusHash>,
    /// The rule that refused it, in words; `null` if it was accepted.
    pub reason: Option<String>,
}
