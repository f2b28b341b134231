//! Names by the number of their page, as the reference lists them, and how many there are.
//!
//! Whether a name has expired depends on the height, so that its place in the list follows from no row. All names are looked
//! at once a block, when somebody asks, and where each page begins is kept ([`super::page_starts`]); a page after that costs as much
//! as it is long.

use std::sync::Arc;

use super::page_starts::{Selection, Starts};
use super::state::NameState;
use super::view::Names;
use crate::bns::name::Name;
use crate::bns::record::NameRecord;
use crate::store::StoreError;

/// Names on a page, as in the reference.
pub const PAGE: usize = 100;
/// Names that are read at once.
const STEP: usize = 1_000;

/// A page of names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamePage {
    /// In ascending order; none behind the last page.
    pub names: Vec<Name>,
    /// On all pages together.
    pub count: u64,
}

impl Names {
    /// The page with a number, from 0 on. The first one of a block reads all names.
    pub fn page(&self, selection: &Selection, number: u32) -> Result<NamePage, StoreError> {
        let starts = self.starts(selection)?;
        let mut page = NamePage {
            names: Vec::new(),
            count: starts.count,
        };
        if let Some(before) = starts.before.get(number as usize) {
            // Behind the last name of the last page nothing is looked for: that would be all names to the end.
            let left = starts.count - u64::from(number) * PAGE as u64;
            let length = left.min(PAGE as u64) as usize;
            self.walk(selection, before.clone(), |name| {
                page.names.push(name);
                page.names.len() < length
            })?;
        }
        Ok(page)
    }

    fn starts(&self, selection: &Selection) -> Result<Arc<Starts>, StoreError> {
        let block = self.snapshot.tip().map(|tip| tip.hash);
        let kept = &self.from.page_starts;
        kept.get(block, selection, || self.find_starts(selection))
    }

    fn find_starts(&self, selection: &Selection) -> Result<Starts, StoreError> {
        let (mut starts, mut last) = (Starts::default(), None);
        self.walk(selection, None, |name| {
            if starts.count.is_multiple_of(PAGE as u64) {
                starts.before.push(last.take());
            }
            starts.count += 1;
            last = Some(name);
            true
        })?;
        Ok(starts)
    }

    /// Shows the selected names behind one, in ascending order, until `show` gives `false`.
    fn walk(
        &self,
        selection: &Selection,
        mut after: Option<Name>,
        mut show: impl FnMut(Name) -> bool,
    ) -> Result<(), StoreError> {
        loop {
            let records = self.snapshot.names(after.as_ref(), STEP)?;
            let is_last = records.len() < STEP;
            after = records.last().map(|record| record.name.clone());
            for record in records {
                if self.is_selected(selection, &record)? && !show(record.name) {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn is_selected(&self, selection: &Selection, record: &NameRecord) -> Result<bool, StoreError> {
        if let Some(wanted) = &selection.namespace
            && record.name.namespace_id().as_ref() != Some(wanted)
        {
            return Ok(false);
        }
        Ok(selection.expired || self.state(&record.name, record.life())?.0 != NameState::Free)
    }
}
