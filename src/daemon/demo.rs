//! `bnsd demo`: a working resolver on an embedded chain; it needs nothing else.
//!
//! The daemon is the one of `bnsd serve`. In addition, a registrar registers the names of a folder on the chain, as
//! their owners would. When the demo is run again, it goes on with the same chain and announces what changed.

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::dns;
use super::index::params;
use super::running::Daemon;
use super::source::DEV_CHAIN;
use super::supervisor::{self, EndSignals};
use crate::bns::{Bns, Name};
use crate::chain::dev::DevChain;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::hash::ZonefileHash;
use crate::resolver::Snapshots as _;
use crate::resolver::{NameSource as _, SyncState};
use crate::store::Archive;
use crate::wallet::registrar::Registrar;
use crate::zonefile::ZONEFILE_MAX;

/// The folder that is used when it lies in the current directory.
const FOLDER: &str = "zonefiles";
/// Ending of a zone file's name.
const ENDING: &str = ".zone";
/// How long the index may take to follow the demo's few blocks.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the demo until a signal ends it. `zonefiles` is a directory whose `NAME.zone` files are registered instead of the
/// ones that come with the program; `config` has the demo's built-in values.
pub fn run_demo(mut config: Config, zonefiles: Option<PathBuf>) -> anyhow::Result<()> {
    let here = || Some(PathBuf::from(FOLDER)).filter(|path| path.is_dir());
    let folder = zonefiles.or_else(here);
    let files = match &folder {
        Some(folder) => read_folder(folder)?,
        None => built_in(),
    };
    let folder = folder.map(|folder| fs::canonicalize(&folder).unwrap_or(folder));
    config.zonefiles.folders.extend(folder);
    supervisor::run(async {
        let daemon = start(&config, &files).await?;
        let signals = EndSignals::register()?;
        welcome(&files, &daemon, &config)?;
        supervisor::serve(daemon, signals).await
    })
}

/// Starts the daemon and returns when it answers for all names.
async fn start(config: &Config, files: &[File]) -> anyhow::Result<Daemon> {
    let server = dns::bind(config)?;
    let chain = DevChain::open(&config.data_dir.join(DEV_CHAIN))?;
    let source = Box::new(chain.source(config.chain.confirmations));
    let daemon = Daemon::start_on(server, config, Some(source), Some(chain.clone()))?;
    let (files, bns) = (files.to_vec(), Bns::new(params(&config.chain)));
    let archive = Arc::clone(&daemon.names().archive);
    let published = tokio::task::spawn_blocking(move || publish(chain, bns, &archive, &files));
    wait_for_index(&daemon, published.await??).await?;
    Ok(daemon)
}

/// A zone file and the name that it is for.
type File = (Name, Vec<u8>);

/// Puts the names on the chain and the files into the archive; gives the height that holds them all.
fn publish(chain: DevChain, bns: Bns, archive: &Archive, files: &[File]) -> anyhow::Result<u32> {
    for (_, bytes) in files {
        archive.put(bytes)?;
    }
    let hashes: Vec<(Name, ZonefileHash)> = files
        .iter()
        .map(|(name, bytes)| (name.clone(), ZonefileHash::of(bytes)))
        .collect();
    let now = u32::try_from(SystemClock::start().unix_time())
        .context("the clock is beyond the year 2106")?;
    let mut registrar = Registrar::open(chain, bns)?;
    registrar.publish(&hashes, now)?;
    Ok(registrar.tip().map_or(0, |tip| tip.height))
}

