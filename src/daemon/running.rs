//! A running daemon: what it is assembled from, and the order in which it starts and stops.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::atlas::{self, Atlas};
use super::descriptors::Shares;
use super::dns;
use super::http;
use super::index;
use super::light::Light;
use super::log_desk::{self, LogDesk};
use super::lookups::Lookups;
use super::memory;
use super::notify;
use super::preferences::Preferences;
use super::proxy;
use super::reload::{self, Reload};
use super::samples::{self, Series};
use super::service::{DevNode, Service, Setup};
use super::source::Opened;
use super::trust::Trust;
use crate::api::control;
use crate::api::http::BindError;
use crate::api::lookup::LookupReply;
use crate::api::message::Reply;
use crate::bns::{Name, NamespaceId};
use crate::chain::{CHOOSE_A_SOURCE, ChainSource, SourceKind};
use crate::config::{Config, Profile};
use crate::dns::{Server, Serving, Transport};
use crate::folder::Folders;
use crate::names::NameStore;
use crate::resolver::{Mode, Policy, Snapshots as _};
use crate::worker::{Crew, Ended};

/// File of the upstreams' answers in the data directory.
const CACHE: &str = "cache.bin";
/// How long threads may take to end: less than the 90 s after which systemd kills.
const STOP_TIME: Duration = Duration::from_secs(60);

/// A running daemon.
pub struct Daemon {
    service: Arc<Service>,
    serving: Serving,
    proxy: Option<SocketAddr>,
    stop_indexer: Arc<AtomicBool>,
    crew: Crew,
    cache_file: PathBuf,
}

/// Bound sockets, on which nothing answers yet.
pub(super) struct Sockets {
    /// DNS, plain and encrypted.
    pub(super) dns: Server,
    /// The HTTP API.
    pub(super) api: http::Server,
    /// Other nodes.
    pub(super) atlas: atlas::Port,
}

impl Daemon {
    /// Starts everything that `config` asks for, following `source` if there is one. Must be called inside
    /// of a tokio runtime.
    pub fn start(config: &Config, source: Option<Box<dyn ChainSource>>) -> anyhow::Result<Self> {
        let opened = Opened {
            source,
            embedded: None,
        };
        let sockets = Sockets {
            dns: dns::bind(config)?,
            api: http::bind(config)?,
            atlas: atlas::bind(config)?,
        };
        Self::start_on(sockets, config, Profile::Serve, opened, None)
    }

