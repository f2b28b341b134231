//! The data of one record: from its tokens to wire format, and back to text.
//!
//! Both spellings end in the same check: the fields of the type, or the generic form of RFC 3597 §5,
//! `\# LENGTH HEX`, which is allowed for known types too. So what is served is well-formed however it
//! was written.

use hickory_proto::rr::Name;

use super::RDATA_MAX;
use super::field::Field;
use super::problem::{Ignored, Problem};
use super::scalar::decimal;
use super::svcb;
use super::token::Tokens;
use super::types::{code, fields};
use crate::hash::{decode_hex, encode_hex};

/// Reads the data of a record of type `code`; relative names in it are relative to `origin`.
pub(super) fn parse(
    code: u16,
    mut tokens: Tokens<'_, '_>,
    origin: Option<&Name>,
) -> Result<Box<[u8]>, Ignored> {
    let wire = match fields(code) {
        _ if is_generic(&tokens) => parse_generic(code, &mut tokens),
        Some(fields) => parse_fields(fields, &mut tokens, origin),
        None => Err(Problem::UnknownType),
    };
    wire.and_then(|wire| check(code, &wire).map(|()| wire.into()))
        .map_err(|problem| tokens.position().ignored(problem))
}

/// Writes the data of a record as [`parse`] reads it.
pub(super) fn write(text: &mut String, code: u16, wire: &[u8]) {
    match fields(code).and_then(|fields| split(fields, wire)) {
        Some(parts) => {
            for (index, (field, part)) in parts.into_iter().enumerate() {
                if index > 0 && !part.is_empty() || field == Field::LongText {
                    text.push(' ');
                }
                field.write(text, part);
            }
        }
        None => {
            let blank = if wire.is_empty() { "" } else { " " };
            let hex = encode_hex(wire);
            text.push_str(&format!("\\# {}{blank}{hex}", wire.len()));
        }
    }
}

fn is_generic(tokens: &Tokens<'_, '_>) -> bool {
    tokens.peek().and_then(|token| token.word()) == Some(br"\#")
}

fn parse_generic(code: u16, tokens: &mut Tokens<'_, '_>) -> Result<Vec<u8>, Problem> {
    tokens.next();
    let length = tokens.next().ok_or(Problem::MissingField)?;
    let length: usize = decimal(length.text).ok_or(Problem::BadNumber)?;
    let mut digits = String::new();
    while let Some(token) = tokens.next() {
        digits.push_str(std::str::from_utf8(token.text).map_err(|_| Problem::BadHex)?);
    }
    let wire = decode_hex(&digits).ok_or(Problem::BadHex)?;
    if wire.len() != length {
        return Err(Problem::BadLength);
    }
    match fields(code) {
        Some(fields) if split(fields, &wire).is_none() => Err(Problem::BadWire),
        _ => Ok(wire),
    }
}

fn parse_fields(
    fields: &[Field],
    tokens: &mut Tokens<'_, '_>,
    origin: Option<&Name>,
) -> Result<Vec<u8>, Problem> {
    let mut wire = Vec::new();
    for field in fields {
        field.parse(tokens, origin, &mut wire)?;
    }
    match tokens.next() {
        Some(_) => Err(Problem::ExtraField),
        None => Ok(wire),
    }
}

/// The parts of `wire`, one for each field; `None` if they do not cover it exactly.
fn split<'w>(fields: &[Field], wire: &'w [u8]) -> Option<Vec<(Field, &'w [u8])>> {
    let mut rest = wire;
    let mut parts = Vec::with_capacity(fields.len());
    for &field in fields {
        let (part, behind) = rest.split_at_checked(field.measure(rest)?)?;
        parts.push((field, part));
        rest = behind;
    }
    rest.is_empty().then_some(parts)
}

/// What the fields alone do not say about record data.
fn check(code: u16, wire: &[u8]) -> Result<(), Problem> {
    if wire.len() > RDATA_MAX {
        return Err(Problem::RdataTooLong);
    }
    match code {
        code::TLSA | code::SMIMEA => check_digest(wire, 2, &[(1, 32), (2, 64)]), // RFC 6698 §2.1.3
        code::SSHFP => check_digest(wire, 1, &[(1, 20), (2, 32)]), // RFC 4255 §3.1.2, RFC 6594 §4
        code::DS | code::CDS => check_digest(wire, 3, &[(1, 20), (2, 32), (4, 48)]), // RFC 8624 §3.3
        code::URI if wire.len() == 4 => Err(Problem::EmptyTarget),
        code::SVCB | code::HTTPS => Ok(svcb::check_record(wire)?),
        _ => Ok(()),
    }
}

