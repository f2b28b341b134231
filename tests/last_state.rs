//! The published last state of the network, brought in and served without any chain.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bnsd::bns::address::Address;
use bnsd::bns::last_state::c32;
use bnsd::hash::{ZonefileHash, encode_hex, h160, sha256};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::Value;

use crate::common::dns::see;
use crate::common::home::{Ended, Home, is_one_sentence};
use crate::common::process::{Process, listener, serve};

const RULES: &str = "6;5;4;3;2;1;0;0;0;0;0;0;0;0;0;0,4,250,4,4,52595";

/// Both files of an export with so many names, in a home of their own.
struct Export {
    home: Home,
    chainstate: PathBuf,
    zonefiles: PathBuf,
}

fn owner(number: usize) -> Address {
    let hash = h160(&number.to_be_bytes());
    match number % 3 {
        0 => Address::P2sh(hash),
        _ => Address::P2pkh(hash),
    }
}

fn zone(number: usize) -> String {
    format!("$ORIGIN name{number}.id\n$TTL 3600\n@ A 93.184.216.34\n")
}

impl Export {
    fn new(names: usize) -> Self {
        let home = Home::new();
        let revealer = c32::encode(&owner(1));
        let mut chainstate = format!(
            "-----BEGIN NAMESPACES-----\nnamespace_id,address,buckets,base,coeff,nonalpha_discount,no_vowel_discount,lifetime\nid,{revealer},{RULES}\n-----END NAMESPACES-----\n-----BEGIN NAMES-----\nname,address,zonefile_hash\n"
        );
        let mut zonefiles = String::new();
        for number in 0..names {
            let (owner, zone) = (c32::encode(&owner(number)), zone(number));
            let hash = ZonefileHash::of(zone.as_bytes());
            writeln!(chainstate, "name{number}.id,{owner},{hash}").unwrap();
            writeln!(zonefiles, "{hash}\n{}", zone.replace('\n', "\\n")).unwrap();
        }
        chainstate += "-----END NAMES-----\n-----BEGIN STX BALANCES-----\naddress,balance\n1111111111111111111114oLvT2,2500000000000\n-----END STX BALANCES-----\n-----BEGIN STX VESTING-----\naddress,value,blocks\n-----END STX VESTING-----";
        let write = |name: &str, text: &str| {
            let path = home.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        Self {
            chainstate: write("chainstate.txt", &chainstate),
            zonefiles: write("name_zonefiles.txt", &zonefiles),
            home,
        }
    }

    /// The arguments that bring it in although it is not the published one.
    fn arguments(&self) -> Vec<String> {
        import(&self.chainstate, &self.zonefiles)
    }

    fn import(&self) -> Ended {
        run(&self.home, &self.arguments())
    }

    fn serve(&self) -> Process {
        let config = self.home.path().join("bnsd.toml");
        let text = "[chain]\nsource = \"final\"\n[namespaces]\nid = \"only\"\n[dns]\nupstreams = [\"127.0.0.1:9\"]\n";
        std::fs::write(&config, text).unwrap();
        let config = config.display().to_string();
        serve(&self.home, &[("BNSD_CONFIG", &config)])
    }

    fn status(&self, daemon: &mut Process) -> bnsd::api::status::StatusReply {
        daemon.ready(&self.home.state().join("control.sock"))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let ended = self.home.run(&[arguments, &["--json"]].concat());
        serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"))
    }
}

fn hash(path: &Path) -> String {
    encode_hex(&sha256(&std::fs::read(path).unwrap()))
}

fn import(chainstate: &Path, zonefiles: &Path) -> Vec<String> {
    let mut arguments = vec!["chain".to_owned(), "import-final".to_owned()];
    for path in [chainstate, zonefiles] {
        arguments.extend([
            path.display().to_string(),
            "--sha256".to_owned(),
            hash(path),
        ]);
    }
    arguments
}

fn run(home: &Home, arguments: &[String]) -> Ended {
    home.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn old_names_are_served_without_any_chain() {
    let export = Export::new(12);
    let mut daemon = export.serve();
    crate::common::process::until("the daemon to end", || daemon.code());
    assert!(
        daemon
            .stderr()
            .contains("chain import-final CHAINSTATE ZONEFILES")
    );

    let ended = export.import();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.stdout.contains("not the published files"),
        "{ended:?}"
    );
    let mut daemon = export.serve();
    let status = export.status(&mut daemon);
    assert_eq!(
        (status.names, status.height, status.lag_seconds),
        (12, Some(665_750), Some(0))
    );
    assert!(status.is_final && status.sync.is_none() && status.consensus_hash.is_none());
    assert!(status.source.contains("not work"), "{}", status.source);
    assert!(status.tip_age_seconds.is_none() && status.block_time.is_none());
    let listener = listener(&status);
    let seen = see(listener, "name3.id", RecordType::A);
    assert!(seen.has_address("93.184.216.34"), "{seen:?}");
    let seen = see(listener, "nobody.id", RecordType::A);
    assert!(seen.is_negative(ResponseCode::NXDomain), "{seen:?}");

    let explained = export.json(&["explain", "name3.id"]);
    assert_eq!(explained["later_owner"], c32::encode(&owner(3)));
    assert_eq!(explained["owner"], owner(3).to_string());
    let rests_on = explained["rests_on"].as_str().unwrap();
    assert!(
        rests_on.contains("not work") && rests_on.contains(&hash(&export.chainstate)),
        "{rests_on}"
    );
    for absent in [
        "txid",
        "height",
        "confirmations",
        "consensus_hash",
        "last_resolves",
    ] {
        assert_eq!(explained[absent], Value::Null, "{absent}");
    }
    assert_eq!(explained["history"].as_array().unwrap().len(), 0);
    assert_eq!(explained["answer"]["time"], Value::Null);
    let shown = export.home.run(&["name", "show", "name3.id"]);
    for part in ["registered", "not work", &c32::encode(&owner(3)), "present"] {
        assert!(shown.stdout.contains(part), "{part}: {shown:?}");
    }
    let proof = export.home.run(&["chain", "prove", "name3.id"]);
    is_one_sentence(&proof, 1, &["only a node that indexed the chain"]);
    let ended = export.import();
    assert!(
        ended.code == 3 && ended.stderr.contains("process"),
        "{ended:?}"
    );
    assert!(daemon.terminate().success());
    let verify = export
        .home
        .bnsd(&["chain", "verify"])
        .env("BNSD_CHAIN_SOURCE", "final")
        .output();
    assert_eq!(verify.unwrap().status.code(), Some(3));
}

#[test]
fn a_file_that_is_another_or_damaged_changes_nothing() {
    let export = Export::new(3);
    let paths = [&export.chainstate, &export.zonefiles].map(|path| path.display().to_string());
    let bare = ["chain", "import-final", &paths[0], &paths[1]];
    let named = hash(&export.chainstate);
    let advice = format!("--sha256 {named}");
    is_one_sentence(&export.home.run(&bare), 1, &["74237aa39aa50a83", &advice]);
    let one = [&bare[..], &["--sha256", &named]].concat();
    is_one_sentence(&export.home.run(&one), 1, &["a256860023e6e5a1"]);
    assert_eq!(export.import().code, 0);

    let damaged = export.home.path().join("damaged.txt");
    let text = std::fs::read_to_string(&export.chainstate).unwrap();
    std::fs::write(&damaged, text.replacen("name1.id,S", "name1.id,T", 1)).unwrap();
    let ended = run(&export.home, &import(&damaged, &export.zonefiles));
    is_one_sentence(&ended, 1, &["line 8", "is no address"]);
    let end = "\n-----END STX VESTING-----";
    std::fs::write(&damaged, text.strip_suffix(end).unwrap()).unwrap();
    let ended = run(&export.home, &import(&damaged, &export.zonefiles));
    is_one_sentence(&ended, 1, &["ends before its sections do"]);
    let zones = std::fs::read_to_string(&export.zonefiles).unwrap();
    std::fs::write(&damaged, format!("{zones}{}", hash(&export.zonefiles))).unwrap();
    let ended = run(&export.home, &import(&export.chainstate, &damaged));
    is_one_sentence(&ended, 1, &["line 7", "is no zone file hash"]);
    let ended = export
        .home
        .run(&["chain", "import-final", "/nowhere", &paths[1]]);
    is_one_sentence(&ended, 3, &["cannot read /nowhere"]);
    let mut daemon = export.serve();
    assert_eq!(export.status(&mut daemon).names, 3, "the state from before");
}

#[test]
fn whenever_an_import_is_killed_there_is_a_whole_state() {
    let (small, large) = (Export::new(5), Export::new(4_000));
    let home = &large.home;
    let small = import(&small.chainstate, &small.zonefiles);
    assert_eq!(run(home, &small).code, 0);
    for pause in (0..12).map(|step| 40 * step * step) {
        let arguments = large.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut importing = home.bnsd(&arguments).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        let _ = importing.kill();
        importing.wait().unwrap();
        let mut daemon = large.serve();
        let names = large.status(&mut daemon).names;
        assert!(
            [5, 4_000].contains(&names),
            "{names} names after {pause} ms"
        );
    }
    assert_eq!(large.import().code, 0);
    let mut daemon = large.serve();
    let status = large.status(&mut daemon);
    assert_eq!(status.names, 4_000);
    let left: Vec<_> = std::fs::read_dir(home.state())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    let states = left
        .iter()
        .filter(|name| name.to_string_lossy().starts_with("last-state."));
    assert_eq!(states.count(), 1, "{left:?}");
    let seen = see(listener(&status), "name3999.id", RecordType::A);
    assert!(seen.has_address("93.184.216.34"), "{seen:?}");
}
