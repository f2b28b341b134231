//! Canonical text of an accepted operation: `opcode:` and netstrings (ch §1).

use std::fmt::{self, Display, Write as _};

use bitcoin::Txid;
use bitcoin::hashes::Hash as _;

use crate::hash::hex_digit;

/// Decimal digits of a u64, at most.
const DIGITS: usize = 20;

/// A number in decimal. The texts of operations are full of them, and going through [`Display`] costs more than the digits.
fn decimal(mut number: u64, digits: &mut [u8; DIGITS]) -> &[u8] {
    let mut first = DIGITS;
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    &digits[first..]
}

/// Builds the text that enters the ops hash: one opcode character, a colon, then a netstring a field.
#[derive(Debug, Clone)]
pub struct Serializer {
    text: Vec<u8>,
    /// How long the text is before its first field.
    head: usize,
    /// A field whose length is not known before it is written.
    value: String,
}

impl Serializer {
    /// Begins the text of an operation with its on-chain opcode character.
    pub fn new(opcode: char) -> Self {
        let mut text = Vec::with_capacity(512);
        text.extend_from_slice(opcode.encode_utf8(&mut [0; 4]).as_bytes());
        text.push(b':');
        Self {
            head: text.len(),
            text,
            value: String::new(),
        }
    }

    /// Appends a field as its displayed text.
    pub fn field(&mut self, value: impl Display) -> &mut Self {
        let mut text = std::mem::take(&mut self.value);
        write!(text, "{value}").expect("writing to a string cannot fail");
        self.text(&text);
        text.clear();
        self.value = text;
        self
    }

    /// Appends a field that is a text already.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.begin(text.len()).extend_from_slice(text.as_bytes());
        self
    }

    /// Appends a number in decimal.
    pub fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        let mut digits = [0; DIGITS];
        let digits = decimal(number.into(), &mut digits);
        self.begin(digits.len()).extend_from_slice(digits);
        self
    }

    /// Appends a field that may be absent, which is the empty string.
    pub fn optional(&mut self, value: Option<impl Display>) -> &mut Self {
        match value {
            Some(value) => self.field(value),
            None => self.field(""),
        }
    }

    /// Appends bytes as lower-case hex.
    pub fn hex(&mut self, bytes: &[u8]) -> &mut Self {
        push_hex(bytes.iter(), self.begin(2 * bytes.len()));
        self
    }

    /// Appends bytes that may be absent, which is the empty string.
    pub fn optional_hex(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        self.hex(bytes.unwrap_or_default())
    }

    /// Appends a txid as it is shown: its bytes in reverse.
    pub fn txid(&mut self, txid: Txid) -> &mut Self {
        let bytes = txid.as_byte_array();
        push_hex(bytes.iter().rev(), self.begin(2 * bytes.len()));
        self
    }

    /// Separates the next field from the one before, and gives the text for its `length` bytes.
    fn begin(&mut self, length: usize) -> &mut Vec<u8> {
        if self.text.len() > self.head {
            self.text.push(b',');
        }
        let mut digits = [0; DIGITS];
        let digits = decimal(length as u64, &mut digits);
        self.text.extend_from_slice(digits);
        self.text.push(b':');
        self.text.reserve(length);
        &mut self.text
    }

    /// Appends a truth value as `True` or `False`.
    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.text(if value { "True" } else { "False" })
    }

    /// The finished text.
    pub fn finish(self) -> String {
        String::from_utf8(self.text).expect("it is put together from texts")
    }
}

fn push_hex<'b>(bytes: impl Iterator<Item = &'b u8>, text: &mut Vec<u8>) {
    for byte in bytes {
        text.extend_from_slice(&[hex_digit(byte >> 4), hex_digit(*byte)]);
    }
}

/// The opcode character of a canonical text, and its first field.
pub fn first_field(text: &str) -> Option<(char, &str)> {
    let (opcode, rest) = text.split_at_checked(1)?;
    let (length, rest) = rest.strip_prefix(':')?.split_once(':')?;
    let field = rest.get(..length.parse().ok()?)?;
    Some((opcode.chars().next()?, field))
}

