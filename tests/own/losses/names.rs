//! Registering a name and keeping it.

use super::super::{Person, World, opens};
use super::{Losses, Row, wealth};

pub(super) fn rows() -> Vec<Row> {
    let world = World::embedded();
    let [registry, alice, bob, poor] =
        ["registry", "alice", "bob", "poor"].map(|name| world.person(name));
    opens(&registry, "id", 52_595);
    opens(&registry, "brief", 15);
    for person in [&alice, &bob] {
        person.gets(100_000_000);
    }
    poor.gets(5_500);
    let mut losses = Losses::new(&world);
    who_gets_it(&mut losses, &alice);
    what_it_says(&mut losses, &alice);
    registering(&mut losses, &alice, &bob, &poor);
    owning(&mut losses, &alice, &bob);
    ending(&mut losses, &alice, &bob);
    signing(&mut losses, &alice, &bob);
    losses.rows
}

/// Addresses.
fn who_gets_it(losses: &mut Losses<'_>, alice: &Person<'_>) {
    let to = |owner| ["name", "register", "me.id", "--owner", owner];
    let mainnet = to("1BoatSLRHtKNngkdXEeobR76b53LETtpyT");
    let why = "is no address of this network";
    losses.refused("an owner on another network", alice, &mainnet, 2, why);
    let segwit = to("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080");
    losses.refused(
        "a native segwit owner",
        alice,
        &segwit,
        2,
        "voids a name operation",
    );
    let stranger = losses.world.person("bob").address();
    let why = "no key here opens the owner's address";
    losses.asked(
        "an owner of whom no key is here",
        alice,
        &to(&stranger),
        why,
    );
    let burn = to("mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8");
    losses.asked(
        "the burn address as owner",
        alice,
        &burn,
        "nobody has the key",
    );
    let illegal = ["name", "register", "m\u{e9}.id"];
    losses.refused("an illegal name", alice, &illegal, 2, "is no name");
    let protected = ["name", "register", "go.id"];
    let why = "registered in the legacy tree";
    losses.asked("a label of the legacy tree", alice, &protected, why);
}

/// Zone files.
fn what_it_says(losses: &mut Losses<'_>, alice: &Person<'_>) {
    let bad = [
        (
            "a zone file with bad syntax",
            "@ A not-an-address\n",
            "line 2",
        ),
        (
            "a zone file of another name",
            "$ORIGIN you.id\n@ TXT \"you\"\n",
            "line 3",
        ),
        (
            "a record of another name",
            "else.where.org. A 192.0.2.1\n",
            "outside the zone",
        ),
        (
            "a private address",
            "@ A 192.168.1.1\n",
            "a private address",
        ),
        ("$INCLUDE", "$INCLUDE /etc/passwd\n", "$INCLUDE is refused"),
    ];
    for (way, text, why) in bad {
        let file = alice.writes("bad.zone", &format!("$ORIGIN me.id\n{text}"));
        let register = ["name", "register", "me.id", "--zonefile", &file];
        losses.refused(way, alice, &register, 1, why);
        let insisting = [&register[..], &["--anyway"]].concat();
        losses.asked("the same with --anyway", alice, &insisting, why);
    }
    let long = alice.writes("long.zone", &"; nothing\n".repeat(5_000));
    let register = ["name", "register", "me.id", "--zonefile", &long];
    losses.refused(
        "a zone file that is too long",
        alice,
        &register,
        1,
        "50000 bytes",
    );
    let empty = alice.writes("empty.zone", "");
    let register = ["name", "register", "me.id", "--zonefile", &empty];
    losses.refused("an empty zone file", alice, &register, 1, "has 0 bytes");
    let hash = "11".repeat(20);
    let register = ["name", "register", "me.id", "--hash", &hash];
    losses.asked(
        "the hash of a file that nobody has",
        alice,
        &register,
        "does not have zone file",
    );
}

