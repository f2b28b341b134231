//! The state of names and what keeps it up to date: the chain's constants, the database, the archive, the indexer.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::bns::network_file::NetworkFile;
use crate::bns::{Name, Params, last_state};
use crate::chain::{ChainSource, SourceKind};
use crate::clock::SystemClock;
use crate::config::{ChainConfig, Config, Network};
use crate::hash::ZonefileHash;
use crate::indexer::{Indexer, LastState, SubdomainIndexer};
use crate::names::{Exported, NameIndex, NameStore, NamesError};
use crate::progress::Progress;
use crate::store::{
    Archive, ChainIdentity, DirectoryLock, Offchain, Store, StoreOptions, Subdomains,
};
use crate::worker::Crew;

/// Folder of the zone files in the data directory.
const ARCHIVE: &str = "zonefiles";
/// Database memory: a name's row is about 300 bytes, so this holds the pages of 100,000 names.
const DATABASE_CACHE: usize = 32 << 20;
/// Pages of the database (4 KiB) that are read again at once, and the time to the next ones: 2.5 MB a second, so that a
/// million names take a quarter of an hour.
const SWEEP_PAGES: usize = 64;
const SWEEP_PAUSE: Duration = Duration::from_millis(100);
/// Time from the last page to the first one.
const SWEEP_REST: Duration = Duration::from_secs(10);
/// Time between two attempts to open a database again that could not be written, and how often the log says so.
const RECOVER_EVERY: Duration = Duration::from_secs(1);
const SAY_EVERY: Duration = Duration::from_secs(60);
/// Files of the archive that are looked at together, and the time to the next ones: 70,000 take six minutes.
const TENDED: usize = 100;
const TEND_PAUSE: Duration = Duration::from_millis(500);

/// Time between two directories of the archive that are emptied, or whose rights are looked at. A large one of the earlier
/// form has 65,792.
const SETTLE_PAUSE: Duration = Duration::from_millis(1);

/// Opens the data directory and takes its lock. Gives the state of names, and what is known beside the chain.
pub fn open(config: &Config) -> anyhow::Result<(NameStore, Arc<Offchain>)> {
    if config.chain.source == SourceKind::Final {
        return open_last_state(config);
    }
    let params = params(&config.chain);
    let store = open_store(config, &params)?;
    require_end(config, &params, &store)?;
    let progress = restored_progress(&store);
    let offchain = Offchain::open(&config.data_dir, store.chain())?;
    let mut names = NameStore::new(
        Arc::new(params),
        Arc::new(store),
        Arc::new(Archive::open(&archive(config))?),
        Arc::new(progress),
        Arc::new(SystemClock::start()),
    );
    names.carrier = config.chain.bitcoin.network();
    names.offchain = Some(Arc::clone(&offchain));
    names.chosen.clone_from(&config.atlas.namespaces);
    names.own_keys = config.tls.own_keys;
    names.subdomains = Some(Arc::new(Subdomains::open(Arc::clone(&offchain))?));
    names.index = name_index(config, &names.store);
    Ok((names, offchain))
}

/// The published last state of the network in the data directory, with nothing that a chain would bring. Of subdomains not
/// even the records are known that were published before the last zone file of their carrier.
fn open_last_state(config: &Config) -> anyhow::Result<(NameStore, Arc<Offchain>)> {
    let directory = &config.data_dir;
    let lock = DirectoryLock::take(directory)?;
    let found = LastState::of(directory);
    let found = found.with_context(|| format!("cannot read what names of {} rest on: run `bnsd chain import-final CHAINSTATE ZONEFILES` again", directory.display()))?;
    let Some(state) = found else {
        bail!(
            "there is no last state in {}: get the two published files and run `bnsd chain import-final CHAINSTATE ZONEFILES`",
            directory.display()
        );
    };
    let store = state.open(directory, DATABASE_CACHE)?;
    let progress = restored_progress(&store);
    progress.set_ever_synced(); // there is nothing to wait for
    let offchain = Offchain::open(store.directory(), store.chain())?;
    let mut names = NameStore::new(
        Arc::new(params(&config.chain)),
        Arc::new(store),
        Arc::new(Archive::open(&archive(config))?),
        Arc::new(progress),
        Arc::new(SystemClock::start()),
    );
    names.exported = Some(Exported {
        rests_on: state.rests_on(),
        lock,
    });
    names.own_keys = config.tls.own_keys;
    names.index = name_index(config, &names.store);
    Ok((names, offchain))
}

/// What keeps names in memory, if the configuration wants that.
fn name_index(config: &Config, store: &Arc<Store>) -> Option<Arc<NameIndex>> {
    let max = config.names.index_max;
    (max > 0).then(|| NameIndex::of(store, max.into()))
}

/// The directory of zone files.
pub fn archive(config: &Config) -> PathBuf {
    config.data_dir.join(ARCHIVE)
}

