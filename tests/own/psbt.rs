//! Transactions that are signed elsewhere: noted before they are handed out, found whoever sends them.

use serde_json::{Value, json};

use super::{Person, World, opens};

/// A namespace, and Alice with money.
fn start(world: &World) -> Person<'_> {
    opens(&world.person("registry"), "id", 52_595);
    let alice = world.person("alice");
    alice.gets(100_000_000);
    alice
}

fn file(world: &World, name: &str) -> String {
    world.path(name).display().to_string()
}

fn steps(person: &Person<'_>) -> Value {
    person.does(&["name", "pending"])[0]["steps"].clone()
}

#[test]
fn a_preorder_that_is_handed_out_is_noted_first() {
    let world = World::embedded();
    let alice = start(&world);
    let [one, again] = ["one", "again"].map(|name| file(&world, name));
    let height = world.height();

    // Noted even where the file cannot be written, and nothing is sent.
    let nowhere = file(&world, "missing/one");
    let register = ["name", "register", "longername.id"];
    alice.cannot(
        &[&register[..], &["--psbt", &nowhere]].concat(),
        "cannot use",
    );
    assert_eq!(steps(&alice)[0]["operation"], "NAME_PREORDER");
    assert_eq!(steps(&alice)[0]["attempts"][0]["form"], "psbt");

    // Written again it is the same one; without a file it is not made a second time.
    alice.does(&[&register[..], &["--psbt", &one]].concat());
    alice.does(&[&register[..], &["--psbt", &again]].concat());
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&again).unwrap());
    alice.cannot(&register, "was handed out as a PSBT and is in no block yet");
    assert_eq!(world.height(), height);

    // Signed and sent from here: the same command goes on with the registration.
    let decoded = alice.tries(&["tx", "decode", &one]);
    assert!(decoded.stdout.contains("not fully signed") && decoded.stdout.contains("(burnt)"));
    alice.cannot(&["tx", "send", &one], "input 0 lacks signatures");
    assert_eq!(alice.does(&["tx", "sign", &one])["signatures_added"], 1);
    assert_eq!(alice.does(&["tx", "decode", &one])["complete"], true);
    let sent = alice.does(&["tx", "send", &one]);
    assert_eq!(steps(&alice)[0]["attempts"][0]["form"], Value::Null);
    assert_eq!(alice.does(&register)["operation"], "NAME_REGISTRATION");
    let spent = 100_000_000 - world.worth(&[alice.address()]);
    assert!(spent < 2_500 + 10_000, "paid twice: {spent}");
    assert_eq!(alice.does(&["name", "pending"]), json!([]));

    // Sent once more it is refused before it costs anything, raw just as well.
    alice.cannot(&["tx", "send", &one], "");
    let raw = alice.writes("raw", sent["transaction"].as_str().unwrap());
    alice.cannot(&["tx", "send", &raw], "insist with --unchecked");
    alice.cannot(&["tx", "send", &raw, "--unchecked"], "refuses transaction");
}

#[test]
fn what_somebody_else_sends_is_found() {
    let world = World::embedded();
    let alice = start(&world);
    let one = file(&world, "one");
    let register = ["name", "register", "me.id"];
    alice.does(&[&register[..], &["--psbt", &one]].concat());
    let signed = file(&world, "signed");
    alice.does(&["tx", "sign", &one, "--output", &signed]);
    world.person("courier").does(&["tx", "send", &signed]);

    // The second step can be handed out too, and an update that somebody else sent is in nobody's way.
    alice.does(&[&register[..], &["--psbt", &one]].concat());
    alice.does(&["tx", "sign", &one]);
    world.person("courier").does(&["tx", "send", &one]);
    assert_eq!(alice.does(&register)["operation"], "NAME_REGISTRATION");
    let update = [
        "name",
        "update",
        "me.id",
        "--hash",
        &"11".repeat(20),
        "--psbt",
        &one,
    ];
    alice.does(&update);
    alice.cannot(&["name", "revoke", "me.id"], "in the middle of `update`");
    alice.does(&["tx", "sign", &one]);
    world.person("courier").does(&["tx", "send", &one]);
    alice.does(&["name", "revoke", "me.id"]);
    assert_eq!(world.name("me.id")["state"], "revoked");
}

