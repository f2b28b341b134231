//! Whole blocks on their way from Bitcoin peers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::chain::p2p::Peers;
use crate::chain::{Block, BlockRef};
use crate::disk;

/// The folder of records of blocks that came whole.
const FOLDER: &str = "whole";

/// How long ago a peer may have said something to count as heard; they are asked every two minutes.
pub(super) const HEARD: Duration = Duration::from_secs(300);

/// Blocks on their way.
pub(super) struct Full {
    pub(super) peers: Arc<Peers>,
    /// The last wish.
    asked: Vec<BlockRef>,
    /// A block that came, while something that it spends is missing.
    pub(super) block: Option<Block>,
}

impl Full {
    pub(super) fn new(peers: Arc<Peers>) -> Self {
        Self {
            peers,
            asked: Vec::new(),
            block: None,
        }
    }

    /// A block, once it is here.
    pub(super) fn take(&mut self, wanted: Vec<BlockRef>) -> Option<Block> {
        let at = *wanted.first()?;
        if let Some(block) = self.block.take_if(|block| block.at == at) {
            return Some(block);
        }
        let is_asked = self.asked.contains(&at);
        if !is_asked || self.asked.first() != Some(&at) && wanted.last() != self.asked.last() {
            self.peers.want(&wanted);
            self.asked = wanted;
        }
        self.peers.take(&at.hash)
    }
}

/// Keeps the record of a block that came whole.
pub(super) fn keep_record(directory: &Path, height: u32, bytes: &[u8]) -> io::Result<()> {
    disk::create_directory(&directory.join(FOLDER))?;
    disk::replace(&record_path(directory, height), bytes)
}

/// Where the record of a block is kept that came whole.
fn record_path(directory: &Path, height: u32) -> PathBuf {
    directory.join(FOLDER).join(height.to_string())
}

/// The bytes of the record of a block that came whole, as a segment of one block.
pub(super) fn kept_record(directory: &Path, height: u32) -> Option<Vec<u8>> {
    fs::read(record_path(directory, height)).ok()
}
