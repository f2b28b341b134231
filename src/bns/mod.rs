//! The rules of the Blockchain Name System: which operations are accepted and what they change.
//!
//! ```text
//! payload --wire--> Operation --check against View--> accept: effect on records, canonical text
//!                                                 \-> reject: the rule that refused
//! ```
//!
//! Everything is a pure function of its arguments: constants come from [`params::Params`], the state is
//! read through [`view::View`] and changed through a [`changes::Changes`] that the caller commits. A
//! rejected operation is a value, [`reject::Reject`], never an error. Nothing here may look at a clock,
//! a file or the network, and every rule cites its source: `sm` is state-machine.md, `wf` wire-format.md,
//! `ch` consensus-hash.md, `history` history.md.

pub mod address;
pub mod block;
pub mod changes;
pub mod commitment;
pub mod engine;
pub mod epoch;
pub mod forecast;
pub mod keychain;
pub mod life;
pub mod name;
pub mod operation;
pub mod params;
pub mod pending;
pub mod price;
pub mod quirk;
pub mod record;
pub mod reject;
pub mod state;
pub mod view;
pub mod wire;

pub use changes::Changes;
pub use engine::Bns;
pub use name::{Name, NamespaceId};
pub use operation::Operation;
pub use params::Params;
pub use record::{NameRecord, NamespaceRecord, Preorder};
pub use reject::Reject;
pub use view::View;
