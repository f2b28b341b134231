//! What is to be audited, what came of it, and blocks that were found to have more than logs say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::chain::BlockRef;

/// The most blocks that somebody may ask for at once.
pub const AUDIT_MAX: u32 = 10_000;
/// The folder of blocks from which something was left out.
const FOLDER: &str = "found";

/// What is to be looked at, and what came of it; shared with whoever asks.
#[derive(Debug, Clone, Default)]
pub struct Audits(Arc<Mutex<AuditStatus>>);

/// How far audits are.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AuditStatus {
    /// Blocks that are still to be looked at.
    pub left: u32,
    /// Blocks that were looked at since the start.
    pub done: u32,
    /// Those from which something had been left out.
    pub holes: Vec<AuditHole>,
    /// Why nothing is looked at, if that is so.
    pub trouble: Option<String>,
}

/// A block from which something had been left out.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AuditHole {
    /// Its height.
    pub height: u32,
    /// The logs that tell of the block, without secrets.
    pub sources: String,
}

impl Audits {
    /// Has `blocks` more random old blocks looked at.
    pub fn ask(&self, blocks: u32) {
        let mut status = self.lock();
        status.left = status.left.saturating_add(blocks).min(AUDIT_MAX);
    }

    /// How far they are.
    pub fn status(&self) -> AuditStatus {
        self.lock().clone()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, AuditStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Audits under way.
#[derive(Debug)]
pub(super) struct Auditing {
    pub(super) audits: Audits,
    /// When the next one of the day is due.
    pub(super) due: Instant,
    pub(super) under_way: BTreeMap<u32, (BlockRef, Instant)>,
}

impl Auditing {
    pub(super) fn new() -> Self {
        Self {
            audits: Audits::default(),
            due: Instant::now(),
            under_way: BTreeMap::new(),
        }
    }
}

/// Where blocks are kept from which something was left out.
pub(super) fn found_folder(directory: &Path) -> PathBuf {
    directory.join(FOLDER)
}

/// The blocks that were kept because something was left out of them: their heights and bytes.
pub(super) fn found(directory: &Path) -> Vec<(u32, Vec<u8>)> {
    let files = fs::read_dir(found_folder(directory))
        .into_iter()
        .flatten()
        .flatten();
    let paths = files.map(|file| file.path());
    let read = paths.filter_map(|path: PathBuf| {
        let height = path.file_name()?.to_str()?.parse().ok()?;
        Some((height, fs::read(&path).ok()?))
    });
    read.collect()
}
