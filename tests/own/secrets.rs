//! A canary at trace level: no passphrase, phrase or private key in any log, output, argument or core file.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Person, World, opens, until};
use crate::common::person::PASSPHRASE;

/// The private key of the canary, as a raw number, and as WIF for the test networks.
const KEY: &str = "c0ffee254729296a45a3885639ac7e10f9d54979a1b2c3d4e5f60718293a4b5c";

/// What must not show, each with where it comes from.
struct Canaries(Vec<(&'static str, Vec<u8>)>);

impl Canaries {
    fn of(alice: &Person<'_>, wif: &str) -> Self {
        let exported = alice.tries(&["--json", "keys", "export", "me"]).json();
        let words = exported["secret"].as_str().unwrap().to_owned();
        let three: Vec<&str> = words.split(' ').take(3).collect();
        let raw = bnsd::hash::decode_hex(KEY).unwrap();
        Self(vec![
            ("passphrase", PASSPHRASE.as_bytes().to_vec()),
            ("phrase", words.clone().into_bytes()),
            ("three words", three.join(" ").into_bytes()),
            ("WIF key", wif.as_bytes().to_vec()),
            ("raw key", raw),
            ("key in hex", KEY.as_bytes().to_vec()),
            ("key in upper case", KEY.to_uppercase().into_bytes()),
        ])
    }

    fn are_not_in(&self, bytes: &[u8], place: &str) {
        for (what, canary) in &self.0 {
            let shows = bytes.windows(canary.len()).any(|window| window == canary);
            assert!(!shows, "the {what} shows in {place}");
        }
    }

    fn are_not_below(&self, directory: &Path) {
        for path in files(directory) {
            let bytes = std::fs::read(&path).unwrap_or_default();
            self.are_not_in(&bytes, &path.display().to_string());
        }
    }
}

fn wif() -> String {
    let bytes = bnsd::hash::decode_hex(KEY).unwrap();
    let key = bitcoin::PrivateKey::from_slice(&bytes, bitcoin::NetworkKind::Test);
    key.unwrap().to_wif()
}

/// Alice with a phrase and a raw key, and a world to use them in.
fn start(world: &World) -> (Person<'_>, Canaries) {
    opens(&world.person("registry"), "id", 52_595);
    let alice = world.person("alice");
    let wif = wif();
    let secret = alice.writes("wif", &wif);
    alice.does(&["keys", "import", "raw", "--file", &secret]);
    std::fs::remove_file(secret).unwrap();
    alice.gets(100_000_000);
    let listed = alice.does(&["keys", "list"]);
    let keys = listed.as_array().unwrap();
    let raw = keys.iter().find(|key| key["name"] == "raw").unwrap();
    let address = raw["addresses"][0]["address"].as_str().unwrap();
    alice.does(&["tx", "faucet", address, "100000000"]);
    let canaries = Canaries::of(&alice, &wif);
    (alice, canaries)
}

#[test]
fn no_secret_shows_anywhere() {
    let world = World::embedded();
    let (alice, canaries) = start(&world);
    for (key, name) in [("me", "one.id"), ("raw", "two.id")] {
        let arguments = ["--log", "trace", "name", "register", name, "--key", key];
        let mut running = world
            .command("alice", &arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut seen = Vec::new();
        while running.try_wait().unwrap().is_none() {
            for file in ["cmdline", "environ"] {
                let path = format!("/proc/{}/{file}", running.id());
                seen.extend(std::fs::read(path).unwrap_or_default());
            }
        }
        let output = running.wait_with_output().unwrap();
        assert!(output.status.success());
        canaries.are_not_in(&seen, "the process list");
        canaries.are_not_in(&output.stdout, "the standard output");
        canaries.are_not_in(&output.stderr, "the standard error");
    }
    // Refusals say no more.
    let refused = alice.tries(&[
        "--log", "trace", "name", "register", "one.id", "--key", "me",
    ]);
    canaries.are_not_in(refused.stderr.as_bytes(), "a refusal");
    let wrong = alice.writes("wrong-passphrase", "not the passphrase");
    std::fs::set_permissions(&wrong, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let refused = alice.tries(&[
        "--log",
        "trace",
        "keys",
        "export",
        "raw",
        "--passphrase-file",
        &wrong,
    ]);
    assert_eq!(refused.code, 3);
    canaries.are_not_in(refused.stderr.as_bytes(), "a refusal");
    canaries.are_not_in(world.log().as_bytes(), "the daemon's log");
    for directory in ["alice", "data"] {
        canaries.are_not_below(&world.path(directory));
    }
}

/// A `register` that has opened its key and waits for a block, in a directory and with limits that invite a core
/// file.
fn waiting(world: &World, directory: &Path) -> Child {
    world.run(&["tx", "mine", "0", "--manual"]);
    let plain = world.command("alice", &["name", "register", "me.id", "--key", "raw"]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"])
        .arg(plain.get_program())
        .args(plain.get_args())
        .envs(
            plain
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let running = command.spawn().unwrap();
    let reply = || world.run(&["--json", "tx", "mine", "0"]).json();
    until("the preorder waits", || reply()["waiting"] == 1);
    running
}

#[test]
fn a_command_with_keys_leaves_no_core_file() {
    let world = World::embedded();
    let (_alice, canaries) = start(&world);
    let directory = world.path("crash");
    std::fs::create_dir(&directory).unwrap();
    let mut running = waiting(&world, &directory);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let core: Vec<&str> = core.unwrap().split_whitespace().skip(4).take(2).collect();
    assert_eq!(core, ["0", "0"], "{limits}");

    let id = running.id().to_string();
    let sent = Command::new("kill").args(["-ABRT", &id]).status().unwrap();
    assert!(sent.success());
    let status = running.wait().unwrap();
    assert!(
        status.signal().is_some() && !status.core_dumped(),
        "{status}"
    );
    canaries.are_not_below(&directory);
    assert!(files(&directory).is_empty());
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
