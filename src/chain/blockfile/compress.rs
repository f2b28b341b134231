//! The compact forms of integers, amounts and scripts in Bitcoin Core's undo data and coin database.
//!
//! - Integers: base 128, most significant digit first, each digit but the last reduced by one so that no
//!   number has two spellings (Core's `VARINT`, which is *not* the length prefix of Bitcoin's network format).
//! - Amounts: trailing decimal zeros are taken out, since most amounts are round.
//! - Scripts: the six usual forms become a tag 0 to 5 and their hash or key; any other script is its length
//!   plus 6 and its bytes.
//!
//! Follows `serialize.h` (`WriteVarInt`) and `compressor.cpp` of Bitcoin Core. Reading never panics and
//! never takes more memory than the input holds, but for a script that is too long to be spendable,
//! which becomes a lone `OP_RETURN` as in Core.

use bitcoin::hashes::Hash as _;
use bitcoin::script::Script;
use bitcoin::{Amount, PubkeyHash, PublicKey, ScriptBuf, ScriptHash};

/// Longest script in bytes that can ever be spent (Bitcoin Core, `MAX_SCRIPT_SIZE`).
const MAX_SCRIPT_SIZE: u64 = 10_000;

/// How many special forms scripts have; other lengths are shifted by this.
const SPECIAL_SCRIPTS: u64 = 6;

/// Why bytes are not compressed data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompressError {
    /// The input ends inside a value.
    #[error("it ends inside a value")]
    Short,
    /// An integer beyond 64 bits.
    #[error("it holds an integer beyond 64 bits")]
    Integer,
    /// An amount beyond 64 bits.
    #[error("it holds an amount beyond 64 bits")]
    Amount,
}

/// Takes `length` bytes off the front of `input`.
pub fn take<'a>(input: &mut &'a [u8], length: usize) -> Result<&'a [u8], CompressError> {
    let (taken, rest) = input.split_at_checked(length).ok_or(CompressError::Short)?;
    *input = rest;
    Ok(taken)
}

/// Appends an integer.
pub fn write_integer(output: &mut Vec<u8>, mut value: u64) {
    let start = output.len();
    output.push((value & 0x7f) as u8);
    while value > 0x7f {
        value = (value >> 7) - 1;
        output.push((value & 0x7f) as u8 | 0x80);
    }
    if let Some(digits) = output.get_mut(start..) {
        digits.reverse();
    }
}

/// Takes an integer off the front of `input`.
pub fn read_integer(input: &mut &[u8]) -> Result<u64, CompressError> {
    let mut value = 0u64;
    loop {
        let digit = take(input, 1)?.first().copied().unwrap_or_default();
        if value > u64::MAX >> 7 {
            return Err(CompressError::Integer);
        }
        value = value << 7 | u64::from(digit & 0x7f);
        if digit & 0x80 == 0 {
            return Ok(value);
        }
        value = value.checked_add(1).ok_or(CompressError::Integer)?;
    }
}

/// The compact form of an amount (`CompressAmount`).
///
/// Amounts are at most 21 million bitcoin, far below where the form would overflow.
pub fn compress_amount(amount: Amount) -> u64 {
    let mut value = amount.to_sat();
    if value == 0 {
        return 0;
    }
    let mut exponent = 0;
    while value.is_multiple_of(10) && exponent < 9 {
        value /= 10;
        exponent += 1;
    }
    if exponent < 9 {
        let (rest, digit) = (value / 10, value % 10);
        1 + (rest * 9 + digit - 1) * 10 + exponent
    } else {
        1 + (value - 1) * 10 + 9
    }
}

/// The amount of a compact form (`DecompressAmount`).
pub fn decompress_amount(form: u64) -> Result<Amount, CompressError> {
    let Some(form) = form.checked_sub(1) else {
        return Ok(Amount::ZERO);
    };
    let (exponent, rest) = (form % 10, form / 10);
    let mantissa = if exponent < 9 {
        let digit = rest % 9 + 1;
        (rest / 9)
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(digit))
    } else {
        rest.checked_add(1)
    };
    mantissa
        .and_then(|mantissa| mantissa.checked_mul(10u64.pow(exponent as u32)))
        .map(Amount::from_sat)
        .ok_or(CompressError::Amount)
}

