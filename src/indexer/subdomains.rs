//! Announced zone files become records of subdomains: one row after the other, as soon as their files are here.
//!
//! A commit brings new rows, and a reorganisation other ones; a file that is stored brings the row that waited for it. Each
//! row is read by itself, so that the order in which files arrive plays no part. The zone files of subdomains go into the
//! archive beside all others; one that is gone is taken from its carrier again.
//!
//! The index can be stopped, killed and deleted at any time: it goes on where its rows end.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::bns::Params;
use crate::bns::name::Name;
use crate::bns::subdomain::{self, Placed, Record};
use crate::hash::ZonefileHash;
use crate::store::{
    Announcement, Archive, ArchiveError, IndexedRow, Lookup, Notice, RowContent, RowMark, Store,
    StoreError, StoreSnapshot, Subdomains,
};

/// Longest wait for news; it also bounds how long a stop takes.
const PATIENCE: Duration = Duration::from_millis(250);
/// Pause after a failure.
const BACKOFF: Duration = Duration::from_secs(5);
/// Time between two looks at all rows that wait, which finds what nobody told of.
const LOOK: Duration = Duration::from_secs(600);
/// The same while a file could not be read.
const LOOK_UNREADABLE: Duration = Duration::from_secs(60);
/// Rows of one transaction; fewer if they have more records than [`RECORDS`].
const ROWS: usize = 256;
/// Records from which on a transaction ends.
const RECORDS: usize = 2_000;
/// Files that are remembered until somebody looks; with more, all rows that wait are looked at.
const NEWS_MAX: usize = 10_000;

/// Is told the names below which something may have changed.
type Tell = Box<dyn Fn(&[Name]) + Send>;

/// Reads the records of subdomains out of announced zone files.
pub struct SubdomainIndexer {
    store: Arc<Store>,
    archive: Arc<Archive>,
    subdomains: Arc<Subdomains>,
    params: Arc<Params>,
    news: Arc<Inbox>,
    tell: Tell,
    /// Rows below this one are too old to carry subdomains.
    first_row: u32,
    /// Files that could not be read, which was said in the log; at most [`NEWS_MAX`].
    unreadable: RefCell<HashSet<ZonefileHash>>,
}

/// Why something could not be read. It is tried again.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

#[derive(Default)]
struct Inbox {
    news: Mutex<News>,
    arrived: Condvar,
}

/// What happened since somebody looked.
#[derive(Default)]
struct News {
    committed: bool,
    /// Files that are here now.
    stored: HashSet<ZonefileHash>,
    /// Files that somebody misses.
    missed: HashSet<ZonefileHash>,
    /// More files than are remembered.
    all: bool,
}

impl SubdomainIndexer {
    /// An indexer from the rows of `store` and the files of `archive` to `subdomains`; `tell` hears of what changes, and of no
    /// name when the index has become whole, so that anything may have.
    pub fn new(
        store: Arc<Store>,
        archive: Arc<Archive>,
        subdomains: Arc<Subdomains>,
        params: Arc<Params>,
        tell: impl Fn(&[Name]) + Send + 'static,
    ) -> Self {
        let news = Arc::new(Inbox::default());
        // What happened while nobody ran is looked at first.
        news.add(|news| (news.committed, news.all) = (true, true));
        let inbox = Arc::downgrade(&news);
        store.subscribe(move |_| {
            if let Some(inbox) = inbox.upgrade() {
                inbox.add(|news| news.committed = true);
            }
        });
        let inbox = Arc::downgrade(&news);
        archive.subscribe(move |notice| {
            if let Some(inbox) = inbox.upgrade() {
                inbox.add(|news| news.note(notice));
            }
        });
        Self {
            store,
            archive,
            subdomains,
            params,
            news,
            tell: Box::new(tell),
            first_row: 1,
            unreadable: RefCell::default(),
        }
    }

    /// Reads until `stop` is set. What fails is said in the log and tried again.
    pub fn run(mut self, stop: &AtomicBool) {
        let go_on = || !stop.load(Ordering::Relaxed);
        let mut said = String::new();
        let mut looked = Instant::now();
        while go_on() {
            let mut news = self.news.wait();
            news.committed |= !self.subdomains.is_caught_up();
            news.all |= looked.elapsed() >= self.pause();
            if news.all {
                looked = Instant::now();
            }
            if let Err(error) = self.turn(&news, &go_on) {
                let reason = error.to_string();
                if reason != said {
                    tracing::warn!("subdomains are not read, which is tried again: {reason}");
                    said = reason;
                }
                // Whatever was not looked at is among all rows.
                self.news
                    .add(|news| (news.committed, news.all) = (true, true));
                self.news.rest(BACKOFF, &go_on);
            } else {
                said.clear();
            }
        }
    }

    fn turn(&mut self, news: &News, go_on: &impl Fn() -> bool) -> Result<(), Failure> {
        let renewals = self.subdomains.renewals();
        let mut is_behind = news.committed;
        while is_behind && go_on() {
            is_behind = self.follow()?;
            if !is_behind && self.subdomains.note_caught_up(renewals) {
                (self.tell)(&[]);
            }
        }
        if news.all {
            self.look_at_waiting(go_on)?;
        } else {
            self.look_at(&news.stored, go_on)?;
        }
        news.missed.iter().try_for_each(|hash| self.restore(hash))
    }

