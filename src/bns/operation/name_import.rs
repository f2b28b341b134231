//! NAME_IMPORT: the revealer hands out names before the namespace is ready (sm §6.9).

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
use crate::bns::record::{Fee, NameOp, NameRecord, NamespaceRecord};
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
        let namespace = self.check(origin, block)?;
        let fresh = self.fresh_record(origin, block, &namespace);
        let record = match block.live_name(&self.name)? {
            Some(live) => imported_again(fresh, &live),
            None => fresh,
        };
        let text = owner_text(';', &record, block.params.addresses);
        block.state.put_name(record)?;
        Ok(text)
    }

    /// sm §6.9. Creates the import keychain on the way, also in the scan pass, where it stays even if
    /// nothing else does (quirk KEYCHAIN).
    pub(in crate::bns) fn check<V: View>(
        &self,
        origin: &Origin,
        block: &mut Block<'_, V>,
    ) -> Checked<V, NamespaceRecord> {
        let pubkey = origin.sender_pubkey.as_deref();
        let pubkey = pubkey.ok_or(Refusal::Reject(Reject::SenderPubkeyRequired))?;
        let namespace = block.namespace_of(&self.name)?;
        let revealed = |row: &NamespaceRecord| life::is_revealed(block.params, row, block.last);
        let namespace = namespace.filter(revealed);
        let namespace = namespace.ok_or(Refusal::Reject(Reject::NamespaceNotRevealed))?;
        check_keychain(block, &namespace, pubkey)?;
        Ok(namespace)
    }

    /// The row of a name that is imported for the first time.
    fn fresh_record<V: View>(
        &self,
        origin: &Origin,
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
            sender_pubkey: origin.sender_pubkey.clone(),
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

/// Rule 4 of sm §6.9.
fn check_keychain<V: View>(
    block: &mut Block<'_, V>,
    namespace: &NamespaceRecord,
    pubkey: &[u8],
) -> Checked<V> {
    let id = &namespace.namespace_id;
    let importer = h160(pubkey);
    if let Some(keychain) = block.state.keychain(id)? {
        let listed = keychain.addresses.contains(&importer);
        return ensure(listed, Reject::ImporterNotInKeychain);
    }
    let from_revealer = namespace.recipient_address == Address::P2pkh(importer);
    ensure(from_revealer, Reject::FirstImportNotFromRevealer)?;
    let keychain = keychain::derive(id, pubkey, block.params.name_import_keyring_size);
    let keychain = keychain.ok_or(Refusal::Reject(Reject::SenderPubkeyRequired))?;
    Ok(block.state.put_keychain(keychain)?)
}
