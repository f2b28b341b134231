//! Signatures by the owner of an address, laid out as the script that spends its coins would be.
//!
//! `push(64-byte r||s) push(public key)` for one key, `00 push(r||s)… push(redeem script)` for a multisig script of which
//! exactly the needed number signed, in the order of the keys. The proof names its key or script, so that its bytes and
//! the digest alone say whose it is. Subdomain records of the reference have this form (its `subdomains.py`).
//!
//! The work is bounded: one check for each key that a script of 520 bytes can hold.

use std::sync::LazyLock;

use bitcoin::secp256k1::{Message, PublicKey, Secp256k1, VerifyOnly, ecdsa};

use super::address::Address;
use crate::hash::h160;
use crate::virtualchain::script::{Token, tokens};

/// `OP_CHECKMULTISIG`.
const CHECKMULTISIG: u8 = 0xae;
/// `OP_PUSHDATA1`: the length of a push is in the next byte.
const PUSHDATA1: u8 = 0x4c;
/// `OP_PUSHDATA2`: it is in the next two, little end first.
const PUSHDATA2: u8 = 0x4d;
/// Keys of a multisig script that fits into 520 bytes.
const KEYS_MAX: usize = 15;

/// What signatures are checked with; making one takes as long as a part of a check.
static SECP: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);

/// Who made a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prover {
    /// Who has this key; its address is the hash of the bytes with which the proof spells it.
    Key(PublicKey, Address),
    /// Who has the keys of a multisig script with this address.
    Script(Address),
}

/// Why bytes are no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unproven {
    /// They have another form, or a signature is wrong.
    Wrong,
    /// S of a signature is in the upper half, where anybody can put it.
    HighS,
}

impl Prover {
    /// The address that it has.
    pub fn address(&self) -> Address {
        match self {
            Self::Key(_, address) | Self::Script(address) => *address,
        }
    }
}

/// Who made `proof` over `digest`.
pub fn prover(proof: &[u8], digest: [u8; 32]) -> Result<Prover, Unproven> {
    let tokens: Vec<Token<'_>> = tokens(proof).take(KEYS_MAX + 3).collect();
    match tokens.as_slice() {
        [Token::Push(signature), Token::Push(key)] => {
            let public = PublicKey::from_slice(key).map_err(|_| Unproven::Wrong)?;
            require(is_by(&read(signature)?, digest, &public))?;
            Ok(Prover::Key(public, Address::P2pkh(h160(key))))
        }
        [Token::Empty, signatures @ .., Token::Push(script)] => {
            verify_many(signatures, digest, script)?;
            Ok(Prover::Script(Address::P2sh(h160(script))))
        }
        _ => Err(Unproven::Wrong),
    }
}

/// The proof that the owner of one key makes.
pub fn of_one(signature: &[u8; 64], public_key: &[u8; 33]) -> Vec<u8> {
    [&[64], &signature[..], &[33], &public_key[..]].concat()
}

/// The proof that the owners of a multisig script make; the signatures are in the order of the keys.
pub fn of_many(signatures: &[[u8; 64]], script: &[u8]) -> Vec<u8> {
    let signatures = signatures.iter().flat_map(|signature| push(signature));
    [0].into_iter()
        .chain(signatures)
        .chain(push(script))
        .collect()
}

/// Bytes as a script pushes them, in the shortest way; at most 520 are (the limit of scripts for an element).
fn push(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let [low, high] = length.to_le_bytes();
    let head: &[u8] = match length {
        ..=0x4b => &[low],
        0x4c..=0xff => &[PUSHDATA1, low],
        _ => &[PUSHDATA2, low, high],
    };
    [head, bytes].concat()
}

/// Each signature belongs to a key, in the order of the keys, and there are as many as the script asks for.
fn verify_many(signatures: &[Token<'_>], digest: [u8; 32], script: &[u8]) -> Result<(), Unproven> {
    let (needed, keys) = multisig(script).ok_or(Unproven::Wrong)?;
    require(signatures.len() == needed)?;
    let mut keys = keys.iter();
    for signature in signatures {
        let Token::Push(signature) = signature else {
            return Err(Unproven::Wrong);
        };
        let read = read(signature)?;
        require(keys.any(|key| is_by(&read, digest, key)))?;
    }
    Ok(())
}

/// How many keys have to sign, and the keys of a multisig script.
fn multisig(script: &[u8]) -> Option<(usize, Vec<PublicKey>)> {
    let tokens: Vec<Token<'_>> = tokens(script).take(KEYS_MAX + 4).collect();
    let [
        Token::SmallInteger(needed),
        keys @ ..,
        Token::SmallInteger(count),
        Token::Opcode(CHECKMULTISIG),
    ] = tokens.as_slice()
    else {
        return None;
    };
    let (needed, count) = (usize::from(*needed), usize::from(*count));
    let keys: Option<Vec<PublicKey>> = keys
        .iter()
        .map(|token| match token {
            Token::Push(key) => PublicKey::from_slice(key).ok(),
            _ => None,
        })
        .collect();
    let keys = keys.filter(|keys| keys.len() == count && (1..=count).contains(&needed))?;
    Some((needed, keys))
}

/// A signature of 64 bytes whose S is in the lower half, so that nobody can make a second one of it.
fn read(bytes: &[u8]) -> Result<ecdsa::Signature, Unproven> {
    let signature = ecdsa::Signature::from_compact(bytes).map_err(|_| Unproven::Wrong)?;
    let mut low = signature;
    low.normalize_s();
    match low == signature {
        true => Ok(signature),
        false => Err(Unproven::HighS),
    }
}

fn is_by(signature: &ecdsa::Signature, digest: [u8; 32], key: &PublicKey) -> bool {
    let message = Message::from_digest(digest);
    SECP.verify_ecdsa(&message, signature, key).is_ok()
}

fn require(holds: bool) -> Result<(), Unproven> {
    match holds {
        true => Ok(()),
        false => Err(Unproven::Wrong),
    }
}
