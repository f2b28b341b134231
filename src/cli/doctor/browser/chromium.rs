//! Chromium and its kin: `dns_over_https.mode` in `Local State`, and the policy `DnsOverHttpsMode` (Chrome Enterprise policy
//! list). Left to itself it asks over HTTPS only whom the system asks already, so only a choice matters.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{CHECK, read};
use crate::api::doctor::Finding;
use crate::cli::doctor::scene::Scene;

/// Names of browsers, where they keep their state below a home, and where their policies are.
const KIN: [(&str, &str, &str); 7] = [
    ("Chromium", ".config/chromium", CHROMIUM),
    ("Chromium", "snap/chromium/common/chromium", CHROMIUM),
    (
        "Chromium",
        ".var/app/org.chromium.Chromium/config/chromium",
        CHROMIUM,
    ),
    (
        "Chrome",
        ".config/google-chrome",
        "/etc/opt/chrome/policies/managed",
    ),
    (
        "Brave",
        ".config/BraveSoftware/Brave-Browser",
        "/etc/brave/policies/managed",
    ),
    (
        "Edge",
        ".config/microsoft-edge",
        "/etc/opt/edge/policies/managed",
    ),
    (
        "Chrome",
        "Library/Application Support/Google/Chrome",
        "/Library/Google/Chrome/policies/managed",
    ),
];
const CHROMIUM: &str = "/etc/chromium/policies/managed";

/// A browser that somebody has used.
pub(super) struct Browser {
    name: &'static str,
    state: PathBuf,
    policies: &'static str,
}

/// Those of a home.
pub(super) fn installed(home: &Path) -> Vec<Browser> {
    let all = KIN.iter().map(|(name, directory, policies)| Browser {
        name,
        state: home.join(directory).join("Local State"),
        policies,
    });
    all.filter(|browser| browser.state.is_file()).collect()
}

/// What is wrong with one, if anything is.
pub(super) fn judge(browser: &Browser, scene: &Scene) -> Option<Finding> {
    let text = read(&browser.state)?;
    let state: Value = serde_json::from_str(&text).ok()?;
    let chosen = &state["dns_over_https"];
    let has_templates = chosen["templates"]
        .as_str()
        .is_some_and(|text| !text.is_empty());
    let is_on = match chosen["mode"].as_str() {
        Some("secure") => true,
        Some("automatic") => has_templates,
        _ => false,
    };
    if !is_on || is_off_by_policy(Path::new(browser.policies)) {
        return None;
    }
    let (name, policies) = (browser.name, browser.policies);
    let mkdir = scene.as_root(&format!("mkdir -p {policies}"));
    let tee = scene.as_root(&format!("tee {policies}/bnsd.json"));
    Some(Finding::warning(
        CHECK,
        format!(
            "{name} asks a resolver of its own over HTTPS (dns_over_https.mode in {}): names of the chain are not found there; the command forbids that to all users of {name}",
            browser.state.display()
        ),
        format!("{mkdir} && echo '{{\"DnsOverHttpsMode\": \"off\"}}' | {tee}"),
    ))
}

/// Whether one of the files of a directory says so.
fn is_off_by_policy(directory: &Path) -> bool {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    texts.any(|text| {
        let policy: Value = serde_json::from_str(&text).unwrap_or_default();
        policy["DnsOverHttpsMode"] == "off"
    })
}
