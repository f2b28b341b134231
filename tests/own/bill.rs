//! What it costs is said before and after, and is what the coins say; what is missing is asked for once.

use serde_json::Value;

use super::{Person, World, opens};

/// What a command says that it would cost, what it says that it has cost, and what it has cost.
fn costs(person: &Person<'_>, arguments: &[&str]) -> Value {
    let worth = || person.world.worth(&[person.address()]) as i64;
    let before = worth();
    let ahead = person.does(&[arguments, &["--dry-run"]].concat())["cost"].clone();
    assert_eq!(worth(), before, "{arguments:?}");
    let paid = person.does(arguments)["paid"].clone();
    let left = before - worth();
    assert_eq!(ahead["total"], left, "{arguments:?}: {ahead}");
    assert_eq!(paid["total"], left, "{arguments:?}: {paid}");
    for charge in paid["transactions"].as_array().unwrap() {
        let alone = charge["count"] == 1;
        assert_eq!(
            charge["txid"].is_string(),
            alone || charge["count"] == 0,
            "{charge}"
        );
    }
    paid
}

#[test]
fn every_bill_is_what_the_coins_say() {
    let world = World::embedded();
    let [registry, alice, bob, carol] =
        ["registry", "alice", "bob", "carol"].map(|name| world.person(name));
    registry.gets(20_000_000_000);
    let hash = "11".repeat(20);
    let owner = carol.address();
    let import = [
        "name", "import", "own.id", "--owner", &owner, "--hash", &hash,
    ];
    let preorder = costs(&registry, &["namespace", "preorder", "id"]);
    assert_eq!(preorder["transactions"][0]["price"]["satoshi"], 400_000_000);
    assert_eq!(preorder["transactions"][0]["price"]["burnt"], true);
    costs(&registry, &["namespace", "reveal", "id"]);
    let imported = costs(&registry, &import);
    let kept = imported["transactions"][0]["kept_by_others"].as_array();
    assert_eq!(kept.unwrap().len(), 2, "{imported}");
    let lines = (0..250).map(|number| {
        let owner = [owner.clone(), registry.address()][number % 2].clone();
        format!("house-{number}.id,{owner},{number:040x}\n")
    });
    let list = registry.writes("names.csv", &lines.collect::<String>());
    let imported = costs(&registry, &["namespace", "import", "id", &list]);
    assert_eq!(imported["transactions"][1]["count"], 250, "{imported}");
    costs(&registry, &["namespace", "ready", "id"]);

    for person in [&alice, &bob] {
        person.gets(100_000_000);
    }
    let registered = costs(&alice, &["name", "register", "me.id"]);
    let operations = ["NAME_PREORDER", "NAME_REGISTRATION"];
    for (charge, operation) in registered["transactions"]
        .as_array()
        .unwrap()
        .iter()
        .zip(operations)
    {
        assert_eq!(charge["operation"], operation);
    }
    costs(&alice, &["name", "update", "me.id", "--hash", &hash]);
    costs(&alice, &["name", "renew", "me.id"]);
    costs(
        &alice,
        &["name", "transfer", "me.id", "--to", &bob.address()],
    );
    costs(&bob, &["name", "revoke", "me.id"]);

    // A registration in two commands: the second says what both have cost.
    let had = world.worth(&[alice.address()]);
    alice.does(&["name", "preorder", "two.id"]);
    let paid = alice.does(&["name", "register", "two.id"])["paid"].clone();
    assert_eq!(
        paid["total"],
        had - world.worth(&[alice.address()]),
        "{paid}"
    );
    assert_eq!(paid["transactions"].as_array().unwrap().len(), 2);
}

