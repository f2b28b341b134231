//! The way back from a block, as one row: the rows that it changed, as they were, and the history keys
//! that it added.
//!
//! The format ([`super`], "Undo data") says which bytes. What the block *made* of the rows is in their tables and not
//! repeated.

use crate::bns::changes::{Event, EventRow};
use crate::bns::name::{Name, NamespaceId};
use crate::bns::record::{Account, ImportKeychain, NameRecord, NamespaceRecord, Preorder};

use super::codec::{Field, Input, read_bytes, read_list, write_bytes, write_length};
use super::record::{Row, RowKey};

/// Rows of one table as they were.
pub(super) type Earlier<R> = Vec<(<R as Row>::Key, Option<R>)>;

/// What undo data says.
#[derive(Debug)]
pub(super) struct Undo {
    pub(super) names: Earlier<NameRecord>,
    pub(super) namespaces: Earlier<NamespaceRecord>,
    pub(super) preorders: Earlier<Preorder>,
    pub(super) keychains: Earlier<ImportKeychain>,
    pub(super) accounts: Earlier<Account>,
    pub(super) history: Vec<HistoryKey>,
}

/// A history row of the undone block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HistoryKey {
    /// Of a name, and its vtxindex.
    Name(Name, u32),
    /// Of a namespace, and its vtxindex.
    Namespace(NamespaceId, u32),
}

impl Undo {
    /// Reads undo data.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = Input::new(bytes);
        let undo = Self {
            names: read_section(&mut input)?,
            namespaces: read_section(&mut input)?,
            preorders: read_section(&mut input)?,
            keychains: read_section(&mut input)?,
            accounts: read_section(&mut input)?,
            history: read_history(&mut input)?,
        };
        input.finish(undo)
    }
}

/// Appends one changed row of a section: its key and the payload that it had.
pub(super) fn write_earlier(key: &[u8], payload: Option<&[u8]>, out: &mut Vec<u8>) {
    write_bytes(key, out);
    payload.is_some().write(out);
    if let Some(payload) = payload {
        write_bytes(payload, out);
    }
}

/// Appends the section of history rows.
pub(super) fn write_history(events: &[Event], out: &mut Vec<u8>) {
    write_length(events.len(), out);
    for event in events {
        match &event.row {
            EventRow::Name(record) => {
                false.write(out);
                record.name.write(out);
            }
            EventRow::Namespace(record) => {
                true.write(out);
                record.namespace_id.write(out);
            }
        }
        event.vtxindex.write(out);
    }
}

fn read_section<R: Row>(input: &mut Input<'_>) -> Option<Earlier<R>> {
    read_list(input, |input| {
        let key = read_bytes(input)?;
        let record = match bool::read(input)? {
            true => Some(R::read(RowKey::read_key(key)?, read_bytes(input)?)?),
            false => None,
        };
        Some((RowKey::read_key(key)?, record))
    })
}

fn read_history(input: &mut Input<'_>) -> Option<Vec<HistoryKey>> {
    read_list(input, |input| {
        Some(match bool::read(input)? {
            true => HistoryKey::Namespace(Field::read(input)?, Field::read(input)?),
            false => HistoryKey::Name(Field::read(input)?, Field::read(input)?),
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option::of;
    use proptest::prelude::*;

    use super::super::arbitrary;
    use super::*;

    fn write_section<R: Row>(rows: &[(R::Key, Option<R>)], out: &mut Vec<u8>) {
        write_length(rows.len(), out);
        for (key, record) in rows {
            let mut key_bytes = Vec::new();
            key.write_key(&mut key_bytes);
            let payload = record.as_ref().map(|record| {
                let mut payload = Vec::new();
                record.write(&mut payload);
                payload
            });
            write_earlier(&key_bytes, payload.as_deref(), out);
        }
    }

    proptest! {
        #[test]
        fn undo_data_comes_back(
            names in vec(arbitrary::name_record(), 0..4),
            namespaces in vec(arbitrary::namespace_record(), 0..3),
            preorder in of(arbitrary::preorder()),
            keychain in of(arbitrary::keychain()),
            account in of(arbitrary::account()),
        ) {
            let events: Vec<Event> = names
                .iter()
                .map(|record| Event {
                    vtxindex: record.vtxindex,
                    txid: record.txid,
                    row: EventRow::Name(record.clone()),
                })
                .collect();
            let names: Earlier<_> = names.into_iter().map(|row| (row.name.clone(), Some(row))).collect();
            let namespaces: Earlier<NamespaceRecord> =
                namespaces.into_iter().map(|row| (row.namespace_id, None)).collect();
            let preorders: Earlier<_> = preorder.into_iter().map(|row| (row.key(), Some(row))).collect();
            let keychains: Earlier<_> =
                keychain.into_iter().map(|row| (row.namespace_id.clone(), Some(row))).collect();
            let accounts: Earlier<_> = account.into_iter().map(|row| (row.address, Some(row))).collect();

            let mut bytes = Vec::new();
            write_section(&names, &mut bytes);
            write_section(&namespaces, &mut bytes);
            write_section(&preorders, &mut bytes);
            write_section(&keychains, &mut bytes);
            write_section(&accounts, &mut bytes);
            write_history(&events, &mut bytes);

            let undo = Undo::read(&bytes).expect("it was written");
            let history: Vec<HistoryKey> = events
                .iter()
                .zip(&names)
                .map(|(event, (name, _))| HistoryKey::Name(name.clone(), event.vtxindex))
                .collect();
            prop_assert_eq!(undo.names, names);
            prop_assert_eq!(undo.namespaces, namespaces);
            prop_assert_eq!(undo.preorders, preorders);
            prop_assert_eq!(undo.keychains, keychains);
            prop_assert_eq!(undo.accounts, accounts);
            prop_assert_eq!(undo.history, history);
        }

        #[test]
        fn no_bytes_panic(bytes in vec(prop_oneof![0u8..4, any::<u8>()], 0..300)) {
            let _ = Undo::read(&bytes);
        }
    }
}
