//! Writing zone files, and the questions about names that change nothing, through the binary.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::json;

use super::{Person, World, opens, until};

const DIGEST: &str = "aa11bb22cc33dd44ee55ff6600778899aa11bb22cc33dd44ee55ff6600778899";

/// What each template is asked for, and what has to be in it.
const TEMPLATES: [(&str, &[&str], &str); 10] = [
    (
        "web",
        &[],
        "_tlskey TXT \"v=bnstls1 use=ta port=443 spki=MFkw",
    ),
    ("web", &["--no-tls"], "www CNAME me.id."),
    (
        "tls",
        &[],
        "_tlskey TXT \"v=bnstls1 use=ta port=443 spki=MFkw",
    ),
    (
        "mail",
        &[],
        "_tlskey TXT \"v=bnstls1 use=ta port=25 spki=MFkw",
    ),
    ("web", &[], "@ A 192.0.2.1"),
    ("web", &["--address", "203.0.113.7"], "@ A 203.0.113.7"),
    (
        "profile",
        &["--url", "https://me.example/p.json"],
        "URI 10 1 \"https://me.example/p.json\"",
    ),
    ("tls", &["--digest", DIGEST], "_443._tcp TLSA 3 1 1 aa11"),
    ("mail", &["--address", "2001:db8::25"], "@ MX 10 me.id."),
    ("ssh", &["--digest", DIGEST], "@ SSHFP 4 2 aa11"),
];

#[test]
fn every_template_is_sound_as_it_is() {
    let world = World::embedded();
    let alice = world.person("alice");
    for (template, more, line) in TEMPLATES {
        let new = ["zonefile", "new", "me.id", "--template", template];
        let printed = alice.tries(&[&new[..], more].concat());
        assert_eq!(printed.code, 0, "{printed:?}");
        assert!(printed.stdout.contains(line), "{template}: {printed:?}");
        let file = alice.writes("new.zone", &printed.stdout);
        let checked = alice.does(&["zonefile", "check", "me.id", &file]);
        assert_eq!(checked["problem_count"], 0, "{template}: {checked}");
        assert!(!checked["records"].as_array().unwrap().is_empty());
        let hash = alice.does(&["zonefile", "hash", &file]);
        assert_eq!(hash["hash"], checked["hash"], "{template}");
    }
}

#[test]
fn problems_are_told_with_their_place() {
    let world = World::embedded();
    let alice = world.person("alice");
    let text = "$ORIGIN me.id\n$TTL 3600\n@ A 192.0.2.1\n@ A not-an-address\nelse.where.org. A 192.0.2.2\n";
    let file = alice.writes("bad.zone", text);
    let ran = alice.tries(&["zonefile", "check", "me.id", &file]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("line 4, column"), "{ran:?}");
    assert!(ran.stdout.contains("me.id. 3600 A 192.0.2.1"), "{ran:?}");
    alice.cannot(
        &["zonefile", "publish", "me.id", &file],
        "insist with --anyway",
    );
    let empty = alice.writes("empty.zone", "");
    alice.cannot(&["zonefile", "hash", &empty], "has 0 bytes");
    alice.cannot(&["zonefile", "check", "nonsense", &file], "is no name");
}

/// Somebody with `me.id` and a zone file.
fn owner(world: &World) -> Person<'_> {
    opens(&world.person("registry"), "id", 52_595);
    let alice = world.person("alice");
    alice.gets(100_000_000);
    let zone = alice.writes("me.zone", "$ORIGIN me.id\n$TTL 3600\n@ A 93.184.216.34\n");
    alice.does(&["name", "register", "me.id", "--zonefile", &zone]);
    alice
}

#[test]
fn a_zone_file_is_edited_where_it_is_checked() {
    let world = World::embedded();
    let alice = owner(&world);
    let editor = alice.writes("editor", "#!/bin/sh\necho \"$2\" >> \"$3\"\n");
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).unwrap();
    let edited = world.path("edited.zone").display().to_string();
    let edit = |line: &str| {
        let editor = format!("{editor} --add {line}");
        let output = world
            .command("alice", &["zonefile", "edit", "me.id", "--file", &edited])
            .env_remove("VISUAL")
            .env("EDITOR", editor)
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), shown)
    };
    // It begins with what the chain announces.
    let (code, shown) = edit("bogus");
    assert_eq!(code, Some(1), "{shown}");
    std::fs::remove_file(&edited).unwrap();
    let (code, shown) = edit(";a-comment");
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("+ ;a-comment"), "{shown}");
    let text = std::fs::read_to_string(&edited).unwrap();
    assert!(text.starts_with("$ORIGIN me.id\n") && text.ends_with(";a-comment\n"));
    let hash = alice.does(&["zonefile", "hash", &edited]);
    assert!(shown.contains(hash["hash"].as_str().unwrap()), "{shown}");

    // An editor that fails, or that is not there, changes nothing.
    for (editor, why) in [("false", "ended with"), ("no-such-editor", "cannot start")] {
        let output = world
            .command("alice", &["zonefile", "edit", "me.id", "--file", &edited])
            .env_remove("VISUAL")
            .env("EDITOR", editor)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(String::from_utf8_lossy(&output.stderr).contains(why));
    }
}

