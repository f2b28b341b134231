//! The kinds of fields that record data is made of: how each is read, measured on the wire, and written.
//!
//! The table in `types` lists the fields of every type, so a new type is a line there and no new code.
//! Wire format is never compressed and names keep their case: what a zone file says is served as it is
//! (RFC 3597 §4).

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::Name;

use super::base64;
use super::name::{parse_name, unescape, write_label, write_quoted};
use super::problem::Problem;
use super::svcb;
use super::token::{Position, Token};
use crate::hash::{decode_hex, encode_hex};

/// One kind of field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Ipv4,
    Ipv6,
    /// A domain name, in wire format without compression.
    Name,
    U8,
    U16,
    U32,
    /// 32 bits; in text also with units, as in `1h30m`.
    Seconds,
    /// A DNSSEC algorithm: a byte; in text also by mnemonic (RFC 4034 appendix A.1).
    Algorithm,
    /// 16 bits; in text also by mnemonic (RFC 4398 §2.1).
    CertificateType,
    /// A string of at most 255 bytes behind its length.
    Text,
    /// All the rest: one or more of [`Field::Text`].
    Texts,
    /// All the rest: one string without its length.
    LongText,
    /// A CAA tag: [`Field::Text`] of letters and digits, not quoted.
    Tag,
    /// All the rest, at least one byte.
    Hex,
    /// All the rest, at least one byte.
    Base64,
    Eui48,
    Eui64,
    /// All the rest: the parameters of SVCB and HTTPS.
    SvcParams,
}

/// The tokens of a record's data, taken one after the other.
pub(super) struct Tokens<'t, 'z> {
    rest: &'t [Token<'z>],
    position: Position,
}

impl<'t, 'z> Tokens<'t, 'z> {
    /// `before` is where the type stands: the place of a problem if there is no token at all.
    pub(super) fn new(tokens: &'t [Token<'z>], before: Position) -> Self {
        Self {
            rest: tokens,
            position: before,
        }
    }

    /// The place of the token that was taken last.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    pub(super) fn peek(&self) -> Option<&'t Token<'z>> {
        self.rest.first()
    }

    pub(super) fn next(&mut self) -> Option<&'t Token<'z>> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.position = first.position;
        Some(first)
    }

    fn text(&mut self) -> Result<&'z [u8], Problem> {
        self.next()
            .map(|token| token.text)
            .ok_or(Problem::MissingField)
    }

    /// The texts of all remaining tokens in a row; refuses an empty one.
    fn joined(&mut self) -> Result<Vec<u8>, Problem> {
        let mut text = self.text()?.to_vec();
        while let Some(token) = self.next() {
            text.extend(token.text);
        }
        Ok(text)
    }
}

impl Field {
    /// Whether the field takes everything up to the end of the record.
    #[cfg(test)]
    pub(super) fn takes_rest(self) -> bool {
        use Field::{Base64, Hex, LongText, SvcParams, Texts};
        matches!(self, Texts | LongText | Hex | Base64 | SvcParams)
    }

