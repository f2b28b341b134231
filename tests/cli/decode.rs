//! `bnsd tx decode`: every operation in words, before it is signed and sent.

use serde_json::Value;

use crate::common::person::{Person, World};

/// Hands an operation out and says what `tx decode` tells of it; the file is removed and the task given up.
fn decoded(person: &Person<'_>, arguments: &[&str], subject: &str) -> (Value, String) {
    let psbt = person.world.path("decoded.psbt").display().to_string();
    person.does(&[arguments, &["--psbt", &psbt]].concat());
    let json = person.does(&["tx", "decode", &psbt]);
    let page = person.tries(&["tx", "decode", &psbt]).stdout;
    std::fs::remove_file(&psbt).unwrap();
    person.does(&["name", "pending", "--forget", subject]);
    (json, page)
}

/// The sentence of an operation, which is on the page too.
fn sentence(person: &Person<'_>, arguments: &[&str], subject: &str) -> (Value, String) {
    let (json, page) = decoded(person, arguments, subject);
    let operation = &json["operation"];
    let what = operation["what"].as_str().unwrap().to_owned();
    assert!(page.contains(&what), "{what} is not in {page}");
    assert!(
        page.contains(operation["operation"].as_str().unwrap()),
        "{page}"
    );
    assert_eq!(json["complete"], false);
    for list in ["inputs", "outputs"] {
        assert!(!json[list].as_array().unwrap().is_empty(), "{json}");
    }
    assert!(json["fee"].as_u64().unwrap() > 0, "{json}");
    assert_eq!(operation["sender"], json["inputs"][0]["address"]);
    (operation.clone(), what)
}

#[test]
fn every_operation_is_told_in_words() {
    let world = World::embedded();
    let [registry, alice, bob] = ["registry", "alice", "bob"].map(|name| world.person(name));
    let (revealer, owner, buyer) = (registry.address(), alice.address(), bob.address());
    let hash = "11".repeat(20);
    registry.gets(20_000_000_000);
    alice.gets(1_000_000_000);

    let preorder = ["namespace", "preorder", "id"];
    let (operation, what) = sentence(&registry, &preorder, "id.preorder");
    assert!(
        what.starts_with("preorder of the namespace id, which it does not say, for "),
        "{what}"
    );
    assert_eq!(
        (&operation["namespace"], &operation["operation"]),
        (&"id".into(), &"NAMESPACE_PREORDER".into())
    );
    registry.does(&preorder);

    let reveal = ["namespace", "reveal", "id", "--lifetime", "1000"];
    let (operation, what) = sentence(&registry, &reveal, "id");
    let expected =
        format!("reveal of the namespace id, opened by {revealer}: names live 1000 blocks");
    assert!(what.starts_with(&expected), "{what}");
    assert_eq!(
        (&operation["lifetime"], &operation["version"]),
        (&1000.into(), &1.into())
    );
    assert_eq!(operation["prices"]["base"], 4);
    registry.does(&reveal);

    let import = [
        "name", "import", "our.id", "--owner", &owner, "--hash", &hash,
    ];
    let (operation, what) = sentence(&registry, &import, "our.id");
    assert_eq!(
        what,
        format!("import of our.id to {owner} with the zone file hash {hash}")
    );
    assert_eq!(operation["recipient"], owner);
    registry.does(&import);

    let ready = ["namespace", "ready", "id"];
    let (_, what) = sentence(&registry, &ready, "id");
    assert_eq!(what, "opening of the namespace id for everybody");
    registry.does(&ready);

    let register = ["name", "register", "me.id", "--no-tls"];
    let (operation, what) = sentence(&alice, &register, "me.id");
    assert!(
        what.starts_with("preorder of the name me.id, which it does not say, for "),
        "{what}"
    );
    assert!(operation["price"].as_u64().unwrap() > 0 && operation["paid_to"].is_string());
    alice.does(&["name", "preorder", "me.id", "--no-tls"]);
    let (_, what) = sentence(&alice, &register, "me.id");
    assert_eq!(what, format!("registration of me.id to {owner}"));
    alice.does(&register);

    let update = ["name", "update", "me.id", "--hash", &hash];
    let (operation, what) = sentence(&alice, &update, "me.id");
    assert_eq!(what, format!("zone file hash {hash} for me.id"));
    assert_eq!(operation["zonefile_hash"], hash);

    let transfer = ["name", "transfer", "me.id", &buyer];
    let (operation, what) = sentence(&alice, &transfer, "me.id");
    assert_eq!(
        what,
        format!("transfer of me.id to {buyer}, keeping its zone file")
    );
    assert_eq!(operation["keeps_zonefile"], true);

    let (_, what) = sentence(&alice, &["name", "renew", "me.id"], "me.id");
    assert!(
        what.starts_with(&format!("renewal of me.id for {owner}, for ")),
        "{what}"
    );
    let (_, what) = sentence(&alice, &["name", "revoke", "me.id"], "me.id");
    assert_eq!(what, "revocation of me.id, which nobody can undo");
}

