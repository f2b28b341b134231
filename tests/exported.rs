//! The log of a chain, written for others: what it is made from, and that two nodes write the same bytes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bnsd::bns::{Bns, Params};
use bnsd::chain::Indexed as _;
use bnsd::chain::dev::DevChain;
use bnsd::hash::ZonefileHash;
use bnsd::indexer::IndexedCandidates;
use bnsd::wallet::registrar::Registrar;

use crate::common::fault::{self, Disk, Refusal};
use crate::common::golden;
use crate::common::home::{Ended, Home, ended, is_one_sentence};
use crate::common::person::World;
use crate::common::process::until;
use crate::common::scratch::scratch;
use crate::common::written;

#[test]
fn a_candidate_is_found_by_its_id_as_long_as_its_block_is_indexed() {
    let scratch = scratch();
    let chain = golden::chain("consensus", "walk-all-epochs-seed3");
    let bns = Bns::new(chain.params.clone());
    let store = Arc::new(golden::open(scratch.path(), &chain.params, 100));
    let (early, late) = chain.blocks.split_at(chain.blocks.len() - 40);
    let indexed = IndexedCandidates::new(Arc::clone(&store));
    let assert_all = |until: u32| {
        let mut seen = 0;
        for block in &chain.blocks {
            for candidate in &block.candidates {
                let place = (block.height, candidate.vtxindex);
                let expected = (block.height <= until).then_some(place);
                let found = indexed.place_of(&candidate.txid).expect("readable");
                assert_eq!(found, expected, "{}", candidate.txid);
                let stored = indexed.candidate(place.0, place.1).expect("readable");
                let transaction = expected.map(|_| candidate.transaction.clone());
                assert_eq!(stored, transaction);
                seen += 1;
            }
        }
        assert!(seen > 100);
    };
    let height = |blocks: &[_]| -> u32 {
        let last: Option<&bnsd::indexer::ReplayBlock> = blocks.last();
        last.expect("a block").height
    };
    golden::connect(&store, &bns, early, |_, _| {});
    assert_all(height(early));
    golden::connect(&store, &bns, late, |_, _| {});
    assert_all(height(late));
    for _ in 0..60 {
        store.disconnect().expect("undo data");
    }
    assert_all(height(late) - 60);
}

/// Header time of the first block, seconds since 1970.
pub const TIME: u32 = 1_700_000_000;

/// A home with an embedded chain of a sealed segment and an open one, both with operations; it is indexed.
pub fn indexed() -> Home {
    let home = Home::new();
    let chain = DevChain::open(&home.state().join("chain")).expect("a chain");
    let mut registrar = Registrar::open(chain.clone(), Bns::new(Params::regtest())).expect("keys");
    let mut publish = |text: &str| {
        let hash = ZonefileHash::of(text.as_bytes());
        let names = ["one.id", "two.id"].map(|name| (name.parse().expect("a name"), hash));
        registrar.publish(&names, TIME).expect("operations");
    };
    publish("first");
    let reward = bitcoin::ScriptBuf::from_bytes(vec![1]);
    let left = 2_016 + 90 - chain.tip().height;
    chain.mine_empty(&reward, left, TIME).expect("blocks");
    publish("second");
    let left = 2_016 + 120 - chain.tip().height;
    chain.mine_empty(&reward, left, TIME).expect("blocks");
    drop((registrar, chain));
    let verified = home.command_on_chain(&["serve", "--listen", "127.0.0.1:0"]);
    index(verified, &home);
    home
}

/// Runs a daemon until it has indexed everything.
fn index(mut command: Command, home: &Home) {
    command.env("BNSD_API_LISTEN", "none");
    command.env("BNSD_ATLAS_LISTEN", "none");
    let mut daemon = crate::common::process::Process::start(home, command);
    let socket = home.state().join("control.sock");
    until("the last block", || {
        let status = crate::common::process::status(&socket)?;
        (status.height? >= 2_016 + 120).then_some(())
    });
    assert!(daemon.terminate().success());
}

