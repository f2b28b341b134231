//! What people type and what they read: names as DNS takes them, lists that are empty, one and many.

use crate::common::person::World;

/// A name in any case, with a dot at the end or under the alias is the name.
#[test]
fn names_are_taken_as_dns_takes_them() {
    let world = World::embedded();
    let me = world.person("me");
    super::opens(&me, "ID.");
    me.does(&["name", "register", "Me.id"]);
    for typed in ["me.id", "ME.ID", "Me.id.", "me.id.bns.alt"] {
        for command in ["show", "price", "history"] {
            let ran = me.tries(&["name", command, typed]);
            assert_eq!(ran.code, 0, "{command} {typed}: {ran:?}");
            assert!(
                !ran.stdout.contains("Me") && ran.stderr.is_empty(),
                "{ran:?}"
            );
        }
    }
    assert_eq!(me.does(&["namespace", "show", "ID"])["id"], "id");
    assert_eq!(me.tries(&["name", "available", "ME.ID"]).code, 1);
    let zone = me.writes("me.zone", "$ORIGIN me.id\n@ 60 TXT \"mine\"\n");
    me.does(&["zonefile", "publish", "ME.id", &zone]);
    assert_eq!(world.run(&["lookup", "WERNER.ID"]).code, 1);
    assert_eq!(world.run(&["lookup", "ME.ID.", "TXT"]).code, 0);

    // The rules know one spelling.
    let foreign = world.run(&["name", "show", "m\u{e9}.id"]);
    assert_eq!(foreign.code, 2, "{foreign:?}");
}

/// The new owner is the second argument, or that of `--to`, and never both.
#[test]
fn a_transfer_names_its_new_owner_once() {
    let world = World::embedded();
    let [me, you] = ["me", "you"].map(|name| world.person(name));
    super::opens(&me, "id");
    me.does(&["name", "register", "me.id"]);
    let (mine, yours) = (me.address(), you.address());
    for wrong in [
        vec!["name", "transfer", "me.id"],
        vec!["name", "transfer", "me.id", &yours, "--to", &yours],
    ] {
        let ran = me.tries(&wrong);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    }
    me.does(&["name", "transfer", "me.id", &yours]);
    assert_eq!(world.name("me.id")["owner"], yours);
    you.gets(1_000_000);
    you.does(&["name", "transfer", "me.id", "--to", &mine]);
    assert_eq!(world.name("me.id")["owner"], mine);
}

/// A list without entries is a sentence for people and `[]` for programs.
#[test]
fn lists_that_are_empty_say_so() {
    let world = World::embedded();
    world.mine(1);
    let me = world.person("me");
    let cases: [(&[&str], &str); 9] = [
        (&["name", "list"], "The keys here own no name."),
        (&["name", "list", "--all"], "There is no name yet."),
        (
            &["name", "expiring"],
            "No name ends within 4,320 blocks (about 30 days).",
        ),
        (
            &["name", "expiring", "--within", "1"],
            "No name ends within 1 block (about 10 minutes).",
        ),
        (&["name", "pending"], "Nothing is under way."),
        (
            &["name", "history", "me.id"],
            "Nothing has happened to me.id yet.",
        ),
        (&["namespace", "list"], "No namespace is revealed yet."),
        (&["zonefile", "missing"], "No zone file is missing."),
        (&["cache", "dump"], "No answer of an upstream is kept."),
    ];
    for (command, sentence) in cases {
        let ran = me.tries(command);
        assert_eq!(ran.stdout, format!("{sentence}\n"), "{command:?}: {ran:?}");
        if command != ["cache", "dump"] {
            let json = me.tries(&[&["--json"], command].concat());
            assert_eq!(json.stdout, "[]\n", "{command:?}");
        }
    }
    let nobody = world.person("nobody");
    std::fs::remove_file(world.path("nobody").join("me.json")).unwrap();
    let keys = nobody.tries(&["keys", "list"]);
    assert!(keys.stdout.starts_with("There is no key yet"), "{keys:?}");
    for command in [["name", "list"], ["name", "expiring"]] {
        let names = nobody.tries(&command);
        assert_eq!(names.code, 0, "{names:?}");
        assert!(names.stdout.starts_with("There is no key yet"), "{names:?}");
    }
    let choices = world.run(&["prefer"]);
    assert!(choices.stdout.starts_with("no choices"), "{choices:?}");
}
