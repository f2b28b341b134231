//! Keys that sign for p2pkh outputs.
//!
//! A key never appears in a log or error: its `Debug` shows the address. Its memory is overwritten when it is
//! dropped, as far as the compiler lets us promise it (copies that were made on the stack are not found).

use std::fmt;
use std::sync::LazyLock;

use bitcoin::secp256k1::{All, Message, PublicKey, Secp256k1, SecretKey, ecdsa};
use bitcoin::{ScriptBuf, key};

use crate::bns::address::Address;
use crate::hash;

/// Bytes that are no key: zero, or not below the order of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these 32 bytes are not a secp256k1 private key")]
pub struct InvalidKey;

static SECP: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// A private key and its compressed public key.
#[derive(Clone)]
pub struct SigningKey {
    secret: SecretKey,
    public: PublicKey,
}

impl SigningKey {
    /// The key that 32 bytes are.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, InvalidKey> {
        let secret = SecretKey::from_slice(bytes).map_err(|_| InvalidKey)?;
        let public = secret.public_key(&SECP);
        Ok(Self { secret, public })
    }

    /// A key that everybody can compute from its label. For the demo and tests on worthless chains only.
    pub fn dev_only_from_label(label: &str) -> Self {
        let mut seed = hash::sha256(format!("bnsd dev-only key: {label}").as_bytes());
        loop {
            match Self::from_bytes(&seed) {
                Ok(key) => return key,
                Err(InvalidKey) => seed = hash::sha256(&seed), // one time in 2^128
            }
        }
    }

    /// The key's bytes, wiped when they are dropped.
    pub fn to_bytes(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.secret.secret_bytes())
    }

    /// The public key as the bitcoin crate has it.
    pub fn public(&self) -> key::PublicKey {
        key::PublicKey::new(self.public)
    }

    /// The compressed public key, 33 bytes.
    pub fn public_key(&self) -> [u8; 33] {
        self.public.serialize()
    }

    /// The p2pkh address of the compressed public key.
    pub fn address(&self) -> Address {
        Address::P2pkh(hash::h160(&self.public_key()))
    }

    /// The p2pkh script of [`Self::address`].
    pub fn script(&self) -> ScriptBuf {
        ScriptBuf::new_p2pkh(&key::PublicKey::new(self.public).pubkey_hash())
    }

    /// An ECDSA signature of a digest with low S, r and s in 32 bytes each (RFC 6979). Only for digests that no transaction can
    /// have.
    pub fn sign_digest(&self, digest: [u8; 32]) -> [u8; 64] {
        self.sign(&Message::from_digest(digest)).serialize_compact()
    }

    /// An ECDSA signature with low R and low S; the same message gives the same signature (RFC 6979).
    pub(super) fn sign(&self, message: &Message) -> ecdsa::Signature {
        SECP.sign_ecdsa_low_r(message, &self.secret)
    }
}

/// Whether a signature of `message` is by `key`.
pub(super) fn is_valid(
    message: &Message,
    signature: &ecdsa::Signature,
    key: &key::PublicKey,
) -> bool {
    SECP.verify_ecdsa(message, signature, &key.inner).is_ok()
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.secret.non_secure_erase();
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bns::address::AddressVersions;

    #[test]
    fn key_one_has_its_known_address_and_stays_secret() {
        let mut bytes = [0; 32];
        bytes[31] = 1;
        let key = SigningKey::from_bytes(&bytes).expect("a valid key");
        let known = "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH"; // wf §7
        assert_eq!(key.address().encode(AddressVersions::MAINNET), known);
        assert_eq!(key.script().into_bytes(), key.address().script());
        assert_eq!(format!("{key:?}"), format!("SigningKey({known})"));
    }

    #[test]
    fn labels_give_different_keys_and_zero_is_none() {
        let of = |label| SigningKey::dev_only_from_label(label).public_key();
        assert_eq!(of("alice"), of("alice"));
        assert_ne!(of("alice"), of("bob"));
        assert_eq!(
            SigningKey::from_bytes(&[0; 32]).map(|key| key.public_key()),
            Err(InvalidKey)
        );
    }
}
