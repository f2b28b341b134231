//! Zone files in few large files ("segments") that only grow, found by an index in memory.
//!
//! The bytes are described in [`super`], "The archive of zone files". A batch is appended in large pieces and synced once. A
//! record counts from then on; the newest one of a hash is the one that counts, and earlier ones are dead until their segment is
//! compacted ([`compact`]). A read takes one call and hashes what it read. At a start, the table beside a segment says
//! where its records are; what was appended since the table was written is read, and a torn end is cut off.

mod compact;
mod directory;
mod form;
mod places;
mod record;
mod renew;
mod scan;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::disk::steps::Steps;
use crate::hash::ZonefileHash;

use super::lookup::{Lookup, Stored};
pub use directory::count;
use places::{Place, Places};
use record::{HEAD, Head};
pub use renew::Renewed;

/// Of the bytes of a segment, so many may stand behind its table: one of so many, so that each row is written a few times, however
/// many there are.
const TABLE_PART: u64 = 8;

/// Bytes that are written at once.
const PIECE: usize = 1 << 20;

/// How large the parts are.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A segment with so many bytes is full.
    pub segment: u64,
    /// Bytes behind the table of the segment that grows, after which it is written again, or more in a large segment. About so
    /// many are read at a start.
    pub table: u64,
    /// Dead bytes for which nobody compacts.
    pub dead: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            segment: 1 << 30,
            table: 8 << 20,
            dead: 1 << 20,
        }
    }
}

/// All segments of an archive.
#[derive(Debug)]
pub struct Segments {
    directory: PathBuf,
    steps: Arc<dyn Steps>,
    limits: Limits,
    writer: Mutex<Writer>,
    /// By number; the newest is the last.
    held: RwLock<BTreeMap<u32, Segment>>,
}

/// Which segment grows.
#[derive(Debug, Default)]
struct Writer {
    open: Option<u32>,
    /// The number of the next one.
    next: u32,
    /// How long the open one was when somebody asked for its table at rest.
    seen: u64,
}

/// A file of records.
#[derive(Debug)]
struct Segment {
    file: Arc<File>,
    inode: u64,
    /// Bytes up to the end of the last record that was written or found.
    length: u64,
    places: Places,
    /// Up to where the table on disk knows it; `None` if the table is missing or wrong.
    tabled: Option<u64>,
}

/// A batch on its way to the disk.
#[derive(Default)]
struct Batch {
    /// What was not written yet, and where it belongs.
    piece: Vec<u8>,
    number: u32,
    at: u64,
    placed: Vec<(ZonefileHash, u32, Place)>,
    /// The segments that were written to, with their ends.
    ends: BTreeMap<u32, u64>,
}

impl Segments {
    /// What is there for a hash.
    pub fn read(&self, hash: &ZonefileHash) -> io::Result<Lookup> {
        let Some((file, place)) = self.find(hash) else {
            return Ok(Lookup::Absent);
        };
        let mut record = vec![0; place.size as usize];
        let read = scan::read_at(&file, &mut record, u64::from(place.at))?;
        record.truncate(read);
        Ok(open_record(hash, record, place))
    }

