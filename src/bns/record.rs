//! The rows of the state (sm §1).
//!
//! What can be derived is not stored: a name's `name_hash128` and `namespace_id` follow from its name, its
//! address from its sender. One field is added to the reference's: `update_consensus_hash` keeps what a
//! transfer would otherwise look up in the name's history (quirk TRANSFER-CH).

use std::ops::RangeInclusive;

use bitcoin::Txid;
use bitcoin::hashes::Hash as _;

use super::address::Address;
use super::life::Life;
use super::name::{Name, NamespaceId};
use super::price::PriceFunction;
use crate::hash::{ConsensusHash, PreorderHash, ZonefileHash};

pub use super::price::TokenUnits;

/// Raw bytes of a scriptPubKey.
pub type Script = Vec<u8>;
/// A public key in the encoding in which it was pushed on chain (33 or 65 bytes).
pub type PublicKey = Vec<u8>;

/// Which operation last touched a name; its text is the record's `op` (sm §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameOp {
    /// `:`
    Register,
    /// `::`
    Renew,
    /// `+`
    Update,
    /// `>>`
    TransferKeep,
    /// `>~`
    TransferDrop,
    /// `~`
    Revoke,
    /// `;`
    Import,
}

impl NameOp {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 7] = [
        Self::Register,
        Self::Renew,
        Self::Update,
        Self::TransferKeep,
        Self::TransferDrop,
        Self::Revoke,
        Self::Import,
    ];

    /// The reference's text for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Register => ":",
            Self::Renew => "::",
            Self::Update => "+",
            Self::TransferKeep => ">>",
            Self::TransferDrop => ">~",
            Self::Revoke => "~",
            Self::Import => ";",
        }
    }
}

/// What was paid for a name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fee {
    /// Satoshi burnt, of a name that was registered.
    Satoshi(u64),
    /// The price or renewal fee of an imported name, for ever a double (quirk FLOAT-FEE).
    Float(f64),
}

/// A name, alive or not: one row for every name that was ever registered or imported.
#[derive(Debug, Clone, PartialEq)]
pub struct NameRecord {
    /// The name.
    pub name: Name,
    /// The commitment that was consumed, or the one an import computes.
    pub preorder_hash: PreorderHash,
    /// Hash of the zone file.
    pub value_hash: Option<ZonefileHash>,
    /// Script of the owner.
    pub sender: Script,
    /// Key that the inputs of the registration or import revealed; cleared by a transfer (quirk REG-PUBKEY).
    pub sender_pubkey: Option<PublicKey>,
    /// Height of the first preorder or import ever; survives re-registration.
    pub block_number: u32,
    /// Height of the preorder of this life.
    pub preorder_block_number: u32,
    /// First block of the namespace's row when the name was created.
    pub namespace_block_number: u32,
    /// Height at which this life began.
    pub first_registered: u32,
    /// Height of the last registration or renewal.
    pub last_renewed: u32,
    /// Whether the owner revoked it.
    pub revoked: bool,
    /// The last operation.
    pub op: NameOp,
    /// Transaction of the last operation.
    pub txid: Txid,
    /// Its place in its block.
    pub vtxindex: u32,
    /// What was paid.
    pub op_fee: Fee,
    /// Who imported it: script; set exactly for imported names.
    pub importer: Option<Script>,
    /// Address of the importer's public key.
    pub importer_address: Option<Address>,
    /// Consensus hash that the last update or transfer carries.
    pub consensus_hash: Option<ConsensusHash>,
    /// Consensus hash of the last update of this life.
    pub update_consensus_hash: Option<ConsensusHash>,
    /// Tokens (µSTX) paid.
    pub token_fee: u64,
}

impl NameRecord {
    /// The owner's address; names only ever belong to scripts that have one (wf §4).
    pub fn address(&self) -> Option<Address> {
        Address::of_script(&self.sender)
    }

    /// What of it says how the name stands at a height.
    pub fn life(&self) -> Life {
        Life {
            first_registered: self.first_registered,
            last_renewed: self.last_renewed,
            revoked: self.revoked,
        }
    }

    /// Whether the name was created by an import (`last_creation_op` is `;`).
    pub fn is_imported(&self) -> bool {
        self.importer.is_some()
    }
}

/// How far a namespace has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceOp {
    /// `&`: its rules are public, names can be imported.
    Reveal,
    /// `!`: names can be registered.
    Ready,
}

