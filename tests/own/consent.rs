//! Nothing is signed, noted or sent before somebody has agreed to it.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use serde_json::json;

use super::{Person, World, opens};

const PRICE: [&str; 2] = ["--price", "5000000"];

/// Tries a command in every way that agrees to nothing.
fn costs_nothing_unless_agreed_to(person: &Person<'_>, arguments: &[&str]) {
    let before = person.world.worth(&[person.address()]);
    let pending = person.does(&["name", "pending"]);
    for more in [&[][..], &["--json"]] {
        let ran = person.asks(&[arguments, more].concat());
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        let why = "nothing was sent: run it at a terminal, or add --yes";
        assert!(ran.stderr.contains(why), "{arguments:?}: {ran:?}");
    }
    assert_eq!(at_a_terminal(person, arguments, "n").0, 1, "{arguments:?}");
    assert_eq!(person.does(&["name", "pending"]), pending, "{arguments:?}");
    let world = person.world;
    assert_eq!(world.worth(&[person.address()]), before, "{arguments:?}");
}

/// Runs a command at a terminal of its own (script(1)), where somebody types; exit code, and what is shown.
fn at_a_terminal(person: &Person<'_>, arguments: &[&str], typed: &str) -> (i32, String) {
    at_a_terminal_while(person, arguments, typed, || {})
}

