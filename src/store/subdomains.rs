//! The records of subdomains that announced zone files hold, in `atlas.redb`: all of them, accepted or not.
//!
//! What is accepted is not stored but decided from them ([`crate::bns::subdomain::History`]), so that a late zone file and a
//! reorganisation are nothing special. Rows are named by the number of their announcement; whoever reads compares the
//! transaction of a row with that of the chain, since this database follows the other one a little later.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bitcoin::BlockHash;
use redb::ReadableTable;

use super::codec::{Field, Input, read_list, write_length};
use super::error::Result;
use super::key;
use super::offchain::Offchain;
use super::row::Announcement;
use super::subdomain_row::{
    carrier_key, creation_key, read_record, read_record_key, read_row, record_key, records_key,
    write_record,
};
use super::table::{Bytes, OffchainTables, Rows, WriteTable};
use crate::bns::address::Address;
use crate::bns::name::Name;
use crate::bns::subdomain::{History, Placed, Subdomain};
use crate::hash::ZonefileHash;

/// Most rows that a lookup of waiting ones gives at once.
const WAITING: usize = 1_000;
/// Names whose labels are kept in memory.
const LABELS_KEPT: usize = 64;

/// What an announced zone file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowContent {
    /// Its records.
    pub records: Vec<(Subdomain, Placed)>,
    /// Rows whose zone files its name's owner declares lost.
    pub missing: Vec<u32>,
}

/// An announcement and its block: two rows that are the same stand on the same chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowMark {
    /// The announcement.
    pub announcement: Announcement,
    /// Hash of its block.
    pub block: BlockHash,
}

/// An announcement, and what its zone file holds; `None` if the file is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedRow {
    /// Which one.
    pub mark: RowMark,
    /// What its zone file holds.
    pub content: Option<RowContent>,
}

/// The records of subdomains.
pub struct Subdomains {
    offchain: Arc<Offchain>,
    /// The names that have any, or had: so that all others cost no look into the database.
    names: RwLock<HashSet<Name>>,
    /// What [`Subdomains::created_below`] found, until it changes.
    labels: Mutex<HashMap<Name, Arc<BTreeSet<String>>>>,
    /// Counts changes.
    version: AtomicU64,
    /// How often the tables were made anew when all rows were looked at, and 1; 0 before.
    caught_up: AtomicU64,
}

impl Subdomains {
    /// Those of a database.
    pub fn open(offchain: Arc<Offchain>) -> Result<Self> {
        let names = offchain.names_with_subdomains()?;
        Ok(Self {
            offchain,
            names: RwLock::new(names.into_iter().collect()),
            labels: Mutex::default(),
            version: AtomicU64::new(0),
            caught_up: AtomicU64::new(0),
        })
    }

    /// Whether there can be a subdomain of a name.
    pub fn are_below(&self, name: &Name) -> bool {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names.contains(name)
    }

    /// The labels of all subdomains that were ever made below a name, by a record in one of its own zone files.
    pub fn created_below(&self, name: &Name) -> Result<Arc<BTreeSet<String>>> {
        let mut kept = self.labels(); // whoever changes them waits, and takes away what is read here
        if let Some(labels) = kept.get(name) {
            return Ok(Arc::clone(labels));
        }
        let labels = Arc::new(self.offchain.read(|tables| {
            let mut prefix = Vec::new();
            key::history_of(&mut prefix, name.as_str());
            let end = [&prefix[..prefix.len() - 1], &[1]].concat(); // behind all keys of the name
            let records = &tables.subdomain_records;
            let made = records.range(&prefix[..]..&end[..], usize::MAX, |key, bytes| {
                let (subdomain, row) = read_record_key(key)?;
                let record = read_record(row, bytes)?;
                let is_first = record.sequence == 0 && record.carrier == *name;
                Some(is_first.then(|| subdomain.label().to_owned()))
            })?;
            Ok(made.into_iter().flatten().collect::<BTreeSet<_>>())
        })?);
        if kept.len() >= LABELS_KEPT {
            kept.clear();
        }
        kept.insert(name.clone(), Arc::clone(&labels));
        Ok(labels)
    }

    /// Counts changes: what was read is still true while it is the same.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// How often the tables were made anew since they were opened.
    pub fn renewals(&self) -> u64 {
        self.offchain.renewals()
    }

