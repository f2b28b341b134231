//! The running daemon: builds the adapters, names their threads and tasks, handles signals, stops in order.
//!
//! ```text
//! thread "indexer": chain source -> rules -> store      thread "folders": watched folders -> archive
//! tokio tasks:      UDP and TCP loops, forwarded queries, control socket
//! ```
//!
//! DNS sockets are bound first, so that a taken port is said before anything is created, and they answer
//! legacy names from the first moment, whatever the chain does. An index that cannot go on is logged and shown
//! by `status`; it never takes the resolver with it.

mod demo;
mod preferences;
mod service;
mod source;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use demo::{DemoOptions, run_demo};
pub use source::credentials as node_credentials;

use crate::api::control;
use crate::bns::Params;
use crate::chain::ChainSource;
use crate::chain::dev::DevChain;
use crate::clock::{Clock, SystemClock};
use crate::config::{ChainConfig, Config, DnsConfig, Network};
use crate::dns::{Access, Handler, Hosts, Options, Server};
use crate::folder::Folders;
use crate::indexer::Indexer;
use crate::names::NameStore;
use crate::progress::Progress;
use crate::resolver::Policy;
use crate::store::{Archive, ChainIdentity, Store, StoreOptions};
use crate::upstream::{
    AnchorError, Anchors, ForwardOptions, Forwarder, UpstreamConfig, Watch, system_upstreams,
};
use preferences::Preferences;
use service::{DevNode, Service};
pub use source::open_existing as open_source;

/// Where the system says which resolvers to ask.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Folder of the embedded chain in the data directory.
const DEV_CHAIN: &str = "chain";
/// Where the system names hosts.
const HOSTS: &str = "/etc/hosts";
/// File of the upstreams' answers in the data directory.
const CACHE: &str = "cache.bin";
/// Folder of the zone files in the data directory.
const ARCHIVE: &str = "zonefiles";
/// Database memory: a name's row is about 300 bytes, so this holds the pages of 100,000 names.
const DATABASE_CACHE: usize = 32 << 20;
/// How long tasks may take to end.
const STOP_TIME: Duration = Duration::from_secs(5);

/// Runs the daemon until a signal ends it.
pub fn run_serve(config: &Config) -> anyhow::Result<()> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let server = bind(config)?;
        let opened = source::open(config)?;
        // Before anybody can see that the daemon is there and ask it to end.
        let signals = EndSignals::register()?;
        let daemon = Daemon::start_on(server, config, opened.source, opened.embedded)?;
        daemon.log_start();
        signals.wait().await;
        daemon.stop().await
    })
}

/// A running daemon.
pub struct Daemon {
    service: Arc<Service>,
    stop_indexer: Arc<AtomicBool>,
    indexer: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    cache_file: Option<PathBuf>,
}

impl Daemon {
    /// Starts everything that `config` asks for, following `source` if there is one. Must be called inside
    /// of a tokio runtime.
    pub fn start(config: &Config, source: Option<Box<dyn ChainSource>>) -> anyhow::Result<Self> {
        Self::start_on(bind(config)?, config, source, None)
    }

