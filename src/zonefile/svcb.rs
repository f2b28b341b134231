//! The parameters of SVCB and HTTPS records (RFC 9460), strictly.
//!
//! Text may list them in any order and is sorted; wire format must have ascending keys already (§2.2).
//! Whatever was written, the wire format is then checked as a client would: no key twice, values of the
//! right shape, everything that `mandatory` names present. One malformed record makes clients reject the
//! whole RRset, so the zone drops it too (see `parse`).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::name::{unescape, write_quoted};
use super::problem::{Problem, SvcProblem};
use super::scalar::{address, base64, base64_text, decimal, measure_name, push_text};
use super::token::{Form, Token, Tokens};

/// The keys that have a name and, but for the last two, a shape (§14.3.2, RFC 9461, RFC 9540).
const KEYS: &[(&str, u16)] = &[
    ("mandatory", MANDATORY),
    ("alpn", ALPN),
    ("no-default-alpn", NO_DEFAULT_ALPN),
    ("port", PORT),
    ("ipv4hint", IPV4_HINT),
    ("ech", ECH),
    ("ipv6hint", IPV6_HINT),
    ("dohpath", DOHPATH),
    ("ohttp", OHTTP),
];

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4_HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6_HINT: u16 = 6;
const DOHPATH: u16 = 7;
const OHTTP: u16 = 8;
/// "Invalid key" (§14.3.2).
const RESERVED: u16 = u16::MAX;

/// Reads all remaining tokens as parameters and appends their wire format.
pub(super) fn parse(tokens: &mut Tokens<'_, '_>, wire: &mut Vec<u8>) -> Result<(), Problem> {
    let mut params = BTreeMap::new();
    while let Some(token) = tokens.next() {
        let (key, value) = parse_param(token, tokens)?;
        if params.insert(key, value).is_some() {
            return Err(SvcProblem::DuplicateKey.into());
        }
    }
    for (key, value) in params {
        let length = u16::try_from(value.len()).map_err(|_| Problem::RdataTooLong)?;
        wire.extend(key.to_be_bytes());
        wire.extend(length.to_be_bytes());
        wire.extend(value);
    }
    Ok(())
}

/// Checks the whole record data of a SVCB or HTTPS record.
pub(super) fn check_record(wire: &[u8]) -> Result<(), SvcProblem> {
    let params = params_of(wire).ok_or(SvcProblem::Layout)?;
    let params = split(params).ok_or(SvcProblem::Layout)?;
    if !params.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err(SvcProblem::Layout);
    }
    let has = |key| params.iter().any(|&(other, _)| other == key);
    for &(key, value) in &params {
        match key {
            MANDATORY => check_mandatory(value, has)?,
            NO_DEFAULT_ALPN if !has(ALPN) => return Err(SvcProblem::NoDefaultAlpnAlone),
            RESERVED => return Err(SvcProblem::UnknownKey),
            _ if !has_shape(key, value) => return Err(SvcProblem::BadValue),
            _ => {}
        }
    }
    Ok(())
}

/// Writes the parameters as [`parse`] reads them.
pub(super) fn write(text: &mut String, wire: &[u8]) {
    for (index, (key, value)) in split(wire).unwrap_or_default().into_iter().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        text.push_str(&key_name(key));
        if !value.is_empty() {
            text.push('=');
            write_value(text, key, value);
        }
    }
}

// ---- Wire ----------------------------------------------------------------------------------------

/// What follows priority and target.
fn params_of(wire: &[u8]) -> Option<&[u8]> {
    let (_, rest) = wire.split_at_checked(2)?;
    rest.get(measure_name(rest)?..)
}

fn split(mut wire: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut params = Vec::new();
    while !wire.is_empty() {
        let (head, rest) = wire.split_first_chunk::<4>()?;
        let [key_high, key_low, length_high, length_low] = *head;
        let length = u16::from_be_bytes([length_high, length_low]);
        let (value, rest) = rest.split_at_checked(usize::from(length))?;
        params.push((u16::from_be_bytes([key_high, key_low]), value));
        wire = rest;
    }
    Some(params)
}

fn has_shape(key: u16, value: &[u8]) -> bool {
    match key {
        ALPN => alpn_ids(value).is_some_and(|ids| !ids.is_empty()),
        NO_DEFAULT_ALPN | OHTTP => value.is_empty(),
        PORT => value.len() == 2,
        IPV4_HINT => !value.is_empty() && value.len().is_multiple_of(4),
        IPV6_HINT => !value.is_empty() && value.len().is_multiple_of(16),
        ECH | DOHPATH => !value.is_empty(),
        _ => true,
    }
}

fn check_mandatory(value: &[u8], has: impl Fn(u16) -> bool) -> Result<(), SvcProblem> {
    let keys: Vec<u16> = be_numbers(value);
    let whole = !value.is_empty() && value.len().is_multiple_of(2);
    let ascending = keys.is_sorted_by(|a, b| a < b);
    let others = keys.iter().all(|&key| key != MANDATORY && has(key));
    (whole && ascending && others)
        .then_some(())
        .ok_or(SvcProblem::Mandatory)
}