#[test]
fn a_psbt_whose_consensus_hash_is_too_old_is_not_sent() {
    let world = World::embedded();
    let alice = start(&world);
    let one = file(&world, "one");
    let preorder = ["name", "preorder", "longername.id", "--psbt", &one];
    alice.does(&preorder);
    let first = steps(&alice)[0]["attempts"][0]["spent"][0]["outpoint"].clone();
    alice.does(&["tx", "sign", &one]);
    world.mine(24);
    alice.cannot(
        &["tx", "send", &one],
        "the quoted consensus hash is unknown or too old",
    );

    // Made anew it spends the same coin: only one of them can ever be mined.
    alice.does(&preorder);
    let attempts = steps(&alice)[0]["attempts"].clone();
    assert_eq!(attempts.as_array().unwrap().len(), 2);
    assert_eq!(attempts[1]["spent"][0]["outpoint"], first);
    alice.does(&["tx", "sign", &one]);
    alice.does(&["tx", "send", &one]);
    assert_eq!(
        alice.does(&["name", "preorder", "longername.id"])["operation"],
        "NAME_PREORDER"
    );
    alice.does(&["name", "register", "longername.id"]);
}

#[test]
fn what_was_sent_too_late_can_be_handed_out_anew() {
    let world = World::embedded();
    let alice = start(&world);
    let one = file(&world, "one");
    world.run(&["tx", "mine", "0", "--manual"]);
    let preorder = ["name", "preorder", "longername.id"];
    alice.tries(&[&preorder[..], &["--no-wait"]].concat());
    world.run(&["tx", "mine", "23", "--empty"]);
    alice.does(&[&preorder[..], &["--psbt", &one]].concat());
    let attempts = steps(&alice)[0]["attempts"].clone();
    assert_eq!(attempts[1]["form"], "psbt");
    assert_eq!(attempts[1]["spent"], attempts[0]["spent"]);
    world.run(&["tx", "mine", "0", "--automatic"]);
    alice.does(&["tx", "sign", &one]);
    alice.does(&["tx", "send", &one]);
    assert_eq!(alice.does(&preorder)["operation"], "NAME_PREORDER");
    assert_eq!(world.run(&["--json", "status"]).json()["preorders"], 1);
}

/// Two of three: no machine has two keys.
#[test]
fn three_people_own_a_name_and_two_of_them_sign() {
    let world = World::embedded();
    opens(&world.person("registry"), "id", 52_595);
    let people = ["alice", "bob", "carol"].map(|name| world.person(name));
    let keys: Vec<String> = people
        .iter()
        .map(|person| {
            let listed = person.does(&["keys", "list"]);
            let key = &listed[0]["addresses"][0]["public_keys"][0];
            key.as_str().unwrap().to_owned()
        })
        .collect();
    let mut import = vec!["keys", "import", "team", "--multisig", "2"];
    import.extend(keys.iter().flat_map(|key| ["--member", key]));
    let [alice, bob, carol] = &people;
    let team = people.each_ref().map(|person| person.does(&import))[0].clone();
    let address = team["addresses"][0]["address"].as_str().unwrap().to_owned();
    assert!(address.starts_with('2'), "{address}");
    alice.does(&["tx", "faucet", &address, "100000000"]);

    // One signs after the other.
    let shared = file(&world, "shared");
    let register = ["name", "register", "team.id", "--key", "team"];
    alice.does(&[&register[..], &["--psbt", &shared]].concat());
    assert_eq!(alice.does(&["tx", "sign", &shared])["complete"], false);
    let refused = alice.tries(&["tx", "send", &shared]);
    assert!(refused.stderr.contains("lacks signatures"), "{refused:?}");
    assert_eq!(bob.does(&["tx", "sign", &shared])["complete"], true);
    bob.does(&["tx", "send", &shared]);

    // Or both sign copies, which are joined.
    alice.does(&[&register[..], &["--psbt", &shared]].concat());
    let copies = ["copy-b", "copy-c"].map(|name| file(&world, name));
    bob.does(&["tx", "sign", &shared, "--output", &copies[0]]);
    carol.does(&["tx", "sign", &shared, "--output", &copies[1]]);
    let joined = alice.does(&[
        "tx", "sign", &copies[0], "--join", &copies[1], "--output", &shared,
    ]);
    assert_eq!(joined["complete"], true);
    alice.does(&["tx", "send", &shared]);
    let effect = alice.does(&register);
    assert_eq!(effect["operation"], "NAME_REGISTRATION");
    assert_eq!(world.name("team.id")["owner"], address);
    assert_eq!(carol.does(&["name", "list"])[0]["name"], "team.id");

    // What the three own, they can give away.
    let transfer = ["name", "transfer", "team.id", "--to", &carol.address()];
    carol.does(&[&transfer[..], &["--psbt", &shared]].concat());
    carol.does(&["tx", "sign", &shared]);
    alice.does(&["tx", "sign", &shared]);
    carol.does(&["tx", "send", &shared]);
    carol.does(&transfer);
    assert_eq!(world.name("team.id")["owner"], carol.address());
}