/// Starts the writing side, which follows `source` on a thread of `crew` until `stop` is set. One that cannot go on says
/// so in the log and in `bnsd status`; the resolver needs it for nothing and goes on.
pub fn follow(
    names: &NameStore,
    source: Box<dyn ChainSource>,
    stop: &Arc<AtomicBool>,
    crew: &mut Crew,
) -> anyhow::Result<()> {
    if names.store.damage().is_some() {
        return Ok(()); // the log and every status say so
    }
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

/// Starts reading how names stand into memory, and keeping that up, on a thread of `crew` until `stop` is set. Nobody waits
/// for it.
pub fn keep_names(
    names: &NameStore,
    stop: &Arc<AtomicBool>,
    crew: &mut Crew,
) -> anyhow::Result<()> {
    let Some(index) = names.index.clone() else {
        return Ok(());
    };
    let (store, progress) = (Arc::clone(&names.store), Arc::clone(&names.progress));
    let stop = Arc::clone(stop);
    let keep = move || index.keep(&store, &progress, &stop);
    let started = crew.finite_thread("names", keep);
    started.context("cannot start the thread that keeps names in memory")
}

/// Starts reading the records of subdomains out of announced zone files, on a thread of `crew` until `stop` is set. `tell` hears
/// below which names something changed.
pub fn index_subdomains(
    names: &NameStore,
    tell: impl Fn(&[Name]) + Send + 'static,
    stop: &Arc<AtomicBool>,
    crew: &mut Crew,
) -> anyhow::Result<()> {
    let Some(subdomains) = &names.subdomains else {
        return Ok(());
    };
    let (store, archive) = (Arc::clone(&names.store), Arc::clone(&names.archive));
    let (subdomains, params) = (Arc::clone(subdomains), Arc::clone(&names.params));
    let indexer = SubdomainIndexer::new(store, archive, subdomains, params, tell);
    let stop = Arc::clone(stop);
    let started = crew.finite_thread("subdomains", move || indexer.run(&stop));
    started.context("cannot start the thread that reads subdomains")
}

/// Starts reading the database and what is beside it again, slowly and for ever, on a thread of `crew` until `stop` is set:
/// what changed on the disk is found though nobody asks for it. Says in the log that something was found, whoever found it.
/// After a failed write it opens the database again as soon as that is possible.
pub fn sweep(names: &NameStore, stop: &Arc<AtomicBool>, crew: &mut Crew) -> anyhow::Result<()> {
    let (store, stop) = (Arc::clone(&names.store), Arc::clone(stop));
    let offchain = names.offchain.clone();
    let run = move || {
        let (mut page, mut beside, mut rest) = (Some(0), Some(0), Duration::ZERO);
        let mut recovery = Recovery::default();
        while !stop.load(Ordering::Relaxed) && store.damage().is_none() {
            thread::sleep(SWEEP_PAUSE);
            recovery.turn(&store);
            rest = rest.saturating_sub(SWEEP_PAUSE);
            if !rest.is_zero() {
                continue;
            }
            if let Some(first) = page {
                page = store.sweep(first, SWEEP_PAGES);
            } else if let (Some(first), Some(offchain)) = (beside, &offchain) {
                beside = offchain.sweep(first, SWEEP_PAGES).unwrap_or_else(|error| {
                    tracing::warn!("what is known beside the chain cannot be read again: {error}");
                    None
                });
            } else {
                (page, beside, rest) = (Some(0), Some(0), SWEEP_REST);
            }
        }
        if let Some(damage) = store.damage() {
            tracing::error!(
                "the database is damaged ({damage}): names of the chain are not answered until bnsd is stopped and `bnsd chain verify --repair` has derived it anew"
            );
        }
    };
    let started = crew.finite_thread("sweep", run);
    started.context("cannot start the thread that reads the database again")
}

/// When a database that could not be written was last tried again and spoken of.
#[derive(Default)]
struct Recovery {
    tried: Option<Instant>,
    said: Option<Instant>,
}

impl Recovery {
    fn turn(&mut self, store: &Store) {
        let is_due = |last: Option<Instant>, every| last.is_none_or(|last| last.elapsed() >= every);
        let Some(failure) = store.failure() else {
            return;
        };
        if is_due(self.said, SAY_EVERY) {
            self.said = Some(Instant::now());
            tracing::error!(
                "the database cannot be written ({failure}): check the disk and its free space, the index then goes on by itself"
            );
        }
        if is_due(self.tried, RECOVER_EVERY) {
            self.tried = Some(Instant::now());
            let recovered = store.recover();
            tracing::debug!(?recovered, "opened the database again");
        }
    }
}

/// Starts moving zone files of the archive's earlier form into segments, and taking the rights of others from what is left, on a
/// thread of `crew` until `stop` is set. Nobody waits for it: both forms are read, and others cannot enter the archive already.
pub fn settle_archive(
    names: &NameStore,
    stop: &Arc<AtomicBool>,
    crew: &mut Crew,
) -> anyhow::Result<()> {
    let (archive, stop) = (Arc::clone(&names.archive), Arc::clone(stop));
    let run = move || {
        let go_on = || {
            thread::sleep(SETTLE_PAUSE);
            !stop.load(Ordering::Relaxed)
        };
        if let Err(error) = archive.gather(go_on) {
            tracing::error!(
                "zone files stay in a file each until the next start, which is slower and larger: {error}"
            );
        }
        match archive.make_private(go_on) {
            Ok(0) => {}
            Ok(count) => tracing::warn!(
                "others had rights on {count} files and directories of the zone file archive: they have none now"
            ),
            Err(error) => tracing::error!("the zone file archive is not private: {error}"),
        }
    };
    let started = crew.finite_thread("archive settle", run);
    started.context("cannot start the thread that settles the archive")
}

/// Starts looking after the archive, on a thread of `crew` until `stop` is set: which files it has is compared with the
/// database, then news are counted, and files that somebody took away are noticed though nobody asks for them.
pub fn tend_archive(
    names: &Arc<NameStore>,
    stop: &Arc<AtomicBool>,
    crew: &mut Crew,
) -> anyhow::Result<()> {
    let (names, stop) = (Arc::clone(names), Arc::clone(stop));
    let run = move || {
        let mut tending = Tending::default();
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(TEND_PAUSE);
            if let Err(error) = tending.turn(&names, &stop) {
                tending.say(&error);
            }
        }
    };
    let started = crew.finite_thread("archive", run);
    started.context("cannot start the thread that looks after the archive")
}

