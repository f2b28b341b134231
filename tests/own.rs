//! A person's whole life with a name, through the binary alone, on the embedded chain.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::person::{Person, World};

mod bill;
mod consent;
mod dates;
mod faults;
mod keys;
mod kills;
mod losses;
mod psbt;
mod sale;
mod secrets;
mod zonefiles;

const A: u16 = 1;
const TXT: u16 = 16;
const NOERROR: u8 = 0;
const NXDOMAIN: u8 = 3;

/// Opens a namespace; the price of a long name is 250 times a tenth of 100 satoshi, over one.
fn opens(person: &Person<'_>, id: &str, lifetime: u32) {
    person.gets(20_000_000_000);
    person.does(&["namespace", "preorder", id]);
    person.does(&[
        "namespace",
        "reveal",
        id,
        "--lifetime",
        &lifetime.to_string(),
    ]);
    person.does(&["namespace", "ready", id]);
}

#[test]
fn a_whole_life_with_a_name() {
    let world = World::embedded();
    let [registry, alice, bob, carol] =
        ["registry", "alice", "bob", "carol"].map(|name| world.person(name));
    opens(&registry, "id", 15);
    for person in [&alice, &bob, &carol] {
        person.gets(100_000_000);
    }

    // Looking.
    let price = alice.does(&["name", "price", "longername.id"]);
    assert_eq!(price["satoshi"], 2_500);
    assert_eq!(alice.tries(&["name", "available", "me.id"]).code, 0);
    let shown = alice.tries(&["name", "register", "me.id", "--dry-run"]);
    assert!(
        shown.stdout.contains("(burnt)") && shown.stdout.contains("fee"),
        "{shown:?}"
    );
    assert_eq!(world.name("me.id")["state"], "free");

    // Registering, publishing, asking.
    let zone = alice.writes("me.zone", "$ORIGIN me.id\n$TTL 3600\n@ A 93.184.216.34\n");
    let effect = alice.does(&["name", "register", "me.id", "--zonefile", &zone]);
    assert_eq!(effect["operation"], "NAME_REGISTRATION");
    assert_eq!(effect["consensus_hash"].as_str().unwrap().len(), 32);
    assert!(
        effect["dig"]
            .as_str()
            .unwrap()
            .starts_with("dig @127.0.0.1 -p ")
    );
    assert_eq!(world.dig("me.id", A), (NOERROR, 1));
    assert_eq!(alice.tries(&["name", "available", "me.id"]).code, 1);
    bob.cannot(&["name", "register", "me.id"], "registered already");
    alice.cannot(&["name", "register", "me.id"], "me.id is yours already");
    bob.cannot(
        &["name", "update", "me.id", "--zonefile", &zone],
        "no key here is the owner",
    );

    // Updating.
    let zone = alice.writes(
        "new.zone",
        "$ORIGIN me.id\n$TTL 3600\n@ A 93.184.216.34\n@ TXT \"new\"\n",
    );
    alice.does(&["zonefile", "publish", "me.id", &zone]);
    assert_eq!(world.dig("me.id", TXT), (NOERROR, 1));
    let export = alice.tries(&["zonefile", "export", "me.id"]);
    assert_eq!(export.stdout, std::fs::read_to_string(&zone).unwrap());

    // Transferring, keeping the zone file.
    alice.does(&["name", "transfer", "me.id", "--to", &bob.address()]);
    assert_eq!(world.name("me.id")["owner"], bob.address());
    assert_eq!(world.dig("me.id", TXT), (NOERROR, 1));
    alice.cannot(&["name", "revoke", "me.id"], "no key here is the owner");
    assert_eq!(bob.does(&["name", "list"])[0]["name"], "me.id");
    assert_eq!(bob.does(&["name", "expiring"])[0]["name"], "me.id");
    assert_eq!(alice.does(&["name", "list"]), serde_json::json!([]));

    // The term ends; in the grace period only a renewal is allowed.
    let grace = world.name("me.id")["grace_start"].as_u64().unwrap();
    world.mine((grace - world.height()) as u32);
    assert_eq!(world.name("me.id")["state"], "grace");
    let last = world.name("me.id")["last_resolves"].as_u64().unwrap();
    bob.cannot(
        &["name", "update", "me.id", "--zonefile", &zone],
        &format!("Renew it first: `bnsd name renew`. It would pass from block {last} (about "),
    );
    bob.does(&["name", "renew", "me.id"]);
    assert_eq!(world.name("me.id")["state"], "registered");

    // Everything that happened is told.
    let history = bob.does(&["name", "history", "me.id"]);
    let operations: Vec<&str> = history
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["operation"].as_str())
        .collect();
    let expected = [
        "NAME_REGISTRATION",
        "NAME_UPDATE",
        "NAME_TRANSFER",
        "NAME_RENEWAL",
    ];
    assert_eq!(operations, expected);

    // The name expires for good, and a third person takes it.
    let free = world.name("me.id")["free_from"].as_u64().unwrap();
    world.mine((free - 1 - world.height()) as u32);
    assert_eq!(world.dig("me.id", TXT).0, NXDOMAIN);
    carol.does(&["name", "register", "me.id"]);
    assert_eq!(world.name("me.id")["owner"], carol.address());

    // And gives it up.
    carol.does(&["name", "revoke", "me.id"]);
    assert_eq!(world.name("me.id")["state"], "revoked");
    assert_eq!(world.dig("me.id", A).0, NXDOMAIN);
    carol.cannot(&["name", "renew", "me.id"], "the name is revoked");
    assert_eq!(carol.does(&["name", "pending"]), serde_json::json!([]));
}

