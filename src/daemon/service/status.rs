//! The status: how the daemon is.

use std::net::SocketAddr;

use super::{Answered, Service, trouble};
use crate::api::http::BindError;
use crate::api::peers::PeersReply;
use crate::api::status::{
    BusyName, LIST_MAX, PublishedStatus, StatusReply, StatusRequest, SyncStatus, WaitingZonefile,
    ZonefilesStatus,
};
use crate::chain::CHOOSE_A_SOURCE;
use crate::config::Network;
use crate::daemon::atlas::Atlas;
use crate::daemon::reload::Reload;
use crate::daemon::sandbox;
use crate::daemon::trust::served;
use crate::names::{IndexStatus, Names};
use crate::resolver::{NameSource as _, Outcome, Snapshots as _, SyncState};

/// How many of the busiest names are shown.
const BUSIEST: usize = 10;
/// Seconds without a block after which the node is supposed to be behind; Bitcoin's blocks come every ten minutes.
const NODE_LAG: u64 = 3 * 3_600;

impl Service {
    pub(super) fn status(&self, request: &StatusRequest) -> Answered<StatusReply> {
        let names = self.names.snapshot();
        let tip = names.snapshot().tip();
        let counts = self.if_readable(names.snapshot().counts())?;
        let progress = &self.names.progress;
        let addresses = |list: &[SocketAddr]| list.iter().map(ToString::to_string).collect();
        Ok(StatusReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network: self.network.to_string(),
            network_meaning: self.network_meaning(),
            last_block: self.names.params.last_block,
            is_final: names.is_final(),
            source: match (&self.source, &self.names.exported) {
                (Some(source), _) => source.clone(),
                (None, Some(exported)) => exported.rests_on.clone(),
                (None, None) => "none".to_owned(),
            },
            known: self.names.progress.known().as_deref().cloned(),
            height: tip.map(|tip| tip.height),
            best_height: self.source.is_some().then(|| progress.best_height()),
            block_time: tip.map(|tip| tip.time).filter(|time| *time > 0),
            lag_seconds: match names.sync() {
                SyncState::Synced => Some(0),
                SyncState::Behind { lag, .. } => Some(lag.as_secs()),
                SyncState::Damaged
                | SyncState::NeverSynced { .. }
                | SyncState::Filling { .. }
                | SyncState::Forked { .. } => None,
            },
            sync: self.sync_status(&names),
            tip_age_seconds: self.tip_age(&names),
            consensus_hash: self.consensus_hash(&names),
            published: self.published.as_ref().map(|published| {
                let (height, trouble) = published.state();
                PublishedStatus { height, trouble }
            }),
            names: counts.names,
            names_in_memory: self.names_in_memory(),
            namespaces: counts.namespaces,
            preorders: counts.preorders,
            zonefiles: self.zonefiles()?,
            atlas: self.atlas.as_ref().map(Atlas::status),
            upstreams: self.handler.forwarder.describe(),
            listeners: addresses(&self.listeners),
            tls_listeners: addresses(&self.tls_listeners),
            https_listeners: addresses(&self.https_listeners),
            api_listeners: addresses(&self.api_listeners),
            api_taken: addresses(&self.api_taken),
            gateway: self.gateway.map(|gateway| gateway.to_string()),
            served: self.served(&names),
            unrouted: Vec::new(), // whoever asks sees what is installed
            busiest: if request.busiest {
                self.busiest()
            } else {
                Vec::new()
            },
            queries: Outcome::ALL
                .iter()
                .map(|outcome| {
                    (
                        outcome.as_str().to_owned(),
                        self.handler.counters.get(*outcome),
                    )
                })
                .collect(),
            sandbox: sandbox::state().map(str::to_owned),
            uptime_seconds: self.names.clock.elapsed().as_secs(),
            memory_bytes: resident_memory(),
            configuration_error: self.reload.as_ref().and_then(Reload::error),
            needs_restart: (self.reload.as_ref()).map_or_else(Vec::new, Reload::needs_restart),
            warnings: self.warnings(&names),
        })
    }

    /// What names rest on where the blocks of a chain are not all read, in one sentence.
    pub(super) fn rests_on(&self) -> Option<String> {
        let exported = self.names.exported.as_ref();
        let known = || self.names.progress.known().map(|known| known.to_string());
        exported
            .map(|exported| exported.rests_on.clone())
            .or_else(known)
    }

    /// Consensus hash of the tip, if there is one.
    pub(super) fn consensus_hash(&self, names: &Names) -> Option<String> {
        let tip = names.snapshot().tip()?;
        let is_known = self.names.exported.is_none();
        is_known.then(|| tip.consensus_hash.to_string())
    }

    /// What was read of the database; nothing of one that is damaged or failed, which a warning names. The reading may be
    /// what finds that.
    fn if_readable<T: Default>(&self, read: Result<T, impl std::fmt::Display>) -> Answered<T> {
        let store = &self.names.store;
        match read {
            Err(_) if store.damage().is_some() || store.failure().is_some() => Ok(T::default()),
            read => read.map_err(trouble),
        }
    }

    /// What is left to index, if anything is.
    fn sync_status(&self, names: &Names) -> Option<SyncStatus> {
        self.source.as_ref()?;
        let progress = &self.names.progress;
        let confirmed = progress.best_height().saturating_sub(self.confirmations);
        let last = self.names.params.last_block.unwrap_or(u32::MAX);
        let blocks_left = confirmed
            .min(last)
            .saturating_add(1)
            .saturating_sub(names.next());
        let blocks_per_minute = progress.blocks_per_minute(self.names.clock.elapsed());
        let seconds = |pace: u64| (u64::from(blocks_left) * 60).checked_div(pace);
        (blocks_left > 0).then(|| SyncStatus {
            blocks_left,
            blocks_per_minute,
            seconds_left: blocks_per_minute.and_then(seconds),
        })
    }

    /// Seconds since the time in the header of the tip.
    fn tip_age(&self, names: &Names) -> Option<u64> {
        let time = u64::from(names.snapshot().tip()?.time);
        if self.names.exported.is_some() {
            return None; // it has no blocks
        }
        Some(self.names.clock.unix_time().saturating_sub(time))
    }

    /// The index has all that the node has, but that ends long ago.
    fn node_lag(&self, names: &Names) -> Option<String> {
        let is_real = matches!(self.network, Network::Mainnet | Network::MainnetContinued);
        let has_all = names.sync() == SyncState::Synced && self.sync_status(names).is_none();
        let age = self.tip_age(names)?;
        (is_real && has_all && !names.is_final() && age > NODE_LAG).then(|| {
            let hours = age / 3_600;
            format!("the newest block of the node is {hours} hours old: it is behind itself or cut off, so names are as they were then")
        })
    }

    /// The namespaces that are ready, configured or known of the main chain before it is read, without those that are off.
    pub(in crate::daemon) fn served(&self, names: &Names) -> Vec<String> {
        let served = served(&self.handler.policy(), names, self.network);
        served.iter().map(ToString::to_string).collect()
    }

    fn busiest(&self) -> Vec<BusyName> {
        let names = self.handler.busiest.look(BUSIEST);
        let shown = names.iter().map(|(name, count)| BusyName {
            name: name.to_ascii().trim_end_matches('.').to_owned(),
            queries: count.round() as u64,
        });
        shown.collect()
    }

    fn zonefiles(&self) -> Answered<ZonefilesStatus> {
        let waiting = self.folders.waiting();
        Ok(ZonefilesStatus {
            announced: self.if_readable(self.names.zonefiles(LIST_MAX))?,
            waiting_count: waiting.len() as u64,
            waiting: waiting
                .iter()
                .take(LIST_MAX)
                .map(|waiting| WaitingZonefile {
                    file: waiting.path.display().to_string(),
                    hash: waiting.hash.to_string(),
                })
                .collect(),
        })
    }

    fn warnings(&self, names: &Names) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(damage) = self.names.store.damage() {
            warnings.push(format!(
                "the database is damaged ({damage}), so names of the chain are not answered: stop bnsd and run `bnsd chain verify --repair`, which derives it anew"
            ));
        }
        if let Some(failure) = self.names.store.failure() {
            warnings.push(format!(
                "the database cannot be written ({failure}), so the index stands still: check the disk and its free space, then it goes on by itself"
            ));
        }
        if self.source.is_none() && !names.is_final() {
            warnings.push(format!("no chain source is configured, so names of the chain cannot be answered: {CHOOSE_A_SOURCE}"));
        } else if let SyncState::NeverSynced { .. } = names.sync() {
            warnings.push("the first synchronisation has not finished: namespaces in mode `exact` are forwarded".to_owned());
        }
        let taken = self.api_taken.iter();
        warnings.extend(taken.map(|address| BindError::Taken(*address).to_string()));
        warnings.extend(self.atlas.iter().flat_map(Atlas::warnings));
        warnings.extend(self.reload_warnings());
        warnings.extend(self.node_lag(names));
        if let Some(known) = self.names.progress.known() {
            warnings.extend(known.held.iter().chain(&known.alarm).cloned());
        }
        let published = self.published.as_ref().map(|published| published.state());
        warnings.extend(published.and_then(|(_, trouble)| trouble));
        warnings.extend(self.missing_on_embedded_chain(names));
        if self.handler.forwarder.upstreams().is_empty() {
            warnings.push(
                "no upstream is known, so other names cannot be resolved: set `dns.upstreams` or --upstream"
                    .to_owned(),
            );
        }
        if let Some(open) = self.handler.forwarder.portal() {
            warnings.push(format!(
                "a captive portal is let through for {} s more, other names are asked in the clear: `bnsd portal close` ends that",
                open.remaining.as_secs()
            ));
        }
        warnings.extend(
            self.names
                .progress
                .trouble()
                .map(|trouble| trouble.to_string()),
        );
        warnings
    }
}

