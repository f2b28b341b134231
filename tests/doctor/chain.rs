//! What only the daemon sees: its database, the chain that it follows, the node, zone files.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use bnsd::hash::ZonefileHash;
use serde_json::{Value, json};

use crate::common::bitcoind::{Node, bitcoind};
use crate::common::home::{Ended, Home, ended};
use crate::common::process::{Process, serve, until};
use crate::common::world::{World, zonefile};

/// A daemon's settings, with which the doctor and its commands run too.
struct Patient {
    home: Home,
    settings: Vec<(String, String)>,
}

impl Patient {
    fn new(settings: &[(&str, &str)]) -> Self {
        let home = Home::new();
        let socket = home.path().join("socket").display().to_string();
        let data = home.path().join("data").display().to_string();
        let own = [
            ("BNSD_CONTROL_SOCKET", socket.as_str()),
            ("BNSD_DATA_DIR", &data),
        ];
        let all = own.iter().chain(settings);
        let settings = all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Self {
            settings: settings.collect(),
            home,
        }
    }

    fn start(&self) -> Process {
        let settings = self
            .settings
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        let mut process = serve(&self.home, &settings.collect::<Vec<_>>());
        process.ready(&self.home.path().join("socket"));
        process
    }

    /// A line of a shell that finds our programs.
    fn shell(&self, line: &str) -> Ended {
        let mut command = self.home.command("sh", &["-ec", line]);
        let programs = [Path::new(env!("CARGO_BIN_EXE_bnsd")), bitcoind()];
        let programs = programs.map(|program| program.parent().unwrap().display().to_string());
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", programs.join(":")));
        let settings = self.settings.iter();
        ended(command.envs(settings.map(|(key, value)| (key, value))))
    }

    fn findings(&self) -> Vec<Value> {
        let shown = self.shell("bnsd doctor --json || true");
        let report: Value = serde_json::from_str(&shown.stdout).expect("JSON");
        report["findings"].as_array().expect("a list").clone()
    }

    /// The command for a finding, as soon as it is there.
    fn command(&self, check: &str, state: &str, text: &str) -> String {
        let mut seen = Vec::new();
        let found = until(&format!("{state} of {check}: {text}"), || {
            seen = self.findings();
            let mut findings = seen.iter();
            let found = findings.find(|finding| {
                let said = finding["text"].as_str().expect("a text");
                finding["check"] == check && finding["state"] == state && said.contains(text)
            });
            found.cloned()
        });
        let command = found["command"].as_str();
        command.expect("a command").to_owned()
    }

    /// Runs it.
    fn treat(&self, check: &str, state: &str, text: &str) -> Ended {
        let command = self.command(check, state, text);
        let ran = self.shell(&command);
        assert_eq!(ran.code, 0, "{command}: {ran:?}");
        ran
    }

    fn until_well(&self, check: &str) {
        until(&format!("{check} to be well"), || {
            let findings = self.findings();
            let mut of_check = findings.iter().filter(|finding| finding["check"] == check);
            of_check
                .all(|finding| finding["state"] == "ok")
                .then_some(())
        });
    }
}

#[test]
fn a_damaged_database_is_derived_anew() {
    let patient = Patient::new(&[("BNSD_CHAIN_SOURCE", "dev")]);
    let mut daemon = patient.start();
    let mined = patient.shell("bnsd tx mine");
    assert_eq!(mined.code, 0, "{mined:?}");
    patient.until_well("sync");
    assert!(daemon.terminate().success());
    damage(&patient.home.path().join("data/names.redb"));
    let _damaged = patient.start();
    patient.treat("database", "failure", "it is damaged");
    let _whole = patient.start();
    patient.until_well("database");
    patient.until_well("sync");
}

/// Changes a byte of every page but the first.
fn damage(file: &Path) {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(file)
        .unwrap();
    let length = file.metadata().unwrap().len();
    for page in 1..length / 4_096 {
        let place = SeekFrom::Start(page * 4_096 + 17);
        let mut byte = [0];
        file.seek(place).unwrap();
        file.read_exact(&mut byte).unwrap();
        file.seek(place).unwrap();
        file.write_all(&[!byte[0]]).unwrap();
    }
}

#[test]
fn a_missing_zone_file_is_named_until_it_is_there() {
    let home = Home::new();
    let folder = home.folder("drop");
    let mut world = World::start(home.path(), std::slice::from_ref(&folder));
    let bytes = zonefile("anna.id", "192.0.2.1");
    let hash = ZonefileHash::of(&bytes);
    world.publish(&[("anna.id", hash)]);
    let socket = world.socket().display().to_string();
    let mut patient = Patient::new(&[]);
    patient
        .settings
        .insert(0, ("BNSD_CONTROL_SOCKET".to_owned(), socket));
    patient.settings.remove(1);
    let listed = patient.treat(
        "zonefiles",
        "warning",
        "1 of 1 are missing, as that of anna.id",
    );
    assert!(listed.stdout.contains(&hash.to_string()), "{listed:?}");
    fs::write(folder.join("anna.id.zone"), &bytes).unwrap();
    patient.until_well("zonefiles");
}

/// Blocks of a node, with a reward that tells branches apart.
fn mine(node: &Node, count: u32, script: &str) {
    let info: Value = node.call("getdescriptorinfo", &[json!(format!("raw({script})"))]);
    let blocks: Vec<String> = node.call(
        "generatetodescriptor",
        &[json!(count), info["descriptor"].clone()],
    );
    assert_eq!(blocks.len(), count as usize);
}

fn follows(node: &Node) -> Patient {
    let cookie = node.cookie().display().to_string();
    Patient::new(&[
        ("BNSD_CHAIN_SOURCE", "bitcoind"),
        ("BNSD_CHAIN_NETWORK", "regtest"),
        ("BNSD_CHAIN_UNDO_DEPTH", "4"),
        ("BNSD_CHAIN_RPC_ADDRESS", &node.address()),
        ("BNSD_CHAIN_RPC_COOKIE", &cookie),
    ])
}

#[test]
fn a_chain_that_parted_too_deep_is_left_and_followed_anew() {
    let home = Home::new();
    let node = Node::start(&home.folder("bitcoin"), &[]);
    mine(&node, 20, "51");
    let patient = follows(&node);
    let _daemon = patient.start();
    patient.until_well("sync");
    let _: Value = node.call("invalidateblock", &[json!(node.hash_at(8))]);
    mine(&node, 20, "52");
    patient.treat("sync", "failure", "parted from the index at block 7");
    let _again = patient.start();
    patient.until_well("sync");
    patient.until_well("node");
}

#[test]
fn a_node_that_does_not_run_is_started() {
    let home = Home::new();
    let directory = home.folder("bitcoin");
    let mut node = Node::start(&directory, &[]);
    let port = node.address().replace("127.0.0.1:", "");
    let lines = format!("[regtest]\nrpcport={port}\nlisten=0\nconnect=0\n");
    fs::write(directory.join("bitcoin.conf"), lines).unwrap();
    mine(&node, 1, "51");
    let patient = follows(&node);
    let _daemon = patient.start();
    patient.until_well("node");
    node.stop();
    patient.treat("node", "failure", "cannot be reached");
    patient.until_well("node");
    let _: Value = node.call("stop", &[]);
}