/// The same, where something happens between question and answer.
fn at_a_terminal_while(
    person: &Person<'_>,
    arguments: &[&str],
    typed: &str,
    meanwhile: impl FnOnce(),
) -> (i32, String) {
    let plain = person.world.question(&person.name, arguments);
    let words = std::iter::once(plain.get_program()).chain(plain.get_args());
    let quoted = words.map(|word| format!("'{}' ", word.to_str().unwrap()));
    let mut script = Command::new("script")
        .args(["-qefc", &quoted.collect::<String>(), "/dev/null"])
        .envs(
            plain
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("BNSD_LOG", "error")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script, of bsdutils");
    let mut shown = Vec::new();
    let mut terminal = script.stdout.take().unwrap();
    let mut part = [0; 1024];
    while !String::from_utf8_lossy(&shown).contains("[y/N]") {
        match terminal.read(&mut part).unwrap() {
            0 => break,
            count => shown.extend(&part[..count]),
        }
    }
    meanwhile();
    let _ = writeln!(script.stdin.as_mut().unwrap(), "{typed}"); // it may have ended without a question
    terminal.read_to_end(&mut shown).unwrap();
    let code = script.wait().unwrap().code().unwrap_or(-1);
    (code, String::from_utf8_lossy(&shown).into_owned())
}

#[test]
fn every_operation_is_agreed_to_before_it_costs_anything() {
    let world = World::embedded();
    let [registry, alice, bob] = ["registry", "alice", "bob"].map(|name| world.person(name));
    registry.gets(20_000_000_000);
    let owner = alice.address();
    let hash = "11".repeat(20);
    let list = registry.writes("names.csv", &format!("own.id,{owner},{hash}\n"));
    let import = [
        "name", "import", "our.id", "--owner", &owner, "--hash", &hash,
    ];
    for step in [
        &["namespace", "preorder", "id"][..],
        &["namespace", "reveal", "id"],
        &import,
        &["namespace", "import", "id", &list],
        &["namespace", "ready", "id"],
    ] {
        costs_nothing_unless_agreed_to(&registry, step);
        registry.does(step);
    }
    for person in [&alice, &bob] {
        person.gets(100_000_000);
    }
    costs_nothing_unless_agreed_to(&alice, &["name", "preorder", "one.id"]);
    costs_nothing_unless_agreed_to(&alice, &["name", "register", "shop.id"]);
    alice.does(&["name", "register", "shop.id"]);

    let buyer = bob.address();
    let zone = alice.writes("shop.zone", "$ORIGIN shop.id\n$TTL 3600\n@ TXT \"open\"\n");
    let hash = "22".repeat(20);
    costs_nothing_unless_agreed_to(&alice, &["zonefile", "publish", "shop.id", &zone]);
    costs_nothing_unless_agreed_to(&alice, &["name", "update", "shop.id", "--hash", &hash]);
    costs_nothing_unless_agreed_to(&alice, &["name", "transfer", "shop.id", "--to", &buyer]);
    costs_nothing_unless_agreed_to(&alice, &["name", "renew", "shop.id"]);
    costs_nothing_unless_agreed_to(&alice, &["name", "revoke", "shop.id"]);

    // An offer and a bid carry no signature, so they bind nobody; what is signed does.
    let [offer, bid, signed] =
        ["offer", "bid", "signed"].map(|name| world.path(name).display().to_string());
    let sell = [&["name", "sell", "shop.id", "--to", &buyer][..], &PRICE].concat();
    let buy = |file| [&["name", "buy", file, "shop.id"][..], &PRICE].concat();
    assert_eq!(
        alice.asks(&[&sell[..], &["--psbt", &offer]].concat()).code,
        0
    );
    assert_eq!(
        bob.asks(&[&buy(&offer)[..], &["--psbt", &bid]].concat())
            .code,
        0
    );
    let accept = [&sell[..], &["--accept", &bid, "--psbt", &signed]].concat();
    costs_nothing_unless_agreed_to(&alice, &accept);
    assert!(!world.path("signed").exists());
    alice.does(&accept);
    costs_nothing_unless_agreed_to(&bob, &buy(&signed));
    bob.does(&buy(&signed));
    assert_eq!(world.name("shop.id")["owner"], buyer);
}

#[test]
fn a_person_at_a_terminal_is_asked_once_a_command() {
    let world = World::embedded();
    opens(&world.person("registry"), "id", 52_595);
    let alice = world.person("alice");
    alice.gets(100_000_000);
    let (code, shown) = at_a_terminal(&alice, &["name", "register", "me.id"], "y");
    assert_eq!(
        (code, shown.matches("Go on? [y/N]").count()),
        (0, 1),
        "{shown}"
    );
    assert_eq!(world.name("me.id")["owner"], alice.address());
    let (code, shown) = at_a_terminal(&alice, &["name", "revoke", "me.id"], "");
    assert!(
        code == 1 && shown.contains("nobody can undo that"),
        "{shown}"
    );
    assert_eq!(world.name("me.id")["state"], "registered");
}

/// What was true when the question was asked is judged once more when it is answered.
#[test]
fn what_became_impossible_during_the_question_is_not_paid_for() {
    let world = World::embedded();
    opens(&world.person("registry"), "id", 52_595);
    let [alice, bob] = ["alice", "bob"].map(|name| world.person(name));
    for person in [&alice, &bob] {
        person.gets(100_000_000);
    }
    let before = world.worth(&[alice.address()]);
    let register = ["name", "register", "me.id"];
    let (code, shown) = at_a_terminal_while(&alice, &register, "y", || {
        bob.does(&register);
    });
    let why = "the name is registered already. Nothing was sent";
    assert!(code == 1 && shown.contains(why), "{code}: {shown}");
    assert_eq!(world.worth(&[alice.address()]), before);
    assert_eq!(alice.does(&["name", "pending"]), json!([]));

    // A namespace that somebody has by now passes the rules, and its preorder would be burnt.
    alice.gets(20_000_000_000);
    let before = world.worth(&[alice.address()]);
    let preorder = ["namespace", "preorder", "club"];
    let (code, shown) = at_a_terminal_while(&alice, &preorder, "y", || opens(&bob, "club", 9));
    assert!(
        code == 1 && shown.contains("club is open since block"),
        "{code}: {shown}"
    );
    assert_eq!(world.worth(&[alice.address()]), before);
}

#[test]
fn a_dry_run_asks_nothing_and_shows_what_is_probably_not_meant() {
    let world = World::embedded();
    opens(&world.person("registry"), "id", 52_595);
    let alice = world.person("alice");
    alice.gets(100_000_000);
    let hash = "11".repeat(20);
    alice.does(&["name", "register", "me.id"]);
    let update = ["name", "update", "me.id", "--hash", &hash];
    alice.does(&update);
    let shown = alice.asks(&[&update[..], &["--dry-run"]].concat());
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.stderr.contains("this changes nothing"), "{shown:?}");
    assert_eq!(alice.does(&["name", "pending"]), json!([]));
}
