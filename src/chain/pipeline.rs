//! Blocks fetched ahead while the index is busy with earlier ones.
//!
//! A thread fetches a range of heights in order and stops at the first error or when nobody takes its blocks
//! any more. It never decides anything: whether a block continues the index is checked by whoever takes it.

use std::sync::mpsc::{Receiver, sync_channel};

use super::{Block, SourceError};

/// Blocks that wait at most; with the largest ones, 32 MB.
const WAITING: usize = 8;

/// A range of blocks on its way.
#[derive(Debug)]
pub struct Pipeline {
    next: u32,
    last: u32,
    blocks: Receiver<Result<Option<Block>, SourceError>>,
}

impl Pipeline {
    /// Begins to fetch the blocks from `first` to `last`; `None` if the system gives no thread. `fetch` says
    /// `None` for a height that the chain does not reach any more.
    pub fn start(
        first: u32,
        last: u32,
        mut fetch: impl FnMut(u32) -> Result<Option<Block>, SourceError> + Send + 'static,
    ) -> Option<Self> {
        let (sender, blocks) = sync_channel(WAITING);
        let run = move || {
            for height in first..=last {
                let block = fetch(height);
                let is_last = !matches!(block, Ok(Some(_)));
                if sender.send(block).is_err() || is_last {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("prefetch".to_owned());
        thread.spawn(run).ok()?; // ends by itself, at the latest one block after the receiver is gone
        Some(Self {
            next: first,
            last,
            blocks,
        })
    }

    /// Whether the block at `height` comes next.
    pub fn is_at(&self, height: u32) -> bool {
        self.next == height && height <= self.last
    }

    /// The next block; `None` if the chain has become shorter.
    pub fn take(&mut self) -> Result<Option<Block>, SourceError> {
        self.next = self.next.saturating_add(1);
        self.blocks.recv().unwrap_or(Ok(None))
    }
}
