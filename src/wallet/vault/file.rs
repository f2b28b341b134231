//! A key file: which addresses it has, and the secret that signs for them.

use bitcoin::bip32::{Fingerprint, Xpub};
use bitcoin::{NetworkKind, PublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::VaultError;
use super::seal::Sealed;
use crate::wallet::keys::SigningKey;
use crate::wallet::lock::Lock;
use crate::wallet::phrase::{self, Phrase, PhraseError, Purpose};

/// Version of the file format.
pub(super) const FORMAT: u32 = 1;
/// How many addresses of a phrase are looked through for a script.
pub const SEARCHED: u32 = 40;

/// A key file: its public part, and the secret as long as it is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) sealed: Option<Sealed>,
}

/// What is authenticated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) format: u32,
    pub(super) name: String,
    pub(super) mainnet: bool,
    pub(super) public: Public,
}

/// What addresses follow from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Public {
    /// A phrase.
    Phrase {
        /// Account of p2pkh addresses.
        owner: Xpub,
        /// Account of p2sh-p2wpkh addresses.
        payer: Xpub,
        /// Identifies the phrase to signers.
        fingerprint: Fingerprint,
    },
    /// A single key.
    Key {
        /// Its public key.
        key: PublicKey,
    },
    /// A multisignature address; its members' keys are elsewhere.
    Multisig {
        /// How many signatures.
        required: usize,
        /// Of which keys.
        keys: Vec<PublicKey>,
    },
}

/// What a new key file holds.
pub enum Secret {
    /// A phrase.
    Phrase(Phrase),
    /// A single key.
    Key(SigningKey),
}

/// An address of a key: `me`, `me/3`, `me/p2sh/0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Name of the key.
    pub name: String,
    /// Which kind of address.
    pub purpose: Purpose,
    /// Which one.
    pub index: u32,
}

impl std::str::FromStr for Reference {
    type Err = VaultError;

    fn from_str(text: &str) -> Result<Self, VaultError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (name, purpose, index) = match parts.as_slice() {
            [name] => (name, Purpose::Owner, "0"),
            [name, "p2sh"] => (name, Purpose::Payer, "0"),
            [name, "p2sh", index] => (name, Purpose::Payer, *index),
            [name, index] => (name, Purpose::Owner, *index),
            _ => return Err(VaultError::Reference(text.to_owned())),
        };
        check_name(name)?;
        let index = index.parse();
        let index = index.map_err(|_| VaultError::Reference(text.to_owned()))?;
        Ok(Self {
            name: (*name).to_owned(),
            purpose,
            index,
        })
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.purpose, self.index) {
            (Purpose::Owner, 0) => f.write_str(&self.name),
            (Purpose::Owner, index) => write!(f, "{}/{index}", self.name),
            (Purpose::Payer, index) => write!(f, "{}/p2sh/{index}", self.name),
        }
    }
}

pub(super) fn check_name(name: &str) -> Result<(), VaultError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 32 || !name.chars().all(allowed) {
        return Err(VaultError::Name(name.to_owned()));
    }
    Ok(())
}

impl KeyFile {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// What addresses follow from.
    pub fn public(&self) -> &Public {
        &self.head.public
    }

    /// Whether it was made for the main network.
    pub fn is_mainnet(&self) -> bool {
        self.head.mainnet
    }

    /// Whether it holds a secret.
    pub fn has_secret(&self) -> bool {
        self.sealed.is_some()
    }

    /// The lock at an index.
    pub fn lock(&self, purpose: Purpose, index: u32) -> Result<Lock, VaultError> {
        match (&self.head.public, purpose) {
            (Public::Phrase { owner, .. }, Purpose::Owner) => {
                Ok(Lock::KeyHash(phrase::public_key(owner, index)?))
            }
            (Public::Phrase { payer, .. }, Purpose::Payer) => {
                Ok(Lock::WrappedWitness(phrase::public_key(payer, index)?))
            }
            (Public::Key { key }, Purpose::Owner) if index == 0 => Ok(Lock::KeyHash(*key)),
            (Public::Key { key }, Purpose::Payer) if index == 0 && key.compressed => {
                Ok(Lock::WrappedWitness(*key))
            }
            (Public::Multisig { required, keys }, Purpose::Owner) if index == 0 => {
                Ok(Lock::multisig(*required, keys.clone())?)
            }
            _ => Err(VaultError::Reference(format!("{}/{index}", self.head.name))),
        }
    }

    /// Its addresses, `count` of each kind as far as it has so many, each with its lock.
    pub fn locks(&self, count: u32) -> impl Iterator<Item = (Reference, Lock)> + '_ {
        let purposes = [Purpose::Owner, Purpose::Payer].into_iter();
        purposes.flat_map(move |purpose| {
            (0..count).map_while(move |index| {
                let name = self.head.name.clone();
                let reference = Reference {
                    name,
                    purpose,
                    index,
                };
                Some((reference, self.lock(purpose, index).ok()?))
            })
        })
    }
}

impl Secret {
    /// The keys that can sign for any of `wanted`, among the first [`SEARCHED`] of each kind.
    pub fn signing_keys(&self, network: NetworkKind, wanted: &[PublicKey]) -> Vec<SigningKey> {
        match self {
            Self::Key(key) => {
                let key = Some(key.clone()).filter(|key| wanted.contains(&key.public()));
                key.into_iter().collect()
            }
            Self::Phrase(phrase) => {
                let purposes = [Purpose::Owner, Purpose::Payer].into_iter();
                let found = purposes.flat_map(|purpose| {
                    let account = phrase.account(purpose, network);
                    (0..SEARCHED).filter_map(move |index| {
                        let public = phrase::public_key(&account, index).ok()?;
                        let is_wanted = wanted.contains(&public);
                        is_wanted.then(|| phrase.key(purpose, network, index).ok())?
                    })
                });
                found.collect()
            }
        }
    }

    /// What addresses follow from.
    pub(super) fn public(&self, network: NetworkKind) -> Public {
        match self {
            Self::Phrase(phrase) => Public::Phrase {
                owner: phrase.account(Purpose::Owner, network),
                payer: phrase.account(Purpose::Payer, network),
                fingerprint: phrase.fingerprint(network),
            },
            Self::Key(key) => Public::Key { key: key.public() },
        }
    }

    /// What is sealed: the words, or the 32 bytes of the key.
    pub(super) fn text(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Phrase(phrase) => phrase.text().as_bytes().to_vec(),
            Self::Key(key) => key.to_bytes().to_vec(),
        })
    }

    /// The secret behind a public part; `None` if the text is neither words nor a key.
    pub(super) fn of_text(public: &Public, text: &[u8]) -> Option<Result<Self, PhraseError>> {
        if let Public::Phrase { .. } = public {
            let words = std::str::from_utf8(text).ok()?;
            return Some(Phrase::parse(words).map(Self::Phrase));
        }
        let key = SigningKey::from_bytes(text.try_into().ok()?).ok()?;
        Some(Ok(Self::Key(key)))
    }
}

impl Head {
    /// As it is authenticated: compact JSON in the order of its fields.
    pub(super) fn authenticated(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("key files have text keys")
    }
}