    /// The same on bound sockets, with the embedded chain behind the source if it is one, so that it takes
    /// transactions. That of the demo is filled with names first: see [`Self::end_filling`]. `reload` is there if `config` can
    /// be read again.
    pub(super) fn start_on(
        Sockets {
            dns: server,
            api,
            atlas: peers,
        }: Sockets,
        config: &Config,
        profile: Profile,
        Opened { source, embedded }: Opened,
        reload: Option<Reload>,
    ) -> anyhow::Result<Self> {
        let (names, offchain) = index::open(config)?;
        let names = Arc::new(names);
        names.progress.set_filling(profile == Profile::Demo);
        let control = control::Server::bind(&config.control_socket)?;
        let mut crew = Crew::default();
        let cache_file = config.data_dir.join(CACHE);
        let system = dns::system_resolvers_of(profile);
        let listeners = server.addresses(Transport::Tcp);
        let forwarder = dns::forwarder(
            config,
            &listeners,
            system.as_ref(),
            &names.clock,
            config.dns.keep_cache.then_some(&*cache_file),
        )?;
        let watch = dns::network_watch(&listeners, system);
        crew.task("network watch", watch.run(Arc::clone(&forwarder)));

        let (preferences, chosen) = Preferences::open(&config.data_dir)?;
        let policy = Policy {
            preferences: chosen,
            gateway: api.gateway().map(|gateway| gateway.ip()),
            ..dns::policy(config)
        };
        let folders = &config.zonefiles.folders;
        let folders = Folders::watch(folders, &names.store, &names.archive, &mut crew)?;
        let trust = Trust::new(config, &names, &forwarder);
        let provision = trust.start(config, &mut crew)?;
        let atlas = Atlas::start(peers, &names, &offchain, config, &mut crew)?;
        let stop_indexer = Arc::default();
        let store = &names.store;
        let lookups = Lookups::default();
        let light = match config.chain.source {
            SourceKind::Log => Some(Light::open(config, store)?),
            _ => None,
        };
        let source = match &light {
            Some(light) => Some(light.start(lookups.resolve(), &mut crew)?),
            None => source,
        };
        let log = Arc::new(LogDesk::new(
            config,
            embedded.clone(),
            light,
            store,
            &stop_indexer,
        ));
        let publish = config.chain.publish.as_deref();
        let publish =
            publish.map(|to| log_desk::publish(to, &log, store, &stop_indexer, &mut crew));
        let published = publish.transpose()?;
        let service = Arc::new(Service {
            log,
            published,
            atlas,
            trust,
            handler: dns::handler(config, &names, policy, forwarder, provision),
            names,
            folders,
            preferences: Mutex::new(preferences),
            access: dns::access(config),
            keeps_cache: AtomicBool::new(config.dns.keep_cache),
            reload,
            listeners,
            tls_listeners: server.addresses(Transport::Tls),
            https_listeners: server.addresses(Transport::Https),
            api_listeners: api.addresses(),
            api_taken: api.taken().to_vec(),
            gateway: api.gateway(),
            network: config.chain.network,
            source: source.as_ref().map(|source| source.describe()),
            source_kind: config.chain.source,
            audits: source.as_ref().and_then(|source| source.audits()),
            confirmations: config.chain.confirmations,
            node: embedded.map(|chain| DevNode::new(chain, config.chain.confirmations)),
            series: Series::default(),
            setup: Setup::of(config, profile),
        });
        lookups.begin(&service);
        if let Some(node) = &service.node
            && profile == Profile::Serve
        {
            node.begin(service.names.params.first_block);
        }
        if let Some(source) = source {
            index::follow(&service.names, source, &stop_indexer, &mut crew)?;
        }
        index::sweep(&service.names, &stop_indexer, &mut crew)?;
        let handler = Arc::downgrade(&service.handler);
        let tell = move |names: &[Name]| {
            if let Some(handler) = handler.upgrade() {
                match names {
                    [] => handler.forget_replies(),
                    _ => handler.note_below(names),
                }
            }
        };
        index::index_subdomains(&service.names, tell, &stop_indexer, &mut crew)?;
        index::settle_archive(&service.names, &stop_indexer, &mut crew)?;
        index::tend_archive(&service.names, &stop_indexer, &mut crew)?;
        index::keep_names(&service.names, &stop_indexer, &mut crew)?;
        let serving = server.start(&service.handler, &service.access, &mut crew)?;
        if let Some(reload) = &service.reload {
            crew.task("log", reload.log.say_repeats());
        }
        if let Some(reload) = &service.reload
            && let Some(path) = reload.file()
        {
            let (path, seen, service) = (path.to_owned(), reload.looks(), Arc::clone(&service));
            let reload = move || drop(service.reload()); // what came of it is in the log
            crew.task("configuration", reload::watch(path, seen, reload));
        }
        crew.task("memory", memory::give_back(Arc::clone(&service.handler)));
        crew.task("samples", samples::take(Arc::clone(&service)));
        crew.task(
            "control socket",
            control.serve(Arc::clone(&service), Shares::of(config).control),
        );
        http::start(api, &service, config, &mut crew);
        let proxy = proxy::start(config, &service, &mut crew)?;
        Ok(Self {
            serving,
            service,
            proxy,
            stop_indexer,
            crew,
            cache_file,
        })
    }

    /// The state of names, as it is served.
    pub fn names(&self) -> &Arc<NameStore> {
        &self.service.names
    }

    /// From now on a name that the chain lacks is absent; namespaces have these modes.
    pub(super) fn end_filling(&self, modes: HashMap<NamespaceId, Mode>) {
        let handler = &self.service.handler;
        self.service.names.progress.set_filling(false);
        handler.set_policy(Policy {
            modes,
            ..(*handler.policy()).clone()
        });
    }