    /// Whether every row of the chain was looked at once since the tables were opened or made anew. Ask it after the
    /// read that it is about.
    pub fn is_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Acquire) == self.renewals() + 1
    }

    /// Notes that every row was looked at by somebody who began after so many renewals. Gives whether that is news.
    pub fn note_caught_up(&self, renewals: u64) -> bool {
        let before = self.caught_up.swap(renewals + 1, Ordering::AcqRel);
        let is_new = before != renewals + 1;
        if is_new {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
        is_new
    }

    /// All records of a subdomain.
    pub fn history(&self, subdomain: &Subdomain) -> Result<History> {
        let records = self.offchain.read(|tables| {
            let records = &tables.subdomain_records;
            records_of(records, subdomain)
        })?;
        Ok(History::new(subdomain.clone(), records))
    }

    /// The last row that was looked at.
    pub fn last_row(&self) -> Result<Option<RowMark>> {
        self.offchain.read(|tables| {
            let rows = &tables.subdomain_rows;
            rows.last(.., |row, bytes| Some(read_row(key::number(row)?, bytes)?.0))
        })
    }

    /// A row that was looked at.
    pub fn row(&self, row: u32) -> Result<Option<RowMark>> {
        self.offchain.read(|tables| {
            let rows = &tables.subdomain_rows;
            rows.get(&key::height(row), |bytes| Some(read_row(row, bytes)?.0))
        })
    }

    /// Some of the rows behind `after` whose zone files are not here, in order; none if there are no more.
    pub fn waiting(&self, after: u32) -> Result<Vec<u32>> {
        let after = key::height(after);
        let start = Bound::Excluded(&after[..]);
        self.offchain.read(|tables| {
            let waiting = &tables.subdomain_waiting;
            waiting.range((start, Bound::Unbounded), WAITING, |row, _| {
                key::number(row)
            })
        })
    }

    /// The rows with a record whose own zone file has this hash.
    pub fn rows_with_file(&self, hash: &ZonefileHash) -> Result<Vec<u32>> {
        self.offchain.read(|tables| {
            let files = &tables.subdomain_files;
            files.prefixed(hash.as_bytes(), |row, _| key::number(row))
        })
    }

    /// The rows of a name whose zone files are not here, without those that its owner declared lost in the newest one that
    /// is here.
    pub fn missing_of(&self, name: &Name) -> Result<Vec<u32>> {
        self.offchain.read(|tables| {
            let mut prefix = Vec::new();
            key::history_of(&mut prefix, name.as_str());
            let carried = &tables.subdomain_carriers;
            let rows = carried.prefixed(&prefix, |row, bytes| {
                Some((
                    key::number(row)?,
                    Option::<Lost>::read(&mut Input::new(bytes))?,
                ))
            })?;
            let newest = rows.iter().rev().find_map(|(_, lost)| lost.as_ref());
            let lost = newest.map_or(&[][..], |lost| &lost.0);
            let missing = rows
                .iter()
                .filter(|(row, read)| read.is_none() && !lost.contains(row));
            Ok(missing.map(|(row, _)| *row).collect())
        })
    }

    /// How many subdomains with a first owner were created before a place.
    pub fn created_before(&self, owner: &Address, row: u32, offset: u32) -> Result<u64> {
        let (first, last) = (creation_key(owner, 0, 0), creation_key(owner, row, offset));
        self.offchain.read(|tables| {
            let creations = &tables.subdomain_creations;
            let before = creations.range(&first[..]..&last[..], usize::MAX, |_, _| Some(()))?;
            Ok(before.len() as u64)
        })
    }

    /// Puts rows in the place of what is known of them. Gives the names below which something may have changed.
    pub fn note(&self, rows: &[IndexedRow]) -> Result<BTreeSet<Name>> {
        let touched = self.offchain.write(|tables| {
            let mut touched = BTreeSet::new();
            for row in rows {
                touched.extend(take_away(tables, row.mark.announcement.inventory_index)?);
                touched.extend(put(tables, row)?);
            }
            Ok(touched)
        })?;
        Ok(self.changed(&touched))
    }

    /// Forgets a row and all behind it. Gives the names below which something may have changed.
    pub fn forget_from(&self, row: u32) -> Result<BTreeSet<Name>> {
        let touched = self.offchain.write(|tables| {
            let first = key::height(row);
            let rows = &tables.subdomain_rows;
            let rows = rows.range(&first[..].., usize::MAX, |row, _| key::number(row))?;
            let mut touched = BTreeSet::new();
            for row in rows {
                touched.extend(take_away(tables, row)?);
            }
            Ok(touched)
        })?;
        Ok(self.changed(&touched))
    }

    fn changed(&self, touched: &BTreeSet<Subdomain>) -> BTreeSet<Name> {
        let changed: BTreeSet<Name> = touched.iter().map(|sub| sub.name().clone()).collect();
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        names.extend(changed.iter().cloned());
        drop(names);
        if !changed.is_empty() {
            self.labels().retain(|name, _| !changed.contains(name));
            self.version.fetch_add(1, Ordering::AcqRel);
        }
        changed
    }

    fn labels(&self) -> MutexGuard<'_, HashMap<Name, Arc<BTreeSet<String>>>> {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Offchain {
    /// The names above subdomains, a look for each.
    fn names_with_subdomains(&self) -> Result<Vec<Name>> {
        self.read(|tables| {
            let mut names: Vec<Name> = Vec::new();
            let mut start = Vec::new();
            loop {
                let records = &tables.subdomain_records;
                let next = records.range(&start[..].., 1, |key, _| read_record_key(key))?;
                let Some((subdomain, _)) = next.into_iter().next() else {
                    return Ok(names);
                };
                key::history_of(&mut start, subdomain.name().as_str());
                if let Some(end) = start.last_mut() {
                    *end = 1; // behind all keys of the name
                }
                names.push(subdomain.name().clone());
            }
        })
    }
}

