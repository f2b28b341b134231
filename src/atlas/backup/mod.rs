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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::sleep;

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

/// How a backup is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BackupStatus {
    /// Where it is, without parameters.
    pub place: String,
    /// Zone files that were written there since the start.
    pub written: u64,
    /// Whether all zone files that were here at the start are known to be there.
    pub compared: bool,
    /// Zone files that wait to be written.
    pub waiting: u64,
    /// Zone files that were read from there since the start.
    pub read: u64,
    /// How often it failed since the start.
    pub failed: u64,
    /// Why it failed last; `null` if it has worked since.
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
    /// Whether all files of the archive are to be compared, those behind the one that was compared last.
    all: bool,
    compared: Option<ZonefileHash>,
    /// Whether they are to be compared again then, since more was to be written meanwhile than could wait.
    again: bool,
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
                    compared: None,
                    again: false,
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
            crew.task("backup", async move { backup.run(&archive).await });
        }
    }

    /// Asks one backup after the other for a zone file. Gives its bytes, which have the hash, and where they were.
    pub async fn fetch(&self, hash: &ZonefileHash) -> Option<(Vec<u8>, String)> {
        for backup in &self.0 {
            let read = backup.place.read(hash).await;
            let mut state = backup.state();
            match read {
                Ok(Some(bytes)) => {
                    state.status.read += 1;
                    return Some((bytes, state.status.place.clone()));
                }
                Ok(None) => {}
                Err(error) => state.note_failure(&error.to_string()),
            }
        }
        None
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

    /// Writes what waits, for ever. After a failure it waits for longer and longer.
    async fn run(&self, archive: &Archive) {
        let mut pause = PAUSE_MIN;
        loop {
            let done = self.write_waiting(archive).await;
            match done {
                Ok(()) => {
                    pause = PAUSE_MIN;
                    self.news.notified().await;
                }
                Err(error) => {
                    self.state().note_failure(&error.to_string());
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Writes what waits, one after the other, and compares all files first where that is due.
    async fn write_waiting(&self, archive: &Archive) -> Result<(), WriteError> {
        let is_due = self.state().all;
        if is_due {
            self.compare_all(archive).await?;
        }
        loop {
            let Some(hash) = self.state().waiting.first().copied() else {
                return Ok(());
            };
            // What is stored again while it is written is written again.
            self.state().waiting.remove(&hash);
            if let Err(error) = self.write(archive, &hash, Known::New).await {
                self.state().waiting.insert(hash);
                return Err(error);
            }
        }
    }

    /// Goes on where the last attempt failed.
    async fn compare_all(&self, archive: &Archive) -> Result<(), WriteError> {
        let compared = self.state().compared;
        for hash in archive.list(|| true)? {
            if compared.is_none_or(|compared| hash > compared) {
                self.write(archive, &hash, Known::Perhaps).await?;
                self.state().compared = Some(hash);
            }
        }
        let mut state = self.state();
        state.all = std::mem::take(&mut state.again);
        state.compared = None;
        Ok(())
    }

    async fn write(
        &self,
        archive: &Archive,
        hash: &ZonefileHash,
        known: Known,
    ) -> Result<(), WriteError> {
        let Lookup::Found(bytes) = archive.get(hash)? else {
            return Ok(()); // it is stored again when somebody has it
        };
        if known == Known::Perhaps && self.place.has(hash, bytes.len()).await? {
            self.state().note_success();
            return Ok(());
        }
        self.place.write(hash, bytes).await?;
        let mut state = self.state();
        state.status.written += 1;
        state.note_success();
        Ok(())
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
            ..self.status.clone()
        }
    }

    /// Says it in the log if it worked before.
    fn note_failure(&mut self, problem: &str) {
        self.status.failed += 1;
        let place = &self.status.place;
        if self.status.problem.is_none() {
            tracing::warn!(
                "the backup {place} fails ({problem}): zone files wait for it, and nothing else does"
            );
        }
        self.status.problem = Some(problem.to_owned());
    }

    fn note_success(&mut self) {
        if self.status.problem.take().is_some() {
            tracing::info!("the backup {} works again", self.status.place);
        }
    }
}
