//! The tables, and the seal that every row carries.
//!
//! Each value ends in four bytes of SipHash-2-4 over key and value, keyed by the table's name. A row that
//! strayed into another table is then an error that names the row, and never a wrong answer. It is no protection against
//! someone who writes the file on purpose. That no row is missing follows from the sums of the pages
//! ([`super::pages`]). Every call of redb is made behind the door ([`super::damage`]).

use std::cmp::Ordering;
use std::ops::{Bound, ControlFlow, RangeBounds};
use std::sync::Arc;

use bitcoin::hashes::{HashEngine as _, siphash24};
use redb::{
    AccessGuard, CursorError, ReadOnlyTable, ReadTransaction, ReadableTable, Table,
    TableDefinition, TableError, WriteTransaction,
};

use super::damage::{Damage, Held};
use super::error::{Result, StoreError};

/// Keys and values as redb sees them.
pub(super) type Bytes = &'static [u8];
/// A table of a read snapshot.
pub(super) type SnapshotTable = ReadOnlyTable<Bytes, Bytes>;
/// A table of an open write transaction.
pub(super) type WriteTable<'t> = Table<'t, Bytes, Bytes>;

/// Bytes of the seal at the end of a value.
const SEAL_LEN: usize = 4;

/// All tables of a database.
pub(super) trait AllTables<T> {
    /// Every table, in the order of the specification.
    fn all(&self) -> Vec<&Rows<T>>;

    /// The same, to write to.
    fn all_mut(&mut self) -> Vec<&mut Rows<T>>;
}