fn registering(losses: &mut Losses<'_>, alice: &Person<'_>, bob: &Person<'_>, poor: &Person<'_>) {
    let world = losses.world;
    let register = ["name", "register", "longername.id"];
    losses.refused(
        "too few coins",
        poor,
        &register,
        3,
        "coins are missing, and nothing was sent",
    );
    losses.refused(
        "no coins",
        &world.person("broke"),
        &register,
        3,
        "coins are missing, and nothing was sent",
    );
    let spike = [&register[..], &["--fee-rate", "50000"]].concat();
    losses.refused(
        "a fee rate that nobody can want",
        alice,
        &spike,
        3,
        "more than a tenth",
    );
    let coin = format!("{}:0", "11".repeat(32));
    let foreign = [&register[..], &["--coin", &coin]].concat();
    losses.refused(
        "somebody else's coin",
        alice,
        &foreign,
        2,
        "no unspent output",
    );
    losses.asked("a registration that nobody agreed to", alice, &register, "");

    // 2,500 satoshi are burnt, and two transactions cost less than 3,000 together.
    world.run(&["tx", "mine", "0", "--manual"]);
    let before = wealth(world);
    let sent = [&register[..], &["--no-wait"]].concat();
    let sent = alice.tries(&sent);
    assert_eq!(sent.code, 0);
    assert!(
        sent.stdout.contains("is sent, and in no block yet"),
        "{sent:?}"
    );
    assert!(sent.stdout.contains("What was paid"), "{sent:?}");
    losses.refused(
        "another owner in the middle of it",
        alice,
        &[&register[..], &["--owner", &bob.address()]].concat(),
        2,
        "was begun with owner",
    );
    let renew = ["name", "renew", "longername.id"];
    losses.refused(
        "another command in the middle of it",
        alice,
        &renew,
        1,
        "never registered",
    );
    world.run(&["tx", "mine", "1", "--automatic"]);
    let ran = alice.tries(&register);
    let way = "stopped after the preorder, and run again";
    losses.take(way, &register, &ran, (0, ""), &before, 5_500);
    losses.refused(
        "the same command once more",
        alice,
        &register,
        1,
        "is yours already",
    );
    let preorder = ["name", "preorder", "longername.id"];
    let why = "is yours already";
    losses.refused("a preorder of one's own name", alice, &preorder, 1, why);
    let why = "registered already";
    let broke = world.person("broke");
    losses.refused(
        "a name that is taken, without coins",
        &broke,
        &register,
        1,
        why,
    );
    losses.refused("a preorder of a name that is taken", bob, &preorder, 1, why);
    small_change(losses);
    losses.refused(
        "a name that is taken",
        bob,
        &register,
        1,
        "registered already",
    );
}

/// What is too little for an output goes to the miners, and the table says so before.
fn small_change(losses: &mut Losses<'_>) {
    let tight = losses.world.person("tight");
    let register = ["name", "register", "smallchange.id", "--allow-high-fee"];
    let asked = tight.tries(&register).stderr;
    let (_, sum) = asked.rsplit_once(' ').expect("a sum at the end");
    let sum: u64 = sum
        .trim_end()
        .trim_end_matches('`')
        .parse()
        .expect("satoshi");
    tight.gets(sum + 300);
    let shown = tight.tries(&[&register[..], &["--dry-run"]].concat());
    let left = losses.world.worth(&[tight.address()]);
    let ran = tight.tries(&register);
    let paid = left - losses.world.worth(&[tight.address()]);
    let total = format!("({paid} satoshi)").replace("(3", "(3,");
    assert!(
        shown.stdout.contains(&total) && ran.stdout.contains(&total),
        "{total}: {shown:?}"
    );
    let hash = "44".repeat(20);
    let update = ["name", "update", "smallchange.id", "--hash", &hash];
    tight.gets(100_000);
    let capped = [&update[..], &["--max-fee-rate", "2"]].concat();
    losses.costs("an estimate above --max-fee-rate", &tight, &capped, 600);
}

fn owning(losses: &mut Losses<'_>, alice: &Person<'_>, bob: &Person<'_>) {
    let zone = alice.writes("me.zone", "$ORIGIN me.id\n$TTL 3600\n@ A 93.184.216.34\n");
    alice.does(&["name", "register", "me.id", "--zonefile", &zone]);
    let update = ["name", "update", "me.id", "--zonefile", &zone];
    losses.asked(
        "the zone file that is in force",
        alice,
        &update,
        "this changes nothing",
    );
    let publish = ["zonefile", "publish", "me.id", &zone];
    losses.costs("the same file published once more", alice, &publish, 0);
    let private = alice.writes("lan.zone", "$ORIGIN me.id\n@ A 10.0.0.1\n");
    let publish = ["zonefile", "publish", "me.id", &private];
    losses.refused(
        "a private address published",
        alice,
        &publish,
        1,
        "a private address",
    );
    let update = ["name", "update", "me.id", "--zonefile", &private];
    losses.refused(
        "a private address announced",
        alice,
        &update,
        1,
        "a private address",
    );
    let renew = ["name", "renew", "me.id"];
    losses.asked(
        "a renewal much too early",
        alice,
        &renew,
        "are paid for twice",
    );
    let renew = [&renew[..], &["--zonefile", &private]].concat();
    losses.refused(
        "a renewal with a private address",
        alice,
        &renew,
        1,
        "a private address",
    );
    let hash = "22".repeat(20);
    let update = ["name", "update", "me.id", "--hash", &hash];
    losses.refused(
        "an update without the owner's key",
        bob,
        &update,
        1,
        "no key here is the owner",
    );
    let with_key = [&update[..], &["--key", "me"]].concat();
    losses.refused(
        "an update with another key",
        bob,
        &with_key,
        1,
        "no name fits the hash",
    );
    let to = alice.address();
    let transfer = ["name", "transfer", "me.id", "--to", &to];
    losses.refused(
        "a transfer to the present owner",
        alice,
        &transfer,
        1,
        "are the same",
    );
    let transfer = [
        "name",
        "transfer",
        "me.id",
        "--to",
        "mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8",
    ];
    losses.asked(
        "a transfer to the burn address",
        alice,
        &transfer,
        "nobody has the key",
    );
    let revoke = ["name", "revoke", "me.id"];
    losses.asked("a revocation", alice, &revoke, "nobody can undo that");
    alice.does(&revoke);
    losses.refused(
        "a second revocation",
        alice,
        &revoke,
        1,
        "the name is revoked",
    );
    losses.refused(
        "an update of a revoked name",
        alice,
        &update,
        1,
        "no name fits the hash",
    );
    let renew = ["name", "renew", "me.id"];
    losses.refused(
        "a renewal of a revoked name",
        alice,
        &renew,
        1,
        "the name is revoked",
    );
}

