//! Keys from a phrase of twelve or twenty-four words (BIP 39), derived as wallets do (BIP 32, BIP 44, BIP 49).
//!
//! ```text
//! m/44'/coin'/0'/0/index   p2pkh: owners of names      m/49'/coin'/0'/0/index   p2sh-p2wpkh: payers
//! ```
//!
//! `coin` is 0 on the main network and 1 on all others (SLIP 44). The two account keys, `m/44'/coin'/0'` and
//! `m/49'/coin'/0'`, are public and let addresses be found without the phrase.

use std::str::FromStr as _;

use bip39::{Language, Mnemonic};
use bitcoin::NetworkKind;
use bitcoin::PublicKey;
use bitcoin::bip32::{ChildNumber, DerivationPath, Fingerprint, Xpriv, Xpub};
use bitcoin::secp256k1::Secp256k1;
use zeroize::Zeroizing;

use super::keys::SigningKey;

/// Which kind of script a derived key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// p2pkh (BIP 44).
    Owner,
    /// p2sh-p2wpkh (BIP 49).
    Payer,
}

/// Why words are no phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Wrong words, a wrong number of them, or a wrong checksum.
    #[error("these are not the words of a BIP 39 phrase: check their spelling and order")]
    Invalid,
    /// Neither twelve nor twenty-four.
    #[error("a new phrase has 12 or 24 words")]
    Length,
    /// An index beyond those of BIP 32.
    #[error("an address index is below 2147483648")]
    Index,
}

/// A phrase. Its words are wiped when it is dropped, and never shown by `Debug`.
pub struct Phrase(Mnemonic);

impl Phrase {
    /// A new phrase of `words` words from the system's randomness.
    pub fn generate(words: usize) -> Result<Self, PhraseError> {
        let bytes = match words {
            12 => 16,
            24 => 32,
            _ => return Err(PhraseError::Length),
        };
        let mut entropy = Zeroizing::new([0_u8; 32]);
        getrandom::fill(&mut entropy[..bytes]).expect("the system has randomness");
        let phrase = Mnemonic::from_entropy_in(Language::English, &entropy[..bytes]);
        phrase.map(Self).map_err(|_| PhraseError::Length)
    }

    /// The phrase that a text spells; blanks and case do not matter.
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let text = Zeroizing::new(words.join(" ").to_ascii_lowercase());
        let phrase = Mnemonic::parse_in_normalized(Language::English, &text);
        phrase.map(Self).map_err(|_| PhraseError::Invalid)
    }

    /// The words.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_string())
    }

    /// The public key of an account, from which its addresses follow.
    pub fn account(&self, purpose: Purpose, network: NetworkKind) -> Xpub {
        Xpub::from_priv(&Secp256k1::new(), &self.account_key(purpose, network))
    }

    /// Identifies the phrase in PSBTs (BIP 32, master fingerprint).
    pub(crate) fn fingerprint(&self, network: NetworkKind) -> Fingerprint {
        self.master(network).fingerprint(&Secp256k1::new())
    }

    /// The key at an index of an account.
    pub fn key(
        &self,
        purpose: Purpose,
        network: NetworkKind,
        index: u32,
    ) -> Result<SigningKey, PhraseError> {
        let path = chain(index)?;
        let account = self.account_key(purpose, network);
        let key = account.derive_priv(&Secp256k1::new(), &path);
        let bytes = Zeroizing::new(
            key.map_err(|_| PhraseError::Index)?
                .private_key
                .secret_bytes(),
        );
        SigningKey::from_bytes(&bytes).map_err(|_| PhraseError::Index)
    }

    fn master(&self, network: NetworkKind) -> Xpriv {
        let seed = Zeroizing::new(self.0.to_seed_normalized(""));
        Xpriv::new_master(network, &*seed).expect("one seed in 2^127 has no key")
    }

    fn account_key(&self, purpose: Purpose, network: NetworkKind) -> Xpriv {
        let path = account_path(purpose, network);
        let account = self.master(network).derive_priv(&Secp256k1::new(), &path);
        account.expect("one path in 2^127 has no key")
    }
}

/// Path of an account.
pub(crate) fn account_path(purpose: Purpose, network: NetworkKind) -> DerivationPath {
    let purpose = match purpose {
        Purpose::Owner => 44,
        Purpose::Payer => 49,
    };
    let coin = if network.is_mainnet() { 0 } else { 1 };
    DerivationPath::from_str(&format!("m/{purpose}'/{coin}'/0'")).expect("a path")
}

/// The public key at an index of an account.
pub fn public_key(account: &Xpub, index: u32) -> Result<PublicKey, PhraseError> {
    let derived = account.derive_pub(&Secp256k1::verification_only(), &chain(index)?);
    let derived = derived.map_err(|_| PhraseError::Index)?;
    Ok(PublicKey::new(derived.public_key))
}

/// Receiving addresses of an account.
fn chain(index: u32) -> Result<[ChildNumber; 2], PhraseError> {
    let index = ChildNumber::from_normal_idx(index).map_err(|_| PhraseError::Index)?;
    Ok([ChildNumber::Normal { index: 0 }, index])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bns::address::AddressVersions;
    use crate::wallet::lock::Lock;

    const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

    #[test]
    fn the_standard_phrase_has_its_known_addresses() {
        // BIP 49's test vector on testnet, and the first BIP 44 address that all wallets show for it.
        let phrase = Phrase::parse(WORDS).expect("a phrase");
        let account = phrase.account(Purpose::Payer, NetworkKind::Test);
        let payer = Lock::WrappedWitness(public_key(&account, 0).expect("a key"));
        let shown = payer.address().encode(AddressVersions::TESTNET);
        assert_eq!(shown, "2Mww8dCYPUpKHofjgcXcBCEGmniw9CoaiD2");
        let account = phrase.account(Purpose::Owner, NetworkKind::Main);
        let owner = Lock::KeyHash(public_key(&account, 0).expect("a key"));
        let shown = owner.address().encode(AddressVersions::MAINNET);
        assert_eq!(shown, "1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabA");
        let key = phrase
            .key(Purpose::Owner, NetworkKind::Main, 0)
            .expect("a key");
        assert_eq!(key.address(), owner.address());
    }

    #[test]
    fn wrong_words_are_refused() {
        for text in ["", "abandon", &WORDS.replace("about", "abandon"), "x y z"] {
            assert_eq!(Phrase::parse(text).err(), Some(PhraseError::Invalid));
        }
        assert!(Phrase::parse(&WORDS.to_uppercase().replace(' ', "\n ")).is_ok());
    }

    #[test]
    fn new_phrases_differ() {
        let [a, b] = [12, 24].map(|words| Phrase::generate(words).expect("a length"));
        assert_eq!(a.text().split(' ').count(), 12);
        assert_eq!(b.text().split(' ').count(), 24);
        assert!(Phrase::parse(&b.text()).is_ok());
        assert_eq!(Phrase::generate(13).err(), Some(PhraseError::Length));
    }
}
