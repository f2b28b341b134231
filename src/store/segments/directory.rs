//! The directory of segments: opened at a start, watched for files that somebody took away or brought back, and the tables
//! beside the segments.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use crate::disk::steps::Steps;
use crate::disk::{remove, rights};
use crate::hash::ZonefileHash;

use super::places::Places;
use super::scan::{Scanned, scan};
use super::{Limits, Segment, Segments, TABLE_PART};

/// Bytes for each of which a place can be in a table, and those around the places: no table of a segment is larger.
const TABLE_MIN: u64 = 4_096;

/// Of the bytes behind a table for which it is written again, so many are enough at rest: one of so many.
const REST_PART: u64 = 8;

/// What somebody else did to the directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// These records are gone.
    pub lost: Vec<ZonefileHash>,
    /// These are there, and were not before or were elsewhere.
    pub found: Vec<ZonefileHash>,
}

impl Segments {
    /// Opens the segments in a directory, which need not be there. What a crash left behind the last whole record is cut off.
    pub fn open(directory: PathBuf, steps: Arc<dyn Steps>, limits: Limits) -> io::Result<Self> {
        let segments = Self {
            directory,
            steps,
            limits,
            writer: Mutex::default(),
            held: RwLock::default(),
        };
        if segments.directory.is_dir() {
            rights::make_private(&segments.directory)?;
        }
        segments.load_all()?;
        segments.remove_strays()?;
        Ok(segments)
    }

    fn load_all(&self) -> io::Result<()> {
        let there = self.there()?;
        let last = there.last_key_value().map(|(number, _)| *number);
        for number in there.keys() {
            let mut segment = self.load(*number)?;
            if Some(*number) == last {
                self.cut(*number, &mut segment)?;
            }
            self.held_mut().insert(*number, segment);
        }
        let mut writer = self.writer();
        writer.next = last.map_or(1, |last| last + 1);
        let is_open = |number: &u32| self.held()[number].length < self.limits.segment;
        writer.open = last.filter(is_open);
        drop(writer);
        self.write_tables();
        Ok(())
    }

    /// Looks what is in the directory: forgets segments that are not there any more, and reads those that are new.
    pub fn refresh(&self) -> io::Result<Changed> {
        let mut writer = self.writer();
        let there = self.there()?;
        let is_known = |number: &u32, segment: &Segment| there.get(number) == Some(&segment.inode);
        let mut changed = Changed::default();
        let gone: Vec<u32> = {
            let held = self.held();
            let gone = held.iter().filter(|(number, it)| !is_known(number, it));
            gone.map(|(number, _)| *number).collect()
        };
        for number in &gone {
            if let Some(segment) = self.held_mut().remove(number) {
                changed.lost.extend(segment.places.hashes());
            }
        }
        let new: Vec<u32> = {
            let held = self.held();
            let new = there.keys().filter(|number| !held.contains_key(number));
            new.copied().collect()
        };
        for number in &new {
            let segment = self.load(*number)?;
            changed.found.extend(segment.places.hashes());
            self.held_mut().insert(*number, segment);
            writer.next = writer.next.max(number + 1);
        }
        writer.open = writer.open.filter(|open| !gone.contains(open));
        drop(writer);
        changed.lost.retain(|hash| !self.has(hash));
        Ok(changed)
    }

