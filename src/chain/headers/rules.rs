//! The rules for block headers: what follows what, with how much work, and when.
//!
//! They are those of Bitcoin Core that need nothing but headers (`CheckProofOfWork`, `GetNextWorkRequired`,
//! `ContextualCheckBlockHeader`), in the order of the checks of a log. Not checked, because it needs blocks: the
//! signatures of a signet and the versions that soft forks demand.
//!
//! This module is pure: headers in, a verdict out.

use bitcoin::block::Header;
use bitcoin::consensus::Params;
use bitcoin::constants::genesis_block;
use bitcoin::{BlockHash, CompactTarget, Network, Work};

use crate::chain::header::{self, HeaderError};

/// How many earlier blocks the median time is taken over (`nMedianTimeSpan`).
const MEDIAN_BLOCKS: u32 = 11;
/// How far ahead of the clock a block may be, in seconds (`MAX_FUTURE_BLOCK_TIME`).
const AHEAD: u64 = 2 * 60 * 60;
/// How far before the last block of a period the first of the next may be, in seconds (BIP 94, `MAX_TIMEWARP`).
const TIMEWARP: u32 = 600;
/// `nMinimumChainWork` of the main network in Bitcoin Core 31.0.
const MAIN_NETWORK_WORK: u128 = 0x1_1287_50f8_2f4c_3661_53a3_a030;

/// Why a header is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// The header below it is not known, or is not the one before it in its run.
    #[error("block header {0} is on top of none that is known")]
    Unlinked(BlockHash),
    /// Its target is impossible on this network, or its hash does not meet it.
    #[error("block header {height}: {error}")]
    Work {
        /// Where it would stand.
        height: u32,
        /// What is wrong with its work.
        error: HeaderError,
    },
    /// Its target is not the one that its height asks for.
    #[error("block header {height} has the target {found:#010x} instead of {wanted:#010x}")]
    Target {
        /// Where it would stand.
        height: u32,
        /// Its compact target.
        found: u32,
        /// The compact target that the rules ask for.
        wanted: u32,
    },
    /// Its time is not above the median of those below it.
    #[error("the time of block header {0} is not above the median of those below it")]
    EarlyTime(u32),
    /// Its time is more than two hours ahead of the clock.
    #[error("the time of block header {0} is more than two hours ahead of this machine's clock")]
    LateTime(u32),
    /// The chain would be longer than any can be.
    #[error("block header {0} is higher than any chain reaches")]
    Height(u32),
    /// What is known cannot be read or written. Its cause is logged.
    #[error("block headers cannot be read or written: look at the disk of the data directory")]
    Disk,
}

impl HeaderFault {
    /// Whether who sent it is to blame, and not this machine's clock or disk.
    pub(crate) fn blames_sender(&self) -> bool {
        !matches!(self, Self::LateTime(_) | Self::Disk)
    }
}

/// The rules of one network.
#[derive(Debug, Clone)]
pub struct Rules {
    params: Params,
    genesis: Header,
    minimum_work: Work,
}

/// The headers below the one that is checked, by height.
pub(super) type Below<'a> = &'a dyn Fn(u32) -> Option<Header>;

impl Rules {
    /// The rules of `network`.
    pub fn of(network: Network) -> Self {
        let work: u128 = match network {
            Network::Bitcoin => MAIN_NETWORK_WORK,
            _ => 0,
        };
        let mut bytes = [0; 32];
        bytes[16..].copy_from_slice(&work.to_be_bytes());
        Self {
            params: Params::new(network),
            genesis: genesis_block(network).header,
            minimum_work: Work::from_be_bytes(bytes),
        }
    }

    /// The least work in all that the best chain has to have.
    pub(super) fn minimum_work(&self) -> Work {
        self.minimum_work
    }

    /// The first header of every chain.
    pub(super) fn genesis(&self) -> Header {
        self.genesis
    }

