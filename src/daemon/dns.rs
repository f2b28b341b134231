//! The answering side: listeners, the handler, the forwarder and what the configuration says about them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::descriptors::Shares;
use super::inherited;
use crate::clock::Clock;
use crate::config::{Config, DnsConfig, Profile};
use crate::dns::{Access, Handler, Hosts, Identity, Options, Ports, Server};
use crate::names::NameStore;
use crate::resolver::Policy;
use crate::store::Store;
use crate::trust::Provision;
use crate::upstream::{
    AnchorError, Anchors, Authorities, ForwardOptions, Forwarder, SystemResolvers, UpstreamConfig,
    Watch,
};

/// Where the system names hosts.
const HOSTS: &str = "/etc/hosts";

/// Takes the DNS ports; nothing is served yet.
pub fn bind(config: &Config) -> anyhow::Result<Server> {
    server(Ports::bind(&options(config))?, config)
}

/// Takes the DNS ports, or the sockets that the service manager hands over for plain DNS, whatever `listen` says.
pub fn take_ports(config: &Config) -> anyhow::Result<Ports> {
    let Some(sockets) = inherited::take()? else {
        return Ok(Ports::bind(&options(config))?);
    };
    let served: BTreeSet<SocketAddr> = sockets.addresses().collect();
    let listen: BTreeSet<SocketAddr> = config.listen.iter().copied().collect();
    if config.is_given("listen") && listen != served {
        let served: Vec<String> = served.iter().map(ToString::to_string).collect();
        tracing::warn!(
            "`listen` is not heeded, since the service manager passed sockets for {}: change these in its unit (`systemctl edit bnsd.socket`), or run bnsd-standalone.service instead",
            served.join(", ")
        );
    }
    Ok(Ports::inherit(sockets, &options(config))?)
}

/// What is served on the ports. Makes a certificate where none is given and one is needed.
pub fn server(ports: Ports, config: &Config) -> anyhow::Result<Server> {
    if identities(config).any(|identity| matches!(identity, Identity::SelfSigned(_))) {
        Store::claim(&config.data_dir)?; // it is kept there
    }
    Ok(Server::new(ports, &options(config))?)
}

fn options(config: &Config) -> Options {
    let shares = Shares::of(config);
    Options {
        listen: config.listen.clone(),
        tls: config.dns.tls.clone(),
        https: config.dns.https.clone(),
        https_hosts: config.dns.https_hosts.clone(),
        udp_sockets: shares.udp_sockets,
        tcp_connections: shares.clients,
    }
}

/// The identities of what is encrypted.
pub fn identities(config: &Config) -> impl Iterator<Item = &Identity> {
    let encrypted = [&config.dns.tls, &config.dns.https].into_iter().flatten();
    encrypted.map(|encrypted| &encrypted.identity)
}

/// What answers queries: from the index, `/etc/hosts` and upstreams, with the person's choices in `policy`. Answers wait for
/// `provision`.
pub fn handler(
    config: &Config,
    names: &Arc<NameStore>,
    policy: Policy,
    forwarder: Arc<Forwarder>,
    provision: Option<Arc<dyn Provision>>,
) -> Arc<Handler<Arc<NameStore>>> {
    let handler = Handler::new(Arc::clone(names), policy, forwarder)
        .with_log(config.log_queries)
        .with_provision(provision)
        .with_hosts(Some(Hosts::new(HOSTS.into())));
    handler.set_hosts_served(config.dns.hosts);
    let handler = Arc::new(handler);
    tell_of_changes(names, &handler);
    handler
}