impl Home {
    /// A command on the embedded chain of this home.
    fn command_on_chain(&self, arguments: &[&str]) -> Command {
        let mut command = self.bnsd(arguments);
        command.env("BNSD_CHAIN_SOURCE", "dev");
        command
    }
}

pub fn export(home: &Home, to: &Path) -> Ended {
    let to = to.display().to_string();
    ended(&mut home.command_on_chain(&["chain", "export", &to]))
}

#[test]
fn a_log_is_written_without_a_daemon_and_what_is_there_stays() {
    let home = indexed();
    let to = home.path().join("log");
    let json = |to: &Path| -> serde_json::Value {
        let to = to.display().to_string();
        let ran = ended(&mut home.command_on_chain(&["--json", "chain", "export", &to]));
        assert_eq!(ran.code, 0, "{ran:?}");
        serde_json::from_str(&ran.stdout).expect("JSON")
    };
    let first = json(&to);
    let (manifest, candidates) = written::check(&to);
    assert!(candidates > 6, "{candidates}");
    assert_eq!(first["to"], 2_016 + 120);
    assert_eq!(
        (&first["segments"], &first["written"]),
        (&1.into(), &1.into())
    );
    let modified = |name: &str| fs::metadata(to.join(name)).unwrap().modified().unwrap();
    let before = ["segments/0", "segments/open", "headers", "log.json"].map(modified);
    assert_eq!(json(&to)["written"], 0);
    let after = ["segments/0", "segments/open", "headers", "log.json"].map(modified);
    assert_eq!(before, after, "nothing was written again");
    // Whatever is damaged or lost is made again.
    let whole = written::files(&to);
    for name in ["segments/0", "segments/open", "headers", "log.json"] {
        let path = to.join(name);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let is_text = name == "log.json";
        match is_text {
            true => fs::remove_file(&path).unwrap(),
            false => fs::write(&path, bytes).unwrap(),
        }
        json(&to);
        assert!(written::files(&to) == whole, "{name}");
    }
    assert_eq!(written::check(&to).0, manifest);
    // Everybody may read it.
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |name: &str| fs::metadata(to.join(name)).unwrap().permissions().mode() & 0o7777;
    for name in ["segments/0", "segments/open", "headers", "log.json"] {
        assert_eq!(mode(name), 0o644, "{name}");
    }
}

#[test]
fn a_directory_with_something_else_is_left_alone() {
    let home = indexed();
    let to = home.folder("photos");
    fs::write(to.join("holiday.jpg"), "a picture").unwrap();
    let parts = [
        "photos holds holiday.jpg, which is no part of a log",
        "name an empty directory",
    ];
    is_one_sentence(&export(&home, &to), 1, &parts);
    assert_eq!(written::files(&to).len(), 1);
    let to = home.folder("log");
    assert_eq!(export(&home, &to).code, 0);
    let path = to.join("log.json");
    let other = fs::read_to_string(&path)
        .unwrap()
        .replace("regtest", "signet");
    fs::write(&path, other).unwrap();
    is_one_sentence(&export(&home, &to), 1, &["has the log of another chain"]);
    let empty = Home::new();
    let ran = ended(&mut empty.command_on_chain(&["chain", "export", &to.display().to_string()]));
    is_one_sentence(&ran, 3, &["there is no database"]);
}

/// Killed before each of its calls that change a file, and in the middle of each write, an export goes on as if nothing had
/// been.
#[test]
fn an_export_that_is_killed_anywhere_goes_on() {
    let home = indexed();
    let reference = home.path().join("reference");
    assert_eq!(export(&home, &reference).code, 0);
    let whole = written::files(&reference);
    let library = fault::library(&home);
    let to = home.path().join("log");
    let mut call = 1;
    loop {
        let _ = fs::remove_dir_all(&to);
        let mut command = home.command_on_chain(&["chain", "export", &to.display().to_string()]);
        command.env("LD_PRELOAD", &library);
        command.env("FAULT_AT", format!("{}/", to.display()));
        command.env("FAULT_KILL", call.to_string());
        let ran = ended(&mut command);
        if to.join("log.json").exists() {
            written::check(&to);
        }
        let was_killed = ran.code == -1;
        let again = export(&home, &to);
        assert_eq!(again.code, 0, "call {call}: {again:?}");
        assert!(written::files(&to) == whole, "call {call}");
        if !was_killed {
            break;
        }
        call += 1;
    }
    assert!(call > 8, "{call} calls");
}

