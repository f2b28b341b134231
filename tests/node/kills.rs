//! Fifty kills during a sync over RPC: after each the database is a prefix of the chain, and when the sync has
//! ended it equals that of a run that nobody disturbed.

use std::time::Instant;

use super::*;
use crate::common::index;
use crate::common::process::{status, until};

/// How often the daemon is killed.
const KILLS: u32 = 50;
/// Blocks of the chain, at least.
const BLOCKS: u32 = 600;

#[test]
fn fifty_kills_during_the_sync_leave_no_trace() {
    let mut mirror = Mirror::start(&[]);
    mirror.publish(&project_zonefiles());
    let mut turn = 0u8;
    while mirror.dev.tip().height < BLOCKS {
        turn = turn.wrapping_add(1);
        let changed: Vec<_> = project_zonefiles()
            .into_iter()
            .skip(usize::from(turn % 20))
            .take(3)
            .map(|(name, _)| (name, ZonefileHash([turn; 20])))
            .collect();
        mirror.registrar.publish(&changed, TIME).expect("updates");
    }
    mirror.send();
    let mut undisturbed = Index::open(&mirror.home.folder("undisturbed"), mirror.rpc());
    undisturbed.catch_up().expect("blocks");
    let expected = undisturbed.consensus_hashes();
    let dump = undisturbed.store.snapshot().dump().expect("a dump");

    // About ten kills a sync: each life gets a tenth of the time that a whole sync takes.
    let whole = time_of_sync(&mirror);
    let (mut landed, mut syncs) = (0, 1);
    for kill in 0..KILLS {
        let wait = whole.mul_f64(f64::from(kill % 10 + 1) / 50.0);
        let mut daemon = mirror.serve(&[]);
        until("the daemon", || mirror.socket().exists().then_some(()));
        std::thread::sleep(wait);
        daemon.kill();
        let _ = std::fs::remove_file(mirror.socket());
        let store = open(&mirror.data());
        let found = consensus_hashes(&store);
        assert_eq!(found, expected[..found.len()]);
        drop(store);
        landed += u32::from(!found.is_empty() && found.len() < expected.len());
        if found.len() == expected.len() {
            std::fs::remove_dir_all(mirror.data()).expect("a finished sync");
            syncs += 1;
        }
    }
    println!("{landed} of {KILLS} kills landed between first and last block, over {syncs} syncs");
    assert!(landed > KILLS / 2);
    let mut daemon = mirror.serve(&[]);
    until("the tip", || {
        (status(&mirror.socket())?.height == Some(mirror.dev.tip().height)).then_some(())
    });
    daemon.terminate();
    let store = open(&mirror.data());
    assert_eq!(consensus_hashes(&store), expected);
    let found = store.snapshot().dump().expect("a dump");
    for (found, expected) in found.lines().zip(dump.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), dump.len());
}

fn time_of_sync(mirror: &Mirror) -> Duration {
    let mut daemon = mirror.serve(&[]);
    until("the daemon", || mirror.socket().exists().then_some(()));
    let start = Instant::now();
    until("the tip", || {
        (status(&mirror.socket())?.height == Some(mirror.dev.tip().height)).then_some(())
    });
    let time = start.elapsed();
    daemon.terminate();
    std::fs::remove_dir_all(mirror.data()).expect("our own directory");
    time
}

fn open(directory: &Path) -> Store {
    Store::open(directory, &index::identity(), StoreOptions::default())
        .expect("a database that is whole")
}
