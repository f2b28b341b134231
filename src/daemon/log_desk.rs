//! What the log of the chain is written from while the daemon runs: for `bnsd chain export`, and for `chain.publish`.
//!
//! The indexer keeps its source for itself, so that nobody who writes a log makes it wait. This has a source of its own,
//! opened with the first question: few ask.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bitcoin::block::Header;

use super::light::Light;
use super::source;
use crate::chain::dev::DevChain;
use crate::config::Config;
use crate::indexer::{ExportError, Exporter, LocalSupply, LogBlock, LogFacts, Piece, Supply};
use crate::store::Store;
use crate::worker::Crew;

/// Time between two looks at the index, and the shortest between two updates of the files.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const UPDATE_EVERY: Duration = Duration::from_secs(3);
/// Time until what failed is tried again, and how often the log says so.
const TRY_AGAIN: Duration = Duration::from_secs(5);
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Opens what is asked.
type Open = Box<dyn Fn() -> anyhow::Result<LocalSupply> + Send + Sync>;

/// Who has what a log consists of; one question at a time.
pub(super) struct LogDesk {
    open: Open,
    supply: Mutex<Option<LocalSupply>>,
}

impl LogDesk {
    /// A desk beside the index in `store`; nothing is opened yet.
    pub(super) fn new(
        config: &Config,
        embedded: Option<DevChain>,
        light: Option<Light>,
        store: &Arc<Store>,
        stop: &Arc<AtomicBool>,
    ) -> Self {
        let (config, store, stop) = (config.clone(), Arc::clone(store), Arc::clone(stop));
        let open = move || {
            let mut source = source::another(&config, embedded.as_ref(), light.as_ref())?;
            source.stop_with(Arc::clone(&stop));
            let network = config.chain.bitcoin.network();
            Ok(LocalSupply::new(Arc::clone(&store), source, network))
        };
        Self {
            open: Box::new(open),
            supply: Mutex::default(),
        }
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&mut LocalSupply) -> Result<T, ExportError>,
    ) -> Result<T, ExportError> {
        let mut supply = self.supply.lock().unwrap_or_else(PoisonError::into_inner);
        let supply = match &mut *supply {
            Some(supply) => supply,
            none => none.insert((self.open)().map_err(|error| {
                ExportError::Daemon(format!("there is nothing to write a log from: {error:#}"))
            })?),
        };
        question(supply)
    }
}

impl Supply for &LogDesk {
    fn facts(&mut self) -> Result<LogFacts, ExportError> {
        self.ask(|supply| supply.facts())
    }

    fn block(&mut self, height: u32) -> Result<Option<LogBlock>, ExportError> {
        self.ask(|supply| supply.block(height))
    }

    fn headers(&mut self, from: u32, count: u32) -> Result<Vec<Header>, ExportError> {
        self.ask(|supply| supply.headers(from, count))
    }

    fn piece(&mut self, from: u32, to: u32) -> Result<Piece, ExportError> {
        self.ask(|supply| supply.piece(from, to))
    }
}

/// How a published log stands.
#[derive(Debug, Default)]
pub(super) struct Published {
    state: Mutex<(Option<u32>, Option<String>)>,
}

impl Published {
    /// The last block that it tells of, and what keeps it from going on.
    pub(super) fn state(&self) -> (Option<u32>, Option<String>) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clone()
    }

    fn note(&self, to: Option<u32>, trouble: Option<String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = (to.or(state.0), trouble);
    }
}

/// Keeps the log in `directory` current, on a thread of `crew` until `stop` is set.
pub(super) fn publish(
    directory: &Path,
    desk: &Arc<LogDesk>,
    store: &Arc<Store>,
    stop: &Arc<AtomicBool>,
    crew: &mut Crew,
) -> anyhow::Result<Arc<Published>> {
    let published = Arc::new(Published::default());
    let mut publisher = Publisher {
        directory: directory.to_owned(),
        desk: Arc::clone(desk),
        store: Arc::clone(store),
        published: Arc::clone(&published),
        exporter: None,
        said: None,
    };
    let stop = Arc::clone(stop);
    let run = move || {
        let (mut written, mut rest) = (None, Duration::ZERO);
        let mut looked = publisher.store.undone();
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(LOOK_EVERY);
            rest = rest.saturating_sub(LOOK_EVERY);
            let undone = publisher.store.undone();
            let tip = publisher.store.snapshot().tip().map(|tip| tip.hash);
            let is_new = tip != written || undone != looked;
            if tip.is_none() || !is_new || !rest.is_zero() {
                continue;
            }
            if undone != looked
                && let Some(exporter) = &mut publisher.exporter
            {
                exporter.look_again();
            }
            rest = match publisher.update(&stop) {
                true => {
                    (written, looked) = (tip, undone);
                    UPDATE_EVERY
                }
                false => TRY_AGAIN,
            };
        }
    };
    let started = crew.finite_thread("publish", run);
    started.context("cannot start the thread that publishes the log")?;
    Ok(published)
}

/// Writes the files of a published log.
struct Publisher {
    directory: PathBuf,
    desk: Arc<LogDesk>,
    store: Arc<Store>,
    published: Arc<Published>,
    exporter: Option<Exporter>,
    said: Option<Instant>,
}

impl Publisher {
    /// Whether the files are those of the index.
    fn update(&mut self, stop: &AtomicBool) -> bool {
        match self.try_update() {
            Ok(to) => {
                self.published.note(Some(to), None);
                true
            }
            Err(_) if stop.load(Ordering::Relaxed) => false,
            Err(error) => {
                let trouble = format!("the log is not published: {error}");
                if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                    self.said = Some(Instant::now());
                    tracing::warn!("{trouble}");
                }
                self.published.note(None, Some(trouble));
                false
            }
        }
    }

    fn try_update(&mut self) -> Result<u32, ExportError> {
        let exporter = match &mut self.exporter {
            Some(exporter) => exporter,
            none => none.insert(Exporter::open(&self.directory)?),
        };
        let mut desk = &*self.desk;
        Ok(exporter.update(&mut desk, &mut |_, _| ())?.to)
    }
}
