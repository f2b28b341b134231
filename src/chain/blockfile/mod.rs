//! Bitcoin Core's block files: `blocks/blk?????.dat` with the blocks in order of arrival, and
//! `blocks/rev?????.dat` with the outputs that each block spent.
//!
//! ```text
//! blk: magic (4) | length (4, little-endian) | block                               ... again
//! rev: magic (4) | length (4, little-endian) | spent outputs | checksum (32)       ... again
//!      checksum = SHA256d(hash of the block below || spent outputs); not counted in length
//! ```
//!
//! Files end at 128 MiB and are preallocated with zeros. Since Bitcoin Core 28 both kinds are obfuscated with
//! the eight bytes of `blocks/xor.dat`, repeated from the start of each file ([`ObfuscationKey`]). Blocks are
//! not in order of height, and a `rev` record does not name its block: only the checksum ties the two.
//!
//! The files are read as hostile input: lengths are bounded by what the file holds, and bytes that are no
//! record are an error with an offset. Follows Bitcoin Core's `node/blockstorage.cpp`, `undo.h` and
//! `compressor.h`.

mod compress;
pub mod record;
pub mod undo;

/// Largest size of a `blk` file in bytes (Bitcoin Core, `MAX_BLOCKFILE_SIZE`).
pub(crate) const MAX_FILE_SIZE: u64 = 128 << 20;

/// The two kinds of file, which differ in their record's limits and tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// `blk?????.dat`
    Blocks,
    /// `rev?????.dat`
    Undo,
}

impl FileKind {
    /// Name of the file with this number.
    pub fn file_name(self, number: u32) -> String {
        let prefix = match self {
            Self::Blocks => "blk",
            Self::Undo => "rev",
        };
        format!("{prefix}{number:05}.dat")
    }

    /// Longest payload that a record's length may announce, in bytes.
    fn max_payload(self) -> u64 {
        match self {
            Self::Blocks => 4_000_000,   // Bitcoin Core, MAX_BLOCK_SERIALIZED_SIZE
            Self::Undo => MAX_FILE_SIZE, // no rule says; a file of Core's own never comes near
        }
    }

    /// Bytes that follow the payload and are not counted in its length.
    pub(crate) fn trailer(self) -> u64 {
        match self {
            Self::Blocks => 0,
            Self::Undo => undo::CHECKSUM_LENGTH as u64,
        }
    }
}

/// What the bytes of block files are mixed with, so that virus scanners find nothing in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ObfuscationKey([u8; 8]);

/// `xor.dat` is not what Bitcoin Core writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "xor.dat should hold 8 bytes and holds {0}: copy it from the node's blocks directory again"
)]
pub struct BadKey(pub usize);

impl ObfuscationKey {
    /// No obfuscation: files of Bitcoin Core before 28, and our own.
    pub const NONE: Self = Self([0; 8]);

    /// The key that the content of `xor.dat` is.
    pub fn from_file(content: &[u8]) -> Result<Self, BadKey> {
        content
            .try_into()
            .map(Self)
            .map_err(|_| BadKey(content.len()))
    }

    /// Obfuscates, or reads, `bytes` that stand at `offset` of a file.
    pub fn apply(self, offset: u64, bytes: &mut [u8]) {
        if self == Self::NONE {
            return;
        }
        let start = (offset % self.0.len() as u64) as usize;
        let key = self.0.iter().cycle().skip(start);
        for (byte, mask) in bytes.iter_mut().zip(key) {
            *byte ^= mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_repeats_from_the_start_of_the_file() {
        let key = ObfuscationKey::from_file(&[1, 2, 3, 4, 5, 6, 7, 8]).expect("eight bytes");
        let mut bytes = [0; 10];
        key.apply(6, &mut bytes);
        assert_eq!(bytes, [7, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        key.apply(6, &mut bytes);
        assert_eq!(bytes, [0; 10]);
        assert_eq!(ObfuscationKey::from_file(&[1]), Err(BadKey(1)));
    }

    #[test]
    fn files_are_numbered_with_five_digits() {
        assert_eq!(FileKind::Blocks.file_name(0), "blk00000.dat");
        assert_eq!(FileKind::Undo.file_name(4711), "rev04711.dat");
    }
}
