//! The kinds of fields that record data is made of: how each is read, measured on the wire, and written.
//!
//! The table in `types` lists the fields of every type, so a new type is a line there and no new code.
//! Wire format is never compressed and names keep their case: what a zone file says is served as it is
//! (RFC 3597 §4).

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::Name;

use super::name::{parse_name, unescape, write_label, write_quoted};
use super::problem::Problem;
use super::scalar::{address, base64, base64_text, decimal, measure_name, push_text, seconds};
use super::svcb;
use super::token::Tokens;
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
            Self::Base64 => wire.extend(base64(&tokens.joined()?)?),
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
            Self::Base64 => text.push_str(&base64_text(wire)),
            Self::Eui48 | Self::Eui64 => write_eui(text, wire),
            Self::SvcParams => svcb::write(text, wire),
        }
    }
}

// ---- Reading -------------------------------------------------------------------------------------

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

fn push_name(wire: &mut Vec<u8>, name: &Name) {
    for label in name {
        // A `Name` has no label above 63 bytes.
        wire.push(label.len() as u8);
        wire.extend(label);
    }
    wire.push(0);
}

// ---- Wire ----------------------------------------------------------------------------------------

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
