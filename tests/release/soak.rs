//! `tests/soak.rs` for half an hour. Argument: `--minutes N`.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "a campaign uses a part of it")]
mod common;
#[path = "../soak.rs"]
mod soak;

use std::time::Duration;

/// Minutes unless an argument says otherwise.
const MINUTES: u64 = 30;

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--minutes");
    let minutes = arguments
        .nth(1)
        .map_or(MINUTES, |text| text.parse().unwrap());
    let table = soak::campaign(Duration::from_secs(60 * minutes));
    println!(
        "{table}{minutes} minutes: every question was answered, memory and descriptors are flat"
    );
}
