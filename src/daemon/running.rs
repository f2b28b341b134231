//! A running daemon: what it is assembled from, and the order in which it starts and stops.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::dns;
use super::index;
use super::preferences::Preferences;
use super::service::{DevNode, Service};
use crate::api::control;
use crate::chain::ChainSource;
use crate::chain::dev::DevChain;
use crate::config::Config;
use crate::dns::{Server, Serving, Transport};
use crate::folder::Folders;
use crate::names::NameStore;
use crate::resolver::Policy;
use crate::worker::{Crew, Ended};

/// File of the upstreams' answers in the data directory.
const CACHE: &str = "cache.bin";
/// How long threads may take to end: less than the 90 s after which systemd kills.
const STOP_TIME: Duration = Duration::from_secs(60);

/// A running daemon.
pub struct Daemon {
    service: Arc<Service>,
    serving: Serving,
    stop_indexer: Arc<AtomicBool>,
    crew: Crew,
    cache_file: Option<PathBuf>,
}

impl Daemon {
    /// Starts everything that `config` asks for, following `source` if there is one. Must be called inside
    /// of a tokio runtime.
    pub fn start(config: &Config, source: Option<Box<dyn ChainSource>>) -> anyhow::Result<Self> {
        Self::start_on(dns::bind(config)?, config, source, None)
    }

    /// The same on bound sockets, with the embedded chain behind `source`, so that it takes transactions.
    pub(super) fn start_on(
        server: Server,
        config: &Config,
        source: Option<Box<dyn ChainSource>>,
        chain: Option<DevChain>,
    ) -> anyhow::Result<Self> {
        let names = Arc::new(index::open(config)?);
        let control = control::Server::bind(&config.control_socket)?;
        let mut crew = Crew::default();
        let cache_file = config.dns.keep_cache.then(|| config.data_dir.join(CACHE));
        let forwarder = dns::forwarder(config, &server, &names.clock, cache_file.as_deref())?;
        let watch = dns::network_watch(config, &server);
        crew.task("network watch", watch.run(Arc::clone(&forwarder)));

        let (preferences, chosen) = Preferences::open(&config.data_dir)?;
        let policy = Policy {
            preferences: chosen,
            ..dns::policy(config)
        };
        let folders = &config.zonefiles.folders;
        let folders = Folders::watch(folders, &names.store, &names.archive, &mut crew)?;
        let service = Arc::new(Service {
            handler: dns::handler(config, &names, policy, forwarder),
            names,
            folders,
            preferences: Mutex::new(preferences),
            listeners: server.addresses(Transport::Tcp),
            tls_listeners: server.addresses(Transport::Tls),
            https_listeners: server.addresses(Transport::Https),
            network: config.chain.network,
            source: source.as_ref().map(|source| source.describe()),
            source_kind: config.chain.source,
            confirmations: config.chain.confirmations,
            node: chain.map(|chain| DevNode::new(chain, config.chain.confirmations)),
        });
        let stop_indexer = Arc::default();
        if let Some(source) = source {
            index::follow(&service.names, source, &stop_indexer, &mut crew)?;
        }
        let serving = server.start(&service.handler, &dns::access(config), &mut crew)?;
        crew.task("control socket", control.serve(Arc::clone(&service)));
        Ok(Self {
            serving,
            service,
            stop_indexer,
            crew,
            cache_file,
        })
    }

    /// The state of names, as it is served.
    pub fn names(&self) -> &Arc<NameStore> {
        &self.service.names
    }

    /// Where DNS is served, with the ports that port 0 became.
    pub fn listeners(&self) -> &[SocketAddr] {
        &self.service.listeners
    }

    /// Where DNS over TLS is served.
    pub fn tls_listeners(&self) -> &[SocketAddr] {
        &self.service.tls_listeners
    }

    /// Where DNS over HTTPS is served.
    pub fn https_listeners(&self) -> &[SocketAddr] {
        &self.service.https_listeners
    }

    /// Waits for a worker that ends although the daemon needs it.
    pub async fn ended(&mut self) -> Ended {
        self.crew.ended().await
    }

    /// Stops answering, then indexing. The database is durable at every moment, so nothing is flushed here.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop_indexer.store(true, Ordering::Relaxed);
        self.service.folders.stop();
        drop(self.serving);
        if let Some(path) = &self.cache_file
            && let Err(error) = self.service.handler.forwarder.save(path)
        {
            tracing::warn!("answers of upstreams are not kept: {error}");
        }
        Ok(self.crew.stop(STOP_TIME).await?)
    }

    /// Says in the log where and what is served.
    pub(super) fn log_start(&self) {
        for listener in self.listeners() {
            tracing::info!("answering DNS on {listener}");
        }
        for listener in self.tls_listeners() {
            tracing::info!("answering DNS over TLS on {listener}");
        }
        for listener in self.https_listeners() {
            tracing::info!("answering DNS over HTTPS on https://{listener}/dns-query");
        }
        if self.service.handler.forwarder.upstreams().is_empty() {
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
