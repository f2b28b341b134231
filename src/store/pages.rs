//! The database file, page by page: what is read is what was written, or an error.
//!
//! redb checks its pages only when it repairs a file. A page that changed on the disk would therefore be believed: a flipped
//! bit in a key makes a row look as if it had never been there, and a name that is registered as if it were free. So every
//! page has a sum in a second file, `names.sums`, and is compared with it whenever it is read from the disk. Whatever redb
//! finds, and whatever it does not find, then follows from pages that are as they were written: a missing row is as certain as one
//! that is there, in every table and for every reader, from the first question on. It costs a CRC-32 of 4,096 bytes where
//! the page comes from the disk, nothing where redb has it in memory, and four bytes of memory a page.
//!
//! **Crashes.** redb never writes over a page that the last durable commit uses, and asks for a sync before it writes the
//! header that makes a commit count. The sums are written and synced in that call too. A crash may leave
//! other sums than pages, but only of pages that no commit uses; nobody reads them before they are written again. The header
//! is written over, so its sum stands beside it, in the same sector of the disk.
//!
//! [`CheckedFile::sweep`] reads pages again that nobody asks for. After a crash it cannot tell a damaged page from an unused one
//! of the kind above: it forgets the sum, and the page is refused if it is ever read. The file of sums says so until all
//! pages were read once, however often the program is started meanwhile.
//!
//! A disk that loses a write of a page and of its sum shows an old page that fits. Only `bnsd chain verify` finds that.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::iter::repeat;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use flate2::Crc;
use redb::StorageBackend;

use super::damage::Damage;
use super::medium::Medium;
use crate::disk;
use crate::disk::rights::open_private;

/// Bytes of a page of redb.
const PAGE: usize = 4_096;
/// Bytes of redb's header, at the beginning of the first page.
const HEADER: usize = 320;
/// Where the header says that the file was not closed: byte and bit.
const UNCLEAN: (usize, u8) = (9, 2);
/// What the file of sums begins with.
const MAGIC: [u8; 8] = *b"bnsdsum1";
/// What it begins with from a crash on, until all pages were read once.
const UNSWEPT: [u8; 8] = *b"bnsdsum0";
/// Bytes of a sum.
const SUM: usize = 4;
/// The sum of a page that was never written, or whose sum is not known.
const NONE: u32 = 0;
/// Sums that are written at once: a page of them.
const GROUP: usize = PAGE / SUM;

/// A database file and the sums of its pages. Clones are the same file.
#[derive(Debug, Clone)]
pub(super) struct CheckedFile {
    pages: Arc<dyn Medium>,
    sums: Arc<dyn Medium>,
    known: Arc<RwLock<Vec<u32>>>,
    /// Held while a page and its sum change.
    changes: Arc<Mutex<Changes>>,
    damage: Arc<Damage>,
    generation: u64,
    uses: Arc<Uses>,
}

/// Who may use the file: after a failed write redb has to begin with it anew, while an earlier use is still read.
#[derive(Debug, Default)]
struct Uses {
    /// The only generation that may write.
    writing: AtomicU64,
    /// The oldest one that may read.
    reading: AtomicU64,
    /// Why a write failed.
    failure: Mutex<Option<String>>,
}

/// What was written since the file was opened.
#[derive(Debug)]
struct Changes {
    /// Groups of sums that are not in their file yet.
    groups: BTreeSet<usize>,
    /// After a crash, and until all pages were read once: pages whose sums are certain.
    certain: Option<HashSet<usize>>,
}

impl CheckedFile {
    /// Opens the database file at `path`, made empty where it is missing, whose sums are beside it.
    pub(super) fn open(path: &Path, damage: Arc<Damage>) -> io::Result<Self> {
        let (pages, sums) = (open_private(path)?, open_private(&sums_path(path))?);
        Self::over(Arc::new(pages), Arc::new(sums), damage)
    }

