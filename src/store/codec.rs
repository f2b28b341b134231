//! Values as bytes: compact, fixed by the database's format, and safe to read whatever the bytes are.
//!
//! The format ([`super`], "Encoding of fields") says which bytes. Reading returns `None` for bytes that no writer
//! produced, never panics, and allocates no more than the input is long.

use bitcoin::hashes::Hash as _;
use bitcoin::{BlockHash, Txid};

use crate::bns::address::Address;
use crate::hash::{ConsensusHash, OpsHash, PreorderHash, ZonefileHash};

/// Bytes still to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// `value`, if nothing is left.
    pub(super) fn finish<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

/// A value with one place in a row.
pub(super) trait Field: Sized {
    fn write(&self, out: &mut Vec<u8>);
    /// Reads what [`Field::write`] wrote.
    fn read(input: &mut Input<'_>) -> Option<Self>;
}

/// Reads a value that takes all of `bytes`.
pub(super) fn read_whole<T: Field>(bytes: &[u8]) -> Option<T> {
    let mut input = Input::new(bytes);
    let value = T::read(&mut input)?;
    input.finish(value)
}

/// Reads a count and so many items. The count is not trusted; each item takes input.
pub(super) fn read_list<T>(
    input: &mut Input<'_>,
    read: impl Fn(&mut Input<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    (0..read_length(input)?).map(|_| read(input)).collect()
}

/// Appends a length or count.
pub(super) fn write_length(mut length: usize, out: &mut Vec<u8>) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// Reads a length or count, at most 2^32 - 1.
pub(super) fn read_length(input: &mut Input<'_>) -> Option<usize> {
    let mut length = 0u64;
    for shift in (0..35).step_by(7) {
        let byte = u8::read(input)?;
        length |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return u32::try_from(length).ok().map(|length| length as usize);
        }
    }
    None
}

/// Appends a byte string and its length.
pub(super) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Reads a byte string and its length.
pub(super) fn read_bytes<'a>(input: &mut Input<'a>) -> Option<&'a [u8]> {
    let length = read_length(input)?;
    input.take(length)
}

/// Appends a script or public key.
pub(super) fn write_script(script: &[u8], out: &mut Vec<u8>) {
    match Address::of_script(script) {
        Some(address) => address.write(out),
        None => {
            out.push(0);
            write_bytes(script, out);
        }
    }
}

/// Passes over a script or public key.
pub(super) fn skip_script(input: &mut Input<'_>) -> Option<()> {
    match u8::read(input)? {
        0 => read_bytes(input)?,
        1 | 2 => input.take(20)?,
        _ => return None,
    };
    Some(())
}

impl Field for Vec<u8> {
    fn write(&self, out: &mut Vec<u8>) {
        write_script(self, out);
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        if input.0.first() == Some(&0) {
            input.take(1)?;
            return read_bytes(input).map(<[u8]>::to_vec);
        }
        Address::read(input).map(|address| address.script())
    }
}

impl Field for Address {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(if self.is_p2sh() { 2 } else { 1 });
        out.extend_from_slice(&self.hash());
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        match u8::read(input)? {
            1 => <[u8; 20]>::read(input).map(Self::P2pkh),
            2 => <[u8; 20]>::read(input).map(Self::P2sh),
            _ => None,
        }
    }
}

macro_rules! integers {
    ($($integer:ident),*) => {
        $(impl Field for $integer {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn read(input: &mut Input<'_>) -> Option<Self> {
                <[u8; size_of::<$integer>()]>::read(input).map($integer::from_be_bytes)
            }
        })*
    };
}

integers!(u8, u16, u32, u64, u128);

impl<const N: usize> Field for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        input.take(N)?.try_into().ok()
    }
}

macro_rules! hashes {
    ($bytes:ident, $make:expr; $($hash:ident),*) => {
        $(impl Field for $hash {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.$bytes());
            }

            fn read(input: &mut Input<'_>) -> Option<Self> {
                Field::read(input).map($make)
            }
        })*
    };
}

hashes!(as_bytes, Self; ConsensusHash, OpsHash, PreorderHash, ZonefileHash);
hashes!(as_byte_array, Self::from_byte_array; BlockHash, Txid);

impl Field for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        match u8::read(input)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<T: Field> Field for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        match bool::read(input)? {
            true => T::read(input).map(Some),
            false => Some(None),
        }
    }
}

impl Field for String {
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(self.as_bytes(), out);
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        String::from_utf8(read_bytes(input)?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lengths_come_back(length in any::<u32>()) {
            let mut bytes = Vec::new();
            write_length(length as usize, &mut bytes);
            let mut input = Input::new(&bytes);
            prop_assert_eq!(read_length(&mut input), Some(length as usize));
            prop_assert_eq!(input.finish(()), Some(()));
        }
    }

    #[test]
    fn a_length_beyond_the_row_allocates_nothing() {
        let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(read_bytes(&mut Input::new(&huge)), None);
        assert_eq!(Vec::<u8>::read(&mut Input::new(&huge)), None);
    }
}
