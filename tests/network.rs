//! Which network a name is on, through the binary: the end of one and what it leaves, and networks of one's own.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bitcoin::ScriptBuf;
use bnsd::bns::Params;
use bnsd::chain::dev::DevChain;
use bnsd::clock::SystemClock;
use bnsd::indexer::{Indexer, Turn};
use bnsd::store::{ChainIdentity, Store, StoreOptions};
use serde_json::{Value, json};

use crate::common::bitcoind::Node;
use crate::common::home::Home;
use crate::common::person::{Person, World, binary};

const A: u16 = 1;
const NOERROR: u8 = 0;
/// A zone file hash of nothing.
const HASH: &str = "1111111111111111111111111111111111111111";

/// Starts the daemon again with one part of its configuration changed.
fn restart(world: &mut World, before: &str, after: &str) {
    change(world, before, after);
    world.run_daemon();
}

/// Stops the daemon and changes a part of its configuration.
fn change(world: &mut World, before: &str, after: &str) {
    world.stop_daemon();
    let path = world.path("bnsd.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(before), "{before:?} is not in {text}");
    std::fs::write(&path, text.replace(before, after)).unwrap();
}

fn status(world: &World) -> Value {
    world.run(&["--json", "status"]).json()
}

/// The namespace `id` is open, `town` is revealed, and `late` is preordered.
fn prepares(registry: &Person<'_>) {
    registry.gets(40_000_000_000);
    for id in ["id", "town"] {
        registry.does(&["namespace", "preorder", id]);
        registry.does(&["namespace", "reveal", id, "--lifetime", "12"]);
    }
    registry.does(&["namespace", "ready", "id"]);
    registry.gets(10_000_000_000);
    registry.does(&["namespace", "preorder", "late"]);
}

/// Everything that the two could do before the end; each line is a command.
fn operations(alice: &Person<'_>, registry: &Person<'_>, file: &str) -> [Vec<Vec<String>>; 2] {
    let words = |line: String| line.split(' ').map(str::to_owned).collect();
    let zone = alice.writes("new.zone", "$ORIGIN me.id\n@ A 93.184.216.35\n");
    let names = registry.writes(
        "names.csv",
        &format!("b.town,{},{HASH}\n", registry.address()),
    );
    let (mine, theirs) = (alice.address(), registry.address());
    let of_alice = vec![
        "name preorder new.id".to_owned(),
        "name register new.id".to_owned(),
        "name register new.id --dry-run".to_owned(),
        format!("name register new.id --psbt {file}"),
        format!("name update me.id --hash {HASH}"),
        format!("zonefile publish me.id {zone}"),
        format!("name transfer me.id --to {theirs}"),
        "name renew me.id".to_owned(),
        "name revoke me.id".to_owned(),
        format!("name sell me.id --price 7000000 --to {theirs} --psbt {file}"),
        format!("name buy {file}.offer me.id --price 7000000 --psbt {file}"),
        format!("tx send {file}.raw"),
        format!("tx send {file}.raw --unchecked"),
    ];
    let of_registry = vec![
        format!("name import a.town --owner {mine} --hash {HASH}"),
        format!("namespace import town {names}"),
        format!("namespace import town {names} --dry-run"),
        "namespace ready town".to_owned(),
        "namespace reveal late".to_owned(),
        "namespace preorder other".to_owned(),
    ];
    [of_alice, of_registry].map(|lines| lines.into_iter().map(words).collect())
}

/// A signed update and an offer that were made before the end and are not used yet.
fn leaves_things_open(world: &World, alice: &Person<'_>, file: &str) {
    let update = ["name", "update", "me.id", "--hash", HASH, "--psbt", file];
    alice.does(&update);
    alice.does(&["tx", "sign", file]);
    let signed = alice.does(&["tx", "decode", file])["transaction"].clone();
    std::fs::write(format!("{file}.raw"), signed.as_str().unwrap()).unwrap();
    alice.does(&["name", "pending", "--forget", "me.id"]);
    let (offer, buyer) = (format!("{file}.offer"), world.person("bob").address());
    alice.does(&[
        "name", "sell", "me.id", "--price", "7000000", "--to", &buyer, "--psbt", &offer,
    ]);
}

#[test]
fn names_stand_for_ever_as_they_stood_when_their_network_ended() {
    let mut world = World::start("[chain]\nsource = \"dev\"\nundo-depth = 5\n");
    let file = world.path("file").display().to_string();
    let last = {
        let [registry, alice] = ["registry", "alice"].map(|name| world.person(name));
        alice.gets(100_000_000);
        prepares(&registry);
        let zone = alice.writes("me.zone", "$ORIGIN me.id\n@ A 93.184.216.34\n");
        alice.does(&["name", "register", "me.id", "--zonefile", &zone]);
        leaves_things_open(&world, &alice, &file);
        world.height()
    };
    assert_eq!(status(&world)["final"], false);
    let free_from = world.name("me.id")["free_from"].as_u64().unwrap();
    // Shortly before the end nobody pays for the first of two steps when the second would come too late.
    let soon = format!("undo-depth = 5\nlast-block = {}\n", last + 1);
    restart(&mut world, "undo-depth = 5\n", &soon);
    nothing_is_begun_too_late(&world);
    let ended = format!("undo-depth = 5\nlast-block = {last}\n");
    restart(&mut world, &soon, &ended);

    // No date comes that lies after the end, and nothing has to be confirmed any more for a refusal.
    assert_eq!(world.name("me.id")["last_resolves"], Value::Null);
    every_operation_is_refused(&world, &file, last);

    // Far behind the chain, which has gone on until the name would have expired.
    let more = (free_from + 1 - last).to_string();
    world.person("alice").does(&["tx", "mine", &more]);
    every_operation_is_refused(&world, &file, last);
    wait_for_log(&world, "the index is final");
    stands(&world, last);

    // Nor does it take a source, or an index that was looked at lately.
    restart(&mut world, "upstreams =", "max-lag = 1\nupstreams =");
    let tip_time = status(&world)["block_time"].as_u64().unwrap();
    wait_until(tip_time + 13);
    assert_eq!(status(&world)["lag_seconds"], 0);
    assert_eq!(world.dig("me.id", A), (NOERROR, 1));
    restart(
        &mut world,
        "source = \"dev\"",
        "source = \"none\"\nnetwork = \"dev\"",
    );
    stands(&world, last);

    // A network can go on; it cannot end below its index.
    let end = format!("last-block = {last}");
    let (later, earlier) = (format!("last-block = {}", free_from + 1), "last-block = 99");
    change(
        &mut world,
        "source = \"none\"\nnetwork = \"dev\"",
        "source = \"dev\"",
    );
    restart(&mut world, &end, &later);
    world.wait_for(free_from + 1);
    assert_eq!(world.name("me.id")["state"], "free");
    change(&mut world, &later, earlier);
    let refused = world.run(&["serve"]);
    let advice = "go back to that block with `bnsd chain rewind 99`";
    assert!(
        refused.code == 3 && refused.stderr.contains(advice),
        "{refused:?}"
    );
    let unverified = world.run(&["chain", "verify"]);
    assert!(unverified.stderr.contains(advice), "{unverified:?}");
    assert_eq!(world.run(&["chain", "rewind", "99"]).code, 0);
    assert_eq!(world.run(&["chain", "verify"]).code, 0);
    world.run_daemon();
    assert_eq!(
        (world.height(), status(&world)["final"].clone()),
        (99, json!(true))
    );
}

/// One block is left, and an operation that needs another after it is refused before it costs anything.
fn nothing_is_begun_too_late(world: &World) {
    let [registry, alice] = ["registry", "alice"].map(|name| world.person(name));
    let worth = || world.worth(&[alice.address(), registry.address()]);
    let before = worth();
    let reason = "it would be paid for nothing. Nothing was sent";
    alice.cannot(&["name", "preorder", "new.id"], reason);
    alice.cannot(&["name", "register", "new.id"], reason);
    registry.cannot(&["namespace", "preorder", "other"], reason);
    registry.cannot(&["namespace", "reveal", "late"], reason);
    assert_eq!(worth(), before);
    alice.does(&["name", "renew", "me.id", "--dry-run"]);
}

/// Each kind of operation is refused with the reason, and costs nothing.
fn every_operation_is_refused(world: &World, file: &str, last: u64) {
    let [registry, alice] = ["registry", "alice"].map(|name| world.person(name));
    let worth = || world.worth(&[alice.address(), registry.address()]);
    let (before, begun) = (worth(), alice.does(&["name", "pending"]));
    let [of_alice, of_registry] = operations(&alice, &registry, file);
    let reason = format!("the network dev ended at block {last}, and no operation");
    for (person, lines) in [(&alice, of_alice), (&registry, of_registry)] {
        for line in lines {
            let words: Vec<&str> = line.iter().map(String::as_str).collect();
            person.cannot(&words, &reason);
            person.cannot(&words, "Nothing was sent");
        }
    }
    assert_eq!((worth(), alice.does(&["name", "pending"])), (before, begun));
}

/// The index rests at the last block and says so, and the name is there.
fn stands(world: &World, last: u64) {
    let status = status(world);
    assert_eq!(
        (&status["height"], &status["final"]),
        (&json!(last), &json!(true))
    );
    assert_eq!(status["last_block"], last);
    let meaning = status["network_meaning"].as_str().unwrap();
    assert!(
        meaning.contains(&format!("ends at block {last}")),
        "{meaning}"
    );
    let warnings = status["warnings"].to_string();
    assert!(!warnings.contains("chain"), "{warnings}");
    let page = world.run(&["status"]).stdout;
    assert!(page.contains(", final"), "{page}");
    assert_eq!(world.name("me.id")["state"], "registered");
    assert_eq!(world.dig("me.id", A), (NOERROR, 1));
    let explained = world.run(&["--json", "explain", "me.id"]).json();
    assert_eq!(explained["final"], true);
    let page = world.run(&["explain", "me.id"]).stdout;
    assert!(page.contains("the name stands so for ever"), "{page}");
}

fn wait_for_log(world: &World, text: &str) {
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while !world.log().contains(text) {
        assert!(std::time::Instant::now() < end, "{text:?} is not logged");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a time on the clock, in seconds since 1970.
fn wait_until(seconds: u64) {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    if let Ok(left) = then.duration_since(SystemTime::now()) {
        std::thread::sleep(left);
    }
}

#[test]
fn the_last_block_can_be_replaced_until_it_is_too_deep() {
    let scratch = tempfile::tempdir().unwrap();
    let chain = DevChain::open(&scratch.path().join("chain")).unwrap();
    let mine = |blocks, time| chain.mine_empty(&ScriptBuf::new(), blocks, time).unwrap();
    mine(8, 1_700_000_000);
    let params = Params {
        last_block: Some(6),
        ..Params::regtest()
    };
    let options = StoreOptions {
        undo_depth: 3,
        ..StoreOptions::default()
    };
    let identity = ChainIdentity::new("dev", &params);
    let store = Arc::new(Store::open(scratch.path(), &identity, options).unwrap());
    let mut indexer = Indexer::new(
        Box::new(chain.source(0)),
        params,
        Arc::clone(&store),
        Arc::default(),
        Arc::new(SystemClock::start()),
    );
    let mut rest = || loop {
        if let rest @ (Turn::Idle | Turn::Final) = indexer.turn().unwrap() {
            let tip = store.snapshot().tip().unwrap();
            return (rest, tip.height, tip.hash);
        }
    };
    let (turn, height, first) = rest();
    assert_eq!(
        (turn, height),
        (Turn::Idle, 6),
        "nothing above the end is indexed"
    );
    chain.rewind(4).unwrap();
    mine(4, 1_700_100_000);
    let (turn, height, second) = rest();
    assert_eq!((turn, height), (Turn::Idle, 6));
    assert_ne!(first, second);
    mine(1, 1_700_100_000);
    assert_eq!(rest(), (Turn::Final, 6, second));
    // Whatever the source says now, nobody asks it.
    chain.rewind(2).unwrap();
    mine(20, 1_700_200_000);
    assert_eq!(rest(), (Turn::Final, 6, second));
}

#[test]
fn nobody_pays_on_the_historical_network() {
    let world = World::start("[chain]\nsource = \"none\"\n");
    let alice = world.person("alice");
    let reason = "the network mainnet ended at block 665749";
    alice.cannot(&["name", "register", "me.id"], reason);
    alice.cannot(
        &["name", "register", "me.id"],
        "network = \"mainnet-continued\"",
    );
    let meaning = status(&world)["network_meaning"].clone();
    assert!(
        meaning
            .as_str()
            .unwrap()
            .starts_with("the historical network")
    );

    let mut world = world;
    let source = "source = \"none\"";
    restart(
        &mut world,
        source,
        "source = \"none\"\nnetwork = \"mainnet-continued\"",
    );
    let meaning = status(&world)["network_meaning"].clone();
    let sentence = "whoever runs bnsd agrees with whoever runs bnsd, and nobody else";
    assert!(meaning.as_str().unwrap().contains(sentence), "{meaning}");
}

#[test]
fn the_historical_networks_have_no_other_end() {
    let home = Home::new();
    for (network, words) in [
        ("mainnet", "ended at block 665749"),
        ("mainnet-continued", "no end"),
    ] {
        let mut command = home.bnsd(&["serve", "--check-config"]);
        command
            .env("BNSD_CHAIN_NETWORK", network)
            .env("BNSD_CHAIN_LAST_BLOCK", "7");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(2) && said.contains(words),
            "{said}"
        );
    }
}

/// Nobody's address.
const NOBODY: &str = "mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8";

/// Writes a network file with a command; gives what it printed.
fn new_network(file: &std::path::Path, more: &[&str]) -> Value {
    let mut command = std::process::Command::new(binary());
    command.args(["--json", "chain", "new-network"]).arg(file);
    let output = command.args(more).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A world on a network of its own, on a node.
fn world_on(node: &Node, file: &std::path::Path) -> World {
    World::start(&format!(
        "[chain]\nsource = \"bitcoind\"\nnetwork-file = \"{}\"\nbitcoin = \"regtest\"\nrpc-address = \"{}\"\nrpc-cookie = \"{}\"\n",
        file.display(),
        node.address(),
        node.cookie().display()
    ))
}

/// Runs a command that waits for blocks, and mines whenever something waits for one.
fn lives(node: &Node, person: &Person<'_>, arguments: &[&str]) {
    let mut command = person.world.command(&person.name, arguments);
    let log = std::fs::File::create(person.world.path("said")).unwrap();
    let mut running = command
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let end = std::time::Instant::now() + Duration::from_secs(120);
    let status = loop {
        if let Some(status) = running.try_wait().unwrap() {
            break status;
        }
        assert!(
            std::time::Instant::now() < end,
            "{arguments:?} does not end"
        );
        let waiting: Vec<String> = node.call("getrawmempool", &[]);
        if !waiting.is_empty() {
            let _: Value = node.call("generatetoaddress", &[json!(1), json!(NOBODY)]);
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let said = std::fs::read_to_string(person.world.path("said")).unwrap();
    assert!(status.success(), "{arguments:?}: {said}");
}

#[test]
fn networks_of_their_own_live_beside_each_other_on_one_chain() {
    let scratch = tempfile::tempdir().unwrap();
    let node = Node::start(&scratch.path().join("node"), &[]);
    let _: Value = node.call("generatetoaddress", &[json!(3), json!(NOBODY)]);
    let (address, cookie) = (node.address(), node.cookie().display().to_string());
    let files = ["club", "firm"].map(|name| scratch.path().join(format!("{name}.bnsnet")));
    let asked = ["--node", &address, "--cookie", &cookie];
    let [club, firm] = [("6162", &files[0]), ("6364", &files[1])].map(|(magic, file)| {
        let mut more = vec!["--on", "regtest", "--magic", magic, "--unit", "7"];
        more.extend(asked);
        new_network(file, &more)
    });
    assert_ne!(club["network"], firm["network"]);
    let text = std::fs::read_to_string(&files[0]).unwrap();
    let tip: String = node.call("getblockhash", &[json!(3)]);
    assert!(text.contains(&format!("\nanchor=3:{tip}\n")), "{text}");
    assert!(
        text.contains("\nfirst=4\n") && text.contains("\nunit=7\n"),
        "{text}"
    );

    let [club, firm] = files.each_ref().map(|file| world_on(&node, file));
    let alice = club.person("alice");
    let _: Value = node.call("generatetoaddress", &[json!(2), json!(alice.address())]);
    let _: Value = node.call("generatetoaddress", &[json!(100), json!(NOBODY)]);
    club.wait_for(u64::from(node.height()));
    lives(&node, &alice, &["namespace", "preorder", "id"]);
    lives(&node, &alice, &["namespace", "reveal", "id"]);
    lives(&node, &alice, &["namespace", "ready", "id"]);
    let zone = alice.writes("me.zone", "$ORIGIN me.id\n@ A 93.184.216.34\n");
    lives(
        &node,
        &alice,
        &["name", "register", "me.id", "--zonefile", &zone],
    );
    assert_eq!(club.dig("me.id", A), (NOERROR, 1));
    // 250 times a tenth of the unit, over one.
    assert_eq!(
        alice.does(&["name", "price", "longername.id"])["satoshi"],
        175
    );

    firm.wait_for(u64::from(node.height()));
    assert_eq!(firm.dig("me.id", A).0, 3);
    let (ours, theirs) = (status(&club), status(&firm));
    assert_eq!((&ours["names"], &theirs["names"]), (&json!(1), &json!(0)));
    let id = ours["network"].as_str().unwrap();
    assert!(id.starts_with("own-") && id.len() == 44, "{id}");
    let meaning = ours["network_meaning"].as_str().unwrap();
    assert!(
        meaning.contains("magic bytes 6162, from block 4"),
        "{meaning}"
    );

    for question in [["name", "price", "me.id"], ["namespace", "price", "town"]] {
        assert_eq!(alice.does(&question)["network_meaning"], meaning);
        let page = alice.tries(&question).stdout;
        assert!(page.contains("magic bytes 6162"), "{page}");
    }

    // The database of one network is not taken for another's.
    let (mut club, other) = (club, files[1].display().to_string());
    change(&mut club, &files[0].display().to_string(), &other);
    let refused = club.run(&["serve"]);
    assert!(
        refused.stderr.contains("choose another data directory"),
        "{refused:?}"
    );
}

#[test]
fn a_network_of_ones_own_is_configured_in_a_few_lines() {
    let home = Home::new();
    let file = home.path().join("club.bnsnet");
    let more = [
        "--on", "regtest", "--magic", "6162", "--anchor", "genesis", "--price", "9,8,7,6",
    ];
    let written = new_network(&file, &more);
    let lines = written["configuration"].as_str().unwrap().to_owned();
    let check = |lines: &str| {
        let path = home.path().join("bnsd.toml");
        std::fs::write(&path, lines).unwrap();
        home.run(&[
            "serve",
            "--check-config",
            "--config",
            path.to_str().unwrap(),
        ])
    };
    assert_eq!(check(&lines).code, 0, "{lines}");
    let shown = home.run(&[
        "config",
        "show",
        "--config",
        home.path().join("bnsd.toml").to_str().unwrap(),
    ]);
    assert!(shown.stdout.contains("club.bnsnet"), "{shown:?}");

    let text = std::fs::read_to_string(&file).unwrap();
    let again = home.run(&[
        "chain",
        "new-network",
        file.to_str().unwrap(),
        "--on",
        "regtest",
        "--magic",
        "6162",
        "--anchor",
        "genesis",
    ]);
    assert!(
        again.code != 0 && std::fs::read_to_string(&file).unwrap() == text,
        "{again:?}"
    );
    for (before, after, why) in [
        ("bitcoin = \"regtest\"", "", "set `chain.bitcoin`"),
        (
            "bitcoin = \"regtest\"",
            "bitcoin = \"main\"",
            "addresses of another chain",
        ),
        (
            "bitcoin =",
            "network = \"regtest\"\nbitcoin =",
            "exclude each other",
        ),
        (
            "bitcoin =",
            "first-block = 7\nbitcoin =",
            "says where the network begins",
        ),
        ("source = \"bitcoind\"", "source = \"dev\"", ""),
        (
            "club.bnsnet",
            "other.bnsnet",
            "`bnsd chain new-network` writes one",
        ),
    ] {
        let refused = check(&lines.replace(before, after));
        assert_eq!(
            refused.code,
            if why.is_empty() { 0 } else { 2 },
            "{after}: {refused:?}"
        );
        assert!(refused.stderr.contains(why), "{after}: {refused:?}");
    }
    for (before, after, why) in [
        ("magic=6162", "magic=61", "line 4"),
        (
            "pointers=0",
            "pointers=1",
            "asks for pointers=1, which bnsd does not have yet",
        ),
        ("base=bitcoin", "base=litecoin", "asks for base=litecoin"),
    ] {
        std::fs::write(&file, text.replace(before, after)).unwrap();
        let refused = check(&lines);
        assert!(
            refused.code == 2 && refused.stderr.contains(why),
            "{refused:?}"
        );
    }
    let stray = check("[chain]\nbitcoin = \"signet\"\n");
    assert!(
        stray.code == 2 && stray.stderr.contains("is on another chain"),
        "{stray:?}"
    );
}

#[test]
fn a_chain_without_the_anchor_is_another_chain() {
    let scratch = tempfile::tempdir().unwrap();
    let anchor = format!("0:{}", "11".repeat(32));
    let files = [("right", "genesis"), ("wrong", &anchor)].map(|(name, anchor)| {
        let file = scratch.path().join(name);
        new_network(
            &file,
            &["--on", "regtest", "--magic", "6162", "--anchor", anchor],
        );
        file
    });
    let chain = |file: &std::path::Path| {
        format!(
            "[chain]\nsource = \"dev\"\nnetwork-file = \"{}\"\n",
            file.display()
        )
    };
    let world = World::start(&chain(&files[0]));
    world.person("alice").gets(1_000_000);
    let warnings = status(&world)["warnings"].to_string();
    assert!(!warnings.contains("another chain"), "{warnings}");

    let world = World::start(&chain(&files[1]));
    world.run(&["tx", "mine", "1"]);
    wait_for_log(&world, "so it follows another chain");
    let warnings = status(&world)["warnings"].to_string();
    assert!(warnings.contains("correct `chain.bitcoin`"), "{warnings}");
    assert_eq!(status(&world)["height"], Value::Null);
}
