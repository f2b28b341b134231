//! Atlas in the daemon: its port, its node on a thread of its own, and what is shown of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::channel;

use super::descriptors::Shares;
use crate::api::peers::{PEERS_MAX, Peer, PeerStanding, PeersReply};
use crate::api::status::AtlasStatus;
use crate::atlas::{
    Backups, Board, Caller, Client, ClientOptions, Desk, LOOKUPS_MAX, Node, Options, PeerAddress,
    PeerRule, PeerState, Server, Settings, Shared, Socks, WORKERS,
};
use crate::chain::SourceKind;
use crate::config::Config;
use crate::names::NameStore;
use crate::store::Offchain;
use crate::worker::Crew;

/// Threads of the runtime: one that waits for the disk leaves one for peers.
const THREADS: usize = 2;
/// What peers tell without being asked, until the node has time for it.
const HEARD_MAX: usize = 1_000;
/// How long a file that is being written is waited for at the end.
const STOP_TIME: Duration = Duration::from_secs(5);
/// Threads that wait: some for the files of this node, and as many as peers and lookups of names can keep, so that nothing
/// of the node waits for them.
const BLOCKING_THREADS: usize = 4 + WORKERS + LOOKUPS_MAX;

/// The network of zone files.
pub struct Atlas {
    shared: Arc<Shared>,
    backups: Arc<Backups>,
    listeners: Vec<SocketAddr>,
    taken: Vec<SocketAddr>,
    has_peers: bool,
}

/// The port, as far as it could be had.
pub struct Port {
    server: Server,
    taken: Vec<SocketAddr>,
}

