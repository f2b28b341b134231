//! The log of a chain, written beside a real Bitcoin Core: every source writes the same bytes.

use std::collections::BTreeMap;

use bnsd::chain::log::manifest::Manifest;
use bnsd::indexer::ExportError;

use super::*;
use crate::common::written;

/// Other zone files for the same names.
fn updates() -> Vec<(Name, ZonefileHash)> {
    let names = project_zonefiles().into_iter().map(|(name, _)| name);
    names
        .map(|name| (name.clone(), ZonefileHash::of(name.as_str().as_bytes())))
        .collect()
}

/// An index of its own over a source, and the log that it writes with another one like it.
fn log<S: ChainSource + 'static>(
    mirror: &Mirror,
    name: &str,
    source: impl Fn() -> S,
) -> BTreeMap<String, Vec<u8>> {
    let mut index = Index::open(&mirror.home.folder(&format!("index-{name}")), source());
    index.catch_up().expect("blocks");
    let directory = mirror.home.path().join(format!("log-{name}"));
    written::write(&index.store, source(), &directory).expect("a log");
    written::check(&directory);
    written::files(&directory)
}

#[test]
fn the_node_its_block_files_and_the_embedded_chain_write_the_same_log() {
    let mut mirror = Mirror::start(&["-rest=1"]);
    mirror.publish(&project_zonefiles());
    // Deep enough for a sealed segment.
    while mirror.dev.tip().height < 2_016 + 100 {
        mirror.registrar.mine(Vec::new(), TIME).expect("a block");
    }
    mirror.publish(&updates());
    let embedded = log(&mirror, "dev", || mirror.dev.source(0));
    let names: Vec<&String> = embedded.keys().collect();
    assert_eq!(
        names,
        ["headers", "log.json", "segments/0", "segments/open"]
    );
    let manifest = Manifest::parse(&embedded["log.json"]).expect("a log.json");
    assert_eq!(manifest.headers.to, mirror.dev.tip().height);
    assert_eq!(log(&mirror, "rest", || mirror.rpc()), embedded);
    assert_eq!(log(&mirror, "files", || mirror.block_files()), embedded);
    mirror.node.stop();
    mirror.node.start_again(&["-rest=0"]);
    assert_eq!(log(&mirror, "rpc", || mirror.rpc()), embedded);
    // Neither index of transactions nor wallet was there to help.
    let indexes: Value = mirror.node.call("getindexinfo", &[]);
    assert_eq!(indexes, json!({}));
}

#[test]
fn a_pruned_node_says_which_block_a_log_lacks() {
    let mut mirror = Mirror::start(&["-fastprune", "-prune=1"]);
    mirror.publish(&project_zonefiles());
    let mut index = Index::open(&mirror.home.folder("index"), mirror.rpc());
    index.catch_up().expect("blocks");
    while mirror.dev.tip().height < 700 {
        mirror.registrar.mine(Vec::new(), TIME).expect("a block");
    }
    mirror.send();
    index.catch_up().expect("blocks");
    let pruned: u32 = mirror.node.call("pruneblockchain", &[json!(400)]);
    assert!(pruned > 1, "something was pruned");
    let directory = mirror.home.path().join("log");
    let error = written::write(&index.store, mirror.rpc(), &directory).expect_err("pruned");
    let said = error.to_string();
    assert!(
        matches!(error, ExportError::Source(_)) && said.contains("has pruned block"),
        "{said}"
    );
    assert!(said.contains("prune=0"), "{said}");
    // The embedded chain has all blocks.
    written::write(&index.store, mirror.dev.source(0), &directory).expect("a log");
    written::check(&directory);
}

#[test]
fn a_reorganisation_in_the_open_segment_leaves_the_log_of_the_chain_that_won() {
    let mut mirror = Mirror::start(&["-rest=1"]);
    mirror.publish(&project_zonefiles());
    mirror.mine(20);
    let mut index = Index::open(&mirror.home.folder("index"), mirror.rpc());
    index.catch_up().expect("blocks");
    let directory = mirror.home.path().join("log");
    let write = |index: &Index, mirror: &Mirror| {
        let written = written::write(&index.store, mirror.rpc(), &directory);
        written.expect("a log");
        written::check(&directory)
    };
    let (before, _) = write(&index, &mirror);
    assert_eq!(write(&index, &mirror).0, before, "nothing changed");
    // Blocks with operations are taken away, and others come.
    mirror.publish(&updates());
    index.catch_up().expect("blocks");
    let (_, more) = write(&index, &mirror);
    let depth = mirror.dev.tip().height - before.headers.to + 5;
    mirror.rewind(depth);
    let mined = mirror.registrar.mine(Vec::new(), TIME + 7);
    mined.expect("a block");
    mirror.mine(depth + 3);
    index.catch_up().expect("blocks");
    assert_eq!(index.tip(), mirror.dev.tip());
    let (after, fewer) = write(&index, &mirror);
    assert!(fewer < more, "{fewer} of {more} candidates are left");
    assert_eq!(after.headers.to, mirror.dev.tip().height);
    let anew = log(&mirror, "anew", || mirror.rpc());
    assert_eq!(written::files(&directory), anew);
}