#[test]
fn what_the_chain_announces_and_nobody_has_is_missing() {
    let world = World::embedded();
    let alice = owner(&world);
    assert_eq!(alice.does(&["zonefile", "missing"]), json!([]));
    let zone = alice.writes("late.zone", "$ORIGIN me.id\n$TTL 3600\n@ TXT \"late\"\n");
    let hash = alice.does(&["zonefile", "hash", &zone])["hash"].clone();
    alice.does(&["name", "update", "me.id", "--hash", hash.as_str().unwrap()]);
    let missing = alice.does(&["zonefile", "missing"]);
    assert_eq!(missing[0]["hash"], hash);
    assert_eq!(missing[0]["name"], "me.id");
    alice.cannot(
        &["zonefile", "export", "me.id"],
        "there is no zone file of me.id here",
    );
}

#[test]
fn a_watched_name_says_when_its_owner_changes() {
    let world = World::embedded();
    let alice = owner(&world);
    let bob = world.person("bob");
    let watching = world
        .command("nobody", &["name", "watch", "me.id", "--once"])
        .stdout(Stdio::from(
            std::fs::File::create(world.path("watched")).unwrap(),
        ))
        .spawn()
        .unwrap();
    let said = || std::fs::read_to_string(world.path("watched")).unwrap();
    until("it has looked once", || said().contains("registered"));
    alice.does(&["name", "transfer", "me.id", "--to", &bob.address()]);
    let mut watching = watching;
    assert!(watching.wait().unwrap().success());
    assert!(said().contains("THE OWNER CHANGED"), "{}", said());
    assert!(said().contains(&bob.address()));
}

#[test]
fn the_two_steps_of_a_registration_can_be_taken_apart() {
    let world = World::embedded();
    opens(&world.person("registry"), "id", 52_595);
    let alice = world.person("alice");
    alice.gets(100_000_000);
    let effect = alice.does(&["name", "preorder", "me.id"]);
    assert_eq!(effect["operation"], "NAME_PREORDER");
    assert_eq!(world.name("me.id")["state"], "free");
    // Asked again it says what is done; other terms are refused, and so is another goal.
    assert_eq!(
        alice.does(&["name", "preorder", "me.id"])["txid"],
        effect["txid"]
    );
    let other = world.person("bob").address();
    alice.cannot(
        &["name", "register", "me.id", "--owner", &other],
        "was begun with owner",
    );
    alice.cannot(&["name", "renew", "me.id"], "");
    let shown = alice.does(&["name", "register", "me.id", "--dry-run"]);
    assert_eq!(shown["verdicts"][0]["operation"], "NAME_REGISTRATION");
    assert_eq!(
        world.name("me.id")["state"],
        "free",
        "a dry run sends nothing"
    );
    let effect = alice.does(&["name", "register", "me.id"]);
    assert_eq!(effect["operation"], "NAME_REGISTRATION");
}

#[test]
fn an_import_can_be_looked_at_first_and_comes_from_a_folder_too() {
    let world = World::embedded();
    let registry = world.person("registry");
    registry.gets(20_000_000_000);
    registry.does(&["namespace", "preorder", "town"]);
    registry.does(&["namespace", "reveal", "town"]);
    let folder = world.path("zones");
    std::fs::create_dir(&folder).unwrap();
    for name in ["a", "b"] {
        let text = format!("$ORIGIN {name}.town\n$TTL 3600\n@ TXT \"{name}\"\n");
        std::fs::write(folder.join(format!("{name}.town.zone")), text).unwrap();
    }
    std::fs::write(folder.join("README"), "no zone").unwrap();
    let from = folder.display().to_string();
    let import = ["namespace", "import", "town", &from];
    let before = world.worth(&[registry.address()]);
    let shown = registry.does(&[&import[..], &["--dry-run"]].concat());
    let rows = shown["to_import"].as_array().unwrap();
    let names: Vec<_> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, ["a.town", "b.town"]);
    assert_eq!(rows[0]["owner"], registry.address());
    registry.cannot(
        &[&import[..], &["--psbt", "/tmp/never"]].concat(),
        "do not fit into one PSBT",
    );
    registry.cannot(&["namespace", "import", "id", &from], "was never revealed");
    assert_eq!(world.worth(&[registry.address()]), before);
    registry.does(&import);
    assert_eq!(world.name("b.town")["zonefile_present"], true);
    let left = registry.does(&[&import[..], &["--dry-run"]].concat());
    assert_eq!(left["to_import"], json!([]));

    // What the rules refuse is refused before coins are split for it.
    registry.does(&["namespace", "ready", "town"]);
    let before = world.worth(&[registry.address()]);
    let owner = registry.address();
    for (lines, reason) in [
        (
            format!("late.town,{owner},{:040x}\n", 1),
            "Reveal the namespace first",
        ),
        (
            format!("me.id,{owner},{:040x}\n", 1),
            "does not belong into town",
        ),
        (
            format!("c.town,{owner},{0:040x}\nc.town,{owner},{1:040x}\n", 1, 2),
            "c.town stands there twice",
        ),
        ("me.town\n".to_owned(), "line 1: write NAME,OWNER,ZONEFILE"),
    ] {
        let list = registry.writes("refused.csv", &lines);
        registry.cannot(&["namespace", "import", "town", &list], reason);
    }
    assert_eq!(world.worth(&[registry.address()]), before);
}