/// The opcode character of a canonical text, and all its fields; `None` unless the text is exactly what a [`Serializer`]
/// makes of them.
pub fn fields(text: &str) -> Option<(char, Vec<&str>)> {
    let (opcode, mut rest) = text.split_at_checked(1)?;
    let mut fields = Vec::with_capacity(24);
    let mut separator = b':';
    while let Some((&first, behind)) = rest.as_bytes().split_first() {
        let digits = behind.iter().position(|byte| *byte == b':')?;
        let length = rest.get(1..=digits)?;
        let is_canonical = length == "0" || !length.starts_with(['0', '+']);
        let number: usize = length.parse().ok().filter(|_| is_canonical)?;
        let (field, behind) = rest.get(digits + 2..)?.split_at_checked(number)?;
        if first != separator {
            return None;
        }
        fields.push(field);
        rest = behind;
        separator = b',';
    }
    (!fields.is_empty()).then_some((opcode.chars().next()?, fields))
}

/// A double as Python 2 prints it with `str`: 12 significant digits, exponent form from 1e11 rounded up
/// and below 1e-4, always a point or an exponent (ch §1).
#[derive(Debug, Clone, Copy)]
pub struct PythonFloat(pub f64);

impl Display for PythonFloat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scientific = format!("{:.11e}", self.0);
        let Some((mantissa, exponent)) = scientific.split_once('e') else {
            return f.write_str(&scientific); // "inf" and "NaN", which no price is
        };
        let exponent: i32 = exponent.parse().unwrap_or(0);
        if (-4..11).contains(&exponent) {
            let decimals = usize::try_from(11 - exponent).unwrap_or(0);
            let fixed = format!("{:.decimals$}", self.0);
            let trimmed = fixed.trim_end_matches('0').trim_end_matches('.');
            let point = if trimmed.contains('.') { "" } else { ".0" };
            write!(f, "{trimmed}{point}")
        } else {
            let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
            let sign = if exponent < 0 { '-' } else { '+' };
            write!(f, "{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_print_as_in_the_reference() {
        let cases = [
            (100_000.0, "100000.0"),
            (1_333_333.333_333_333_3, "1333333.33333"),
            (39_062.5, "39062.5"),
            (99_999_999_999.0, "99999999999.0"),
            (1e11, "1e+11"),
            (123_456_789_012_345.0, "1.23456789012e+14"),
            (10_240_000.000_000_002, "10240000.0"),
            (0.0, "0.0"),
        ];
        for (value, text) in cases {
            assert_eq!(PythonFloat(value).to_string(), text);
        }
    }

    #[test]
    fn numbers_are_written_as_displayed() {
        for number in [0, 9, 10, 4_294_967_296, u64::MAX] {
            let (mut ours, mut shown) = (Serializer::new('?'), Serializer::new('?'));
            ours.number(number);
            shown.field(number);
            assert_eq!(ours.finish(), shown.finish());
        }
    }

    #[test]
    fn fields_are_netstrings() {
        let mut text = Serializer::new(':');
        text.field("foo.id")
            .optional(None::<u32>)
            .field(12)
            .boolean(false)
            .hex(&[0xab]);
        let text = text.finish();
        assert_eq!(text, "::6:foo.id,0:,2:12,5:False,2:ab");
        let read = fields(&text).expect("fields");
        assert_eq!(read, (':', vec!["foo.id", "", "12", "False", "ab"]));
    }

    #[test]
    fn a_text_that_nobody_writes_has_no_fields() {
        for text in [
            "",
            ":",
            "::",
            "::3:ab",
            "::02:ab",
            "::+2:ab",
            "::2:ab,",
            "::2:ab;1:c",
            "::2:abc",
            ":2:ab",
            "é:1:a",
        ] {
            assert_eq!(fields(text), None, "{text}");
        }
    }
}
