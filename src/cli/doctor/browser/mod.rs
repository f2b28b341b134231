//! Browsers that ask a resolver of their own over HTTPS, and so never find names of the chain.
//!
//! bnsd answers the canary domain `use-application-dns.net` as Firefox wants it, but somebody may have chosen such a resolver,
//! or the browser's maker for them. Each profile of each home that can be read is looked at.

mod chromium;
mod firefox;

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::scene::Scene;
use crate::api::doctor::Finding;
use crate::disk::users;

const CHECK: &str = "browser";
/// Most bytes that are read of a file.
const FILE_MAX: u64 = 16 << 20;
/// Most profiles of a home that are looked at.
const PROFILES_MAX: usize = 64;

pub(super) fn check(scene: &Scene) -> Vec<Finding> {
    let homes = homes(scene.is_root);
    let mut findings: Vec<Finding> = Vec::new();
    let mut count = 0;
    for home in &homes {
        for profile in firefox::profiles(home).into_iter().take(PROFILES_MAX) {
            count += 1;
            findings.extend(firefox::judge(&profile, home, scene));
        }
        for browser in chromium::installed(home) {
            count += 1;
            findings.extend(chromium::judge(&browser, scene));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            CHECK,
            match count {
                0 => "no profile of a browser was found".to_owned(),
                count => format!("{count} profiles ask the system's resolver"),
            },
        ));
    }
    findings
}

/// The home of whoever asks; for root those of everybody.
fn homes(is_root: bool) -> Vec<PathBuf> {
    let own = std::env::var_os("HOME").map(PathBuf::from);
    let users = users::all().unwrap_or_default();
    let others = users.into_iter().filter(|_| is_root).map(|user| user.home);
    let mut homes: Vec<PathBuf> = own.into_iter().chain(others).collect();
    homes.retain(|home| home.is_absolute() && home != Path::new("/") && home.is_dir());
    homes.sort_unstable();
    homes.dedup();
    homes
}

/// The text of a file in somebody's home; `None` if it is no file of its own there. Never waits for it, whatever it is: it may
/// have been put there for root to read.
fn read(path: &Path) -> Option<String> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags).open(path);
    let file = file.ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_files_of_their_own_are_read() {
        let home = tempfile::tempdir().expect("a scratch directory");
        let path = |name: &str| home.path().join(name);
        fs::write(path("file"), "text").expect("a file");
        symlink(path("file"), path("link")).expect("a link");
        symlink("/dev/zero", path("device")).expect("a link");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), mode).expect("a pipe");
        assert_eq!(read(&path("file")).as_deref(), Some("text"));
        for other in ["link", "device", "pipe", "missing"] {
            assert_eq!(read(&path(other)), None, "{other}");
        }
    }
}
