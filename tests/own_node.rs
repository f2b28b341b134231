//! A person's life with a name on Bitcoin Core in regtest, through the binary alone: its mempool takes every
//! transaction that is built here.

use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::bitcoind::Node;
use crate::common::person::{PASSPHRASE, Person, World};

/// The burn address: its rewards are nobody's.
const NOBODY: &str = "mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8";
/// Native segwit, whose coins would void an operation.
const SEGWIT: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
/// A canary; the node knows its HMAC only.
const PASSWORD: &str = "canary-rpc-password-52c07d";
const RPC_AUTH: &str = "-rpcauth=bnsd:00112233445566778899aabbccddeeff$1ac0cfe6e2936561f3e5a9be9476de0709c0ac67d7b12339ef3b69f727ac1235";

/// A node, a daemon that follows it, and a miner.
struct Regtest {
    node: Node,
    world: World,
    /// What all commands said, at trace level.
    said: RefCell<String>,
}

impl Regtest {
    fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap().keep();
        let node = Node::start(&scratch.join("node"), &["-rest=1", RPC_AUTH]);
        let _: Value = node.call("generatetoaddress", &[json!(1), json!(NOBODY)]);
        let password = scratch.join("rpc-password");
        std::fs::write(&password, PASSWORD).unwrap();
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
        let world = World::start(&format!(
            "[chain]\nsource = \"bitcoind\"\nnetwork = \"regtest\"\nrpc-address = \"{}\"\nrpc-cookie = \"{}\"\nrpc-user = \"bnsd\"\nrpc-password-file = \"{}\"\n",
            node.address(),
            scratch.join("no-cookie").display(),
            password.display()
        ));
        Self {
            node,
            world,
            said: RefCell::default(),
        }
    }

    /// Mines to an address.
    fn rewards(&self, address: &str, blocks: u32) -> Vec<String> {
        self.node
            .call("generatetoaddress", &[json!(blocks), json!(address)])
    }

    fn mine(&self, blocks: u32) {
        self.rewards(NOBODY, blocks);
        self.world.wait_for(u64::from(self.node.height()));
    }

    /// Mines until a height that a name's record has.
    fn mine_until(&self, height: &Value) {
        let blocks = height.as_u64().unwrap() - self.world.height();
        self.mine(u32::try_from(blocks).unwrap());
    }

    /// Gives everybody coins that can be spent.
    fn fund(&self, addresses: &[String]) {
        for address in addresses {
            self.rewards(address, 2);
        }
        self.mine(100);
    }

    /// Runs a command that waits for blocks, mining whenever something waits for one.
    fn lives(&self, person: &Person<'_>, arguments: &[&str]) -> Value {
        let running = self.begins(person, arguments);
        self.attends(running, arguments)
    }

    fn begins(&self, person: &Person<'_>, arguments: &[&str]) -> Child {
        self.world
            .command(&person.name, &[&["--json"], arguments].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(
                std::fs::File::options()
                    .create(true)
                    .append(true)
                    .open(self.world.path("said"))
                    .unwrap(),
            ))
            .spawn()
            .unwrap()
    }

    /// Begins a command and kills it at a moment.
    fn is_stopped(&self, person: &Person<'_>, arguments: &[&str], at: impl Fn() -> bool) {
        let mut running = self.begins(person, arguments);
        let end = Instant::now() + Duration::from_secs(120);
        while !at() {
            assert!(Instant::now() < end, "{arguments:?} does not come so far");
            std::thread::sleep(Duration::from_millis(20));
        }
        running.kill().unwrap();
        running.wait().unwrap();
    }

    fn waiting(&self) -> Vec<String> {
        self.node.call("getrawmempool", &[])
    }

    fn mine_what_waits(&self) {
        if !self.waiting().is_empty() {
            self.mine(1);
        }
    }

    fn attends(&self, mut running: Child, arguments: &[&str]) -> Value {
        let end = Instant::now() + Duration::from_secs(120);
        while running.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "{arguments:?} does not end");
            self.mine_what_waits();
            std::thread::sleep(Duration::from_millis(50));
        }
        let output = running.wait_with_output().unwrap();
        let said = std::fs::read_to_string(self.world.path("said")).unwrap();
        let last: Vec<&str> = said.lines().rev().take(3).collect();
        assert!(output.status.success(), "{arguments:?}: {last:?}");
        let stdout = String::from_utf8_lossy(&output.stdout);
        self.said.borrow_mut().push_str(&stdout);
        serde_json::from_str(&stdout).unwrap_or(Value::Null)
    }

    /// No password in any log, nor in a core file.
    fn kept_its_secrets(&self) {
        let files = ["said", "daemon.log"].map(|file| self.world.path(file));
        let texts = files.map(|file| std::fs::read(file).unwrap());
        for text in texts.iter().map(|text| String::from_utf8_lossy(text)) {
            assert!(
                ["TRACE", "DEBUG", "INFO"]
                    .iter()
                    .any(|level| text.contains(level))
            );
            assert!(!text.contains(PASSWORD) && !text.contains(PASSPHRASE));
        }
        assert!(!self.said.borrow().contains(PASSWORD));
        let limits = format!("/proc/{}/limits", self.world.daemon_id());
        let limits = std::fs::read_to_string(limits).unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file"));
        let core: Vec<&str> = core.unwrap().split_whitespace().collect();
        assert_eq!(core[4..6], ["0", "0"]);
    }
}