    /// The same over a database file and its sums that are open.
    pub(super) fn over(
        pages: Arc<dyn Medium>,
        sums: Arc<dyn Medium>,
        damage: Arc<Damage>,
    ) -> io::Result<Self> {
        let (known, was_swept) = read_sums(&*sums, pages.length()?)?;
        let mut header = [0; HEADER];
        let is_clean = pages.read(&mut header, 0).is_err() || header[UNCLEAN.0] & UNCLEAN.1 == 0;
        let is_certain = is_clean && was_swept;
        if !is_certain {
            sums.write(&UNSWEPT, 0)?;
            sums.sync()?;
        }
        let changes = Changes {
            groups: BTreeSet::new(),
            certain: (!is_certain).then(HashSet::new),
        };
        Ok(Self {
            pages,
            sums,
            known: Arc::new(RwLock::new(known)),
            changes: Arc::new(Mutex::new(changes)),
            damage,
            generation: 0,
            uses: Arc::default(),
        })
    }

    /// Why a write failed, if one did; whoever uses the file then has to begin with it [again](Self::again).
    pub(super) fn failure(&self) -> Option<String> {
        self.failure_mut().clone()
    }

    /// The file for somebody who begins with it anew: from now on nobody else writes to it.
    pub(super) fn again(&self) -> Self {
        *self.failure_mut() = None;
        Self {
            generation: self.uses.writing.fetch_add(1, Ordering::SeqCst) + 1,
            ..self.clone()
        }
    }

    /// From now on nobody who began with it earlier reads it.
    pub(super) fn end_earlier(&self) {
        self.uses.reading.store(self.generation, Ordering::SeqCst);
    }

    fn failure_mut(&self) -> MutexGuard<'_, Option<String>> {
        let failure = self.uses.failure.lock();
        failure.unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something that writes; what fails is noted.
    fn writing(&self, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.generation != self.uses.writing.load(Ordering::SeqCst) {
            return Err(ended());
        }
        write().inspect_err(|error| self.note_failure(error))
    }

    /// Notes why it could not be written, or not be begun with again.
    pub(super) fn note_failure(&self, error: &dyn Display) {
        self.failure_mut().get_or_insert_with(|| error.to_string());
    }