    /// Goes on at the first row that the chain has and the index has not. Gives whether there may be more.
    fn follow(&mut self) -> Result<bool, Failure> {
        let snapshot = self.store.snapshot();
        let mut next = self.first_row;
        let mut last = self.subdomains.last_row()?;
        let mut is_forked = false;
        while let Some(mark) = last {
            let row = mark.announcement.inventory_index;
            if mark_of(&snapshot, row)?.as_ref() == Some(&mark) {
                next = row + 1;
                break;
            }
            (is_forked, next) = (true, row);
            last = self.subdomains.row(row.saturating_sub(1))?;
        }
        if is_forked {
            let changed = self.subdomains.forget_from(next)?;
            self.tell(&changed);
        }
        let announced = snapshot.announced_from(next, ROWS)?;
        let is_full = announced.len() == ROWS;
        let first = self.params.first_subdomain_block;
        let old = announced
            .iter()
            .take_while(|row| row.height < first)
            .count();
        if let Some(last) = announced[..old].last() {
            self.first_row = last.inventory_index + 1;
        }
        let taken = self.read(&snapshot, &announced[old..])?;
        Ok(taken + old > 0 && (is_full || taken + old < announced.len()))
    }

    /// Reads the files of rows and notes what they hold. Gives how many rows it took: not all where they hold a lot.
    fn read(&self, snapshot: &StoreSnapshot, announced: &[Announcement]) -> Result<usize, Failure> {
        let (mut rows, mut files, mut records, mut taken) = (Vec::new(), Vec::new(), 0, 0);
        for announcement in announced {
            let Some(block) = snapshot.block(announcement.height)? else {
                break; // a row without its block is damage, which the store has noted
            };
            taken += 1;
            let content = match self.content(announcement, &mut files) {
                Err(Failure::Archive(error)) => {
                    self.note_unreadable(announcement, &error);
                    if self.subdomains.row(announcement.inventory_index)?.is_some() {
                        continue; // what is known of it stays
                    }
                    None
                }
                content => content?,
            };
            records += content.as_ref().map_or(0, |content| content.records.len());
            rows.push(IndexedRow {
                mark: RowMark {
                    announcement: announcement.clone(),
                    block: block.hash,
                },
                content,
            });
            if records >= RECORDS {
                break;
            }
        }
        if !rows.is_empty() {
            self.archive.put_many(&files)?;
            let changed = self.subdomains.note(&rows)?;
            self.tell(&changed);
        }
        Ok(taken)
    }

    /// Says once that a file cannot be read. Its row waits for the next look at all rows.
    fn note_unreadable(&self, announcement: &Announcement, error: &ArchiveError) {
        let mut unreadable = self.unreadable.borrow_mut();
        if unreadable.len() < NEWS_MAX && unreadable.insert(announcement.hash) {
            let name = &announcement.name;
            tracing::warn!(
                "subdomains in a zone file of {name} are not known until it can be read: {error}"
            );
        }
    }

    /// How long the rows that wait are left alone.
    fn pause(&self) -> Duration {
        match self.unreadable.borrow().is_empty() {
            true => LOOK,
            false => LOOK_UNREADABLE,
        }
    }

    /// What the zone file of a row holds; `None` if it is not here. The zone files in it go to `files`.
    fn content(
        &self,
        announcement: &Announcement,
        files: &mut Vec<Vec<u8>>,
    ) -> Result<Option<RowContent>, Failure> {
        let Some(carried) = self.carried(announcement)? else {
            return Ok(None);
        };
        let records = carried.records.into_iter().enumerate();
        let records = records.map(|(offset, record)| {
            let placed = self.place(announcement, offset as u32, &record);
            files.extend(Some(record.zonefile).filter(|file| !file.is_empty()));
            (record.subdomain, placed)
        });
        Ok(Some(RowContent {
            records: records.collect(),
            missing: carried.missing,
        }))
    }

    /// What the zone file of a row says about subdomains; `None` if it is not here, nothing if it is no carrier's.
    fn carried(&self, announcement: &Announcement) -> Result<Option<subdomain::Carried>, Failure> {
        let hash = &announcement.hash;
        // Nobody is told that a file is missed: the reader of its name asks for it.
        if !self.archive.contains(hash)? {
            return Ok(None);
        }
        let Lookup::Found(bytes) = self.archive.get(hash)? else {
            return Ok(None);
        };
        self.unreadable.borrow_mut().remove(hash);
        let carried = subdomain::read(&announcement.name, &bytes, self.params.addresses);
        Ok(Some(carried.unwrap_or_default()))
    }

