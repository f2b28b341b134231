//! A name against bitcoin: both or neither, whoever tries what.

use std::process::Stdio;

use super::{Person, World, opens, until};

/// What was agreed on.
const PRICE: &str = "5000000";

/// Alice has a name, Bob money.
struct Market<'w> {
    world: &'w World,
    alice: Person<'w>,
    bob: Person<'w>,
    offer: String,
    bid: String,
    signed: String,
}

impl<'w> Market<'w> {
    fn open(world: &'w World) -> Self {
        let [registry, alice, bob] = ["registry", "alice", "bob"].map(|name| world.person(name));
        opens(&registry, "id", 52_595);
        for person in [&alice, &bob] {
            person.gets(100_000_000);
        }
        alice.does(&["name", "register", "shop.id"]);
        let [offer, bid, signed] =
            ["offer", "bid", "signed"].map(|name| world.path(name).display().to_string());
        Self {
            world,
            alice,
            bob,
            offer,
            bid,
            signed,
        }
    }

    fn sell<'a>(&self, buyer: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let sell = ["name", "sell", "shop.id", "--price", PRICE, "--to", buyer];
        [&sell[..], more].concat()
    }

    fn buy<'a>(&self, file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let buy = ["name", "buy", file, "shop.id", "--price", PRICE];
        [&buy[..], more].concat()
    }

    /// Offer, bid and the seller's signature.
    fn agree(&self) {
        let buyer = self.bob.address();
        self.alice
            .does(&self.sell(&buyer, &["--psbt", &self.offer]));
        self.bob
            .does(&self.buy(&self.offer, &["--psbt", &self.bid]));
        self.alice
            .does(&self.sell(&buyer, &["--accept", &self.bid, "--psbt", &self.signed]));
    }

    fn owner(&self) -> serde_json::Value {
        self.world.name("shop.id")["owner"].clone()
    }

    fn has(&self, person: &Person<'_>) -> u64 {
        self.world.worth(&[person.address()])
    }
}

#[test]
fn a_name_is_sold_in_one_transaction() {
    let world = World::embedded();
    let market = Market::open(&world);
    let (alice, bob, carol) = (&market.alice, &market.bob, world.person("carol"));
    carol.gets(100_000_000);
    let buyer = bob.address();
    alice.does(&market.sell(&buyer, &["--psbt", &market.offer]));

    // The buyer is not asked for more, and nobody else can step in.
    let cheaper = [
        "name",
        "buy",
        &market.offer,
        "shop.id",
        "--price",
        "4000000",
        "--psbt",
        &market.bid,
    ];
    bob.cannot(
        &cheaper,
        "would get 0.05000000 BTC (5,000,000 satoshi) and not 0.04000000 BTC",
    );
    carol.cannot(
        &market.buy(&market.offer, &["--psbt", &market.bid]),
        "the name would go to",
    );
    bob.does(&market.buy(&market.offer, &["--psbt", &market.bid]));

    bob.cannot(
        &market.buy(&market.offer, &["--payer", "me/1", "--psbt", &market.bid]),
        "leave --payer out",
    );

    // Nobody sends what the seller has not signed, not even the buyer.
    bob.cannot(&market.buy(&market.bid, &[]), "input 0 lacks signatures");

    // The seller does not get less, can look first, and sends nothing.
    let dearer = [
        "name",
        "sell",
        "shop.id",
        "--price",
        "6000000",
        "--to",
        &buyer,
        "--accept",
        &market.bid,
        "--psbt",
        &market.signed,
    ];
    alice.cannot(
        &dearer,
        "would get 0.05000000 BTC (5,000,000 satoshi) and not 0.06000000 BTC",
    );
    let accept = market.sell(&buyer, &["--accept", &market.bid, "--psbt", &market.signed]);
    let shown = alice.tries(&[&accept[..], &["--dry-run"]].concat());
    assert!(shown.stdout.contains("not fully signed"), "{shown:?}");
    assert!(!world.path("signed").exists());
    alice.does(&accept);
    assert_eq!(market.owner(), alice.address());
    let (seller_had, buyer_had) = (market.has(alice), market.has(bob));

    // The buyer can look first, then signs last and sends.
    let shown = bob.tries(&market.buy(&market.signed, &["--dry-run"]));
    assert!(
        shown.stdout.contains("50000000") || shown.stdout.contains("0.05"),
        "{shown:?}"
    );
    let effect = bob.does(&market.buy(&market.signed, &[]));
    assert_eq!(effect["operation"], "NAME_TRANSFER");
    assert_eq!(market.owner(), buyer);
    assert_eq!(market.has(alice) - seller_had, 5_000_000);
    assert!(buyer_had - market.has(bob) < 5_000_000 + 10_000);
    assert_eq!(bob.does(&["name", "pending"]), serde_json::json!([]));

    // What was signed cannot be used twice.
    bob.cannot(&market.buy(&market.signed, &[]), "");
    alice.cannot(&accept, "no key here is the owner");
}

