//! Firefox: `network.trr.mode` in each profile, with what the maker's rollout chose and what a policy forbids
//! (Mozilla, "Trusted Recursive Resolver" and "Policy Templates").

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{CHECK, read};
use crate::api::doctor::{Finding, quoted};
use crate::cli::doctor::scene::Scene;
use crate::disk::rights::own_uid;

/// Where profiles are, below a home.
const DIRECTORIES: [&str; 5] = [
    ".mozilla/firefox",
    ".config/mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
    "Library/Application Support/Firefox/Profiles",
];
/// Where an administrator says what holds for everybody.
const POLICIES: [&str; 3] = [
    "/etc/firefox/policies/policies.json",
    "/usr/lib/firefox/distribution/policies.json",
    "/usr/lib/firefox-esr/distribution/policies.json",
];
/// Modes in which names are asked over HTTPS first, or alone.
const OVER_HTTPS: [&str; 2] = ["2", "3"];
/// The mode in which they never are, by somebody's choice.
const OFF: &str = "5";

/// The profiles of a home.
pub(super) fn profiles(home: &Path) -> Vec<PathBuf> {
    let directories = DIRECTORIES.iter().map(|directory| home.join(directory));
    let entries = directories.filter_map(|directory| fs::read_dir(directory).ok());
    let paths = entries.flatten().flatten().map(|entry| entry.path());
    paths
        .filter(|path| path.join("prefs.js").is_file())
        .collect()
}

/// What is wrong with a profile in a home, if anything is.
pub(super) fn judge(profile: &Path, home: &Path, scene: &Scene) -> Option<Finding> {
    if POLICIES.iter().any(|path| forbids(path)) {
        return None;
    }
    let file = |name: &str| read(&profile.join(name)).unwrap_or_default();
    let (kept, own) = (file("prefs.js"), file("user.js"));
    let preference = |key: &str| value(&own, key).or_else(|| value(&kept, key));
    let mode = preference("network.trr.mode").unwrap_or("0");
    let rollout = preference("doh-rollout.mode").unwrap_or("0");
    let is_on = |mode: &str| OVER_HTTPS.contains(&mode);
    let who = match (mode, rollout) {
        (mode, _) if is_on(mode) => format!("network.trr.mode is {mode}"),
        ("0", rollout) if is_on(rollout) => {
            format!("its maker chose so, doh-rollout.mode is {rollout}")
        }
        _ => return None,
    };
    let user = profile.join("user.js");
    let line = format!("user_pref(\"network.trr.mode\", {OFF});");
    let tee = format!("tee -a {}", quoted(&user.display().to_string()));
    let tee = as_owner(home, &tee, scene);
    Some(Finding::warning(
        CHECK,
        format!(
            "Firefox with the profile {} asks a resolver of its own over HTTPS ({who}): names of the chain are not found there; what the command sets counts from its next start on",
            profile.display()
        ),
        format!("echo {} | {tee}", quoted(&line)),
    ))
}

/// A command that writes into a home, with the rights of whose it is alone: there may be links to files of root.
fn as_owner(home: &Path, command: &str, scene: &Scene) -> String {
    let Ok(metadata) = fs::symlink_metadata(home) else {
        return command.to_owned();
    };
    let (user, group) = (metadata.uid(), metadata.gid());
    if user == own_uid() {
        return command.to_owned();
    }
    let rights = format!("setpriv --reuid={user} --regid={group} --clear-groups");
    scene.as_root(&format!("{rights} {command}"))
}

/// The last value of a preference in a file.
fn value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let start = format!("user_pref(\"{key}\",");
    let lines = text.lines().rev();
    let mut values = lines.filter_map(|line| {
        let rest = line.trim().strip_prefix(start.as_str())?;
        Some(rest.split_once(')')?.0.trim())
    });
    values.next()
}

/// Whether a policy switches it off for everybody.
fn forbids(path: &str) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    let policy: Value = serde_json::from_str(&text).unwrap_or_default();
    let policy = &policy["policies"]["DNSOverHTTPS"];
    policy["Enabled"] == false && policy["Locked"] == true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts() {
        let text = "// a comment\nuser_pref(\"network.trr.mode\", 3);\nuser_pref(\"network.trr.mode2\", 1);\nuser_pref(\"network.trr.mode\", 5);\n";
        assert_eq!(value(text, "network.trr.mode"), Some("5"));
        assert_eq!(value(text, "network.trr.uri"), None);
        assert_eq!(value("user_pref(\"a\", ", "a"), None);
    }
}