/// Opens a namespace whose names live so many blocks, twice in this epoch.
fn opens(regtest: &Regtest, registry: &Person<'_>, id: &str, lifetime: &str) {
    regtest.lives(registry, &["namespace", "preorder", id]);
    let reveal = ["namespace", "reveal", id, "--lifetime", lifetime];
    regtest.lives(registry, &reveal);
    regtest.lives(registry, &["namespace", "ready", id]);
}

#[test]
fn a_whole_life_with_a_name_on_bitcoin_core() {
    let regtest = Regtest::start();
    let world = &regtest.world;
    let people = ["registry", "alice", "bob", "carol"].map(|name| world.person(name));
    let [registry, alice, bob, carol] = &people;
    regtest.fund(&people.each_ref().map(Person::address));
    opens(&regtest, registry, "id", "30");

    // Registering, publishing, asking.
    assert_eq!(
        alice.does(&["name", "price", "longername.id"])["satoshi"],
        2_500
    );
    let zone = alice.writes("me.zone", "$ORIGIN me.id\n$TTL 3600\n@ A 93.184.216.34\n");
    let effect = regtest.lives(alice, &["name", "register", "me.id", "--zonefile", &zone]);
    assert_eq!(effect["operation"], "NAME_REGISTRATION");
    assert_eq!(world.dig("me.id", 1), (0, 1));
    let zone = alice.writes("new.zone", "$ORIGIN me.id\n$TTL 3600\n@ TXT \"new\"\n");
    regtest.lives(alice, &["zonefile", "publish", "me.id", &zone]);
    assert_eq!(world.dig("me.id", 16), (0, 1));
    let transfer = ["name", "transfer", "me.id", "--to", &bob.address()];
    regtest.lives(alice, &transfer);
    assert_eq!(world.name("me.id")["owner"], bob.address());

    // In the grace period only a renewal is allowed.
    regtest.mine_until(&world.name("me.id")["grace_start"]);
    assert_eq!(world.name("me.id")["state"], "grace");
    bob.cannot(
        &["name", "update", "me.id", "--zonefile", &zone],
        "Renew it first: `bnsd name renew`",
    );
    regtest.lives(bob, &["name", "renew", "me.id"]);
    assert_eq!(world.name("me.id")["state"], "registered");

    // Expiry, and a third person.
    let free = world.name("me.id")["free_from"].as_u64().unwrap();
    regtest.mine_until(&json!(free - 1));
    assert_eq!(world.dig("me.id", 16).0, 3);
    regtest.lives(carol, &["name", "register", "me.id"]);
    assert_eq!(world.name("me.id")["owner"], carol.address());
    regtest.lives(carol, &["name", "revoke", "me.id"]);
    assert_eq!(world.name("me.id")["state"], "revoked");
    assert_eq!(carol.does(&["name", "pending"]), json!([]));
    regtest.kept_its_secrets();
}