fn be_numbers(value: &[u8]) -> Vec<u16> {
    let pairs = value.as_chunks::<2>().0;
    pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect()
}

fn alpn_ids(mut value: &[u8]) -> Option<Vec<&[u8]>> {
    let mut ids = Vec::new();
    while let Some((&length, rest)) = value.split_first() {
        let (id, rest) = rest.split_at_checked(usize::from(length))?;
        if id.is_empty() {
            return None;
        }
        ids.push(id);
        value = rest;
    }
    Some(ids)
}

// ---- Reading -------------------------------------------------------------------------------------

fn parse_param(token: &Token<'_>, tokens: &mut Tokens<'_, '_>) -> Result<(u16, Vec<u8>), Problem> {
    let word = token.word().ok_or(SvcProblem::UnknownKey)?;
    let equals = word.iter().position(|&byte| byte == b'=');
    let (name, value) = word.split_at(equals.unwrap_or(word.len()));
    let key = parse_key(name)?;
    let attached = tokens.peek().filter(|next| next.form == Form::Attached);
    let value = match (value, attached) {
        (b"=", Some(quoted)) => {
            tokens.next();
            quoted.text
        }
        (_, Some(_)) => return Err(SvcProblem::BadValue.into()),
        (value, None) => value.get(1..).unwrap_or_default(),
    };
    Ok((key, parse_value(key, &unescape(value)?)?))
}

fn parse_key(name: &[u8]) -> Result<u16, SvcProblem> {
    let known = KEYS.iter().find(|(known, _)| known.as_bytes() == name);
    if let Some(&(_, key)) = known {
        return Ok(key);
    }
    let digits = name.strip_prefix(b"key").ok_or(SvcProblem::UnknownKey)?;
    let plain = digits.len() == 1 || !digits.starts_with(b"0"); // §2.1: no leading zeros
    decimal(digits)
        .filter(|&key| plain && key != RESERVED)
        .ok_or(SvcProblem::UnknownKey)
}

/// The wire format of a value whose escapes are resolved. A `keyNNN` of a known number takes the same text.
fn parse_value(key: u16, text: &[u8]) -> Result<Vec<u8>, Problem> {
    let items = text.split(|&byte| byte == b',');
    match key {
        MANDATORY => {
            let mut keys = items.map(parse_key).collect::<Result<Vec<_>, _>>()?;
            keys.sort_unstable();
            Ok(keys.into_iter().flat_map(u16::to_be_bytes).collect())
        }
        ALPN => parse_alpn(text),
        PORT => {
            let port: u16 = decimal(text).ok_or(SvcProblem::BadValue)?;
            Ok(port.to_be_bytes().to_vec())
        }
        IPV4_HINT => hints(items, |hint: Ipv4Addr| hint.octets()),
        IPV6_HINT => hints(items, |hint: Ipv6Addr| hint.octets()),
        ECH => base64(text),
        _ => Ok(text.to_vec()),
    }
}

fn hints<'t, A: std::str::FromStr, const N: usize>(
    items: impl Iterator<Item = &'t [u8]>,
    octets: impl Fn(A) -> [u8; N],
) -> Result<Vec<u8>, Problem> {
    let mut value = Vec::new();
    for item in items {
        value.extend(octets(address(item)?));
    }
    Ok(value)
}

/// A comma-separated list in which `\,` and `\\` stand for themselves (appendix A.1).
fn parse_alpn(text: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut value = Vec::new();
    let mut id = Vec::new();
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b',' => push_alpn(&mut value, &std::mem::take(&mut id))?,
            b'\\' => id.push(*bytes.next().ok_or(Problem::BadEscape)?),
            _ => id.push(byte),
        }
    }
    push_alpn(&mut value, &id)?;
    Ok(value)
}

fn push_alpn(value: &mut Vec<u8>, id: &[u8]) -> Result<(), Problem> {
    if id.is_empty() {
        return Err(SvcProblem::BadValue.into());
    }
    push_text(value, id)
}

// ---- Writing -------------------------------------------------------------------------------------

fn key_name(key: u16) -> String {
    let known = KEYS.iter().find(|&&(_, known)| known == key);
    known.map_or_else(|| format!("key{key}"), |(name, _)| (*name).to_owned())
}

fn write_value(text: &mut String, key: u16, value: &[u8]) {
    match key {
        MANDATORY => text.push_str(&joined(be_numbers(value).into_iter().map(key_name))),
        ALPN => write_quoted(text, &alpn_list(value)),
        PORT => text.push_str(&joined(be_numbers(value).into_iter())),
        IPV4_HINT => {
            let hints = value.as_chunks::<4>().0;
            text.push_str(&joined(hints.iter().map(|hint| Ipv4Addr::from(*hint))));
        }
        IPV6_HINT => {
            let hints = value.as_chunks::<16>().0;
            text.push_str(&joined(hints.iter().map(|hint| Ipv6Addr::from(*hint))));
        }
        ECH => write_quoted(text, base64_text(value).as_bytes()),
        _ => write_quoted(text, value),
    }
}

