//! Copies of zone files in other places, for the day on which no peer has one.
//!
//! What the archive stores is written to every backup behind it, each by a task of its own: nobody waits for a backup, and one
//! that is down is a warning and a line of the status. At the start all files of the archive are compared with the backup
//! once, slowly, so that what was stored while it was down gets there. A zone file is read from a backup when no peer has it. Whoever
//! can write there can change files, so every byte that is read is hashed.
//!
//! | file | holds |
//! |---|---|
//! | `config.rs` | a place as the configuration names it |
//! | `place.rs` | how it is written and read |

mod config;
mod place;

use std::collections::BTreeSet;
use std::future::pending;
use std::ops::Bound::{Excluded, Unbounded};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

pub use config::{BackupConfig, ParseBackupError};
pub use place::BackupError;
use place::{Place, PlaceError};

use crate::hash::ZonefileHash;
use crate::store::{Archive, ArchiveError, Lookup, Notice};
use crate::worker::Crew;

/// Most files that wait to be written; when there are more, all files of the archive are compared again.
const WAITING_MAX: usize = 10_000;
/// The pause after the first failure; it doubles.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// How long a backup that did not answer is not read.
const DOWN_FOR: Duration = Duration::from_secs(60);

/// How a backup is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BackupStatus {
    /// Where it is, without parameters.
    pub place: String,
    /// Zone files that were written there since the start.
    pub written: u64,
    /// Whether all zone files that were here at the start, and can be read, are known to be there or wait to be written.
    pub compared: bool,
    /// Zone files that wait to be written.
    pub waiting: u64,
    /// Zone files that were read from there since the start.
    pub read: u64,
    /// How often it failed since the start.
    pub failed: u64,
    /// Why it could not be written, or else read, the last time; `null` if that has worked since.
    pub problem: Option<String>,
}

/// The backups of the configuration.
pub struct Backups(Vec<Arc<Backup>>);

/// One of them.
struct Backup {
    place: Place,
    state: Mutex<State>,
    /// There is something to do.
    news: Notify,
}

struct State {
    status: BackupStatus,
    waiting: BTreeSet<ZonefileHash>,
    /// Whether all files of the archive are to be compared.
    all: bool,
    /// Whether they are to be compared again then, since more was to be written meanwhile than could wait.
    again: bool,
    /// Until when it is not read, since it did not answer.
    down_until: Option<Instant>,
    write_problem: Option<String>,
    read_problem: Option<String>,
}

/// How far the task of a backup is.
#[derive(Default)]
struct Progress {
    /// The files of the archive that are still to be compared, once they are listed.
    to_compare: Option<std::vec::IntoIter<ZonefileHash>>,
    /// The waiting file that was written, or failed, last: those behind it come next.
    last: Option<ZonefileHash>,
    /// Whether a file was written or compared since the last failure.
    has_worked: bool,
}

/// Why the backups do not say whether they have a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// One of them did not answer.
    Failed,
    /// One of them was not asked, since it did not answer of late.
    Skipped,
}