#[test]
fn the_table_says_parts_total_and_what_follows() {
    let world = World::embedded();
    let [registry, alice] = ["registry", "alice"].map(|name| world.person(name));
    opens(&registry, "id", 52_595);
    alice.gets(100_000_000);
    let next = world.height() + 1;
    let total = |text: &str| {
        let line = text.lines().find(|line| line.contains("total that leaves"));
        line.map(str::to_owned)
    };
    let register = ["name", "register", "me.id"];
    let shown = alice
        .tries(&[&register[..], &["--dry-run"]].concat())
        .stdout;
    for line in [
        "NAME_PREORDER      price, burnt to",
        "0.02560000 BTC (2,560,000 satoshi)",
        "miner's fee, estimated",
        "comes back to the keys here",
        &format!("NAME_PREORDER is in block {next} (at once) or later."),
        &format!(
            "NAME_REGISTRATION follows when that has 1 confirmation, in block {} (at once) or later.",
            next + 1
        ),
        "It is in force for me.id from that block on.",
        "Nothing was sent.",
    ] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }

    // The same is shown before the question, which --yes answers, and what was paid is said afterwards.
    let refused = alice.asks(&register);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert_eq!(total(&refused.stderr), total(&shown), "{refused:?}");
    assert_eq!(world.worth(&[alice.address()]), 100_000_000);
    let done = alice.tries(&register);
    assert_eq!(total(&done.stderr), total(&shown), "{done:?}");
    assert_eq!(total(&done.stdout), total(&shown), "{done:?}");
    assert!(done.stdout.contains("What was paid"), "{done:?}");
    let txid = world.name("me.id")["txid"].as_str().unwrap().to_owned();
    assert!(done.stdout.contains(&txid), "{done:?}");

    // A namespace costs more than its preorder.
    let shown = registry.tries(&["namespace", "preorder", "town", "--dry-run"]);
    let line = "NAMESPACE_REVEAL, NAMESPACE_READY later";
    assert!(shown.stdout.contains(line), "{shown:?}");
}

#[test]
fn what_others_signed_is_agreed_to_before_it_is_sent() {
    let world = World::embedded();
    let [registry, alice] = ["registry", "alice"].map(|name| world.person(name));
    opens(&registry, "id", 52_595);
    alice.gets(100_000_000);
    let psbt = world.path("one").display().to_string();
    alice.does(&["name", "preorder", "me.id", "--psbt", &psbt]);
    alice.does(&["tx", "sign", &psbt]);
    let refused = alice.asks(&["tx", "send", &psbt]);
    assert_eq!(refused.code, 2, "{refused:?}");
    for line in ["NAME_PREORDER", "total that leaves", "nothing was sent"] {
        assert!(refused.stderr.contains(line), "{line}: {refused:?}");
    }
    assert_eq!(world.worth(&[alice.address()]), 100_000_000);
    alice.does(&["tx", "send", &psbt]);
    alice.does(&["name", "register", "me.id"]);
}

/// Follows what a refused command says of missing coins, to the letter; nothing was spent until then.
fn follow(person: &Person<'_>, arguments: &[&str]) {
    let before = person.world.worth(&[person.address()]);
    let refused = person.tries(arguments);
    assert_ne!(refused.code, 0, "{refused:?}");
    let said = &refused.stderr;
    assert!(
        said.contains("coins are missing, and nothing was sent"),
        "{said}"
    );
    assert_eq!(person.world.worth(&[person.address()]), before);
    let lines = said
        .split('`')
        .filter(|part| part.starts_with("bnsd tx faucet"));
    let lines: Vec<&str> = lines.collect();
    assert!(!lines.is_empty(), "{said}");
    for line in lines {
        let words: Vec<&str> = line.split(' ').skip(1).collect();
        person.does(&words);
    }
}