    /// The zone file with this hash and its compiled form, read into `buffer`; `None` unless its record is there and right.
    pub fn read_into<'b>(
        &self,
        hash: &ZonefileHash,
        buffer: &'b mut Vec<u8>,
    ) -> io::Result<Option<Stored<'b>>> {
        let record = self.read_record(hash, buffer)?;
        Ok(record.map(|(head, body)| Stored {
            zonefile: &body[..head.length],
            compiled: head.compiled_in(body),
        }))
    }

    /// Head and body of the record of a hash, read into `buffer`; `None` unless it is there and its zone file has the hash.
    fn read_record<'b>(
        &self,
        hash: &ZonefileHash,
        buffer: &'b mut Vec<u8>,
    ) -> io::Result<Option<(Head, &'b [u8])>> {
        let Some((file, place)) = self.find(hash) else {
            return Ok(None);
        };
        buffer.resize(place.size as usize, 0);
        let read = scan::read_at(&file, buffer, u64::from(place.at))?;
        let record = &buffer[..read];
        let head = expected_head(hash, record, place);
        let record = head.map(|head| (head, &record[HEAD..]));
        Ok(record.filter(|(head, body)| {
            let zonefile = body.get(..head.length);
            zonefile.is_some_and(|zonefile| ZonefileHash::of(zonefile) == *hash)
        }))
    }

    /// Whether there is a record with this hash. Nothing is read: it may be wrong.
    pub fn has(&self, hash: &ZonefileHash) -> bool {
        newest(&self.held(), hash).is_some()
    }

    /// Whether the record of this hash was cut by somebody, be it in its compiled form alone: the next start would cut off the rest.
    pub fn is_cut(&self, hash: &ZonefileHash) -> io::Result<bool> {
        let Some((file, place)) = self.find(hash) else {
            return Ok(false);
        };
        let end = u64::from(place.at) + u64::from(place.size);
        Ok(file.metadata()?.len() < end)
    }

    /// Whether the segment with the record of this hash is not at its path any more: what is read is what somebody removed.
    pub fn is_removed(&self, hash: &ZonefileHash) -> bool {
        let held = self.held();
        let found = newest(&held, hash);
        let Some((number, inode)) = found.map(|(number, it, _)| (number, it.inode)) else {
            return false;
        };
        drop(held);
        let there = fs::symlink_metadata(self.path(number));
        !there.is_ok_and(|metadata| metadata.ino() == inode)
    }

    /// The hashes of all records, in order.
    pub fn list(&self) -> Vec<ZonefileHash> {
        let held = self.held();
        let hashes = held.values().flat_map(|segment| segment.places.hashes());
        let mut hashes: Vec<ZonefileHash> = hashes.collect();
        drop(held);
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }

    /// At most `count` hashes behind `after`, in order.
    pub fn behind(&self, after: Option<&ZonefileHash>, count: usize) -> Vec<ZonefileHash> {
        let held = self.held();
        let pages = held
            .values()
            .flat_map(|segment| segment.places.behind(after, count));
        let mut hashes: Vec<ZonefileHash> = pages.collect();
        drop(held);
        hashes.sort_unstable();
        hashes.dedup();
        hashes.truncate(count);
        hashes
    }

    /// Appends records of these zone files. When this returns they survive a loss of power and are found; after an error some of
    /// them may be found at the next start.
    pub fn append(&self, files: &[(&ZonefileHash, &[u8])]) -> io::Result<()> {
        let mut writer = self.writer();
        match self.try_append(files, &mut writer) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                writer.open = None; // somebody removed it
                self.try_append(files, &mut writer)
            }
            appended => appended,
        }
    }

    fn try_append(&self, files: &[(&ZonefileHash, &[u8])], writer: &mut Writer) -> io::Result<()> {
        let mut batch = Batch::default();
        let written = self.write(files, &mut batch, writer);
        let appended = written.and_then(|()| self.sync(&batch));
        if let Err(error) = appended.and_then(|()| self.publish(&batch)) {
            for number in batch.ends.keys().filter(|number| !self.is_held(**number)) {
                let _ = self.steps.remove(&self.path(*number)); // it may not be there
            }
            return Err(error);
        }
        writer.open = Some(batch.number);
        self.settle();
        self.write_tables();
        Ok(())
    }

    fn write(
        &self,
        files: &[(&ZonefileHash, &[u8])],
        batch: &mut Batch,
        writer: &mut Writer,
    ) -> io::Result<()> {
        (batch.number, batch.at) = self.end(writer);
        for (hash, bytes) in files {
            if batch.at >= self.limits.segment {
                self.write_piece(batch)?;
                (batch.number, batch.at) = (take_number(writer), 0);
            }
            batch.add(hash, bytes);
            if batch.piece.len() >= PIECE {
                self.write_piece(batch)?;
            }
        }
        self.write_piece(batch)
    }

    /// Where the next record goes. A segment that is about to be made is not open yet: if that fails, it is another one next time.
    fn end(&self, writer: &mut Writer) -> (u32, u64) {
        let held = self.held();
        let open = writer.open.and_then(|number| held.get_key_value(&number));
        match open.map(|(number, segment)| (*number, segment.length)) {
            Some(open) => open,
            None => (take_number(writer), 0),
        }
    }

    /// Writes what waits in a batch.
    fn write_piece(&self, batch: &mut Batch) -> io::Result<()> {
        let piece = std::mem::take(&mut batch.piece);
        if piece.is_empty() {
            return Ok(());
        }
        let (path, place) = (self.path(batch.number), batch.at - piece.len() as u64);
        let is_written = batch.ends.insert(batch.number, batch.at).is_some();
        if is_written || self.is_held(batch.number) {
            return self.steps.append(&path, place, &piece);
        }
        self.steps.create_directory(&self.directory)?;
        self.steps.write(&path, &piece)
    }

    /// Returns when all of a batch survives a loss of power.
    fn sync(&self, batch: &Batch) -> io::Result<()> {
        let mut paths: Vec<PathBuf> = batch.ends.keys().map(|number| self.path(*number)).collect();
        if batch.ends.keys().any(|number| !self.is_held(*number)) {
            paths.push(self.directory.clone());
            paths.extend(self.directory.parent().map(PathBuf::from)); // the directory may be new too
        }
        let paths: Vec<_> = paths.iter().map(PathBuf::as_path).collect();
        self.steps.sync(&paths)
    }

    /// Lets all of a batch be found.
    fn publish(&self, batch: &Batch) -> io::Result<()> {
        let mut new = BTreeMap::new();
        for number in batch.ends.keys() {
            if !self.is_held(*number) {
                new.insert(*number, Segment::empty(File::open(self.path(*number))?)?);
            }
        }
        let mut held = self.held_mut();
        held.append(&mut new);
        for segment in held.values_mut() {
            segment
                .places
                .remove(batch.placed.iter().map(|(hash, ..)| hash));
        }
        for (hash, number, place) in &batch.placed {
            if let Some(segment) = held.get_mut(number) {
                segment.places.insert(*hash, *place);
            }
        }
        for (number, end) in &batch.ends {
            if let Some(segment) = held.get_mut(number) {
                segment.length = *end;
            }
        }
        Ok(())
    }

    /// Merges what was appended into the rows of segments, where that is much.
    fn settle(&self) {
        let crowded = |segment: &Segment| segment.places.is_crowded();
        for number in self.numbers(crowded) {
            self.merge(number);
        }
    }

    /// Merges what was appended into the rows of a segment. Readers wait for none of it; only who writes changes places.
    fn merge(&self, number: u32) {
        let merged = self.held().get(&number).map(|it| it.places.merged());
        if let (Some(merged), Some(segment)) = (merged, self.held_mut().get_mut(&number)) {
            segment.places.settle(merged);
        }
    }

    /// The numbers of some segments.
    fn numbers(&self, is_one: impl Fn(&Segment) -> bool) -> Vec<u32> {
        let held = self.held();
        let found = held.iter().filter(|(_, segment)| is_one(segment));
        found.map(|(number, _)| *number).collect()
    }

    /// The newest record of a hash.
    fn find(&self, hash: &ZonefileHash) -> Option<(Arc<File>, Place)> {
        let held = self.held();
        let (_, segment, place) = newest(&held, hash)?;
        Some((Arc::clone(&segment.file), place))
    }

    fn is_held(&self, number: u32) -> bool {
        self.held().contains_key(&number)
    }

    fn path(&self, number: u32) -> PathBuf {
        self.directory.join(format!("{number:08}.zones"))
    }

    fn table_path(&self, number: u32) -> PathBuf {
        self.directory.join(format!("{number:08}.places"))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> RwLockReadGuard<'_, BTreeMap<u32, Segment>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<u32, Segment>> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Segment {
    fn empty(file: File) -> io::Result<Self> {
        Ok(Self {
            inode: file.metadata()?.ino(),
            file: Arc::new(file),
            length: 0,
            places: Places::default(),
            tabled: None,
        })
    }

    /// Bytes that the table on disk does not know.
    fn behind_table(&self) -> u64 {
        self.length.saturating_sub(self.tabled.unwrap_or(0))
    }

    /// Bytes that belong to no live record.
    fn dead(&self) -> u64 {
        self.length.saturating_sub(self.places.live())
    }
}

