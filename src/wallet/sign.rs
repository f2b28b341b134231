//! Signatures for the inputs of a transaction: p2pkh, ECDSA over everything (`SIGHASH_ALL`).

use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::secp256k1::Message;
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{ScriptBuf, Transaction, ecdsa};

use super::keys::SigningKey;
use super::operation::Unsigned;

/// An input that none of the given keys can sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("none of the given keys can sign input {input}")]
pub struct MissingKey {
    /// Which input, from 0.
    pub input: usize,
}

/// The transaction with all inputs signed by the keys that they ask for.
pub fn sign(unsigned: &Unsigned, keys: &[&SigningKey]) -> Result<Transaction, MissingKey> {
    let mut signed = unsigned.transaction.clone();
    let inputs = signed.input.iter_mut().zip(&unsigned.prevouts);
    for (input, (target, prevout)) in inputs.enumerate() {
        let key = keys
            .iter()
            .find(|key| key.script() == prevout.script_pubkey)
            .ok_or(MissingKey { input })?;
        target.script_sig = script_sig(&unsigned.transaction, input, key);
    }
    Ok(signed)
}

/// Signature and public key, as a p2pkh output asks for them.
fn script_sig(transaction: &Transaction, input: usize, key: &SigningKey) -> ScriptBuf {
    let hash_type = EcdsaSighashType::All;
    let hash = SighashCache::new(transaction)
        .legacy_signature_hash(input, &key.script(), hash_type.to_u32())
        .expect("the input is one of the transaction's");
    let signature = ecdsa::Signature {
        signature: key.sign(&Message::from(hash)),
        sighash_type: hash_type,
    };
    let signature = PushBytesBuf::try_from(signature.to_vec()).expect("at most 73 bytes");
    Builder::new()
        .push_slice(signature)
        .push_slice(key.public_key())
        .into_script()
}
