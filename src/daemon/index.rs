//! The state of names and what keeps it up to date: the chain's constants, the database, the archive, the indexer.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;

use crate::bns::Params;
use crate::chain::ChainSource;
use crate::clock::SystemClock;
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

/// Opens the data directory and takes its lock.
pub fn open(config: &Config) -> anyhow::Result<NameStore> {
    let params = params(&config.chain);
    let store = open_store(config, &params)?;
    let progress = restored_progress(&store);
    Ok(NameStore::new(
        Arc::new(params),
        Arc::new(store),
        Arc::new(Archive::open(&config.data_dir.join(ARCHIVE))?),
        Arc::new(progress),
        Arc::new(SystemClock::start()),
    ))
}

/// Starts the writing side, which follows `source` on a thread of `crew` until `stop` is set. One that cannot go on says
/// so in the log and in `bnsd status`; the resolver needs it for nothing and goes on.
pub fn follow(
    names: &NameStore,
    source: Box<dyn ChainSource>,
    stop: &Arc<AtomicBool>,
    crew: &mut Crew,
) -> anyhow::Result<()> {
    let indexer = Indexer::new(
        source,
        (*names.params).clone(),
        Arc::clone(&names.store),
        Arc::clone(&names.progress),
        Arc::clone(&names.clock),
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