/// How far the files of the archive were looked at.
#[derive(Default)]
struct Tending {
    /// The last file.
    last: Option<ZonefileHash>,
    /// When the log last said that something failed.
    said: Option<Instant>,
}

impl Tending {
    fn turn(&mut self, names: &NameStore, stop: &AtomicBool) -> Result<(), NamesError> {
        let go_on = || !stop.load(Ordering::Relaxed);
        if names.archive.has_changed() {
            self.last = names.archive.sweep(None, TENDED)?;
            while self.last.is_some() && go_on() {
                self.last = names.archive.sweep(self.last.as_ref(), TENDED)?;
            }
        }
        self.last = names.archive.sweep(self.last.as_ref(), TENDED)?;
        if names.store.damage().is_some() || names.store.failure().is_some() {
            return Ok(()); // the log says so
        }
        names.compare_zonefiles(go_on)?;
        if names.progress.has_ever_synced() {
            names.look()?;
        }
        Ok(())
    }

    fn say(&mut self, error: &NamesError) {
        if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            self.said = Some(Instant::now());
            tracing::warn!("nobody looks after the archive of zone files: {error}");
        }
    }
}

/// The constants of the configured chain.
pub fn params(chain: &ChainConfig) -> Params {
    if chain.source == SourceKind::Final {
        return last_state::params();
    }
    let built_in = || chain.network.params();
    let own = chain.network_file.as_ref().map(NetworkFile::params);
    let mut params = own
        .or_else(built_in)
        .expect("a network is built in or has a file");
    if let Some(first_block) = chain.first_block {
        params.first_block = first_block;
    }
    if chain.last_block.is_some() {
        params.last_block = chain.last_block;
    }
    params
}

/// An error if the database goes on above the end of the network.
pub fn require_end(config: &Config, params: &Params, store: &Store) -> anyhow::Result<()> {
    let tip = store.snapshot().tip().map_or(0, |tip| tip.height);
    let Some(last) = params.last_block.filter(|last| tip > *last) else {
        return Ok(());
    };
    let network = config.chain.network;
    let other = match config.chain.network {
        Network::Mainnet => ", or set `chain.network = \"mainnet-continued\"`",
        _ => "",
    };
    bail!(
        "the database in {} is at block {tip}, and the network {network} ends at block {last}: go back to that block with `bnsd chain rewind {last}`{other}",
        config.data_dir.display()
    )
}

/// The database of the data directory; the lock is held for as long as it is open. A damaged one is no error, see
/// [`Store::open_even_damaged`].
pub fn open_store(config: &Config, params: &Params) -> anyhow::Result<Store> {
    let chain = ChainIdentity::new(&config.chain.network.chain_name(), params);
    let options = StoreOptions {
        cache_bytes: DATABASE_CACHE,
        undo_depth: config.chain.undo_depth,
    };
    let store = Store::open_even_damaged(&config.data_dir, &chain, options)?;
    match store.seed(&params.genesis_changes()) {
        Err(error) if store.damage().is_none() => Err(error.into()),
        _ => Ok(store),
    }
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