    fn place(&self, announcement: &Announcement, offset: u32, record: &Record) -> Placed {
        // The first record needs no signature.
        let signer = match record.sequence {
            0 => None,
            _ => record.signer(self.params.addresses),
        };
        Placed {
            row: announcement.inventory_index,
            offset,
            height: announcement.height,
            txid: announcement.txid,
            carrier: announcement.name.clone(),
            sequence: record.sequence,
            owner: record.owner,
            signer,
            zonefile: ZonefileHash::of(&record.zonefile),
        }
    }

    /// Reads the files of all rows that wait, where they are here.
    fn look_at_waiting(&self, go_on: &impl Fn() -> bool) -> Result<(), Failure> {
        let mut after = 0;
        loop {
            let waiting = self.subdomains.waiting(after)?;
            let Some(last) = waiting.last().filter(|_| go_on()) else {
                return Ok(());
            };
            after = *last;
            self.look_again(&waiting, go_on)?;
        }
    }

    /// Reads files that are here now, of rows that the index has.
    fn look_at(
        &self,
        stored: &HashSet<ZonefileHash>,
        go_on: &impl Fn() -> bool,
    ) -> Result<(), Failure> {
        let snapshot = self.store.snapshot();
        let mut rows = BTreeSet::new();
        for hash in stored {
            for announcement in snapshot.announcements(hash)? {
                rows.insert(announcement.inventory_index);
            }
        }
        self.look_again(&rows.into_iter().collect::<Vec<_>>(), go_on)
    }

    fn look_again(&self, rows: &[u32], go_on: &impl Fn() -> bool) -> Result<(), Failure> {
        let snapshot = self.store.snapshot();
        let mut announced = Vec::new();
        for row in rows {
            // A row that is not known yet, or that changed, comes with the next commit.
            let known = self.subdomains.row(*row)?;
            let mark = mark_of(&snapshot, *row)?.filter(|mark| known.as_ref() == Some(mark));
            if let Some(RowMark { announcement, .. }) = mark
                && self.is_here(&announcement)
            {
                announced.push(announcement);
            }
        }
        let mut rest = announced.as_slice();
        while !rest.is_empty() && go_on() {
            let taken = self.read(&snapshot, &rest[..ROWS.min(rest.len())])?;
            rest = &rest[taken.max(1)..];
        }
        Ok(())
    }

    fn is_here(&self, announcement: &Announcement) -> bool {
        let is_here = self.archive.contains(&announcement.hash);
        is_here.unwrap_or_else(|error| {
            self.note_unreadable(announcement, &error);
            false
        })
    }

    /// Stores the zone file of a subdomain again, if a carrier that is here has it.
    fn restore(&self, hash: &ZonefileHash) -> Result<(), Failure> {
        for row in self.subdomains.rows_with_file(hash)? {
            let Some(mark) = self.subdomains.row(row)? else {
                continue;
            };
            let carried = match self.carried(&mark.announcement) {
                Err(Failure::Archive(error)) => {
                    self.note_unreadable(&mark.announcement, &error);
                    continue;
                }
                carried => carried?.unwrap_or_default(),
            };
            let files = carried.records.into_iter().map(|record| record.zonefile);
            let mut files = files.filter(|file| ZonefileHash::of(file) == *hash);
            if let Some(file) = files.next() {
                self.archive.put(&file)?;
                return Ok(());
            }
        }
        Ok(())
    }

    fn tell(&self, changed: &BTreeSet<Name>) {
        let changed: Vec<Name> = changed.iter().cloned().collect();
        if !changed.is_empty() {
            (self.tell)(&changed);
        }
    }
}

impl Inbox {
    fn add(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.lock());
        self.arrived.notify_one();
    }

    /// Takes what happened; waits a while for something to happen.
    fn wait(&self) -> News {
        let waited = self
            .arrived
            .wait_timeout_while(self.lock(), PATIENCE, |news| news.is_none());
        let (mut news, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *news)
    }

    /// Waits, whatever happens.
    fn rest(&self, time: Duration, go_on: &impl Fn() -> bool) {
        let mut rest = time;
        while !rest.is_zero() && go_on() {
            let pause = rest.min(PATIENCE);
            std::thread::sleep(pause);
            rest -= pause;
        }
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl News {
    fn note(&mut self, notice: Notice) {
        match notice {
            Notice::Stored(hash) if self.stored.len() < NEWS_MAX => {
                self.stored.insert(hash);
            }
            Notice::Stored(_) => self.all = true,
            // What is not remembered is asked for again.
            Notice::Unsound(hash) | Notice::Asked(hash) if self.missed.len() < NEWS_MAX => {
                self.missed.insert(hash);
            }
            Notice::Unsound(_) | Notice::Asked(_) => {}
        }
    }

    fn is_none(&self) -> bool {
        !self.committed && !self.all && self.stored.is_empty() && self.missed.is_empty()
    }
}

/// A row of the chain.
fn mark_of(snapshot: &StoreSnapshot, row: u32) -> Result<Option<RowMark>, Failure> {
    let Some(announcement) = snapshot.announcement(row)? else {
        return Ok(None);
    };
    let block = snapshot.block(announcement.height)?;
    Ok(block.map(|block| RowMark {
        block: block.hash,
        announcement,
    }))
}
