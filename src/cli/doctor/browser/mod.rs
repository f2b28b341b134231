//! Browsers that ask a resolver of their own over HTTPS, and so never find names of the chain.
//!
//! bnsd answers the canary domain `use-application-dns.net` as Firefox wants it, but somebody may have chosen such a resolver,
//! or the browser's maker for them. Each profile of each home that can be read is looked at.

mod chromium;
mod firefox;

use std::fs;
use std::path::{Path, PathBuf};

use super::scene::Scene;
use crate::api::doctor::Finding;

const CHECK: &str = "browser";

pub(super) fn check(scene: &Scene) -> Vec<Finding> {
    let homes = homes(scene.is_root);
    let mut findings: Vec<Finding> = Vec::new();
    let mut count = 0;
    for home in &homes {
        for profile in firefox::profiles(home) {
            count += 1;
            findings.extend(firefox::judge(&profile, scene));
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
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let others = users.lines().filter(|_| is_root);
    let others = others.filter_map(|line| line.split(':').nth(5).map(PathBuf::from));
    let mut homes: Vec<PathBuf> = own.into_iter().chain(others).collect();
    homes.retain(|home| home.is_absolute() && home != Path::new("/") && home.is_dir());
    homes.sort_unstable();
    homes.dedup();
    homes
}
