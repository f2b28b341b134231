//! Rows of names, and of what happened to them. The row of a name says where the last operation on it stands, and each row of the
//! history where the one before stands: what happened to a name is a list from its newest end. So the rows of a block stand
//! together at the end of the history, however many names there are.

use crate::bns::name::Name;
use crate::bns::record::NameRecord;

use super::codec::{Field, Input};
use super::record::Row as _;

/// Where an operation stands in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) height: u32,
    pub(super) vtxindex: u32,
}

/// A row of `names` or `name_history` in its two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NameRow<'r> {
    /// In `names` the place of the last operation, in `name_history` that of the one before; `None` if there is none.
    pub(super) place: Option<Place>,
    /// The record as [`super::record::Row`] has it.
    pub(super) record: &'r [u8],
}

impl<'r> NameRow<'r> {
    /// Takes a row apart; the record is not looked at.
    pub(super) fn read(row: &'r [u8]) -> Option<Self> {
        let mut input = Input::new(row);
        Some(Self {
            place: Field::read(&mut input)?,
            record: input.rest(),
        })
    }

    /// Appends the row.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.place.write(out);
        out.extend_from_slice(self.record);
    }

    /// The record in a row.
    pub(super) fn record_of(name: Name, row: &[u8]) -> Option<NameRecord> {
        NameRecord::read(name, NameRow::read(row)?.record)
    }
}

/// Appends the row with a record.
pub(super) fn write_name_row(place: Option<Place>, record: &NameRecord, out: &mut Vec<u8>) {
    place.write(out);
    record.write(out);
}
