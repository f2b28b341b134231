//! Names and strings as zone files spell them (RFC 1035 §5.1): escapes, relative names, labels.
//!
//! Everything stays bytes: a label may hold any byte, and no IDNA or UTF-8 rule is applied.

use hickory_proto::rr::Name;

use super::problem::Problem;

/// Longest label in bytes (RFC 1035 §2.3.4).
const LABEL_MAX: usize = 63;

/// The name that `text` spells: `@`, absolute with a final dot, or relative to `origin`.
///
/// `origin` is `None` after a `$ORIGIN` that could not be read. The case is kept.
pub(super) fn parse_name(text: &[u8], origin: Option<&Name>) -> Result<Name, Problem> {
    match text {
        b"@" => origin.cloned().ok_or(Problem::OriginUnknown),
        b"." => Ok(Name::root()),
        _ => {
            let (labels, ending) = split_labels(text)?;
            let name = append_labels(Name::new(), labels.iter().map(Vec::as_slice))?;
            match ending {
                Ending::Absolute => Ok(fully_qualified(name)),
                Ending::Relative => {
                    let origin = origin.ok_or(Problem::OriginUnknown)?;
                    append_labels(name, origin.iter()).map(fully_qualified)
                }
            }
        }
    }
}

/// The bytes of a string, its escapes resolved (RFC 1035 §5.1: `\X` and `\DDD`).
pub(super) fn unescape(text: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, _, after)) = next_byte(rest)? {
        bytes.push(byte);
        rest = after;
    }
    Ok(bytes)
}

/// Writes a label so that [`parse_name`] reads it back.
pub(super) fn write_label(text: &mut String, label: &[u8]) {
    for &byte in label {
        match byte {
            b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b'!'..=b'~' => text.push(char::from(byte)),
            _ => write_decimal(text, byte),
        }
    }
}

/// Writes a string in quotes so that [`unescape`] reads it back.
///
/// `;` is escaped although it is quoted, because the reference's parser takes a bare one for a comment.
pub(super) fn write_quoted(text: &mut String, bytes: &[u8]) {
    text.push('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' | b';' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' '..=b'~' => text.push(char::from(byte)),
            _ => write_decimal(text, byte),
        }
    }
    text.push('"');
}

fn write_decimal(text: &mut String, byte: u8) {
    text.push('\\');
    for divisor in [100, 10, 1] {
        text.push(char::from(b'0' + byte / divisor % 10));
    }
}

#[derive(Clone, Copy)]
enum Ending {
    Absolute,
    Relative,
}

fn split_labels(text: &[u8]) -> Result<(Vec<Vec<u8>>, Ending), Problem> {
    let mut labels = Vec::new();
    let mut label = Vec::new();
    let mut rest = text;
    while let Some((byte, spelling, after)) = next_byte(rest)? {
        rest = after;
        match spelling {
            Spelling::Plain if byte == b'.' => labels.push(closed(&mut label)?),
            _ => label.push(byte),
        }
    }
    if label.is_empty() && !labels.is_empty() {
        return Ok((labels, Ending::Absolute));
    }
    labels.push(closed(&mut label)?);
    Ok((labels, Ending::Relative))
}

fn closed(label: &mut Vec<u8>) -> Result<Vec<u8>, Problem> {
    if label.is_empty() || label.len() > LABEL_MAX {
        return Err(Problem::BadName);
    }
    Ok(std::mem::take(label))
}

fn append_labels<'l>(
    name: Name,
    mut labels: impl Iterator<Item = &'l [u8]>,
) -> Result<Name, Problem> {
    // `append_label` refuses what would exceed 255 bytes.
    labels
        .try_fold(name, Name::append_label)
        .map_err(|_| Problem::BadName)
}

fn fully_qualified(mut name: Name) -> Name {
    name.set_fqdn(true);
    name
}

/// Whether a byte stood for itself or behind a backslash, where `.` is no separator.
#[derive(Clone, Copy)]
enum Spelling {
    Plain,
    Escaped,
}

type NextByte<'t> = Option<(u8, Spelling, &'t [u8])>;

fn next_byte(text: &[u8]) -> Result<NextByte<'_>, Problem> {
    match text {
        [] => Ok(None),
        [b'\\', rest @ ..] => escaped_byte(rest).map(Some),
        [byte, rest @ ..] => Ok(Some((*byte, Spelling::Plain, rest))),
    }
}

fn escaped_byte(text: &[u8]) -> Result<(u8, Spelling, &[u8]), Problem> {
    match text {
        [a @ b'0'..=b'2', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => {
            let value = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
            let byte = u8::try_from(value).map_err(|_| Problem::BadEscape)?;
            Ok((byte, Spelling::Escaped, rest))
        }
        [] | [b'0'..=b'9', ..] => Err(Problem::BadEscape),
        [byte, rest @ ..] => Ok((*byte, Spelling::Escaped, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Name {
        Name::from_ascii("foo.id.").expect("a name")
    }

    fn labels(text: &[u8]) -> Vec<Vec<u8>> {
        let name = parse_name(text, Some(&origin())).expect("a name");
        name.iter().map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn names_are_relative_unless_they_end_in_a_dot() {
        assert_eq!(labels(b"@"), [b"foo".to_vec(), b"id".to_vec()]);
        assert_eq!(labels(b"Www"), labels(b"Www.foo.id."));
        assert_eq!(labels(b"."), Vec::<Vec<u8>>::new());
        assert_eq!(labels(b"a\\.b")[0], b"a.b");
        assert_eq!(labels(b"\\046\\000x")[0], b".\0x");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = [b'a'; 64];
        let deep = b"a.".repeat(127);
        let too_deep = b"a.".repeat(128);
        let cases: [(&[u8], Problem); 8] = [
            (b"", Problem::BadName),
            (b"..", Problem::BadName),
            (b"a..b", Problem::BadName),
            (b".a", Problem::BadName),
            (&long, Problem::BadName),
            (&too_deep, Problem::BadName),
            (b"a\\25", Problem::BadEscape),
            (b"a\\256", Problem::BadEscape),
        ];
        for (text, problem) in cases {
            assert_eq!(parse_name(text, Some(&origin())), Err(problem), "{text:?}");
        }
        assert!(parse_name(&deep, None).is_ok());
        assert_eq!(parse_name(b"a", None), Err(Problem::OriginUnknown));
    }

    #[test]
    fn every_byte_survives_writing_and_reading() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut quoted = String::new();
        write_quoted(&mut quoted, &bytes);
        let inner = quoted.trim_matches('"');
        assert_eq!(unescape(inner.as_bytes()), Ok(bytes.clone()));
        for label in bytes.chunks(LABEL_MAX) {
            let mut text = String::new();
            write_label(&mut text, label);
            assert_eq!(labels(text.as_bytes())[0], label);
        }
    }
}
