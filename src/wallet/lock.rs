//! The scripts that can own names and pay for them: key hash, multisignature, and wrapped witness.
//!
//! Every input of an operation must spend p2pkh or p2sh (wf §1 step 4). A witness wrapped in p2sh
//! counts as p2sh; a native one voids the operation, which is why there is no such lock here.

use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::{OutPoint, PublicKey, ScriptBuf, TxOut, opcodes};

use super::coins::{Coin, KEY_HASH_SIZE};
use crate::bns::address::Address;

/// Size in virtual bytes of an input that spends a wrapped witness: 64 bytes and a quarter of 108.
const WRAPPED_SIZE: u64 = 91;
/// Longest signature with its hash type and push.
const SIGNATURE_SIZE: u64 = 73;
/// Most keys: what fits into a standard p2sh redeem script (520 bytes).
pub(crate) const KEYS_MAX: usize = 15;

/// What it takes to spend an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// p2pkh: one key.
    KeyHash(PublicKey),
    /// p2sh-p2wpkh: one key, its signature in the witness. Pays, but does not own names.
    WrappedWitness(PublicKey),
    /// p2sh: so many signatures of these keys.
    Multisig {
        /// How many.
        required: usize,
        /// Of which.
        keys: Vec<PublicKey>,
    },
}

/// Why keys do not make a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// None or too many.
    #[error("a multisignature address has 1 to {KEYS_MAX} keys")]
    Keys,
    /// More signatures than keys.
    #[error("an address cannot require more signatures than it has keys, and needs at least one")]
    Required,
}

impl Lock {
    /// A multisignature lock.
    pub fn multisig(required: usize, keys: Vec<PublicKey>) -> Result<Self, LockError> {
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(LockError::Keys);
        }
        if required == 0 || required > keys.len() {
            return Err(LockError::Required);
        }
        Ok(Self::Multisig { required, keys })
    }

    /// An output as a coin that this opens.
    pub fn coin(&self, outpoint: OutPoint, output: TxOut) -> Coin {
        Coin {
            outpoint,
            output,
            input_size: self.input_size(),
        }
    }

    /// The script that it locks.
    pub fn script(&self) -> ScriptBuf {
        match self {
            Self::KeyHash(key) => ScriptBuf::new_p2pkh(&key.pubkey_hash()),
            Self::WrappedWitness(_) | Self::Multisig { .. } => {
                self.redeem().unwrap_or_default().to_p2sh()
            }
        }
    }

    /// The script behind a p2sh script.
    pub fn redeem(&self) -> Option<ScriptBuf> {
        match self {
            Self::KeyHash(_) => None,
            // Only compressed keys have a witness program; ours always are.
            Self::WrappedWitness(key) => {
                let hash = key.wpubkey_hash().ok();
                hash.map(|hash| ScriptBuf::new_p2wpkh(&hash))
            }
            Self::Multisig { required, keys } => {
                let mut script = Builder::new().push_int(*required as i64);
                for key in keys {
                    script = script.push_key(key);
                }
                let script = script.push_int(keys.len() as i64);
                let script = script.push_opcode(opcodes::all::OP_CHECKMULTISIG);
                Some(script.into_script())
            }
        }
    }

    /// Its address.
    pub fn address(&self) -> Address {
        Address::of_script(self.script().as_bytes()).expect("p2pkh and p2sh have an address")
    }

    /// Whose signatures it takes.
    pub fn keys(&self) -> &[PublicKey] {
        match self {
            Self::KeyHash(key) | Self::WrappedWitness(key) => std::slice::from_ref(key),
            Self::Multisig { keys, .. } => keys,
        }
    }

    /// Size in virtual bytes of an input that opens it.
    pub(crate) fn input_size(&self) -> u64 {
        match self {
            Self::KeyHash(_) => KEY_HASH_SIZE,
            Self::WrappedWitness(_) => WRAPPED_SIZE,
            Self::Multisig { required, .. } => {
                let redeem = self.redeem().map_or(0, |script| script.len() as u64);
                41 + 3 + 1 + 3 + SIGNATURE_SIZE * *required as u64 + redeem
            }
        }
    }

    /// A scriptSig of the right form whose signature is a placeholder: rules look at its public key only
    /// (wf §3).
    pub(crate) fn placeholder(&self) -> ScriptBuf {
        match self {
            Self::KeyHash(key) => Builder::new()
                .push_slice([0x30; 71])
                .push_key(key)
                .into_script(),
            Self::WrappedWitness(_) | Self::Multisig { .. } => {
                let redeem = self.redeem().unwrap_or_default();
                let redeem = PushBytesBuf::try_from(redeem.into_bytes());
                Builder::new()
                    .push_slice(redeem.expect("at most 520 bytes"))
                    .into_script()
            }
        }
    }

    /// The output descriptor (BIP 381, 383) without its checksum.
    pub fn descriptor(&self) -> String {
        match self {
            Self::KeyHash(key) => format!("pkh({key})"),
            Self::WrappedWitness(key) => format!("sh(wpkh({key}))"),
            Self::Multisig { required, keys } => {
                let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
                format!("sh(multi({required},{}))", keys.join(","))
            }
        }
    }
}