/// Why a file is not in a backup yet.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("{0}")]
    Place(#[from] PlaceError),
    #[error("{0}")]
    Archive(#[from] ArchiveError),
}

impl Backups {
    /// Opens backups. Nothing is written or read yet, so one that is down is no error; secrets that cannot be read are.
    pub fn open(configs: &[BackupConfig]) -> Result<Self, BackupError> {
        let open = |config: &BackupConfig| {
            let place = Place::open(config)?;
            Ok(Arc::new(Backup {
                state: Mutex::new(State {
                    status: BackupStatus {
                        place: config.to_string(),
                        ..BackupStatus::default()
                    },
                    waiting: BTreeSet::new(),
                    all: place.is_writable,
                    again: false,
                    down_until: None,
                    write_problem: None,
                    read_problem: None,
                }),
                place,
                news: Notify::new(),
            }))
        };
        configs.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Starts to write what the archive has and gets, with a task of `crew` for each backup. Must be called inside of a tokio
    /// runtime.
    pub fn start(&self, archive: &Arc<Archive>, crew: &mut Crew) {
        for backup in self.0.iter().filter(|backup| backup.place.is_writable) {
            let heard = Arc::clone(backup);
            archive.subscribe(move |notice| {
                if let Notice::Stored(hash) = notice {
                    heard.enlist(hash);
                }
            });
            let (backup, archive) = (Arc::clone(backup), Arc::clone(archive));
            crew.task("backup", async move { backup.run(archive).await });
        }
    }

    /// Asks one backup after the other for a zone file. Gives its bytes, which have the hash, and where they were; `None` if
    /// all say that they have no such file, or refuse it. Fails if nobody gave it and one that does not answer may have it.
    pub async fn fetch(
        &self,
        hash: &ZonefileHash,
    ) -> Result<Option<(Vec<u8>, String)>, Unanswered> {
        let mut unanswered = None;
        for backup in &self.0 {
            if backup.state().is_down() {
                unanswered = unanswered.or(Some(Unanswered::Skipped));
                continue;
            }
            let read = backup.place.read(hash).await;
            if read.as_ref().is_err_and(PlaceError::is_down) {
                unanswered = Some(Unanswered::Failed);
            }
            let mut state = backup.state();
            if let Some(bytes) = state.note_read(read) {
                return Ok(Some((bytes, state.status.place.clone())));
            }
        }
        unanswered.map_or(Ok(None), Err)
    }

    /// Whether none of them is asked for files now, since none answered of late.
    pub fn are_down(&self) -> bool {
        self.0.iter().all(|backup| backup.state().is_down())
    }

    /// How each of them is, in the order of the configuration.
    pub fn status(&self) -> Vec<BackupStatus> {
        let status = |backup: &Arc<Backup>| backup.state().status();
        self.0.iter().map(status).collect()
    }
}

impl Backup {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enlist(&self, hash: ZonefileHash) {
        let mut state = self.state();
        if state.waiting.len() >= WAITING_MAX {
            state.waiting.clear();
            state.again = state.all;
            state.all = true;
        } else {
            state.waiting.insert(hash);
        }
        drop(state);
        self.news.notify_one();
    }

    /// Writes what waits, for ever. It pauses after a failure, and for longer and longer while nothing else works.
    async fn run(&self, archive: Arc<Archive>) {
        let mut pause = PAUSE_MIN;
        let mut progress = Progress::default();
        loop {
            let done = self.write_waiting(&archive, &mut progress).await;
            if std::mem::take(&mut progress.has_worked) || done.is_ok() {
                pause = PAUSE_MIN;
            }
            match done {
                Ok(()) => self.news.notified().await,
                Err(error) => {
                    self.state().note_write_failure(&error.to_string());
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Writes what waits, one after the other, and compares all files first where that is due. A file that fails waits again,
    /// and the next call begins behind it: one that the place refuses keeps no other back.
    async fn write_waiting(
        &self,
        archive: &Arc<Archive>,
        progress: &mut Progress,
    ) -> Result<(), WriteError> {
        while self.is_to_compare() {
            self.compare_all(archive, progress).await?;
        }
        loop {
            let Some(hash) = self.state().take_behind(progress.last) else {
                return Ok(());
            };
            progress.last = Some(hash);
            self.write(archive, &hash, Known::New).await?;
            progress.has_worked = true;
        }
    }

    fn is_to_compare(&self) -> bool {
        self.state().all
    }

    /// Compares what the archive has, and after a failure what was not compared yet.
    async fn compare_all(
        &self,
        archive: &Arc<Archive>,
        progress: &mut Progress,
    ) -> Result<(), WriteError> {
        let mut to_compare = match progress.to_compare.take() {
            Some(rest) => rest,
            None => list(archive).await?.into_iter(),
        };
        while let Some(hash) = to_compare.next() {
            if let Err(error) = self.write(archive, &hash, Known::Perhaps).await {
                progress.to_compare = Some(to_compare);
                return Err(error.into());
            }
            progress.has_worked = true;
        }
        let mut state = self.state();
        state.all = std::mem::take(&mut state.again);
        Ok(())
    }

    /// Writes a file. One that cannot be read is left out; one that fails waits.
    async fn write(
        &self,
        archive: &Arc<Archive>,
        hash: &ZonefileHash,
        known: Known,
    ) -> Result<(), PlaceError> {
        let bytes = match read(archive, hash).await {
            Ok(Lookup::Found(bytes)) => bytes,
            Ok(_) => return Ok(()), // it is stored again when somebody has it
            Err(error) => {
                let place = self.state().status.place.clone();
                tracing::warn!("the backup {place} goes without a zone file: {error}");
                return Ok(());
            }
        };
        let is_written = self.place_file(hash, bytes, known).await;
        let mut state = self.state();
        match is_written {
            Ok(is_new) => {
                state.status.written += u64::from(is_new);
                state.note_write_success();
                Ok(())
            }
            Err(error) => {
                state.wait_again(*hash);
                Err(error)
            }
        }
    }

    /// Writes a file unless it is there; whether it was not.
    async fn place_file(
        &self,
        hash: &ZonefileHash,
        bytes: Vec<u8>,
        known: Known,
    ) -> Result<bool, PlaceError> {
        if known == Known::Perhaps && self.place.has(hash, bytes.len()).await? {
            return Ok(false);
        }
        self.place.write(hash, bytes).await?;
        Ok(true)
    }
}

/// The files of an archive, in order. Ends early when nobody waits for them any more.
async fn list(archive: &Arc<Archive>) -> Result<Vec<ZonefileHash>, ArchiveError> {
    let waits = Arc::new(());
    let (archive, waiting) = (Arc::clone(archive), Arc::downgrade(&waits));
    let listed = blocking(move || archive.list(|| waiting.strong_count() > 0)).await;
    drop(waits);
    listed
}

async fn read(archive: &Arc<Archive>, hash: &ZonefileHash) -> Result<Lookup, ArchiveError> {
    let (archive, hash) = (Arc::clone(archive), *hash);
    blocking(move || archive.get(&hash)).await
}

/// Does what waits for the disk, away from those who answer questions.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        Err(_) => pending().await, // the runtime ends
    }
}

/// Whether the place may have a file already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Perhaps,
    New,
}

impl State {
    fn status(&self) -> BackupStatus {
        BackupStatus {
            compared: !self.all,
            waiting: self.waiting.len() as u64,
            problem: self.write_problem.clone().or(self.read_problem.clone()),
            ..self.status.clone()
        }
    }

    /// Takes out the first waiting file behind one, or the first of all. What is stored again while it is written is written
    /// again.
    fn take_behind(&mut self, last: Option<ZonefileHash>) -> Option<ZonefileHash> {
        let behind = last.and_then(|last| self.waiting.range((Excluded(last), Unbounded)).next());
        let hash = behind.or(self.waiting.first()).copied()?;
        self.waiting.remove(&hash);
        Some(hash)
    }

    /// A file was not written. If too many wait, all are compared again after this time.
    fn wait_again(&mut self, hash: ZonefileHash) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.insert(hash);
        } else {
            self.again = self.all;
            self.all = true;
        }
    }

    fn is_down(&self) -> bool {
        self.down_until.is_some_and(|until| Instant::now() < until)
    }

    /// Notes how a look for a file ended; what came.
    fn note_read(&mut self, read: Result<Option<Vec<u8>>, PlaceError>) -> Option<Vec<u8>> {
        match read {
            Ok(found) => {
                self.status.read += u64::from(found.is_some());
                if self.read_problem.take().is_some() {
                    tracing::info!("the backup {} can be read again", self.status.place);
                }
                found
            }
            Err(problem) => {
                self.status.failed += 1;
                if problem.is_down() {
                    self.down_until = Some(Instant::now() + DOWN_FOR);
                }
                let problem = problem.to_string();
                if self.read_problem.is_none() {
                    let place = &self.status.place;
                    tracing::warn!("the backup {place} fails to give a zone file: {problem}");
                }
                self.read_problem = Some(problem);
                None
            }
        }
    }

    /// Says it in the log if it worked before.
    fn note_write_failure(&mut self, problem: &str) {
        self.status.failed += 1;
        let place = &self.status.place;
        if self.write_problem.is_none() {
            tracing::warn!(
                "the backup {place} fails ({problem}): zone files wait for it, and nothing else does"
            );
        }
        self.write_problem = Some(problem.to_owned());
    }

    fn note_write_success(&mut self) {
        if self.write_problem.take().is_some() {
            tracing::info!("the backup {} works again", self.status.place);
        }
    }
}
