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
//! | `index/` | how names stand at the tip, in memory |
//! | `bound.rs` | the keys that it binds |
//! | `subdomain.rs` | names below it that have owners of their own |
//! | `state.rs` | how a name or namespace stands |
//! | `detail.rs` | all about a name or namespace; lists of them |
//! | `record.rs` | their rows in the words of the reference |
//! | `page_starts.rs` | where lists of names are divided into pages |
//! | `pages.rs` | names by the number of their page, and how many there are |
//! | `price.rs` | what they cost |
//! | `proof.rs` | proofs for whoever trusts one consensus hash |
//! | `provenance.rs` | what an answer rests on |
//! | `zone.rs` | zone files, read and kept |
//! | `missing.rs` | which announced zone files the archive has |
//! | `news.rs` | what happened since somebody looked |
//! | `shelf.rs` | announced zone files in bulk: what there is, taking many out and putting many in |
//! | `date.rs` | when a block was, or will be; the end of a name with its dates |
//!
//! What these files give are values that the control protocol replies with as they are.
//!
//! The end of a name has one vocabulary, [`Term`](crate::bns::life::Term), in every command, reply and answer.

mod bound;
mod date;
mod detail;
mod index;
mod missing;
mod name_store;
mod news;
mod page_starts;
mod pages;
mod price;
mod proof;
mod provenance;
mod record;
mod shelf;
mod state;
mod subdomain;
mod view;
mod zone;

pub use bound::BoundName;
pub use date::{DatedTerm, expected, rfc3339};
pub use detail::{
    ListedName, NameDetails, NameEvent, NameList, NamespaceDetails, Registration, Wanted,
};
pub use index::{IndexStatus, NameIndex, Phase};
pub use missing::Zonefiles;
pub use name_store::{Exported, NameStore};
pub use page_starts::Selection;
pub use pages::NamePage;
pub use price::Price;
pub use proof::{Along, NameProof, Unprovable};
pub use provenance::{NameStatus, Provenance, ZonefileSource};
pub use record::{NamespaceRow, Record, RecordAt};
pub use shelf::{AnnouncedZonefile, Imported, MissingZonefile, TriedZonefile};
pub use state::{NameState, NamespaceState};
pub use subdomain::{SubdomainDetails, SubdomainRecord};
pub use view::{Names, NamesError};
pub use zone::REREAD_AFTER;
