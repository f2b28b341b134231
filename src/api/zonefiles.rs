//! Zone files in bulk, for whoever carries all of them somewhere.

use serde::{Deserialize, Serialize};

use crate::hash::ZonefileHash;
use crate::names::{AnnouncedZonefile, Imported, MissingZonefile};
use crate::wallet::hex;

/// Most rows in a reply.
pub const ROWS_MAX: usize = 1_000;
/// Most zone files in a reply: as hex the largest ones fit into its line.
pub const FILES_MAX: usize = 40;
/// Most bytes of zone files in a request: as hex, with quotes and names, they fit into its line.
pub const IMPORT_MAX: usize = 200 * 1_024;

/// Asks for announced zone files in the order of their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnnouncedRequest {
    /// The first number; numbers begin at 1.
    pub from: u32,
}

/// Announced zone files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncedReply {
    /// Those from the asked number on, at most [`ROWS_MAX`].
    pub announced: Vec<AnnouncedZonefile>,
    /// How many there are in all.
    pub count: u64,
}

/// Asks for the bytes of zone files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZonefilesRequest {
    /// Their hashes, at most [`FILES_MAX`].
    pub hashes: Vec<ZonefileHash>,
}

/// Zone files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZonefilesReply {
    /// Those that the archive has.
    pub zonefiles: Vec<Bytes>,
}

/// The bytes of a zone file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(#[serde(with = "hex::bytes")] pub Vec<u8>);

/// Brings zone files, of which those are kept that the chain has announced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// Their bytes, at most [`IMPORT_MAX`] together.
    pub zonefiles: Vec<Bytes>,
}

/// What became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReply {
    /// In the order of the request.
    pub imported: Vec<Imported>,
}

/// Asks for the zone files that are missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissingRequest {}

/// Zone files that names ask for and the archive lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingReply {
    /// How many there are.
    pub count: u64,
    /// The first of them, at most [`ROWS_MAX`].
    pub missing: Vec<MissingZonefile>,
}