#[test]
fn a_person_chooses_which_coins_are_spent() {
    let world = World::embedded();
    let alice = start(&world);
    let preview = |more: &[&str]| {
        let preorder = ["name", "preorder", "longername.id", "--dry-run"];
        alice.does(&[&preorder[..], more].concat())["inputs"].clone()
    };
    let first = preview(&[])[0]["outpoint"].as_str().unwrap().to_owned();
    alice.gets(300_000_000);
    let larger = preview(&[])[0]["outpoint"].as_str().unwrap().to_owned();
    assert_ne!(larger, first);
    let chosen = preview(&["--coin", &first]);
    assert_eq!(chosen.as_array().unwrap().len(), 1);
    assert_eq!(chosen[0]["outpoint"], first);
    assert_eq!(chosen[0]["satoshi"], 100_000_000);
    assert_eq!(
        preview(&["--coin", &first, "--coin", &larger])[0]["outpoint"],
        larger
    );
    let foreign = format!("{}:0", "11".repeat(32));
    alice.cannot(
        &["name", "preorder", "longername.id", "--coin", &foreign],
        "is no unspent output of the sender or payer",
    );
}

/// A preorder hides its name, so the rules would take it.
#[test]
fn a_preorder_that_was_handed_out_is_not_sent_for_a_name_that_is_gone() {
    let world = World::embedded();
    let alice = start(&world);
    let bob = world.person("bob");
    bob.gets(100_000_000);
    let psbt = file(&world, "preorder.psbt");
    alice.does(&["name", "register", "me.id", "--psbt", &psbt]);
    alice.does(&["tx", "sign", &psbt]);
    bob.does(&["name", "register", "me.id"]);
    alice.cannot(
        &["tx", "send", &psbt],
        "me.id is registered already. A preorder would burn its price for nothing. Nothing was sent",
    );
    assert_eq!(world.worth(&[alice.address()]), 100_000_000);
}

/// A preorder that was signed and not sent is not paid for once somebody else has the name.
#[test]
fn what_was_signed_before_is_judged_again() {
    let mut world = World::embedded();
    {
        let alice = start(&world);
        world.run(&["tx", "mine", "0", "--manual"]);
        alice.tries(&["name", "register", "me.id", "--no-wait"]);
        assert_eq!(steps(&alice)[0]["operation"], "NAME_PREORDER");
    }
    // The embedded chain's pool is forgotten with its daemon.
    world.stop_daemon();
    world.run_daemon();
    let [alice, bob] = ["alice", "bob"].map(|name| world.person(name));
    bob.gets(100_000_000);
    bob.does(&["name", "register", "me.id"]);
    alice.cannot(
        &["name", "register", "me.id"],
        "the name is registered already. Nothing was sent",
    );
    assert_eq!(world.worth(&[alice.address()]), 100_000_000);
    alice.does(&["name", "pending", "--forget", "me.id"]);
    assert_eq!(alice.does(&["name", "pending"]), json!([]));
}