/// Takes the port, before rights are given up. One that nobody asked for is done without if somebody else has it.
pub fn bind(config: &Config) -> anyhow::Result<Port> {
    let options = &config.atlas;
    if !is_wanted(config) {
        let server = Server::bind(&[])?;
        let taken = Vec::new();
        return Ok(Port { server, taken });
    }
    match Server::bind(&options.listen) {
        Ok(server) => Ok(Port {
            server,
            taken: Vec::new(),
        }),
        Err(error) if options.may_lack_port && error.is_taken() => Ok(Port {
            server: Server::bind(&[])?,
            taken: options.listen.clone(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// Whether zone files are shared. Names of an export have no numbers that others have too.
fn is_wanted(config: &Config) -> bool {
    config.chain.source != SourceKind::Final
}

impl Atlas {
    /// Begins to fetch and to serve, with a thread of `crew`. `None` where nobody is to be asked or answered.
    pub fn start(
        Port { server, taken }: Port,
        names: &Arc<NameStore>,
        offchain: &Arc<Offchain>,
        config: &Config,
        crew: &mut Crew,
    ) -> anyhow::Result<Option<Self>> {
        let options = &config.atlas;
        let listeners = server.addresses();
        let has_peers = !options.peers.is_empty();
        let has_nobody = options.listen.is_empty() && !has_peers && options.backups.is_empty();
        if has_nobody || !is_wanted(config) {
            return Ok(None);
        }
        let backups = Arc::new(Backups::open(&options.backups)?);
        backups.start(&names.archive, crew);
        let runtime = runtime()?;
        let shared = Arc::new(Shared::default());
        let (tell, heard) = channel(HEARD_MAX);
        let board = Arc::new(Board::default());
        let desk = Desk::new(Arc::clone(names), Arc::clone(&board), tell);
        let desk = Arc::new(desk.denying(options.deny.clone()));
        let caller = Caller {
            client: Client::new(client_options(options)),
            names: Arc::clone(names),
            backups: Arc::clone(&backups),
            offchain: Arc::clone(offchain),
            own: listeners
                .iter()
                .map(|listener| reachable(*listener))
                .find(|own| own.to_wire().is_some()),
        };
        let settings = settings(options, &listeners);
        let node = Node::new(settings, caller, (&shared, &board), heard);
        subscribe(names, &shared);
        let connections = Shares::of(config).peers;
        crew.thread("atlas", move || {
            runtime.block_on(async {
                tokio::select! {
                    () = node.run() => {}
                    () = server.serve(desk, connections) => {}
                }
            });
            runtime.shutdown_timeout(STOP_TIME);
        })?;
        Ok(Some(Self {
            shared,
            backups,
            listeners,
            taken,
            has_peers,
        }))
    }

    /// Has the node end.
    pub fn stop(&self) {
        self.shared.signals.stop();
    }
}

impl Atlas {
    /// How zone files come.
    pub fn status(&self) -> AtlasStatus {
        let report = self.shared.report.load();
        let addresses = |list: &[SocketAddr]| list.iter().map(ToString::to_string).collect();
        let left = u64::from(report.wanted.saturating_sub(report.present));
        let a_minute = report.a_minute as u64;
        AtlasStatus {
            listeners: addresses(&self.listeners),
            taken: addresses(&self.taken),
            peers: report.peers.len() as u64,
            neighbours: report.peers.iter().filter(|peer| peer.neighbour).count() as u64,
            announcements: report.announcements.into(),
            wanted: report.wanted.into(),
            present: report.present.into(),
            zonefiles_per_minute: a_minute,
            seconds_left: (left * 60).checked_div(a_minute).filter(|_| left > 0),
            backups: self.backups.status(),
        }
    }

    /// The peers.
    pub fn peers(&self) -> PeersReply {
        let report = self.shared.report.load();
        PeersReply {
            count: report.peers.len() as u64,
            peers: report.peers.iter().take(PEERS_MAX).map(shown).collect(),
        }
    }

    /// What somebody should know or do.
    pub fn warnings(&self) -> Vec<String> {
        let report = self.shared.report.load();
        let mut warnings = Vec::new();
        let taken = self.taken.iter();
        warnings.extend(taken.map(|address| {
            format!("port {} on {} is taken (by another bnsd?), so peers cannot ask here: set `atlas.listen` to another address or to [\"none\"]", address.port(), address.ip())
        }));
        if report.long_missing > 0 && !self.has_peers && report.peers.is_empty() {
            warnings.push(format!(
                "{} been missing for more than a day, and no peer is known: name one in `atlas.peers`",
                have(report.long_missing)
            ));
        } else if report.long_missing > 0 {
            warnings.push(format!(
                "{} been missing for more than a day: `bnsd zonefile missing` lists what was tried",
                have(report.long_missing)
            ));
        }
        let backups = self.backups.status().into_iter();
        warnings.extend(backups.filter_map(|backup| {
            let problem = backup.problem?;
            Some(format!(
                "zone files cannot be backed up to {}: {problem}",
                backup.place
            ))
        }));
        warnings
    }
}

fn have(files: usize) -> String {
    match files {
        1 => "1 zone file has".to_owned(),
        files => format!("{files} zone files have"),
    }
}

fn shown(peer: &PeerState) -> Peer {
    let state = match (&peer.banned_for, peer.neighbour, peer.answered) {
        (Some(_), _, _) => PeerStanding::Banned,
        (None, true, _) => PeerStanding::Neighbour,
        (None, false, Some(_)) => PeerStanding::Known,
        (None, false, None) => PeerStanding::Untried,
    };
    Peer {
        address: peer.address.to_string(),
        state,
        configured: peer.configured,
        health: (peer.calls > 0).then_some(peer.health),
        zonefiles: peer.present,
        last_success_seconds: peer.answered.map(|age| age.as_secs()),
        strikes: peer.strikes,
        banned_seconds: peer.banned_for.map(|left| left.as_secs()),
    }
}

fn client_options(options: &Options) -> ClientOptions {
    let configured = options.peers.iter().cloned().map(PeerRule::Peer);
    ClientOptions {
        proxy: options.proxy.map(|address| Socks {
            address,
            user: None,
        }),
        allow: configured.chain(options.allow.iter().cloned()).collect(),
        deny: options.deny.clone(),
    }
}

fn settings(options: &Options, listeners: &[SocketAddr]) -> Settings {
    Settings {
        own: listeners.iter().copied().map(reachable).collect(),
        peers: options.peers.clone(),
        allow: options.allow.clone(),
        deny: options.deny.clone(),
        backups: !options.backups.is_empty(),
        ..Settings::default()
    }
}

/// Where somebody on this machine reaches a listener; peers elsewhere go by the address that they see.
fn reachable(listener: SocketAddr) -> PeerAddress {
    let ip = match listener.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    PeerAddress::new(ip, listener.port())
}

/// Has store and archive tell the node what changed.
fn subscribe(names: &NameStore, shared: &Arc<Shared>) {
    let on_commit = Arc::clone(shared);
    names.store.subscribe(move |_| on_commit.signals.commit());
    let on_notice = Arc::clone(shared);
    names
        .archive
        .subscribe(move |notice| on_notice.signals.notice(notice));
}

fn runtime() -> anyhow::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(THREADS)
        .max_blocking_threads(BLOCKING_THREADS);
    let runtime = builder.enable_all().thread_name("atlas").build();
    runtime.context("cannot start threads for Atlas: the system's limits are too tight")
}
