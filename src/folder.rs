//! Watched folders: a zone file that lies there is served as soon as the chain announces its hash.
//!
//! Every file of a folder is read once and again when it changes. If the chain has announced its hash, it goes into
//! the archive; if not, it waits, and [`Folders::waiting`] lists it. When the archive's own file is missing or changed,
//! the file is archived again. Nothing in a folder is ever written or removed. Other folders can be watched at any time; what
//! was archived stays.
//!
//! Files come from strangers: only the bytes and their hash count, not the file's name. What is no regular file, is empty or
//! too large is not even opened, and a link counts as what it leads to. Nobody waits for a folder: all of it is done on a
//! thread of its own, which the system may hold for as long as it likes, for example where a disk is on a network that is gone.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::hash::ZonefileHash;
use crate::store::{Archive, ArchiveError, IndexedBlock, Notice, Store, StoreError, StoreSnapshot};
use crate::worker::Crew;
use crate::zonefile::ZONEFILE_MAX;

/// Editors write a file in several steps; changes this close together are looked at once.
const SETTLE: Duration = Duration::from_millis(50);
/// A folder that the system does not show in this time is waited for on the thread alone.
const PROMPT: Duration = Duration::from_millis(50);
/// Most files of all folders; more are passed over and said so.
const FILES_MAX: usize = 100_000;

/// Why folders cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder is not there or cannot be read.
    #[error("cannot watch the zone file folder {}: {reason}; create it or correct `zonefiles.folders`", path.display())]
    Watch {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// No folder can be watched.
    #[error(
        "cannot watch zone file folders: {0}; raise the system's limits (on Linux fs.inotify.max_user_instances) or leave `zonefiles.folders` out"
    )]
    Watcher(String),
}

/// A file that waits for its hash to be announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The file.
    pub path: PathBuf,
    /// Hash of its bytes.
    pub hash: ZonefileHash,
}

/// What a turn can fail at.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// News for the thread that looks after the folders.
enum News {
    Files,
    Commit,
    /// The archive lacks a file that it should have.
    Unsound,
    /// Other folders are to be watched.
    Folders(Vec<PathBuf>, Began),
    Stop,
}

/// Is told whether folders can be watched.
type Began = Sender<Result<(), FolderError>>;

/// The folders and what lies in them.
pub struct Folders {
    news: Sender<News>,
    files: Arc<Mutex<Files>>,
    stop: Arc<AtomicBool>,
}

type Files = HashMap<PathBuf, Seen>;

/// What is known of a file.
#[derive(Debug, Clone)]
struct Seen {
    modified: Option<SystemTime>,
    length: u64,
    hash: ZonefileHash,
    archived: bool,
    /// Whether all announcements up to [`Keeper::asked`] are known to be of other hashes, unless it is archived.
    asked: bool,
}

