//! `bnsd chain prove` and `bnsd chain check-proof`.

use std::process::Output;

use serde_json::Value;

use crate::common::home::{Home, ended, is_one_sentence};
use crate::common::person::World;

const ZONE: &str = "$ORIGIN me.id\n$TTL 3600\n@ A 93.184.216.34\n";

/// A daemon with the name me.id.
fn world() -> World {
    let world = World::embedded();
    let person = world.person("me");
    person.gets(20_000_000_000);
    person.does(&["namespace", "preorder", "id"]);
    person.does(&["namespace", "reveal", "id", "--lifetime", "1000"]);
    person.does(&["namespace", "ready", "id"]);
    let zone = person.writes("me.zone", ZONE);
    person.does(&["name", "register", "me.id", "--zonefile", &zone]);
    world
}

fn proves(world: &World, arguments: &[&str]) -> Output {
    let arguments = [&["chain", "prove"], arguments].concat();
    world.question("nobody", &arguments).output().unwrap()
}

fn written(world: &World, proof: &[u8]) -> String {
    let path = world.path("proof");
    std::fs::write(&path, proof).unwrap();
    path.display().to_string()
}

#[test]
fn a_name_is_proved_and_the_proof_checked_without_a_daemon() {
    let mut world = world();
    world.mine(40);
    let status = world.run(&["--json", "status"]).json();
    let hash = status["consensus_hash"].as_str().unwrap();
    let proof = proves(&world, &["me.id"]);
    assert!(proof.status.success(), "{proof:?}");
    let said = String::from_utf8(proof.stderr.clone()).unwrap();
    assert!(said.contains(hash), "{said}");
    let bare = proves(&world, &["me.id", "--bare"]).stdout;
    assert_eq!(bare.len() + ZONE.len(), proof.stdout.len());
    let json = proves(&world, &["me.id", "--json"]).stdout;
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["proof"], bnsd::hash::encode_hex(&proof.stdout));
    world.stop_daemon();
    assert_eq!(
        proves(&world, &["me.id"]).stdout,
        proof.stdout,
        "from the database"
    );

    // Nothing of the daemon is there any more.
    let (home, file) = (Home::new(), written(&world, &proof.stdout));
    let check = ["chain", "check-proof", &file, "--consensus-hash", hash];
    let ended = home.run(&check);
    assert_eq!(ended.code, 0, "{ended:?}");
    for part in [
        "me.id at block",
        "registered",
        "in the proof, 42 bytes",
        "not shown",
        "nothing followed",
    ] {
        assert!(ended.stdout.contains(part), "{part}: {ended:?}");
    }
    let ended = home.run(&[&check[..], &["--json"]].concat());
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (&report["ok"], &report["name"]),
        (&Value::from(true), &Value::from("me.id"))
    );
    assert_eq!(report["height"], status["height"]);
    let name = report["last_renewed"].as_u64().unwrap();
    assert_eq!(report["last_resolves"], name + 2_000 + 5_000);
    assert_eq!(
        home.run(&[&check[..], &["--zonefile"]].concat()).stdout,
        ZONE
    );

    let other = "00".repeat(16);
    let ended = home.run(&["chain", "check-proof", &file, "--consensus-hash", &other]);
    is_one_sentence(&ended, 1, &["made for another hash"]);
    let ended = home.run(&[&check[..], &["--height", "3"]].concat());
    is_one_sentence(&ended, 1, &["not from that of block 3"]);
    for (bit, reason) in [(7 * 8, "not built in"), (8 * 400 + 3, "not right")] {
        let mut damaged = proof.stdout.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let file = written(&world, &damaged);
        let ended = home.run(&["chain", "check-proof", &file, "--consensus-hash", hash]);
        is_one_sentence(&ended, 1, &[reason]);
    }
}

#[test]
fn a_proof_is_not_written_to_a_terminal() {
    let home = Home::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/at_terminal.py");
    let program = env!("CARGO_BIN_EXE_bnsd");
    let ended = ended(&mut home.command(
        "python3",
        &[script, "--", program, "chain", "prove", "me.id"],
    ));
    let shown = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, 2, "{shown}");
    assert!(shown.contains("send it into a file"), "{shown}");
}

#[test]
fn what_was_and_what_never_was() {
    let world = world();
    let earlier = world.run(&["--json", "status"]).json();
    world.mine(10);
    let height = earlier["height"].to_string();
    let proof = proves(&world, &["me.id", "--at", &height]);
    let file = written(&world, &proof.stdout);
    let hash = earlier["consensus_hash"].as_str().unwrap();
    let ended = world.run(&["chain", "check-proof", &file, "--consensus-hash", hash]);
    assert_eq!(ended.code, 0, "{ended:?}");
    for (arguments, reason) in [
        (&["you.id"][..], "never registered"),
        (&["me.id", "--at", "2"], "never registered"),
        (&["me.id", "--at", "999999"], "not indexed"),
    ] {
        let ended = proves(&world, arguments);
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(ended.stdout.is_empty() && said.contains(reason), "{said}");
    }
    // The text of an update has no height.
    let checked = |proof: &Output| {
        let said = String::from_utf8(proof.stderr.clone()).unwrap();
        let hash = said.split_whitespace().last().unwrap().to_owned();
        let file = written(&world, &proof.stdout);
        world.run(&["chain", "check-proof", &file, "--consensus-hash", &hash])
    };
    let words = "as whoever made the proof says";
    let registered = checked(&proves(&world, &["me.id"])).stdout;
    assert!(registered.contains("a registration") && !registered.contains(words));
    world
        .person("me")
        .does(&["name", "update", "me.id", "--hash", &"ab".repeat(20)]);
    let updated = checked(&proves(&world, &["me.id", "--bare"])).stdout;
    assert!(
        updated.contains("an update") && updated.contains(words),
        "{updated}"
    );
}
