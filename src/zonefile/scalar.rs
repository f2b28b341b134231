//! The small values that record data is made of: numbers, times, addresses, strings and names.
//!
//! Each reads text (RFC 1035 §5.1) or measures wire format (RFC 1035 §3.1), never compressed.

use bitcoin::base64::Engine as _;
use bitcoin::base64::prelude::BASE64_STANDARD;
use hickory_proto::rr::Name;

use super::problem::Problem;

/// A number in decimal digits and nothing else: no sign, no blank.
pub(super) fn decimal<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Seconds, or a sum with the units of master files: `1w2d3h4m5s` in any order, in either case.
pub(super) fn seconds(text: &[u8]) -> Result<u32, Problem> {
    if let Some(seconds) = decimal(text) {
        return Ok(seconds);
    }
    let mut total = 0_u32;
    for part in text.split_inclusive(|byte| !byte.is_ascii_digit()) {
        let seconds = part
            .split_last()
            .and_then(|(unit, digits)| decimal::<u32>(digits)?.checked_mul(unit_seconds(*unit)?));
        let seconds = seconds.ok_or(Problem::BadTtl)?;
        total = total.checked_add(seconds).ok_or(Problem::BadTtl)?;
    }
    if text.is_empty() {
        Err(Problem::BadTtl)
    } else {
        Ok(total)
    }
}

fn unit_seconds(unit: u8) -> Option<u32> {
    match unit.to_ascii_lowercase() {
        b's' => Some(1),
        b'm' => Some(60),
        b'h' => Some(3_600),
        b'd' => Some(86_400),
        b'w' => Some(604_800),
        _ => None,
    }
}

/// The address that `text` spells.
pub(super) fn address<T: std::str::FromStr>(text: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(text).map_err(|_| Problem::BadAddress)?;
    text.parse().map_err(|_| Problem::BadAddress)
}

/// The bytes that `text` spells in canonical base64 with padding (RFC 4648 §4), at least one.
pub(super) fn base64(text: &[u8]) -> Result<Vec<u8>, Problem> {
    let bytes = BASE64_STANDARD.decode(text);
    bytes
        .ok()
        .filter(|bytes| !bytes.is_empty())
        .ok_or(Problem::BadBase64)
}

/// Canonical base64 with padding.
pub(super) fn base64_text(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Appends a string behind its length.
pub(super) fn push_text(wire: &mut Vec<u8>, text: &[u8]) -> Result<(), Problem> {
    let length = u8::try_from(text.len()).map_err(|_| Problem::StringTooLong)?;
    wire.push(length);
    wire.extend(text);
    Ok(())
}

/// The length of the uncompressed name at the start of `wire`; `None` if there is none.
pub(super) fn measure_name(wire: &[u8]) -> Option<usize> {
    let mut length = 0;
    loop {
        let label = usize::from(*wire.get(length)?);
        length += 1 + label;
        // 64 and above would be a compression pointer, which record data of a zone never has.
        if label > 63 || length > Name::MAX_LENGTH {
            return None;
        }
        if label == 0 {
            return Some(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_take_units() {
        let cases: [(&[u8], Option<u32>); 9] = [
            (b"3600", Some(3600)),
            (b"1h30m", Some(5400)),
            (b"1W2d", Some(777_600)),
            (b"4294967295", Some(u32::MAX)),
            (b"4294967296", None),
            (b"7102w", None),
            (b"h", None),
            (b"1h30", None),
            (b"", None),
        ];
        for (text, expected) in cases {
            assert_eq!(seconds(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_digits_only() {
        assert_eq!(decimal::<u8>(b"255"), Some(255));
        for text in ["256", "+1", "-1", " 1", ""] {
            assert_eq!(decimal::<u8>(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn names_on_the_wire_are_bounded() {
        assert_eq!(measure_name(b"\x01a\x00rest"), Some(3));
        assert_eq!(measure_name(b"\x01a"), None);
        assert_eq!(measure_name(b"\xc0\x00"), None);
        assert_eq!(measure_name(&[1; 300]), None);
    }

    #[test]
    fn base64_is_canonical() {
        assert_eq!(base64(b"Zm9vYmE=").as_deref(), Ok(&b"fooba"[..]));
        assert_eq!(base64_text(b"fooba"), "Zm9vYmE=");
        for text in [
            "", "Zg", "Zg=", "Zh==", "Z===", "====", "Zg==Zg==", "Zm9*", "Zm 9",
        ] {
            assert_eq!(base64(text.as_bytes()), Err(Problem::BadBase64), "{text}");
        }
    }
}
