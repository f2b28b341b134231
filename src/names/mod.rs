//! The state of names: what DNS, `explain` and the owner's commands all ask.
//!
//! A [`NameStore`] has the database of names and the archive of zone files. It gives a [`Names`]: a snapshot of
//! the database and a height in it, usually the tip. Everything is read from the history at that height, so that a question
//! about the past is the same question.
//!
//! | file | holds |
//! |---|---|
//! | `name_store.rs` | where snapshots come from, and how far the index is |
//! | `view.rs` | names at one height; what the resolver reads |
//! | `state.rs` | how a name stands: registered, in grace, revoked, expired, and the end of its term |
//! | `zone.rs` | zone files, read and kept |
//! | `missing.rs` | which announced zone files the archive has |
//! | `date.rs` | when a block was, or will be |
//!
//! The end of a name has one vocabulary, [`Term`](crate::bns::life::Term), in every command, reply and answer.

mod date;
mod missing;
mod name_store;
mod state;
mod view;
mod zone;

pub use date::rfc3339;
pub use missing::Zonefiles;
pub use name_store::NameStore;
pub use state::{NameState, Standing};
pub use view::{Names, NamesError};
pub use zone::REREAD_AFTER;