/// A namespace: one row for every id that was ever revealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceRecord {
    /// Its id.
    pub namespace_id: NamespaceId,
    /// The commitment that was consumed.
    pub preorder_hash: PreorderHash,
    /// 1: fees are burnt; 2: paid to the creator for a while; 3: paid in tokens.
    pub version: u16,
    /// Script of the payer of preorder and reveal; of the revealer once ready (quirk READY-SENDER).
    pub sender: Script,
    /// Key of the payer.
    pub sender_pubkey: Option<PublicKey>,
    /// Address of the payer, also once ready.
    pub address: Address,
    /// Script of the revealer, who imports names and readies.
    pub recipient: Script,
    /// Address of the revealer.
    pub recipient_address: Address,
    /// Height of the first preorder ever.
    pub block_number: u32,
    /// Height of the reveal.
    pub reveal_block: u32,
    /// Height of the ready, 0 until then.
    pub ready_block: u32,
    /// The last operation.
    pub op: NamespaceOp,
    /// Satoshi burnt by the preorder.
    pub op_fee: u64,
    /// Tokens (µSTX) burnt by the preorder.
    pub token_fee: u64,
    /// Transaction of the last operation.
    pub txid: Txid,
    /// Its place in its block.
    pub vtxindex: u32,
    /// Blocks that a name lives, before the epoch's multiplier.
    pub lifetime: u32,
    /// The price function (sm §7.1).
    pub price: PriceFunction,
}

/// Which kind of commitment a preorder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PreorderKind {
    /// `?`
    Name,
    /// `*`
    Namespace,
}

/// An unspent commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preorder {
    /// Name or namespace.
    pub kind: PreorderKind,
    /// The commitment.
    pub preorder_hash: PreorderHash,
    /// The consensus hash that it quoted.
    pub consensus_hash: ConsensusHash,
    /// Script of the sender.
    pub sender: Script,
    /// Key of the sender.
    pub sender_pubkey: Option<PublicKey>,
    /// Address of the sender.
    pub address: Address,
    /// Height of the preorder.
    pub block_number: u32,
    /// Transaction.
    pub txid: Txid,
    /// Its place in its block.
    pub vtxindex: u32,
    /// Satoshi burnt.
    pub op_fee: u64,
    /// Where they went.
    pub burn_address: Address,
    /// Tokens (µSTX) burnt.
    pub token_fee: u64,
    /// What it was paid in.
    pub token_units: TokenUnits,
}

impl Preorder {
    /// The key of its row (sm §1).
    pub fn key(&self) -> PreorderKey {
        PreorderKey {
            preorder_hash: self.preorder_hash,
            block_number: self.block_number,
            txid: self.txid,
        }
    }
}

/// Key of a preorder row; sorts by hash, height, then txid (sm §6.2 rule 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PreorderKey {
    /// The commitment.
    pub preorder_hash: PreorderHash,
    /// Height of the preorder.
    pub block_number: u32,
    /// Transaction.
    pub txid: Txid,
}

impl PreorderKey {
    /// The keys of every row with this commitment.
    pub(super) fn all_of(preorder_hash: PreorderHash) -> RangeInclusive<Self> {
        let key = |block_number, byte| Self {
            preorder_hash,
            block_number,
            txid: Txid::from_byte_array([byte; 32]),
        };
        key(0, 0)..=key(u32::MAX, 0xff)
    }
}

/// Who may import names into a namespace: addresses derived once from the revealer's key (sm §6.9 rule 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportKeychain {
    /// The namespace it belongs to; never invalidated (quirk KEYCHAIN).
    pub namespace_id: NamespaceId,
    /// The revealer's key, from which the others are derived.
    pub pubkey: PublicKey,
    /// `H160` of every key that may import.
    pub addresses: Vec<[u8; 20]>,
}

/// A token account (sm §1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Who holds it.
    pub address: Address,
    /// µSTX ever credited.
    pub credit_value: u128,
    /// µSTX ever debited.
    pub debit_value: u128,
    /// First height at which tokens may be sent.
    pub lock_transfer_block_id: u32,
    /// Whether others may send to it.
    pub receive_whitelisted: bool,
}

impl Account {
    /// An empty account: unlocked, and open to transfers (sm §6.12).
    pub fn new(address: Address) -> Self {
        Self {
            address,
            credit_value: 0,
            debit_value: 0,
            lock_transfer_block_id: 0,
            receive_whitelisted: true,
        }
    }

    /// What is there to spend.
    pub fn balance(&self) -> u128 {
        self.credit_value.saturating_sub(self.debit_value)
    }
}
