//! Amounts, blocks and spans of blocks as a person reads them: in the same words in every command and message.
//!
//! Programs get satoshi, heights and RFC 3339 instead.

use bitcoin::Amount;

/// Blocks of an hour, a day and a year, ten minutes each.
const HOUR: u64 = 6;
/// See [`HOUR`].
const DAY: u64 = 144;
/// See [`HOUR`]; a year of 365.25 days.
const YEAR: u64 = 52_596;

/// `0.00056000 BTC (56,000 satoshi)`.
pub fn btc(amount: Amount) -> String {
    let satoshi = amount.to_sat();
    let (whole, part) = (satoshi / 100_000_000, satoshi % 100_000_000);
    format!("{whole}.{part:08} BTC ({} satoshi)", grouped(satoshi))
}

/// The same of an amount of satoshi that may be less than nothing.
pub fn gain(satoshi: i128) -> String {
    let amount = u64::try_from(satoshi.unsigned_abs()).unwrap_or(u64::MAX);
    let sign = if satoshi < 0 { "-" } else { "" };
    format!("{sign}{}", btc(Amount::from_sat(amount)))
}

/// `56,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `105 (about 2027-03-01)`: a block that is to come, with the day at which it is expected (RFC 3339).
pub fn block_to_come(height: u32, date: Option<&str>) -> String {
    let day = date.and_then(|date| date.split('T').next());
    day.map_or_else(
        || height.to_string(),
        |day| format!("{height} (about {day})"),
    )
}

/// `105 (about 2027-03-01 12:00 UTC)`: a block that is to come so soon that its hour matters (RFC 3339).
pub fn block_soon(height: u32, date: &str) -> String {
    block_there(height, Some(date)).replacen('(', "(about ", 1)
}

/// `105 (2027-03-01 12:00 UTC)`: a block that is there, with its own time (RFC 3339).
pub fn block_there(height: u32, time: Option<&str>) -> String {
    let minute = time.and_then(|time| time.get(..16));
    minute.map_or_else(
        || height.to_string(),
        |minute| format!("{height} ({} UTC)", minute.replace('T', " ")),
    )
}

/// `about 2.0 years`: how long so many blocks take, ten minutes each.
pub fn span(blocks: u64) -> String {
    let rounded = |unit: u64| (blocks + unit / 2) / unit;
    match blocks {
        YEAR.. => {
            let tenths = rounded(YEAR / 10);
            format!("about {}.{} years", tenths / 10, tenths % 10)
        }
        288.. => format!("about {} days", rounded(DAY)),
        12.. => format!("about {} hours", rounded(HOUR)),
        _ => format!("about {} minutes", blocks * 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_one_unit() {
        let written = |satoshi| btc(Amount::from_sat(satoshi));
        assert_eq!(written(0), "0.00000000 BTC (0 satoshi)");
        assert_eq!(written(56_000), "0.00056000 BTC (56,000 satoshi)");
        assert_eq!(
            written(123_456_789_012),
            "1234.56789012 BTC (123,456,789,012 satoshi)"
        );
    }

    #[test]
    fn blocks_stand_beside_their_dates() {
        let date = Some("2027-03-01T12:07:09Z");
        assert_eq!(block_to_come(105, date), "105 (about 2027-03-01)");
        assert_eq!(block_there(105, date), "105 (2027-03-01 12:07 UTC)");
        assert_eq!(
            block_soon(105, "2027-03-01T12:07:09Z"),
            "105 (about 2027-03-01 12:07 UTC)"
        );
        assert_eq!(
            (block_to_come(1, None), block_there(2, None)),
            ("1".into(), "2".into())
        );
    }

    #[test]
    fn spans_have_a_unit_that_fits() {
        for (blocks, text) in [
            (1, "about 10 minutes"),
            (24, "about 4 hours"),
            (5_000, "about 35 days"),
            (105_190, "about 2.0 years"),
        ] {
            assert_eq!(span(blocks), text);
        }
    }
}