impl Service {
    /// The peers; none where nobody is asked or answered.
    pub(super) fn peers(&self) -> PeersReply {
        self.atlas.as_ref().map(Atlas::peers).unwrap_or_default()
    }

    /// What is not in force of the configuration.
    fn reload_warnings(&self) -> Vec<String> {
        let Some(reload) = &self.reload else {
            return Vec::new();
        };
        let error = reload.error().map(|error| {
            format!("the configuration is wrong, so the settings before it stay in force: {error}")
        });
        let keys = reload.needs_restart();
        let restart = || format!("needs a restart: {}", keys.join(", "));
        let restart = (!keys.is_empty()).then(restart);
        error.into_iter().chain(restart).collect()
    }

    fn names_in_memory(&self) -> IndexStatus {
        let index = self.names.index.as_ref();
        index.map(|index| index.status()).unwrap_or_default()
    }

    /// What an embedded chain lacks until somebody can own a name on it.
    fn missing_on_embedded_chain(&self, names: &Names) -> Option<String> {
        self.node.as_ref()?;
        let snapshot = names.snapshot();
        if let SyncState::Filling { .. } = names.sync() {
            return Some(
                "names are still being registered: until then they are SERVFAIL".to_owned(),
            );
        }
        if snapshot.tip().is_none() {
            return Some("the embedded chain has no block yet: `bnsd tx mine`".to_owned());
        }
        let counts = snapshot.counts().ok()?;
        (counts.namespaces == 0).then(|| {
            "the embedded chain has no namespace yet, so nobody can register a name: `bnsd keys new me`, then `bnsd namespace open id`".to_owned()
        })
    }
}

/// Resident memory in bytes, where Linux says it (proc(5), `statm`).
fn resident_memory() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
