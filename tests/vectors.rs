//! The golden data of the reference implementation, replayed.
//!
//! `BNSD_VECTORS` names the folder; by default it is `../shared/vectors`, and where that is absent the
//! selection committed under `tests/vectors`. The vectors of the specification are looked for in
//! `../spec/vectors` beside it, then in `spec/vectors` and `spec` below it. `cargo test --release vectors` runs just these.
//!
//! What a file holds is seen from its content, so that more files of the same formats can be added in any of
//! the folders or in new ones. A folder that is missing is named and passed over; a folder without a case,
//! and a run without any, fail. Counts go straight to standard output, past the capture of the test harness.

mod announcements;
mod chains;
mod folders;
mod pricing;
mod recorded;
mod records;
mod rows;
mod states;
mod wire;

use std::path::Path;

use folders::{FOLDERS, Folders, say};
use recorded::recorded_chain;
use serde_json::Value;

use crate::common::chain_file::{ChainFile, array, read_json};

#[test]
fn scenarios() {
    check_folder("scenarios");
}

#[test]
fn scenarios_stacks() {
    check_folder("scenarios-stacks");
}

#[test]
fn consensus() {
    check_folder("consensus");
}

#[test]
fn history() {
    check_folder("history");
}

#[test]
fn recorded_runs() {
    check_folder("recorded");
}

#[test]
fn specification() {
    check_folder("spec");
}

#[test]
fn wire_format() {
    check_folder("wire");
}

#[test]
fn prices() {
    check_folder("pricing");
}

#[test]
fn folders_with_other_names() {
    for folder in Folders::find().others() {
        fail_if_any(
            &folder,
            &check_files(&folder, &Folders::find().path(&folder)),
        );
    }
}

#[test]
fn something_is_found() {
    let folders = Folders::find();
    let present = FOLDERS
        .iter()
        .filter(|folder| folders.path(folder).is_dir());
    assert!(
        present.count() + folders.others().len() > 0,
        "no vectors below {}",
        folders.vectors.display()
    );
}

/// Every chain of the golden data.
pub fn golden_chains() -> Vec<ChainFile> {
    let folders = Folders::find();
    let names = [
        "scenarios",
        "scenarios-stacks",
        "consensus",
        "history",
        "spec",
    ];
    let files = names
        .iter()
        .flat_map(|name| folders::files(&folders.path(name)));
    let files = files.map(|file| read_json(&file));
    files.filter_map(|file| chain_of(&file)).collect()
}

/// The chain that a file holds.
fn chain_of(file: &Value) -> Option<ChainFile> {
    let first = array(&file["blocks"]).first()?;
    Some(if first["transactions"].is_array() {
        ChainFile::of_spec(file)
    } else {
        ChainFile::of_vectors(file)
    })
}

/// What a folder's files held and where they differ from us.
#[derive(Debug, Default)]
struct Tally {
    chains: usize,
    blocks: usize,
    accepted: usize,
    refused: usize,
    states: usize,
    rows: usize,
    /// Blocks that went through a record of a log.
    records: usize,
    wire_cases: usize,
    prices: usize,
    light_walks: usize,
    /// Runs whose announcements were compared, and how many announcements the nodes queued.
    queues: usize,
    queued: usize,
    /// Differences that are known and explained.
    explained: Vec<String>,
    failures: Vec<String>,
}

impl Tally {
    fn cases(&self) -> usize {
        self.blocks + self.wire_cases + self.prices + self.light_walks
    }

    fn summary(&self) -> String {
        let counts = [
            (self.chains, "chains"),
            (self.blocks, "blocks"),
            (self.accepted, "accepted"),
            (self.refused, "refused"),
            (self.states, "states"),
            (self.rows, "rows"),
            (self.records, "records of a log"),
            (self.wire_cases, "transactions read"),
            (self.prices, "prices"),
            (self.light_walks, "light walks"),
            (self.queues, "runs with numbered zone files"),
            (self.queued, "zone files in their order"),
            (self.explained.len(), "explained differences"),
            (self.failures.len(), "failures"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts.map(|(n, what)| format!("{n} {what}")).collect();
        counts.join(", ")
    }
}

fn check_folder(folder: &str) {
    let path = Folders::find().path(folder);
    if !path.is_dir() {
        say(&format!(
            "vectors: {folder}: {} is not there, passed over",
            path.display()
        ));
        return;
    }
    let tally = check_files(folder, &path);
    fail_if_any(folder, &tally);
    assert!(
        tally.cases() > 0,
        "{} is there but yields no case",
        path.display()
    );
}

fn check_files(folder: &str, path: &Path) -> Tally {
    let mut tally = Tally::default();
    for file in folders::files(path) {
        if !check_file(&read_json(&file), &mut tally) {
            say(&format!(
                "vectors: {folder}: {} holds nothing to check",
                file.display()
            ));
        }
    }
    say(&format!("vectors: {folder}: {}", tally.summary()));
    for explained in &tally.explained {
        say(&format!("vectors: {folder}: {explained}"));
    }
    tally
}

fn fail_if_any(folder: &str, tally: &Tally) {
    let failures = &tally.failures;
    assert!(failures.is_empty(), "{folder}:\n{}", failures.join("\n"));
}

/// Checks what a file holds; `false` if that is no vector.
fn check_file(file: &Value, tally: &mut Tally) -> bool {
    if let Some(chain) = chain_of(file) {
        records::check(&chain, file, tally);
        if let Err(mismatch) = chains::replay(&chain, tally) {
            tally.failures.push(mismatch.text);
        }
    } else if file["scenarios"].is_array() {
        for chain in ChainFile::of_recorded(file) {
            records::check(&chain, file, tally);
            recorded_chain(chain, tally);
        }
    } else if file["examples"][0]["steps"].is_array() {
        recorded::light_walks(file, tally);
    } else if file["cases"].is_array() {
        wire::check(file, tally);
    } else if file["sets"].is_array() {
        pricing::names(file, tally);
    } else if file["lengths"].is_array() {
        pricing::namespaces(file, tally);
    } else {
        return false;
    }
    true
}