#[test]
fn a_sale_that_waited_too_long_is_refused_by_everybody() {
    let world = World::embedded();
    let market = Market::open(&world);
    let buyer = market.bob.address();
    market.agree();
    world.mine(22); // two of the 24 blocks are left: too few to rely on
    let why = "make the sale anew with `bnsd name sell`";
    let (alice, bob) = (&market.alice, &market.bob);
    bob.cannot(&market.buy(&market.offer, &["--psbt", &market.bid]), why);
    alice.cannot(
        &market.sell(&buyer, &["--accept", &market.bid, "--psbt", &market.signed]),
        why,
    );
    bob.cannot(&market.buy(&market.signed, &[]), why);
    assert_eq!(market.has(bob), 100_000_000);

    // Made anew it works.
    market.agree();
    bob.does(&market.buy(&market.signed, &[]));
    assert_eq!(market.owner(), buyer);
}

#[test]
fn a_payment_that_would_come_too_late_is_taken_back() {
    let world = World::embedded();
    let market = Market::open(&world);
    market.agree();
    let (alice, bob) = (&market.alice, &market.bob);
    let before = market.has(alice);
    world.run(&["tx", "mine", "0", "--manual"]);
    let buying = world
        .command("bob", &market.buy(&market.signed, &[]))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let waiting = || world.run(&["--json", "tx", "mine", "0"]).json()["waiting"].as_u64();
    until("the sale waits", || waiting() == Some(1));
    world.run(&["tx", "mine", "23", "--empty"]);
    let output = buying.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the payment was taken back"), "{said}");
    world.mine(1);
    world.run(&["tx", "mine", "1", "--automatic"]);
    assert_eq!(market.owner(), alice.address());
    assert_eq!(market.has(alice), before);
    let lost = 100_000_000 - market.has(bob);
    assert!(lost > 0 && lost < 20_000, "{lost}");
    assert_eq!(bob.does(&["name", "pending"]), serde_json::json!([]));
}

#[test]
fn a_stopped_purchase_goes_on() {
    let world = World::embedded();
    let market = Market::open(&world);
    market.agree();
    world.run(&["tx", "mine", "0", "--manual"]);
    let bob = &market.bob;
    let buy = market.buy(&market.signed, &[]);
    let left = bob.tries(&[&buy[..], &["--no-wait"]].concat());
    assert!(left.stderr.contains("takes the payment back"), "{left:?}");
    assert_eq!(bob.does(&["name", "pending"])[0]["goal"], "buy");
    world.run(&["tx", "mine", "1", "--automatic"]);
    assert_eq!(bob.does(&buy)["operation"], "NAME_TRANSFER");
    assert_eq!(market.owner(), bob.address());
}

