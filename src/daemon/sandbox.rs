//! The files that the process may still touch once it has started, as far as the kernel can hold it to that (Landlock).
//!
//! It writes to its data directory, and puts its socket into the directory of the control socket. It reads what belongs to the
//! system, what the configuration names, and the node's cookie and block files. With a file it reads all that lies in the same
//! directory and below, since the file may be replaced: with `chain.rpc-cookie` that is what the node keeps there, its wallets
//! too if the user may read them. The exceptions are homes, `/` and what is above homes and services, where the file alone is
//! read, and after it was replaced only from the next start on. Everything else is out of reach, whatever a fault lets a
//! stranger do. A path that is not there yet is out of reach until the next start, and so are a folder that only a later
//! configuration names and a file elsewhere to which a new link in a folder leads.
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

use rustix::fs::Access;

use crate::atlas::BackupConfig;
use crate::chain::SourceKind;
use crate::config::{Config, Sources};
use crate::disk::users;
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
/// What may be a link out of there: some systems keep their certificates in /var/lib.
const LINKED: [&str; 8] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/localtime",
    "/etc/ssl/certs",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/certs/ca-bundle.crt",
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
    let socket = config.control_socket.parent();
    let mut written = vec![config.data_dir.as_path()];
    written.extend(
        config
            .atlas
            .backups
            .iter()
            .filter_map(BackupConfig::directory),
    );
    written.extend(config.chain.publish.as_deref());
    for directory in written.iter().skip(1) {
        let _ = fs::create_dir_all(directory); // whoever writes there says if it cannot be made
    }
    let state = match restrict(&written, socket, &read(config, sources)) {
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

/// Fails with what to do if one of the paths, which are new or only named by a later configuration, is out of reach.
pub fn reaches<'a>(paths: impl IntoIterator<Item = &'a Path>) -> anyhow::Result<()> {
    if !state().is_some_and(|state| state.ends_with(ENFORCED)) {
        return Ok(());
    }
    for path in paths {
        // The rights of the file itself are told of by whoever reads it.
        let may_be_read = rustix::fs::access(path, Access::READ_OK).is_ok();
        let opened = File::open(path);
        if may_be_read && opened.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
            bail!(
                "{} was made or named after the start of the daemon and is out of its reach: start bnsd again",
                path.display()
            );
        }
    }
    Ok(())
}

fn restrict(
    written: &[&Path],
    socket: Option<&Path>,
    read: &[PathBuf],
) -> Result<RestrictionStatus, RulesetError> {
    let all = AccessFs::from_all(RIGHTS);
    let reading: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let writing: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::WriteFile;
    // A socket is made in a directory of its own and moved from there. Files of others are neither read nor written.
    let placing = AccessFs::MakeSock
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    Ruleset::default()
        .handle_access(all)?
        .scope(Scope::Signal)?
        .create()?
        // What is not there is left out.
        .add_rules(path_beneath_rules(read, reading))?
        .add_rules(path_beneath_rules([SINK], writing))?
        .add_rules(path_beneath_rules(socket, placing))?
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

fn read(config: &Config, sources: &Sources) -> Vec<PathBuf> {
    let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    for folder in &config.zonefiles.folders {
        read.push(folder.clone());
        read.extend(linked_files(folder));
    }
    for system in LINKED {
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
    for secrets in config
        .atlas
        .backups
        .iter()
        .filter_map(BackupConfig::secrets)
    {
        beside(&mut read, secrets);
    }
    for file in CERTIFICATES.iter().filter_map(std::env::var_os) {
        beside(&mut read, Path::new(&file));
        read.push(file.into());
    }
    if config.chain.source == SourceKind::Blockfiles {
        read.extend(node.blocks_dir.clone());
    }
    if config.chain.source == SourceKind::Log {
        let logs = config.chain.light.logs.iter().map(PathBuf::from);
        read.extend(logs.filter(|log| log.is_absolute()));
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

/// A file may be replaced, so its directory is named, unless others keep theirs there; a link leads to another one. One that
/// is named by itself is out of reach once another has taken its place.
fn beside(read: &mut Vec<PathBuf>, file: &Path) {
    let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    for path in [file, &real] {
        let Some(directory) = path.parent() else {
            continue;
        };
        let shared = directory.canonicalize().is_ok_and(|it| is_shared(&it));
        read.push(if shared { path } else { directory }.to_owned());
    }
}

/// Whether a directory holds what belongs to others: a person's home, and what is above homes and services.
fn is_shared(directory: &Path) -> bool {
    const SHARED: [&str; 10] = [
        "/", "/root", "/home", "/tmp", "/var", "/var/tmp", "/var/lib", "/opt", "/srv", "/mnt",
    ];
    let is_home = || directory.parent() == Some(Path::new("/home"));
    SHARED.iter().any(|shared| Path::new(shared) == directory)
        || is_home()
        || is_of_person(directory)
}

/// Whether it is the home of somebody who logs in (passwd(5)).
fn is_of_person(directory: &Path) -> bool {
    const PERSONS: std::ops::Range<u32> = 1_000..65_534;
    let users = users::all().unwrap_or_default();
    let mut persons = users.iter().filter(|user| PERSONS.contains(&user.uid));
    persons.any(|user| user.home == directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_keep_beside_a_file_stays_out_of_reach() {
        let named = |file: &str| {
            let mut read = Vec::new();
            beside(&mut read, Path::new(file));
            read.dedup();
            read
        };
        for alone in ["/bnsd.toml", "/root/bnsd.toml", "/tmp/bnsd.toml"] {
            assert_eq!(named(alone), [PathBuf::from(alone)]);
        }
        assert_eq!(named("/etc/bnsd.toml"), [PathBuf::from("/etc")]);
        assert!(is_shared(Path::new("/home/alice")));
        assert!(!is_shared(Path::new("/home/alice/.config/bnsd")));
    }
}
