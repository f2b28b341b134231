//! An index of regtest in a directory, and the source of logs for it, as the daemon builds them.

use std::path::Path;
use std::sync::{Arc, Mutex};

use bitcoin::Network;
use bnsd::bns::Params;
use bnsd::chain::ChainSource;
use bnsd::chain::headers::HeaderChain;
use bnsd::chain::light::{LightOptions, LightSource, LogPlace};
use bnsd::chain::p2p::Peers;
use bnsd::clock::SystemClock;
use bnsd::hash::ConsensusHash;
use bnsd::indexer::{IndexedCandidates, Indexer};
use bnsd::progress::Progress;
use bnsd::store::{ChainIdentity, Store, StoreOptions};

/// The folder of what is kept of logs, in the data directory.
const FOLDER: &str = "log";

/// What a database for regtest is opened with.
pub fn identity() -> ChainIdentity {
    ChainIdentity::new("regtest", &Params::regtest())
}

/// The database in a directory, with what exists before the first block.
pub fn open(directory: &Path, undo_depth: u32) -> Arc<Store> {
    let options = StoreOptions {
        undo_depth,
        ..StoreOptions::default()
    };
    let store = Store::open(directory, &identity(), options).expect("a database");
    let genesis = Params::regtest().genesis_changes();
    store.seed(&genesis).expect("a database");
    Arc::new(store)
}

/// An index that a source feeds.
pub fn indexer(source: impl ChainSource + 'static, store: &Arc<Store>) -> Indexer {
    Indexer::new(
        Box::new(source),
        Params::regtest(),
        Arc::clone(store),
        Arc::new(Progress::default()),
        Arc::new(SystemClock::start()),
    )
}

/// The headers that are kept in a data directory.
pub fn headers(directory: &Path) -> Arc<Mutex<HeaderChain>> {
    Store::claim(directory).expect("a directory");
    let kept = directory.join(FOLDER);
    std::fs::create_dir_all(&kept).expect("a directory");
    let headers = HeaderChain::open(&kept, Network::Regtest).expect("headers");
    Arc::new(Mutex::new(headers))
}

/// The source of these logs for the database in `directory`, with the daemon's defaults but for audits.
pub fn light(
    directory: &Path,
    logs: &[String],
    pins: &[(u32, ConsensusHash)],
    (headers, peers): (Arc<Mutex<HeaderChain>>, Option<Arc<Peers>>),
    store: &Arc<Store>,
) -> LightSource {
    let params = Params::regtest();
    let options = LightOptions {
        network: Network::Regtest,
        magic: params.magic,
        first_block: params.first_block,
        confirmations: 0,
        directory: directory.join(FOLDER),
        logs: logs.iter().map(|log| LogPlace::of(log)).collect(),
        proxy: None,
        pins: pins.to_vec(),
        audit_a_day: 0,
    };
    let indexed = IndexedCandidates::new(Arc::clone(store));
    LightSource::new(options, headers, peers, Box::new(indexed))
}