type Tables<'t> = OffchainTables<WriteTable<'t>>;

/// The rows that the owner of a name declares lost.
struct Lost(Vec<u32>);

impl Field for Lost {
    fn write(&self, out: &mut Vec<u8>) {
        write_length(self.0.len(), out);
        self.0.iter().for_each(|row| row.write(out));
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        read_list(input, u32::read).map(Self)
    }
}

/// Takes away what is known of a row. Gives the subdomains that it has records of.
fn take_away(tables: &mut Tables<'_>, row: u32) -> Result<Vec<Subdomain>> {
    let row_key = key::height(row);
    let rows = &tables.subdomain_rows;
    let known = rows.get(&row_key, |bytes| read_row(row, bytes))?;
    let Some((mark, subdomains)) = known else {
        return Ok(Vec::new());
    };
    for subdomain in &subdomains {
        let key = record_key(subdomain, row);
        let records = &mut tables.subdomain_records;
        if let Some(hash) = records.get(&key, |bytes| Some(read_record(row, bytes)?.zonefile))? {
            tables.subdomain_files.remove(&key::announced(&hash, row))?;
        }
        change_records(tables, subdomain, |records| records.remove(&key))?;
    }
    tables.subdomain_rows.remove(&row_key)?;
    tables.subdomain_waiting.remove(&row_key)?;
    tables
        .subdomain_carriers
        .remove(&carrier_key(&mark.announcement.name, row))?;
    Ok(subdomains)
}

/// Writes a row of which nothing is known.
fn put(tables: &mut Tables<'_>, row: &IndexedRow) -> Result<Vec<Subdomain>> {
    let RowMark {
        announcement,
        block,
    } = &row.mark;
    let number = announcement.inventory_index;
    let lost = row
        .content
        .as_ref()
        .map(|content| Lost(content.missing.clone()));
    let records = row
        .content
        .as_ref()
        .map_or(&[][..], |content| &content.records);
    let mut bytes = Vec::new();
    announcement.name.as_str().to_owned().write(&mut bytes);
    announcement.hash.write(&mut bytes);
    announcement.height.write(&mut bytes);
    announcement.txid.write(&mut bytes);
    block.write(&mut bytes);
    write_length(records.len(), &mut bytes);
    for (subdomain, _) in records {
        subdomain.to_string().write(&mut bytes);
    }
    tables
        .subdomain_rows
        .put(&key::height(number), &mut bytes)?;
    if row.content.is_none() {
        tables
            .subdomain_waiting
            .put(&key::height(number), &mut Vec::new())?;
    }
    let mut bytes = Vec::new();
    lost.write(&mut bytes);
    let key = carrier_key(&announcement.name, number);
    tables.subdomain_carriers.put(&key, &mut bytes)?;
    for (subdomain, placed) in records {
        let key = record_key(subdomain, number);
        let mut bytes = Vec::new();
        write_record(placed, &mut bytes);
        change_records(tables, subdomain, |records| {
            records.put(&key, &mut bytes.clone())
        })?;
        let file = key::announced(&placed.zonefile, number);
        tables.subdomain_files.put(&file, &mut Vec::new())?;
    }
    Ok(records
        .iter()
        .map(|(subdomain, _)| subdomain.clone())
        .collect())
}

