//! A person's life with a name on Bitcoin Core in regtest, through the binary alone: its mempool takes every
//! transaction that is built here.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::bitcoind::Node;
use crate::common::person::{Person, World};

/// The burn address: its rewards are nobody's.
const NOBODY: &str = "mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8";

/// A node, a daemon that follows it, and a miner.
struct Regtest {
    node: Node,
    world: World,
}

impl Regtest {
    fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let node = Node::start(&scratch.keep().join("node"), &["-rest=1"]);
        let _: serde_json::Value = node.call("generatetoaddress", &[json!(1), json!(NOBODY)]);
        let world = World::start(&format!(
            "[chain]\nsource = \"bitcoind\"\nnetwork = \"regtest\"\nrpc-address = \"{}\"\nrpc-cookie = \"{}\"\n",
            node.address(),
            node.cookie().display()
        ));
        Self { node, world }
    }

    /// Mines to an address until the first reward can be spent.
    fn rewards(&self, address: &str, blocks: u32) {
        let _: serde_json::Value = self
            .node
            .call("generatetoaddress", &[json!(blocks), json!(address)]);
    }

    fn mine(&self, blocks: u32) {
        self.rewards(NOBODY, blocks);
        self.world.wait_for(u64::from(self.node.height()));
    }

    /// Runs a command that waits for blocks, mining whenever something waits for one.
    fn lives(&self, person: &Person<'_>, arguments: &[&str]) {
        let mut running: Child = self
            .world
            .command(&person.name, arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(120);
        while running.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "{arguments:?} does not end");
            let waiting: Vec<String> = self.node.call("getrawmempool", &[]);
            if !waiting.is_empty() {
                self.mine(1);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let output = running.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
    }
}

#[test]
fn a_life_with_a_name_on_bitcoin_core() {
    let regtest = Regtest::start();
    let world = &regtest.world;
    let [registry, alice, bob] = ["registry", "alice", "bob"].map(|name| world.person(name));
    for person in [&registry, &alice, &bob] {
        regtest.rewards(&person.address(), 2);
    }
    regtest.mine(100);
    for command in [
        &["namespace", "preorder", "id"][..],
        &["namespace", "reveal", "id", "--lifetime", "20"],
        &["namespace", "ready", "id"],
    ] {
        regtest.lives(&registry, command);
    }
    let zone = alice.writes("me.zone", "$ORIGIN me.id\n$TTL 3600\n@ A 93.184.216.34\n");
    regtest.lives(&alice, &["name", "register", "me.id", "--zonefile", &zone]);
    assert_eq!(world.dig("me.id", 1), (0, 1));
    let zone = alice.writes("new.zone", "$ORIGIN me.id\n$TTL 3600\n@ TXT \"new\"\n");
    regtest.lives(&alice, &["zonefile", "publish", "me.id", &zone]);
    assert_eq!(world.dig("me.id", 16), (0, 1));
    regtest.lives(
        &alice,
        &["name", "transfer", "me.id", "--to", &bob.address()],
    );
    regtest.lives(&bob, &["name", "renew", "me.id"]);
    assert_eq!(world.name("me.id")["owner"], bob.address());

    // Sold back, in one transaction.
    let [offer, signed] = ["offer", "signed"].map(|name| world.path(name).display().to_string());
    let buyer = alice.address();
    let sell = [
        "name", "sell", "me.id", "--price", "7000000", "--to", &buyer,
    ];
    bob.does(&[&sell[..], &["--psbt", &offer]].concat());
    alice.does(&[
        "name", "buy", &offer, "me.id", "--price", "7000000", "--psbt", &signed,
    ]);
    regtest.lives(&bob, &[&sell[..], &["--accept", &signed]].concat());
    assert_eq!(world.name("me.id")["owner"], alice.address());

    // Paid with a wrapped witness, whose input the rules take for p2sh.
    let keys = alice.does(&["keys", "list"]);
    let wrapped = keys[0]["addresses"][1]["address"]
        .as_str()
        .unwrap()
        .to_owned();
    regtest.rewards(&wrapped, 1);
    regtest.mine(100);
    regtest.lives(&alice, &["name", "revoke", "me.id", "--payer", "me/p2sh"]);
    assert_eq!(world.name("me.id")["state"], "revoked");
    assert_eq!(alice.does(&["name", "pending"]), json!([]));
}
