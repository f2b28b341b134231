//! On a machine of its own, with the real programs that look after DNS: systemd-resolved, openresolv, resolvconf.
//!
//! They are not installed, because they would take over the DNS of the machine that runs the tests: `tests/run` unpacks
//! their packages beside its other tools.

use std::path::PathBuf;
use std::process::Command;

/// Runs a scenario of `machine.sh`.
fn on_a_machine(scenario: &str) {
    on_a_machine_with(scenario, None);
}

/// Runs one of a file with more of them.
pub fn on_a_machine_with(scenario: &str, file: Option<&str>) {
    let packages = packages();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/machine.sh");
    let apart = ["--mount", "--net", "--pid", "--fork", "--mount-proc"];
    let mut command = Command::new("unshare");
    command
        .args(apart)
        .args([script, scenario, env!("CARGO_BIN_EXE_bnsd")])
        .arg(packages)
        .args(file);
    let output = command.output().expect("unshare can be started");
    assert!(
        output.status.success(),
        "{scenario}: {}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Where the packages are unpacked.
fn packages() -> PathBuf {
    let named = std::env::var_os("TEST_PACKAGES").map(PathBuf::from);
    let usual = || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../tools/packages");
    let packages = named.unwrap_or_else(usual);
    let program = packages.join("systemd-resolved/lib/systemd/systemd-resolved");
    assert!(
        program.is_file(),
        "{} is missing: run tests/run, which unpacks the Debian packages systemd-resolved, openresolv and resolvconf",
        program.display()
    );
    packages
}

#[test]
fn resolved_sends_the_chains_domains_and_finds_all_others_as_before() {
    on_a_machine("resolved");
}

#[test]
fn a_circle_through_resolved_is_said_at_once() {
    on_a_machine("circle");
}

#[test]
fn openresolv_sends_all_names() {
    on_a_machine("openresolv");
}

#[test]
fn resolvconf_sends_all_names() {
    on_a_machine("resolvconf_of_debian");
}

#[test]
fn a_plain_file_sends_all_names_and_bnsd_asks_whom_it_named() {
    on_a_machine("plain");
}

#[test]
fn whoever_holds_port_53_is_named() {
    on_a_machine("held");
}