    /// The same on bound sockets, with the embedded chain behind `source`, so that it takes transactions.
    fn start_on(
        server: Server,
        config: &Config,
        source: Option<Box<dyn ChainSource>>,
        chain: Option<DevChain>,
    ) -> anyhow::Result<Self> {
        let ground = Ground::open(config)?;
        let control = control::Server::bind(&config.control_socket)?;
        let (preferences, chosen) = Preferences::open(&config.data_dir)?;
        let folders = Folders::watch(&config.zonefiles.folders, &ground.store, &ground.archive)?;
        restore_progress(&ground.progress, &ground.store);

        let forwarder = Arc::new(forwarder(config, &server, &ground.clock)?);
        let cache_file = config.dns.keep_cache.then(|| config.data_dir.join(CACHE));
        load_cache(&forwarder, cache_file.as_deref());
        let names = Arc::new(ground.names());
        let policy = Policy {
            preferences: chosen,
            ..policy(config)
        };
        let handler = Handler::new(Arc::clone(&names), policy, Arc::clone(&forwarder))
            .with_log(config.log_queries)
            .with_hosts(config.dns.hosts.then(|| Hosts::new(HOSTS.into())));
        let handler = Arc::new(handler);
        tell_of_changes(&ground.store, &handler, &ground.params);
        let service = Arc::new(Service {
            handler,
            names,
            folders,
            preferences: Mutex::new(preferences),
            listeners: server.local_addrs(),
            tls_listeners: server.tls_addrs(),
            https_listeners: server.https_addrs(),
            network: config.chain.network,
            source: source.as_ref().map(|source| source.describe()),
            source_kind: config.chain.source,
            confirmations: config.chain.confirmations,
            node: chain.map(|chain| DevNode::new(chain, config.chain.confirmations)),
        });

        let stop_indexer = Arc::new(AtomicBool::new(false));
        let indexer = source
            .map(|source| spawn_indexer(ground.indexer(source), Arc::clone(&stop_indexer)))
            .transpose()?;
        let (stop, mut stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let handler = Arc::clone(&service.handler);
        tasks.spawn(server.run(handler, access(config), async move {
            let _ = stopped.wait_for(|stop| *stop).await; // an error is a daemon that is gone
        }));
        tasks.spawn(control.serve(Arc::clone(&service)));
        let watch = Watch {
            resolv_conf: config.dns.upstreams.is_empty().then(|| RESOLV_CONF.into()),
            listeners: service.listeners.clone(),
        };
        tasks.spawn(watch.run(forwarder));
        Ok(Self {
            service,
            stop_indexer,
            indexer,
            stop,
            tasks,
            cache_file,
        })
    }

    /// The state of names, as it is served.
    pub fn names(&self) -> &Arc<NameStore> {
        &self.service.names
    }

    /// Where DNS is served, with the ports that port 0 became.
    pub fn listeners(&self) -> &[std::net::SocketAddr] {
        &self.service.listeners
    }

    /// Where DNS over TLS is served.
    pub fn tls_listeners(&self) -> &[std::net::SocketAddr] {
        &self.service.tls_listeners
    }

    /// Where DNS over HTTPS is served.
    pub fn https_listeners(&self) -> &[std::net::SocketAddr] {
        &self.service.https_listeners
    }

    /// Stops answering, then indexing. The database is durable at every moment, so nothing is flushed here.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop_indexer.store(true, Ordering::Relaxed);
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(STOP_TIME, self.tasks.join_next()).await;
        ended.context("DNS did not stop in time")?;
        self.tasks.shutdown().await;
        if let Some(path) = &self.cache_file
            && let Err(error) = self.service.handler.forwarder().save(path)
        {
            tracing::warn!("answers of upstreams are not kept: {error}");
        }
        if let Some(indexer) = self.indexer.take() {
            let joined = tokio::task::spawn_blocking(move || indexer.join()).await?;
            joined.map_err(|_| anyhow!("the indexer panicked"))?;
        }
        Ok(())
    }

    fn log_start(&self) {
        for listener in self.listeners() {
            tracing::info!("answering DNS on {listener}");
        }
        for listener in self.tls_listeners() {
            tracing::info!("answering DNS over TLS on {listener}");
        }
        for listener in self.https_listeners() {
            tracing::info!("answering DNS over HTTPS on https://{listener}/dns-query");
        }
        if self.service.handler.forwarder().upstreams().is_empty() {
            tracing::warn!(
                "no upstream: other names cannot be resolved; set `dns.upstreams` or --upstream"
            );
        }
        match &self.service.source {
            Some(source) => tracing::info!("following {source}"),
            None => tracing::warn!(
                "no chain source is configured: names of the chain cannot be answered; set `chain.source`"
            ),
        }
    }
}

/// What the rest stands on: the chain's constants, the database, the archive, and how far the index is.
struct Ground {
    params: Arc<Params>,
    store: Arc<Store>,
    archive: Arc<Archive>,
    progress: Arc<Progress>,
    clock: Arc<dyn Clock>,
}

impl Ground {
    /// Opens the data directory.
    fn open(config: &Config) -> anyhow::Result<Self> {
        let params = params(&config.chain);
        Ok(Self {
            store: Arc::new(open_store(config, &params)?),
            archive: Arc::new(Archive::open(&config.data_dir.join(ARCHIVE))?),
            params: Arc::new(params),
            progress: Arc::default(),
            clock: Arc::new(SystemClock::start()),
        })
    }

    fn names(&self) -> NameStore {
        NameStore::new(
            Arc::clone(&self.params),
            Arc::clone(&self.store),
            Arc::clone(&self.archive),
            Arc::clone(&self.progress),
            Arc::clone(&self.clock),
        )
    }

    fn indexer<S: ChainSource>(&self, source: S) -> Indexer<S> {
        Indexer::new(
            source,
            (*self.params).clone(),
            Arc::clone(&self.store),
            Arc::clone(&self.progress),
            Arc::clone(&self.clock),
        )
    }
}

/// Takes the DNS ports; nothing is served yet.
fn bind(config: &Config) -> anyhow::Result<Server> {
    let options = Options {
        listen: config.listen.clone(),
        tls: config.dns.tls.clone(),
        https: config.dns.https.clone(),
        https_hosts: config.dns.https_hosts.clone(),
        ..Options::default()
    };
    Ok(Server::bind(&options)?)
}

/// The runtime for sockets and tasks.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("dns")
        .build();
    runtime.context("cannot start threads: the system's limits are too tight")
}