/// What hides its name is told to nobody who cannot know it; who owns the name does.
#[test]
fn a_hidden_name_is_told_where_it_can_be_known() {
    let world = World::embedded();
    let [alice, bob] = ["alice", "bob"].map(|name| world.person(name));
    super::opens(&alice, "id");
    let psbt = world.path("preorder.psbt").display().to_string();
    alice.does(&["name", "register", "me.id", "--psbt", &psbt]);
    let seen = bob.does(&["tx", "decode", &psbt]);
    let what = seen["operation"]["what"].as_str().unwrap();
    assert!(
        what.starts_with("preorder of a name that it does not say, for "),
        "{what}"
    );
    assert!(seen["operation"]["name"].is_null());
    alice.does(&["name", "pending", "--forget", "me.id"]);

    // Everybody knows which names the sender of a transfer has.
    alice.does(&["name", "register", "me.id"]);
    alice.does(&["name", "transfer", "me.id", &bob.address(), "--psbt", &psbt]);
    let seen = bob.does(&["tx", "decode", &psbt]);
    assert_eq!(seen["operation"]["name"], "me.id");

    // Signed, sent, and what says that it is under way names the right command.
    alice.does(&["tx", "sign", &psbt]);
    let sent = alice.tries(&["tx", "send", &psbt]);
    assert!(
        sent.stdout.contains("Run `bnsd name transfer me.id` again"),
        "{sent:?}"
    );
}

/// What is printed after an operation fits it.
#[test]
fn hints_fit_what_was_done() {
    let world = World::embedded();
    let me = world.person("me");
    me.gets(20_000_000_000);
    let hints = |arguments: &[&str]| {
        let effect = me.does(arguments);
        let text = |key: &str| effect[key].as_str().unwrap_or_default().to_owned();
        (text("dig"), text("next"))
    };
    let next = |text: &str| (String::new(), text.to_owned());
    assert_eq!(
        hints(&["namespace", "preorder", "id"]),
        next("bnsd namespace reveal id")
    );
    assert_eq!(
        hints(&["namespace", "reveal", "id"]),
        next("bnsd namespace ready id")
    );
    assert_eq!(
        hints(&["namespace", "ready", "id"]),
        next("bnsd name register NAME.id")
    );
    assert_eq!(
        hints(&["name", "preorder", "me.id", "--no-tls"]),
        next("bnsd name register me.id")
    );
    assert_eq!(
        hints(&["name", "register", "me.id", "--no-tls"]),
        next("bnsd zonefile new me.id")
    );
    let zone = me.writes("me.zone", "$ORIGIN me.id\n$TTL 60\n@ TXT \"mine\"\n");
    let dig = (
        format!("dig @127.0.0.1 -p {} me.id TXT", world.port),
        String::new(),
    );
    assert_eq!(hints(&["zonefile", "publish", "me.id", &zone]), dig);
    assert_eq!(hints(&["name", "renew", "me.id"]), dig);
    assert_eq!(hints(&["name", "revoke", "me.id"]), next(""));
}