impl Folders {
    /// Begins to watch `folders` with a thread of `crew`, which ends when this is dropped. What lies there already is
    /// looked at by that thread. A folder that cannot be watched is an error if the system says so at once, and in the log
    /// otherwise.
    pub fn watch(
        folders: &[PathBuf],
        store: &Arc<Store>,
        archive: &Arc<Archive>,
        crew: &mut Crew,
    ) -> Result<Self, FolderError> {
        let (news, inbox) = channel();
        let files = Arc::new(Mutex::new(Files::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let keeper = Keeper {
            folders: Vec::new(),
            watcher: None,
            store: Arc::clone(store),
            archive: Arc::clone(archive),
            files: Arc::clone(&files),
            stop: Arc::clone(&stop),
            asked: None,
        };
        subscribe(store, archive, &news);
        let sender = news.clone();
        let work = move || keeper.run(&sender, &inbox);
        crew.loose_thread("folders", work)
            .map_err(|error| FolderError::Watcher(error.to_string()))?;
        let watching = Self { news, files, stop };
        watching.set(folders)?; // on an error the thread ends
        Ok(watching)
    }

    /// Watches `folders` in the place of those before. If one cannot be watched, which is an error if the system says so at
    /// once, and in the log otherwise, those before stay.
    pub fn set(&self, folders: &[PathBuf]) -> Result<(), FolderError> {
        let (began, begins) = channel();
        let _ = self.news.send(News::Folders(folders.to_vec(), began)); // a thread that is gone has said so
        let begun = begins.recv_timeout(PROMPT);
        begun.unwrap_or(Ok(())) // the thread goes on with it
    }

    /// Tells the thread to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.news.send(News::Stop); // a thread that is gone has nothing to end
    }

    /// The files whose hash the chain has not announced, by path.
    pub fn waiting(&self) -> Vec<Waiting> {
        let files = lock(&self.files);
        let waiting = files.iter().filter(|(_, seen)| !seen.archived);
        let mut waiting: Vec<Waiting> = waiting
            .map(|(path, seen)| Waiting {
                path: path.clone(),
                hash: seen.hash,
            })
            .collect();
        waiting.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        waiting
    }

    /// A file whose bytes have this hash.
    pub fn path_of(&self, hash: &ZonefileHash) -> Option<PathBuf> {
        let files = lock(&self.files);
        files
            .iter()
            .filter(|(_, seen)| seen.hash == *hash)
            .map(|(path, _)| path.clone())
            .min()
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The thread's side.
struct Keeper {
    folders: Vec<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    store: Arc<Store>,
    archive: Arc<Archive>,
    files: Arc<Mutex<Files>>,
    stop: Arc<AtomicBool>,
    asked: Option<Asked>,
}

/// How far announcements were compared with the files that wait.
#[derive(Clone, Copy)]
struct Asked {
    tip: IndexedBlock,
    announcements: u32,
}

impl Keeper {
    /// Works until it is told to stop.
    fn run(mut self, sender: &Sender<News>, inbox: &Receiver<News>) {
        while let Ok(news) = inbox.recv() {
            let mut news = self.heed(news, sender);
            let end = Instant::now() + SETTLE;
            while !matches!(news, News::Stop)
                && let Ok(next) = inbox.recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                let next = self.heed(next, sender);
                // News of changed files stand for all other news: the whole turn is made then.
                if !matches!(news, News::Files) || matches!(next, News::Stop) {
                    news = next;
                }
            }
            if self.is_stopped() {
                return;
            }
            self.turn(&news);
        }
    }

    /// Watches other folders at once where that is the news, since somebody waits; their files are looked at then.
    fn heed(&mut self, news: News, sender: &Sender<News>) -> News {
        let News::Folders(folders, began) = news else {
            return news;
        };
        let told = self.watch(folders, sender);
        if let Err(Err(error)) = began.send(told).map_err(|unsent| unsent.0) {
            tracing::warn!("{error}"); // nobody waits for it any more
        }
        News::Files
    }

    /// Watches these folders, with the watcher that there is: systems give each user few of them. Those before stay if one
    /// cannot be watched.
    fn watch(&mut self, folders: Vec<PathBuf>, sender: &Sender<News>) -> Result<(), FolderError> {
        if self.watcher.is_none() && !folders.is_empty() {
            self.watcher = Some(report_to(sender)?);
        }
        let Some(watcher) = &mut self.watcher else {
            return Ok(()); // there is none, and there was none
        };
        let is_in = |list: &[PathBuf], folder: &PathBuf| list.contains(folder);
        let new: Vec<&PathBuf> = folders
            .iter()
            .filter(|folder| !is_in(&self.folders, folder))
            .collect();
        for (count, folder) in new.iter().enumerate() {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                for added in &new[..count] {
                    let _ = watcher.unwatch(added); // it would only be heard of
                }
                return Err(failed(folder, &reason(&error)));
            }
        }
        for folder in self.folders.iter().filter(|it| !is_in(&folders, it)) {
            let _ = watcher.unwatch(folder); // it may be gone
        }
        self.folders = folders;
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Reads the files if they changed, then archives those whose hash is announced.
    fn turn(&mut self, news: &News) {
        if matches!(news, News::Files) {
            self.scan();
        }
        if let Err(error) = self.hand_over() {
            self.asked = None; // ask for all again
            tracing::warn!("zone files of the watched folders wait: {error}");
        }
    }

    fn scan(&self) {
        let mut found = Files::new();
        let known = lock(&self.files).clone();
        for path in self.folders.iter().flat_map(|folder| list(folder)) {
            if self.is_stopped() {
                return;
            }
            if found.len() >= FILES_MAX {
                tracing::warn!(
                    "more than {FILES_MAX} zone files in watched folders, the rest is passed over"
                );
                break;
            }
            if let Some(seen) = look(&path, known.get(&path)) {
                found.insert(path, seen);
            }
        }
        *lock(&self.files) = found;
    }

    fn hand_over(&mut self) -> Result<(), TurnError> {
        let unsound = self.archive.unsound();
        for seen in lock(&self.files).values_mut() {
            if seen.archived && unsound.contains(&seen.hash) {
                (seen.archived, seen.asked) = (false, false);
            }
        }
        let snapshot = self.store.snapshot();
        let announced = self.announced_since(&snapshot)?;
        let waiting: Vec<(PathBuf, Seen)> = lock(&self.files)
            .iter()
            .filter(|(_, seen)| !seen.archived)
            .map(|(path, seen)| (path.clone(), seen.clone()))
            .collect();
        for (path, seen) in waiting {
            if self.is_stopped() {
                return Ok(());
            }
            let is_announced = match seen.asked {
                true => announced.contains(&seen.hash),
                false => snapshot.is_announced(&seen.hash)?,
            };
            // Read again: what is archived is what its hash was checked against.
            match is_announced.then(|| read(&path)) {
                Some(Ok(Some(bytes))) if ZonefileHash::of(&bytes) == seen.hash => {
                    self.put(&path, &bytes)?;
                }
                Some(_) => self.note_asked(&path, false), // it changed, or cannot be read now
                None => self.note_asked(&path, true),
            }
        }
        Ok(())
    }

    /// The hashes that were announced since the last time. After a reorganisation, and if it is not known, all files
    /// have to be asked for one by one.
    fn announced_since(
        &mut self,
        snapshot: &StoreSnapshot,
    ) -> Result<HashSet<ZonefileHash>, TurnError> {
        let all = snapshot.counts()?.announcements as u32; // numbered from 1, without gaps
        let before = match self.asked.take() {
            Some(asked) if snapshot.block(asked.tip.height)? == Some(asked.tip) => asked,
            _ => {
                let mut files = lock(&self.files);
                files.values_mut().for_each(|seen| seen.asked = false);
                self.asked = snapshot.tip().map(|tip| Asked {
                    tip,
                    announcements: all,
                });
                return Ok(HashSet::new());
            }
        };
        let mut hashes = HashSet::new();
        for index in before.announcements.saturating_add(1)..=all {
            let announcement = snapshot.announcement(index)?;
            hashes.extend(announcement.map(|announcement| announcement.hash));
        }
        self.asked = snapshot.tip().map(|tip| Asked {
            tip,
            announcements: all,
        });
        Ok(hashes)
    }

    fn note_asked(&self, path: &Path, asked: bool) {
        if let Some(seen) = lock(&self.files).get_mut(path) {
            seen.asked = asked;
        }
    }

    /// Archives the bytes of a file.
    fn put(&self, path: &Path, bytes: &[u8]) -> Result<(), TurnError> {
        let hash = self.archive.put(bytes)?;
        if let Some(seen) = lock(&self.files).get_mut(path) {
            seen.archived = true;
        }
        tracing::debug!(file = %path.display(), %hash, "archived an announced zone file");
        Ok(())
    }
}

/// The paths in a folder.
fn list(folder: &Path) -> Vec<PathBuf> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(_) => {
            tracing::warn!(folder = %folder.display(), "a watched folder cannot be read");
            Vec::new()
        }
    }
}

