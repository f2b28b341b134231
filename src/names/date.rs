//! When a block is: Bitcoin counts blocks, people count days.

use serde::{Deserialize, Serialize};

use super::view::Names;
use crate::bns::life::Term;
use crate::store::StoreError;

/// Seconds from one block to the next, as Bitcoin aims at.
const BLOCK_SECONDS: i64 = 600;

/// The end of a name: four heights, each with the date at which that block is expected (RFC 3339), or its own time. `null`
/// is a height that never comes: the name has no end, its namespace is not open, or it is revoked, which leaves `free_from`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DatedTerm {
    /// The heights.
    #[serde(flatten)]
    pub heights: Term,
    /// The date of the first block of the grace period, ten minutes a block.
    pub grace_start_estimated: Option<String>,
    /// That of the last block in which the name resolves.
    pub last_resolves_estimated: Option<String>,
    /// That of the last block in which the owner can renew it.
    pub renewal_deadline_estimated: Option<String>,
    /// That of the first block in which somebody else can register it.
    pub free_from_estimated: Option<String>,
    /// Dates of this block and later ones are estimates; earlier ones are the times of their blocks.
    #[serde(default)]
    pub estimated_from: Option<u32>,
}

impl Names {
    /// The end of a name with its dates.
    pub(super) fn dated(&self, heights: Term) -> Result<DatedTerm, StoreError> {
        Ok(DatedTerm {
            heights,
            grace_start_estimated: self.date(heights.grace_start)?,
            last_resolves_estimated: self.date(heights.last_resolves)?,
            renewal_deadline_estimated: self.date(heights.renewal_deadline)?,
            free_from_estimated: self.date(heights.free_from)?,
            estimated_from: self.snapshot.tip().map(|tip| tip.height.saturating_add(1)),
        })
    }

    /// The time of the block at a height (RFC 3339); `None` if it is not indexed, or made of an export, which has no times.
    pub fn time(&self, height: u32) -> Result<Option<String>, StoreError> {
        let indexed = self.snapshot.block(height)?;
        let indexed = indexed.filter(|block| block.time > 0);
        Ok(indexed.map(|block| rfc3339(block.time.into())))
    }

    /// When the block at a height comes, or came (RFC 3339); `None` before the first block.
    pub fn date(&self, height: Option<u32>) -> Result<Option<String>, StoreError> {
        let (Some(height), Some(tip)) = (height, self.snapshot.tip()) else {
            return Ok(None);
        };
        let indexed = match height <= tip.height {
            true => self.snapshot.block(height)?,
            false => None,
        };
        let known = indexed.unwrap_or(tip);
        Ok(Some(expected(height, (known.height, known.time))))
    }
}

/// When the block at `height` comes (RFC 3339), from the height and time of a block that is there.
pub fn expected(height: u32, known: (u32, u32)) -> String {
    rfc3339(estimate(height, known))
}

/// When the block at `height` comes, in seconds since 1970, from the height and time of a block that is there. Ten minutes a
/// block: an estimate, also on a chain whose blocks come when somebody asks for one.
fn estimate(height: u32, known: (u32, u32)) -> u64 {
    let blocks = i64::from(height) - i64::from(known.0);
    u64::try_from(i64::from(known.1) + blocks * BLOCK_SECONDS).unwrap_or(0)
}

/// Seconds since 1970 as a date and time in UTC (RFC 3339).
pub fn rfc3339(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of the Gregorian calendar, from the days since 1970-01-01.
///
/// Counted from 0000-03-01, so that the leap day is the last of a year: 146,097 days are 400 years, and
/// `(153 * month + 2) / 5` days lie before a month that is counted from March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01 to 1970-01-01
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let month = (from_march + 2) % 12 + 1;
    let january = u64::from(month <= 2); // belongs to the year that began ten months before
    let day = day - (153 * from_march + 2) / 5 + 1;
    (era * 400 + year + january, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        // date -u -d @SECONDS
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_740_787_199, "2025-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), expected);
        }
    }

    #[test]
    fn a_block_comes_every_ten_minutes() {
        let seconds = |height| estimate(height, (100, 1_000_000));
        assert_eq!((seconds(103), seconds(100)), (1_001_800, 1_000_000));
        assert_eq!(seconds(99), 999_400);
        assert_eq!(estimate(0, (u32::MAX, 0)), 0);
    }
}