/// The wish of the user or the system that the daemon end.
struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    /// From now on such a signal no longer ends the process at once.
    fn register() -> anyhow::Result<Self> {
        let register = |kind| signal(kind).context("cannot wait for signals");
        Ok(Self {
            terminate: register(SignalKind::terminate())?,
            interrupt: register(SignalKind::interrupt())?,
        })
    }

    /// Returns when one has come.
    async fn wait(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!("stopping");
    }
}

fn spawn_indexer(
    indexer: Indexer<impl ChainSource + 'static>,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name("indexer".to_owned());
    let run = move || {
        if let Err(error) = indexer.run(&stop) {
            tracing::error!("the index stopped: {error}");
        }
    };
    thread
        .spawn(run)
        .context("cannot start the indexer's thread")
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

/// Lets no answer outlive a commit that changes it. A new epoch may change the terms of every name.
fn tell_of_changes(store: &Store, handler: &Arc<Handler<Arc<NameStore>>>, params: &Arc<Params>) {
    let (handler, params) = (Arc::downgrade(handler), Arc::clone(params));
    let epoch_end = move |height: Option<u32>| params.epoch(height.unwrap_or(0)).end_block;
    let before = store.snapshot().tip().map(|tip| tip.height);
    let epoch = AtomicU32::new(epoch_end(before));
    store.subscribe(move |notice| {
        let Some(handler) = handler.upgrade() else {
            return;
        };
        handler.note_change(notice.height, &notice.names, &notice.namespaces);
        let now = epoch_end(notice.height);
        if epoch.swap(now, Ordering::Relaxed) != now {
            handler.forget_replies();
        }
    });
}

/// What earlier runs are known to have reached.
fn restore_progress(progress: &Progress, store: &Store) {
    if let Some(tip) = store.snapshot().tip() {
        progress.set_tip(tip.height, tip.time);
        progress.set_best_height(tip.height);
    }
    if crate::indexer::was_synced(store.directory()) {
        progress.set_ever_synced();
    }
}

fn policy(config: &Config) -> Policy {
    Policy {
        modes: config.namespaces.clone().into_iter().collect(),
        max_ttl: config.dns.max_ttl,
        max_lag: config.dns.max_lag,
        allow_private: allow_private(config),
        ad_for_bns: config.dns.ad_for_bns,
        ..Policy::default()
    }
}

/// Who may ask.
fn access(config: &Config) -> Arc<Access> {
    let networks = config.dns.access.clone();
    Arc::new(Access::new(networks, config.dns.rate_limit))
}

/// Whoever routes a domain to a resolver of their own network wants that network's addresses.
fn allow_private(config: &Config) -> Vec<hickory_proto::rr::Name> {
    let routes = config.dns.routes.iter().map(|(zone, _)| zone);
    let named = config.dns.allow_private.iter();
    named.chain(routes).cloned().collect()
}

fn forwarder(
    config: &Config,
    server: &Server,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Forwarder> {
    let dns = &config.dns;
    let system = || system(server);
    let upstreams = match dns.upstreams.is_empty() {
        true => system(),
        false => dns.upstreams.clone(),
    };
    let bootstrap = match dns.bootstrap.is_empty() {
        true => system()
            .iter()
            .filter_map(UpstreamConfig::address)
            .collect(),
        false => dns.bootstrap.clone(),
    };
    let options = ForwardOptions {
        upstreams,
        routes: dns.routes.clone(),
        bootstrap,
        ca_file: dns.ca_file.clone(),
        cache_bytes: dns.cache_bytes,
        stale_max: dns.stale_max,
        trust_ad: dns.trust_ad,
        anchors: anchors(dns)?,
    };
    Ok(Forwarder::new(options, Arc::clone(clock))?)
}

/// What answers are validated with.
fn anchors(dns: &DnsConfig) -> Result<Option<Anchors>, AnchorError> {
    match (dns.validate, &dns.trust_anchor) {
        (false, _) => Ok(None),
        (true, None) => Ok(Some(Anchors::of_icann())),
        (true, Some(path)) => Anchors::read(path).map(Some),
    }
}

/// The system's resolvers without ourselves. Nobody else is ever asked by default.
fn system(server: &Server) -> Vec<UpstreamConfig> {
    system_upstreams(Path::new(RESOLV_CONF), &server.local_addrs()).unwrap_or_else(|error| {
        tracing::warn!("cannot read {RESOLV_CONF}: {error}");
        Vec::new()
    })
}

fn load_cache(forwarder: &Forwarder, path: Option<&Path>) {
    let Some(path) = path else { return };
    match forwarder.load(path) {
        Ok(count) => tracing::debug!("{count} answers of upstreams were kept"),
        Err(error) => tracing::warn!("{error}"),
    }
}
