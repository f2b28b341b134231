//! The hashes by which operations commit to names without saying them (wf §5).

use super::name::{NAME_MAX, Name, NamespaceId};
use crate::hash::{ConsensusHash, PreorderHash, UpdateHash, h160, hex_digit, sha256};

const BASE40: &[u8; 40] = b"0123456789abcdefghijklmnopqrstuvwxyz-_.+";

/// The commitment of a name preorder: name, script of the preordering sender, and the address that the
/// registration will name as owner, in the text of the followed network.
pub fn name_preorder_hash(name: &Name, sender_script: &[u8], owner_address: &str) -> PreorderHash {
    preorder_hash(name.as_str(), sender_script, owner_address)
}

/// The commitment of a namespace preorder: id, script of the payer, address of the revealer.
pub fn namespace_preorder_hash(
    id: &NamespaceId,
    sender_script: &[u8],
    revealer_address: &str,
) -> PreorderHash {
    preorder_hash(id.as_str(), sender_script, revealer_address)
}

/// How an update says which name it means, and which consensus hash its sender saw.
pub fn update_hash(name: &Name, consensus_hash: ConsensusHash) -> UpdateHash {
    // An update is compared with every name of its sender, so this allocates nothing.
    let mut text = [0; NAME_MAX + 2 * 16];
    let (name, digits) = (name.as_str().as_bytes(), hex_digits(consensus_hash.0));
    let length = name.len() + digits.len();
    text[..name.len()].copy_from_slice(name);
    text[name.len()..length].copy_from_slice(&digits);
    let digest = sha256(&text[..length]);
    let mut hash = [0; 16];
    hash.copy_from_slice(&digest[..16]);
    UpdateHash(hash)
}

fn hex_digits(bytes: [u8; 16]) -> [u8; 32] {
    std::array::from_fn(|place| {
        let byte = bytes[place / 2];
        hex_digit(if place % 2 == 0 { byte >> 4 } else { byte })
    })
}

fn preorder_hash(text: &str, script: &[u8], address: &str) -> PreorderHash {
    PreorderHash(h160(&[&base40(text), script, address.as_bytes()].concat()))
}

/// `text` as a base-40 number, most significant digit first, in as few bytes as hold it, at least one.
/// Leading `0` characters vanish (quirk ZERO-DROP).
fn base40(text: &str) -> Vec<u8> {
    let mut number: Vec<u8> = vec![0]; // little-endian bytes
    for character in text.bytes() {
        let digit = BASE40
            .iter()
            .position(|&digit| digit == character)
            .unwrap_or(0);
        let mut carry = digit;
        for byte in &mut number {
            carry += usize::from(*byte) * 40;
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        if carry > 0 {
            number.push(carry as u8);
        }
    }
    number.reverse();
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{decode_hex, encode_hex};

    #[test]
    fn base40_drops_leading_zeros() {
        // wf §5, table
        let cases = [
            ("muneeb.id", "87b0059d8e5d"),
            ("patrickstanley.id", "0381b828fc90005bc6ed845d"),
            ("id", "02dd"),
            ("foo.test", "0253b0250dfd"),
            ("test", "1cadfd"),
            ("a", "0a"),
            ("0.id", "f05d"),
            ("00.id", "f05d"),
            ("0", "00"),
        ];
        for (text, hex) in cases {
            assert_eq!(encode_hex(&base40(text)), hex, "{text}");
        }
    }

    #[test]
    fn commitments_match_the_main_network() {
        // wf §5, check values
        let script = decode_hex("76a91408d0dd44c1f0a3a4f0957ae95901929d7d66d55788ac").expect("hex");
        let name = "patrickstanley.id".parse().expect("a name");
        let hash = name_preorder_hash(&name, &script, "17CbHgTgBG3kLedXNneEKBkCTgW2fyrnUD");
        assert_eq!(hash.to_string(), "26bf7874706ac761afdd403ed6b3b9578fb01a34");
        let consensus_hash = "8d8762c37d82360b84cf4d87f32f7754".parse().expect("a hash");
        let update = update_hash(&"jude.id".parse().expect("a name"), consensus_hash);
        assert_eq!(update.to_string(), "d1062edb9ec9c85ad1aca6d37f2f5793");
    }
}
