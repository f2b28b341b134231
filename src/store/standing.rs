//! What questions about names ask most, read from the front of a row.

use std::ops::ControlFlow;

use redb::ReadableTable;

use crate::bns::life::Life;
use crate::bns::name::Name;
use crate::hash::{PreorderHash, ZonefileHash};

use super::codec::{Field, Input, skip_script};
use super::error::Result;
use super::name_row::NameRow;
use super::table::Bytes;
use super::view::StateReader;

/// Bytes of the three heights before those of a life.
const HEIGHTS_BEFORE: usize = 12;

/// What an operation made of a name, as far as it says how the name stands and what it resolves to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Height of the operation.
    pub height: u32,
    /// What says how long it lives.
    pub life: Life,
    /// Hash of the zone file.
    pub zonefile: Option<ZonefileHash>,
}

impl Standing {
    /// Reads it from the front of a name's record (see "Records" in `format.md`), whose seal vouches for the rest.
    fn read(height: u32, row: &[u8]) -> Option<Self> {
        let mut input = Input::new(row);
        let input = &mut input;
        PreorderHash::read(input)?;
        let zonefile = Field::read(input)?;
        skip_script(input)?;
        if bool::read(input)? {
            skip_script(input)?;
        }
        input.take(HEIGHTS_BEFORE)?;
        Some(Self {
            height,
            zonefile,
            life: Life {
                first_registered: u32::read(input)?,
                last_renewed: u32::read(input)?,
                revoked: bool::read(input)?,
            },
        })
    }
}

impl<T: ReadableTable<Bytes, Bytes>> StateReader<T> {
    /// How a name stood after the last operation on it up to and including a height.
    pub fn standing_at(&self, name: &Name, height: u32) -> Result<Option<Standing>> {
        let mut found = None;
        self.name_back(name, |place, record| {
            if place.height > height {
                return Some(ControlFlow::Continue(()));
            }
            found = Some(Standing::read(place.height, record)?);
            Some(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// Hands every name that ever had an operation, as bytes and in descending order, and how it stands after the last one to
    /// `see`, until that breaks off.
    pub fn standings(&self, mut see: impl FnMut(&[u8], Standing) -> ControlFlow<()>) -> Result<()> {
        self.tables.names.descend(.., |name, row| {
            let row = NameRow::read(row)?;
            match row.place {
                Some(place) => Some(see(name, Standing::read(place.height, row.record)?)),
                None => Some(ControlFlow::Continue(())),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::arbitrary;
    use super::super::record::Row as _;
    use super::*;

    proptest! {
        /// The front of a row says what the whole row says.
        #[test]
        fn a_standing_is_what_the_record_says(record in arbitrary::name_record(), height in any::<u32>()) {
            let mut row = Vec::new();
            record.write(&mut row);
            let standing = Standing { height, life: record.life(), zonefile: record.value_hash };
            prop_assert_eq!(Standing::read(height, &row), Some(standing));
        }

        #[test]
        fn no_bytes_panic(row in proptest::collection::vec(prop_oneof![0u8..3, any::<u8>()], 0..200)) {
            let _ = Standing::read(0, &row);
        }
    }
}