/// The term of a name in a namespace where it is short.
fn ending(losses: &mut Losses<'_>, alice: &Person<'_>, bob: &Person<'_>) {
    let world = losses.world;
    alice.does(&["name", "register", "shortlived.brief"]);
    let end = |which: &str| world.name("shortlived.brief")[which].as_u64().unwrap();
    let mine_to = |height: u64| world.mine(u32::try_from(height - world.height()).unwrap());
    let register = ["name", "register", "shortlived.brief"];
    let hash = "33".repeat(20);
    let update = ["name", "update", "shortlived.brief", "--hash", &hash];
    mine_to(end("grace_start"));
    losses.refused(
        "an update in the grace period",
        alice,
        &update,
        1,
        "Renew it first",
    );
    losses.refused(
        "somebody else's name in its grace period",
        bob,
        &register,
        1,
        "registered already",
    );
    mine_to(end("free_from") - 3);
    let why = "It would pass from block";
    losses.refused("a name that is almost free", bob, &register, 1, why);
    mine_to(end("free_from") - 1);
    let renew = ["name", "renew", "shortlived.brief"];
    losses.refused("a renewal too late", alice, &renew, 1, "");
    losses.refused("an update of an expired name", alice, &update, 1, "");
}

/// Signatures that are missing, and addresses that hold as many names as they can.
fn signing(losses: &mut Losses<'_>, alice: &Person<'_>, bob: &Person<'_>) {
    let world = losses.world;
    let listed = |person: &Person<'_>| {
        let keys = person.does(&["keys", "list"]);
        let key = &keys[0]["addresses"][0]["public_keys"][0];
        key.as_str().unwrap().to_owned()
    };
    let members = [listed(alice), listed(bob)];
    let team = [
        "keys",
        "import",
        "team",
        "--multisig",
        "2",
        "--member",
        &members[0],
        "--member",
        &members[1],
    ];
    let team = alice.does(&team)["addresses"][0]["address"].clone();
    alice.does(&["tx", "faucet", team.as_str().unwrap(), "1000000"]);
    let shared = world.path("shared").display().to_string();
    let register = ["name", "register", "ourteam.id", "--key", "team"];
    let why = "lacks signatures";
    losses.refused("too few signatures", alice, &register, 3, why);
    alice.does(&["name", "pending"]);
    let out = [&register[..], &["--psbt", &shared]].concat();
    losses.costs("a PSBT that is handed out", alice, &out, 0);
    alice.does(&["tx", "sign", &shared]);
    let send = ["tx", "send", &shared];
    losses.refused(
        "too few signatures in a PSBT",
        alice,
        &send,
        3,
        "lacks signatures",
    );
    losses.refused(
        "what was handed out, once more",
        alice,
        &register,
        3,
        "was handed out as a PSBT",
    );

    let registry = world.person("registry");
    opens_with_25(&registry, &bob.address());
    let one_more = ["name", "transfer", "longername.id", "--to", &bob.address()];
    let why = "a script cannot hold more names";
    losses.refused(
        "a transfer to an address with 25 names",
        alice,
        &one_more,
        1,
        why,
    );
    let register = ["name", "register", "onemore.id", "--key", "me"];
    losses.refused("a 26th name of an address", bob, &register, 1, why);
}

fn opens_with_25(registry: &Person<'_>, owner: &str) {
    registry.gets(20_000_000_000);
    registry.does(&["namespace", "preorder", "full"]);
    registry.does(&["namespace", "reveal", "full"]);
    let lines = (0..25).map(|number| format!("name{number}.full,{owner},{number:040x}\n"));
    let list = registry.writes("names.csv", &lines.collect::<String>());
    registry.does(&["namespace", "import", "full", &list]);
    registry.does(&["namespace", "ready", "full"]);
}