#[test]
fn a_payment_for_a_name_that_is_gone_is_taken_back() {
    let mut world = World::embedded();
    {
        let market = Market::open(&world);
        market.agree();
        world.run(&["tx", "mine", "0", "--manual"]);
        let buy = market.buy(&market.signed, &[]);
        market.bob.tries(&[&buy[..], &["--no-wait"]].concat());
    }
    // What waits for a block is forgotten with the embedded chain's pool, and the seller is quick.
    world.stop_daemon();
    world.run_daemon();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| world.person(name));
    alice.gets(1_000_000);
    alice.does(&["name", "transfer", "shop.id", "--to", &carol.address()]);
    let had = world.worth(&[bob.address()]);
    let signed = world.path("signed").display().to_string();
    bob.cannot(
        &["name", "buy", &signed, "shop.id", "--price", PRICE],
        "the payment was taken back",
    );
    let lost = had - world.worth(&[bob.address()]);
    assert!(lost > 0 && lost < 20_000, "{lost}");
    assert_eq!(world.name("shop.id")["owner"], carol.address());
}

/// Seller and buyer are two addresses of one key file, or two files of one keystore.
#[test]
fn a_name_is_sold_between_two_keys_of_one_keystore() {
    let world = World::embedded();
    opens(&world.person("registry"), "id", 52_595);
    let alice = world.person("alice");
    alice.gets(100_000_000);
    alice.does(&["name", "register", "shop.id"]);
    alice.does(&["keys", "new", "shop"]);
    let keys = alice.does(&["keys", "list", "--addresses", "2"]);
    let address = |file: usize, index: usize| {
        let address = &keys[file]["addresses"][index]["address"];
        address.as_str().unwrap().to_owned()
    };
    let [offer, bid, signed] =
        ["offer", "bid", "signed"].map(|name| world.path(name).display().to_string());
    for buyer in [address(0, 1), address(1, 0)] {
        alice.does(&["tx", "faucet", &buyer, "100000000"]);
        let seller = world.name("shop.id")["owner"].as_str().unwrap().to_owned();
        let had = [&seller, &buyer].map(|address| world.worth(std::slice::from_ref(address)));
        let sell = ["name", "sell", "shop.id", "--price", PRICE, "--to", &buyer];
        let buy = |file| ["name", "buy", file, "shop.id", "--price", PRICE];
        alice.does(&[&sell[..], &["--psbt", &offer]].concat());
        alice.does(&[&buy(&offer)[..], &["--psbt", &bid]].concat());
        alice.does(&[&sell[..], &["--accept", &bid, "--psbt", &signed]].concat());
        alice.does(&buy(&signed));
        assert_eq!(world.name("shop.id")["owner"], buyer.as_str());
        let has = [&seller, &buyer].map(|address| world.worth(std::slice::from_ref(address)));
        assert_eq!(has[0] - had[0], 5_000_000);
        assert!(had[1] - has[1] < 5_000_000 + 10_000);
    }
}

#[test]
fn a_sale_says_what_each_side_gives() {
    let world = World::embedded();
    let market = Market::open(&world);
    let (alice, bob) = (&market.alice, &market.bob);
    let buyer = bob.address();
    alice.does(&market.sell(&buyer, &["--psbt", &market.offer]));
    bob.does(&market.buy(&market.offer, &["--psbt", &market.bid]));
    let accept = ["--accept", &market.bid, "--psbt", &market.signed];
    let agreed = alice.tries(&market.sell(&buyer, &accept));
    let comes = "total that comes in";
    let line = agreed.stderr.lines().find(|line| line.contains(comes));
    assert!(
        line.is_some_and(|line| line.contains("0.05000000 BTC (5,000,000 satoshi)")),
        "{agreed:?}"
    );
    let before = market.has(bob);
    let paid = bob.does(&market.buy(&market.signed, &[]))["paid"].clone();
    assert_eq!(paid["total"], before - market.has(bob), "{paid}");
    let charge = &paid["transactions"][0];
    assert_eq!(charge["price"]["satoshi"], 5_000_000, "{paid}");
    assert_eq!(charge["price"]["to"], alice.address(), "{paid}");
}
