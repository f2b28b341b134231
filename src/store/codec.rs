//! Rows as bytes: compact, fixed by the database's format, and safe to read whatever the bytes are.
//!
//! Integers are big-endian and of fixed width; a length is LEB128; an optional field is a byte 0 or 1 and
//! then the field; a truth value is a byte 0 or 1; a double is its IEEE bits; a transaction id is in
//! internal byte order. A byte string that is the script of an address takes 21 bytes: 1 (p2pkh) or 2 (p2sh)
//! and the hash; any other is 0, length, bytes. Text is length and bytes. Reading returns `None` for bytes that
//! no writer produced, never panics, and allocates no more than the input is long.

use bitcoin::Txid;
use bitcoin::hashes::Hash as _;

use crate::bns::address::Address;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::price::PriceFunction;
use crate::bns::record::{
    Account, Fee, ImportKeychain, NameOp, NameRecord, NamespaceOp, NamespaceRecord, Preorder,
    PreorderKey, PreorderKind, TokenUnits,
};
use crate::hash::{ConsensusHash, OpsHash, PreorderHash, ZonefileHash};

/// Bytes still to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Everything in `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `len` bytes.
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// All that is left.
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
    /// Appends it.
    fn write(&self, out: &mut Vec<u8>);
    /// Reads what [`Field::write`] wrote.
    fn read(input: &mut Input<'_>) -> Option<Self>;
}

/// A record under a key of its own.
pub(super) trait Row: Sized {
    /// The record's key.
    type Key: Ord;
    /// Appends the bytes of a key; they sort as keys do.
    fn write_key(key: &Self::Key, out: &mut Vec<u8>);
    /// Reads the bytes of a whole key.
    fn read_key(bytes: &[u8]) -> Option<Self::Key>;
    /// Appends every field that the key does not tell.
    fn write(&self, out: &mut Vec<u8>);
    /// Reads a whole row.
    fn read(key: Self::Key, bytes: &[u8]) -> Option<Self>;
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
    ($($hash:ident),*) => {
        $(impl Field for $hash {
            fn write(&self, out: &mut Vec<u8>) {
                self.0.write(out);
            }

            fn read(input: &mut Input<'_>) -> Option<Self> {
                Field::read(input).map(Self)
            }
        })*
    };
}

hashes!(ConsensusHash, OpsHash, PreorderHash, ZonefileHash);

impl Field for Txid {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_byte_array().write(out);
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        Field::read(input).map(Self::from_byte_array)
    }
}

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
        if bool::read(input)? {
            T::read(input).map(Some)
        } else {
            Some(None)
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

macro_rules! texts {
    ($($text:ident),*) => {
        $(impl Field for $text {
            fn write(&self, out: &mut Vec<u8>) {
                write_bytes(self.as_str().as_bytes(), out);
            }

            fn read(input: &mut Input<'_>) -> Option<Self> {
                $text::from_bytes(read_bytes(input)?).ok()
            }
        }

        impl KeyBytes for $text {
            fn write_key(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.as_str().as_bytes());
            }

            fn read_key(bytes: &[u8]) -> Option<Self> {
                $text::from_bytes(bytes).ok()
            }
        })*
    };
}

texts!(Name, NamespaceId);

/// Closed lists are a byte: the position of the value.
macro_rules! choices {
    ($($choice:ident: [$($variant:ident = $code:literal),*];)*) => {
        $(impl Field for $choice {
            fn write(&self, out: &mut Vec<u8>) {
                out.push(match self { $(Self::$variant => $code),* });
            }

            fn read(input: &mut Input<'_>) -> Option<Self> {
                match u8::read(input)? {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }
        })*
    };
}

choices! {
    NameOp: [Register = 0, Renew = 1, Update = 2, TransferKeep = 3, TransferDrop = 4, Revoke = 5, Import = 6];
    NamespaceOp: [Reveal = 0, Ready = 1];
    PreorderKind: [Name = 0, Namespace = 1];
    TokenUnits: [Btc = 0, Stacks = 1];
}

impl Field for Fee {
    fn write(&self, out: &mut Vec<u8>) {
        let (tag, bits) = match self {
            Self::Satoshi(satoshi) => (0u8, *satoshi),
            Self::Float(price) => (1, price.to_bits()),
        };
        tag.write(out);
        bits.write(out);
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        match (u8::read(input)?, u64::read(input)?) {
            (0, satoshi) => Some(Self::Satoshi(satoshi)),
            (1, bits) => Some(Self::Float(f64::from_bits(bits))),
            _ => None,
        }
    }
}

impl Field for PriceFunction {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.coeff, self.base]);
        self.buckets.write(out);
        out.extend_from_slice(&[self.nonalpha_discount, self.no_vowel_discount]);
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        Some(Self {
            coeff: u8::read(input)?,
            base: u8::read(input)?,
            buckets: Field::read(input)?,
            nonalpha_discount: u8::read(input)?,
            no_vowel_discount: u8::read(input)?,
        })
    }
}

/// Addresses of an import keychain: count, then 20 bytes each.
impl Field for Vec<[u8; 20]> {
    fn write(&self, out: &mut Vec<u8>) {
        write_length(self.len(), out);
        out.extend_from_slice(self.as_flattened());
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        let count = read_length(input)?;
        let bytes = input.take(count.checked_mul(20)?)?;
        Some(bytes.as_chunks().0.to_vec())
    }
}