#[test]
fn a_thousand_names_are_imported_and_a_stopped_import_goes_on() {
    let world = World::embedded();
    let registry = world.person("registry");
    registry.gets(20_000_000_000);
    registry.does(&["namespace", "preorder", "town"]);
    let revealed = registry.tries(&["namespace", "reveal", "town", "--coeff", "4"]);
    assert!(
        revealed.stderr.contains("0.00000040 BTC (40 satoshi)"),
        "{revealed:?}"
    );
    let owner = registry.address();
    let lines = (0..1_000).map(|number| format!("house-{number}.town,{owner},{number:040x}\n"));
    let list = registry.writes("names.csv", &lines.collect::<String>());
    let mut first = world
        .command("registry", &["namespace", "import", "town", &list])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("some names are imported", || {
        world.name("house-0.town")["state"] == "registered"
    });
    first.kill().unwrap();
    first.wait().unwrap();
    registry.does(&["namespace", "import", "town", &list]);
    registry.does(&["namespace", "ready", "town"]);
    let all = registry.does(&["name", "list", "--all"]);
    assert_eq!(all.as_array().unwrap().len(), 1_000);
    assert_eq!(
        world.name("house-999.town")["history"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    registry.cannot(
        &[
            "namespace",
            "import",
            "town",
            &registry.writes("late.csv", &format!("late.town,{owner},{:040x}\n", 1)),
        ],
        "Reveal the namespace first",
    );
}

#[test]
fn what_would_be_refused_costs_nothing() {
    let world = World::embedded();
    let [registry, alice] = ["registry", "alice"].map(|name| world.person(name));
    world.mine(1);
    alice.cannot(
        &["name", "register", "me.id"],
        "its namespace was never revealed",
    );
    registry.cannot(&["namespace", "preorder", "id"], "coins are missing");
    registry.gets(20_000_000_000);
    registry.cannot(&["namespace", "reveal", "id"], "no preorder matches");
    registry.does(&["namespace", "preorder", "id"]);
    registry.cannot(
        &["namespace", "preorder", "id"],
        "an unspent preorder with the same hash",
    );
    registry.cannot(
        &["namespace", "reveal", "id", "--rules", "3"],
        "not supported in this epoch",
    );
    registry.cannot(
        &["namespace", "reveal", "id", "--buckets", "16"],
        "an exponent is 0 to 15",
    );
    registry.does(&["namespace", "reveal", "id"]);
    registry.cannot(&["namespace", "reveal", "id"], "revealed already");
    alice.gets(100_000_000);
    alice.cannot(&["name", "register", "me.id"], "the namespace is not ready");
    let hash = "11".repeat(20);
    let owner = alice.address();
    let import = [
        "name", "import", "own.id", "--owner", &owner, "--hash", &hash,
    ];
    alice.cannot(
        &import,
        "the first import must be signed by the namespace's revealer",
    );
    registry.does(&import);
    alice.cannot(&import, "not in the namespace's import keychain");
    alice.cannot(
        &["namespace", "ready", "id", "--key", "me"],
        "the sender does not own the name",
    );
    registry.does(&["namespace", "ready", "id"]);
    registry.cannot(
        &["namespace", "reveal", "id"],
        "the namespace is ready already",
    );
    alice.cannot(
        &["name", "transfer", "own.id", "--to", &owner],
        "sender and recipient are the same",
    );
    alice.cannot(
        &["name", "update", "never.id", "--hash", &hash],
        "was never registered",
    );
    alice.cannot(
        &[
            "name",
            "transfer",
            "own.id",
            "--to",
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
        ],
        "native segwit",
    );
    registry.cannot(
        &["name", "revoke", "own.id", "--key", "me"],
        "the sender does not own the name",
    );
    registry.cannot(
        &["name", "update", "own.id", "--hash", &hash, "--key", "me"],
        "no name fits the hash",
    );
    registry.cannot(
        &["name", "transfer", "own.id", "--to", &owner, "--key", "me"],
        "",
    );
    alice.cannot(
        &[
            "name",
            "update",
            "own.id",
            "--hash",
            &hash,
            "--fee-rate",
            "200000",
        ],
        "more",
    );
    alice.cannot(
        &[
            "name",
            "update",
            "own.id",
            "--hash",
            &hash,
            "--fee-rate",
            "50000",
        ],
        "more than a tenth",
    );
    let before = world.height();
    assert_eq!(world.name("own.id")["history"].as_array().unwrap().len(), 1);
    assert_eq!(world.height(), before);
}

/// The rules about addresses: how many names one holds, and which kinds can import.
#[test]
fn an_address_that_can_do_no_more_is_told_before_it_costs_anything() {
    let world = World::embedded();
    let [registry, alice] = ["registry", "alice"].map(|name| world.person(name));
    registry.gets(20_000_000_000);
    registry.does(&["namespace", "preorder", "id"]);
    registry.does(&["namespace", "reveal", "id"]);
    let owner = alice.address();
    let lines = (0..25).map(|number| format!("name{number}.id,{owner},{number:040x}\n"));
    let list = registry.writes("names.csv", &lines.collect::<String>());
    registry.does(&["namespace", "import", "id", &list]);
    registry.does(&[
        "keys",
        "import",
        "team",
        "--multisig",
        "1",
        "--member",
        "me",
    ]);
    let keys = registry.does(&["keys", "list"]);
    let team = keys[1]["addresses"][0]["address"].as_str().unwrap();
    registry.does(&["tx", "faucet", team, "1000000"]);
    let hash = "11".repeat(20);
    let import = [
        "name", "import", "own.id", "--owner", &owner, "--hash", &hash,
    ];
    registry.cannot(
        &[&import[..], &["--key", "team"]].concat(),
        "public key must be visible in an input. Nothing was sent. Send it from a p2pkh address.",
    );
    registry.does(&["namespace", "ready", "id", "--key", "me"]);
    alice.gets(100_000_000);
    let register = ["name", "register", "one-more.id"];
    alice.cannot(
        &register,
        "a script cannot hold more names. Nothing was sent. An address holds at most 25 names",
    );
    assert_eq!(world.worth(&[owner]), 100_000_000 + 25 * 5_500);
    let next = alice.does(&["keys", "list", "--addresses", "2"]);
    let next = next[0]["addresses"][1]["address"].as_str().unwrap();
    alice.does(&["tx", "faucet", next, "1000000"]);
    alice.does(&[&register[..], &["--key", "me/1"]].concat());
}

#[test]
fn a_quoted_hash_that_gets_too_old_is_replaced() {
    let world = World::embedded();
    let [registry, alice] = ["registry", "alice"].map(|name| world.person(name));
    opens(&registry, "id", 52_595);
    alice.gets(100_000_000);
    world.run(&["tx", "mine", "0", "--manual"]);
    let mut running = world
        .command("alice", &["name", "register", "me.id"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let waiting = || world.run(&["--json", "tx", "mine", "0"]).json()["waiting"].as_u64();
    until("the preorder waits", || waiting() == Some(1));
    let preorders = || {
        alice.does(&["name", "pending"])[0]["steps"][0]["attempts"]
            .as_array()
            .map(Vec::len)
    };
    assert_eq!(preorders(), Some(1));
    world.run(&["tx", "mine", "23", "--empty"]);
    until("it was built again", || preorders() == Some(2));
    assert_eq!(waiting(), Some(1), "the first one was replaced");
    world.run(&["tx", "mine", "1", "--automatic"]);
    assert!(running.wait().unwrap().success());
    assert_eq!(world.name("me.id")["owner"], alice.address());
    // 2.56 million are the price of four letters; two transactions and their replacement cost little.
    let spent = 100_000_000 - world.worth(&[alice.address()]);
    assert!(
        spent < 2_560_000 + 31_000,
        "the price was paid twice: {spent}"
    );
}

/// The long form is `tests/release/kills.rs`.
#[test]
fn register_survives_being_killed_anywhere() {
    kills::campaign(50, 1);
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "{what}: not so");
        std::thread::sleep(Duration::from_millis(50));
    }
}