#[test]
fn sales_and_every_kind_of_coin_on_bitcoin_core() {
    let regtest = Regtest::start();
    let world = &regtest.world;
    let people = ["registry", "alice", "bob"].map(|name| world.person(name));
    let [registry, alice, bob] = &people;
    alice.does(&["keys", "new", "two"]);
    let import = [
        "keys",
        "import",
        "team",
        "--multisig",
        "2",
        "--member",
        "me",
        "--member",
        "two",
    ];
    let team = alice.does(&import)["addresses"][0]["address"].clone();
    let keys = alice.does(&["keys", "list"]);
    let wrapped = keys[0]["addresses"][1]["address"].clone();
    let mut addresses = people.each_ref().map(Person::address).to_vec();
    addresses.extend([team, wrapped].map(|address| address.as_str().unwrap().to_owned()));
    let segwit = regtest.rewards(SEGWIT, 1);
    regtest.fund(&addresses);
    opens(&regtest, registry, "id", "52595");

    // Owned by two signatures, then given to one.
    regtest.lives(alice, &["name", "register", "me.id", "--key", "team"]);
    assert_eq!(world.name("me.id")["owner"], addresses[3]);
    regtest.lives(alice, &["name", "transfer", "me.id", "--to", &addresses[1]]);

    // Sold in one transaction, and what would come too late is taken back.
    let [offer, bid, signed] =
        ["offer", "bid", "signed"].map(|name| world.path(name).display().to_string());
    let buyer = bob.address();
    let sell = [
        "name", "sell", "me.id", "--price", "7000000", "--to", &buyer,
    ];
    let buy = |file| ["name", "buy", file, "me.id", "--price", "7000000"];
    let agree = || {
        alice.does(&[&sell[..], &["--psbt", &offer]].concat());
        bob.does(&[&buy(&offer)[..], &["--psbt", &bid]].concat());
        alice.does(&[&sell[..], &["--accept", &bid, "--psbt", &signed]].concat());
    };
    agree();
    bob.does(&[&buy(&signed)[..], &["--no-wait"]].concat());
    for _ in 0..23 {
        let _: Value = regtest
            .node
            .call("generateblock", &[json!(NOBODY), json!([])]);
    }
    world.wait_for(u64::from(regtest.node.height()));
    bob.cannot(&buy(&signed), "the payment was taken back");
    regtest.mine_what_waits();
    assert_eq!(world.name("me.id")["owner"], alice.address());
    agree();
    regtest.lives(bob, &buy(&signed));
    assert_eq!(world.name("me.id")["owner"], buyer);

    // Handed out, signed, sent raw.
    let psbt = world.path("handed-out").display().to_string();
    let update = ["name", "update", "me.id", "--hash", &"11".repeat(20)];
    bob.does(&[&update[..], &["--psbt", &psbt]].concat());
    bob.does(&["tx", "sign", &psbt]);
    let signed = bob.does(&["tx", "decode", &psbt])["transaction"].clone();
    let raw = bob.writes("raw", signed.as_str().unwrap());
    bob.does(&["tx", "send", &raw]);
    regtest.lives(bob, &update);
    regtest.lives(
        bob,
        &["name", "transfer", "me.id", "--to", &alice.address()],
    );

    // A native segwit coin is refused with its reason; a wrapped one pays, the rules take it for p2sh.
    let block: Value = regtest.node.call("getblock", &[json!(segwit[0])]);
    let coin = format!("{}:0", block["tx"][0].as_str().unwrap());
    alice.cannot(
        &["name", "revoke", "me.id", "--coin", &coin],
        "is native segwit, and one such input",
    );
    regtest.lives(alice, &["name", "revoke", "me.id", "--payer", "me/p2sh"]);
    assert_eq!(world.name("me.id")["state"], "revoked");
    assert_eq!(alice.does(&["name", "pending"]), json!([]));
}

#[test]
fn a_thousand_names_are_imported_on_bitcoin_core() {
    let regtest = Regtest::start();
    let world = &regtest.world;
    let registry = world.person("registry");
    regtest.fund(&[registry.address()]);
    regtest.lives(&registry, &["namespace", "preorder", "town"]);
    regtest.lives(&registry, &["namespace", "reveal", "town", "--coeff", "4"]);
    let owner = registry.address();
    let lines = (0..1_000).map(|number| format!("house-{number}.town,{owner},{number:040x}\n"));
    let list = registry.writes("names.csv", &lines.collect::<String>());
    let import = ["namespace", "import", "town", &list];

    // Stopped when the coins for it are under way, and again as soon as some names are on the chain.
    regtest.is_stopped(&registry, &import, || !regtest.waiting().is_empty());
    regtest.is_stopped(&registry, &import, || {
        regtest.mine_what_waits();
        world.name("house-0.town")["state"] == "registered"
    });
    regtest.lives(&registry, &import);
    let said = std::fs::read_to_string(world.path("said")).unwrap();
    assert!(said.contains("1000 of 1000 names are imported"));
    regtest.lives(&registry, &["namespace", "ready", "town"]);
    let all = registry.does(&["name", "list", "--all"]);
    assert_eq!(all.as_array().unwrap().len(), 1_000);
    let history = world.name("house-999.town")["history"].clone();
    assert_eq!(history.as_array().unwrap().len(), 1);
}