/// A record as the list of its fields, in the order of the row; the key is read and written apart.
macro_rules! rows {
    ($($record:ident by $key:ty as $key_name:tt: [$($field:ident),*];)*) => {
        $(impl Row for $record {
            type Key = $key;

            fn write_key(key: &$key, out: &mut Vec<u8>) {
                key.write_key(out);
            }

            fn read_key(bytes: &[u8]) -> Option<$key> {
                KeyBytes::read_key(bytes)
            }

            fn write(&self, out: &mut Vec<u8>) {
                $(self.$field.write(out);)*
            }

            fn read(key: $key, bytes: &[u8]) -> Option<Self> {
                let mut input = Input::new(bytes);
                let input = &mut input;
                $(let $field = Field::read(input)?;)*
                let record = rows!(@build $record, key, $key_name, $($field),*);
                input.finish(record)
            }
        })*
    };
    (@build $record:ident, $key:ident, { $($from_key:ident),* }, $($field:ident),*) => {
        $record { $($from_key: $key.$from_key,)* $($field),* }
    };
    (@build $record:ident, $key:ident, $key_name:ident, $($field:ident),*) => {
        $record { $key_name: $key, $($field),* }
    };
}

rows! {
    NameRecord by Name as name: [
        preorder_hash, value_hash, sender, sender_pubkey, block_number, preorder_block_number,
        namespace_block_number, first_registered, last_renewed, revoked, op, txid, vtxindex, op_fee,
        importer, importer_address, consensus_hash, update_consensus_hash, token_fee
    ];
    NamespaceRecord by NamespaceId as namespace_id: [
        preorder_hash, version, sender, sender_pubkey, address, recipient, recipient_address,
        block_number, reveal_block, ready_block, op, op_fee, token_fee, txid, vtxindex, lifetime, price
    ];
    Preorder by PreorderKey as { preorder_hash, block_number, txid }: [
        kind, consensus_hash, sender, sender_pubkey, address, vtxindex, op_fee, burn_address,
        token_fee, token_units
    ];
    ImportKeychain by NamespaceId as namespace_id: [pubkey, addresses];
    Account by Address as address: [
        credit_value, debit_value, lock_transfer_block_id, receive_whitelisted
    ];
}

/// A record's key as the whole key of a table.
trait KeyBytes: Sized {
    fn write_key(&self, out: &mut Vec<u8>);
    fn read_key(bytes: &[u8]) -> Option<Self>;
}

impl KeyBytes for Address {
    fn write_key(&self, out: &mut Vec<u8>) {
        self.write(out);
    }

    fn read_key(bytes: &[u8]) -> Option<Self> {
        let mut input = Input::new(bytes);
        let address = Field::read(&mut input)?;
        input.finish(address)
    }
}

impl KeyBytes for PreorderKey {
    fn write_key(&self, out: &mut Vec<u8>) {
        self.preorder_hash.write(out);
        self.block_number.write(out);
        self.txid.write(out);
    }

    fn read_key(bytes: &[u8]) -> Option<Self> {
        let mut input = Input::new(bytes);
        let key = Self {
            preorder_hash: Field::read(&mut input)?,
            block_number: Field::read(&mut input)?,
            txid: Field::read(&mut input)?,
        };
        input.finish(key)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::arbitrary;
    use super::*;

    fn comes_back<R: Row + Debug + PartialEq>(key: &R::Key, record: &R) {
        let (mut key_bytes, mut row) = (Vec::new(), Vec::new());
        R::write_key(key, &mut key_bytes);
        record.write(&mut row);
        let read_key = R::read_key(&key_bytes).expect("a key that was written");
        assert_eq!(R::read(read_key, &row).as_ref(), Some(record));
        row.push(0);
        let read_key = R::read_key(&key_bytes).expect("a key that was written");
        assert_eq!(R::read(read_key, &row), None, "nothing may follow a row");
    }

    /// Whatever is read from arbitrary bytes, is what it writes again.
    fn is_safe<R: Row + Debug + PartialEq>(key: &[u8], row: &[u8]) {
        if let Some(record) = R::read_key(key).and_then(|key| R::read(key, row)) {
            let mut again = Vec::new();
            record.write(&mut again);
            let key = R::read_key(key).expect("it was read before");
            assert!(R::read(key, &again).is_some());
        }
    }

    proptest! {
        #[test]
        fn records_come_back(
            name in arbitrary::name_record(),
            namespace in arbitrary::namespace_record(),
            preorder in arbitrary::preorder(),
            keychain in arbitrary::keychain(),
            account in arbitrary::account(),
        ) {
            comes_back(&name.name, &name);
            comes_back(&namespace.namespace_id, &namespace);
            comes_back(&preorder.key(), &preorder);
            comes_back(&keychain.namespace_id, &keychain);
            comes_back(&account.address, &account);
        }

        #[test]
        fn no_bytes_panic(
            address in arbitrary::address(),
            key in vec(any::<u8>(), 56),
            row in vec(prop_oneof![0u8..3, any::<u8>()], 0..400),
        ) {
            is_safe::<NameRecord>(b"a.id", &row);
            is_safe::<NamespaceRecord>(b"id", &row);
            is_safe::<Preorder>(&key, &row);
            is_safe::<ImportKeychain>(b"id", &row);
            let mut key = Vec::new();
            Account::write_key(&address, &mut key);
            is_safe::<Account>(&key, &row);
        }

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
        assert_eq!(Vec::<[u8; 20]>::read(&mut Input::new(&huge)), None);
    }
}
