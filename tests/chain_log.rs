//! Logs of a chain, as their format says: what is written is read again, and no damage passes for history.

use bitcoin::Network;
use bnsd::chain::headers::HeaderChain;
use bnsd::chain::log::record::Funding;
use bnsd::chain::log::segment::{Reader, Writer};
use bnsd::indexer::Turn;

use crate::common::follow::Index;
use crate::common::made_log::{self, Size};
use crate::common::read_log::{Log, NOW};
use crate::common::scratch::scratch;

mod damage;
mod script_sigs;
mod through;

/// The most that a log may take for a candidate, headers aside.
const BYTES_PER_CANDIDATE: usize = 1_700;

/// A log of so many names, and its headers.
fn made(names: usize, distance: u32) -> (Log, HeaderChain, tempfile::TempDir) {
    let mut log = Log::default();
    let size = Size { names, distance };
    made_log::make(size, 1, &mut |path, bytes| log.write(path, bytes));
    let directory = scratch();
    let mut headers = HeaderChain::open(directory.path(), Network::Regtest).expect("a file");
    for run in log.headers().chunks(2_000) {
        headers.accept(run, NOW).expect("headers with real work");
    }
    assert!(headers.has_enough_work());
    (log, headers, directory)
}

#[test]
fn a_log_leads_to_the_state_that_it_was_made_from() {
    let (log, headers, _directory) = made(400, 4);
    let shown = log.read(&headers).expect("nothing is wrong with it");
    assert_eq!(log.derive(&shown), Ok(()));
    let candidates: usize = shown.values().map(Vec::len).sum();
    assert_eq!(candidates, 1_603);
    assert_eq!(log.manifest().segments.len(), 1, "one is sealed");
    // The sizes are those of the main network.
    let bytes: usize = log.segments().iter().map(|path| log.file(path).len()).sum();
    let each = bytes / candidates;
    assert!(
        (1_100..=BYTES_PER_CANDIDATE).contains(&each),
        "{each} bytes"
    );
    let entries: Vec<Funding> = log
        .segments()
        .iter()
        .flat_map(|path| Reader::new(log.file(path)).expect("a segment"))
        .flat_map(|record| record.expect("a record").candidates)
        .flat_map(|candidate| candidate.funding)
        .collect();
    let is = |is: fn(&Funding) -> bool| entries.iter().filter(|entry| is(entry)).count();
    let earlier = is(|entry| matches!(entry, Funding::Earlier { .. }));
    let share = earlier * 100 / entries.len();
    assert!(
        (45..70).contains(&share),
        "{share} % spend a candidate's output"
    );
    assert!(is(|entry| matches!(entry, Funding::Spelled(_))) > 0);
}

#[test]
fn a_log_on_a_disk_is_imported_into_a_database() {
    let directory = scratch();
    let log = directory.path().join("log");
    std::fs::create_dir_all(log.join("segments")).expect("directories");
    let size = Size {
        names: 280,
        distance: 5,
    };
    let manifest = made_log::make(size, 1, &mut |path, bytes| {
        std::fs::write(log.join(path), bytes).expect("a file");
    });
    let logs = [log.display().to_string()];
    let mut index = Index::of_logs(&directory.path().join("data"), &logs, 100);
    while index.turn().expect("a good log") != Turn::Idle {}
    let snapshot = index.store.snapshot();
    let count = |height| snapshot.operations_at(height).expect("rows").len();
    let tip = snapshot.tip().expect("blocks");
    let operations: usize = (1..=tip.height).map(count).sum();
    assert_eq!(operations, size.candidates() + 3);
    let open = manifest.open.expect("an open segment");
    assert_eq!(
        (tip.height, tip.consensus_hash),
        (open.to, open.consensus_hash)
    );
}

#[test]
fn equal_history_gives_equal_bytes() {
    let (log, headers, _directory) = made(10, 2);
    let (again, ..) = made(10, 2);
    assert_eq!(log.files, again.files);
    let manifest = log.manifest();
    assert_eq!(manifest.render().as_bytes(), log.file("log.json"));
    let to = manifest.open.expect("an open segment").to;
    assert_eq!(headers.tip().height, to);
    let open = log.file("segments/open");
    let writer = Writer::resume(open, to).expect("a segment");
    assert_eq!(writer.finish(to), open);
}

#[test]
fn an_impossible_log_json_says_what_is_wrong() {
    use bnsd::chain::log::manifest::{MANIFEST_BYTES_MAX, Manifest};
    let (log, ..) = made(5, 1);
    let text = String::from_utf8(log.file("log.json").to_vec()).expect("text");
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} is in {text}");
        let changed = text.replacen(from, to, 1);
        let fault = Manifest::parse(changed.as_bytes()).expect_err(to);
        fault.to_string()
    };
    for (from, to, what) in [
        ("\"format\": 1", "\"format\": 2", "update it"),
        ("\"regtest\"", "\"retest\"", "cannot be read"),
        ("\"6964\"", "\"696\"", "four hex digits"),
        ("\"from\": 1", "\"from\": 2", "not in its place"),
        (
            "\"bytes\": ",
            "\"bytes\": 99999",
            "more than 25165824 bytes",
        ),
        (
            "\"headers\": {\n    \"to\": 11",
            "\"headers\": {\n    \"to\": 10",
            "below the last segment",
        ),
        ("\"segments\": []", "\"segments\": 7", "cannot be read"),
    ] {
        let fault = changed(from, to);
        assert!(fault.contains(what), "{fault}");
    }
    let long = text + &" ".repeat(MANIFEST_BYTES_MAX);
    let fault = Manifest::parse(long.as_bytes()).expect_err("too long");
    assert!(fault.to_string().contains("more than 1048576 bytes"));
}