    fn require_current(&self) -> io::Result<()> {
        match self.generation >= self.uses.reading.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(ended()),
        }
    }

    /// What was found to be damaged in it.
    pub(super) fn damage(&self) -> &Arc<Damage> {
        &self.damage
    }

    /// Reads at most `count` pages from number `first` on and compares them with their sums. Gives the number of the page
    /// to go on with, `None` after the last one.
    pub(super) fn sweep(&self, first: usize, count: usize) -> io::Result<Option<usize>> {
        let mut page = [0; PAGE];
        for number in first..first + count {
            let mut changes = self.changes(); // nobody writes it meanwhile
            if number >= self.known().len() {
                if changes.certain.is_some() {
                    self.sync_changed(&mut changes)?;
                    self.sums.write(&MAGIC, 0)?;
                    changes.certain = None;
                }
                return Ok(None);
            }
            if number == 0 {
                self.read_header(&mut [0; HEADER])?;
                continue;
            }
            let sum = self.known()[number];
            if sum == NONE {
                continue;
            }
            self.pages.read(&mut page, offset(number))?;
            if sum_of(number, &page) == sum {
                continue;
            }
            let is_certain = changes.certain.as_ref();
            if is_certain.is_none_or(|certain| certain.contains(&number)) {
                return Err(self.damaged(number));
            }
            self.set(number, NONE, &mut changes);
        }
        Ok(Some(first + count))
    }

    fn read_header(&self, out: &mut [u8]) -> io::Result<()> {
        let mut header = [0; HEADER + SUM];
        self.pages.read(&mut header, 0)?;
        let (header, sum) = header.split_at(HEADER);
        if header_sum(header) != sum {
            return Err(self.damaged(0));
        }
        out.copy_from_slice(&header[..out.len()]);
        Ok(())
    }

    fn read_pages(&self, first: usize, out: &mut [u8]) -> io::Result<()> {
        self.pages.read(out, offset(first))?;
        for (number, page) in (first..).zip(out.chunks_exact(PAGE)) {
            let sum = self.known().get(number).copied().unwrap_or(NONE);
            if sum != sum_of(number, page) {
                return Err(self.damaged(number));
            }
        }
        Ok(())
    }

    fn damaged(&self, number: usize) -> io::Error {
        let detail = format!("page {number} of its file is not what was written");
        self.damage.note(&detail);
        io::Error::new(io::ErrorKind::InvalidData, detail)
    }

    /// Writes the sums that changed; they are on the disk when this returns.
    fn sync_sums(&self) -> io::Result<()> {
        self.sync_changed(&mut self.changes())
    }

    fn sync_changed(&self, changes: &mut Changes) -> io::Result<()> {
        if changes.groups.is_empty() {
            return Ok(());
        }
        for group in &changes.groups {
            let bytes: Vec<u8> = {
                let known = self.known();
                let sums = known.iter().skip(group * GROUP).chain(repeat(&NONE)); // where the file was cut
                sums.take(GROUP).flat_map(|sum| sum.to_be_bytes()).collect()
            };
            let place = MAGIC.len() + group * GROUP * SUM;
            self.sums.write(&bytes, place as u64)?;
        }
        self.sums.sync()?;
        changes.groups.clear();
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut changes = self.changes();
        self.pages.set_length(length)?;
        let count = page_count(length);
        for number in count..self.known().len() {
            changes.groups.insert(number / GROUP);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.resize(count, NONE);
        Ok(())
    }

    fn write_pages(&self, place: u64, data: &[u8]) -> io::Result<()> {
        if place == 0 && data.len() == HEADER {
            return self.pages.write(&sealed(data), 0);
        }
        let first = whole_pages(place, data.len())?;
        let mut changes = self.changes();
        let written = self.pages.write(data, place);
        for (number, page) in (first..).zip(data.chunks_exact(PAGE)) {
            let sum = match written {
                Ok(()) => sum_of(number, page),
                Err(_) => NONE, // nobody knows what is there
            };
            self.set(number, sum, &mut changes);
            if let Some(certain) = &mut changes.certain {
                certain.insert(number);
            }
        }
        written
    }

    fn set(&self, number: usize, sum: u32, changes: &mut Changes) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() <= number {
            known.resize(number + 1, NONE);
        }
        known[number] = sum;
        changes.groups.insert(number / GROUP);
    }

    fn known(&self) -> RwLockReadGuard<'_, Vec<u32>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What redb uses of the file: it reads and writes its header, and whole pages.
impl StorageBackend for CheckedFile {
    fn len(&self) -> io::Result<u64> {
        self.pages.length()
    }

