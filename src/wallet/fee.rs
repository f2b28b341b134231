//! What miners get: the node's estimate, bounded, and checked against what is spent.

use bitcoin::{Amount, FeeRate};

use super::words::btc;

/// When the node has no estimate, which is always so on an embedded chain.
pub(crate) const FALLBACK: FeeRate = FeeRate::from_sat_per_vb_u32(5);
/// No estimate is followed beyond this, unless somebody asks for more.
pub const CAP: FeeRate = FeeRate::from_sat_per_vb_u32(200);
/// How many blocks a transaction may take: consensus hashes can be quoted for 24.
pub(crate) const TARGET: u16 = 6;
/// A fee may be one part in so many of what is spent.
pub(crate) const PART: u64 = 10;

/// How the fee rate is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeePolicy {
    /// A rate to use instead of the node's estimate.
    pub fixed: Option<FeeRate>,
    /// The highest estimate that is followed.
    pub cap: FeeRate,
    /// What to do about fees of more than a tenth of what is spent.
    pub high: HighFee,
}

/// What to do about a fee of more than a tenth of what is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HighFee {
    /// Refuse it.
    Refuse,
    /// Pay it.
    Pay,
}

/// A fee that nobody can want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the miner's fee of {} is more than a tenth of the {} that are spent: lower it with --fee-rate, pay from a larger coin, or insist with --allow-high-fee. Nothing was sent", btc(*.fee), btc(*.spent)
)]
pub struct TooHigh {
    /// The fee.
    pub fee: Amount,
    /// The worth of all inputs.
    pub spent: Amount,
}

impl FeePolicy {
    /// The rate to use, given the node's estimate.
    pub fn rate(&self, estimate: Option<FeeRate>) -> FeeRate {
        self.fixed.unwrap_or_else(|| {
            estimate
                .unwrap_or(FALLBACK)
                .clamp(FeeRate::BROADCAST_MIN, self.cap)
        })
    }

    /// Refuses a fee of more than a tenth of what is spent.
    pub fn check(&self, fee: Amount, spent: Amount) -> Result<(), TooHigh> {
        let high = fee.to_sat().saturating_mul(PART) > spent.to_sat();
        if high && self.high == HighFee::Refuse {
            return Err(TooHigh { fee, spent });
        }
        Ok(())
    }
}

/// A rate that replaces a transaction with this one: nodes want one satoshi per byte more (BIP 125 rule 4).
pub(crate) fn bumped(rate: FeeRate) -> FeeRate {
    let more = FeeRate::from_sat_per_kwu(rate.to_sat_per_kwu().saturating_add(500));
    let fifth = FeeRate::from_sat_per_kwu(rate.to_sat_per_kwu().saturating_mul(6) / 5);
    more.max(fifth)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: FeePolicy = FeePolicy {
        fixed: None,
        cap: CAP,
        high: HighFee::Refuse,
    };

    #[test]
    fn estimates_have_a_fallback_a_floor_and_a_cap() {
        assert_eq!(POLICY.rate(None), FALLBACK);
        assert_eq!(POLICY.rate(Some(FeeRate::ZERO)), FeeRate::BROADCAST_MIN);
        assert_eq!(POLICY.rate(Some(FeeRate::MAX)), CAP);
        let fixed = FeePolicy {
            fixed: FeeRate::from_sat_per_vb(300),
            ..POLICY
        };
        assert_eq!(fixed.rate(None), FeeRate::from_sat_per_vb_u32(300));
    }

    #[test]
    fn a_tenth_is_the_limit() {
        let (fee, spent) = (Amount::from_sat(1_001), Amount::from_sat(10_000));
        assert_eq!(POLICY.check(fee, spent), Err(TooHigh { fee, spent }));
        assert_eq!(POLICY.check(Amount::from_sat(1_000), spent), Ok(()));
        let insisting = FeePolicy {
            high: HighFee::Pay,
            ..POLICY
        };
        assert_eq!(insisting.check(fee, spent), Ok(()));
    }
}
