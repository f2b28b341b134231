//! A new configuration for a running daemon: by SIGHUP, by `bnsd reload`, or because the file changed.
//!
//! ```text
//! read all layers -> prepare what can fail -> put in force part by part -> forget kept replies
//!        \--------------------\--> an error: nothing was changed, it is logged and stays in the status
//! ```
//!
//! The layers are those of the start: the file, the environment and the flags that the daemon was started with. Which keys
//! are obeyed without a restart, the table of keys says ([`Effect`]); all others are named until there is one. No query is
//! lost. Policy and ways of forwarding are one value, to which a question keeps; whoever asks after the reply to a reload is
//! answered by the new settings alone.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::bail;
use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::sandbox;
use crate::api::reload::{ChangedKey, ReloadReply};
use crate::clock::{Clock as _, SystemClock};
use crate::config::key::Effect;
use crate::config::{Change, Config, FileChoice, Origin, Sources};
use crate::log::Log;

/// How often the file is looked at where no notice of changes is to be had.
const TICK: Duration = Duration::from_secs(5);
/// Editors replace a file in several steps: it is read when it has been left alone for so long.
const SETTLE: Duration = Duration::from_millis(200);

/// Where the configuration comes from, and what is in force of it.
pub struct Reload {
    /// All of them.
    pub sources: Sources,
    /// The file as it was when it was read at the start.
    looks: Looks,
    /// The log, which follows the configuration.
    pub log: Log,
    state: Mutex<State>,
}

struct State {
    /// See [`Config::obeyed`].
    in_force: Config,
    /// What was wrong with the configuration when it was read last.
    error: Option<String>,
    /// The keys whose new value needs a restart.
    needs_restart: Vec<String>,
    /// When something came into force last, in seconds since 1970, and what.
    since: u64,
    applied: Vec<ChangedKey>,
}

impl Reload {
    /// `config`, just read from `sources`, is in force.
    pub fn new(config: Config, sources: Sources, log: Log) -> Self {
        let state = State {
            in_force: config,
            error: None,
            needs_restart: Vec::new(),
            since: unix_time(),
            applied: Vec::new(),
        };
        Self {
            looks: file_of(&sources).and_then(look),
            sources,
            log,
            state: Mutex::new(state),
        }
    }

    /// What was wrong with the configuration when it was read last; `None` if it is in force.
    pub fn error(&self) -> Option<String> {
        self.lock().error.clone()
    }

    /// The keys whose new value needs a restart.
    pub fn needs_restart(&self) -> Vec<String> {
        self.lock().needs_restart.clone()
    }

    /// Where the value of a key came from.
    pub fn origin(&self, key: &str) -> Option<Origin> {
        let state = self.lock();
        let mut settings = state.in_force.settings.iter();
        let setting = settings.find(|setting| setting.key == key)?;
        Some(setting.origin.clone())
    }

    /// Reads all layers and has `obey` compare them with what is in force and put them there, but for what it puts off.
    pub fn again(
        &self,
        obey: impl FnOnce(&Config, &Config, &Log) -> anyhow::Result<PutOff>,
    ) -> ReloadReply {
        let mut state = self.lock(); // one at a time
        let read = self.read(&state.in_force);
        let obeyed = read.and_then(|config| {
            let put_off = obey(&state.in_force, &config, &self.log)?;
            Ok((config, put_off))
        });
        match obeyed {
            Ok((config, put_off)) => state.accept(config, put_off),
            Err(error) => state.refuse(format!("{error:#}")),
        }
    }

    /// Reads all layers. A file that was there has to be there still: without it everything would become what is built in.
    fn read(&self, in_force: &Config) -> anyhow::Result<Config> {
        sandbox::reaches(self.file())?;
        let config = Config::load(&self.sources)?;
        match (&in_force.file, &config.file) {
            (Some(path), None) => bail!(
                "the configuration file {} is gone: put it back, or start bnsd again to run without one",
                path.display()
            ),
            _ => Ok(config),
        }
    }

    /// The file, whether it is there or not.
    pub fn file(&self) -> Option<&Path> {
        file_of(&self.sources)
    }

