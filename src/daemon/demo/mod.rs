//! `bnsd demo`: a working resolver on an embedded chain; it needs nothing else.
//!
//! The daemon is the one of `bnsd serve`. In addition, a registrar registers the names of a folder on the chain, as
//! their owners would. When the demo is run again, it goes on with the same chain and announces what changed.
//!
//! DNS is answered from the first moment. Until all names are registered, nobody can say which names are absent: their
//! namespaces are the chain's alone and SERVFAIL ([`Progress::set_filling`](crate::progress::Progress::set_filling)).
//! Then each has the mode of [`mode_of`].
//!
//! The demo sends nothing anywhere unless it is given an upstream: not even the system's resolvers are asked.

mod files;
mod welcome;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::task::{JoinSet, spawn_blocking};

use self::files::File;

use super::index::params;
use super::running::{Daemon, Sockets};

use super::source::{self, Opened};
use super::supervisor::{self, EndSignals};
use super::{atlas, dns, http};
use crate::bns::{Bns, Name, NamespaceId};
use crate::chain::dev::DevChain;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, Profile};
use crate::hash::ZonefileHash;
use crate::resolver::{Mode, Policy};
use crate::store::Archive;
use crate::wallet::registrar::{LeftOut, Registrar};

/// The folder that is used when it lies in the current directory.
const FOLDER: &str = "zonefiles";
/// How long the index may take for a block of the demo's chain.
const PATIENCE: Duration = Duration::from_secs(60);

/// Files that wait for the disk at the same time: it syncs many almost as fast as one.
const WRITERS: usize = 16;

/// Modes of namespaces.
type Modes = BTreeMap<NamespaceId, Mode>;

/// Is told how many of how many names are registered.
pub type Tell = Box<dyn Fn(usize, usize) + Send>;

/// Runs the demo until a signal ends it. `zonefiles` is a directory whose `NAME.zone` files are registered instead of the
/// ones that come with the program; `config` has the demo's built-in values.
pub fn run_demo(mut config: Config, zonefiles: Option<PathBuf>, tell: Tell) -> anyhow::Result<()> {
    supervisor::run(async {
        let hangups = supervisor::hangups()?;
        let server = dns::bind(&config)?;
        let here = || Some(PathBuf::from(FOLDER)).filter(|path| path.is_dir());
        let folder = zonefiles.or_else(here);
        let files = match &folder {
            Some(folder) => files::read_folder(folder)?,
            None => files::built_in(),
        };
        let folder = folder.map(|folder| fs::canonicalize(&folder).unwrap_or(folder));
        config.zonefiles.folders.extend(folder);
        let modes = modes(&config, &files);
        config.namespaces = modes_until_filled(&modes);

        let chain = source::open_embedded(&config)?;
        let opened = Opened::of_dev(&chain, &config.chain);
        let sockets = Sockets {
            dns: server,
            api: http::bind(&config)?,
            atlas: atlas::bind(&config)?,
        };
        let daemon = Daemon::start_on(sockets, &config, Profile::Demo, opened, None)?;
        let left_out = fill(&daemon, &config, chain, &files, tell).await?;
        daemon.end_filling(modes.into_iter().collect());
        let signals = EndSignals::register()?;
        let names = files.iter().map(|(name, _)| name);
        let absent: BTreeSet<&Name> = left_out.iter().map(|left| &left.name).collect();
        let served: Vec<&Name> = names.filter(|name| !absent.contains(name)).collect();
        welcome::write(&served, &daemon, &config)?;
        supervisor::serve(daemon, signals, hangups).await
    })
}

/// The modes of the configuration, and of the namespaces of the files that it leaves open.
fn modes(config: &Config, files: &[File]) -> Modes {
    let ids = files.iter().filter_map(|(name, _)| name.namespace_id());
    let ids: BTreeSet<NamespaceId> = ids.collect();
    let mut modes: Modes = ids
        .into_iter()
        .map(|id| {
            let mode = mode_of(&id, config);
            (id, mode)
        })
        .collect();
    modes.extend(config.namespaces.clone());
    modes
}

/// A namespace that is a top-level domain too shares it with the legacy names (mode `exact`) where an upstream has
/// these. Everything else is the chain's alone.
fn mode_of(id: &NamespaceId, config: &Config) -> Mode {
    let is_alone = config.dns.upstreams.is_empty();
    match Policy::default().mode(id).mode() {
        Mode::Exact | Mode::Off if !is_alone => Mode::Exact,
        _ => Mode::Only,
    }
}

/// Whether a name is held by the chain is open until all are registered, so that none may be left to an upstream.
fn modes_until_filled(modes: &Modes) -> Modes {
    let until_filled = |mode: Mode| match mode {
        Mode::Exact => Mode::Only,
        other => other,
    };
    let modes = modes.iter();
    modes
        .map(|(id, mode)| (id.clone(), until_filled(*mode)))
        .collect()
}

/// Registers the names of the files, and returns when the daemon answers for them; gives those that could not be.
async fn fill(
    daemon: &Daemon,
    config: &Config,
    chain: DevChain,
    files: &[File],
    tell: Tell,
) -> anyhow::Result<Vec<LeftOut>> {
    let bns = Bns::new(params(&config.chain));
    let hashes = files
        .iter()
        .map(|(name, bytes)| (name.clone(), ZonefileHash::of(bytes)));
    let hashes: Vec<_> = hashes.collect();
    archive(&daemon.names().archive, files).await?;
    let published = spawn_blocking(move || publish(chain, bns, &hashes, tell));
    let (left_out, height) = published.await??;
    for LeftOut { name, reason } in &left_out {
        tracing::warn!("the zone file of {name} is left out: {reason}");
    }
    wait_for_index(daemon, height).await?;
    Ok(left_out)
}

/// Puts the files into the archive.
async fn archive(archive: &Arc<Archive>, files: &[File]) -> anyhow::Result<()> {
    let mut writers = JoinSet::new();
    for share in files.chunks(files.len().div_ceil(WRITERS).max(1)) {
        let (archive, share) = (Arc::clone(archive), share.to_vec());
        let put_all = move || {
            let mut files = share.iter();
            files.try_for_each(|(_, bytes)| archive.put(bytes).map(|_| ()))
        };
        writers.spawn_blocking(put_all);
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    Ok(())
}

/// Puts the names on the chain; gives those that could not be registered, and the height that holds the rest.
fn publish(
    chain: DevChain,
    bns: Bns,
    hashes: &[(Name, ZonefileHash)],
    tell: Tell,
) -> anyhow::Result<(Vec<LeftOut>, u32)> {
    let now = u32::try_from(SystemClock::start().unix_time())
        .context("the clock is beyond the year 2106")?;
    let mut registrar = Registrar::open(chain, bns)?;
    let total = hashes.len();
    registrar.tell = Box::new(move |done| tell(done, total));
    let left_out = registrar.publish(hashes, now)?;
    Ok((left_out, registrar.tip().map_or(0, |tip| tip.height)))
}

async fn wait_for_index(daemon: &Daemon, height: u32) -> anyhow::Result<()> {
    let (mut reached, mut since) = (0, Instant::now());
    let names = daemon.names();
    while names.progress.synced_at().is_none() || reached < height {
        if since.elapsed() > PATIENCE {
            bail!("the index does not follow the demo's chain: see the log above");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = names.store.snapshot().tip().map_or(0, |tip| tip.height);
        if now != reached {
            (reached, since) = (now, Instant::now());
        }
    }
    Ok(())
}
