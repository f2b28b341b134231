//! The last state of the historical network, from the export that was published when its names moved to another chain.
//!
//! The export has two files. `chainstate.txt` has a section of lines for namespaces, one for names, and two for tokens, which
//! nobody here needs; `name_zonefiles.txt` has two lines a zone file. Their SHA-256 were compiled into the software of the
//! later chain. What they say rests on these hashes and on nothing else: there are no operations in them, no heights and no
//! consensus hash.
//!
//! The export is brought into the form of a block with all names in it, at the height at which the network ended. Every
//! record of it has the transaction id zero, which no operation has.
//!
//! Addresses are those of the later chain, see [`c32`].

pub mod c32;
mod chainstate;

use bitcoin::Txid;
use bitcoin::hashes::Hash as _;

use super::changes::{Change, Changes, Event, EventRow};
use super::params::Params;
use super::record::{NameRecord, NamespaceRecord};
use crate::hash::FileHash;

pub use chainstate::{Chainstate, Fault};

/// The height of the export: operations in this block and above were none any more.
pub const HEIGHT: u32 = 665_750;
/// SHA-256 of the published `chainstate.txt`.
pub const CHAINSTATE: FileHash = FileHash([
    0x74, 0x23, 0x7a, 0xa3, 0x9a, 0xa5, 0x0a, 0x83, 0xde, 0x11, 0xa4, 0xf5, 0x3e, 0x9d, 0x3b, 0xb7,
    0xd4, 0x34, 0x61, 0xd1, 0xde, 0x98, 0x73, 0xf4, 0x02, 0xe5, 0x45, 0x3a, 0xe6, 0x0b, 0xc5, 0x9b,
]);
/// SHA-256 of the published `name_zonefiles.txt`.
pub const ZONEFILES: FileHash = FileHash([
    0xa2, 0x56, 0x86, 0x00, 0x23, 0xe6, 0xe5, 0xa1, 0x7e, 0x07, 0xcc, 0x64, 0x7c, 0xb0, 0x1f, 0xe7,
    0x56, 0x05, 0xec, 0xd7, 0x0a, 0x64, 0x8d, 0x96, 0x08, 0xbe, 0x3f, 0x63, 0x58, 0x74, 0xbe, 0x0e,
]);

/// The constants of a network that is nothing but its last block.
pub fn params() -> Params {
    Params {
        first_block: HEIGHT,
        last_block: Some(HEIGHT),
        ..Params::mainnet()
    }
}

/// Whether a record with this transaction comes from an export.
pub fn is_exported(txid: &Txid) -> bool {
    *txid == Txid::all_zeros()
}

/// A zone file from its line in `name_zonefiles.txt`, where `\n` stands for a line feed.
pub fn zonefile(line: &str) -> Vec<u8> {
    line.replace("\\n", "\n").into_bytes()
}

/// What a block with all of an export changes.
fn changes(namespaces: Vec<NamespaceRecord>, names: Vec<NameRecord>) -> Changes {
    let event = |row| Event {
        vtxindex: 0,
        txid: Txid::all_zeros(),
        row,
    };
    let mut changes = Changes::default();
    for row in namespaces {
        let change = Change::insertion(row.clone());
        changes.namespaces.insert(row.namespace_id.clone(), change);
        changes.events.push(event(EventRow::Namespace(row)));
    }
    for row in names {
        let change = Change::insertion(row.clone());
        changes.names.insert(row.name.clone(), change);
        changes.events.push(event(EventRow::Name(row)));
    }
    changes
}
