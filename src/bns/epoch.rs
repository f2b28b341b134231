//! Constants by height: an epoch begins after the last block of the one before (sm §8).

use serde::Deserialize;

/// Rules that begin with an epoch (sm §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Features {
    /// Names may belong to p2sh addresses.
    pub multisig: bool,
    /// A registration may carry a zone file hash.
    pub register_with_value_hash: bool,
    /// A renewal may also transfer and carry a zone file hash.
    pub renew_transfer_update: bool,
    /// Version 2 namespaces, whose fees go to their creator for a while.
    pub pay_to_creator: bool,
    /// Version 3 namespaces, whose names are paid in tokens.
    pub namespace_pay_with_stacks: bool,
    /// Namespaces are bought with tokens, and only so.
    pub stacks_buy_namespaces: bool,
    /// Names can be paid for with tokens.
    pub nameops_cost_tokens: bool,
    /// Name preorders expire (quirk NO-PREORDER-EXPIRY).
    pub enforce_name_preorder_expiry: bool,
    /// Tokens can be sent.
    pub token_transfer: bool,
    /// A token transfer may quote 16 zero bytes instead of a consensus hash (sm §6.12 rule 3).
    pub zero_consensus_hash_transfer: bool,
}

/// How name prices are computed (sm §7.1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PriceArithmetic {
    /// IEEE-754 doubles times a factor.
    Double {
        /// 1.0 or 0.1.
        multiplier: f64,
    },
    /// Unbounded integers over a divisor.
    Integer {
        /// 10, for prices in satoshi.
        divisor: u64,
    },
}

/// What namespaces cost, by length of the id; the last entry holds for all longer ones (sm §7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespacePrices {
    /// In satoshi.
    Satoshi(Vec<u64>),
    /// In µSTX; there is no price in satoshi (quirk FREE-REVEAL).
    MicroStacks(Vec<u64>),
}

/// A range of heights with its constants.
#[derive(Debug, Clone, PartialEq)]
pub struct Epoch {
    /// Its last block; `u32::MAX` for an open end.
    pub end_block: u32,
    /// Factor on the lifetime of names.
    pub namespace_lifetime_multiplier: u32,
    /// Blocks after the end of a lifetime in which only a renewal is allowed.
    pub namespace_lifetime_grace_period: u32,
    /// Blocks after the reveal during which fees of a version 2 namespace go to its creator.
    pub namespace_receive_fees_period: u32,
    /// How name prices are computed.
    pub price_arithmetic: PriceArithmetic,
    /// What namespaces cost.
    pub namespace_prices: NamespacePrices,
    /// Which rules hold.
    pub features: Features,
}

/// The epochs of the historical main network (sm §8).
pub fn mainnet() -> Vec<Epoch> {
    let last_blocks = [436_650, 488_500, 547_921, 599_866, 613_249, u32::MAX];
    (1..)
        .zip(last_blocks)
        .map(|(number, end_block)| historical(number, end_block))
        .collect()
}

/// The epoch with the rules of the main network's epoch `number` (1 to 6), ending at `end_block`.
pub fn historical(number: u8, end_block: u32) -> Epoch {
    let (second, third, fourth) = (number >= 2, number >= 3, number >= 4);
    let price_arithmetic = match number {
        1 | 2 => PriceArithmetic::Double { multiplier: 1.0 },
        3 => PriceArithmetic::Double { multiplier: 0.1 },
        _ => PriceArithmetic::Integer { divisor: 10 },
    };
    let namespace_prices = match number {
        1 | 2 => NamespacePrices::Satoshi(by_length(40_000_000)),
        3 => NamespacePrices::Satoshi(by_length(4_000_000)),
        _ => NamespacePrices::MicroStacks(by_length(640_000_000)),
    };
    Epoch {
        end_block,
        namespace_lifetime_multiplier: if second { 2 } else { 1 },
        namespace_lifetime_grace_period: if third { 5_000 } else { 0 },
        namespace_receive_fees_period: if third { 52_595 } else { 0 },
        price_arithmetic,
        namespace_prices,
        features: Features {
            multisig: second,
            register_with_value_hash: third,
            renew_transfer_update: third,
            pay_to_creator: third,
            namespace_pay_with_stacks: fourth,
            stacks_buy_namespaces: fourth,
            nameops_cost_tokens: fourth,
            enforce_name_preorder_expiry: fourth,
            token_transfer: fourth,
            zero_consensus_hash_transfer: number >= 5,
        },
    }
}

/// Prices by id length from that of 8 or more characters (sm §7.2).
fn by_length(eight: u64) -> Vec<u64> {
    prices_by_length([1_000, 100, 10, 1].map(|factor| eight.saturating_mul(factor)))
}

/// Prices by id length 0 to 8 from those of 1, 2 or 3, 4 to 7, and 8 or more characters; no id has length 0.
pub(super) fn prices_by_length(prices: [u64; 4]) -> Vec<u64> {
    let [one, two, four, eight] = prices;
    vec![u64::MAX, one, two, two, four, four, four, four, eight]
}
