//! The exit code of every kind of command: 0 it was done or yes, 1 no, 2 wrong use, 3 trouble on the way.

use crate::common::home::Home;
use crate::common::person::World;

/// Commands that need no daemon, in a home where none runs.
#[test]
fn without_a_daemon() {
    let home = Home::new();
    let zone = home.path().join("me.zone");
    std::fs::write(&zone, "$ORIGIN me.id\n$TTL 60\n@ A 192.0.2.1\n").unwrap();
    let bad = home.path().join("bad.zone");
    std::fs::write(&bad, "$ORIGIN me.id\n$TTL 60\n@ A here\n").unwrap();
    let (zone, bad) = (zone.display().to_string(), bad.display().to_string());
    let wrong = home.path().join("wrong.toml");
    std::fs::write(&wrong, "frob = 1\n").unwrap();
    let wrong = wrong.display().to_string();
    let man = home.path().join("man").display().to_string();
    let keys = home.path().join("tls").display().to_string();
    let cases: [(i32, &[&str]); 30] = [
        (0, &["--version"]),
        (0, &["help", "name"]),
        (0, &["config", "show"]),
        (0, &["config", "show", "--reference"]),
        (0, &["serve", "--check-config"]),
        (0, &["completions", "bash"]),
        (0, &["man", &man]),
        (0, &["zonefile", "hash", &zone]),
        (0, &["zonefile", "check", "me.id", &zone]),
        (0, &["zonefile", "new", "me.id", "--no-tls"]),
        (0, &["tls", "init", "me.id", "--dir", &keys]),
        (0, &["tls", "issue", "--dir", &keys]),
        (0, &["keys", "list"]),
        (1, &["zonefile", "check", "me.id", &bad]),
        (2, &[]),
        (2, &["frob"]),
        (2, &["name"]),
        (2, &["name", "register"]),
        (2, &["name", "register", "me.id", "--fee-rate", "cheap"]),
        (2, &["zonefile", "new", "me"]),
        (2, &["tls", "init", "me.id"]),
        (2, &["completions", "tcsh"]),
        (2, &["--config", &wrong, "config", "show"]),
        (2, &["serve", "--check-config", "--listen", "nowhere"]),
        (3, &["status"]),
        (3, &["reload"]),
        (3, &["lookup", "me.id"]),
        (3, &["name", "list"]),
        (3, &["zonefile", "hash", "/nowhere/me.zone"]),
        (3, &["chain", "verify"]),
    ];
    let socket = home.path().join("control.sock").display().to_string();
    for (code, command) in cases {
        let mut command = home.bnsd(command);
        let ended = crate::common::home::ended(command.env("BNSD_CONTROL_SOCKET", &socket));
        assert_eq!(ended.code, code, "{command:?}: {ended:?}");
        let is_quiet = ended.stderr.is_empty();
        assert!(is_quiet == (code < 2), "{command:?}: {ended:?}");
    }
}

/// Questions to a daemon and operations on its embedded chain.
#[test]
fn with_a_daemon() {
    let world = World::embedded();
    let me = world.person("me");
    super::opens(&me, "id");
    me.does(&["name", "register", "me.id"]);
    let address = me.address();
    let cases: [(i32, &[&str]); 20] = [
        (0, &["status"]),
        (0, &["name", "show", "me.id"]),
        (0, &["name", "available", "you.id"]),
        (0, &["name", "price", "you.id"]),
        (0, &["name", "history", "me.id"]),
        (0, &["namespace", "show", "id"]),
        (0, &["name", "register", "you.id", "--dry-run"]),
        (0, &["prefer"]),
        (0, &["cache", "flush"]),
        (0, &["tx", "mine"]),
        (1, &["lookup", "you.id"]),
        (1, &["explain", "you.id"]),
        (1, &["name", "show", "you.id"]),
        (1, &["name", "available", "me.id"]),
        (1, &["name", "history", "you.id"]),
        (1, &["name", "register", "me.id"]),
        (1, &["namespace", "show", "club"]),
        (2, &["name", "show", "m\u{e9}.id"]),
        (2, &["lookup", "me.id", "FROB"]),
        (
            2,
            &["name", "transfer", "me.id", &address, "--to", &address],
        ),
    ];
    for (code, command) in cases {
        let ran = me.tries(command);
        assert_eq!(ran.code, code, "{command:?}: {ran:?}");
    }
}
