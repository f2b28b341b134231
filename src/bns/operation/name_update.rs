//! NAME_UPDATE: sets the zone file hash of a name that is only named by a hash (sm §6.4).

use super::Decided;
use super::origin::Origin;
use super::text::name_text;
use crate::bns::block::{Block, Checked, Refusal};
use crate::bns::commitment::update_hash;
use crate::bns::name::Name;
use crate::bns::record::{NameOp, NameRecord};
use crate::bns::reject::Reject;
use crate::bns::view::View;
use crate::bns::wire::NameUpdate;
use crate::hash::ConsensusHash;

impl NameUpdate {
    pub(super) fn decide<V: View>(&self, origin: &Origin, block: &mut Block<'_, V>) -> Decided<V> {
        let (before, consensus_hash) = self.check(origin, block)?;
        let record = NameRecord {
            value_hash: Some(self.value_hash),
            consensus_hash: Some(consensus_hash),
            update_consensus_hash: Some(consensus_hash),
            ..origin.touch(before, NameOp::Update)
        };
        let mut text = name_text('+', &record, block.params.addresses);
        text.hex(self.update_hash.as_bytes());
        text.hex(consensus_hash.as_bytes());
        block.state.put_name(record)?;
        Ok(text.finish())
    }

    /// sm §6.4. Returns the name that is meant, and the consensus hash that its sender quoted.
    fn check<V: View>(
        &self,
        origin: &Origin,
        block: &Block<'_, V>,
    ) -> Checked<V, (NameRecord, ConsensusHash)> {
        let names = block.state.owned_by(&origin.sender)?;
        block.ensure_owned_at_most(&names, block.params.max_names_per_sender)?;
        let unknown = Refusal::Reject(Reject::UnknownNameHash);
        let Some((name, consensus_hash)) = self.find(&names, block.recent_consensus_hashes())
        else {
            return Err(unknown);
        };
        let record = block.owned_name(name)?.ok_or(unknown)?;
        let namespace = block.ready_namespace(&record.name)?;
        block.ensure_not_in_grace(&record, &namespace)?;
        Ok((record, consensus_hash))
    }

    /// The name that is meant, whether or not it is owned, so that no other row has to be read. The newest hashes are
    /// quoted most; no two pairs of name and hash give the same update hash.
    fn find<'n>(
        &self,
        names: &'n [Name],
        recent: &[ConsensusHash],
    ) -> Option<(&'n Name, ConsensusHash)> {
        recent.iter().find_map(|&hash| {
            let mut names = names.iter();
            let name = names.find(|name| update_hash(name, hash) == self.update_hash)?;
            Some((name, hash))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use bitcoin::Txid;
    use bitcoin::hashes::Hash as _;

    use super::*;
    use crate::bns::Params;
    use crate::bns::address::Address;
    use crate::bns::changes::{Change, Changes};
    use crate::bns::name::NamespaceId;
    use crate::bns::record::{Account, ImportKeychain, NamespaceRecord, Preorder};
    use crate::bns::samples::{name_record, namespace_record};
    use crate::bns::state::State;
    use crate::hash::{NameHash128, OpsHash, PreorderHash, ZonefileHash};
    use crate::virtualchain::{Snapshot, SnapshotView};

    const OWNER: Address = Address::P2pkh([7; 20]);
    const QUOTED: ConsensusHash = ConsensusHash([9; 16]);

    /// A state that counts which rows are read of it.
    struct Counted {
        state: State,
        names: Cell<u32>,
        namespaces: Cell<u32>,
    }

    impl SnapshotView for Counted {
        type Error = Infallible;

        fn consensus_hash(&self, height: u32) -> Result<Option<ConsensusHash>, Infallible> {
            self.state.consensus_hash(height)
        }
    }

    impl View for Counted {
        fn name(&self, name: &Name) -> Result<Option<NameRecord>, Infallible> {
            self.names.set(self.names.get() + 1);
            self.state.name(name)
        }

        fn name_by_hash128(&self, hash: &NameHash128) -> Result<Option<Name>, Infallible> {
            self.state.name_by_hash128(hash)
        }

        fn names_of_sender(&self, sender: &[u8]) -> Result<Vec<Name>, Infallible> {
            self.state.names_of_sender(sender)
        }

        fn names_of_preorder(&self, hash: &PreorderHash) -> Result<Vec<Name>, Infallible> {
            self.state.names_of_preorder(hash)
        }

        fn namespace(&self, id: &NamespaceId) -> Result<Option<NamespaceRecord>, Infallible> {
            self.namespaces.set(self.namespaces.get() + 1);
            self.state.namespace(id)
        }

        fn namespace_has_preorder(&self, hash: &PreorderHash) -> Result<bool, Infallible> {
            self.state.namespace_has_preorder(hash)
        }

        fn preorders(&self, hash: &PreorderHash) -> Result<Vec<Preorder>, Infallible> {
            self.state.preorders(hash)
        }

        fn keychain(&self, id: &NamespaceId) -> Result<Option<ImportKeychain>, Infallible> {
            self.state.keychain(id)
        }

        fn account(&self, address: &Address) -> Result<Option<Account>, Infallible> {
            self.state.account(address)
        }
    }

    fn owned(number: u8) -> NameRecord {
        name_record(&format!("name{number}.test"), OWNER, 1)
    }

    /// The state after block 1, in which an owner got as many names as there may be.
    fn state(params: &Params) -> Counted {
        let mut changes = Changes::default();
        let after = namespace_record(OWNER, 1);
        let change = Change::insertion(after.clone());
        changes.namespaces.insert(after.namespace_id, change);
        for number in 0..params.max_names_per_sender as u8 {
            let after = owned(number);
            let name = after.name.clone();
            changes.names.insert(name, Change::insertion(after));
        }
        let snapshot = Snapshot {
            ops_hash: OpsHash([0; 32]),
            consensus_hash: QUOTED,
        };
        let mut state = State::default();
        state.connect(1, &changes, snapshot);
        Counted {
            state,
            names: Cell::new(0),
            namespaces: Cell::new(0),
        }
    }

    #[test]
    fn an_update_reads_one_name_of_its_sender() {
        let params = Params::regtest();
        let state = state(&params);
        let mut block = Block::new(&params, 2, &state).expect("memory");
        let name = owned(17).name;
        let update = NameUpdate {
            update_hash: update_hash(&name, QUOTED),
            value_hash: ZonefileHash([3; 20]),
        };
        let origin = Origin {
            sender: OWNER.script(),
            address: OWNER,
            pushed_keys: Vec::new(),
            txid: Txid::all_zeros(),
            vtxindex: 1,
        };
        assert!(update.decide(&origin, &mut block).is_ok());
        let changes = block.into_changes();
        assert_eq!(changes.names.keys().collect::<Vec<_>>(), [&name]);
        assert_eq!((state.names.get(), state.namespaces.get()), (1, 1));
    }
}
