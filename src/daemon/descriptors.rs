//! How many descriptors the process may have, and who gets how many of them.
//!
//! Files, the database and listeners come first, since nothing works without them. What is left is shared by connections of
//! clients, questions to upstreams (a socket each), the control socket and the HTTP API, so that none of them can take the
//! others'. So do connections that a configuration asks for: to peers of Atlas, to Bitcoin peers, to servers of logs.
//! The limit is raised as far as the system allows before it is shared.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::api::{control, http};
use crate::atlas;
use crate::chain::SourceKind;
use crate::config::{BitcoinPeers, ChainConfig, Config};
use crate::dns::CONNECTIONS_MAX;
use crate::store::Archive;
use crate::trust::AGENTS_MAX;
use crate::trust::proxy::TUNNELS_MAX;
use crate::upstream::QUESTIONS_MAX;

use super::archive;
use super::light::OUTBOUND;

/// Descriptors that are enough for everything.
const ENOUGH: u64 = 16_384;
/// The database, files that are read, folders that are watched, connections to the node and to encrypted upstreams, and
/// what the runtime takes: some twenty at rest (counted), the others for a moment.
const FILES: usize = 32;
/// Segments of zone files that may come to those that are there: each stays open.
const SEGMENTS: usize = 4;
/// The socket of agents, and their connections.
const AGENTS: usize = 1 + AGENTS_MAX;
/// The socket of the proxy, and its connections, each to a client and to a server.
const TUNNELS: usize = 1 + 2 * TUNNELS_MAX;
/// Connections to peers of Atlas, in use or kept for the next call.
const CALLS: usize = 48;
/// Of all descriptors, one in so many at most is for UDP sockets that listen.
const LISTENERS: usize = 8;
/// Of what is left, one in so many is for the control socket, and of the rest one in so many for upstreams.
const CONTROL: usize = 8;
/// As many for the HTTP API, of what is left then.
const API: usize = 8;
const QUESTIONS: usize = 3;
/// As many for peers of Atlas, of what is left after that.
const PEERS: usize = 8;
/// What each gets at least, however little there is.
const LEAST: usize = 4;

/// Who gets how many descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// UDP sockets for each address.
    pub udp_sockets: usize,
    /// Connections of clients.
    pub clients: usize,
    /// Questions that are out.
    pub questions: usize,
    /// Connections to the control socket.
    pub control: usize,
    /// Connections to the HTTP API.
    pub api: usize,
    /// Connections of peers of Atlas.
    pub peers: usize,
}

impl Shares {
    /// The shares under the limit of this process, which is raised as far as the system allows.
    pub fn of(config: &Config) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let archive = Archive::descriptors(&archive(config), SEGMENTS);
        let others = others(config) + archive;
        Self::among(raised_limit(), cores, config.listen.len(), others)
    }

    /// The shares of `limit` descriptors, with sockets for so many addresses of plain DNS, and so many descriptors for all
    /// else.
    fn among(limit: usize, cores: usize, plain: usize, others: usize) -> Self {
        let udp_sockets = (limit / LISTENERS / plain.max(1)).clamp(1, cores.max(1));
        let listeners = plain * (udp_sockets + 1) + others;
        let left = limit.saturating_sub(FILES + listeners);
        let control = (left / CONTROL).clamp(LEAST, control::CONNECTIONS_MAX);
        let left = left.saturating_sub(control);
        let api = (left / API).clamp(LEAST, http::CONNECTIONS_MAX);
        let left = left.saturating_sub(api);
        let peers = (left / PEERS).clamp(LEAST, atlas::CONNECTIONS_MAX);
        let left = left.saturating_sub(peers);
        let questions = (left / QUESTIONS).clamp(LEAST, QUESTIONS_MAX);
        let clients = left.saturating_sub(questions);
        Self {
            udp_sockets,
            clients: clients.clamp(LEAST, CONNECTIONS_MAX),
            questions,
            control,
            api,
            peers,
        }
    }
}

/// Descriptors of all that listens beside plain DNS, and of connections that a configuration asks for.
fn others(config: &Config) -> usize {
    let encrypted = [&config.dns.tls, &config.dns.https].into_iter().flatten();
    let streams: usize = encrypted.map(|encrypted| encrypted.listen.len()).sum();
    let streams = streams + config.api.listen.len() + config.api.gateway.iter().len();
    let agents = if config.tls.users.is_empty() {
        0
    } else {
        AGENTS
    };
    let tunnels = config.tls.proxy.map_or(0, |_| TUNNELS);
    let calls = if config.atlas.peers.is_empty() {
        0
    } else {
        CALLS
    };
    let atlas = config.atlas.listen.len() + calls;
    streams + agents + tunnels + atlas + chain(&config.chain)
}