macro_rules! tables {
    ($(#[$doc:meta])* $tables:ident: $($name:ident),* $(,)?) => {
        $(#[$doc])*
        pub(super) struct $tables<T> {
            $(pub(super) $name: Rows<T>,)*
        }

        impl<T> $tables<T> {
            fn open(
                damage: &Arc<Damage>,
                open: impl Fn(TableDefinition<'static, Bytes, Bytes>) -> Result<T, TableError>,
            ) -> Result<Self> {
                Ok(Self {
                    $($name: Rows::new(stringify!($name), damage, &open)?,)*
                })
            }
        }

        impl<T> AllTables<T> for $tables<T> {
            fn all(&self) -> Vec<&Rows<T>> {
                vec![$(&self.$name),*]
            }

            fn all_mut(&mut self) -> Vec<&mut Rows<T>> {
                vec![$(&mut self.$name),*]
            }
        }

        impl $tables<SnapshotTable> {
            /// Opens the tables of a snapshot; they outlive the transaction value.
            pub(super) fn of_snapshot(
                transaction: &ReadTransaction,
                damage: &Arc<Damage>,
            ) -> Result<Self> {
                Self::open(damage, |table| transaction.open_table(table))
            }
        }

        impl<'t> $tables<WriteTable<'t>> {
            /// Opens the tables for writing; creates those that are missing.
            pub(super) fn of_write(
                transaction: &'t WriteTransaction,
                damage: &Arc<Damage>,
            ) -> Result<Self> {
                Self::open(damage, |table| transaction.open_table(table))
            }
        }
    };
}

tables! {
    /// The tables of `names.redb`, opened in one transaction. What their rows are is said in the head of [`super`].
    Tables:
    meta,
    blocks,
    names,
    name_hashes,
    owners,
    name_preorders,
    namespaces,
    namespace_preorders,
    preorders,
    keychains,
    accounts,
    name_history,
    namespace_history,
    operations,
    announcements,
    announced_hashes,
    zonefiles,
    missing_zonefiles,
    undo,
}

tables! {
    /// The tables of `atlas.redb`, likewise.
    OffchainTables:
    meta,
    peers,
    tried,
    subdomain_rows,
    subdomain_waiting,
    subdomain_carriers,
    subdomain_records,
    subdomain_files,
    subdomain_creations,
}

/// Whether a row that is not there is a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// It is.
    Counts,
    /// It is none: the table may hold a part of the other.
    Allowed,
}

/// A row in which two tables differ.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Differing {
    pub(super) key: Vec<u8>,
    /// What the first table has, seal included.
    pub(super) ours: Option<Vec<u8>>,
    /// What the second one has.
    pub(super) theirs: Option<Vec<u8>>,
}

/// A key and its value.
type Pair<'a> = (AccessGuard<'a, Bytes>, AccessGuard<'a, Bytes>);

impl Differing {
    fn new(ours: Option<Pair<'_>>, theirs: Option<Pair<'_>>) -> Self {
        let key = ours.as_ref().or(theirs.as_ref());
        let value = |row: Option<Pair<'_>>| row.map(|(_, value)| value.value().to_vec());
        Self {
            key: key.map_or_else(Vec::new, |(key, _)| key.value().to_vec()),
            ours: value(ours),
            theirs: value(theirs),
        }
    }
}

/// Opens the one table that every format has, past and future: rows of `meta` are sealed like this for ever.
pub(super) fn open_meta(
    transaction: &ReadTransaction,
    damage: &Arc<Damage>,
) -> Result<Rows<SnapshotTable>> {
    Rows::new("meta", damage, |table| transaction.open_table(table))
}

/// One table whose values are sealed.
pub(super) struct Rows<T> {
    name: &'static str,
    seed: u64,
    table: Held<T>,
    damage: Arc<Damage>,
}

impl<T> Rows<T> {
    fn new(
        name: &'static str,
        damage: &Arc<Damage>,
        open: impl Fn(TableDefinition<'static, Bytes, Bytes>) -> Result<T, TableError>,
    ) -> Result<Self> {
        Ok(Self {
            name,
            seed: siphash24::Hash::hash_to_u64_with_keys(0, 0, name.as_bytes()),
            table: Held::new(
                damage.pass(|| Ok(open(TableDefinition::new(name))?))?,
                damage,
            ),
            damage: Arc::clone(damage),
        })
    }

    /// The table's name.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The error for a row that is not what was written.
    pub(super) fn corrupt(&self, key: &[u8]) -> StoreError {
        corrupt(self.name, key)
    }

    /// The error for a change that does not start from the stored row.
    pub(super) fn stale(&self, height: u32, key: &[u8]) -> StoreError {
        StoreError::StaleChanges {
            height,
            table: self.name,
            key: key.escape_ascii().to_string(),
        }
    }

    fn seal(&self, key: &[u8], payload: &[u8]) -> [u8; SEAL_LEN] {
        seal(self.seed, key, payload)
    }

    fn unseal<'v>(&self, key: &[u8], value: &'v [u8]) -> Result<&'v [u8]> {
        unseal(self.seed, key, value).ok_or_else(|| self.corrupt(key))
    }
}

impl<T: ReadableTable<Bytes, Bytes>> Rows<T> {
    /// The row at `key`, as `read` understands it; `None` from `read` is a damaged row.
    pub(super) fn get<R>(
        &self,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Option<R>,
    ) -> Result<Option<R>> {
        self.damage.pass(|| {
            let Some(value) = self.table.get(key)? else {
                return Ok(None);
            };
            let payload = self.unseal(key, value.value())?;
            read(payload).map(Some).ok_or_else(|| self.corrupt(key))
        })
    }

    /// How many rows there are; takes constant time.
    pub(super) fn len(&self) -> Result<u64> {
        self.damage.pass(|| Ok(self.table.len()?))
    }

