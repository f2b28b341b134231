//! Opening a namespace, which is what most coins are paid for.

use super::super::World;
use super::{Losses, Row};

pub(super) fn rows() -> Vec<Row> {
    let mut world = World::embedded();
    let mut rows = preorders(&world);
    rows.extend(from_reveal_to_opening(&world));
    world.stop_daemon();
    let registry = world.person("registry");
    let ran = registry.tries(&["namespace", "preorder", "late"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    rows.push(Row {
        way: "no daemon says how the chain stands",
        command: "namespace preorder late".to_owned(),
        code: ran.code,
        said: ran.stderr,
        cost: 0,
        wrong: Vec::new(),
    });
    rows
}

fn preorders(world: &World) -> Vec<Row> {
    let [registry, other] = ["registry", "other"].map(|name| world.person(name));
    let mut losses = Losses::new(world);
    registry.gets(45_000_000_000);
    other.gets(20_000_000_000);
    let [preorder, reveal, ready] =
        ["preorder", "reveal", "ready"].map(|step| ["namespace", step, "town"]);
    losses.refused(
        "a reveal without a preorder",
        &registry,
        &reveal,
        1,
        "no preorder matches",
    );
    losses.asked("a preorder that nobody agreed to", &registry, &preorder, "");
    registry.does(&preorder);
    let why = "an unspent preorder with the same hash";
    losses.refused("the same preorder twice", &registry, &preorder, 1, why);
    registry.does(&["keys", "new", "spare"]);
    let keys = registry.does(&["keys", "list"]);
    let spare = keys[1]["addresses"][0]["address"].as_str().unwrap();
    registry.does(&["tx", "faucet", spare, "20000000000"]);
    let again = [&preorder[..], &["--key", "spare"]].concat();
    let why = "has preordered town already";
    losses.refused(
        "a preorder beside that of another own key",
        &registry,
        &again,
        1,
        why,
    );
    let other_revealer = [&preorder[..], &["--key", "me", "--revealer", spare]].concat();
    losses.refused(
        "a preorder beside one of the same key for another revealer",
        &registry,
        &other_revealer,
        1,
        why,
    );
    let reveal_it = [&reveal[..], &["--key", "me"]].concat();
    registry.does(&reveal_it);
    let why = "town is revealed, and its revealer can open it before block";
    losses.refused(
        "a preorder of what others revealed",
        &other,
        &preorder,
        1,
        why,
    );
    registry.does(&ready);
    let why = "town is open since block";
    losses.refused("a preorder of an open namespace", &other, &preorder, 1, why);
    let dry = [&preorder[..], &["--dry-run"]].concat();
    losses.refused("the same, only to be looked at", &other, &dry, 1, why);
    let tld = ["namespace", "preorder", "xyz"];
    let why = "xyz is an ICANN top-level domain too";
    losses.asked("a preorder of an ICANN top-level domain", &other, &tld, why);

    // What is under way is not begun again with another key.
    world.run(&["tx", "mine", "0", "--manual"]);
    let begin = ["namespace", "preorder", "club", "--key", "me", "--no-wait"];
    assert_eq!(registry.tries(&begin).code, 0);
    let again = ["namespace", "preorder", "club", "--key", "spare"];
    let why = "was begun with revealer";
    losses.refused(
        "a second preorder while the first waits",
        &registry,
        &again,
        2,
        why,
    );
    world.run(&["tx", "mine", "1", "--automatic"]);
    registry.does(&["namespace", "preorder", "club", "--key", "me"]);
    losses.rows
}

fn from_reveal_to_opening(world: &World) -> Vec<Row> {
    let [registry, other] = ["registry", "other"].map(|name| world.person(name));
    let mut losses = Losses::new(world);
    let reveal = ["namespace", "reveal", "club", "--key", "me"];
    let tokens = [&reveal[..], &["--rules", "3"]].concat();
    let why = "not supported in this epoch";
    losses.refused("rules of a later epoch", &registry, &tokens, 1, why);
    let steep = [&reveal[..], &["--buckets", "16"]].concat();
    losses.refused(
        "an exponent that does not fit",
        &registry,
        &steep,
        2,
        "0 to 15",
    );
    let dear = [&reveal[..], &["--buckets", "15"]].concat();
    losses.asked(
        "prices that nobody could pay",
        &registry,
        &dear,
        "prices of names",
    );
    world.run(&["tx", "mine", "0", "--manual"]);
    let begin = [&reveal[..], &["--no-wait"]].concat();
    assert_eq!(registry.tries(&begin).code, 0);
    let cheaper = [&reveal[..], &["--coeff", "1"]].concat();
    losses.refused(
        "other prices while the reveal waits",
        &registry,
        &cheaper,
        2,
        "was begun with prices",
    );
    world.run(&["tx", "mine", "1", "--automatic"]);
    registry.does(&reveal);
    losses.refused("a second reveal", &registry, &reveal, 1, "revealed already");

    let owner = registry.address();
    let foreign = other.address();
    let hash = "11".repeat(20);
    let import = |who: &str| {
        ["name", "import", "a.club", "--owner", who, "--hash", &hash].map(str::to_owned)
    };
    let import_by = |who: &str| import(who);
    let words = import_by(&foreign);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let why = "the first import must be signed by the namespace's revealer";
    losses.refused("an import by somebody else", &other, &words, 1, why);
    let register = ["name", "register", "b.club"];
    losses.refused(
        "a name before the opening",
        &other,
        &register,
        1,
        "not ready",
    );
    let lines = format!("a.club,{owner},broken.zone\nb.club,{owner},good.zone\n");
    let list = registry.writes("names.csv", &lines);
    std::fs::write(world.path("broken.zone"), "$ORIGIN b.club\n@ TXT \"b\"\n").unwrap();
    std::fs::write(world.path("good.zone"), "$ORIGIN b.club\n@ TXT \"b\"\n").unwrap();
    let many = ["namespace", "import", "club", &list];
    let why = "resolvers would leave out of the zone file of a.club\n  line 2";
    losses.refused(
        "a list with a zone file of another name",
        &registry,
        &many,
        1,
        why,
    );
    let late = registry.writes("late.csv", &format!("late.club,{owner},{hash}\n"));
    let late = ["namespace", "import", "club", &late];
    losses.asked(
        "a list of zone files that nobody has",
        &registry,
        &late,
        "does not have zone file",
    );
    let ready = ["namespace", "ready", "club"];
    let why = "no key here is the owner";
    losses.refused("an opening by somebody else", &other, &ready, 1, why);
    registry.does(&ready);
    let why = "Reveal the namespace first";
    losses.refused("an import after the opening", &registry, &late, 1, why);
    let register = ["name", "register", "me.never"];
    let why = "its namespace was never revealed";
    losses.refused(
        "a name in a namespace that is not there",
        &other,
        &register,
        1,
        why,
    );
    losses.rows
}
