//! The rules of the Blockchain Name System: which operations are accepted and what they change.
//!
//! ```text
//! transaction --wire, operation--> Operation --check against View--> accepted: changes, canonical text
//!                                                               \-> rejected: the rule that refused
//! ```
//!
//! Everything is a pure function of its arguments: constants come from [`params::Params`], the state is
//! read through [`view::View`], and [`changes::Changes`] say what the caller has to commit. A rejected
//! operation is a value, [`reject::Reject`], never an error. Nothing here may look at a clock, a file or the
//! network.
//!
//! The rules in words stand beside the code, and comments in the whole crate cite them by section:
//!
//! - `sm §N`: [the state machine](rules::state_machine),
//! - `wf §N`: [the wire format](rules::wire_format),
//! - `ch §N`: [the consensus hash](crate::virtualchain::consensus_hash),
//! - `quirk` and a name in capitals: [a behaviour that looks like a mistake and must be kept](rules::quirks).

pub mod address;
mod base58;
mod block;
pub mod changes;
pub mod commitment;
pub mod engine;
pub mod epoch;
pub mod forecast;
mod keychain;
pub mod last_state;
pub mod life;
pub mod name;
pub mod network;
pub mod network_file;
pub mod operation;
pub mod params;
mod pending;
pub mod price;
pub mod proof;
pub mod record;
pub mod reject;
#[cfg(test)]
pub(crate) mod samples;
pub mod shown;
pub mod state;
pub mod subdomain;
pub mod view;
pub mod vouching;
pub mod wire;

pub use changes::Changes;
pub use engine::Bns;
pub use name::{Name, NamespaceId};
pub use operation::Operation;
pub use params::Params;
pub use record::{NameRecord, NamespaceRecord, Preorder};
pub use reject::Reject;
pub use view::View;

/// The rules in words. They follow blockstack-core 20.0.8.10 with virtualchain 20.0.1.0, as running it showed.
pub mod rules {
    #[doc = include_str!("wire_format.md")]
    pub mod wire_format {}

    #[doc = include_str!("state_machine.md")]
    pub mod state_machine {}

    #[doc = include_str!("quirks.md")]
    pub mod quirks {}
}