/// Appends a script in its compact form.
pub fn write_script(output: &mut Vec<u8>, script: &Script) {
    match special_form(script.as_bytes()) {
        Some((tag, body)) => {
            output.push(tag);
            output.extend_from_slice(body);
        }
        None => {
            write_integer(output, script.len() as u64 + SPECIAL_SCRIPTS);
            output.extend_from_slice(script.as_bytes());
        }
    }
}

/// Takes a script off the front of `input`.
pub fn read_script(input: &mut &[u8]) -> Result<ScriptBuf, CompressError> {
    let form = read_integer(input)?;
    let Some(length) = form.checked_sub(SPECIAL_SCRIPTS) else {
        return read_special(form, input);
    };
    let held = usize::try_from(length).map_err(|_| CompressError::Short)?;
    let bytes = take(input, held)?;
    if length > MAX_SCRIPT_SIZE {
        return Ok(ScriptBuf::from_bytes(vec![0x6a]));
    }
    Ok(ScriptBuf::from_bytes(bytes.to_vec()))
}

/// Tag and body of a script that has a special form.
fn special_form(script: &[u8]) -> Option<(u8, &[u8])> {
    match script {
        [0x76, 0xa9, 0x14, hash @ .., 0x88, 0xac] if hash.len() == 20 => Some((0, hash)),
        [0xa9, 0x14, hash @ .., 0x87] if hash.len() == 20 => Some((1, hash)),
        [0x21, tag @ (2 | 3), x @ .., 0xac] if x.len() == 32 => Some((*tag, x)),
        [0x41, key @ .., 0xac] if key.len() == 65 => uncompressed_form(key),
        _ => None,
    }
}

/// Only a point on the curve can be restored from its first coordinate.
fn uncompressed_form(key: &[u8]) -> Option<(u8, &[u8])> {
    let ([4, x_and_y @ ..], Some(last)) = (key, key.last()) else {
        return None;
    };
    PublicKey::from_slice(key).ok()?;
    Some((4 | (last & 1), x_and_y.get(..32)?))
}

fn read_special(tag: u64, input: &mut &[u8]) -> Result<ScriptBuf, CompressError> {
    Ok(match tag {
        0 => ScriptBuf::new_p2pkh(&PubkeyHash::from_byte_array(take_array(input)?)),
        1 => ScriptBuf::new_p2sh(&ScriptHash::from_byte_array(take_array(input)?)),
        2 | 3 => {
            let x: [u8; 32] = take_array(input)?;
            ScriptBuf::from_bytes([&[0x21, tag as u8][..], &x, &[0xac]].concat())
        }
        _ => read_uncompressed(tag, take_array(input)?),
    })
}

/// A coordinate that is not on the curve restores to an empty script, as `CTxOut`'s stays in Core.
fn read_uncompressed(tag: u64, x: [u8; 32]) -> ScriptBuf {
    let compressed = [&[tag as u8 - 2][..], &x].concat();
    match PublicKey::from_slice(&compressed) {
        Ok(key) => {
            let whole = key.inner.serialize_uncompressed();
            ScriptBuf::from_bytes([&[0x41][..], &whole, &[0xac]].concat())
        }
        Err(_) => ScriptBuf::new(),
    }
}

