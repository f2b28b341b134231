//! A secret under a passphrase: XChaCha20-Poly1305 with a key that argon2id makes (RFC 9106).

use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::VaultError;
use crate::wallet::hex;

/// Memory of argon2id in KiB for new files (RFC 9106 §4 recommends 64 MiB where memory is short).
const MEMORY_KIB: u32 = 64 * 1024;
/// Passes of argon2id for new files.
const PASSES: u32 = 3;
/// Bounds for the parameters of a file: a changed file must neither weaken the key nor eat all memory.
const MEMORY_RANGE: std::ops::RangeInclusive<u32> = MEMORY_KIB..=1024 * 1024;
const PASSES_RANGE: std::ops::RangeInclusive<u32> = 1..=16;

/// A sealed secret as a key file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sealed {
    kdf: Kdf,
    pub(super) memory_kib: u32,
    passes: u32,
    #[serde(with = "hex::bytes")]
    salt: [u8; 16],
    cipher: Cipher,
    #[serde(with = "hex::bytes")]
    nonce: [u8; 24],
    #[serde(with = "hex::bytes")]
    text: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kdf {
    Argon2id,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Cipher {
    XChaCha20Poly1305,
}

impl Sealed {
    /// Seals a text; `head` is authenticated along with it.
    pub(super) fn seal(head: &[u8], text: &[u8], passphrase: &[u8]) -> Result<Self, VaultError> {
        let (mut salt, mut nonce) = ([0; 16], [0; 24]);
        getrandom::fill(&mut salt).expect("the system has randomness");
        getrandom::fill(&mut nonce).expect("the system has randomness");
        let key = stretch(passphrase, &salt, MEMORY_KIB, PASSES)?;
        let payload = Payload {
            msg: text,
            aad: head,
        };
        let text = XChaCha20Poly1305::new((&*key).into())
            .encrypt(XNonce::from_slice(&nonce), payload)
            .expect("a key is short enough to encrypt");
        Ok(Self {
            kdf: Kdf::Argon2id,
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            salt,
            cipher: Cipher::XChaCha20Poly1305,
            nonce,
            text,
        })
    }

    /// The text, if passphrase and `head` are those that it was sealed with. `path` is that of the file.
    pub(super) fn open(
        &self,
        head: &[u8],
        passphrase: &[u8],
        path: &Path,
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        if !MEMORY_RANGE.contains(&self.memory_kib) || !PASSES_RANGE.contains(&self.passes) {
            return Err(VaultError::Malformed(path.to_owned()));
        }
        let key = stretch(passphrase, &self.salt, self.memory_kib, self.passes)?;
        let payload = Payload {
            msg: &self.text,
            aad: head,
        };
        let cipher = XChaCha20Poly1305::new((&*key).into());
        let opened = cipher.decrypt(XNonce::from_slice(&self.nonce), payload);
        let opened = opened.map_err(|_| VaultError::Sealed(path.to_owned()))?;
        Ok(Zeroizing::new(opened))
    }
}

fn stretch(
    passphrase: &[u8],
    salt: &[u8],
    memory_kib: u32,
    passes: u32,
) -> Result<Zeroizing<[u8; 32]>, VaultError> {
    let params = Params::new(memory_kib, passes, 1, Some(32)).map_err(|_| VaultError::Memory)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, &mut *key)
        .map_err(|_| VaultError::Memory)?;
    Ok(key)
}
