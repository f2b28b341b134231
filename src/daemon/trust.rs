//! Certificates of names for the programs of this machine: who makes them, and who is told.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::descriptors::Shares;
use crate::api::socket;
use crate::bns::NamespaceId;
use crate::config::{Config, Network};
use crate::disk::users;
use crate::names::{NameStore, Names, NamespaceState};
use crate::resolver::policy::{of_main_chain, protected_names};
use crate::resolver::{Mode, Policy, Snapshots as _};
use crate::trust::{self, Constraints, Hub, Issuers, Mint, Provision, Terms};
use crate::upstream::Forwarder;
use crate::worker::Crew;

/// Of the connections to the HTTP API, one in so many may wait for a certificate.
const HELD: usize = 3;
/// Name of the agents' socket, beside the control socket.
const SOCKET: &str = "trust.sock";

/// Who makes certificates.
pub struct Trust {
    /// Makes them.
    pub mint: Arc<Mint>,
    /// Hands them to browsers that ask.
    pub issuers: Issuers,
}

/// What the daemon says about names.
struct DaemonTerms {
    names: Arc<NameStore>,
    forwarder: Arc<Forwarder>,
    network: Network,
}

impl Terms for DaemonTerms {
    fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.forwarder.terms().policy)
    }

    fn constraints(&self) -> Constraints {
        let served = served(&self.policy(), &self.names.snapshot(), self.network);
        Constraints {
            namespaces: served.iter().map(ToString::to_string).collect(),
            protected: protected_names().collect(),
        }
    }
}

impl Trust {
    /// For the names of this daemon; nothing is made yet.
    pub fn new(config: &Config, names: &Arc<NameStore>, forwarder: &Arc<Forwarder>) -> Self {
        let terms = DaemonTerms {
            names: Arc::clone(names),
            forwarder: Arc::clone(forwarder),
            network: config.chain.network,
        };
        let mint = Mint::new(config.data_dir.clone(), Arc::clone(names), Box::new(terms));
        let mint = Arc::new(mint);
        Self {
            issuers: Issuers::new(Arc::clone(&mint), Shares::of(config).api / HELD),
            mint,
        }
    }

    /// Serves the agents of users, with workers of `crew`. Gives what answers wait for; `None` if nobody has an agent.
    pub fn start(
        &self,
        config: &Config,
        crew: &mut Crew,
    ) -> anyhow::Result<Option<Arc<dyn Provision>>> {
        if config.tls.users.is_empty() {
            return Ok(None);
        }
        let hub = Arc::new(Hub::new(Arc::clone(&self.mint)));
        let path = path(config);
        let (listener, file) = socket::bind_for_all(&path)?;
        warn_of_closed_directory(&path);
        warn_of_unknown_users(&config.tls.users);
        let serving = trust::serve(listener, file, config.tls.users.clone(), Arc::clone(&hub));
        crew.task("agents", serving);
        crew.task("certificates", Arc::clone(&hub).keep());
        Ok(Some(hub))
    }
}

/// Whoever starts the daemon by hand has its socket in a private directory, which other users cannot enter.
fn warn_of_closed_directory(socket: &Path) {
    let Some(directory) = socket.parent() else {
        return;
    };
    let mode = std::fs::metadata(directory).map_or(0, |metadata| metadata.mode());
    if mode & 0o001 == 0 {
        let directory = directory.display();
        tracing::warn!(
            "agents of other users cannot reach {}: set `control-socket` to a place of its own, such as /run/bnsd/control.sock, and `chmod 711` its directory; now it is {directory}",
            socket.display()
        );
    }
}

fn warn_of_unknown_users(users: &[String]) {
    for user in users.iter().filter(|user| users::number(user).is_none()) {
        tracing::warn!(
            "`tls.users` names {user}, who is not in /etc/passwd: correct it, or write the number of the user"
        );
    }
}

/// The agents' socket.
fn path(config: &Config) -> PathBuf {
    config.control_socket.with_file_name(SOCKET)
}

/// The namespaces that are ready, configured or known of the main chain before it is read, without those that are off.
pub fn served(policy: &Policy, names: &Names, network: Network) -> BTreeSet<NamespaceId> {
    let revealed = names.namespaces().unwrap_or_default(); // a status warns of that
    let ready = revealed
        .into_iter()
        .filter(|row| row.state == NamespaceState::Ready);
    let is_main = matches!(network, Network::Mainnet | Network::MainnetContinued);
    let known = of_main_chain().filter(|_| is_main);
    let mut all: BTreeSet<NamespaceId> = known.filter_map(|id| id.parse().ok()).collect();
    all.extend(ready.map(|row| row.id));
    all.extend(policy.modes.keys().cloned());
    all.retain(|id| policy.mode(id).mode() != Mode::Off);
    all
}
