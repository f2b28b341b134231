//! `bnsd name register`, killed 1,000 times at random moments. Arguments: how many kills, and the seed.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

#[path = "../own/kills.rs"]
mod kills;
#[path = "../common/person.rs"]
#[allow(dead_code, reason = "a campaign uses a part of it")]
mod person;
#[path = "../common/ports.rs"]
mod ports;

use person::{Person, World};

/// Kills unless an argument says otherwise.
const KILLS: u32 = 1_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let kills = arguments.next().map_or(KILLS, |text| text.parse().unwrap());
    let seed = arguments.next().map_or(1, |text| text.parse().unwrap());
    kills::campaign(kills, seed);
    println!("{kills} kills with seed {seed}: no preorder lost, nothing paid twice");
}

/// Opens a namespace with the prices of the historical `.id`.
fn opens(person: &Person<'_>, id: &str, lifetime: u32) {
    person.gets(20_000_000_000);
    person.does(&["namespace", "preorder", id]);
    let lifetime = lifetime.to_string();
    person.does(&["namespace", "reveal", id, "--lifetime", &lifetime]);
    person.does(&["namespace", "ready", id]);
}