/// Changes records of a subdomain, and keeps the order in which its first owner created subdomains in step.
fn change_records<'t>(
    tables: &mut Tables<'t>,
    subdomain: &Subdomain,
    change: impl Fn(&mut Rows<WriteTable<'t>>) -> Result<()>,
) -> Result<()> {
    let before = creation(&tables.subdomain_records, subdomain)?;
    change(&mut tables.subdomain_records)?;
    let after = creation(&tables.subdomain_records, subdomain)?;
    if before != after {
        if let Some(before) = before {
            tables.subdomain_creations.remove(&before)?;
        }
        if let Some(after) = after {
            let mut text = Vec::new();
            subdomain.to_string().write(&mut text);
            tables.subdomain_creations.put(&after, &mut text)?;
        }
    }
    Ok(())
}

/// The key of the record that made a subdomain.
fn creation<T: ReadableTable<Bytes, Bytes>>(
    records: &Rows<T>,
    subdomain: &Subdomain,
) -> Result<Option<[u8; 29]>> {
    let history = History::new(subdomain.clone(), records_of(records, subdomain)?);
    let first = history.accepted(u32::MAX).next();
    Ok(first.map(|first| creation_key(&first.owner, first.row, first.offset)))
}

fn records_of<T: ReadableTable<Bytes, Bytes>>(
    records: &Rows<T>,
    subdomain: &Subdomain,
) -> Result<Vec<Placed>> {
    let prefix = records_key(subdomain);
    records.prefixed(&prefix, |row, bytes| read_record(key::number(row)?, bytes))
}

#[cfg(test)]
mod tests {
    use bitcoin::Txid;
    use bitcoin::hashes::Hash as _;

    use super::*;
    use crate::store::ChainIdentity;

    fn open(directory: &std::path::Path) -> Subdomains {
        let chain = ChainIdentity {
            network: "regtest".to_owned(),
            magic: *b"id",
            first_block: 10,
        };
        let offchain = Offchain::open(directory, &chain).expect("it opens");
        Subdomains::open(offchain).expect("readable")
    }

    fn subdomain(text: &str) -> Subdomain {
        text.parse().expect("a subdomain")
    }

    fn mark(row: u32) -> RowMark {
        RowMark {
            announcement: Announcement {
                inventory_index: row,
                name: "foo.id".parse().expect("a name"),
                hash: ZonefileHash([row as u8; 20]),
                height: 100 + row,
                txid: Txid::from_byte_array([row as u8; 32]),
            },
            block: BlockHash::from_byte_array([row as u8; 32]),
        }
    }

    fn placed(row: u32, offset: u32, owner: u8) -> Placed {
        Placed {
            row,
            offset,
            height: 100 + row,
            txid: Txid::from_byte_array([row as u8; 32]),
            carrier: "foo.id".parse().expect("a name"),
            sequence: 0,
            owner: Address::P2pkh([owner; 20]),
            signer: Some(Address::P2sh([9; 20])),
            zonefile: ZonefileHash([0xaa; 20]),
        }
    }

    fn row(row: u32, records: &[(&str, u32, u8)], missing: &[u32]) -> IndexedRow {
        let records = records
            .iter()
            .map(|(text, offset, owner)| (subdomain(text), placed(row, *offset, *owner)));
        IndexedRow {
            mark: mark(row),
            content: Some(RowContent {
                records: records.collect(),
                missing: missing.to_vec(),
            }),
        }
    }

    fn waiting(row: u32) -> IndexedRow {
        IndexedRow {
            mark: mark(row),
            content: None,
        }
    }

    fn rows_of(subdomains: &Subdomains, text: &str) -> Vec<u32> {
        let history = subdomains.history(&subdomain(text)).expect("readable");
        history
            .accepted(u32::MAX)
            .map(|placed| placed.row)
            .collect()
    }

