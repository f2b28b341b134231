//! The data of one record: from its tokens to wire format, and back to text.
//!
//! Both spellings end in the same check: the fields of the type, or the generic form of RFC 3597 §5,
//! `\# LENGTH HEX`, which is allowed for known types too. So what is served is well-formed however it
//! was written.

use hickory_proto::rr::Name;

use super::RDATA_MAX;
use super::field::{Field, Tokens, decimal};
use super::problem::{Ignored, Problem};
use super::svcb;
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