    /// Reads the field from text and appends its wire format.
    pub(super) fn parse(
        self,
        tokens: &mut Tokens<'_, '_>,
        origin: Option<&Name>,
        wire: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        match self {
            Self::Ipv4 => wire.extend(address::<Ipv4Addr>(tokens.text()?)?.octets()),
            Self::Ipv6 => wire.extend(address::<Ipv6Addr>(tokens.text()?)?.octets()),
            Self::Name => push_name(wire, &parse_name(tokens.text()?, origin)?),
            Self::U8 => wire.push(number(tokens.text()?)?),
            Self::U16 => wire.extend(number::<u16>(tokens.text()?)?.to_be_bytes()),
            Self::U32 => wire.extend(number::<u32>(tokens.text()?)?.to_be_bytes()),
            Self::Seconds => wire.extend(seconds(tokens.text()?)?.to_be_bytes()),
            Self::Algorithm => wire.push(named(tokens.text()?, ALGORITHMS)?),
            Self::CertificateType => {
                wire.extend(named::<u16>(tokens.text()?, CERTIFICATES)?.to_be_bytes());
            }
            Self::Text => push_text(wire, &unescape(tokens.text()?)?)?,
            Self::Texts => return parse_texts(tokens, wire),
            Self::LongText => wire.extend(unescape(tokens.text()?)?),
            Self::Tag => push_tag(wire, tokens.text()?)?,
            Self::Hex => wire.extend(hex(&tokens.joined()?)?),
            Self::Base64 => {
                wire.extend(base64::decode(&tokens.joined()?).ok_or(Problem::BadBase64)?);
            }
            Self::Eui48 => wire.extend(eui(tokens.text()?, 6)?),
            Self::Eui64 => wire.extend(eui(tokens.text()?, 8)?),
            Self::SvcParams => return svcb::parse(tokens, wire),
        }
        Ok(())
    }

    /// How many bytes of `wire` the field takes; `None` if it cannot stand there.
    pub(super) fn measure(self, wire: &[u8]) -> Option<usize> {
        let length = match self {
            Self::U8 | Self::Algorithm => 1,
            Self::U16 | Self::CertificateType => 2,
            Self::Ipv4 | Self::U32 | Self::Seconds => 4,
            Self::Eui48 => 6,
            Self::Eui64 => 8,
            Self::Ipv6 => 16,
            Self::Name => measure_name(wire)?,
            Self::Text => 1 + usize::from(*wire.first()?),
            Self::Tag => measure_tag(wire)?,
            Self::Texts => measure_texts(wire)?,
            Self::Hex | Self::Base64 => wire.len().max(1),
            Self::LongText | Self::SvcParams => wire.len(),
        };
        (length <= wire.len()).then_some(length)
    }

    /// Writes the field as text; `wire` is exactly what [`Field::measure`] took.
    pub(super) fn write(self, text: &mut String, wire: &[u8]) {
        match self {
            Self::Ipv4 => push(text, Ipv4Addr::from(array(wire))),
            Self::Ipv6 => push(text, Ipv6Addr::from(array(wire))),
            Self::Name => write_name(text, wire),
            Self::U8 | Self::Algorithm | Self::U16 | Self::CertificateType => {
                push(text, big_endian(wire));
            }
            Self::U32 | Self::Seconds => push(text, big_endian(wire)),
            Self::Text => write_quoted(text, wire.get(1..).unwrap_or_default()),
            Self::Texts => write_texts(text, wire),
            Self::LongText => write_quoted(text, wire),
            Self::Tag => push(text, wire.get(1..).unwrap_or_default().escape_ascii()),
            Self::Hex => text.push_str(&encode_hex(wire)),
            Self::Base64 => text.push_str(&base64::encode(wire)),
            Self::Eui48 | Self::Eui64 => write_eui(text, wire),
            Self::SvcParams => svcb::write(text, wire),
        }
    }
}

// ---- Reading -------------------------------------------------------------------------------------

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

fn number<T: std::str::FromStr>(text: &[u8]) -> Result<T, Problem> {
    decimal(text).ok_or(Problem::BadNumber)
}

type Named = (&'static str, u8);

/// IANA "DNS Security Algorithm Numbers".
const ALGORITHMS: &[Named] = &[
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
    ("RSASHA1", 5),
    ("DSANSEC3SHA1", 6),
    ("RSASHA1NSEC3SHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECDSAP256SHA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
    ("INDIRECT", 252),
    ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];

/// RFC 4398 §2.1.
const CERTIFICATES: &[Named] = &[
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];

fn named<T: std::str::FromStr + From<u8>>(text: &[u8], names: &[Named]) -> Result<T, Problem> {
    let known = names
        .iter()
        .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text));
    match known {
        Some((_, value)) => Ok(T::from(*value)),
        None => number(text),
    }
}