fn take_array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], CompressError> {
    take(input, N)?.try_into().map_err(|_| CompressError::Short)
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::{Secp256k1, SecretKey};
    use proptest::prelude::*;

    use super::*;

    fn integer(value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_integer(&mut bytes, value);
        bytes
    }

    fn script_there_and_back(script: &Script) -> (Vec<u8>, ScriptBuf) {
        let mut bytes = Vec::new();
        write_script(&mut bytes, script);
        let mut rest = bytes.as_slice();
        let back = read_script(&mut rest).expect("what was written");
        assert!(rest.is_empty());
        (bytes, back)
    }

    #[test]
    fn integers_are_spelled_as_in_core() {
        // From Bitcoin Core's serialize_tests (varints_bitpatterns).
        assert_eq!(integer(0), [0x00]);
        assert_eq!(integer(0x7f), [0x7f]);
        assert_eq!(integer(0x80), [0x80, 0x00]);
        assert_eq!(integer(0x1234), [0xa3, 0x34]);
        assert_eq!(integer(0xffff), [0x82, 0xfe, 0x7f]);
        assert_eq!(integer(0x7fff_ffff), [0x86, 0xfe, 0xfe, 0xfe, 0x7f]);
        let largest = [0x80, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x7f];
        assert_eq!(integer(u64::MAX), largest);
    }

    #[test]
    fn integers_beyond_64_bits_are_refused() {
        let mut long = &[0xff; 11][..];
        assert_eq!(read_integer(&mut long), Err(CompressError::Integer));
        let mut short = &[0x80][..];
        assert_eq!(read_integer(&mut short), Err(CompressError::Short));
    }

    #[test]
    fn amounts_are_compressed_as_in_core() {
        // From Bitcoin Core's compress_tests.
        for (satoshi, form) in [
            (0, 0x0),
            (1, 0x1),
            (1_000_000, 0x7),
            (100_000_000, 0x9),
            (50 * 100_000_000, 0x32),
            (21_000_000 * 100_000_000, 0x140_6f40),
        ] {
            assert_eq!(compress_amount(Amount::from_sat(satoshi)), form);
            assert_eq!(decompress_amount(form), Ok(Amount::from_sat(satoshi)));
        }
        assert_eq!(decompress_amount(u64::MAX), Err(CompressError::Amount));
    }

    #[test]
    fn each_special_script_takes_its_short_form() {
        let secp = Secp256k1::new();
        let secret = SecretKey::from_slice(&[7; 32]).expect("a valid key");
        let mut key = PublicKey::new(secret.public_key(&secp));
        let compressed = ScriptBuf::new_p2pk(&key);
        key.compressed = false;
        let uncompressed = ScriptBuf::new_p2pk(&key);
        let cases = [
            (ScriptBuf::new_p2pkh(&key.pubkey_hash()), 21),
            (ScriptBuf::new_p2sh(&compressed.script_hash()), 21),
            (compressed, 33),
            (uncompressed, 33),
            (ScriptBuf::from_bytes(vec![0x51; 9]), 10),
        ];
        for (script, length) in cases {
            let (bytes, back) = script_there_and_back(&script);
            assert_eq!((bytes.len(), back), (length, script));
        }
    }

    #[test]
    fn a_point_off_the_curve_is_no_special_script() {
        let off_curve = [&[0x41, 0x04][..], &[0xff; 64], &[0xac]].concat();
        let (bytes, back) = script_there_and_back(Script::from_bytes(&off_curve));
        assert_eq!((bytes.len(), back.into_bytes()), (68, off_curve));
    }

    #[test]
    fn an_overlong_script_becomes_op_return() {
        let long = ScriptBuf::from_bytes(vec![0x51; 10_001]);
        assert_eq!(script_there_and_back(&long).1.into_bytes(), [0x6a]);
        let mut claimed = Vec::new();
        write_integer(&mut claimed, u64::MAX);
        assert_eq!(
            read_script(&mut claimed.as_slice()),
            Err(CompressError::Short)
        );
    }

    proptest! {
        #[test]
        fn integers_go_both_ways(value: u64) {
            let bytes = integer(value);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(read_integer(&mut rest), Ok(value));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn amounts_go_both_ways(satoshi in 0..=2_100_000_000_000_000u64) {
            let amount = Amount::from_sat(satoshi);
            prop_assert_eq!(decompress_amount(compress_amount(amount)), Ok(amount));
        }

        #[test]
        fn scripts_go_both_ways(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let script = ScriptBuf::from_bytes(bytes);
            prop_assert_eq!(script_there_and_back(&script).1, script);
        }

        #[test]
        fn no_bytes_panic_the_readers(bytes in prop::collection::vec(any::<u8>(), 0..80), form: u64) {
            let _ = read_integer(&mut bytes.as_slice());
            let _ = read_script(&mut bytes.as_slice());
            let _ = decompress_amount(form);
        }
    }
}