    /// At most `limit` rows between two keys, ascending, as `read` understands key and payload.
    pub(super) fn range<'k, R>(
        &self,
        bounds: impl RangeBounds<&'k [u8]> + 'k,
        limit: usize,
        mut read: impl FnMut(&[u8], &[u8]) -> Option<R>,
    ) -> Result<Vec<R>> {
        self.damage.pass(|| {
            let mut found = Vec::new();
            for row in self.table.range(bounds)?.take(limit) {
                let (key, value) = row?;
                found.push(self.read_row(key.value(), value.value(), &mut read)?);
            }
            Ok(found)
        })
    }

    /// Every row whose key begins with `prefix`, ascending; `read` sees the rest of the key.
    pub(super) fn prefixed<R>(
        &self,
        prefix: &[u8],
        mut read: impl FnMut(&[u8], &[u8]) -> Option<R>,
    ) -> Result<Vec<R>> {
        self.damage.pass(|| {
            let mut found = Vec::new();
            for row in self.table.range::<&[u8]>(prefix..)? {
                let (key, value) = row?;
                let Some(rest) = key.value().strip_prefix(prefix) else {
                    break;
                };
                let payload = self.unseal(key.value(), value.value())?;
                found.push(read(rest, payload).ok_or_else(|| self.corrupt(key.value()))?);
            }
            Ok(found)
        })
    }

    /// How many rows have keys that begin with `prefix`, counted up to `most`.
    pub(super) fn count_prefixed(&self, prefix: &[u8], most: usize) -> Result<usize> {
        self.damage.pass(|| {
            let mut count = 0;
            for row in self.table.range::<&[u8]>(prefix..)?.take(most) {
                let (key, value) = row?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                self.unseal(key.value(), value.value())?;
                count += 1;
            }
            Ok(count)
        })
    }

    /// The last row between two keys.
    pub(super) fn last<'k, R>(
        &self,
        bounds: impl RangeBounds<&'k [u8]> + 'k,
        mut read: impl FnMut(&[u8], &[u8]) -> Option<R>,
    ) -> Result<Option<R>> {
        self.damage.pass(|| {
            let Some(row) = self.table.range(bounds)?.next_back() else {
                return Ok(None);
            };
            let (key, value) = row?;
            self.read_row(key.value(), value.value(), &mut read)
                .map(Some)
        })
    }

    /// Hands rows between two keys to `read`, the last one first, until it breaks off. `None` from `read` is a damaged row.
    pub(super) fn descend<'k>(
        &self,
        bounds: impl RangeBounds<&'k [u8]> + 'k,
        mut read: impl FnMut(&[u8], &[u8]) -> Option<ControlFlow<()>>,
    ) -> Result<()> {
        self.damage.pass(|| {
            for row in self.table.range(bounds)?.rev() {
                let (key, value) = row?;
                let flow = self.read_row(key.value(), value.value(), &mut read)?;
                if flow.is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The first row in which two tables of the same name differ, seals included, and what each has there. With
    /// [`Missing::Allowed`] a row that only `other` has is no difference.
    pub(super) fn first_difference<U: ReadableTable<Bytes, Bytes>>(
        &self,
        other: &Rows<U>,
        missing: Missing,
    ) -> Result<Option<Differing>> {
        let compare = || self.find_difference(other, missing);
        self.damage.pass(|| other.damage.pass(compare))
    }

    fn find_difference<U: ReadableTable<Bytes, Bytes>>(
        &self,
        other: &Rows<U>,
        missing: Missing,
    ) -> Result<Option<Differing>> {
        let (mut ours, mut theirs) = (self.table.iter()?, other.table.iter()?);
        let (mut our, mut their) = (ours.next().transpose()?, theirs.next().transpose()?);
        loop {
            let (order, is_alike) = match (&our, &their) {
                (None, None) => return Ok(None),
                (Some(_), None) => (Ordering::Less, false),
                (None, Some(_)) => (Ordering::Greater, false),
                (Some(our), Some(their)) => (
                    our.0.value().cmp(their.0.value()),
                    our.1.value() == their.1.value(),
                ),
            };
            let is_excused = order.is_gt() && missing == Missing::Allowed;
            if !(is_excused || order.is_eq() && is_alike) {
                let (our, their) = (
                    our.filter(|_| order.is_le()),
                    their.filter(|_| order.is_ge()),
                );
                return Ok(Some(Differing::new(our, their)));
            }
            if order.is_le() {
                our = ours.next().transpose()?;
            }
            if order.is_ge() {
                their = theirs.next().transpose()?;
            }
        }
    }

    fn read_row<R>(
        &self,
        key: &[u8],
        value: &[u8],
        read: &mut impl FnMut(&[u8], &[u8]) -> Option<R>,
    ) -> Result<R> {
        let payload = self.unseal(key, value)?;
        read(key, payload).ok_or_else(|| self.corrupt(key))
    }
}

fn corrupt(table: &'static str, key: &[u8]) -> StoreError {
    StoreError::Corrupt {
        table,
        key: key.escape_ascii().to_string(),
    }
}

/// The payload of a row in the table with this seed, if its seal is right.
fn unseal<'v>(seed: u64, key: &[u8], value: &'v [u8]) -> Option<&'v [u8]> {
    let (payload, found) = value.split_last_chunk::<SEAL_LEN>()?;
    (seal(seed, key, payload) == *found).then_some(payload)
}

/// The seal of a row in the table with this seed.
fn seal(seed: u64, key: &[u8], payload: &[u8]) -> [u8; SEAL_LEN] {
    let mut engine = siphash24::HashEngine::with_keys(seed, key.len() as u64);
    engine.input(key);
    engine.input(payload);
    let [a, b, c, d, ..] = siphash24::Hash::from_engine_to_u64(engine).to_be_bytes();
    [a, b, c, d]
}

impl Rows<WriteTable<'_>> {
    /// Writes a row for each item behind all rows that are there: `write` appends its payload and gives its key. The keys
    /// ascend. A row takes a fraction of what [`Rows::put`] costs, because its place is not looked for.
    pub(super) fn append<I, const N: usize>(
        &mut self,
        items: impl IntoIterator<Item = I>,
        mut write: impl FnMut(I, &mut Vec<u8>) -> [u8; N],
    ) -> Result<()> {
        let damage = Arc::clone(&self.damage);
        damage.pass(|| {
            let (mut row, mut stray) = (Vec::new(), None);
            let mut cursor = self.table.upper_bound_mut(Bound::<&[u8]>::Unbounded)?;
            for item in items {
                row.clear();
                let key = write(item, &mut row);
                row.extend(seal(self.seed, &key, &row));
                match cursor.insert_before(&key[..], &row[..]) {
                    Ok(()) => {}
                    Err(CursorError::Storage(error)) => return Err(error.into()),
                    Err(_) => {
                        stray = Some(key); // a row stands behind the last one
                        break;
                    }
                }
            }
            cursor.close()?;
            stray.map_or(Ok(()), |key| Err(self.corrupt(&key)))
        })
    }

    /// Writes a row over whatever is there. `payload` is left with the seal at its end.
    pub(super) fn put(&mut self, key: &[u8], payload: &mut Vec<u8>) -> Result<()> {
        payload.extend(self.seal(key, payload));
        self.put_value(key, payload)
    }

    /// Writes a row that says all with its key.
    pub(super) fn mark(&mut self, key: &[u8]) -> Result<()> {
        let seal = self.seal(key, &[]);
        self.put_value(key, &seal)
    }

    fn put_value(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.damage.pass(|| {
            self.table.insert(key, value)?;
            Ok(())
        })
    }

    /// Writes a value as it is, as a disk that lies would.
    #[cfg(test)]
    pub(super) fn put_unsealed(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.put_value(key, value)
    }

    /// Takes a row away, if it is there.
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<()> {
        self.damage.pass(|| {
            self.table.remove(key)?;
            Ok(())
        })
    }

    /// Writes or takes away a row, and gives what `read` made of the old one (`None`: no row).
    pub(super) fn replace<R>(
        &mut self,
        key: &[u8],
        payload: Option<&mut Vec<u8>>,
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<R> {
        let value = payload.map(|payload| {
            payload.extend(self.seal(key, payload));
            payload.as_slice()
        });
        let seed = self.seed;
        self.damage.pass(|| {
            let old = match value {
                Some(value) => self.table.insert(key, value)?,
                None => self.table.remove(key)?,
            };
            match old.as_ref().map(|guard| unseal(seed, key, guard.value())) {
                Some(None) => Err(corrupt(self.name, key)),
                old => Ok(read(old.flatten())),
            }
        })
    }

    /// Takes away every row between two keys.
    pub(super) fn clear<'k>(&mut self, bounds: impl RangeBounds<&'k [u8]> + 'k) -> Result<()> {
        self.damage
            .pass(|| Ok(self.table.retain_in(bounds, |_, _| false)?))
    }
}
