//! Base58check of addresses: 25 bytes as digits, five at a time.
//!
//! The texts of operations are full of addresses, and the general way, which carries every byte through every digit,
//! was a tenth of what the rules cost.

use crate::hash::sha256d;

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// The largest power of 58 below 2^32, and how many digits it has room for.
const GROUP: (u64, usize) = (58u64.pow(5), 5);
/// 200 bits in 32-bit numbers.
const LIMBS: usize = 7;
/// 58^35 is above 2^200.
const GROUPS: usize = 7;

/// The text of a version byte and a hash, with their checksum.
pub(super) fn encode_check(payload: &[u8; 21]) -> String {
    let mut bytes = [0; 4 * LIMBS];
    let (_, number) = bytes.split_at_mut(3);
    number[..21].copy_from_slice(payload);
    number[21..].copy_from_slice(&sha256d(payload)[..4]);
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    let mut limbs = bytes
        .as_chunks()
        .0
        .iter()
        .map(|limb| u32::from_be_bytes(*limb));
    let mut limbs: [u32; LIMBS] = std::array::from_fn(|_| limbs.next().unwrap_or(0));
    let mut digits = [0; GROUPS * GROUP.1];
    for group in digits.rchunks_exact_mut(GROUP.1) {
        let mut rest = divide(&mut limbs, GROUP.0);
        for digit in group.iter_mut().rev() {
            *digit = ALPHABET[rest % 58];
            rest /= 58;
        }
    }
    let padding = digits
        .iter()
        .take_while(|&&digit| digit == ALPHABET[0])
        .count();
    let (_, digits) = digits.split_at(padding.saturating_sub(zeros));
    str::from_utf8(digits).expect("digits are text").to_owned()
}

/// Divides a number, most significant limb first, and gives the rest.
fn divide(limbs: &mut [u32; LIMBS], divisor: u64) -> usize {
    let mut rest = 0;
    for limb in limbs {
        let value = rest << 32 | u64::from(*limb);
        *limb = (value / divisor) as u32;
        rest = value % divisor;
    }
    rest as usize
}

#[cfg(test)]
mod tests {
    use bitcoin::base58;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_everybody_writes(mut payload in any::<[u8; 21]>(), zeros in 0usize..=21) {
            payload[..zeros].fill(0);
            prop_assert_eq!(encode_check(&payload), base58::encode_check(&payload));
        }
    }
}
