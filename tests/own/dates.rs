//! Heights as people read them: each with its date, and the ends of a name with the same numbers everywhere.

use serde_json::Value;

use super::{Person, World, opens};

/// What a command prints for people.
fn page(person: &Person<'_>, arguments: &[&str]) -> String {
    let ran = person.tries(arguments);
    ran.stdout + &ran.stderr
}

/// `105 (about 2027-03-01)` in JSON's words.
fn to_come(reply: &Value, end: &str) -> String {
    let date = reply[format!("{end}_estimated")].as_str().unwrap();
    format!("{} (about {})", reply[end], &date[..10])
}

/// `105 (2027-03-01 12:00 UTC)` in JSON's words.
fn there(height: &Value, time: &Value) -> String {
    let time = time.as_str().unwrap()[..16].replace('T', " ");
    format!("{height} ({time} UTC)")
}

#[test]
fn every_height_has_its_date_and_the_ends_are_the_same_everywhere() {
    let world = World::embedded();
    let [registry, alice] = ["registry", "alice"].map(|name| world.person(name));
    opens(&registry, "id", 1_000);
    alice.gets(100_000_000);
    let registered = page(&alice, &["name", "register", "me.id"]);
    let known = world.name("me.id");
    let first = there(&known["first_registered"], &known["first_registered_time"]);
    assert!(registered.contains(&first), "{first}: {registered}");

    // The block times are the chain's own.
    let status = world.run(&["--json", "status"]).json();
    assert_eq!(status["height"], known["height"]);
    let tip = there(&known["height"], &known["time"]);
    assert!(world.run(&["status"]).stdout.contains(&tip), "{tip}");

    // One vocabulary, the same numbers.
    let ends = [
        "grace_start",
        "last_resolves",
        "renewal_deadline",
        "free_from",
    ];
    let [show, explain] = [
        page(&alice, &["name", "show", "me.id"]),
        page(&alice, &["explain", "me.id"]),
    ];
    for end in ends {
        let line = format!("{:16}  {}", end.replace('_', " "), to_come(&known, end));
        for shown in [&show, &explain] {
            assert!(shown.contains(&line), "{line:?} is not in\n{shown}");
        }
    }
    for shown in [
        &show,
        &explain,
        &page(&alice, &["name", "history", "me.id"]),
    ] {
        assert!(shown.contains(&first), "{first}: {shown}");
    }
    let deadline = to_come(&known, "renewal_deadline");
    for list in [
        &["name", "list"][..],
        &["name", "expiring", "--within", "9000"],
    ] {
        let shown = page(&alice, list);
        assert!(shown.contains(&deadline), "{deadline}: {shown}");
    }

    // What is refused says when it would pass.
    let refused = page(&registry, &["name", "register", "me.id"]);
    let preorder = known["free_from"].as_u64().unwrap() - 1; // and the registration in the block behind it
    let passes = format!("It would pass from block {preorder} (about ");
    assert!(refused.contains(&passes), "{passes}: {refused}");
    assert!(refused.contains("would be refused in block"), "{refused}");

    // An end that has come has the time of its block.
    let free = known["free_from"].as_u64().unwrap();
    world.mine((free - world.height()) as u32);
    let shown = page(&alice, &["name", "available", "me.id"]);
    assert!(shown.contains("is free"), "{shown}");
    let known = world.name("me.id");
    let line = there(&known["free_from"], &known["free_from_estimated"]);
    let shown = page(&alice, &["name", "show", "me.id"]);
    assert!(shown.contains(&line), "{line}: {shown}");
}

#[test]
fn a_namespace_says_how_long_names_really_live() {
    let world = World::embedded();
    let registry = world.person("registry");
    opens(&registry, "id", 52_595);
    let known = registry.does(&["namespace", "show", "id"]);
    assert_eq!(known["lifetime"], 52_595);
    assert_eq!(known["lifetime_in_force"], 105_190);
    assert_eq!(known["grace_period"], 5_000);
    let shown = page(&registry, &["namespace", "show", "id"]);
    let opened = there(&known["ready_block"], &known["ready_time"]);
    for line in [
        "names live         105,190 blocks (about 2.0 years)",
        "grace period       5,000 blocks (about 35 days)",
        "lifetime on chain  52,595 blocks, times 2 by the rules in force",
        &format!("opened at          {opened}"),
    ] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }
    let listed = page(&registry, &["namespace", "list"]);
    assert!(listed.contains(&format!("opened at {opened}")), "{listed}");

    // A name's term is what its namespace says.
    registry.does(&["name", "register", "me.id"]);
    let name = world.name("me.id");
    let lives = name["grace_start"].as_u64().unwrap() - name["last_renewed"].as_u64().unwrap();
    assert_eq!(lives, 105_190);

    registry.gets(20_000_000_000);
    registry.does(&["namespace", "preorder", "late"]);
    registry.does(&["namespace", "reveal", "late", "--lifetime", "4294967295"]);
    let known = registry.does(&["namespace", "show", "late"]);
    let shown = page(&registry, &["namespace", "show", "late"]);
    let lapse = format!("lapses at    {}", to_come(&known, "lapses_at"));
    assert!(shown.contains(&lapse), "{lapse}: {shown}");
    assert!(shown.contains("names live   for ever"), "{shown}");
}
