//! What bnsd rests on: the clock, the disk, and that nobody else can read or change what it keeps.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{StatVfsMountFlags, statvfs};

use super::daemon::starter;
use super::scene::{Absence, Scene};
use crate::api::doctor::{Finding, quoted};

/// By how many seconds a block may be ahead of a right clock: nodes refuse those that are further (Bitcoin Core,
/// MAX_FUTURE_BLOCK_TIME in `chain.h`).
const FUTURE_MAX: u64 = 2 * 3_600;
/// What systemd-timesyncd touches when it has set the clock (systemd-timesyncd.service(8)).
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// Free bytes below which a block's changes may not fit: the database grows in steps.
const BYTES_MIN: u64 = 64 << 20;
/// Free bytes that a first synchronisation of the main chain wants: 100,000 zone files in blocks of 4 KiB, and the
/// database.
const BYTES_TO_SYNC: u64 = 512 << 20;
/// Files that have to fit.
const FILES_MIN: u64 = 1_000;

/// The rights of others.
const OTHERS: u32 = 0o077;

/// Whether the clock is behind the chain.
pub(super) fn clock(scene: &Scene) -> Vec<Finding> {
    const CHECK: &str = "clock";
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    let block = scene
        .status
        .as_ref()
        .ok()
        .and_then(|status| status.block_time);
    let is_set = Path::new(SYNCHRONIZED).exists();
    vec![match block.map(u64::from) {
        Some(block) if block > now + FUTURE_MAX => Finding::failure(
            CHECK,
            format!(
                "it is at least {} h behind: the last block is from then, and certificates and signatures of today do not count yet",
                (block - now) / 3_600
            ),
            scene.as_root("timedatectl set-ntp true"),
        ),
        _ if is_set => Finding::ok(CHECK, "set over the network"),
        Some(_) => Finding::ok(CHECK, "not behind the last block"),
        None => Finding::unknown(CHECK, "no block says what time it is at least"),
    }]
}

/// Whether there is room where bnsd keeps its data.
pub(super) fn disk(scene: &Scene) -> Vec<Finding> {
    const CHECK: &str = "disk";
    let Some(directory) = scene.data_dir().and_then(|wanted| nearest(&wanted)) else {
        return vec![Finding::unknown(CHECK, "nobody says where the data are")];
    };
    let space = match statvfs(&directory) {
        Ok(space) => space,
        Err(error) => {
            let text = format!("{}: {error}", directory.display());
            return vec![Finding::unknown(CHECK, text)];
        }
    };
    let mount = mount_point(&directory);
    let shown = mount.display();
    if space.f_flag.contains(StatVfsMountFlags::RDONLY) {
        let command = format!("mount -o remount,rw {}", word(&mount));
        let text = format!("{shown} is read-only, so nothing can be kept");
        return vec![Finding::failure(CHECK, text, scene.as_root(&command))];
    }
    let bytes = space.f_bavail.saturating_mul(space.f_frsize);
    let free = format!("{} MB free on {shown}", bytes / 1_000_000);
    let lacks_files = space.f_files > 0 && space.f_favail < FILES_MIN;
    let is_syncing = match &scene.status {
        Ok(status) => status.sync.is_some() || status.height.is_none() && status.source != "none",
        Err(_) => false,
    };
    vec![match () {
        () if bytes < BYTES_MIN => Finding::failure(
            CHECK,
            format!("{free}: less than a block may need"),
            room(&directory, &mount, scene),
        ),
        () if lacks_files => Finding::failure(
            CHECK,
            format!("only {} more files fit on {shown}", space.f_favail),
            room(&directory, &mount, scene),
        ),
        () if is_syncing && bytes < BYTES_TO_SYNC => Finding::warning(
            CHECK,
            format!("{free}: less than the synchronisation may need"),
            room(&directory, &mount, scene),
        ),
        () => Finding::ok(CHECK, free),
    }]
}

/// Makes room on the same file system: by what other programs keep and can get again, or else it shows what is large.
fn room(directory: &Path, mount: &Path, scene: &Scene) -> String {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let is_here = |path: &&(&str, &str)| {
        let path = Path::new(path.0);
        device(path).is_some() && device(path) == device(directory) && !is_small(path)
    };
    let known = [
        ("/var/cache/apt/archives", "apt-get clean"),
        ("/var/log/journal", "journalctl --vacuum-size=64M"),
    ];
    match known.iter().find(is_here) {
        Some((_, command)) => scene.as_root(command),
        None => {
            let command = format!("du -xh --max-depth=3 {}", word(mount));
            format!("{} | sort -h | tail", scene.as_root(&command))
        }
    }
}

/// Whether a directory holds nothing that would help.
fn is_small(directory: &Path) -> bool {
    const LITTLE: u64 = 8 << 20;
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => LITTLE, // the journal's files are one level below
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum::<u64>() < LITTLE
}

/// The path, or what there is of it.
fn nearest(path: &Path) -> Option<PathBuf> {
    let mut above = path.ancestors();
    above.find(|path| path.exists()).map(Path::to_owned)
}

/// The directory in which a path's file system begins.
fn mount_point(path: &Path) -> PathBuf {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let own = device(&path);
    let inside = path.ancestors().take_while(|above| device(above) == own);
    inside.last().unwrap_or(&path).to_owned()
}

/// Whether only its user can get at what bnsd keeps.
pub(super) fn permissions(scene: &Scene) -> Vec<Finding> {
    const CHECK: &str = "permissions";
    let Some(directory) = scene.data_dir() else {
        return Vec::new(); // the configuration is what is wrong
    };
    let shown = directory.display();
    let metadata = match fs::metadata(&directory) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return vec![Finding::ok(CHECK, format!("{shown} is not there yet"))];
        }
        Err(error) => {
            let text = format!("{shown}: {error}: run `sudo bnsd doctor`");
            return vec![Finding::unknown(CHECK, text)];
        }
    };
    let (user, runs) = match (&scene.reply, &scene.status) {
        (Ok(reply), _) => (Some(reply.user), "runs"),
        (Err(_), Err(Absence::Nobody(_))) => (starter(scene), "would run"),
        (Err(_), _) => (None, ""),
    };
    let place = word(&directory);
    if let Some(user) = user.filter(|user| *user != metadata.uid()) {
        let text = format!(
            "{shown} belongs to user {}, and bnsd {runs} as user {user}",
            metadata.uid()
        );
        let command = scene.as_root(&format!("chown -R -H {user} {place}"));
        return vec![Finding::failure(CHECK, text, command)];
    }
    let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
    let inside = entries.map(|entry| entry.path());
    let is_open = |path: &PathBuf| {
        fs::symlink_metadata(path)
            .is_ok_and(|metadata| !metadata.is_symlink() && metadata.mode() & OTHERS != 0)
    };
    let open = [directory.clone()].into_iter().chain(inside).find(is_open);
    vec![match open {
        None => Finding::ok(CHECK, format!("{shown} is for its user alone")),
        Some(open) => {
            let text = format!("others have rights on {}", open.display());
            let is_own = metadata.uid() == crate::disk::rights::own_uid();
            let command = format!("chmod -R go= {place}");
            let command = if is_own {
                command
            } else {
                scene.as_root(&command)
            };
            Finding::failure(CHECK, text, command)
        }
    }]
}

fn word(path: &Path) -> String {
    quoted(&path.display().to_string())
}
