//! Who may import names into a namespace: keys derived from the revealer's (sm §6.9 rule 4).

use bitcoin::NetworkKind;
use bitcoin::bip32::{ChainCode, ChildNumber, Fingerprint, Xpub};
use bitcoin::secp256k1::{PublicKey, Secp256k1};

use super::name::NamespaceId;
use super::record::ImportKeychain;
use crate::hash::h160;

/// The keychain of `namespace_id` that follows from the revealer's key as it was pushed: that key and its
/// first `size` non-hardened BIP32 children, with a chain code of zeros (quirk KEYCHAIN).
///
/// `None` when `pubkey` is no public key, which [`crate::virtualchain::script::is_public_key`] rules out.
pub fn derive(namespace_id: &NamespaceId, pubkey: &[u8], size: u32) -> Option<ImportKeychain> {
    let secp = Secp256k1::verification_only();
    let parent = Xpub {
        network: NetworkKind::Main,
        depth: 0,
        parent_fingerprint: Fingerprint::default(),
        child_number: ChildNumber::Normal { index: 0 },
        public_key: PublicKey::from_slice(pubkey).ok()?,
        chain_code: ChainCode::from([0; 32]),
    };
    let mut addresses = vec![h160(pubkey)];
    for index in 0..size {
        let child = parent.ckd_pub(&secp, ChildNumber::Normal { index }).ok()?;
        addresses.push(h160(&child.public_key.serialize()));
    }
    Some(ImportKeychain {
        namespace_id: namespace_id.clone(),
        pubkey: pubkey.to_vec(),
        addresses,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bns::address::{Address, AddressVersions};
    use crate::hash::decode_hex;

    #[test]
    fn the_first_child_is_the_known_one() {
        // sm §6.9: first child of key 2
        let key = decode_hex("02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5")
            .expect("hex");
        let id = "test".parse().expect("an id");
        let keychain = derive(&id, &key, 1).expect("a valid key");
        let child = Address::P2pkh(keychain.addresses[1]).encode(AddressVersions::MAINNET);
        assert_eq!(child, "1FxaYwfvnJPRcRHQXCCKJbXcTAua1qa3UQ");
    }
}