/// Size, time of change and hash of a file, read only if it changed; `None` if it is empty, too large or no file.
fn look(path: &Path, known: Option<&Seen>) -> Option<Seen> {
    let metadata = fs::metadata(path).ok().filter(may_be_zonefile)?;
    let (modified, length) = (metadata.modified().ok(), metadata.len());
    if let Some(seen) = known.filter(|seen| seen.modified == modified && seen.length == length) {
        return Some(seen.clone());
    }
    let bytes = read(path).ok()??;
    Some(Seen {
        modified,
        length,
        hash: ZonefileHash::of(&bytes),
        archived: false,
        asked: false,
    })
}

/// Devices, pipes and the files that the kernel makes up (they have no size) are not opened: some wait for ever, and some
/// do something when they are.
fn may_be_zonefile(metadata: &Metadata) -> bool {
    metadata.is_file() && (1..=ZONEFILE_MAX as u64).contains(&metadata.len())
}

/// The bytes of a file that is neither empty nor too large. Never waits for somebody to write: what is at the path may be
/// another thing than when it was looked at.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if !may_be_zonefile(&file.metadata()?) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(ZONEFILE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok((!bytes.is_empty() && bytes.len() <= ZONEFILE_MAX).then_some(bytes))
}

/// Has the system report what changes in folders that [`Keeper::watch`] names.
fn report_to(news: &Sender<News>) -> Result<RecommendedWatcher, FolderError> {
    let news = news.clone();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a file is an event too, and would make us read it for ever.
        if event.map_or(true, |event| !event.kind.is_access()) {
            let _ = news.send(News::Files); // the thread is gone when the daemon stops
        }
    });
    watcher.map_err(|error| FolderError::Watcher(error.to_string()))
}

/// Has database and archive report what may have become possible or necessary.
fn subscribe(store: &Store, archive: &Archive, news: &Sender<News>) {
    let on_commit = news.clone();
    store.subscribe(move |_| {
        let _ = on_commit.send(News::Commit); // as above
    });
    let on_notice = news.clone();
    archive.subscribe(move |notice| {
        if matches!(notice, Notice::Unsound(_)) {
            let _ = on_notice.send(News::Unsound); // as above
        }
    });
}

fn failed(path: &Path, reason: &str) -> FolderError {
    FolderError::Watch {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

fn reason(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::PathNotFound => "there is no such folder".to_owned(),
        notify::ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    }
}

fn lock(files: &Mutex<Files>) -> MutexGuard<'_, Files> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}
