//! Records as rows: which field stands where. The bytes of a field are [`super::codec`]'s.
//!
//! The order of the fields is the database's format: a change makes a new one.

use crate::bns::address::Address;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::price::PriceFunction;
use crate::bns::record::{
    Account, Fee, ImportKeychain, NameOp, NameRecord, NamespaceOp, NamespaceRecord, Preorder,
    PreorderKey, PreorderKind, TokenUnits,
};

use super::codec::{Field, Input, read_bytes, read_length, read_whole, write_bytes, write_length};
use super::identity::ChainIdentity;
use super::name_row::Place;
use super::row::{Announcement, IndexedBlock};

/// A record under a key of its own.
pub(super) trait Row: Sized {
    /// The record's key.
    type Key: RowKey;
    /// Appends every field that the key does not tell.
    fn write(&self, out: &mut Vec<u8>);
    /// Reads a whole row.
    fn read(key: Self::Key, bytes: &[u8]) -> Option<Self>;
}

/// A record as the list of its fields, in the order of the row; the key is read and written apart.
macro_rules! rows {
    ($($record:ident by $key:ty as $key_name:tt: [$($field:ident),*];)*) => {
        $(impl Row for $record {
            type Key = $key;

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
    IndexedBlock by u32 as height: [hash, previous, time, ops_hash, consensus_hash, candidates];
    Announcement by u32 as inventory_index: [hash, height, txid, name];
}

/// A record's key as the whole key of a table; the bytes sort as keys do.
pub(super) trait RowKey: Field + Ord {
    /// Appends the bytes of the key.
    fn write_key(&self, out: &mut Vec<u8>) {
        self.write(out);
    }

    /// Reads the bytes of a whole key.
    fn read_key(bytes: &[u8]) -> Option<Self> {
        read_whole(bytes)
    }
}

impl RowKey for u32 {}
impl RowKey for Address {}
impl RowKey for PreorderKey {}

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

        impl RowKey for $text {
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

/// Values as the list of their fields, in the order of the bytes.
macro_rules! fields {
    ($($value:ident: [$($field:ident),*];)*) => {
        $(impl Field for $value {
            fn write(&self, out: &mut Vec<u8>) {
                $(self.$field.write(out);)*
            }

            fn read(input: &mut Input<'_>) -> Option<Self> {
                Some(Self { $($field: Field::read(input)?),* })
            }
        })*
    };
}

fields! {
    Place: [height, vtxindex];
    PreorderKey: [preorder_hash, block_number, txid];
    PriceFunction: [coeff, base, buckets, nonalpha_discount, no_vowel_discount];
    ChainIdentity: [network, magic, first_block];
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

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::arbitrary;
    use super::*;

    fn comes_back<R: Row + Debug + PartialEq>(key: &R::Key, record: &R) {
        let (mut key_bytes, mut row) = (Vec::new(), Vec::new());
        key.write_key(&mut key_bytes);
        record.write(&mut row);
        let read_key = R::Key::read_key(&key_bytes).expect("a key that was written");
        assert_eq!(R::read(read_key, &row).as_ref(), Some(record));
        row.push(0);
        let read_key = R::Key::read_key(&key_bytes).expect("a key that was written");
        assert_eq!(R::read(read_key, &row), None, "nothing may follow a row");
    }

    /// Whatever is read from arbitrary bytes, is what it writes again.
    fn is_safe<R: Row + Debug + PartialEq>(key: &[u8], row: &[u8]) {
        if let Some(record) = R::Key::read_key(key).and_then(|key| R::read(key, row)) {
            let mut again = Vec::new();
            record.write(&mut again);
            let key = R::Key::read_key(key).expect("it was read before");
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
            address.write_key(&mut key);
            is_safe::<Account>(&key, &row);
        }
    }

    #[test]
    fn a_count_beyond_the_row_allocates_nothing() {
        let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(Vec::<[u8; 20]>::read(&mut Input::new(&huge)), None);
    }
}
