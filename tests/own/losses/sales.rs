//! A name against bitcoin.

use bitcoin::{Amount, Psbt};

use super::super::{World, opens};
use super::{Losses, Row};

const PRICE: [&str; 2] = ["--price", "5000000"];

pub(super) fn rows() -> Vec<Row> {
    let world = World::embedded();
    let [registry, alice, bob, carol] =
        ["registry", "alice", "bob", "carol"].map(|name| world.person(name));
    opens(&registry, "id", 52_595);
    for person in [&alice, &bob, &carol] {
        person.gets(100_000_000);
    }
    alice.does(&["name", "register", "shop.id"]);
    let mut losses = Losses::new(&world);
    let [offer, bid, signed] =
        ["offer", "bid", "signed"].map(|name| world.path(name).display().to_string());
    let buyer = bob.address();
    let sell = [&["name", "sell", "shop.id", "--to", &buyer][..], &PRICE].concat();
    let offering = [&sell[..], &["--psbt", &offer]].concat();
    let buy = |file| [&["name", "buy", file, "shop.id"][..], &PRICE].concat();
    let bidding = [&buy(&offer)[..], &["--psbt", &bid]].concat();
    let accepting = [&sell[..], &["--accept", &bid, "--psbt", &signed]].concat();

    losses.costs("an offer", &alice, &offering, 0);
    let cheaper = [
        "name", "buy", &offer, "shop.id", "--price", "4000000", "--psbt", &bid,
    ];
    let why = "(5,000,000 satoshi) and not";
    losses.refused("another price than offered", &bob, &cheaper, 2, why);
    let why = "the name would go to";
    losses.refused("an offer to somebody else", &carol, &bidding, 2, why);
    losses.costs("a bid", &bob, &bidding, 0);
    let why = "input 0 lacks signatures";
    losses.refused(
        "a sale that the seller did not sign",
        &bob,
        &buy(&bid),
        3,
        why,
    );
    let dearer = [
        "name", "sell", "shop.id", "--price", "6000000", "--to", &buyer, "--accept", &bid,
    ];
    let dearer = [&dearer[..], &["--psbt", &signed]].concat();
    let why = "(5,000,000 satoshi) and not";
    losses.refused("a bid of another price", &alice, &dearer, 2, why);
    let changed = world.path("changed").display().to_string();
    let cheat = |from: &str, by: &dyn Fn(&mut Psbt)| {
        let mut psbt = Psbt::deserialize(&std::fs::read(from).unwrap()).unwrap();
        by(&mut psbt);
        std::fs::write(&changed, psbt.serialize()).unwrap();
    };
    cheat(&bid, &|psbt| {
        let payment = psbt.unsigned_tx.output.get_mut(2).unwrap();
        payment.value -= Amount::from_sat(1_000);
    });
    let accept_changed = [&sell[..], &["--accept", &changed, "--psbt", &signed]].concat();
    let why = "(4,999,000 satoshi) and not";
    losses.refused(
        "a bid that somebody changed",
        &alice,
        &accept_changed,
        2,
        why,
    );
    losses.asked(
        "a seller's signature that nobody agreed to",
        &alice,
        &accepting,
        "",
    );
    losses.costs("the seller's signature", &alice, &accepting, 0);
    cheat(&signed, &|psbt| {
        let change = psbt.unsigned_tx.output.last_mut().unwrap();
        change.value -= Amount::from_sat(1_000_000);
    });
    losses.refused(
        "a signed sale that somebody changed",
        &bob,
        &buy(&changed),
        3,
        "",
    );
    losses.asked("a purchase that nobody agreed to", &bob, &buy(&signed), "");

    world.mine(22);
    let why = "make the sale anew";
    losses.refused("a sale that is too old", &bob, &buy(&signed), 1, why);
    for (person, step) in [(&alice, &offering), (&bob, &bidding), (&alice, &accepting)] {
        person.does(step);
    }
    alice.does(&["name", "transfer", "shop.id", "--to", &carol.address()]);
    losses.refused(
        "a sale of a name that moved",
        &bob,
        &buy(&signed),
        1,
        "who did not make this offer",
    );
    losses.refused(
        "an offer of a name that moved",
        &alice,
        &offering,
        1,
        "no key here is the owner",
    );
    losses.rows
}