#[test]
fn a_full_disk_is_said_and_costs_nothing_that_was_there() {
    let home = indexed();
    let reference = home.path().join("reference");
    assert_eq!(export(&home, &reference).code, 0);
    let whole = written::files(&reference);
    let library = fault::library(&home);
    let to = home.path().join("log");
    let told = home.path().join("told");
    let mut refused = 0;
    for call in 1.. {
        let refusal = Refusal {
            library: &library,
            below: &to,
            call,
            disk: Disk::Full,
            told: &told,
        };
        let mut command = home.command_on_chain(&["chain", "export", &to.display().to_string()]);
        command.envs(refusal.environment());
        let ran = ended(&mut command);
        if to.join("log.json").exists() {
            written::check(&to);
        }
        if ran.code == 0 {
            break;
        }
        is_one_sentence(&ran, 3, &["cannot write", "log", "the next run goes on"]);
        refused += 1;
    }
    assert!(refused > 4, "{refused} calls");
    assert!(written::files(&to) == whole);
}

#[test]
fn a_daemon_gives_its_log_away_while_it_publishes_it() {
    let mut world = World::start("[chain]\nsource = \"dev\"\npublish = \"published\"\n");
    let published = world.path("published");
    let registry = world.person("registry");
    registry.gets(50_000_000_000);
    registry.does(&["namespace", "preorder", "id"]);
    registry.does(&["namespace", "reveal", "id", "--lifetime", "30"]);
    registry.does(&["namespace", "ready", "id"]);
    let zone = registry.writes("me.zone", "$ORIGIN me.id\n$TTL 3600\n@ A 192.0.2.1\n");
    registry.does(&["name", "register", "me.id", "--zonefile", &zone]);
    let status = || world.run(&["--json", "status"]).json();
    let reaches = |height: u64| {
        until("the published log", || {
            (status()["published"]["height"] == height).then_some(())
        });
    };
    reaches(world.height());
    let (_, candidates) = written::check(&published);
    assert!(candidates >= 5, "{candidates}");
    let asked = world.path("asked");
    let export = |to: &Path| {
        let ran = world.run(&["chain", "export", &to.display().to_string()]);
        assert_eq!(ran.code, 0, "{ran:?}");
        written::files(to)
    };
    assert!(export(&asked) == written::files(&published));
    // What somebody else writes there is not touched, and said once.
    let ran = world.run(&["chain", "export", &published.display().to_string()]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stderr.contains("is being written by another process"),
        "{ran:?}"
    );
    world.mine(120);
    reaches(world.height());
    assert!(export(&asked) == written::files(&published));
    drop(registry);
    world.stop_daemon();
    let alone = world.path("alone");
    let ran = world.run(&["chain", "export", &alone.display().to_string()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(written::files(&alone) == written::files(&published));
}

#[test]
fn a_log_that_cannot_be_published_is_said_in_the_status() {
    let directory = scratch();
    let to = directory.path().join("log");
    fs::create_dir(&to).unwrap();
    fs::write(to.join("holiday.jpg"), "a picture").unwrap();
    let lines = format!(
        "[chain]\nsource = \"dev\"\npublish = \"{}\"\n",
        to.display()
    );
    let world = World::start(&lines);
    world.mine(3);
    let said = until("the trouble", || {
        let status = world.run(&["--json", "status"]).json();
        let trouble = status["published"]["trouble"].as_str()?.to_owned();
        assert_eq!(status["height"], world.height(), "the index goes on");
        Some(trouble)
    });
    assert!(said.contains("holds holiday.jpg"), "{said}");
    let shown = world.run(&["status"]).stdout;
    assert!(
        shown.contains("warning: the log is not published"),
        "{shown}"
    );
    assert_eq!(world.log().matches("the log is not published").count(), 1);
}