    /// All records of a name; `None` if it has none here.
    pub(super) fn listing(&self, name: &str) -> Option<LookupReply> {
        self.service.listing(name, &self.names().snapshot())
    }

    /// Who answers for other names, as ADDRESS:PORT.
    pub(super) fn upstreams(&self) -> Vec<String> {
        self.service.handler.forwarder.describe()
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

    /// From now on the service manager is told how it goes.
    pub(super) fn tell_manager(&mut self) {
        let (one, other) = (Arc::clone(&self.service), Arc::clone(&self.service));
        let telling = notify::keep_telling(move || one.answers(), move || other.summary());
        self.crew.task("service manager", telling);
    }

    /// Where the HTTP API and the status page are.
    pub fn api_listeners(&self) -> &[SocketAddr] {
        &self.service.api_listeners
    }

    /// Where the proxy is, with the port that port 0 became.
    pub fn proxy(&self) -> Option<SocketAddr> {
        self.proxy
    }

    /// Reads the configuration again, as whoever sent SIGHUP wants; what came of it is in the log.
    pub(super) fn reload(&self) {
        if let Err(refused) = tokio::task::block_in_place(|| self.service.reload())
            && let Reply::Error(error) = *refused
        {
            tracing::info!("SIGHUP changes nothing: {}", error.message);
        }
    }

    /// Waits for a worker that ends although the daemon needs it.
    pub async fn ended(&mut self) -> Ended {
        self.crew.ended().await
    }

    /// Stops answering, then indexing. The database is durable at every moment, so nothing is flushed here.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop_indexer.store(true, Ordering::Relaxed);
        self.service.folders.stop();
        if let Some(atlas) = &self.service.atlas {
            atlas.stop();
        }
        drop(self.serving);
        if self.service.keeps_cache.load(Ordering::Relaxed)
            && let Err(error) = self.service.handler.forwarder.save(&self.cache_file)
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
        for listener in self.api_listeners() {
            tracing::info!("the status page is on http://{listener}/");
        }
        if let Some(proxy) = self.proxy {
            tracing::info!(
                "the proxy for names is on {proxy}: `bnsd tls proxy` tells how to use it"
            );
        }
        for address in &self.service.api_taken {
            tracing::warn!("{}", BindError::Taken(*address));
        }
        if let Some(gateway) = self.service.gateway {
            tracing::info!("names without an address are shown on {gateway}");
        }
        if self.service.handler.forwarder.upstreams().is_empty() {
            tracing::warn!(
                "no upstream: other names cannot be resolved; set `dns.upstreams` or --upstream"
            );
        }
        match &self.service.source {
            Some(source) => tracing::info!("following {source}"),
            None if self.names().snapshot().is_final() => {}
            None => tracing::warn!(
                "no chain source is configured: names of the chain cannot be answered; {CHOOSE_A_SOURCE}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bitcoin::{Amount, NetworkKind};

    use super::*;
    use crate::api::ask::{Ask as _, Asking};
    use crate::api::owner::FaucetRequest;
    use crate::bns::network::Network;
    use crate::bns::network_file::NetworkFile;
    use crate::config::{FileChoice, Places, Profile, Sources};
    use crate::daemon::source;
    use crate::wallet::fee::{CAP, FeePolicy, HighFee};
    use crate::wallet::journal::Journal;
    use crate::wallet::keys::SigningKey;
    use crate::wallet::task::consent::Consent;
    use crate::wallet::task::wallet::{Means, Signer, Unanswered, Until};
    use crate::wallet::task::{Outcome, TaskError, Wallet, Wish, keyring::Keyring};
    use crate::wallet::vault::{Secret, Vault};

    /// A configuration with the embedded chain in a scratch directory.
    fn embedded(scratch: &Path) -> Config {
        let path = |name: &str| scratch.join(name).display().to_string();
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let config = Config::load(&Sources {
            profile: Profile::Serve,
            file: FileChoice::Nothing,
            environment: vec![
                variable("BNSD_LISTEN", "127.0.0.1:0"),
                variable("BNSD_CHAIN_SOURCE", "dev"),
                variable("BNSD_DATA_DIR", &path("data")),
                variable("BNSD_CONTROL_SOCKET", &path("socket")),
            ],
            flags: Vec::new(),
            places: Places::default(),
        });
        config.expect("a configuration")
    }

    fn start(config: &Config) -> Daemon {
        let opened = source::open(config).expect("the embedded chain");
        let sockets = Sockets {
            dns: dns::bind(config).expect("a free port"),
            api: http::bind(config).expect("a free port"),
            atlas: atlas::bind(config).expect("a free port"),
        };
        let daemon = Daemon::start_on(sockets, config, Profile::Serve, opened, None);
        daemon.expect("a daemon")
    }

    /// Preorders a namespace in process, with a new key; `consent` is asked.
    fn preorder(
        daemon: &Daemon,
        keys: &Path,
        consent: impl Fn(&Consent<'_>) -> Result<(), TaskError>,
    ) -> Result<Outcome, TaskError> {
        let (asking, chain) = Asking::begin(&*daemon.service).expect("a chain");
        let vault = Vault::new(keys.to_owned(), NetworkKind::Test);
        let secret = Secret::Key(SigningKey::dev_only_from_label("me"));
        vault.create("me", &secret, b"passphrase").expect("a key");
        let versions = chain.facts.versions();
        let me = SigningKey::dev_only_from_label("me").address();
        let gift = FaucetRequest {
            address: me.encode(versions),
            satoshi: Amount::from_int_btc(100),
        };
        daemon.service.ask(gift).expect("coins");
        let wallet = Wallet {
            node: Ok(Box::new(asking.clone())),
            state: Box::new(asking),
            journal: Journal::new(vault.directory(), &chain.facts.network.chain_name()),
            keyring: Keyring::new(vault, Box::new(|_| Ok(b"passphrase".to_vec().into()))),
            consent: Box::new(consent),
            tell: Box::new(|_| ()),
            magic: chain.facts.magic,
            versions,
        };
        let id = "somebody".parse().expect("a namespace");
        let wish = Wish::PreorderNamespace { id, revealer: None };
        let means = Means {
            key: None,
            payer: None,
            coins: Vec::new(),
            fees: FeePolicy {
                fixed: None,
                cap: CAP,
                high: HighFee::Refuse,
            },
            unanswered: Unanswered::Refused,
            signer: Signer::Here,
            until: Until::InBlock,
        };
        wallet.carry_out(&wish, &means)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_wish_is_carried_out_in_process() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let daemon = start(&embedded(scratch.path()));
        let keys = scratch.path().join("keys");
        let outcome = tokio::task::block_in_place(|| preorder(&daemon, &keys, |_| Ok(())));
        let Ok(Outcome::Accepted(accepted)) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(accepted.operation, "NAMESPACE_PREORDER");
        daemon.stop().await.expect("it ends");
    }

    /// The main chain cannot be mined here, so the continuation has the constants of a network of one's own.
    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_buys_on_the_continued_network_is_told_what_it_means() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let mut config = embedded(scratch.path());
        config.chain.network = Network::MainnetContinued;
        let file = include_str!("../bns/network_file.txt");
        config.chain.network_file = Some(NetworkFile::parse(file).expect("a network file"));
        let daemon = start(&config);
        let keys = scratch.path().join("keys");
        let refuse = |consent: &Consent<'_>| {
            let [concern] = consent.concerns else {
                panic!("{:?}", consent.concerns);
            };
            Err(TaskError::No(concern.to_string()))
        };
        let outcome = tokio::task::block_in_place(|| preorder(&daemon, &keys, refuse));
        let said = outcome.expect_err("nobody agreed").to_string();
        let sentence = "whoever runs bnsd agrees with whoever runs bnsd, and nobody else";
        assert!(said.contains(sentence), "{said}");
        daemon.stop().await.expect("it ends");
    }
}
