//! Blocks become state: chain -> rules -> store.
//!
//! The rules are run by one loop, [`crate::virtualchain::derive`]; the files here say over which blocks and into what:
//!
//! | file | blocks | into |
//! |---|---|---|
//! | `follow` | what a chain source says, for as long as the daemon runs | the database |
//! | `rewind` | the operations in the database, up to a height | a second database that takes its place |
//! | `verify` | the operations in the database, all of them | a second database, which is compared and removed |
//! | `repair` | the operations in the database as far as they are whole, then a chain source | a second database that takes its place |
//! | `replay` | a chain source or a golden file | memory; the hashes are compared and shown |
//!
//! Two more uses of the loop stand where their users are: [`crate::bns::forecast`] runs it over transactions that
//! nobody has sent yet, [`crate::wallet::registrar`] over the blocks that it mines itself.
//!
//! `export` writes the log of the blocks in the database, for those who follow the chain without a node.
//!
//! `subdomains` reads the zone files that were announced, and not blocks, into the records of subdomains.
//!
//! `last_state` brings in names without any chain, from files that were published.
//!
//! Nothing here decides about an operation, and nothing here answers questions.

mod again;
mod error;
mod export;
mod export_error;
mod export_files;
mod follow;
mod fork;
mod headers_file;
mod indexed;
mod last_state;
mod repair;
mod replay;
mod report;
mod rewind;
mod run;
mod subdomains;
mod supply;
mod verify;
mod witnesses;

pub use error::IndexError;
pub use export::{Exported, Exporter};
pub use export_error::ExportError;
pub use follow::{Indexer, Turn, was_synced};
pub use indexed::IndexedCandidates;
pub use last_state::{Import as ImportLastState, ImportError, Imported, LastState};
pub use repair::{RepairError, repair};
pub use replay::{Replay, ReplayBlock, ReplayError};
pub use rewind::{RewindError, Rewound, UndoneOperation, operations_above, rewind};
pub use subdomains::SubdomainIndexer;
pub use supply::{LocalSupply, LogBlock, LogFacts, Piece, Supply};
pub use verify::{Verified, VerifyError, verify};