/// The byte at `place` says which digest follows it; a known one has a known length.
fn check_digest(wire: &[u8], place: usize, lengths: &[(u8, usize)]) -> Result<(), Problem> {
    let algorithm = wire.get(place);
    let known = lengths.iter().find(|(number, _)| Some(number) == algorithm);
    match known {
        Some((_, length)) if wire.len() != place + 1 + length => Err(Problem::DigestLength),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zonefile::types::record_type;
    use crate::zonefile::{SvcProblem, Zone, fixture};

    fn zone(data: &str) -> Zone {
        fixture::zone("foo.id.", data)
    }

    fn wire(data: &str) -> Result<String, Problem> {
        fixture::wire("foo.id.", data)
    }

    /// Text, its wire format, and the text that we write for it.
    const GOOD: &[(&str, &str, &str)] = &[
        ("A 192.0.2.1", "c0000201", ""),
        (
            "AAAA 2001:DB8::1",
            "20010db8000000000000000000000001",
            "AAAA 2001:db8::1",
        ),
        ("CNAME Www", "0357777703666f6f02696400", "CNAME Www.foo.id."),
        ("MX 10 .", "000a00", ""),
        (
            "TXT a \"b c\" \"\"",
            "01610362206300",
            r#"TXT "a" "b c" """#,
        ),
        (r#"TXT "a\;b\"\\\000\195""#, "07613b62225c00c3", ""),
        ("HINFO a b", "01610162", r#"HINFO "a" "b""#),
        ("RP a. .", "01610000", ""),
        ("SRV 1 2 443 a.", "0001000201bb016100", ""),
        (
            r#"NAPTR 1 2 "u" "E2U+sip" "!^.*$!sip:a@b!" ."#,
            "000100020175074532552b7369700e215e2e2a24217369703a6140622100",
            "",
        ),
        (
            "CERT PKIX 1 RSASHA256 AQID",
            "0001000108010203",
            "CERT 1 1 8 AQID",
        ),
        (
            "SSHFP 1 1 ( 00112233445566778899 aabbccddeeff00112233 )",
            "010100112233445566778899aabbccddeeff00112233",
            "SSHFP 1 1 00112233445566778899aabbccddeeff00112233",
        ),
        (
            "DNSKEY 257 3 ED25519 AQI= ",
            "0101030f0102",
            "DNSKEY 257 3 15 AQI=",
        ),
        ("OPENPGPKEY AQ ID", "010203", "OPENPGPKEY AQID"),
        (
            "EUI48 00-00-5E-00-53-2a",
            "00005e00532a",
            "EUI48 00-00-5e-00-53-2a",
        ),
        ("EUI64 00-00-5e-ef-10-00-00-2a", "00005eef1000002a", ""),
        ("URI 10 1 \"a:b\"", "000a0001613a62", ""),
        (
            r#"CAA 0 issue "a.example\; p""#,
            "00056973737565612e6578616d706c653b2070",
            "",
        ),
        ("CAA 128 iodef \"\"", "8005696f646566", ""),
        (
            "TYPE65280 \\# 4 DEADBEEF",
            "deadbeef",
            "TYPE65280 \\# 4 deadbeef",
        ),
        ("TYPE65280 \\# 0", "", ""),
        (
            "TYPE731 \\# 6 abcd ( ef 01 23 45 )",
            "abcdef012345",
            "TYPE731 \\# 6 abcdef012345",
        ),
        ("A \\# 4 C0000201", "c0000201", "A 192.0.2.1"),
        ("TYPE1 192.0.2.1", "c0000201", "A 192.0.2.1"),
    ];

    #[test]
    fn each_type_has_its_wire_format_and_its_text() {
        for (text, expected, written) in GOOD {
            assert_eq!(wire(text).as_deref(), Ok(*expected), "{text}");
            let rendered = crate::zonefile::render(&zone(text));
            let line = rendered
                .lines()
                .last()
                .and_then(|line| line.strip_prefix("x "));
            let same = if written.is_empty() { text } else { written };
            assert_eq!(line.map(str::trim_end), Some(same.trim_end()), "{text}");
        }
    }

    #[test]
    fn data_that_its_type_cannot_have_is_refused() {
        use Problem::*;
        let digest = "00".repeat(31);
        let tlsa = format!("TLSA 3 1 1 {digest}");
        let long = format!("TXT {}", "a".repeat(256));
        let cases = [
            (tlsa.as_str(), DigestLength),
            ("TLSA 3 1 2 00", DigestLength),
            ("TLSA 3 1 1", MissingField),
            ("SSHFP 1 2 00", DigestLength),
            ("DS 1 8 2 00", DigestLength),
            ("URI 1 1 \"\"", EmptyTarget),
            ("URI 1 1", MissingField),
            ("CAA 0 iss-ue x", BadTag),
            (long.as_str(), StringTooLong),
            ("AAAA 192.0.2.1", BadAddress),
            ("A 192.0.2.01", BadAddress),
            ("MX 65536 a", BadNumber),
            ("DNSKEY 1 3 8 AQI", BadBase64),
            ("TXT", MissingField),
            ("TXT \"\\300\"", BadEscape),
            ("A \\# 3 C00002", BadWire),
            ("CNAME \\# 2 C000", BadWire),
            ("TXT \\# 0", BadWire),
            ("CAA \\# 3 000061", BadWire),
            ("TYPE65280 \\# 3 DEADBEEF", BadLength),
            ("TYPE65280 \\# 4 DEADBEE", BadHex),
            ("TYPE65280 \\#", MissingField),
            ("TYPE65280 x", UnknownType),
            ("TLSA \\# 4 03010100", DigestLength),
        ];
        for (text, problem) in cases {
            assert_eq!(wire(text), Err(problem), "{text}");
        }
    }

    #[test]
    fn service_parameters_fail_as_problems() {
        assert_eq!(
            wire("SVCB 1 . key65535=a"),
            Err(Problem::Svc(SvcProblem::UnknownKey))
        );
        assert_eq!(record_type(b"svcb").map(u16::from), Some(code::SVCB));
    }
}
