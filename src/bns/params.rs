//! The constants of a virtualchain, as data (sm §8, §9).

use super::address::{Address, AddressVersions};
use super::epoch::{self, Epoch, NamespacePrices};
use super::name::Name;
use crate::hash::ConsensusHash;

/// Everything in which networks and tests differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// The two bytes that an operation's `OP_RETURN` starts with.
    pub magic: [u8; 2],
    /// First height that belongs to the virtualchain.
    pub first_block: u32,
    /// Last height that belongs to it; `None` if it goes on. Operations above it are none (sm §9).
    pub last_block: Option<u32>,
    /// What the four heights before `first_block` hold: valid to quote, part of no hash (sm §1).
    pub initial_consensus_hash: ConsensusHash,
    /// How many blocks a quoted consensus hash may be old (sm §2, CHVALID).
    pub consensus_hash_lifetime: u32,
    /// Version bytes of addresses.
    pub addresses: AddressVersions,
    /// The address nobody can spend from, to which fees are paid (wf §4).
    pub burn_address: Address,
    /// How many live names a script may hold (sm §2, QUOTA).
    pub max_names_per_sender: usize,
    /// How many child keys may import besides the revealer's (sm §6.9).
    pub name_import_keyring_size: u32,
    /// Blocks after which a name preorder expires where epochs enforce it (sm §6.2 rule 7).
    pub name_preorder_expire: u32,
    /// Blocks from reveal to ready (sm §2, REVEALED).
    pub namespace_reveal_expire: u32,
    /// Least price of a name in satoshi, before the epoch's factor (sm §7.1).
    pub name_cost_unit_satoshis: u64,
    /// Names whose owners may announce (sm §6.11).
    pub announcers: Vec<Name>,
    /// Token accounts at the start, with their µSTX.
    pub genesis_accounts: Vec<(Address, u64)>,
    /// First height whose zone files carry subdomains.
    pub first_subdomain_block: u32,
    /// The epochs in order; the last one is open.
    pub epochs: Vec<Epoch>,
}

/// Consensus hash of the heights before the first block (sm §9).
const INITIAL_CONSENSUS_HASH: ConsensusHash = ConsensusHash([
    0x17, 0xac, 0x43, 0xc1, 0xd8, 0x54, 0x9c, 0x31, 0x81, 0xb2, 0x00, 0xf1, 0xbf, 0x97, 0xeb, 0x7d,
]);
/// How many heights before the first block hold it.
const INITIAL_HEIGHTS: u32 = 4;
/// The first block whose zone files the reference searched for subdomains on the main network.
const MAINNET_FIRST_SUBDOMAIN: u32 = 478_872;
/// The last block whose operations the final release of the reference took, before the names moved to another chain
/// (sm §9).
const MAINNET_END: u32 = 665_749;

impl Params {
    /// The historical main network, which ended (sm §9).
    pub fn mainnet() -> Self {
        Self {
            last_block: Some(MAINNET_END),
            ..Self::mainnet_continued()
        }
    }

    /// The rules of the main network without its end.
    pub(super) fn mainnet_continued() -> Self {
        let announcers = ["judecn.id", "muneeb.id", "shea256.id"];
        Self {
            magic: *b"id",
            first_block: 373_601,
            last_block: None,
            initial_consensus_hash: INITIAL_CONSENSUS_HASH,
            consensus_hash_lifetime: 24,
            addresses: AddressVersions::MAINNET,
            burn_address: Address::BURN,
            max_names_per_sender: 25,
            name_import_keyring_size: 300,
            name_preorder_expire: 144,
            namespace_reveal_expire: 52_595,
            name_cost_unit_satoshis: 100,
            announcers: announcers
                .iter()
                .filter_map(|name| name.parse().ok())
                .collect(),
            genesis_accounts: Vec::new(),
            first_subdomain_block: MAINNET_FIRST_SUBDOMAIN,
            epochs: epoch::mainnet(),
        }
    }

    /// The reference's test mode (sm §9), in which it ran its own tests; those runs began at several heights.
    pub fn test_mode(first_block: u32) -> Self {
        let mut params = Self {
            first_block,
            name_import_keyring_size: 5,
            namespace_reveal_expire: 144,
            first_subdomain_block: first_block,
            ..Self::mainnet_continued()
        };
        for epoch in params.epochs.iter_mut().take(2) {
            if let NamespacePrices::Satoshi(prices) = &mut epoch.namespace_prices
                && let Some(price) = prices.get_mut(1)
            {
                *price = 4_100_000_000;
            }
        }
        params
    }

    /// A regtest chain, also the embedded one: rules of the third epoch from the first block on, so that
    /// everything is paid in bitcoin.
    pub fn regtest() -> Self {
        Self {
            first_block: 1,
            addresses: AddressVersions::TESTNET,
            first_subdomain_block: 1,
            epochs: vec![epoch::historical(3, u32::MAX)],
            ..Self::mainnet_continued()
        }
    }

    /// The epoch of a height: the first whose last block is not below it (sm §8).
    pub fn epoch(&self, height: u32) -> &Epoch {
        let later = self.epochs.iter().find(|epoch| epoch.end_block >= height);
        later
            .or(self.epochs.last())
            .expect("a virtualchain has at least one epoch")
    }

    /// Whether `height` lies above the last block.
    pub fn is_after_end(&self, height: u32) -> bool {
        self.last_block.is_some_and(|last| height > last)
    }

    /// Whether `height` is one of those before the first block that hold the initial consensus hash.
    pub(super) fn is_pre_seeded(&self, height: u32) -> bool {
        height < self.first_block && self.first_block - height <= INITIAL_HEIGHTS
    }
}