    fn read(&self, place: u64, out: &mut [u8]) -> io::Result<()> {
        let read = match place {
            0 if out.len() <= HEADER => self.read_header(out),
            _ => whole_pages(place, out.len()).and_then(|first| self.read_pages(first, out)),
        };
        self.require_current()?; // after it: what was read may be of somebody who began meanwhile
        // What cannot be read is as lost as what changed.
        read.inspect_err(|error| self.damage.note(&error.to_string()))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.writing(|| self.set_length(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.writing(|| {
            let synced = self.sync_sums().and_then(|()| self.pages.sync());
            if synced.is_err() {
                self.changes().certain = Some(HashSet::new()); // the disk may have lost any of it
                let _ = self.sums.write(&UNSWEPT, 0); // it may be full
            }
            synced
        })
    }

    fn write(&self, place: u64, data: &[u8]) -> io::Result<()> {
        self.writing(|| self.write_pages(place, data))
    }

    fn close(&self) -> io::Result<()> {
        self.writing(|| self.sync_sums())
    }
}

fn ended() -> io::Error {
    io::Error::other("the database was opened again")
}

/// The file of the sums of a database file.
fn sums_path(path: &Path) -> PathBuf {
    path.with_extension("sums")
}

/// Makes the sums of a database file that has none, from its pages as they are. Killed on the way it leaves none.
/// `reached` is told how many of how many bytes are done.
pub(super) fn make_sums(path: &Path, mut reached: impl FnMut(u64, u64)) -> io::Result<()> {
    let file = open_private(path)?;
    let length = file.metadata()?.len();
    let (place, beside) = (sums_path(path), path.with_extension("sums.new"));
    let mut sums = BufWriter::new(open_emptied(&beside)?);
    sums.write_all(&MAGIC)?;
    let mut page = [0; PAGE];
    for number in 0..page_count(length) {
        let got = file.read_at(&mut page, offset(number))?;
        page[got..].fill(0);
        sums.write_all(&sum_of(number, &page).to_be_bytes())?;
        if number % GROUP == 0 {
            reached(offset(number), length);
        }
    }
    sums.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()?;
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0)?;
    file.write_all_at(&sealed(&header), 0)?;
    file.sync_data()?;
    disk::rename(&beside, &place)
}

/// A file of ours without what a killed run left in it.
fn open_emptied(path: &Path) -> io::Result<File> {
    let file = open_private(path)?;
    file.set_len(0)?;
    Ok(file)
}

/// Whether a database file has sums. An empty file of them says nothing.
pub(super) fn has_sums(path: &Path) -> bool {
    fs::metadata(sums_path(path)).is_ok_and(|metadata| metadata.len() > 0)
}

/// Moves a closed database file and its sums to where another is. Killed on the way it leaves one of the two there, the
/// new one perhaps without sums, which are made from it then.
pub(super) fn move_with_sums(from: &Path, to: &Path) -> io::Result<()> {
    disk::remove(&sums_path(to))?;
    disk::sync_name(&sums_path(to))?;
    disk::rename(from, to)?;
    disk::rename(&sums_path(from), &sums_path(to))
}

/// Ends a [move](move_with_sums) to `to` that was cut off between the file and its sums.
pub(super) fn finish_move(from: &Path, to: &Path) -> io::Result<()> {
    match has_sums(from) && !from.exists() && !has_sums(to) {
        true => disk::rename(&sums_path(from), &sums_path(to)),
        false => Ok(()),
    }
}

/// Removes a database file and its sums, as far as they are there.
pub(super) fn remove_with_sums(path: &Path) -> io::Result<()> {
    disk::remove(path)?;
    disk::remove(&sums_path(path))
}

/// The sums in their file, as many as there are pages at most, and whether they are all of pages as they are; writes its
/// beginning where it is new.
fn read_sums(file: &dyn Medium, length: u64) -> io::Result<(Vec<u32>, bool)> {
    let mut bytes = vec![0; file.length()? as usize];
    file.read(&mut bytes, 0)?;
    if bytes.is_empty() {
        file.write(&MAGIC, 0)?;
        return Ok((Vec::new(), true));
    }
    let (magic, sums) = bytes.split_at(MAGIC.len().min(bytes.len()));
    if magic != MAGIC && magic != UNSWEPT {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the sums of its pages are not what was written",
        ));
    }
    let (sums, _) = sums.as_chunks::<SUM>();
    let sums = sums.iter().map(|sum| u32::from_be_bytes(*sum));
    Ok((sums.take(page_count(length)).collect(), magic == MAGIC))
}

/// The number of the first of the whole pages at `place`.
fn whole_pages(place: u64, length: usize) -> io::Result<usize> {
    if !place.is_multiple_of(PAGE as u64) || !length.is_multiple_of(PAGE) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "only whole pages have sums",
        ));
    }
    Ok((place / PAGE as u64) as usize)
}

fn offset(number: usize) -> u64 {
    number as u64 * PAGE as u64
}

fn page_count(length: u64) -> usize {
    length.div_ceil(PAGE as u64) as usize
}

/// Never [`NONE`]. The number is part of it, so that a page in another's place does not fit.
fn sum_of(number: usize, page: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(&(number as u64).to_be_bytes());
    crc.update(page);
    crc.sum().max(1)
}

fn header_sum(header: &[u8]) -> [u8; SUM] {
    let mut crc = Crc::new();
    crc.update(&MAGIC);
    crc.update(header);
    crc.sum().to_be_bytes()
}

/// A header and its sum.
fn sealed(header: &[u8]) -> Vec<u8> {
    [header, &header_sum(header)].concat()
}
