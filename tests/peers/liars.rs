//! Rows of the table of bad input: with an honest peer each costs a moment, and without one nothing hangs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Caller, Liar, Real};
use crate::common::home::Home;
use crate::common::ports::free_address;
use crate::common::process::until;

/// Peers that are let go of and kept away.
const BANNED: [&str; 14] = [
    "garbage",
    "echo",
    "early",
    "no-blocks",
    "another-network",
    "oversize",
    "checksum",
    "unasked-block",
    "flood",
    "endless-headers",
    "unlinked-headers",
    "wrong-work",
    "wrong-block",
    "changed-block",
];
/// Those that may come back.
const USELESS: [&str; 6] = ["mute", "silent", "slow", "refuses", "hangs-up", "pruned"];

/// Somebody who was let go of without blame would be called again meanwhile.
const FIRST_PAUSE: Duration = Duration::from_secs(3);

/// One lie, told first to somebody who hears nobody else, and then beside an honest node that is asked later.
fn tell(lie: &str, real: &Real, block: &Path) {
    let home = Home::new();
    let liar = Liar::start(&home, lie, free_address(), &block.display().to_string());
    // Most blocks are not the one that the liar has.
    let heights = if lie == "changed-block" {
        [3, 1]
    } else {
        [1, 2]
    };
    let wanted = heights.map(|height| real.at(height));
    let caller = Caller::of(&[liar.address]);
    caller.peers.want(&wanted);
    if lie != "pruned" {
        until(lie, || (liar.lies() > 0).then_some(()));
    }
    if BANNED.contains(&lie) {
        until(lie, || (caller.peers.status().connected == 0).then_some(()));
        std::thread::sleep(FIRST_PAUSE);
        let lies = liar.lies();
        std::thread::sleep(FIRST_PAUSE);
        assert_eq!(liar.lies(), lies, "{lie}: it was called again");
    }
    drop(caller);
    let caller = Caller::of(&[liar.address, real.address]);
    caller.peers.want(&wanted);
    caller.follow(real.tip());
    for height in [1, 2, 3, 100] {
        caller.fetch(real.at(height));
    }
}

#[test]
fn one_honest_peer_is_enough() {
    let real = Real::start();
    real.mine(400);
    let home = Home::new();
    let third = write_block(&home, &real, 3);
    let lies = BANNED.into_iter().chain(USELESS);
    std::thread::scope(|scope| {
        for lie in lies {
            let (real, third) = (&real, &third);
            scope.spawn(move || tell(lie, real, third));
        }
    });
}

#[test]
fn with_no_honest_peer_nothing_hangs_and_the_silence_is_told() {
    let real = Real::start();
    real.mine(10);
    let home = Home::new();
    let block = write_block(&home, &real, 1).display().to_string();
    let mute = Liar::start(&home, "mute", free_address(), &block);
    let silent = Liar::start(&home, "silent", free_address(), &block);
    let gone = free_address();
    let caller = Caller::of(&[mute.address, gone]);
    let start = Instant::now();
    caller.peers.want(&[real.at(1)]);
    assert!(!caller.peers.wait(Duration::from_secs(2)));
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(caller.peers.take(&real.at(1).hash), None);
    let status = caller.peers.status();
    assert_eq!((status.connected, status.last_heard), (0, None));

    let caller = Caller::of(&[silent.address]);
    until("a word", || caller.peers.status().last_heard);
    std::thread::sleep(Duration::from_secs(3));
    let status = caller.peers.status();
    assert!(
        status.last_heard >= Some(Duration::from_secs(2)),
        "{status:?}"
    );
    assert_eq!(caller.tip().height, 0);
}

/// A block of the real node in a file.
fn write_block(home: &Home, real: &Real, height: u32) -> PathBuf {
    let path = home.path().join("block");
    let mut block = real.block(real.at(height));
    for transaction in &mut block.txdata {
        for input in &mut transaction.input {
            input.witness.clear();
        }
    }
    std::fs::write(&path, bitcoin::consensus::serialize(&block)).expect("a file");
    path
}
