//! The state on disk: one redb database, and the archive of zone files.
//!
#![doc = include_str!("format.md")]

#[cfg(test)]
mod arbitrary;
mod archive;
mod change;
mod codec;
mod compare;
mod damage;
mod database;
mod error;
mod identity;
mod key;
mod late;
mod lock;
mod lookup;
mod loose;
mod medium;
mod name_row;
mod offchain;
mod open;
mod pages;
mod proof;
mod query;
mod record;
mod row;
mod second;
mod segments;
mod soundness;
mod standing;
mod subdomain_row;
mod subdomains;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod undo;
mod upgrade;
mod view;
mod wanted;
mod writer;

pub use archive::{Archive, CheckedForms};
pub use compare::{LastChange, RowDifference};
pub use database::{Purpose, Store, StoreOptions};
pub use error::{OpenError, StoreError};
pub use identity::ChainIdentity;
pub use lock::DirectoryLock;
pub use lookup::{ArchiveError, Lookup, Stored};
pub use offchain::{Offchain, RememberedPeer, Tried};
pub use query::{Counts, HistoryEntry};
pub use row::{Announcement, IndexedBlock, StoredDecision, StoredOperation};
pub use second::{SecondError, SecondStore};
pub use soundness::Notice;
pub use standing::Standing;
pub use subdomains::{IndexedRow, RowContent, RowMark, Subdomains};
pub use view::{OpenState, StateReader, StoreSnapshot};
pub use wanted::WantedZonefile;
pub use writer::{ChangeNotice, Writer};
