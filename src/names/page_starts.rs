//! Where the pages of lists of names begin, kept for a block.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bitcoin::BlockHash;

use crate::bns::name::{Name, NamespaceId};
use crate::store::StoreError;

/// Selections that are kept; each takes about a byte for every three names.
const SELECTIONS_MAX: usize = 16;

/// Which names are counted and numbered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selection {
    /// Only those of this namespace.
    pub namespace: Option<NamespaceId>,
    /// Those too that were registered once and are free again.
    pub expired: bool,
}

/// Where the pages of a selection begin.
#[derive(Debug, Default)]
pub(super) struct Starts {
    /// The last name before each page; the first page has none.
    pub before: Vec<Option<Name>>,
    pub count: u64,
}

/// The selections of one block.
#[derive(Debug, Default)]
pub(super) struct PageStarts(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    block: Option<BlockHash>,
    selections: HashMap<Selection, Arc<Starts>>,
}

impl PageStarts {
    /// Where the pages of a selection begin at a block, which `find` says where nobody knows. The lock is held meanwhile, so that a
    /// crowd of the same question costs one walk.
    pub fn get(
        &self,
        block: Option<BlockHash>,
        selection: &Selection,
        find: impl FnOnce() -> Result<Starts, StoreError>,
    ) -> Result<Arc<Starts>, StoreError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.block != block || kept.selections.len() >= SELECTIONS_MAX {
            *kept = Kept {
                block,
                ..Kept::default()
            };
        }
        if let Some(starts) = kept.selections.get(selection) {
            return Ok(Arc::clone(starts));
        }
        let starts = Arc::new(find()?);
        kept.selections
            .insert(selection.clone(), Arc::clone(&starts));
        Ok(starts)
    }
}