    #[test]
    fn records_come_back_and_go_with_their_rows() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let subdomains = open(scratch.path());
        let name: Name = "foo.id".parse().expect("a name");
        assert!(!subdomains.are_below(&name));
        let two = row(2, &[("b.foo.id", 0, 1), ("a.foo.id", 1, 1)], &[]);
        let changed = subdomains.note(&[waiting(1), two]).expect("writable");
        assert_eq!(changed, BTreeSet::from([name.clone()]));
        drop(subdomains);
        let subdomains = open(scratch.path());
        assert!(subdomains.are_below(&name));
        let history = subdomains
            .history(&subdomain("a.foo.id"))
            .expect("readable");
        let found: Vec<&Placed> = history.accepted(u32::MAX).collect();
        assert_eq!(found, [&placed(2, 1, 1)]);
        assert_eq!(rows_of(&subdomains, "aa.foo.id"), [0; 0]);
        assert_eq!(subdomains.last_row().expect("readable"), Some(mark(2)));
        assert_eq!(subdomains.waiting(0).expect("readable"), [1]);
        assert_eq!(subdomains.waiting(1).expect("readable"), [0; 0]);
        let file = ZonefileHash([0xaa; 20]);
        assert_eq!(subdomains.rows_with_file(&file).expect("readable"), [2]);
        let changed = subdomains.forget_from(2).expect("writable");
        assert_eq!(changed, BTreeSet::from([name]));
        assert_eq!(rows_of(&subdomains, "a.foo.id"), [0; 0]);
        assert_eq!(subdomains.rows_with_file(&file).expect("readable"), [0; 0]);
        assert_eq!(subdomains.last_row().expect("readable"), Some(mark(1)));
    }

    #[test]
    fn labels_are_those_of_subdomains_that_their_name_made() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let subdomains = open(scratch.path());
        let name: Name = "foo.id".parse().expect("a name");
        let labels = || {
            let labels = subdomains.created_below(&name).expect("readable");
            labels.iter().cloned().collect::<Vec<_>>()
        };
        assert_eq!(labels(), [""; 0]);
        let mut two = row(
            2,
            &[("b.foo.id", 0, 1), ("c.foo.id", 1, 1), ("d.foo.id", 2, 1)],
            &[],
        );
        let content = two.content.as_mut().expect("records");
        content.records[1].1.carrier = "other.id".parse().expect("a name");
        content.records[2].1.sequence = 1;
        let version = subdomains.version();
        subdomains
            .note(&[two, row(3, &[("a.foo.id", 0, 1)], &[])])
            .expect("writable");
        assert_eq!(
            labels(),
            ["a", "b"],
            "a later file says nothing of an earlier one"
        );
        assert_ne!(subdomains.version(), version);
        subdomains.forget_from(3).expect("writable");
        assert_eq!(labels(), ["b"]);
    }

    #[test]
    fn whoever_looked_at_other_tables_has_not_caught_up() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let subdomains = open(scratch.path());
        let (now, version) = (subdomains.renewals(), subdomains.version());
        assert!(!subdomains.is_caught_up());
        assert!(subdomains.note_caught_up(now) && !subdomains.note_caught_up(now));
        assert!(subdomains.is_caught_up());
        assert_ne!(subdomains.version(), version);
        subdomains.note_caught_up(now + 1);
        assert!(!subdomains.is_caught_up());
    }

    #[test]
    fn creations_are_counted_in_the_order_of_the_chain() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let subdomains = open(scratch.path());
        let before = |row, offset| {
            let owner = Address::P2pkh([1; 20]);
            subdomains
                .created_before(&owner, row, offset)
                .expect("readable")
        };
        let note = |rows: &[IndexedRow]| subdomains.note(rows).expect("writable");
        note(&[row(
            5,
            &[("c.foo.id", 0, 1), ("d.foo.id", 1, 1), ("e.foo.id", 2, 2)],
            &[],
        )]);
        assert_eq!((before(5, 0), before(5, 1), before(9, 0)), (0, 1, 2));
        // A late zone file made `d` earlier, and for somebody else.
        note(&[row(3, &[("b.foo.id", 0, 1), ("d.foo.id", 1, 2)], &[])]);
        assert_eq!((before(5, 0), before(9, 0)), (1, 2));
        subdomains.forget_from(4).expect("writable");
        assert_eq!(before(9, 0), 1);
        note(&[row(3, &[], &[])]);
        assert_eq!(before(9, 0), 0);
    }

    #[test]
    fn rows_without_files_are_missing_unless_declared_lost() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let subdomains = open(scratch.path());
        let name = "foo.id".parse().expect("a name");
        let missing = || subdomains.missing_of(&name).expect("readable");
        let note = |rows: &[IndexedRow]| subdomains.note(rows).expect("writable");
        note(&[waiting(1), waiting(2), row(3, &[], &[1])]);
        assert_eq!(missing(), [2]);
        note(&[row(4, &[], &[])]);
        assert_eq!(missing(), [1, 2]);
        note(&[row(2, &[], &[1])]);
        assert_eq!(missing(), [1]);
        note(&[waiting(5), row(6, &[], &[1, 5])]);
        assert_eq!(missing(), [0; 0]);
    }
}
