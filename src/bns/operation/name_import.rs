//! NAME_IMPORT: the revealer hands out names before the namespace is ready (sm §6.9).

use std::rc::Rc;

use super::Decided;
use super::origin::Origin;
use super::outputs::Recipient;
use super::text::owner_text;
use crate::bns::address::Address;
use crate::bns::block::{Block, Checked, Refusal, ensure};
use crate::bns::commitment::name_preorder_hash;
use crate::bns::keychain;
use crate::bns::life;
use crate::bns::name::Name;
use crate::bns::price;
use crate::bns::record::{Fee, NameOp, NameRecord, NamespaceRecord, PublicKey};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::hash::{ZonefileHash, h160};

/// `;`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameImport {
    /// The name.
    pub name: Name,
    /// Zone file hash, carried by output 2.
    pub value_hash: ZonefileHash,
    /// The owner.
    pub recipient: Recipient,
}

impl NameImport {
    pub(super) fn decide<V: View>(&self, origin: &Origin, block: &mut Block<'_, V>) -> Decided<V> {
        let (namespace, key) = self.check(origin, block)?;
        let fresh = self.fresh_record(origin, key, block, &namespace);
        let record = match block.live_name(&self.name)? {
            Some(live) => imported_again(fresh, &live),
            None => fresh,
        };
        let text = owner_text(';', &record, block.params.addresses);
        block.state.put_name(record)?;
        Ok(text)
    }

    /// sm §6.9. Creates the import keychain on the way, also in the scan pass, where it stays even if
    /// nothing else does (quirk KEYCHAIN). Returns the namespace's row and the importer's key.
    pub(in crate::bns) fn check<V: View>(
        &self,
        origin: &Origin,
        block: &mut Block<'_, V>,
    ) -> Checked<V, (Rc<NamespaceRecord>, PublicKey)> {
        let namespace = block.namespace_of(&self.name)?;
        let namespace = namespace.filter(|row| life::is_revealed(block.params, row, block.last));
        if let Some(namespace) = &namespace
            && let Some(key) = listed_key(origin, block, namespace)?
        {
            return Ok((Rc::clone(namespace), key));
        }
        let key = origin.sender_pubkey();
        let key = key.ok_or(Refusal::Reject(Reject::SenderPubkeyRequired))?;
        let namespace = namespace.ok_or(Refusal::Reject(Reject::NamespaceNotRevealed))?;
        check_first_import(block, &namespace, &key)?;
        Ok((namespace, key))
    }

    /// The row of a name that is imported for the first time.
    fn fresh_record<V: View>(
        &self,
        origin: &Origin,
        key: PublicKey,
        block: &Block<'_, V>,
        namespace: &NamespaceRecord,
    ) -> NameRecord {
        let owner = self.recipient.address.encode(block.params.addresses);
        let height = block.height;
        NameRecord {
            name: self.name.clone(),
            preorder_hash: name_preorder_hash(&self.name, &origin.sender, &owner),
            value_hash: Some(self.value_hash),
            sender: self.recipient.script.clone(),
            sender_pubkey: Some(key),
            block_number: height,
            preorder_block_number: height,
            namespace_block_number: namespace.block_number,
            first_registered: height,
            last_renewed: height,
            revoked: false,
            op: NameOp::Import,
            txid: origin.txid,
            vtxindex: origin.vtxindex,
            op_fee: Fee::Float(self.price(block, namespace)),
            importer: Some(origin.sender.clone()),
            importer_address: Some(origin.address),
            consensus_hash: None,
            update_consensus_hash: None,
            token_fee: self.price_in_tokens(namespace),
        }
    }

    /// What the name would cost at this height; nothing is paid (quirk FLOAT-FEE).
    fn price<V: View>(&self, block: &Block<'_, V>, namespace: &NamespaceRecord) -> f64 {
        if namespace.version == 3 {
            return 0.0;
        }
        price::name_price(
            &namespace.price,
            self.name.label(),
            block.params,
            block.epoch,
        )
        .to_double()
    }

    /// What the name would cost in µSTX; 2^64 or more, which nobody could pay, is kept as the greatest.
    fn price_in_tokens(&self, namespace: &NamespaceRecord) -> u64 {
        if namespace.version != 3 {
            return 0;
        }
        price::name_price_in_version_3(&namespace.price, self.name.label())
            .to_u64()
            .unwrap_or(u64::MAX)
    }
}

/// The row of a name that was LIVE before: it keeps its heights and its commitment.
fn imported_again(fresh: NameRecord, live: &NameRecord) -> NameRecord {
    NameRecord {
        preorder_hash: live.preorder_hash,
        block_number: live.block_number,
        preorder_block_number: live.preorder_block_number,
        first_registered: live.first_registered,
        last_renewed: live.last_renewed,
        ..fresh
    }
}

/// The importer's key, if the keychain of the namespace lists it. Keychains list hashes of keys, so what has such a hash
/// is a key and need not be checked again.
fn listed_key<V: View>(
    origin: &Origin,
    block: &Block<'_, V>,
    namespace: &NamespaceRecord,
) -> Result<Option<PublicKey>, V::Error> {
    let keychain = block.state.keychain(&namespace.namespace_id)?;
    let hash = origin.address.hash();
    let lists = keychain.is_some_and(|keychain| keychain.addresses.contains(&hash));
    Ok(origin.preimage().filter(|_| lists).cloned())
}

/// Rule 4 of sm §6.9 for a key that no keychain lists.
fn check_first_import<V: View>(
    block: &mut Block<'_, V>,
    namespace: &NamespaceRecord,
    pubkey: &[u8],
) -> Checked<V> {
    let id = &namespace.namespace_id;
    let is_first = block.state.keychain(id)?.is_none();
    ensure(is_first, Reject::ImporterNotInKeychain)?;
    let from_revealer = namespace.recipient_address == Address::P2pkh(h160(pubkey));
    ensure(from_revealer, Reject::FirstImportNotFromRevealer)?;
    let keychain = keychain::derive(id, pubkey, block.params.name_import_keyring_size);
    let keychain = keychain.ok_or(Refusal::Reject(Reject::SenderPubkeyRequired))?;
    Ok(block.state.put_keychain(keychain)?)
}
