//! Addresses as the later chain writes them (*c32check*): the same hash as in Bitcoin's, with other versions and digits.
//!
//! `S`, a digit for the version, and the 20 bytes and a checksum of 4 as a number in base 32, whose leading zeros are as
//! many as the leading zero bytes. The checksum is the front of the double SHA-256 of version and hash.

use crate::bns::address::Address;
use crate::hash::sha256d;

/// The digits by value; I, L, O and U are none.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Versions of the main network: of a key's hash (`SP`), of a script's (`SM`).
const P2PKH: u8 = 22;
const P2SH: u8 = 20;
/// Hash and checksum.
const LENGTH: usize = 24;
/// Longest text: `S`, version, and 192 bits as digits of 5.
const TEXT_MAX: usize = 2 + 39;

/// The address on the later chain of whoever has `address` on Bitcoin's.
pub fn encode(address: &Address) -> String {
    let version = if address.is_p2sh() { P2SH } else { P2PKH };
    let number = checked(version, address.hash());
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let mut digits = Vec::new();
    let (mut bits, mut held) = (0u32, 0);
    for byte in number.iter().rev() {
        bits |= u32::from(*byte) << held;
        held += 8;
        while held >= 5 {
            digits.push(digit(bits));
            bits >>= 5;
            held -= 5;
        }
    }
    digits.push(digit(bits));
    while digits.last() == Some(&'0') {
        digits.pop();
    }
    digits.extend(std::iter::repeat_n('0', zeros));
    digits.extend([digit(version.into()), 'S']);
    digits.iter().rev().collect()
}

/// The address that a text spells, exactly as [`encode`] writes it.
pub fn decode(text: &str) -> Option<Address> {
    let digits = text.strip_prefix('S').filter(|_| text.len() <= TEXT_MAX)?;
    let mut values = digits.bytes().map(value);
    let version = values.next()??;
    let mut number = [0u8; LENGTH];
    for value in values {
        let mut carry = u32::from(value?);
        for byte in number.iter_mut().rev() {
            carry |= u32::from(*byte) << 5;
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
    }
    let hash = *number.first_chunk()?;
    let address = match version {
        P2PKH => Address::P2pkh(hash),
        P2SH => Address::P2sh(hash),
        _ => return None,
    };
    (encode(&address) == text).then_some(address)
}

fn checked(version: u8, hash: [u8; 20]) -> [u8; LENGTH] {
    let checksum = sha256d(&[&[version][..], &hash].concat());
    let mut number = [0; LENGTH];
    let (front, end) = number.split_at_mut(20);
    front.copy_from_slice(&hash);
    end.copy_from_slice(&checksum[..4]);
    number
}

/// The digit of the lowest five bits.
fn digit(bits: u32) -> char {
    char::from(DIGITS[(bits & 31) as usize])
}

fn value(digit: u8) -> Option<u8> {
    let value = DIGITS.iter().position(|known| *known == digit)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash::{decode_hex, encode_hex};

    #[test]
    fn known_addresses_are_read_and_written() {
        // SIP-005 of the later chain.
        let cases = [
            (
                "SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7",
                "a46ff88886c2ef9762d970b4d2c63678835bd39d",
            ),
            (
                "SP000000000000000000002Q6VF78",
                "0000000000000000000000000000000000000000",
            ),
        ];
        for (text, hash) in cases {
            let address = decode(text).expect("an address");
            assert_eq!(encode_hex(&address.hash()), hash);
            assert_eq!(encode(&address), text);
        }
        let script = decode_hex("a46ff88886c2ef9762d970b4d2c63678835bd39d").expect("hex");
        let script = Address::P2sh(script.try_into().expect("20 bytes"));
        assert_eq!(encode(&script), "SM2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKQVX8X0G");
    }

    #[test]
    fn what_nobody_writes_is_no_address() {
        let known = "SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7";
        let longer = format!("SP0{}", &known[2..]);
        for text in [
            "",
            "S",
            "SP",
            "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
            &known[1..],
            &known.to_lowercase(),
            &longer,
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
        for place in 1..known.len() {
            let mut changed = known.as_bytes().to_vec();
            changed[place] = if changed[place] == b'2' { b'3' } else { b'2' };
            assert_eq!(decode(&String::from_utf8_lossy(&changed)), None, "{place}");
        }
    }

    proptest! {
        #[test]
        fn addresses_come_back(zeros in 0usize..20, mut hash in any::<[u8; 20]>(), script in any::<bool>()) {
            hash[..zeros].fill(0);
            let address = if script { Address::P2sh(hash) } else { Address::P2pkh(hash) };
            prop_assert_eq!(decode(&encode(&address)), Some(address));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = decode(&text);
        }
    }
}