fn hex(text: &[u8]) -> Result<Vec<u8>, Problem> {
    let text = std::str::from_utf8(text).map_err(|_| Problem::BadHex)?;
    decode_hex(text)
        .filter(|bytes| !bytes.is_empty())
        .ok_or(Problem::BadHex)
}

fn eui(text: &[u8], bytes: usize) -> Result<Vec<u8>, Problem> {
    let pairs: Vec<&[u8]> = text.split(|&byte| byte == b'-').collect();
    if pairs.len() != bytes || pairs.iter().any(|pair| pair.len() != 2) {
        return Err(Problem::BadHex);
    }
    hex(&pairs.concat())
}

fn parse_texts(tokens: &mut Tokens<'_, '_>, wire: &mut Vec<u8>) -> Result<(), Problem> {
    push_text(wire, &unescape(tokens.text()?)?)?;
    while let Some(token) = tokens.next() {
        push_text(wire, &unescape(token.text)?)?;
    }
    Ok(())
}

fn push_tag(wire: &mut Vec<u8>, text: &[u8]) -> Result<(), Problem> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_alphanumeric) {
        return Err(Problem::BadTag);
    }
    push_text(wire, text).map_err(|_| Problem::BadTag)
}

/// Appends a string behind its length.
pub(super) fn push_text(wire: &mut Vec<u8>, text: &[u8]) -> Result<(), Problem> {
    let length = u8::try_from(text.len()).map_err(|_| Problem::StringTooLong)?;
    wire.push(length);
    wire.extend(text);
    Ok(())
}

fn push_name(wire: &mut Vec<u8>, name: &Name) {
    for label in name {
        // A `Name` has no label above 63 bytes.
        wire.push(label.len() as u8);
        wire.extend(label);
    }
    wire.push(0);
}

// ---- Wire ----------------------------------------------------------------------------------------

fn measure_name(wire: &[u8]) -> Option<usize> {
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

fn measure_tag(wire: &[u8]) -> Option<usize> {
    let (length, rest) = wire.split_first()?;
    let tag = rest.get(..usize::from(*length))?;
    let valid = !tag.is_empty() && tag.iter().all(u8::is_ascii_alphanumeric);
    valid.then_some(1 + tag.len())
}

fn measure_texts(wire: &[u8]) -> Option<usize> {
    let mut length = 0;
    while length < wire.len() {
        length += 1 + usize::from(*wire.get(length)?);
    }
    (length > 0).then_some(length)
}

// ---- Writing -------------------------------------------------------------------------------------

fn push(text: &mut String, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{value}");
}

fn big_endian(wire: &[u8]) -> u64 {
    wire.iter()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

fn array<const N: usize>(wire: &[u8]) -> [u8; N] {
    wire.try_into().unwrap_or([0; N])
}

fn write_name(text: &mut String, wire: &[u8]) {
    let mut rest = wire;
    if rest == [0] {
        text.push('.');
    }
    while let Some((&length, behind)) = rest.split_first() {
        let Some((label, behind)) = behind.split_at_checked(usize::from(length)) else {
            return;
        };
        if !label.is_empty() {
            write_label(text, label);
            text.push('.');
        }
        rest = behind;
    }
}

fn write_texts(text: &mut String, wire: &[u8]) {
    let mut rest = wire;
    while let Some((&length, behind)) = rest.split_first() {
        let (string, behind) = behind.split_at(usize::from(length).min(behind.len()));
        if rest.len() < wire.len() {
            text.push(' ');
        }
        write_quoted(text, string);
        rest = behind;
    }
}

fn write_eui(text: &mut String, wire: &[u8]) {
    let pairs: Vec<String> = wire.iter().map(|byte| format!("{byte:02x}")).collect();
    text.push_str(&pairs.join("-"));
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
}