    /// The hash of a header that may stand at `height`, on top of `below`; `now` is in seconds since 1970.
    pub(super) fn check(
        &self,
        header: &Header,
        height: u32,
        below: Below<'_>,
        now: u64,
    ) -> Result<BlockHash, HeaderFault> {
        let hash = self.check_work(header, height)?;
        let wanted = self.target_at(header, height, below)?;
        if header.bits != wanted {
            return Err(HeaderFault::Target {
                height,
                found: header.bits.to_consensus(),
                wanted: wanted.to_consensus(),
            });
        }
        self.check_time(header, height, below, now)?;
        Ok(hash)
    }

    /// The hash of a header that has the work that it claims.
    pub(super) fn check_work(
        &self,
        header: &Header,
        height: u32,
    ) -> Result<BlockHash, HeaderFault> {
        header::check_work(header, self.params.max_attainable_target)
            .map_err(|error| HeaderFault::Work { height, error })
    }

    /// `GetNextWorkRequired`.
    fn target_at(
        &self,
        header: &Header,
        height: u32,
        below: Below<'_>,
    ) -> Result<CompactTarget, HeaderFault> {
        let last = read(below, height, 1)?;
        if self.params.no_pow_retargeting {
            return Ok(last.bits);
        }
        let period = self.period();
        if height.is_multiple_of(period) {
            let first = read(below, height, period)?;
            let from = if self.begins_with_real_target() {
                first.bits
            } else {
                last.bits
            };
            let took = u64::from(last.time.saturating_sub(first.time));
            return Ok(CompactTarget::from_next_work_required(
                from,
                took,
                &self.params,
            ));
        }
        if !self.params.allow_min_difficulty_blocks {
            return Ok(last.bits);
        }
        let easy_after = u64::from(last.time) + 2 * self.params.pow_target_spacing;
        if u64::from(header.time) > easy_after {
            return Ok(self.easiest());
        }
        self.last_real_target(height, below)
    }

    /// The target of the newest block that did not use the exception for slow blocks of test networks.
    fn last_real_target(
        &self,
        height: u32,
        below: Below<'_>,
    ) -> Result<CompactTarget, HeaderFault> {
        let mut back = 1;
        loop {
            let earlier = read(below, height, back)?;
            let is_first = (height - back).is_multiple_of(self.period());
            if is_first || earlier.bits != self.easiest() {
                return Ok(earlier.bits);
            }
            back += 1;
        }
    }

    fn check_time(
        &self,
        header: &Header,
        height: u32,
        below: Below<'_>,
        now: u64,
    ) -> Result<(), HeaderFault> {
        let mut times = Vec::with_capacity(MEDIAN_BLOCKS as usize);
        for back in 1..=MEDIAN_BLOCKS.min(height) {
            times.push(read(below, height, back)?.time);
        }
        let newest = times.first().copied().unwrap_or_default();
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        let begins_period = height.is_multiple_of(self.period());
        let warps = self.begins_with_real_target() && begins_period;
        if header.time <= median || warps && header.time < newest.saturating_sub(TIMEWARP) {
            return Err(HeaderFault::EarlyTime(height));
        }
        if u64::from(header.time) > now.saturating_add(AHEAD) {
            return Err(HeaderFault::LateTime(height));
        }
        Ok(())
    }

    /// How many blocks have one target.
    fn period(&self) -> u32 {
        u32::try_from(self.params.difficulty_adjustment_interval()).unwrap_or(u32::MAX)
    }

    fn easiest(&self) -> CompactTarget {
        self.params.max_attainable_target.to_compact_lossy()
    }

    /// BIP 94: a period's target follows from its predecessor's first block, which cannot use the exception.
    fn begins_with_real_target(&self) -> bool {
        self.params.network == Network::Testnet4
    }
}

/// The header `back` blocks below `height`.
fn read(below: Below<'_>, height: u32, back: u32) -> Result<Header, HeaderFault> {
    let at = height.checked_sub(back);
    at.and_then(below).ok_or(HeaderFault::Disk)
}

