//! The key that a name gets when it is registered.

use std::path::PathBuf;

use crate::common::person::{Person, World};

const A: u16 = 1;
const TLSA: u16 = 52;
const NOERROR: u8 = 0;

/// Somebody who can pay for names of `id`.
fn alice(world: &World) -> Person<'_> {
    let registry = world.person("registry");
    registry.gets(20_000_000_000);
    for step in ["preorder", "reveal", "ready"] {
        registry.does(&["namespace", step, "id"]);
    }
    let alice = world.person("alice");
    alice.gets(100_000_000);
    alice
}

fn keys(world: &World, name: &str) -> PathBuf {
    world.path("alice").join("tls").join(name)
}

/// The key in a zone file.
fn bound(text: &str) -> &str {
    let (_, rest) = text
        .split_once("_tlskey TXT \"v=bnstls1 use=ta port=443 spki=")
        .expect(text);
    rest.split_once('"').expect(text).0
}

#[test]
fn a_name_is_registered_with_a_key_and_served_with_pins() {
    let world = World::embedded();
    let alice = alice(&world);
    let register = ["name", "register", "me.id", "--address", "93.184.216.34"];
    alice.does(&[&register[..], &["--dry-run"]].concat());
    alice.cannot(&["name", "register", "me.nowhere"], "");
    assert!(
        !world.path("alice").join("tls").exists(),
        "nothing is written"
    );
    let done = alice.tries(&register);
    assert_eq!(done.code, 0, "{done:?}");
    let directory = keys(&world, "me.id");
    assert!(
        done.stderr.contains(&directory.display().to_string()),
        "{done:?}"
    );
    // The log of each command is at its most talkative.
    for key in ["authority.key", "leaf.key"] {
        let secret = std::fs::read_to_string(directory.join(key)).unwrap();
        let secret = secret.lines().nth(1).unwrap();
        for shown in [&done.stdout, &done.stderr, &world.log()] {
            assert!(!shown.contains(secret), "{key} is shown");
        }
    }
    assert_eq!(world.dig("me.id", A), (NOERROR, 1));
    assert_eq!(world.dig("_443._tcp.me.id", TLSA), (NOERROR, 2));
    assert_eq!(world.dig("_443._tcp.www.me.id", TLSA), (NOERROR, 2));
    let announced = alice.tries(&["zonefile", "export", "me.id"]).stdout;
    assert_eq!(
        announced,
        std::fs::read_to_string(directory.join("me.id.zone")).unwrap()
    );
    let checked = alice.does(&[
        "zonefile",
        "check",
        "me.id",
        directory.join("me.id.zone").to_str().unwrap(),
    ]);
    assert_eq!(checked["problem_count"], 0, "{checked}");
}

#[test]
fn a_registration_that_is_resumed_keeps_its_key() {
    let world = World::embedded();
    let alice = alice(&world);
    alice.does(&["name", "preorder", "me.id"]);
    let file = keys(&world, "me.id").join("me.id.zone");
    let before = std::fs::read_to_string(&file).unwrap();
    // Without the key it would be announced with another one.
    let aside = world.path("aside");
    std::fs::rename(keys(&world, "me.id"), &aside).unwrap();
    alice.cannot(&["name", "register", "me.id"], "was begun with zone file");
    assert!(!keys(&world, "me.id").exists(), "no other key is written");
    std::fs::rename(&aside, keys(&world, "me.id")).unwrap();
    alice.does(&["name", "register", "me.id"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    let announced = alice.tries(&["zonefile", "export", "me.id"]).stdout;
    assert_eq!(bound(&announced), bound(&before));
}

#[test]
fn nobody_gets_a_key_who_does_not_want_one() {
    let world = World::embedded();
    let alice = alice(&world);
    alice.does(&["name", "register", "bare.id", "--no-tls"]);
    assert!(world.name("bare.id")["zonefile_hash"].is_null());
    let bob = world.person("bob").address();
    alice.does(&["name", "register", "gift.id", "--owner", &bob]);
    assert!(world.name("gift.id")["zonefile_hash"].is_null());
    let profile = alice.writes(
        "profile.zone",
        "$ORIGIN my.id\n_http._tcp URI 10 1 \"https://example.com\"\n",
    );
    alice.does(&["name", "register", "my.id", "--zonefile", &profile]);
    let printed = alice.tries(&["zonefile", "new", "me.id", "--no-tls"]);
    assert!(!printed.stdout.contains("_tlskey"), "{printed:?}");
    assert!(
        !world.path("alice").join("tls").exists(),
        "nothing is written"
    );
}

#[test]
fn a_zone_file_of_ones_own_is_left_alone_and_its_missing_line_said() {
    let world = World::embedded();
    let alice = alice(&world);
    let text = "$ORIGIN me.id\n$TTL 3600\n@ A 93.184.216.34\n";
    let zone = alice.writes("me.zone", text);
    let done = alice.tries(&["name", "register", "me.id", "--zonefile", &zone]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(std::fs::read_to_string(&zone).unwrap(), text);
    let line = done
        .stderr
        .lines()
        .find(|line| line.trim().starts_with("_tlskey TXT"));
    let line = line.unwrap_or_else(|| panic!("{done:?}")).trim().to_owned();
    // With that line it is served, and the key is the one that is kept.
    alice.writes("me.zone", &format!("{text}{line}\n"));
    alice.does(&["zonefile", "publish", "me.id", &zone]);
    assert_eq!(world.dig("_443._tcp.me.id", TLSA), (NOERROR, 2));
    let printed = alice.tries(&["zonefile", "new", "me.id"]);
    assert_eq!(bound(&printed.stdout), bound(&line));
    assert!(!keys(&world, "me.id").join("me.id.zone").exists());
}
