//! Notes for `bnsd --version` which commit the program is made from: ` (COMMIT DATE)` in `MADE_FROM`, empty where
//! nobody knows, as in sources without their history.
//!
//! The commit is the last one that changed the program, so that a commit to documents or tests builds nothing again; a
//! `+` after it says that the sources were changed since. The date is that of the commit, or the one that
//! `SOURCE_DATE_EPOCH` gives (reproducible-builds.org). A package of cargo names its commit in `.cargo_vcs_info.json`.

use std::fs;
use std::path::Path;
use std::process::Command;

/// What the program is made from, below the directory of the manifest.
const SOURCES: [&str; 3] = ["src", "Cargo.toml", "Cargo.lock"];
/// Hexadecimal digits of a commit that are shown.
const DIGITS: usize = 12;

/// Runs before the crate is compiled.
#[cfg(not(test))]
fn main() {
    for path in SOURCES {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok();
    let text = made_from(Path::new(&root), epoch.as_deref());
    println!("cargo::rustc-env=MADE_FROM={text}");
}

/// ` (COMMIT DATE)` for the sources at `root`, or nothing.
pub fn made_from(root: &Path, epoch: Option<&str>) -> String {
    let Some(commit) = of_package(root).or_else(|| of_history(root)) else {
        return String::new();
    };
    let given = epoch.and_then(|seconds| seconds.parse().ok()).map(date);
    match given.or(commit.date) {
        Some(date) => format!(" ({} {date})", commit.name),
        None => format!(" ({})", commit.name),
    }
}

struct Commit {
    name: String,
    date: Option<String>,
}

/// The commit that a package of cargo names; it has no date.
fn of_package(root: &Path) -> Option<Commit> {
    let text = fs::read_to_string(root.join(".cargo_vcs_info.json")).ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    let hash = rest.split('"').nth(1)?;
    let is_hash = hash.len() >= DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mark = if text.contains("\"dirty\": true") {
        "+"
    } else {
        ""
    };
    is_hash.then(|| Commit {
        name: format!("{}{mark}", &hash[..DIGITS]),
        date: None,
    })
}

/// The last commit that changed the sources, where `root` is the top of a repository and not a part of somebody else's.
fn of_history(root: &Path) -> Option<Commit> {
    if !git(root, &["rev-parse", "--show-prefix"])?.is_empty() {
        return None;
    }
    let format = format!("--abbrev={DIGITS}");
    let log = [
        "log",
        "-1",
        &format,
        "--format=%h %cd",
        "--date=format-local:%F",
        "--",
    ];
    let line = git(root, &[&log[..], &SOURCES].concat())?;
    let (hash, date) = line.split_once(' ')?;
    let changed = git(
        root,
        &[&["status", "--porcelain", "--"][..], &SOURCES].concat(),
    )?;
    let mark = if changed.is_empty() { "" } else { "+" };
    Some(Commit {
        name: format!("{hash}{mark}"),
        date: Some(date.to_owned()),
    })
}

/// What git prints, without spaces around it.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args(arguments).env("TZ", "UTC");
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned())
}

/// The day of a time in seconds since 1970, as YYYY-MM-DD (UTC). Days are counted from the first of March of the year 0,
/// so that a leap day ends a year.
fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
