//! Atlas: the network in which every node keeps every zone file that the chain announces.
//!
//! The chain holds only hashes. Nodes number the announcements alike, tell each other as bits which files they have, and
//! fetch what they lack. Nobody is trusted: what a peer sends is hashed before anything is kept.
//!
//! | file | holds |
//! |---|---|
//! | `address.rs` (pure) | where a peer is |

mod address;

pub use address::{Host, ParseAddressError, PeerAddress, Prefix};