/// Lets no answer outlive a commit that changes it. A new epoch may change the terms of every name.
fn tell_of_changes(names: &NameStore, handler: &Arc<Handler<Arc<NameStore>>>) {
    let (handler, params) = (Arc::downgrade(handler), Arc::clone(&names.params));
    let epoch_end = move |height: Option<u32>| params.epoch(height.unwrap_or(0)).end_block;
    let before = names.store.snapshot().tip().map(|tip| tip.height);
    let epoch = AtomicU32::new(epoch_end(before));
    names.store.subscribe(move |notice| {
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

/// Who is asked where no upstream is configured: the system's resolvers, and nobody in the demo, which asks nobody that it
/// was not told to ask.
pub fn system_resolvers_of(profile: Profile) -> Option<SystemResolvers> {
    match profile {
        Profile::Serve => Some(SystemResolvers::of_machine()),
        Profile::Demo => None,
    }
}

/// What watches the resolvers of the `system` and the machine's sleep for the forwarder.
pub fn network_watch(listeners: &[SocketAddr], system: Option<SystemResolvers>) -> Watch {
    Watch {
        resolvers: system,
        listeners: listeners.to_vec(),
    }
}

/// Who answers for which name, and on what terms; without the choices of a person and the gateway.
pub fn policy(config: &Config) -> Policy {
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
pub fn access(config: &Config) -> Arc<Access> {
    let networks = config.dns.access.clone();
    Arc::new(Access::new(networks, config.dns.rate_limit))
}

/// Whoever routes a domain to a resolver of their own network wants that network's addresses.
fn allow_private(config: &Config) -> Vec<hickory_proto::rr::Name> {
    let routes = config.dns.routes.iter().map(|(zone, _)| zone);
    let named = config.dns.allow_private.iter();
    named.chain(routes).cloned().collect()
}

/// What asks upstreams, where none is configured those of the `system`, with the answers that an earlier run kept in
/// the file `kept`.
pub fn forwarder(
    config: &Config,
    listeners: &[SocketAddr],
    system: Option<&SystemResolvers>,
    clock: &Arc<dyn Clock>,
    kept: Option<&Path>,
) -> anyhow::Result<Arc<Forwarder>> {
    let options = forward_options(config, listeners, system, None)?;
    let forwarder = Forwarder::new(options, Arc::clone(clock))?;
    load_cache(&forwarder, kept);
    Ok(Arc::new(forwarder))
}

/// How to forward, on a daemon that listens at `listeners`. Where the system's resolvers cannot be read, since their file is
/// being replaced, those that `in_force` has of them stay.
pub fn forward_options(
    config: &Config,
    listeners: &[SocketAddr],
    system: Option<&SystemResolvers>,
    in_force: Option<&Forwarder>,
) -> anyhow::Result<ForwardOptions> {
    let dns = &config.dns;
    let follows_system = dns.upstreams.is_empty();
    let upstreams = match follows_system {
        true => system.map_or_else(Vec::new, |system| {
            let before = in_force.filter(|forwarder| forwarder.follows_system());
            read_upstreams(system, listeners)
                .or_else(|| Some(before?.upstreams()))
                .unwrap_or_default()
        }),
        false => dns.upstreams.clone(),
    };
    // Who names an upstream by name wants its address looked up.
    let addresses = || {
        let read = read_upstreams(&SystemResolvers::of_machine(), listeners)
            .map(|found| found.iter().filter_map(UpstreamConfig::address).collect());
        read.or_else(|| Some(in_force?.bootstrap()))
            .unwrap_or_default()
    };
    let bootstrap = match dns.bootstrap.is_empty() {
        true => addresses(),
        false => dns.bootstrap.clone(),
    };
    Ok(ForwardOptions {
        upstreams,
        follows_system,
        routes: dns.routes.clone(),
        bootstrap,
        authorities: (dns.ca_file.as_deref().map(Authorities::read)).transpose()?,
        cache_bytes: dns.cache_bytes,
        questions_max: Shares::of(config).questions,
        stale_max: dns.stale_max,
        trust_ad: dns.trust_ad,
        anchors: anchors(dns)?,
    })
}

/// What answers are validated with.
fn anchors(dns: &DnsConfig) -> Result<Option<Anchors>, AnchorError> {
    match (dns.validate, &dns.trust_anchor) {
        (false, _) => Ok(None),
        (true, None) => Ok(Some(Anchors::of_icann())),
        (true, Some(path)) => Anchors::read(path).map(Some),
    }
}

/// The system's resolvers without ourselves, if they can be read. Nobody else is ever asked by default.
fn read_upstreams(
    resolvers: &SystemResolvers,
    listeners: &[SocketAddr],
) -> Option<Vec<UpstreamConfig>> {
    let found = resolvers.upstreams(listeners);
    found
        .inspect_err(|error| tracing::warn!("cannot read /etc/resolv.conf: {error}"))
        .ok()
}

fn load_cache(forwarder: &Forwarder, path: Option<&Path>) {
    let Some(path) = path else { return };
    match forwarder.load(path) {
        Ok(count) => tracing::debug!("{count} answers of upstreams were kept"),
        Err(error) => tracing::warn!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::config::{FileChoice, Places, Sources};

    #[test]
    fn the_systems_resolvers_stay_while_their_file_is_away() {
        let root = tempfile::tempdir().expect("a scratch directory");
        let file = root.path().join("etc/resolv.conf");
        std::fs::create_dir(root.path().join("etc")).expect("a directory");
        std::fs::write(&file, "nameserver 192.0.2.53\n").expect("a file");
        let sources = Sources {
            profile: Profile::Serve,
            file: FileChoice::Nothing,
            environment: vec![("BNSD_DNS_BOOTSTRAP".to_owned(), "192.0.2.1".to_owned())],
            flags: Vec::new(),
            places: Places {
                state: Some("/state".into()),
                config_file: None,
            },
        };
        let config = Config::load(&sources).expect("a configuration");
        let system = SystemResolvers::under(root.path());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let forwarder = forwarder(&config, &[], Some(&system), &clock, None).expect("a forwarder");
        std::fs::remove_file(&file).expect("our own file");
        let options = forward_options(&config, &[], Some(&system), Some(&forwarder));
        let upstreams = options.expect("options").upstreams;
        assert_eq!(upstreams, ["192.0.2.53".parse().expect("an upstream")]);
        assert_eq!(upstreams, forwarder.upstreams());
    }
}
