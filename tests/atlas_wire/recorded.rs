//! Calls that nodes of 2016 and 2017 answered, asked again of a server over the chain of the same run. `BNSD_VECTORS` names
//! the folder, as for the other vectors; without recorded runs there is nothing to ask.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitcoin::base64::prelude::{BASE64_STANDARD, Engine as _};
use bnsd::bns::Bns;
use bnsd::clock::SystemClock;
use bnsd::indexer::ReplayBlock;
use bnsd::names::NameStore;
use bnsd::progress::Progress;
use bnsd::store::Archive;
use serde_json::{Value, json};

use super::Peer;
use crate::common::chain_file::{ChainFile, array, read_json, text};
use crate::common::golden;
use crate::common::home::Home;

fn folder() -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let vectors = std::env::var_os("BNSD_VECTORS").unwrap_or("../shared/vectors".into());
    project.join(vectors).join("recorded")
}

/// The method of the protocol that an old release knew by another name; `None` for one that the protocol lacks.
fn method(recorded: &str) -> Option<&str> {
    Some(match recorded {
        "get_nameops_hash_at" | "get_records_hash_at" => "get_blockstack_ops_hash_at",
        // The latter counted the names that a block changed, where the protocol counts operations.
        "get_name_cost" | "get_num_nameops_affected_at" => return None,
        same => same,
    })
}

/// A zone file as it was: where the collection says `/var`, its hash says `/tmp`.
fn zonefile(text: &str) -> Vec<u8> {
    text.replace("/var/blockstack-disk", "/tmp/blockstack-disk")
        .into_bytes()
}

/// The arguments; old releases took zone files as they are.
fn arguments(pair: &Value) -> Value {
    if pair["method"] != "put_zonefiles" {
        return pair["args"].clone();
    }
    let files = array(&pair["args"][0]).iter();
    let files: Vec<String> = files
        .map(|file| BASE64_STANDARD.encode(zonefile(&text(file))))
        .collect();
    json!([files])
}

/// Whether a file was there when it was asked for.
fn serves_a_file(pair: &Value) -> bool {
    let logged = pair["logged"].as_str().unwrap_or_default();
    pair["method"] == "get_zonefiles" && !logged.starts_with("Serve back 0")
}

/// What the recording says of the reply, and the same of ours.
fn compared(pair: &Value, ours: &Value) -> (Value, Value) {
    let reply = &pair["reply"];
    let count = |list: &Value| list.as_object().map_or(0, serde_json::Map::len);
    match text(&pair["method"]).as_str() {
        "get_consensus_at" => (reply.clone(), ours["consensus"].clone()),
        "get_block_from_consensus" => (reply.clone(), ours["block_id"].clone()),
        "get_consensus_hashes" => (reply.clone(), ours["consensus_hashes"].clone()),
        "put_zonefiles" => {
            let saved = array(&ours["saved"])
                .iter()
                .filter_map(Value::as_u64)
                .sum::<u64>();
            (
                pair["logged"].clone(),
                json!(format!("Saved {saved} zonefile(s)")),
            )
        }
        "get_zonefiles" if text(&pair["logged"]).ends_with("is cached") => {
            (json!(1), json!(count(&ours["zonefiles"])))
        }
        "get_zonefiles" => {
            let served = count(&ours["zonefiles"]);
            (
                pair["logged"].clone(),
                json!(format!("Serve back {served} zonefiles")),
            )
        }
        _ => (reply.clone(), ours["ops_hash"].clone()),
    }
}

fn server(home: &Home, chain: &ChainFile) -> Peer {
    let directory = home.folder(&chain.name.replace(' ', "-"));
    let store = golden::open(&directory, &chain.params, 10);
    let blocks = chain.blocks.iter().take_while(|block| block.complete);
    let blocks = blocks.map(|block| ReplayBlock {
        height: block.height,
        candidates: block.candidates.clone(),
        about: block.consensus_hash.parse().ok(),
    });
    let blocks: Vec<ReplayBlock> = blocks.collect();
    golden::connect(&store, &Bns::new(chain.params.clone()), &blocks, |_, _| ());
    let archive = Archive::open(&directory.join("zonefiles")).expect("an archive");
    let names = NameStore::new(
        Arc::new(chain.params.clone()),
        Arc::new(store),
        Arc::new(archive),
        Arc::new(Progress::default()),
        Arc::new(SystemClock::start()),
    );
    Peer::of(&Arc::new(names))
}

/// How many calls there are of each kind.
#[derive(Default)]
struct Tally {
    equal: usize,
    /// Of methods that the protocol lacks.
    foreign: usize,
    /// For files whose bytes the collection lacks.
    without_file: usize,
}

#[test]
fn recorded_calls_are_answered_alike() {
    let folder = folder();
    let path = folder.join("rpc-examples.json");
    if !path.is_file() {
        let path = path.display();
        println!("atlas: {path} is not there, so no recorded call is asked again");
        return;
    }
    let home = Home::new();
    let examples = read_json(&path);
    let mut files = HashMap::new();
    for file in array(&examples["zonefiles"]["examples"]) {
        files.insert(text(&file["hash"]), zonefile(&text(&file["text"])));
    }
    let mut tally = Tally::default();
    let mut runs: HashMap<String, Vec<&Value>> = HashMap::new();
    for pair in array(&examples["request_reply"]) {
        let run = format!("{} {}", text(&pair["version"]), text(&pair["scenario"]));
        if method(&text(&pair["method"])).is_none() {
            tally.foreign += 1;
        } else if serves_a_file(pair) && !files.contains_key(&text(&pair["args"][0][0])) {
            tally.without_file += 1;
        } else {
            runs.entry(run).or_default().push(pair);
        }
    }
    for version in ["0.13", "0.14", "0.14.1"] {
        let file = read_json(&folder.join(format!("recorded-{version}.json.gz")));
        for chain in ChainFile::of_recorded(&file) {
            if let Some(pairs) = runs.remove(&chain.name) {
                tally.equal += check(&home, &chain, &pairs, &files);
            }
        }
    }
    assert!(runs.is_empty(), "no run has the calls of {:?}", runs.keys());
    println!(
        "atlas: {} recorded calls answered alike; {} of methods that the protocol lacks, {} for files that are not recorded",
        tally.equal, tally.foreign, tally.without_file
    );
    assert!(tally.equal > 0);
}

/// Asks the calls of a run again; what was served is brought first.
fn check(
    home: &Home,
    chain: &ChainFile,
    pairs: &[&Value],
    files: &HashMap<String, Vec<u8>>,
) -> usize {
    let server = server(home, chain);
    for pairs in pairs.chunks(10) {
        let mut calls = Vec::new();
        for pair in pairs {
            let file = files.get(&pair["args"][0][0].as_str().unwrap_or_default().to_owned());
            if let Some(file) = file.filter(|_| serves_a_file(pair)) {
                let put = json!(["put_zonefiles", [[BASE64_STANDARD.encode(file)]]]);
                calls.push((put, None));
            }
            let call = json!([method(&text(&pair["method"])), arguments(pair)]);
            calls.push((call, Some(pair)));
        }
        let list: Vec<&Value> = calls.iter().map(|(call, _)| call).collect();
        let replies = server.python(home, &json!(list));
        for ((_, pair), ours) in calls.iter().zip(&replies) {
            let Some(pair) = pair else { continue };
            let (golden, ours) = compared(pair, ours);
            assert_eq!(ours, golden, "{}: {pair}", chain.name);
        }
    }
    pairs.len()
}
