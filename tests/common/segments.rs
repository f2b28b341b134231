//! The segments of an archive as somebody sees and changes them who knows their format (`src/store/format.md`) and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bitcoin::hashes::siphash24;

/// Bytes before a zone file.
pub const HEAD: usize = 48;

/// A whole record.
#[derive(Debug, Clone)]
pub struct Record {
    /// The segment.
    pub path: PathBuf,
    /// Where it begins there.
    pub at: usize,
    /// What it says that the zone file hashes to.
    pub hash: [u8; 20],
    /// The zone file.
    pub bytes: Vec<u8>,
    /// Its compiled form; empty if there is none.
    pub compiled: Vec<u8>,
    /// The version of that form.
    pub version: u32,
}

impl Record {
    pub fn size(&self) -> usize {
        HEAD + self.bytes.len() + self.compiled.len()
    }
}

/// The segments of an archive, oldest first.
pub fn files(archive: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(archive.join("segments")).into_iter().flatten();
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "zones"))
        .collect();
    paths.sort_unstable();
    paths
}

/// The newest record of each hash.
pub fn records(archive: &Path) -> BTreeMap<[u8; 20], Record> {
    let mut records = BTreeMap::new();
    for path in files(archive) {
        let bytes = fs::read(&path).unwrap_or_default();
        let mut at = 0;
        while at < bytes.len() {
            let record = parse(&path, &bytes, at);
            at += record.as_ref().map_or(1, Record::size);
            records.extend(record.map(|record| (record.hash, record)));
        }
    }
    records
}

/// The newest record of a hash.
pub fn find(archive: &Path, hash: &[u8; 20]) -> Option<Record> {
    records(archive).remove(hash)
}

/// Whether the newest record of a hash has these bytes.
pub fn holds(archive: &Path, hash: &[u8; 20], bytes: &[u8]) -> bool {
    find(archive, hash).is_some_and(|record| record.bytes == bytes)
}

/// Puts another zone file into the newest record of a hash, which is whole then, claims that hash and keeps its compiled form; what
/// is behind it moves. With no bytes the record is cut out.
pub fn rewrite(archive: &Path, hash: &[u8; 20], bytes: &[u8]) {
    let new = find(archive, hash).map(|record| Record {
        bytes: bytes.to_vec(),
        ..record
    });
    let new = new.unwrap_or_else(|| Record {
        path: files(archive).pop().expect("a segment"),
        at: 0,
        hash: *hash,
        bytes: bytes.to_vec(),
        compiled: Vec::new(),
        version: 0,
    });
    put_back(archive, &new);
}

/// Puts a record, which is whole then, in the place of the newest one of its hash, or where it says if there is none; what is behind
/// it moves. One without bytes is cut out.
pub fn put_back(archive: &Path, new: &Record) {
    let found = find(archive, &new.hash);
    let place = match &found {
        Some(found) => found.at..found.at + found.size(),
        None => new.at..new.at,
    };
    let path = found.map_or(new.path.clone(), |found| found.path);
    let record = match new.bytes.len() {
        0 => Vec::new(),
        _ => write(&new.hash, &new.bytes, &new.compiled, new.version),
    };
    let mut segment = fs::read(&path).expect("readable");
    segment.splice(place, record);
    fs::write(&path, segment).expect("writable");
}

/// Puts another compiled form into a record, which is whole then; what is behind it moves.
pub fn put_compiled(record: &Record, compiled: &[u8], version: u32) {
    let mut segment = fs::read(&record.path).expect("readable");
    let new = write(&record.hash, &record.bytes, compiled, version);
    segment.splice(record.at..record.at + record.size(), new);
    fs::write(&record.path, segment).expect("writable");
}

/// Flips a bit of the newest record of a hash; a second time brings it back.
pub fn flip(record: &Record, position: usize) {
    let mut segment = fs::read(&record.path).expect("readable");
    segment[record.at + position] ^= 1 << (position % 8);
    fs::write(&record.path, segment).expect("writable");
}

/// A record.
pub fn write(hash: &[u8; 20], bytes: &[u8], compiled: &[u8], version: u32) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short").to_be_bytes();
    let body = [bytes, compiled].concat();
    let mut record = b"bnz1".to_vec();
    record.extend(length(bytes));
    record.extend(length(compiled));
    record.extend(version.to_be_bytes());
    record.extend(hash);
    record.extend(seal(1, &body).to_be_bytes());
    record.extend(&seal(0, &record).to_be_bytes()[..4]);
    record.extend(body);
    record
}

/// The record that begins at a place, if one does.
fn parse(path: &Path, segment: &[u8], at: usize) -> Option<Record> {
    let head = segment.get(at..at + HEAD)?;
    let number = |at: usize| {
        let bytes = head.get(at..)?.first_chunk()?;
        Some(u32::from_be_bytes(*bytes))
    };
    let (length, rest, version) = (number(4)? as usize, number(8)? as usize, number(12)?);
    let hash = head[16..36].try_into().ok()?;
    let (bytes, behind) = segment.get(at + HEAD..)?.split_at_checked(length)?;
    let compiled = behind.get(..rest)?;
    let is_whole = write(&hash, bytes, compiled, version)[..HEAD] == *head && !bytes.is_empty();
    is_whole.then(|| Record {
        path: path.to_owned(),
        at,
        hash,
        bytes: bytes.to_vec(),
        compiled: compiled.to_vec(),
        version,
    })
}

fn seal(kind: u64, bytes: &[u8]) -> u64 {
    let seed = u64::from_be_bytes(*b"bnszones");
    siphash24::Hash::hash_to_u64_with_keys(seed, kind, bytes)
}