/// Connections to Bitcoin peers and to the web servers of logs.
fn chain(chain: &ChainConfig) -> usize {
    if chain.source != SourceKind::Log {
        return 0;
    }
    let peers = match chain.light.peers {
        BitcoinPeers::None => 0,
        BitcoinPeers::Seeds | BitcoinPeers::Given(_) => OUTBOUND,
    };
    peers + chain.light.logs.len()
}

/// The limit of open descriptors, raised as far as the system allows and makes sense.
fn raised_limit() -> usize {
    let found = getrlimit(Resource::Nofile);
    let current = found.current.unwrap_or(u64::MAX); // none is no limit
    let wanted = found.maximum.map_or(ENOUGH, |most| most.min(ENOUGH));
    let raised = Rlimit {
        current: Some(wanted),
        maximum: found.maximum,
    };
    let is_raised = current < wanted && setrlimit(Resource::Nofile, raised).is_ok();
    let limit = if is_raised { wanted } else { current };
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileChoice, Places, Profile, Sources};

    #[test]
    fn all_shares_together_leave_room_for_files() {
        for limit in [64, 128, 256, 1_024, 4_096, 65_536] {
            for cores in [1, 2, 16, 128] {
                let shares = Shares::among(limit, cores, 2, 1);
                let listeners = 2 * (shares.udp_sockets + 1) + 1;
                let all = shares.clients
                    + shares.questions
                    + shares.control
                    + shares.api
                    + shares.peers
                    + listeners;
                assert!(all + 24 <= limit, "{limit}, {cores}: {shares:?}");
            }
        }
    }

    /// Ten million zone files of half a kilobyte are five segments, and an archive of the first segments, of 64 MiB each, has eighty.
    #[test]
    fn segments_of_zone_files_are_counted() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        assert_eq!(Archive::descriptors(scratch.path(), 4), 4);
        let segments = scratch.path().join("segments");
        std::fs::create_dir(&segments).expect("writable");
        for number in 1..=80 {
            for extension in ["zones", "places"] {
                let name = format!("{number:08}.{extension}");
                std::fs::write(segments.join(name), b"").expect("writable");
            }
        }
        let archive = Archive::descriptors(scratch.path(), 4);
        assert_eq!(archive, 84);
        let [with, without] = [archive, 0].map(|others| Shares::among(1_024, 2, 2, others));
        let sum = |shares: Shares| shares.clients + shares.questions + shares.peers;
        assert!(sum(with) + 70 <= sum(without), "{with:?} {without:?}");
        assert!(with.clients >= 256, "{with:?}");
    }

    #[test]
    fn who_follows_logs_has_room_for_bitcoin_peers() {
        let others_of = |settings: &[(&str, &str)]| {
            let data = [
                ("BNSD_DATA_DIR", "/data"),
                ("BNSD_CHAIN_NETWORK", "regtest"),
            ];
            let environment = data.iter().chain(settings);
            let environment = environment.map(|(key, value)| (key.to_string(), value.to_string()));
            let config = Config::load(&Sources {
                profile: Profile::Serve,
                file: FileChoice::Nothing,
                environment: environment.collect(),
                flags: Vec::new(),
                places: Places::default(),
            });
            others(&config.expect("a configuration"))
        };
        let without = others_of(&[]);
        let log = [
            ("BNSD_CHAIN_SOURCE", "log"),
            ("BNSD_CHAIN_LOGS", "/one,/two"),
        ];
        let none = ("BNSD_CHAIN_PEERS", "none");
        let given = ("BNSD_CHAIN_PEERS", "127.0.0.1:18444");
        assert_eq!(others_of(&[log[0], log[1], none]), without + 2);
        assert_eq!(others_of(&[log[0], log[1], given]), without + 2 + 8);
        assert_eq!(others_of(&[given]), without, "nobody is called");
    }

    #[test]
    fn with_plenty_everybody_has_enough() {
        let shares = Shares::among(16_384, 2, 2, 0);
        let expected = Shares {
            udp_sockets: 2,
            clients: CONNECTIONS_MAX,
            questions: QUESTIONS_MAX,
            control: control::CONNECTIONS_MAX,
            api: http::CONNECTIONS_MAX,
            peers: atlas::CONNECTIONS_MAX,
        };
        assert_eq!(shares, expected);
    }
}