fn joined(items: impl Iterator<Item = impl ToString>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    items.join(",")
}

fn alpn_list(value: &[u8]) -> Vec<u8> {
    let mut list = Vec::new();
    for id in alpn_ids(value).unwrap_or_default() {
        if !list.is_empty() {
            list.push(b',');
        }
        for &byte in id {
            if matches!(byte, b',' | b'\\') {
                list.push(b'\\');
            }
            list.push(byte);
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zonefile::{Zone, fixture, render};

    fn zone(data: &str) -> Zone {
        fixture::zone("example.com.", data)
    }

    fn wire(data: &str) -> Result<String, Problem> {
        fixture::wire("example.com.", data)
    }

    /// RFC 9460 appendix D.1 and D.2; `foo` stands for foo.example.com.
    const VECTORS: &[(&str, &str)] = &[
        ("HTTPS 0 foo", "000003666f6f076578616d706c6503636f6d00"),
        ("SVCB 1 .", "000100"),
        (
            "SVCB 16 foo port=53",
            "001003666f6f076578616d706c6503636f6d00000300020035",
        ),
        (
            "SVCB 1 foo key667=hello",
            "000103666f6f076578616d706c6503636f6d00029b000568656c6c6f",
        ),
        (
            r#"SVCB 1 foo key667="hello\210qoo""#,
            "000103666f6f076578616d706c6503636f6d00029b000968656c6c6fd2716f6f",
        ),
        (
            r#"SVCB 1 foo ipv6hint="2001:db8::1,2001:db8::53:1""#,
            "000103666f6f076578616d706c6503636f6d0000060020\
             20010db800000000000000000000000120010db8000000000000000000530001",
        ),
        (
            "SVCB 1 . ipv6hint=2001:db8:122:344::192.0.2.33",
            "0001000006001020010db80122034400000000c0000221",
        ),
        (
            "SVCB 16 foo (alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1)",
            "001003666f6f076578616d706c6503636f6d00000000040001000400010009026832\
             0568332d313900040004c0000201",
        ),
        (
            r#"SVCB 16 foo alpn="f\\\\oo\\,bar,h2""#,
            "001003666f6f076578616d706c6503636f6d000001000c08665c6f6f2c626172026832",
        ),
        (
            r"SVCB 16 foo alpn=f\\\092oo\092,bar,h2",
            "001003666f6f076578616d706c6503636f6d000001000c08665c6f6f2c626172026832",
        ),
    ];

    #[test]
    fn the_good_vectors_of_rfc_9460_hold_and_survive_writing() {
        for (text, expected) in VECTORS {
            let expected = expected.replace(' ', "");
            assert_eq!(wire(text), Ok(expected), "{text}");
            let zone = zone(text);
            let again = crate::zonefile::parse(zone.origin(), render(&zone).as_bytes());
            assert_eq!(again, Ok(zone), "{text}");
        }
    }

    #[test]
    fn the_bad_vectors_of_rfc_9460_are_refused() {
        use SvcProblem::*;
        let cases = [
            ("SVCB 1 foo (key123=abc key123=def)", DuplicateKey),
            ("SVCB 1 foo mandatory", UnknownKey),
            ("SVCB 1 foo alpn", BadValue),
            ("SVCB 1 foo port", BadValue),
            ("SVCB 1 foo no-default-alpn=abc", NoDefaultAlpnAlone),
            ("SVCB 1 foo alpn=h2 no-default-alpn=abc", BadValue),
            ("SVCB 1 foo mandatory=key123", Mandatory),
            ("SVCB 1 foo mandatory=mandatory", Mandatory),
            ("SVCB 1 foo (mandatory=key123,key123 key123=abc)", Mandatory),
            ("SVCB 1 foo no-default-alpn", NoDefaultAlpnAlone),
            ("SVCB 1 foo key0123=a", UnknownKey),
            ("SVCB 1 foo alpn=h2,,h3", BadValue),
            ("SVCB 1 foo port=65536", BadValue),
            ("SVCB 1 foo \"port=1\"", UnknownKey),
            ("SVCB 1 foo port\"1\"", BadValue),
            ("SVCB \\# 16 000100 0003 0002 0035 0001 0003 026832", Layout),
            ("SVCB \\# 15 000100 0003 0002 0035 0003 0002 0035", Layout),
            ("SVCB \\# 8 000100 0003 0002 00", Layout),
            ("SVCB \\# 8 000100 0003 0001 00", BadValue),
        ];
        for (text, problem) in cases {
            assert_eq!(wire(text), Err(Problem::Svc(problem)), "{text}");
        }
        assert_eq!(wire("SVCB 1 foo ipv4hint"), Err(Problem::BadAddress));
        assert_eq!(wire("SVCB 1 foo ipv6hint"), Err(Problem::BadAddress));
        assert_eq!(wire("SVCB 1 foo ech=x"), Err(Problem::BadBase64));
    }
}
