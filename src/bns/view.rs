//! The reads that rules need. The store implements them on a snapshot, [`super::state::State`] in memory,
//! `Pending` on top of either with the changes of the block under way.

use super::address::Address;
use super::name::{Name, NamespaceId};
use super::record::{Account, ImportKeychain, NameRecord, NamespaceRecord, Preorder};
use crate::hash::{NameHash128, PreorderHash};
use crate::virtualchain::SnapshotView;

/// The state of the name system as rules see it.
///
/// Rows of dead names and lapsed namespaces are returned too: which of them count is the rules' business.
/// The consensus hashes of past heights come from [`SnapshotView`].
pub trait View: SnapshotView {
    /// The row of a name.
    fn name(&self, name: &Name) -> Result<Option<NameRecord>, Self::Error>;

    /// The name with this hash, if there is a row for it.
    fn name_by_hash128(&self, hash: &NameHash128) -> Result<Option<Name>, Self::Error>;

    /// All names whose row has this owner, in ascending order.
    fn names_of_sender(&self, sender: &[u8]) -> Result<Vec<Name>, Self::Error>;

    /// How many rows have this owner, counted up to `most`.
    fn count_names_of_sender(&self, sender: &[u8], most: usize) -> Result<usize, Self::Error> {
        Ok(self.names_of_sender(sender)?.len().min(most))
    }

    /// All names whose row carries this commitment, in ascending order. Several are possible
    /// (quirk ZERO-DROP).
    fn names_of_preorder(&self, hash: &PreorderHash) -> Result<Vec<Name>, Self::Error>;

    /// The row of a namespace.
    fn namespace(&self, id: &NamespaceId) -> Result<Option<NamespaceRecord>, Self::Error>;

    /// Whether some namespace's row carries this commitment.
    fn namespace_has_preorder(&self, hash: &PreorderHash) -> Result<bool, Self::Error>;

    /// All unspent preorders with this hash, of both kinds, by height then txid.
    fn preorders(&self, hash: &PreorderHash) -> Result<Vec<Preorder>, Self::Error>;

    /// The import keychain of a namespace.
    fn keychain(&self, id: &NamespaceId) -> Result<Option<ImportKeychain>, Self::Error>;

    /// The token account of an address.
    fn account(&self, address: &Address) -> Result<Option<Account>, Self::Error>;
}
