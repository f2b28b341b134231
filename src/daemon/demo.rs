//! `bnsd demo`: a working resolver from nothing, on an embedded chain.
//!
//! The daemon is the one of `bnsd serve`; what is special is that somebody registers the names of a folder
//! on the chain, as their owners would. Run again, it goes on where it was and announces what changed.

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::supervisor::{self, EndSignals};
use super::{DEV_CHAIN, Daemon, dns, params};
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

/// What `bnsd demo` runs with.
#[derive(Debug)]
pub struct DemoOptions {
    /// The configuration, with the demo's built-in values.
    pub config: Config,
    /// A directory whose `NAME.zone` files are registered instead of the ones that come with the program.
    pub zonefiles: Option<PathBuf>,
}

/// Runs the demo until a signal ends it.
pub fn run_demo(mut options: DemoOptions) -> anyhow::Result<()> {
    let folder = options
        .zonefiles
        .take()
        .or_else(|| Some(PathBuf::from(FOLDER)).filter(|path| path.is_dir()));
    let files = match &folder {
        Some(folder) => read_folder(folder)?,
        None => built_in(),
    };
    let mut config = options.config;
    config
        .zonefiles
        .folders
        .extend(folder.map(|folder| fs::canonicalize(&folder).unwrap_or(folder)));
    supervisor::run(async {
        let server = dns::bind(&config)?;
        let chain = DevChain::open(&config.data_dir.join(DEV_CHAIN))?;
        let source = Box::new(chain.source(config.chain.confirmations));
        let daemon = Daemon::start_on(server, &config, Some(source), Some(chain.clone()))?;
        let published = files.clone();
        let (bns, archive) = (
            Bns::new(params(&config.chain)),
            daemon.names().archive.clone(),
        );
        let height = tokio::task::spawn_blocking(move || publish(chain, bns, &archive, &published))
            .await??;
        wait_for_index(&daemon, height).await?;
        let signals = EndSignals::register()?;
        welcome(&files, &daemon, &config)?;
        supervisor::serve(daemon, signals).await
    })
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
        let path = entry.with_context(unreadable)?.path();
        let Some(name) = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(ENDING))
        else {
            continue;
        };
        let name: Name = name.parse().with_context(|| {
            format!(
                "{} is not called NAME.zone: rename it, for example to werner.id.zone",
                path.display()
            )
        })?;
        let bytes = fs::read(&path).with_context(unreadable)?;
        if bytes.len() > ZONEFILE_MAX {
            bail!(
                "{} has more than {ZONEFILE_MAX} bytes: shorten it",
                path.display()
            );
        }
        files.push((name, bytes));
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

/// The zone files that come with the program.
fn built_in() -> Vec<File> {
    let files = [
        ("alias.id", include_str!("../../zonefiles/alias.id.zone")),
        ("big.id", include_str!("../../zonefiles/big.id.zone")),
        ("blog.id", include_str!("../../zonefiles/blog.id.zone")),
        ("deep.id", include_str!("../../zonefiles/deep.id.zone")),
        (
            "friends.helloworld",
            include_str!("../../zonefiles/friends.helloworld.zone"),
        ),
        ("future.id", include_str!("../../zonefiles/future.id.zone")),
        (
            "home.helloworld",
            include_str!("../../zonefiles/home.helloworld.zone"),
        ),
        ("judecn.id", include_str!("../../zonefiles/judecn.id.zone")),
        ("keys.id", include_str!("../../zonefiles/keys.id.zone")),
        (
            "library.helloworld",
            include_str!("../../zonefiles/library.helloworld.zone"),
        ),
        ("links.id", include_str!("../../zonefiles/links.id.zone")),
        ("mail.id", include_str!("../../zonefiles/mail.id.zone")),
        ("modern.id", include_str!("../../zonefiles/modern.id.zone")),
        ("moved.id", include_str!("../../zonefiles/moved.id.zone")),
        ("names.id", include_str!("../../zonefiles/names.id.zone")),
        (
            "numbers.id",
            include_str!("../../zonefiles/numbers.id.zone"),
        ),
        (
            "printer.helloworld",
            include_str!("../../zonefiles/printer.helloworld.zone"),
        ),
        (
            "profile.id",
            include_str!("../../zonefiles/profile.id.zone"),
        ),
        (
            "sensor.helloworld",
            include_str!("../../zonefiles/sensor.helloworld.zone"),
        ),
        ("shop.id", include_str!("../../zonefiles/shop.id.zone")),
        ("ssh.id", include_str!("../../zonefiles/ssh.id.zone")),
        (
            "strings.id",
            include_str!("../../zonefiles/strings.id.zone"),
        ),
        ("ttl.id", include_str!("../../zonefiles/ttl.id.zone")),
        ("voice.id", include_str!("../../zonefiles/voice.id.zone")),
        ("werner.id", include_str!("../../zonefiles/werner.id.zone")),
        ("wild.id", include_str!("../../zonefiles/wild.id.zone")),
    ];
    files
        .iter()
        .filter_map(|(name, text)| Some((name.parse().ok()?, text.as_bytes().to_vec())))
        .collect()
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

/// Says what to try.
fn welcome(files: &[File], daemon: &Daemon, config: &Config) -> anyhow::Result<()> {
    let Some(listener) = daemon.listeners().first() else {
        return Ok(());
    };
    let height = daemon
        .names()
        .store
        .snapshot()
        .tip()
        .map_or(0, |tip| tip.height);
    let mut out = std::io::stdout().lock();
    let bold = |text: &str| {
        if std::io::stdout().is_terminal() {
            format!("\x1b[1m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    };
    writeln!(
        out,
        "bnsd answers {} names on {listener}, registered on an embedded chain of {height} blocks.",
        files.len()
    )?;
    writeln!(out, "Try:")?;
    for (name, question) in examples(files) {
        writeln!(out, "  {}", bold(&dig(*listener, &name, question)))?;
    }
    let socket = config.control_socket.display();
    writeln!(
        out,
        "  {}",
        bold(&format!(
            "bnsd explain {} --control-socket {socket}",
            files[0].0
        ))
    )?;
    writeln!(out, "Ctrl-C ends it; run again, it goes on where it was.")?;
    out.flush()?;
    Ok(())
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
