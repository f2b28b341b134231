//! Which zone files a node has, one bit a row of the announcements.
//!
//! All honest nodes number the announcements of zone files alike, from 1. Bit i of an inventory, from 0, is set if the file
//! of row i + 1 is present. The first row is the most significant bit of the first byte, and what is left of the last byte
//! is 0 (`atlas.py` of the reference, `atlas_make_zonefile_inventory`).

/// An inventory of more bytes than the chain has rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an inventory of {bytes} bytes says more than {rows} rows can have")]
pub struct TooLong {
    /// Bytes that came.
    pub bytes: usize,
    /// Rows that there are.
    pub rows: u32,
}

/// The bits of a node, ours or a peer's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    rows: u32,
    bits: Vec<u8>,
}

impl Inventory {
    /// An inventory of `rows` rows, none of which is present.
    pub fn new(rows: u32) -> Self {
        let bits = vec![0; bytes_of(rows)];
        Self { rows, bits }
    }

    /// What a peer sent, for a chain of `rows` rows. A shorter inventory lacks the rows behind it. Bits behind the last row
    /// are dropped: a peer that is a block ahead of us sets them rightly.
    pub fn from_bytes(bytes: &[u8], rows: u32) -> Result<Self, TooLong> {
        let mut bits = bytes.to_vec();
        let wanted = bytes_of(rows);
        if bits.len() > wanted {
            let bytes = bits.len();
            return Err(TooLong { bytes, rows });
        }
        bits.resize(wanted, 0);
        let spare = wanted as u64 * 8 - u64::from(rows);
        if let Some(last) = bits.last_mut() {
            *last &= 0xff << spare;
        }
        Ok(Self { rows, bits })
    }

    /// How many rows it speaks of.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Whether the file of `row` is present; false for a row that there is not.
    pub fn get(&self, row: u32) -> bool {
        let byte = place(row).and_then(|(byte, mask)| Some(self.bits.get(byte)? & mask));
        byte.is_some_and(|byte| byte != 0)
    }

    /// Says that the file of `row` is present; makes room for it if needed. Row 0 is none.
    pub fn set(&mut self, row: u32) {
        self.grow(row);
        if let Some((byte, mask)) = place(row)
            && let Some(byte) = self.bits.get_mut(byte)
        {
            *byte |= mask;
        }
    }

    /// Says that the file of `row` is absent.
    pub fn clear(&mut self, row: u32) {
        if let Some((byte, mask)) = place(row)
            && let Some(byte) = self.bits.get_mut(byte)
        {
            *byte &= !mask;
        }
    }

    /// Makes room for `rows` rows; the new ones are absent. It never shrinks.
    pub fn grow(&mut self, rows: u32) {
        if rows > self.rows {
            self.rows = rows;
            self.bits.resize(bytes_of(rows), 0);
        }
    }

    /// How many rows are present.
    pub fn present(&self) -> u32 {
        self.bits.iter().map(|byte| byte.count_ones()).sum()
    }

    /// All of it, as it is sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bits
    }

    /// At most `length` bytes from byte `offset` on, clipped to what there is.
    pub fn slice(&self, offset: usize, length: usize) -> &[u8] {
        let rest = self.bits.get(offset..).unwrap_or_default();
        rest.get(..length).unwrap_or(rest)
    }

    /// The rows whose bits differ between two inventories, in order; a row that one of them lacks is absent there.
    pub(super) fn changed_rows<'i>(&'i self, other: &'i Self) -> impl Iterator<Item = u32> + 'i {
        let bytes = self.bits.len().max(other.bits.len());
        let byte = |bits: &[u8], at: usize| bits.get(at).copied().unwrap_or(0);
        (0..bytes).flat_map(move |at| {
            let changed = byte(&self.bits, at) ^ byte(&other.bits, at);
            let rows = (0..8_u32).filter(move |bit| changed & (0x80 >> bit) != 0);
            rows.map(move |bit| at as u32 * 8 + bit + 1)
        })
    }
}

/// Bytes that hold a bit for each of `rows`.
fn bytes_of(rows: u32) -> usize {
    rows.div_ceil(8) as usize
}

/// Byte and mask of a row.
fn place(row: u32) -> Option<(usize, u8)> {
    let bit = row.checked_sub(1)?;
    Some(((bit / 8) as usize, 0x80 >> (bit % 8)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_row_is_the_most_significant_bit() {
        let mut inventory = Inventory::new(8);
        for row in [1, 3, 4, 8] {
            inventory.set(row);
        }
        assert_eq!(inventory.as_bytes(), [0xb1]);
        inventory.set(9);
        assert_eq!(
            (inventory.as_bytes(), inventory.rows()),
            (&[0xb1, 0x80][..], 9)
        );
        inventory.clear(1);
        assert_eq!((inventory.get(1), inventory.get(3)), (false, true));
        assert!(!inventory.get(0) && !inventory.get(10) && !inventory.get(u32::MAX));
        assert_eq!(inventory.present(), 4);
    }

    #[test]
    fn one_byte_too_many_is_refused_and_bits_behind_the_last_row_are_dropped() {
        let inventory = Inventory::from_bytes(&[0xff, 0xff], 9).expect("two bytes hold nine rows");
        assert_eq!(inventory.as_bytes(), [0xff, 0x80]);
        let error = Inventory::from_bytes(&[0xff, 0xff], 8).expect_err("one byte holds eight rows");
        assert_eq!(error, TooLong { bytes: 2, rows: 8 });
        assert!(Inventory::from_bytes(&[0], 0).is_err());
        let short = Inventory::from_bytes(&[0x01], 17).expect("shorter is behind");
        assert_eq!(
            (short.rows(), short.get(8), short.get(17)),
            (17, true, false)
        );
    }

    #[test]
    fn a_slice_is_clipped_to_what_there_is() {
        let inventory = Inventory::from_bytes(&[1, 2, 3], 24).expect("it fits");
        assert_eq!(inventory.slice(1, 9), [2, 3]);
        assert_eq!(inventory.slice(0, 2), [1, 2]);
        assert_eq!(inventory.slice(4, 1), [0_u8; 0]);
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_rows(rows in prop::collection::btree_set(1u32..200, 0..50), more in 0u32..40) {
            let mut inventory = Inventory::new(200);
            rows.iter().for_each(|row| inventory.set(*row));
            let there: Vec<u32> = (0..300).filter(|row| inventory.get(*row)).collect();
            prop_assert_eq!(there, rows.iter().copied().collect::<Vec<_>>());
            let again = Inventory::from_bytes(inventory.as_bytes(), 200);
            prop_assert_eq!(again.as_ref(), Ok(&inventory));
            let longer = Inventory::new(200 + more);
            let changed: Vec<u32> = inventory.changed_rows(&longer).collect();
            prop_assert_eq!(changed, rows.into_iter().collect::<Vec<_>>());
        }
    }
}
