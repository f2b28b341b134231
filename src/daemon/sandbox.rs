//! The files that the process may still touch once it has started, as far as the kernel can hold it to that (Landlock).
//!
//! It writes to its data directory and to the directory of the control socket. It reads what belongs to the system, what
//! the configuration names, and the node's cookie and block files. Homes, other services' data and everything else are out of
//! reach, whatever a fault lets a stranger do. A path that is not there yet is out of reach until the next start, and so are a
//! folder that only a later configuration names and a file elsewhere to which a new link in a folder leads.
//!
//! The kernel restricts the calling thread and those that it starts later, so this comes before all others.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::bail;
use landlock::{
    ABI, Access as _, AccessFs, BitFlags, RestrictionStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use crate::chain::SourceKind;
use crate::config::{Config, Sources};
use crate::dns::Identity;
use crate::store::Store;

/// The newest set of rights that is asked for; older kernels know fewer.
const RIGHTS: ABI = ABI::V7;
/// Where every system keeps what programs read: configuration and what resolvers leave in /run, certificates, libraries of
/// the name service switch, facts about the process and the machine.
const SYSTEM: [&str; 11] = [
    "/etc",
    "/run",
    "/var/run",
    "/usr",
    "/lib",
    "/lib64",
    "/nix/store",
    "/gnu/store",
    "/proc",
    "/sys",
    "/dev/urandom",
];
/// Files that programs may be pointed to (openssl-env(7)).
const CERTIFICATES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
/// What is written to beside our own.
const SINK: &str = "/dev/null";

/// Links of a folder that are followed: each costs the kernel a rule.
const LINKS_MAX: usize = 10_000;

/// All of it is in force; the words for less end the same.
const ENFORCED: &str = "enforced";

/// How far the process is held to its files.
static STATE: OnceLock<&str> = OnceLock::new();

/// How far the process is held to its files, in words; `None` where that was not tried.
pub fn state() -> Option<&'static str> {
    STATE.get().copied()
}

/// Gives up all files but those that the daemon needs. A kernel that cannot do that is no error.
pub fn enter(config: &Config, sources: &Sources) -> anyhow::Result<()> {
    if !config.sandbox {
        let _ = STATE.set("off"); // nobody was here before
        return Ok(());
    }
    Store::claim(&config.data_dir)?; // only what is there can be named
    make_socket_directory(&config.control_socket);
    let state = match restrict(&written(config), &read(config, sources)) {
        Ok(status) => match status.ruleset {
            RulesetStatus::FullyEnforced => ENFORCED,
            RulesetStatus::PartiallyEnforced => "partly enforced",
            RulesetStatus::NotEnforced => "not known to this kernel",
        },
        Err(error) => {
            tracing::warn!("the process can touch files that it does not need: {error}");
            "refused by this kernel"
        }
    };
    let _ = STATE.set(state);
    Ok(())
}

/// Fails with what to do if one of the paths, which only a later configuration names, is out of reach.
pub fn reaches<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> anyhow::Result<()> {
    if !state().is_some_and(|state| state.ends_with(ENFORCED)) {
        return Ok(());
    }
    for path in paths {
        let opened = File::open(path);
        if opened.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
            bail!(
                "{} is out of reach of a daemon that was started without it: start bnsd again",
                path.display()
            );
        }
    }
    Ok(())
}

fn restrict(written: &[PathBuf], read: &[PathBuf]) -> Result<RestrictionStatus, RulesetError> {
    let all = AccessFs::from_all(RIGHTS);
    let reading: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let writing: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::WriteFile;
    Ruleset::default()
        .handle_access(all)?
        .scope(Scope::Signal)?
        .create()?
        // What is not there is left out.
        .add_rules(path_beneath_rules(read, reading))?
        .add_rules(path_beneath_rules([SINK], writing))?
        .add_rules(path_beneath_rules(written, all ^ AccessFs::Execute))?
        .restrict_self()
}

/// As the control socket would make it. If it cannot be made, the socket says so.
fn make_socket_directory(socket: &Path) {
    if let Some(directory) = socket.parent() {
        let _ = DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(directory);
    }
}

fn written(config: &Config) -> Vec<PathBuf> {
    let socket = config.control_socket.parent().map(Path::to_owned);
    [config.data_dir.clone()]
        .into_iter()
        .chain(socket)
        .collect()
}

fn read(config: &Config, sources: &Sources) -> Vec<PathBuf> {
    let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    for folder in &config.zonefiles.folders {
        read.push(folder.clone());
        read.extend(linked_files(folder));
    }
    for system in ["/etc/resolv.conf", "/etc/hosts", "/etc/localtime"] {
        beside(&mut read, Path::new(system));
    }
    for identity in super::dns::identities(config) {
        if let Identity::Given { certificate, key } = identity {
            beside(&mut read, certificate);
            beside(&mut read, key);
        }
    }
    let node = &config.chain.node;
    let mut named = vec![
        &config.file,
        &sources.places.config_file,
        &config.dns.ca_file,
        &config.dns.trust_anchor,
    ];
    let has_node = matches!(
        config.chain.source,
        SourceKind::Bitcoind | SourceKind::Blockfiles
    );
    if has_node {
        named.extend([&node.rpc_cookie, &node.rpc_password_file]);
    }
    for file in named.into_iter().flatten() {
        beside(&mut read, file);
    }
    for file in CERTIFICATES.iter().filter_map(std::env::var_os) {
        beside(&mut read, Path::new(&file));
        read.push(file.into());
    }
    if config.chain.source == SourceKind::Blockfiles {
        read.extend(node.blocks_dir.clone());
    }
    read
}

/// The files to which links in a folder lead.
fn linked_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    let targets = links.filter_map(|link| link.path().canonicalize().ok());
    let files = targets.filter(|target| target.is_file());
    files.take(LINKS_MAX).collect()
}

/// A file may be replaced, so its directory is named; a link leads to another one.
fn beside(read: &mut Vec<PathBuf>, file: &Path) {
    let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let both = [file, &real].into_iter();
    read.extend(both.filter_map(Path::parent).map(Path::to_owned));
}