#[test]
fn missing_coins_are_asked_for_once() {
    let world = World::embedded();
    let [registry, alice, bob, carol] =
        ["registry", "alice", "bob", "carol"].map(|name| world.person(name));
    world.mine(1);

    // A namespace: what is asked for before the preorder is enough for all three steps.
    let preorder = ["namespace", "preorder", "id"];
    follow(&registry, &preorder);
    registry.does(&preorder);
    registry.does(&["namespace", "reveal", "id"]);
    registry.does(&["namespace", "ready", "id"]);

    // A name, for somebody who has nothing, and for somebody who has a little.
    let register = ["name", "register", "me.id"];
    follow(&alice, &register);
    alice.does(&register);
    bob.gets(6_000);
    let register = ["name", "register", "bob.id"];
    follow(&bob, &register);
    bob.does(&register);

    // A renewal with what is left.
    let renew = ["name", "renew", "me.id"];
    follow(&alice, &renew);
    alice.does(&renew);

    // A purchase.
    let [offer, bid, signed] =
        ["offer", "bid", "signed"].map(|name| world.path(name).display().to_string());
    let buyer = carol.address();
    let sell = [
        "name", "sell", "me.id", "--price", "5000000", "--to", &buyer,
    ];
    let buy = |file| ["name", "buy", file, "me.id", "--price", "5000000"];
    alice.does(&[&sell[..], &["--psbt", &offer]].concat());
    let bidding = [&buy(&offer)[..], &["--psbt", &bid]].concat();
    follow(&carol, &bidding);
    carol.does(&bidding);
    alice.does(&[&sell[..], &["--accept", &bid, "--psbt", &signed]].concat());
    carol.does(&buy(&signed));
    assert_eq!(world.name("me.id")["owner"], buyer);
}

#[test]
fn missing_coins_of_a_whole_import_are_asked_for_once() {
    let world = World::embedded();
    let registry = world.person("registry");
    world.mine(1);
    let preorder = ["namespace", "preorder", "id"];
    follow(&registry, &preorder);
    registry.does(&preorder);
    registry.does(&["namespace", "reveal", "id"]);
    let owner = registry.address();
    let lines = (0..450).map(|number| format!("house-{number}.id,{owner},{number:040x}\n"));
    let list = registry.writes("names.csv", &lines.collect::<String>());
    let import = ["namespace", "import", "id", &list];
    follow(&registry, &import);
    registry.does(&import);
    registry.does(&["namespace", "ready", "id"]);
}

#[test]
fn somebody_else_pays_and_the_sender_is_told_of_both_coins() {
    let world = World::embedded();
    let [registry, alice] = ["registry", "alice"].map(|name| world.person(name));
    opens(&registry, "id", 52_595);
    alice.does(&["keys", "new", "purse"]);
    let keys = alice.does(&["keys", "list"]);
    let purse = keys
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["name"] == "purse");
    let purse = purse.unwrap()["addresses"][0]["address"].as_str().unwrap();
    alice.does(&["tx", "faucet", purse, "100000000"]);
    let register = [
        "name", "register", "me.id", "--key", "me", "--payer", "purse",
    ];
    let refused = alice.tries(&register);
    let lines = refused
        .stderr
        .split('`')
        .filter(|part| part.starts_with("bnsd tx faucet"));
    let lines: Vec<Vec<&str>> = lines
        .map(|line| line.split(' ').skip(1).collect())
        .collect();
    assert_eq!(lines.len(), 2, "{refused:?}");
    for line in lines {
        alice.does(&line);
    }
    alice.does(&register);
}

/// A registration from a chosen coin goes on with what came back of it.
#[test]
fn a_chosen_coin_pays_for_both_steps() {
    let world = World::embedded();
    let [registry, alice] = ["registry", "alice"].map(|name| world.person(name));
    opens(&registry, "id", 52_595);
    alice.gets(100_000_000);
    let preview = alice.does(&["name", "register", "me.id", "--dry-run"]);
    let coin = preview["inputs"][0]["outpoint"]
        .as_str()
        .unwrap()
        .to_owned();
    alice.gets(300_000_000);
    alice.does(&["name", "register", "me.id", "--coin", &coin]);
    assert!(world.worth(&[alice.address()]) > 300_000_000);
}
