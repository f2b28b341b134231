//! Payload bytes: what an operation says on chain (wf §6). Parses and builds, never judges.

use super::name::{Name, NamespaceId};
use super::price::PriceFunction;
use crate::hash::{ConsensusHash, NameHash128, PreorderHash, UpdateHash, ZonefileHash};

/// Tokens that a name preorder burns (wf §6, E4+).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBurn {
    /// µSTX.
    pub amount: u64,
    /// Token type without its NUL padding, at most 19 bytes; `STACKS`.
    pub token_type: Vec<u8>,
}

/// What the `OP_RETURN` of an operation says after the magic bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// `?`
    NamePreorder {
        /// Commitment to name, sender and owner.
        preorder_hash: PreorderHash,
        /// A recent consensus hash.
        consensus_hash: ConsensusHash,
        /// Tokens instead of bitcoin.
        tokens: Option<TokenBurn>,
    },
    /// `:`, with fewer than four outputs a registration, else a renewal.
    NameRegistration {
        /// The name.
        name: Name,
        /// Zone file hash of the long form.
        value_hash: Option<ZonefileHash>,
        /// Token field of the longest form.
        tokens: Option<u64>,
    },
    /// `+`
    NameUpdate {
        /// Commitment to name and consensus hash.
        update_hash: UpdateHash,
        /// The new zone file hash.
        value_hash: ZonefileHash,
    },
    /// `>`
    NameTransfer {
        /// Whether the zone file hash stays.
        keep_data: bool,
        /// Which name.
        name_hash128: NameHash128,
        /// A recent consensus hash.
        consensus_hash: ConsensusHash,
    },
    /// `~`
    NameRevoke {
        /// The name.
        name: Name,
    },
    /// `;`
    NameImport {
        /// The name.
        name: Name,
    },
    /// `*`
    NamespacePreorder {
        /// Commitment to id, sender and revealer.
        preorder_hash: PreorderHash,
        /// A recent consensus hash.
        consensus_hash: ConsensusHash,
        /// µSTX, from epoch 4 on.
        tokens: Option<u64>,
    },
    /// `&`
    NamespaceReveal {
        /// Lifetime of names in blocks, `u32::MAX` for ever.
        lifetime: u32,
        /// Price function.
        price: PriceFunction,
        /// 1, 2 or 3.
        version: u16,
        /// The id.
        namespace_id: NamespaceId,
    },
    /// `!`
    NamespaceReady {
        /// The id.
        namespace_id: NamespaceId,
    },
    /// `#`
    Announce {
        /// `H160` of the message.
        message_hash: ZonefileHash,
    },
    /// `$`
    TokenTransfer {
        /// A recent consensus hash.
        consensus_hash: ConsensusHash,
        /// Token type without its NUL padding.
        token_type: Vec<u8>,
        /// µSTX.
        amount: u64,
        /// Free bytes.
        scratch_area: Vec<u8>,
    },
}
