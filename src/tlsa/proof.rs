//! Signatures by the keys of a name, in the form that subdomain records have of the reference.
//!
//! A proof is laid out as a script: `push(64-byte r||s) push(public key)` for one key, `00 push(r||s)… push(redeem script)`
//! for a multisig script of which exactly the needed number signed, in the order of the keys.

use bitcoin::secp256k1::{self, Message, PublicKey, Secp256k1, ecdsa};

use super::own_key::OwnKey;
use super::problem::Reason;
use crate::bns::address::Address;
use crate::hash::{h160, sha256};
use crate::virtualchain::script::{Token, tokens};

/// `OP_CHECKMULTISIG`.
const CHECKMULTISIG: u8 = 0xae;
/// Keys of a multisig script that fits into 520 bytes.
const KEYS_MAX: usize = 15;

/// Whose signature is looked for.
pub(super) enum Signer<'a> {
    /// The owner of a name.
    Owner(&'a Address),
    /// The data key of its zone file.
    DataKey(&'a OwnKey),
}

/// Whether `proof` is a signature over `digest` by `signer`.
pub(super) fn verify(proof: &[u8], digest: [u8; 32], signer: &Signer<'_>) -> Result<(), Reason> {
    let tokens: Vec<Token<'_>> = tokens(proof).take(KEYS_MAX + 3).collect();
    match (tokens.as_slice(), signer) {
        ([Token::Push(signature), Token::Push(key)], Signer::Owner(Address::P2pkh(hash)))
            if h160(key) == *hash =>
        {
            verify_one(signature, digest, &public_key(key)?)
        }
        ([Token::Push(signature), Token::Push(key)], Signer::DataKey(own))
            if public_key(key)? == own.public_key() =>
        {
            verify_one(signature, digest, &own.public_key())
        }
        (
            [Token::Empty, signatures @ .., Token::Push(script)],
            Signer::Owner(Address::P2sh(hash)),
        ) if h160(script) == *hash => verify_many(signatures, digest, script),
        _ => Err(Reason::BadSignature),
    }
}

/// The proof that the owner of one key makes.
pub(super) fn of_one(signature: &[u8; 64], public_key: &[u8; 33]) -> Vec<u8> {
    [&[64], &signature[..], &[33], &public_key[..]].concat()
}

/// Each signature belongs to a key, in the order of the keys, and there are as many as the script asks for.
fn verify_many(signatures: &[Token<'_>], digest: [u8; 32], script: &[u8]) -> Result<(), Reason> {
    let (needed, keys) = multisig(script).ok_or(Reason::BadSignature)?;
    if signatures.len() != needed {
        return Err(Reason::BadSignature);
    }
    let mut keys = keys.iter();
    for signature in signatures {
        let Token::Push(signature) = signature else {
            return Err(Reason::BadSignature);
        };
        let read = read(signature)?;
        if !keys.any(|key| is_by(&read, digest, key)) {
            return Err(Reason::BadSignature);
        }
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

fn verify_one(signature: &[u8], digest: [u8; 32], key: &PublicKey) -> Result<(), Reason> {
    let signature = read(signature)?;
    match is_by(&signature, digest, key) {
        true => Ok(()),
        false => Err(Reason::BadSignature),
    }
}

/// A signature of 64 bytes whose S is in the lower half, so that nobody can make a second one of it.
fn read(bytes: &[u8]) -> Result<ecdsa::Signature, Reason> {
    let signature = ecdsa::Signature::from_compact(bytes).map_err(|_| Reason::BadSignature)?;
    let mut low = signature;
    low.normalize_s();
    match low == signature {
        true => Ok(signature),
        false => Err(Reason::HighS),
    }
}

fn is_by(signature: &ecdsa::Signature, digest: [u8; 32], key: &PublicKey) -> bool {
    let message = Message::from_digest(digest);
    let verified = Secp256k1::verification_only().verify_ecdsa(&message, signature, key);
    verified.is_ok()
}

fn public_key(bytes: &[u8]) -> Result<PublicKey, Reason> {
    PublicKey::from_slice(bytes).map_err(|_: secp256k1::Error| Reason::BadSignature)
}

/// SHA-256 of `text` that no other use of the same key can have: the digest of the tag stands before it twice (BIP 340).
pub(super) fn tagged(tag: &str, text: &str) -> [u8; 32] {
    let tag = sha256(tag.as_bytes());
    let whole = [&tag[..], &tag[..], text.as_bytes()].concat();
    sha256(&whole)
}