#[cfg(test)]
impl Rules {
    /// The main network's rules with eight blocks of a second instead of 2016 of ten minutes, where 64 hashes are enough.
    pub(super) fn with_short_periods() -> Self {
        let mut rules = Self::of(Network::Bitcoin);
        let bits = CompactTarget::from_consensus(0x2003_ffff);
        rules.params.max_attainable_target = bits.into();
        rules.params.pow_target_spacing = 1;
        rules.params.pow_target_timespan = 8;
        let easy = Header {
            bits,
            ..rules.genesis
        };
        rules.genesis = header::find_nonce(easy).expect("a nonce");
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chain up to `height` with the given last header, and one at `first`; all others are as the last one.
    fn below(height: u32, last: (u32, u32), first: (u32, u32)) -> impl Fn(u32) -> Option<Header> {
        move |at| {
            let (time, bits) = if at == first.0 {
                (first.1, last.1)
            } else {
                last
            };
            (at <= height).then_some(Header {
                time,
                bits: CompactTarget::from_consensus(bits),
                ..genesis_block(Network::Bitcoin).header
            })
        }
    }

    #[test]
    fn targets_are_those_of_bitcoin_core() {
        // `pow_tests.cpp` of Bitcoin Core: real retargets of the main network.
        let rules = Rules::of(Network::Bitcoin);
        for (height, time, bits, first, wanted) in [
            (
                32_255,
                1_262_152_739,
                0x1d00_ffff,
                1_261_130_161,
                0x1d00_d86a,
            ),
            (
                2_015,
                1_233_061_996,
                0x1d00_ffff,
                1_231_006_505,
                0x1d00_ffff,
            ),
            (
                68_543,
                1_279_297_671,
                0x1c05_a3f4,
                1_279_008_237,
                0x1c01_68fd,
            ),
            (
                46_367,
                1_269_211_443,
                0x1c38_7f6f,
                1_263_163_443,
                0x1d00_e1fd,
            ),
        ] {
            let below = below(height, (time, bits), (height - 2_015, first));
            let header = genesis_block(Network::Bitcoin).header;
            let found = rules.target_at(&header, height + 1, &below);
            assert_eq!(found.map(CompactTarget::to_consensus), Ok(wanted));
            let later = rules.target_at(&header, height, &below);
            assert_eq!(later.map(CompactTarget::to_consensus), Ok(bits));
        }
    }

    #[test]
    fn test_networks_have_an_exception_for_slow_blocks() {
        let real = 0x1c05_a3f4;
        let easy = 0x1d00_ffff;
        let target = |network, seconds: u32, height, bits, first| {
            let chain = |at| {
                let bits = if at <= first { real } else { bits };
                (at < height).then_some(Header {
                    time: 1_000_000,
                    bits: CompactTarget::from_consensus(bits),
                    ..genesis_block(network).header
                })
            };
            let header = Header {
                time: 1_000_000 + seconds,
                ..genesis_block(network).header
            };
            let target = Rules::of(network).target_at(&header, height, &chain);
            target.map(CompactTarget::to_consensus)
        };
        for network in [Network::Testnet, Network::Testnet4] {
            assert_eq!(target(network, 1_201, 5_000, real, 0), Ok(easy));
            assert_eq!(target(network, 1_200, 5_000, easy, 4_500), Ok(real));
        }
        assert_eq!(target(Network::Signet, 1_201, 5_000, real, 0), Ok(real));
        // BIP 94: the first block of the period decides, not the last one, which used the exception.
        let next = |network| target(network, 600, 4_032, easy, 2_016);
        assert_eq!(next(Network::Testnet), Ok(0x1c3f_ffc0));
        assert_eq!(next(Network::Testnet4), Ok(0x1c01_68fd));
    }

    #[test]
    fn the_first_block_of_a_period_may_not_go_far_back_on_testnet4() {
        let times = |at: u32| match at {
            2_015 => 10_000,
            _ => 1,
        };
        let chain = |at: u32| {
            Some(Header {
                time: times(at),
                ..genesis_block(Network::Testnet4).header
            })
        };
        let check = |network, time| {
            let header = Header {
                time,
                ..genesis_block(network).header
            };
            Rules::of(network).check_time(&header, 2_016, &chain, 1 << 40)
        };
        assert_eq!(check(Network::Testnet4, 9_400), Ok(()));
        let early = Err(HeaderFault::EarlyTime(2_016));
        assert_eq!(check(Network::Testnet4, 9_399), early);
        assert_eq!(check(Network::Bitcoin, 9_399), Ok(()));
        assert_eq!(check(Network::Bitcoin, 1), early);
    }
}