impl Batch {
    fn add(&mut self, hash: &ZonefileHash, bytes: &[u8]) {
        let before = self.piece.len();
        record::write(hash, bytes, &mut self.piece);
        let size = (self.piece.len() - before) as u32;
        let at = self.at as u32; // a segment is full long before
        self.placed.push((*hash, self.number, Place { at, size }));
        self.at += u64::from(size);
    }
}

/// The segment with the newest record of a hash, its number, and where the record is.
fn newest<'h>(
    held: &'h BTreeMap<u32, Segment>,
    hash: &ZonefileHash,
) -> Option<(u32, &'h Segment, Place)> {
    held.iter().rev().find_map(|(number, segment)| {
        let place = segment.places.get(hash)?;
        Some((*number, segment, place))
    })
}

fn take_number(writer: &mut Writer) -> u32 {
    let number = writer.next;
    writer.next += 1;
    number
}

/// The zone file of a record that should be at `place`, as it was read.
fn open_record(hash: &ZonefileHash, mut record: Vec<u8>, place: Place) -> Lookup {
    if record.is_empty() {
        return Lookup::Absent; // the segment was cut before it
    }
    let Some(head) = expected_head(hash, &record, place) else {
        return Lookup::Tampered { found: None };
    };
    record.truncate(HEAD + head.length);
    record.drain(..HEAD.min(record.len()));
    match ZonefileHash::of(&record) {
        found if found == *hash => Lookup::Found(record),
        found => Lookup::Tampered { found: Some(found) },
    }
}

/// The head of a record, if it is the one that is expected at `place`.
fn expected_head(hash: &ZonefileHash, record: &[u8], place: Place) -> Option<Head> {
    Head::read(record).filter(|head| head.hash == *hash && head.size() == place.size as usize)
}
