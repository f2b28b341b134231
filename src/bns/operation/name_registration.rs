//! NAME_REGISTRATION: reveals a preordered name and gives it to its owner (sm §6.2).

use std::rc::Rc;

use super::Decided;
use super::origin::Origin;
use super::outputs::Recipient;
use super::payment::Payment;
use super::text::owner_text;
use crate::bns::block::{Block, Checked, Refusal, ensure};
use crate::bns::commitment::name_preorder_hash;
use crate::bns::life;
use crate::bns::record::{
    Fee, NameOp, NameRecord, NamespaceRecord, Preorder, PreorderKind, TokenUnits,
};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::bns::wire;

/// `:` with two or three outputs
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRegistration {
    /// The name, and from epoch 3 on its zone file hash.
    pub payload: wire::NameRegistration,
    /// The owner.
    pub recipient: Recipient,
}

impl NameRegistration {
    pub(super) fn decide<V: View>(&self, origin: &Origin, block: &mut Block<'_, V>) -> Decided<V> {
        let (preorder, namespace) = self.check(origin, block)?;
        block.ensure_created_once(self.payload.name.as_str())?; // sm §6.2 rule 14
        let record = self.record(origin, block, &preorder, &namespace)?;
        block.count_registration(&self.recipient.script);
        block.state.remove_preorders(&preorder.preorder_hash)?;
        let text = owner_text(':', &record, block.params.addresses);
        block.state.put_name(record)?;
        Ok(text)
    }

    /// Rules 1 to 13 of sm §6.2; the parser saw to 1, 12 and 13. Returns the preorder that it spends.
    pub(in crate::bns) fn check<V: View>(
        &self,
        origin: &Origin,
        block: &Block<'_, V>,
    ) -> Checked<V, (Preorder, Rc<NamespaceRecord>)> {
        let name = &self.payload.name;
        let live = block.live_name(name)?;
        let revoked = live.as_ref().is_some_and(|record| record.revoked);
        ensure(!revoked, Reject::NameRevoked)?;
        let namespace = block.ready_namespace(name)?;
        block.ensure_quota(&self.recipient.script)?;
        let multisig = block.epoch.features.multisig;
        let allowed = multisig || !self.recipient.address.is_p2sh();
        ensure(allowed, Reject::MultisigNotEnabled)?;
        ensure(live.is_none(), Reject::NameRegistered)?; // rules 6 and 8
        let preorder = self.spent_preorder(origin, block)?;
        check_age(block, &preorder, &namespace)?;
        ensure(preorder.sender == origin.sender, Reject::NoMatchingPreorder)?;
        let paid_in_tokens = preorder.token_units == TokenUnits::Stacks;
        let payment = Payment {
            burn_address: preorder.burn_address,
            op_fee: preorder.op_fee,
            tokens: paid_in_tokens.then_some(preorder.token_fee),
            price_height: preorder.block_number,
        };
        payment.check(block, name, &namespace)?;
        Ok((preorder, namespace))
    }

    /// Rule 6: the unspent preorder that commits to this name, sender and owner.
    fn spent_preorder<V: View>(
        &self,
        origin: &Origin,
        block: &Block<'_, V>,
    ) -> Checked<V, Preorder> {
        let owner = self.recipient.address.encode(block.params.addresses);
        let hash = name_preorder_hash(&self.payload.name, &origin.sender, &owner);
        let oldest = block.oldest_preorder(&hash, PreorderKind::Name)?;
        let unspent = !block.is_preorder_of_live_name(&hash)?;
        let found = oldest.filter(|_| unspent);
        found.ok_or(Refusal::Reject(Reject::NoMatchingPreorder))
    }

    fn record<V: View>(
        &self,
        origin: &Origin,
        block: &Block<'_, V>,
        preorder: &Preorder,
        namespace: &NamespaceRecord,
    ) -> Result<NameRecord, V::Error> {
        let former = block.state.name(&self.payload.name)?;
        Ok(NameRecord {
            name: self.payload.name.clone(),
            preorder_hash: preorder.preorder_hash,
            value_hash: self.payload.value_hash,
            sender: self.recipient.script.clone(),
            // Quirk REG-PUBKEY. The preorder has the same sender.
            sender_pubkey: origin.sender_pubkey_knowing(preorder.sender_pubkey.as_ref()),
            block_number: former.map_or(preorder.block_number, |record| record.block_number),
            preorder_block_number: preorder.block_number,
            namespace_block_number: namespace.block_number,
            first_registered: block.height,
            last_renewed: block.height,
            revoked: false,
            op: NameOp::Register,
            txid: origin.txid,
            vtxindex: origin.vtxindex,
            op_fee: Fee::Satoshi(preorder.op_fee),
            importer: None,
            importer_address: None,
            consensus_hash: None,
            update_consensus_hash: None,
            token_fee: preorder.token_fee,
        })
    }
}

/// Rules 6, 7 and 9: neither too old nor older than the namespace's ready.
fn check_age<V: View>(
    block: &Block<'_, V>,
    preorder: &Preorder,
    namespace: &NamespaceRecord,
) -> Checked<V> {
    let (last, height) = (u64::from(block.last), u64::from(block.height));
    let made = u64::from(preorder.block_number);
    // The limit is added to the wrong side (quirk NO-PREORDER-EXPIRY).
    let term = life::lifetime(namespace, block.params.epoch(block.last));
    ensure(made + term > last, Reject::PreorderExpired)?;
    let limit = made + u64::from(block.params.name_preorder_expire);
    let enforced = block.epoch.features.enforce_name_preorder_expiry;
    ensure(!enforced || limit >= height, Reject::PreorderExpired)?;
    let since_ready = preorder.block_number >= namespace.ready_block;
    ensure(since_ready, Reject::PreorderedBeforeReady)
}