    /// Numbers and inodes of the segments in the directory.
    fn there(&self) -> io::Result<BTreeMap<u32, u64>> {
        let mut there = BTreeMap::new();
        for path in self.files()? {
            let Some(number) = number_of(&path, "zones") else {
                continue;
            };
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_file() => {
                    there.insert(number, metadata.ino());
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(there)
    }

    fn files(&self) -> io::Result<Vec<PathBuf>> {
        files(&self.directory)
    }

    /// Reads where the records of a segment are.
    fn load(&self, number: u32) -> io::Result<Segment> {
        let path = self.path(number);
        rights::make_private(&path)?;
        let mut segment = Segment::empty(File::open(&path)?)?;
        let length = segment.file.metadata()?.len();
        let known = self.read_table(number, length);
        if known.is_none() {
            self.remove_table(number)?;
        }
        let start = known.as_ref().map_or(0, |(_, end)| *end);
        if let Some((places, end)) = known {
            segment.places = places;
            segment.tabled = Some(end);
        }
        let Scanned { end, damaged } = scan(&segment.file, start, length, &mut segment.places)?;
        if damaged > 0 {
            tracing::warn!(
                "{damaged} bytes of {} are damaged: the zone files there are lost, all others are not; check the disk, and bring them back with `bnsd zonefile import` if nobody else has them",
                path.display()
            );
        }
        segment.length = end.max(start);
        Ok(segment)
    }

    /// Removes a table that is wrong for good: what it knows beyond the end of a segment that was cut would pass for what is
    /// appended there.
    fn remove_table(&self, number: u32) -> io::Result<()> {
        match self.steps.remove(&self.table_path(number)) {
            Ok(()) => self.steps.sync(&[&self.directory]),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn read_table(&self, number: u32, length: u64) -> Option<(Places, u64)> {
        let path = self.table_path(number);
        let size = fs::metadata(&path).ok()?.len();
        let is_sane = size <= length.max(TABLE_MIN); // a record is longer than its place
        Places::read(fs::read(path).ok().filter(|_| is_sane)?, length)
    }

    /// Cuts off what is behind the last whole record.
    fn cut(&self, number: u32, segment: &mut Segment) -> io::Result<()> {
        let path = self.path(number);
        let length = segment.file.metadata()?.len();
        if length > segment.length {
            tracing::warn!(
                "cut {} bytes off {}: they are no whole zone file, as a crash leaves one",
                length - segment.length,
                path.display()
            );
            self.steps.cut(&path, segment.length)?;
        }
        Ok(())
    }

    /// Writes the tables that a start would miss: of full segments, and of the one that grows after many records. A table that
    /// cannot be written costs time at the next start and nothing else.
    pub(super) fn write_tables(&self) {
        for number in self.numbers(|segment| self.is_table_due(segment)) {
            self.try_write_table(number);
        }
    }

    fn try_write_table(&self, number: u32) {
        if let Err(error) = self.write_table(number) {
            let path = self.table_path(number);
            tracing::debug!("cannot write {}: {error}", path.display());
        }
    }

    /// Writes the table of the segment that grows, if nothing was appended since this was called the last time, so that the next
    /// start has little to read even after a crash.
    pub fn write_table_at_rest(&self) {
        let mut writer = self.writer();
        let Some(number) = writer.open else {
            return;
        };
        let known = |segment: &Segment| (segment.length, segment.behind_table());
        let Some((length, behind)) = self.held().get(&number).map(known) else {
            return;
        };
        let is_at_rest = std::mem::replace(&mut writer.seen, length) == length;
        if is_at_rest && behind >= self.limits.table / REST_PART {
            self.try_write_table(number);
        }
    }

    fn is_table_due(&self, segment: &Segment) -> bool {
        let behind = segment.behind_table();
        let is_full = segment.length >= self.limits.segment;
        let most = self.limits.table.max(segment.length / TABLE_PART);
        behind >= most || (is_full && behind > 0) || segment.places.is_stale()
    }

    fn write_table(&self, number: u32) -> io::Result<()> {
        self.merge(number);
        let (table, end) = match self.held().get(&number) {
            Some(segment) => (segment.places.table(segment.length), segment.length),
            None => return Ok(()),
        };
        let path = self.table_path(number);
        let beside = path.with_extension("new");
        remove(&beside)?;
        self.steps.write(&beside, &table)?;
        self.steps.rename(&beside, &path)?; // no sync: a torn table is known by its seal
        if let Some(segment) = self.held_mut().get_mut(&number) {
            segment.tabled = Some(end);
            segment.places.note_table();
        }
        Ok(())
    }

    /// Removes tables without a segment, and those that were not finished.
    fn remove_strays(&self) -> io::Result<()> {
        let held: HashSet<u32> = self.held().keys().copied().collect();
        for path in self.files()? {
            let of_nothing = number_of(&path, "places").is_some_and(|it| !held.contains(&it));
            if of_nothing || number_of(&path, "new").is_some() {
                self.steps.remove(&path)?;
            }
        }
        Ok(())
    }
}

/// How many segments are in a directory: each is open as long as it is there.
pub fn count(directory: &Path) -> io::Result<usize> {
    let is_one = |path: &PathBuf| number_of(path, "zones").is_some();
    Ok(files(directory)?.into_iter().filter(is_one).count())
}

fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if is_no_directory(&error) => return Ok(Vec::new()),
        entries => entries?,
    };
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn number_of(path: &Path, extension: &str) -> Option<u32> {
    let is_meant = path.extension().is_some_and(|it| it == extension);
    let stem = path.file_stem()?.to_str().filter(|stem| stem.len() == 8)?;
    let is_number = stem.bytes().all(|byte| byte.is_ascii_digit());
    stem.parse().ok().filter(|_| is_meant && is_number)
}

fn is_no_directory(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}
