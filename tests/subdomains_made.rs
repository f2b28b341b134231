//! Subdomains made, changed and published by commands alone, on the embedded chain.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::opens;
use crate::common::person::{Person, World};

mod packed;
mod registrar;

const A: u16 = 1;
const TXT: u16 = 16;
const NOERROR: u8 = 0;

/// Somebody who owns `foo.id`, with an address record.
fn carrier(world: &World) -> Person<'_> {
    opens(&world.person("registry"), "id");
    let alice = world.person("alice");
    alice.gets(100_000_000);
    registers(&alice, "foo.id");
    alice
}

fn registers(person: &Person<'_>, name: &str) {
    let text = format!("$ORIGIN {name}\n$TTL 3600\n; its own host\n@ A 192.0.2.1\n");
    let zone = person.writes(&format!("{name}.zone"), &text);
    person.does(&["name", "register", name, "--zonefile", &zone]);
}

/// A zone file of a subdomain with one text.
fn zone(person: &Person<'_>, subdomain: &str, text: &str) -> String {
    let lines = format!("$ORIGIN {subdomain}\n$TTL 60\n@ A 192.0.2.7\n@ TXT \"{text}\"\n");
    person.writes(&format!("{subdomain}.{text}.zone"), &lines)
}

/// A place for a record.
fn place(world: &World, name: &str) -> String {
    world.path(name).display().to_string()
}

/// Packs records for `foo.id` and announces the zone file.
fn publishes(alice: &Person<'_>, records: &[&str]) -> Value {
    let out = place(alice.world, "packed.zone");
    let pack = [&["subdomain", "pack", "foo.id"], records, &["--out", &out]].concat();
    let packed = alice.does(&pack);
    alice.does(&["name", "update", "foo.id", "--zonefile", &out]);
    packed
}

fn shown(world: &World, subdomain: &str) -> Value {
    world
        .run(&["--json", "subdomain", "show", subdomain])
        .json()["subdomain"]
        .take()
}

/// Waits until the record with a sequence is accepted.
fn is_at(world: &World, subdomain: &str, sequence: u64) {
    until(&format!("{subdomain} is at {sequence}"), || {
        shown(world, subdomain)["sequence"] == sequence
    });
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "{what}: not so");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The files in a folder, if it is there.
fn files(folder: PathBuf) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

#[test]
fn a_subdomain_is_made_changed_and_given_away() {
    let world = World::embedded();
    let alice = carrier(&world);
    let [bob, carol] = ["bob", "carol"].map(|name| world.person(name));
    let record = place(&world, "record");
    let out = ["--out", &record];

    // Made by its owner, announced by the owner of the name, who keeps his own records.
    let one = zone(&bob, "bar.foo.id", "one");
    let new = ["subdomain", "new", "bar.foo.id", "--zonefile", &one];
    let written = bob.does(&[&new[..], &out].concat());
    assert_eq!(
        (&written["sequence"], &written["signed"]),
        (&0.into(), &true.into())
    );
    let packed = publishes(&alice, &[&record]);
    assert!(packed["satoshi_each"].as_i64().unwrap() > 0, "{packed}");
    is_at(&world, "bar.foo.id", 0);
    assert_eq!(world.dig("bar.foo.id", A), (NOERROR, 1));
    assert_eq!(world.dig("foo.id", A), (NOERROR, 1));
    let details = shown(&world, "bar.foo.id");
    assert_eq!(details["owner"], bob.address());
    let did = details["did"].as_str().unwrap();
    assert!(did.starts_with("did:stack:v0:t"), "{did}");
    bob.cannot(&new, "accepted already");
    let other = zone(&bob, "bar.foo.id", "other");
    let again = ["subdomain", "new", "bar.foo.id", "--zonefile", &other];
    bob.cannot(&again, "its seqn does not follow 0");

    // Another zone file.
    let two = zone(&bob, "bar.foo.id", "two");
    let update = ["subdomain", "update", "bar.foo.id", "--zonefile", &two];
    alice.cannot(&update, "no key here is the owner");
    bob.does(&[&update[..], &out].concat());
    publishes(&alice, &[&record]);
    is_at(&world, "bar.foo.id", 1);
    let answer = bob.does(&["lookup", "bar.foo.id", "TXT"]);
    assert!(answer.to_string().contains("two"), "{answer}");
    assert_eq!(world.dig("bar.foo.id", TXT), (NOERROR, 1));

    // Another owner, with the zone file that it has.
    let transfer = [
        "subdomain",
        "transfer",
        "bar.foo.id",
        "--to",
        &carol.address(),
    ];
    bob.does(&[&transfer[..], &out].concat());
    publishes(&alice, &[&record]);
    is_at(&world, "bar.foo.id", 2);
    let details = shown(&world, "bar.foo.id");
    assert_eq!(details["owner"], carol.address());
    assert_eq!(world.dig("bar.foo.id", TXT), (NOERROR, 1));

    // The one before has no say any more, whatever he signs.
    bob.cannot(&update, "no key here is the owner");
    let (owner, by_hand) = (bob.address(), ["--sequence", "3", "--owner"]);
    let forged = [&update[..], &by_hand, &[&owner], &out].concat();
    bob.does(&forged);
    let zone_out = place(&world, "refused.zone");
    let pack = ["subdomain", "pack", "foo.id", &record, "--out", &zone_out];
    alice.cannot(&pack, "somebody else than the owner signed it");
    assert!(!world.path("refused.zone").exists());
    let three = zone(&carol, "bar.foo.id", "three");
    let update = ["subdomain", "update", "bar.foo.id", "--zonefile", &three];
    carol.does(&[&update[..], &out].concat());
    publishes(&alice, &[&record]);
    is_at(&world, "bar.foo.id", 3);
}

