//! The chain without a node, as the configuration says it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;

use super::{index, source};
use crate::chain::ChainSource;
use crate::chain::headers::HeaderChain;
use crate::chain::light::{LightOptions, LightSource, LogPlace};
use crate::chain::p2p::{PeerChoice, PeerOptions, Peers, Resolve};
use crate::config::{BitcoinPeers, Config};
use crate::disk::rights::open_directory;
use crate::indexer::IndexedCandidates;
use crate::store::Store;
use crate::worker::Crew;

/// Folder of headers, logs and addresses of peers in the data directory.
const FOLDER: &str = "log";
/// How many Bitcoin peers are connected at the same time.
pub(super) const OUTBOUND: usize = 8;

/// What all who follow the same logs share.
#[derive(Clone)]
pub(super) struct Light {
    config: Arc<Config>,
    store: Arc<Store>,
    headers: Arc<Mutex<HeaderChain>>,
}

impl Light {
    /// Opens the headers in the data directory; nobody is asked yet.
    pub(super) fn open(config: &Config, store: &Arc<Store>) -> anyhow::Result<Self> {
        let folder = folder(config);
        let unopened = || format!("cannot open the headers in {}", folder.display());
        open_directory(&folder).with_context(unopened)?;
        let headers = HeaderChain::open(&folder, config.chain.bitcoin.network());
        let headers = headers.with_context(unopened)?;
        Ok(Self {
            config: Arc::new(config.clone()),
            store: Arc::clone(store),
            headers: Arc::new(Mutex::new(headers)),
        })
    }

    /// The source for a running daemon, whose peers are called on a thread of `crew` and looked up with `resolve`.
    pub(super) fn start(
        &self,
        resolve: Box<Resolve>,
        crew: &mut Crew,
    ) -> anyhow::Result<Box<dyn ChainSource>> {
        let peers = peer_options(&self.config)?.map(|options| {
            Peers::start(options, Arc::clone(&self.headers), resolve, crew)
                .context("cannot start the thread that calls Bitcoin peers")
        });
        Ok(self.over(peers.transpose()?))
    }

    /// The same without peers, for work without a daemon and beside the indexer: from logs alone.
    pub(super) fn without_peers(&self) -> Box<dyn ChainSource> {
        self.over(None)
    }

    fn over(&self, peers: Option<Arc<Peers>>) -> Box<dyn ChainSource> {
        let (chain, params) = (&self.config.chain, index::params(&self.config.chain));
        let options = LightOptions {
            network: chain.bitcoin.network(),
            magic: params.magic,
            first_block: params.first_block,
            confirmations: chain.confirmations,
            directory: folder(&self.config),
            logs: chain
                .light
                .logs
                .iter()
                .map(|log| LogPlace::of(log))
                .collect(),
            proxy: chain.light.proxy,
            pins: chain.light.pins.clone(),
            audit_a_day: chain.light.audit,
        };
        let indexed = Box::new(IndexedCandidates::new(Arc::clone(&self.store)));
        let source = LightSource::new(options, Arc::clone(&self.headers), peers, indexed);
        source::anchored(chain, Box::new(source))
    }
}

fn folder(config: &Config) -> PathBuf {
    config.data_dir.join(FOLDER)
}

/// Which Bitcoin peers are called; `None` for none.
fn peer_options(config: &Config) -> anyhow::Result<Option<PeerOptions>> {
    let network = config.chain.bitcoin.network();
    let choice = match &config.chain.light.peers {
        BitcoinPeers::None => return Ok(None),
        BitcoinPeers::Seeds => PeerChoice::Seeds,
        BitcoinPeers::Given(peers) => PeerChoice::given(network, peers)?,
    };
    Ok(Some(PeerOptions {
        network,
        choice,
        proxy: config.chain.light.proxy,
        outbound: OUTBOUND,
        directory: folder(config),
    }))
}
