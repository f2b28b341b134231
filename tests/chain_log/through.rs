//! Damaged logs through the source that the daemon follows logs with, into a database. With an honest log beside them the
//! state is the truth; with none nothing is in it that is not true.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::consensus::serialize;
use bitcoin::hashes::{Hash as _, sha256};
use bnsd::indexer::Turn;
use bnsd::store::StoreSnapshot;

use super::damage::{MEMORY_MAX, OPEN, Scene, in_a_process_of_its_own, peak_memory};
use crate::common::follow::Index;
use crate::common::form::form;
use crate::common::random::Random;
use crate::common::read_log::Log;
use crate::common::scratch::scratch;

/// How many liars there are beside an honest log.
const LIARS: usize = 25;
/// One liar of so many is also followed alone.
const ALONE: usize = 20;
/// How it is said that a log leads no further.
const ENDS: [&str; 3] = ["left out", "cannot be read", "of another branch, or empty"];
/// How long something may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn damaged_logs_beside_an_honest_one_change_nothing_in_a_database() {
    in_a_process_of_its_own("chain_log::through::in_this_process");
}

#[test]
#[ignore = "it measures the memory of its process: the test above runs it alone"]
fn in_this_process() {
    let start = Instant::now();
    let scene = Scene::new();
    let directory = scratch();
    let honest = written(directory.path(), "honest", &scene.log);
    let truth = followed(directory.path(), &[honest]);
    let mut random = Random::new(11);
    let rounds = form(1_000, 10_000) / LIARS;
    let mut refused = 0;
    for _ in 0..rounds {
        let lies: Vec<Log> = (0..LIARS).map(|_| lie(&scene, &mut random)).collect();
        beside_an_honest_one(&lies, &scene.log, &truth, &mut random);
        for lie in lies.iter().step_by(ALONE) {
            refused += usize::from(alone(lie, &truth));
        }
    }
    let memory = peak_memory();
    println!(
        "{} lies, {refused} alone lead nowhere, in {:.0?}, {memory} kB",
        rounds * LIARS,
        start.elapsed()
    );
    assert!(refused >= rounds, "{refused} of {rounds} rounds");
    assert!(memory < MEMORY_MAX, "{memory} kB");
}

/// What somebody publishes who wants to deceive. Most lists fit what they list.
fn lie(scene: &Scene, random: &mut Random) -> Log {
    let mut log = scene.log.clone();
    match random.below(6) {
        0 => {
            let headers = scene.damaged_headers(random);
            let headers: Vec<u8> = headers.iter().flat_map(serialize).collect();
            log.write("headers", &headers);
        }
        1 => {
            let mut list = log.file("log.json").to_vec();
            let at = random.below(list.len());
            list[at] ^= 1 << random.below(8);
            log.write("log.json", &list);
            return log;
        }
        2 => {
            let segment = scene.damaged_records(random);
            log.write(OPEN, &segment.unwrap_or_default());
        }
        _ => {
            let segment = scene.damaged_bytes(random);
            log.write(OPEN, &segment);
        }
    }
    if random.below(8) > 0 {
        let mut list = log.manifest();
        let segment = log.file(OPEN);
        let open = list.open.as_mut().expect("an open segment");
        open.bytes = segment.len() as u64;
        open.sha256 = sha256::Hash::hash(segment);
        let list = list.render();
        log.write("log.json", list.as_bytes());
    }
    log
}

fn beside_an_honest_one(lies: &[Log], honest: &Log, truth: &StoreSnapshot, random: &mut Random) {
    let directory = scratch();
    let write = |(number, log)| written(directory.path(), &format!("liar{number}"), log);
    let mut logs: Vec<String> = lies.iter().enumerate().map(write).collect();
    let honest = written(directory.path(), "honest", honest);
    logs.insert(random.below(logs.len() + 1), honest);
    let ours = followed(directory.path(), &logs);
    assert_eq!(rows(&ours), rows(truth));
}

/// Follows one liar alone; whether it did not lead to the truth.
fn alone(lie: &Log, truth: &StoreSnapshot) -> bool {
    let directory = scratch();
    let log = written(directory.path(), "liar", lie);
    let mut index = Index::of_logs(&directory.path().join("data"), &[log], 100);
    let end = Instant::now() + PATIENCE;
    loop {
        match index.turn().expect("a source that says what is wrong") {
            Turn::Idle => break,
            Turn::Waiting(why) if ENDS.iter().any(|end| why.contains(end)) => break,
            turn => assert!(Instant::now() < end, "{turn:?}"),
        }
    }
    let ours = index.store.snapshot();
    assert_nothing_is_invented(&ours, truth);
    ours.tip() != truth.tip()
}

/// Every block and every operation is true, and nothing differs below the first operation that is missing.
fn assert_nothing_is_invented(ours: &StoreSnapshot, truth: &StoreSnapshot) {
    let mut is_complete = true;
    for height in 1..=ours.tip().map_or(0, |tip| tip.height) {
        let (mine, true_one) = (ours.block(height).unwrap(), truth.block(height).unwrap());
        let (mine, true_one) = (mine.expect("a block"), true_one.expect("a block"));
        assert_eq!(mine.hash, true_one.hash);
        let shown = ours.operations_at(height).unwrap();
        let all = truth.operations_at(height).unwrap();
        for shown in &shown {
            let is_true = all.iter().any(|one| one.candidate == shown.candidate);
            assert!(is_true, "block {height}: {shown:?}");
        }
        is_complete &= shown.len() == all.len();
        assert!(
            !is_complete || (mine, shown) == (true_one, all),
            "block {height}"
        );
    }
}

/// What an index of these logs comes to.
fn followed(directory: &Path, logs: &[String]) -> Arc<StoreSnapshot> {
    let mut index = Index::of_logs(&directory.join("data"), logs, 100);
    let end = Instant::now() + PATIENCE;
    loop {
        match index.turn().expect("an honest log") {
            Turn::Idle => return index.store.snapshot(),
            turn => assert!(Instant::now() < end, "{turn:?}"),
        }
    }
}

/// All rows but those that say what the database is.
fn rows(snapshot: &StoreSnapshot) -> Vec<String> {
    let dump = snapshot.dump().expect("a dump");
    let rows = dump.lines().filter(|row| !row.starts_with("meta "));
    rows.map(str::to_owned).collect()
}

fn written(directory: &Path, name: &str, log: &Log) -> String {
    let place = directory.join(name);
    fs::create_dir_all(place.join("segments")).expect("a directory");
    for (path, bytes) in &log.files {
        fs::write(place.join(path), bytes).expect("a file");
    }
    place.display().to_string()
}
