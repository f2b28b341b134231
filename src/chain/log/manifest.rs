//! `log.json`: what a log has.

use bitcoin::hashes::sha256;
use bitcoin::{BlockHash, Network};
use serde::{Deserialize, Serialize};

use crate::hash::ConsensusHash;

/// How many blocks a sealed segment ends at a multiple of.
pub(crate) const SEGMENT_BLOCKS: u32 = 2_016;
/// A segment is sealed when its publisher has so many blocks on top.
pub const SEALED_BELOW: u32 = 100;
/// The largest segment, in bytes: a reader has several in memory. Those of the main network have 1.4 MB on average.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 24 << 20;
/// The largest `log.json`, in bytes: enough for 2,000 segments, 76 years.
pub const MANIFEST_BYTES_MAX: usize = 1 << 20;
/// The format that is written and read.
const FORMAT: u32 = 1;

/// What a log has. Its fields are those of the file, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// The Bitcoin network.
    pub network: Network,
    /// The magic bytes of the candidates, in hex.
    #[serde(with = "hex_pair")]
    pub magic: [u8; 2],
    /// The first block of the virtualchain.
    pub first_block: u32,
    /// The sealed segments, in order.
    pub segments: Vec<SegmentEntry>,
    /// The rest of the blocks.
    pub open: Option<SegmentEntry>,
    /// The block headers.
    pub headers: HeadersEntry,
}

/// A segment of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// Height of its first block.
    pub from: u32,
    /// Height of its last block.
    pub to: u32,
    /// How long the file is.
    pub bytes: u64,
    /// What the file hashes to.
    pub sha256: sha256::Hash,
    /// Hash of the block at `to`.
    pub block_hash: BlockHash,
    /// The consensus hash at `to`.
    pub consensus_hash: ConsensusHash,
}

/// The headers of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadersEntry {
    /// Height of the last one.
    pub to: u32,
}

/// Why bytes are no `log.json` that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    /// Too long.
    #[error("log.json has more than {MANIFEST_BYTES_MAX} bytes")]
    Long,
    /// No JSON, or without a field.
    #[error("log.json cannot be read: {0}")]
    Json(String),
    /// Of another version.
    #[error("the log has format {0}, and this program reads format {FORMAT}: update it")]
    Format(u32),
    /// A segment does not begin behind the one before it, or does not end where it has to.
    #[error("log.json: the segment from block {0} on is not in its place")]
    Place(u32),
    /// A segment is larger than any may be.
    #[error("log.json: the segment from block {0} on has more than {SEGMENT_BYTES_MAX} bytes")]
    Large(u32),
    /// Headers are missing.
    #[error("log.json: block headers reach to {0}, which is below the last segment")]
    Headers(u32),
}

impl Manifest {
    /// What a log has that begins with `first_block`, without segments.
    pub fn new(network: Network, magic: [u8; 2], first_block: u32) -> Self {
        Self {
            format: FORMAT,
            network,
            magic,
            first_block,
            segments: Vec::new(),
            open: None,
            headers: HeadersEntry { to: 0 },
        }
    }

    /// Reads `log.json`. The segments are in their places and no larger than [`SEGMENT_BYTES_MAX`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestFault> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestFault::Long);
        }
        let manifest: Self = serde_json::from_slice(bytes)
            .map_err(|error| ManifestFault::Json(error.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The bytes of `log.json`.
    pub fn render(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("numbers, hashes and lists are JSON") + "\n"
    }

    /// All segments, the open one last.
    pub fn entries(&self) -> impl Iterator<Item = &SegmentEntry> {
        self.segments.iter().chain(&self.open)
    }

    fn check(&self) -> Result<(), ManifestFault> {
        if self.format != FORMAT {
            return Err(ManifestFault::Format(self.format));
        }
        let mut next = Some(self.first_block);
        for (number, entry) in self.entries().enumerate() {
            let is_open = number == self.segments.len();
            let ends_well = match is_open {
                true => entry.from <= entry.to,
                false => entry.to == last_of_segment(entry.from),
            };
            if next != Some(entry.from) || !ends_well {
                return Err(ManifestFault::Place(entry.from));
            }
            if entry.bytes > SEGMENT_BYTES_MAX {
                return Err(ManifestFault::Large(entry.from));
            }
            if entry.to > self.headers.to {
                return Err(ManifestFault::Headers(self.headers.to));
            }
            next = entry.to.checked_add(1);
        }
        Ok(())
    }
}

impl SegmentEntry {
    /// The path of the segment below the directory of its log, if it is sealed.
    pub fn sealed_path(&self) -> String {
        format!("segments/{}", self.from / SEGMENT_BLOCKS)
    }
}

/// The height of the last block of the sealed segment that has the block at `height`.
pub fn last_of_segment(height: u32) -> u32 {
    first_of_segment(height).saturating_add(SEGMENT_BLOCKS - 1)
}

/// The height with which the segment begins that has the block at `height`, unless the virtualchain begins later.
pub(crate) fn first_of_segment(height: u32) -> u32 {
    height - height % SEGMENT_BLOCKS
}

/// Two bytes as four hex digits.
mod hex_pair {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::hash::{decode_hex, encode_hex};

    pub(super) fn serialize<S: Serializer>(
        pair: &[u8; 2],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode_hex(pair))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; 2], D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = decode_hex(&text).and_then(|bytes| <[u8; 2]>::try_from(bytes).ok());
        bytes.ok_or_else(|| D::Error::custom("the magic bytes are not four hex digits"))
    }
}