    /// The file as it was when it was read at the start.
    pub fn looks(&self) -> Looks {
        self.looks
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn accept(&mut self, config: Config, put_off: PutOff) -> ReloadReply {
        let (applied, needs_restart) = self
            .in_force
            .changes(&config)
            .into_iter()
            .partition(|change| change.effect == Effect::Reload && !put_off.has(&change.key));
        let (since, applied_then) = (self.since, self.applied.clone());
        let mut reply = ReloadReply {
            in_force_since: since,
            applied_then,
            file: config.file.as_ref().map(|path| path.display().to_string()),
            error: None,
            applied: shown(applied),
            needs_restart: shown(needs_restart),
            warnings: config.warnings.clone(),
        };
        reply.warnings.extend(put_off.reason);
        let keys = |changes: &[ChangedKey]| -> Vec<String> {
            changes.iter().map(|change| change.key.clone()).collect()
        };
        let (applied, needs_restart) = (keys(&reply.applied), keys(&reply.needs_restart));
        if !applied.is_empty() || self.error.is_some() {
            tracing::info!("the configuration was read again: {}", list(&applied));
        }
        if !needs_restart.is_empty() && needs_restart != self.needs_restart {
            tracing::warn!("needs a restart: {}", list(&needs_restart));
        }
        if !reply.applied.is_empty() {
            self.since = unix_time();
            self.applied.clone_from(&reply.applied);
        }
        self.error = None;
        self.needs_restart = needs_restart;
        self.in_force = self.in_force.obeyed(config, put_off.key);
        reply
    }

    fn refuse(&mut self, error: String) -> ReloadReply {
        if self.error.as_ref() != Some(&error) {
            tracing::error!("the settings before stay in force: {error}");
        }
        self.error = Some(error.clone());
        let file = self.in_force.file.as_ref();
        ReloadReply {
            file: file.map(|path| path.display().to_string()),
            error: Some(error),
            ..ReloadReply::default()
        }
    }
}

fn unix_time() -> u64 {
    SystemClock::start().unix_time()
}

/// A key whose new value, against the table, needs a restart this time.
#[derive(Default)]
pub struct PutOff {
    /// The key.
    pub key: Option<&'static str>,
    /// Why.
    pub reason: Option<String>,
}

impl PutOff {
    fn has(&self, key: &str) -> bool {
        self.key == Some(key)
    }
}

fn file_of(sources: &Sources) -> Option<&Path> {
    match &sources.file {
        FileChoice::Named(path) => Some(path),
        FileChoice::AtItsPlace => sources.places.config_file.as_deref(),
        FileChoice::Nothing => None,
    }
}

fn shown(changes: Vec<Change>) -> Vec<ChangedKey> {
    let changes = changes.into_iter();
    let shown = changes.map(|change| ChangedKey {
        key: change.key,
        before: change.before,
        after: change.after,
    });
    shown.collect()
}

fn list(keys: &[String]) -> String {
    match keys {
        [] => "nothing changed".to_owned(),
        keys => keys.join(", "),
    }
}

/// Calls `reload` whenever the file changes after the start, until the task is dropped.
pub async fn watch(path: PathBuf, mut seen: Looks, reload: impl Fn()) {
    let (tell, mut told) = mpsc::channel(1);
    let _watcher = watch_file(&path, tell)
        .inspect_err(|error| tracing::debug!("no notice of changes: {error}"))
        .ok();
    loop {
        let now = block_in_place(|| look(&path));
        if now != seen {
            seen = now;
            block_in_place(&reload);
        }
        tokio::select! {
            Some(()) = told.recv() => sleep(SETTLE).await,
            () = sleep(TICK) => {}
        }
    }
}

/// By what a file is recognised that was left alone; `None` if there is none.
pub type Looks = Option<(u64, u64, Option<SystemTime>)>;

fn look(path: &Path) -> Looks {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.modified().ok()))
}

/// Tells of changes of a file. Its directory is watched, since editors put another file in its place; so is that of the file
/// which a link leads to.
fn watch_file(path: &Path, tell: mpsc::Sender<()>) -> notify::Result<notify::RecommendedWatcher> {
    let mut files = vec![std::path::absolute(path).map_err(notify::Error::io)?];
    files.extend(std::fs::canonicalize(path));
    let watched = files.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let is_of_file = |event: &notify::Event| event.paths.iter().any(|it| watched.contains(it));
        // Reading a file is an event too.
        if event.map_or(true, |event| !event.kind.is_access() && is_of_file(&event)) {
            let _ = tell.try_send(()); // one notice that waits is enough
        }
    })?;
    let directories = files.iter().filter_map(|file| file.parent());
    let mut directories: Vec<PathBuf> = directories.map(Path::to_owned).collect();
    directories.dedup();
    for directory in directories {
        watcher.watch(&directory, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_while_the_daemon_starts_is_seen() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let path = scratch.path().join("bnsd.toml");
        std::fs::write(&path, "").expect("a file");
        let seen = look(&path);
        std::fs::write(&path, "dns.max-ttl = 60").expect("a file");
        let (tell, mut told) = mpsc::channel(1);
        let reload = move || {
            let _ = tell.try_send(());
        };
        tokio::select! {
            () = watch(path, seen, reload) => unreachable!("it never ends"),
            told = told.recv() => assert_eq!(told, Some(())),
        }
    }
}