async fn wait_for_index(daemon: &Daemon, height: u32) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    let names = daemon.names();
    while names.store.snapshot().tip().map_or(0, |tip| tip.height) < height
        || !matches!(names.snapshot().sync(), SyncState::Synced)
    {
        if Instant::now() > end {
            bail!("the index does not follow the demo's chain: see the log above");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// The files of a folder, by name.
fn read_folder(folder: &Path) -> anyhow::Result<Vec<File>> {
    let unreadable = || {
        format!(
            "cannot read the zone files in {}: check the directory",
            folder.display()
        )
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        files.extend(read_file(&entry.with_context(unreadable)?.path())?);
    }
    if files.is_empty() {
        bail!(
            "there is no NAME.zone file in {}: put one there",
            folder.display()
        );
    }
    files.sort_unstable();
    Ok(files)
}

/// A zone file and its name; `None` if it is not called like one.
fn read_file(path: &Path) -> anyhow::Result<Option<File>> {
    let file_name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = file_name.and_then(|name| name.strip_suffix(ENDING)) else {
        return Ok(None);
    };
    let path_text = path.display();
    let name = name.parse().with_context(|| {
        format!("{path_text} is not called NAME.zone: rename it, for example to werner.id.zone")
    })?;
    let bytes = fs::read(path).with_context(|| format!("cannot read {path_text}"))?;
    if bytes.len() > ZONEFILE_MAX {
        bail!("{path_text} has more than {ZONEFILE_MAX} bytes: shorten it");
    }
    Ok(Some((name, bytes)))
}

/// Names with the text of their zone files in the project's folder.
macro_rules! zonefiles {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../zonefiles/", $name, ".zone")))),*]
    };
}

/// The zone files that come with the program.
fn built_in() -> Vec<File> {
    let files = zonefiles!(
        "alias.id" "big.id" "blog.id" "deep.id" "friends.helloworld" "future.id" "home.helloworld"
        "judecn.id" "keys.id" "library.helloworld" "links.id" "mail.id" "modern.id" "moved.id"
        "names.id" "numbers.id" "printer.helloworld" "profile.id" "sensor.helloworld" "shop.id"
        "ssh.id" "strings.id" "ttl.id" "voice.id" "werner.id" "wild.id"
    );
    let file = |(name, text): (&str, &str)| Some((name.parse().ok()?, text.as_bytes().to_vec()));
    files.into_iter().filter_map(file).collect()
}

/// Questions that show something, as far as their names are there.
fn examples(files: &[File]) -> Vec<(String, &'static str)> {
    let questions = [
        ("werner.id", "werner.id", "A"),
        ("judecn.id", "_https._tcp.judecn.id", "URI"),
        ("printer.helloworld", "printer.helloworld", "AAAA"),
        ("werner.id", "werner.id.bns.alt", "MX"),
    ];
    let known = |name: &str| files.iter().any(|(known, _)| known.as_str() == name);
    let shown = questions.iter().filter(|(name, _, _)| known(name));
    let mut examples: Vec<_> = shown
        .map(|(_, asked, rtype)| ((*asked).to_owned(), *rtype))
        .collect();
    if examples.is_empty() {
        examples.extend(
            files
                .iter()
                .take(3)
                .map(|(name, _)| (name.to_string(), "ANY")),
        );
    }
    examples
}

/// Prints what to try.
fn welcome(files: &[File], daemon: &Daemon, config: &Config) -> anyhow::Result<()> {
    let Some(&listener) = daemon.listeners().first() else {
        return Ok(());
    };
    let tip = daemon.names().store.snapshot().tip();
    let height = tip.map_or(0, |tip| tip.height);
    let (count, socket) = (files.len(), config.control_socket.display());
    let questions = examples(files).into_iter();
    let mut commands: Vec<String> = questions
        .map(|(name, question)| dig(listener, &name, question))
        .collect();
    commands.push(format!(
        "bnsd explain {} --control-socket {socket}",
        files[0].0
    ));
    let (bold, plain) = match std::io::stdout().is_terminal() {
        true => ("\x1b[1m", "\x1b[0m"),
        false => ("", ""),
    };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "bnsd answers {count} names on {listener}, registered on an embedded chain of {height} blocks."
    )?;
    writeln!(out, "Try:")?;
    for command in commands {
        writeln!(out, "  {bold}{command}{plain}")?;
    }
    writeln!(out, "Ctrl-C ends it; run again, it goes on where it was.")?;
    Ok(out.flush()?)
}

fn dig(listener: SocketAddr, name: &str, question: &str) -> String {
    format!(
        "dig @{} -p {} {name} {question}",
        listener.ip(),
        listener.port()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_file_of_the_project_comes_with_the_program() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
        let mut built_in = built_in();
        built_in.sort_unstable();
        assert_eq!(
            built_in,
            read_folder(&folder).expect("the project's folder")
        );
    }
}
