//! The state of names and what keeps it up to date: the chain's constants, the database, the archive, the indexer.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;

use crate::bns::Params;
use crate::chain::ChainSource;
use crate::clock::{Clock, SystemClock};
use crate::config::{ChainConfig, Config, Network};
use crate::indexer::Indexer;
use crate::names::NameStore;
use crate::progress::Progress;
use crate::store::{Archive, ChainIdentity, Store, StoreOptions};
use crate::worker::Crew;

/// Folder of the zone files in the data directory.
const ARCHIVE: &str = "zonefiles";
/// Database memory: a name's row is about 300 bytes, so this holds the pages of 100,000 names.
const DATABASE_CACHE: usize = 32 << 20;

/// What readers and the writer of the index share.
pub struct IndexParts {
    pub params: Arc<Params>,
    pub store: Arc<Store>,
    pub archive: Arc<Archive>,
    pub progress: Arc<Progress>,
    pub clock: Arc<dyn Clock>,
}

impl IndexParts {
    /// Opens the data directory and takes its lock.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let params = params(&config.chain);
        let store = open_store(config, &params)?;
        Ok(Self {
            progress: Arc::new(restored_progress(&store)),
            store: Arc::new(store),
            archive: Arc::new(Archive::open(&config.data_dir.join(ARCHIVE))?),
            params: Arc::new(params),
            clock: Arc::new(SystemClock::start()),
        })
    }

    /// The reading side.
    pub fn names(&self) -> NameStore {
        NameStore::new(
            Arc::clone(&self.params),
            Arc::clone(&self.store),
            Arc::clone(&self.archive),
            Arc::clone(&self.progress),
            Arc::clone(&self.clock),
        )
    }

    /// Starts the writing side, which follows `source` on a thread of `crew` until `stop` is set. One that cannot go
    /// on says so in the log and in `bnsd status`; the resolver needs it for nothing and goes on.
    pub fn follow(
        &self,
        source: Box<dyn ChainSource>,
        stop: &Arc<AtomicBool>,
        crew: &mut Crew,
    ) -> anyhow::Result<()> {
        let indexer = Indexer::new(
            source,
            (*self.params).clone(),
            Arc::clone(&self.store),
            Arc::clone(&self.progress),
            Arc::clone(&self.clock),
        );
        let stop = Arc::clone(stop);
        let run = move || {
            if let Err(error) = indexer.run(&stop) {
                tracing::error!("the index stopped: {error}");
            }
        };
        let started = crew.finite_thread("indexer", run);
        started.context("cannot start the indexer's thread")
    }
}

/// The constants of the configured chain.
pub fn params(chain: &ChainConfig) -> Params {
    let mut params = match chain.network {
        Network::Mainnet => Params::mainnet(),
        Network::Regtest | Network::Dev => Params::regtest(),
    };
    if let Some(first_block) = chain.first_block {
        params.first_block = first_block;
    }
    params
}

/// The database of the data directory; the lock is held for as long as it is open.
pub fn open_store(config: &Config, params: &Params) -> anyhow::Result<Store> {
    let chain = ChainIdentity::new(config.chain.network.as_str(), params);
    let options = StoreOptions {
        cache_bytes: DATABASE_CACHE,
        undo_depth: config.chain.undo_depth,
    };
    let store = Store::open(&config.data_dir, &chain, options)?;
    store.seed(&params.genesis_changes())?;
    Ok(store)
}

/// How far earlier runs got.
fn restored_progress(store: &Store) -> Progress {
    let progress = Progress::default();
    if let Some(tip) = store.snapshot().tip() {
        progress.set_tip(tip.height, tip.time);
        progress.set_best_height(tip.height);
    }
    if crate::indexer::was_synced(store.directory()) {
        progress.set_ever_synced();
    }
    progress
}