#[cfg(test)]
mod tests {
    use bitcoin::{
        Amount, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, absolute, transaction,
    };

    use super::*;
    use crate::bns::address::Address;
    use crate::bns::changes::{Change, Changes};
    use crate::bns::name::Name;
    use crate::bns::samples::namespace_record;
    use crate::bns::state::State;
    use crate::bns::wire::Payload;
    use crate::bns::{Bns, Params};
    use crate::hash::{ConsensusHash, OpsHash, decode_hex, h160};
    use crate::virtualchain::{Decision, Snapshot, VirtualTransaction, connect_block};

    const CONSENSUS_HASH: ConsensusHash = ConsensusHash([7; 16]);

    /// The public key of the secret 2.
    fn key() -> Vec<u8> {
        let hex = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";
        decode_hex(hex).expect("hex")
    }

    fn owner() -> Address {
        Address::P2pkh(h160(&key()))
    }

    /// An input of the owner. It hides the key by pushing a third element.
    fn input(reveals_key: bool) -> TxIn {
        let mut script_sig = vec![2, 0x30, 0x30, 33];
        script_sig.extend(key());
        script_sig.extend((!reveals_key).then_some(0));
        TxIn {
            previous_output: bitcoin::OutPoint::null(),
            script_sig: ScriptBuf::from(script_sig),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }
    }

    /// A payload, the owner, and the burn output with what any name of the test costs.
    fn transaction(payload: &Payload, outputs: usize, reveals_key: bool) -> VirtualTransaction {
        let payload = [b"id", &payload.encode()[..]].concat();
        let length = u8::try_from(payload.len()).expect("a short payload");
        let scripts = [
            [&[0x6a, length][..], &payload].concat(),
            owner().script(),
            Address::P2pkh([0; 20]).script(),
        ];
        let outputs = scripts.into_iter().take(outputs).map(|script| TxOut {
            value: Amount::from_sat(1_000),
            script_pubkey: ScriptBuf::from(script),
        });
        let transaction = Transaction {
            version: transaction::Version::ONE,
            lock_time: absolute::LockTime::ZERO,
            input: vec![input(reveals_key)],
            output: outputs.collect(),
        };
        VirtualTransaction {
            vtxindex: 1,
            txid: transaction.compute_txid(),
            prevouts: vec![TxOut {
                value: Amount::ZERO,
                script_pubkey: ScriptBuf::from(owner().script()),
            }],
            transaction,
        }
    }

    /// The state after block 1, in which the namespace `test` became ready.
    fn ready_state() -> State {
        let namespace = namespace_record(owner(), 1);
        let mut changes = Changes::default();
        let id = namespace.namespace_id.clone();
        changes.namespaces.insert(id, Change::insertion(namespace));
        let mut state = State::default();
        let snapshot = Snapshot {
            ops_hash: OpsHash([0; 32]),
            consensus_hash: CONSENSUS_HASH,
        };
        state.connect(1, &changes, snapshot);
        state
    }

    /// The key in the record, and the text that is hashed, of a name that was preordered in block 2 and
    /// registered in block 3.
    fn registered(preorder_reveals: bool, registration_reveals: bool) -> (Option<Vec<u8>>, String) {
        let bns = Bns::new(Params::regtest());
        let mut state = ready_state();
        let name: Name = "foo.test".parse().expect("a name");
        let address = owner().encode(bns.params().addresses);
        let preorder = Payload::NamePreorder(wire::NamePreorder {
            preorder_hash: name_preorder_hash(&name, &owner().script(), &address),
            consensus_hash: CONSENSUS_HASH,
            tokens: None,
        });
        let registration = Payload::NameRegistration(wire::NameRegistration {
            name: name.clone(),
            value_hash: None,
            tokens: None,
        });
        let blocks = [
            transaction(&preorder, 3, preorder_reveals),
            transaction(&registration, 2, registration_reveals),
        ];
        let mut text = String::new();
        for (height, block) in (2..).zip(blocks) {
            let outcome = connect_block(&bns, height, &[block], &state).expect("memory");
            let [decision] = &outcome.decisions[..] else {
                panic!("one operation a block");
            };
            let Decision::Accepted(accepted) = &decision.item else {
                panic!("{:?}", decision.item);
            };
            text = accepted.clone().expect("a text");
            state.connect(height, &outcome.changes, outcome.snapshot);
        }
        let record = state.name(&name).expect("memory").expect("a row");
        (record.sender_pubkey, text)
    }

    #[test]
    fn a_registration_stores_the_key_of_its_own_inputs() {
        let field = format!("66:{}", crate::hash::encode_hex(&key()));
        for preorder_reveals in [true, false] {
            let (stored, text) = registered(preorder_reveals, true);
            assert_eq!(stored, Some(key()));
            assert!(text.contains(&field), "{text}");
            let (stored, text) = registered(preorder_reveals, false);
            assert_eq!(stored, None);
            assert!(!text.contains(&field), "{text}");
        }
    }
}