#[test]
fn another_name_can_carry_changes_but_no_new_owner() {
    let world = World::embedded();
    let alice = carrier(&world);
    registers(&alice, "other.id");
    let record = place(&world, "record");
    let one = zone(&alice, "bar.foo.id", "one");
    alice.does(&[
        "subdomain",
        "new",
        "bar.foo.id",
        "--zonefile",
        &one,
        "--out",
        &record,
    ]);
    publishes(&alice, &[&record]);
    is_at(&world, "bar.foo.id", 0);
    let two = zone(&alice, "bar.foo.id", "two");
    let update = ["subdomain", "update", "bar.foo.id", "--zonefile", &two];
    let elsewhere = ["--carrier", "other.id", "--out", &record];
    alice.does(&[&update[..], &elsewhere].concat());
    let out = place(&world, "other.zone");
    let pack = ["subdomain", "pack", "foo.id", &record, "--out", &out];
    alice.cannot(&pack, "it has to say \"$ORIGIN foo.id\"");
    alice.does(&["subdomain", "pack", "other.id", &record, "--out", &out]);
    alice.does(&["name", "update", "other.id", "--zonefile", &out]);
    is_at(&world, "bar.foo.id", 1);
    assert_eq!(shown(&world, "bar.foo.id")["carrier"], "other.id");
    let to = world.person("bob").address();
    let transfer = ["subdomain", "transfer", "bar.foo.id", "--to", &to];
    alice.cannot(
        &[&transfer[..], &elsewhere].concat(),
        "a record that changes the owner stands in the zone file of the name above",
    );
}

#[test]
fn several_keys_own_a_subdomain_together() {
    let world = World::embedded();
    let alice = carrier(&world);
    let bob = world.person("bob");
    bob.does(&["keys", "new", "second"]);
    let team = ["keys", "import", "team", "--multisig", "2", "--member"];
    bob.does(&[&team[..], &["me", "--member", "second"]].concat());
    let record = place(&world, "record");
    let one = zone(&bob, "team.foo.id", "one");
    let new = [
        "subdomain",
        "new",
        "team.foo.id",
        "--zonefile",
        &one,
        "--key",
        "team",
    ];
    bob.does(&[&new[..], &["--out", &record]].concat());
    publishes(&alice, &[&record]);
    is_at(&world, "team.foo.id", 0);
    let two = zone(&bob, "team.foo.id", "two");
    let update = ["subdomain", "update", "team.foo.id", "--zonefile", &two];
    bob.does(&[&update[..], &["--out", &record]].concat());
    publishes(&alice, &[&record]);
    is_at(&world, "team.foo.id", 1);
    std::fs::remove_file(world.path("bob").join("second.json")).unwrap();
    bob.cannot(&update, "takes 2 of its keys, and 1 are here");
}

#[test]
fn what_would_not_count_is_not_written() {
    let world = World::embedded();
    let alice = carrier(&world);
    let good = zone(&alice, "bar.foo.id", "good");
    for (name, reason) in [
        ("foo.id", "exactly two dots"),
        ("a.bar.foo.id", "exactly two dots"),
        ("b~r.foo.id", "the label of a subdomain has"),
        (
            "_missing.foo.id",
            "use the label _missing for something else",
        ),
        ("_x.foo.id", "DNS never serves _x.foo.id"),
    ] {
        alice.cannot(&["subdomain", "new", name, "--zonefile", &good], reason);
    }
    let bad = alice.writes("bad.zone", "$ORIGIN bar.foo.id\n$TTL 60\n@ A here\n");
    let new = ["subdomain", "new", "bar.foo.id", "--zonefile"];
    alice.cannot(&[&new[..], &[&bad]].concat(), "insist with --anyway");
    let anyway = alice.tries(&[&new[..], &[&bad, "--anyway"]].concat());
    assert!(anyway.stdout.contains("bar TXT \"owner="), "{anyway:?}");
    assert!(
        anyway.stdout.starts_with("; bar.foo.id, seqn 0, owner "),
        "{anyway:?}"
    );
    let long = format!("$ORIGIN bar.foo.id\n$TTL 60\n{}", ";\n".repeat(16_000));
    let long = alice.writes("long.zone", &long);
    alice.cannot(
        &[&new[..], &[&long]].concat(),
        "no zone file of its carrier has room for it",
    );
    alice.cannot(
        &["subdomain", "update", "bar.foo.id", "--zonefile", &good],
        "there is no subdomain bar.foo.id yet",
    );
    let by_hand = ["--sequence", "1", "--owner", &alice.address()];
    let transfer = [
        "subdomain",
        "transfer",
        "bar.foo.id",
        "--to",
        &alice.address(),
    ];
    alice.cannot(&[&transfer[..], &by_hand].concat(), "name its zone file");
    let record = place(&world, "record");
    let update = [
        "subdomain",
        "update",
        "bar.foo.id",
        "--zonefile",
        &good,
        "--out",
        &record,
    ];
    alice.does(&[&update[..], &by_hand].concat());
    let wrapped = [&transfer[..4], &["me/p2sh", "--zonefile", &good], &by_hand].concat();
    alice.cannot(&wrapped, "wrapped segwit can sign no record");
    let owned = [&new[..], &[&good, "--owner", "me/p2sh"]].concat();
    alice.cannot(&owned, "wrapped segwit can sign no record");
    let pack = ["subdomain", "pack", "foo.id", &record, "--out", &record];
    alice.cannot(&pack, "the first record of a subdomain has seqn=0");
    assert_eq!(world.run(&["subdomain", "show", "bar.foo.id"]).code, 1);
    assert_eq!(world.run(&["subdomain", "show", "foo.id"]).code, 2);
}
