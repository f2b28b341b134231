//! `bnsd chain verify`: a database is what its operations make it, or the first difference is named.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bitcoin::hashes::{Hash as _, HashEngine as _, siphash24};
use bitcoin::{Amount, ScriptBuf, TxOut};
use bnsd::bns::address::Address;
use bnsd::bns::changes::Changes;
use bnsd::bns::{Bns, Params};
use bnsd::chain::dev::DevChain;
use bnsd::cli::vectorfile::VectorFile;
use bnsd::clock::SystemClock;
use bnsd::hash::ZonefileHash;
use bnsd::indexer::{Indexer, Turn, VerifyError, verify};
use bnsd::progress::Progress;
use bnsd::store::{Archive, ChainIdentity, Store, StoreOptions};
use bnsd::virtualchain::scan;
use bnsd::wallet::registrar::Registrar;
use bnsd::zonefile::{Compiled, parse_own};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

use crate::common::golden;
use crate::common::random::Random;
use crate::common::scratch::scratch;
use crate::common::segments;
use crate::common::world::zonefile;

/// Key and value, seal included.
type Row = (Vec<u8>, Vec<u8>);
type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Flips per chain; there are four chains.
const FLIPS: usize = 250;
/// Tables of operations and records.
const TABLES: [&str; 8] = [
    "operations",
    "names",
    "namespaces",
    "preorders",
    "keychains",
    "accounts",
    "name_history",
    "namespace_history",
];
/// Tables that follow from them.
const INDEXES: [&str; 6] = [
    "name_hashes",
    "owners",
    "name_preorders",
    "namespace_preorders",
    "announcements",
    "announced_hashes",
];

#[test]
fn a_long_random_chain_is_what_its_operations_make_it() {
    let scratch = scratch();
    let chain = golden::chain("consensus", "walk-all-epochs-seed3");
    let bns = Bns::new(chain.params.clone());
    let store = golden::open(scratch.path(), &chain.params, 100);
    golden::connect(&store, &bns, &chain.blocks, |_, _| {});
    let mut reached = Vec::new();
    let verified = verify(&store, &bns, |height| reached.push(height)).unwrap();
    let last = chain.blocks.last().unwrap();
    assert_eq!(verified.tip, Some((last.height, last.about.unwrap())));
    assert_eq!(verified.blocks, chain.blocks.len() as u64);
    assert_eq!(reached.last(), Some(&last.height));
    assert!(
        !scratch.path().join("verify").exists(),
        "the second database is gone"
    );
    // Reorganisations use undo data up.
    for _ in 0..30 {
        store.disconnect().unwrap();
    }
    verify(&store, &bns, |_| {}).unwrap();
}

/// Databases of earlier releases hold what void transactions spend; the rules refuse them all the same.
#[test]
fn a_database_that_holds_what_void_transactions_spend_is_sound() {
    let scratch = scratch();
    let chain = golden::chain("scenarios", "unsupported-senders");
    let bns = Bns::new(chain.params.clone());
    let mut blocks = chain.blocks.clone();
    let candidates = blocks.iter_mut().flat_map(|block| &mut block.candidates);
    let mut filled = 0;
    for candidate in candidates.filter(|candidate| scan::is_void(&candidate.transaction)) {
        assert!(candidate.prevouts.is_empty());
        let inputs = candidate.transaction.input.iter();
        // A native segwit output, and the sender's beside it.
        let spent = |script_sig: &ScriptBuf| match script_sig.is_empty() {
            true => ScriptBuf::from([&[0, 20][..], &[7; 20]].concat()),
            false => ScriptBuf::from(Address::P2pkh([7; 20]).script()),
        };
        candidate.prevouts = inputs
            .map(|input| TxOut {
                value: Amount::ONE_BTC,
                script_pubkey: spent(&input.script_sig),
            })
            .collect();
        filled += 1;
    }
    assert!(filled > 1);
    let store = golden::open(scratch.path(), &chain.params, 100);
    golden::connect(&store, &bns, &blocks, |_, _| {});
    let verified = verify(&store, &bns, |_| {}).unwrap();
    let last = chain.blocks.last().unwrap();
    assert_eq!(verified.tip, Some((last.height, last.about.unwrap())));
}

#[test]
fn an_empty_database_is_sound() {
    let scratch = scratch();
    let chain = golden::chain("spec", "chain-epochs");
    let bns = Bns::new(chain.params.clone());
    let store = golden::open(scratch.path(), &chain.params, 100);
    let verified = verify(&store, &bns, |_| {}).unwrap();
    assert_eq!((verified.tip, verified.blocks), (None, 0));
}

#[test]
fn a_byte_flipped_among_all_operations_is_found() {
    flip_bytes("spec", "chain-epochs", 1);
}

#[test]
fn a_byte_flipped_among_imports_is_found() {
    flip_bytes("spec", "chain-import", 2);
}

#[test]
fn a_byte_flipped_among_refused_operations_is_found() {
    flip_bytes("scenarios", "import-rules", 3);
}

#[test]
fn a_byte_flipped_among_transfers_is_found() {
    flip_bytes("scenarios", "transfer-then-update", 4);
}

#[test]
fn rows_that_are_taken_away_or_added_are_found() {
    let scratch = scratch();
    let subject = Subject::new(scratch.path(), "spec", "chain-epochs");
    for table in TABLES.iter().chain(&INDEXES) {
        let rows = read_rows(scratch.path(), table);
        let Some((key, value)) = rows.last() else {
            panic!("{table} is empty");
        };
        write(scratch.path(), table, key, None);
        subject.assert_found(subject.height_of(table, key), table);
        let mut stray = key.clone();
        *stray.last_mut().unwrap() ^= 1;
        write(scratch.path(), table, key, Some(value));
        let before = rows.iter().find(|(key, _)| *key == stray);
        write(
            scratch.path(),
            table,
            &stray,
            Some(&sealed(table, &stray, payload(value))),
        );
        subject.assert_found(None, table);
        write(
            scratch.path(),
            table,
            &stray,
            before.map(|(_, value)| &value[..]),
        );
    }
    let bns = Bns::new(subject.chain.params.clone());
    verify(&subject.open(), &bns, |_| {}).unwrap();
}

/// Runs `bnsd chain` on a data directory of the embedded chain; exit code, output, errors.
fn bnsd_chain(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_bnsd"))
        .arg("chain")
        .args(arguments)
        .arg("--data-dir")
        .arg(directory)
        .env_clear()
        .env("BNSD_CHAIN_SOURCE", "dev")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_commands_say_yes_no_or_why_not() {
    let scratch = scratch();
    let chain = DevChain::open(&scratch.path().join("chain")).unwrap();
    let mut registrar = Registrar::open(chain.clone(), Bns::new(Params::regtest())).unwrap();
    let name = "werner.id".parse().unwrap();
    registrar
        .publish(&[(name, ZonefileHash([7; 20]))], 1_700_000_000)
        .unwrap();
    let tip = registrar.tip().unwrap().height;
    let hash = registrar.consensus_hash();
    index_dev_chain(scratch.path(), &chain);
    drop((registrar, chain));

    let (code, lines, errors) = bnsd_chain(scratch.path(), &["replay"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(lines.lines().count() as u32, tip);
    assert_eq!(lines.lines().last(), Some(&*format!("{tip} {hash}")));
    let (_, json, _) = bnsd_chain(scratch.path(), &["replay", "dev", "--until", "1", "--json"]);
    assert!(
        json.starts_with("{\"height\":1,\"consensus_hash\":\"2a91"),
        "{json}"
    );

    let list = scratch.path().join("list");
    std::fs::write(&list, &lines).unwrap();
    let expect = ["replay", "--expect", list.to_str().unwrap()];
    assert_eq!(bnsd_chain(scratch.path(), &expect).0, Some(0));
    let wrong = lines.replace(&hash.to_string(), &"0".repeat(32));
    std::fs::write(&list, wrong).unwrap();
    let (code, _, errors) = bnsd_chain(scratch.path(), &expect);
    let zeros = "0".repeat(32);
    let message = format!("error: block {tip}: expected consensus hash {zeros}, found {hash}\n");
    assert_eq!((code, errors), (Some(1), message));
    std::fs::write(&list, format!("{lines}{} {hash}\n", tip + 1)).unwrap();
    let (code, _, errors) = bnsd_chain(scratch.path(), &expect);
    assert_eq!(code, Some(1));
    assert!(errors.contains("the chain has no such block"), "{errors}");

    let (code, json, errors) = bnsd_chain(scratch.path(), &["verify", "--json"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(
        json.contains("\"ok\": true") && json.contains(&hash.to_string()),
        "{json}"
    );
    let rows = read_rows(scratch.path(), "names");
    let (key, value) = &rows[0];
    let mut random = Random::new(5);
    write(
        scratch.path(),
        "names",
        key,
        Some(&flipped("names", key, value, &mut random)),
    );
    let (code, _, errors) = bnsd_chain(scratch.path(), &["verify"]);
    assert_eq!(code, Some(1));
    assert!(
        errors.starts_with(&format!("error: block {tip}: the row \"werner.id\"")),
        "{errors}"
    );
    let (code, json, _) = bnsd_chain(scratch.path(), &["verify", "--json"]);
    assert_eq!(code, Some(1));
    assert!(json.contains("\"ok\": false"), "{json}");

    let _chain = DevChain::open(&scratch.path().join("chain")).unwrap();
    let (code, _, errors) = bnsd_chain(scratch.path(), &["replay"]);
    assert_eq!(code, Some(3));
    assert!(
        errors.contains("another process uses the chain"),
        "{errors}"
    );
    let _store = open_dev_store(scratch.path());
    let (code, _, errors) = bnsd_chain(scratch.path(), &["verify"]);
    assert_eq!(code, Some(3));
    assert!(errors.contains("is in use by another bnsd"), "{errors}");
}

/// A compiled form that somebody changed on purpose, seal and all, is said and made anew.
#[test]
fn forged_forms_are_found_by_the_command() {
    let scratch = scratch();
    let chain = DevChain::open(&scratch.path().join("chain")).unwrap();
    let mut registrar = Registrar::open(chain.clone(), Bns::new(Params::regtest())).unwrap();
    let names = ["anna.id", "bert.id", "cleo.id"];
    let files = names.map(|name| zonefile(name, "192.0.2.1"));
    let folder = scratch.path().join("zonefiles");
    let archive = Archive::open(&folder).unwrap();
    let published: Vec<_> = names
        .iter()
        .zip(&files)
        .map(|(name, file)| (name.parse().unwrap(), archive.put(file).unwrap()))
        .collect();
    registrar.publish(&published, 1_700_000_000).unwrap();
    index_dev_chain(scratch.path(), &chain);
    drop((registrar, chain, archive));

    let verify = |wrong: u32| {
        let (code, json, errors) = bnsd_chain(scratch.path(), &["verify", "--json"]);
        assert_eq!(code, Some(0), "{errors}");
        assert_eq!(errors.contains("are made anew"), wrong > 0, "{errors}");
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(report["zonefiles"], 3);
        assert_eq!(report["wrong_forms"], wrong);
    };
    verify(0);
    let record = |number: usize| segments::find(&folder, &published[number].1.0).unwrap();
    let before = record(1);
    let forged = Compiled::of(&parse_own(&zonefile(names[1], "192.0.2.6")).unwrap()).unwrap();
    segments::put_compiled(&before, forged.as_bytes(), before.version);
    assert_ne!(record(1).compiled, before.compiled);
    verify(1);
    assert_eq!(record(1).compiled, before.compiled);
    let (_, page, _) = bnsd_chain(scratch.path(), &["verify"]);
    assert!(!page.contains("compiled anew"), "{page}");
}

fn open_dev_store(directory: &Path) -> Store {
    let params = Params::regtest();
    let identity = ChainIdentity::new("dev", &params);
    Store::open(directory, &identity, StoreOptions::default()).unwrap()
}

fn index_dev_chain(directory: &Path, chain: &DevChain) {
    let mut indexer = Indexer::new(
        Box::new(chain.source(0)),
        Params::regtest(),
        Arc::new(open_dev_store(directory)),
        Arc::new(Progress::default()),
        Arc::new(SystemClock::start()),
    );
    while indexer.turn().unwrap() != Turn::Idle {}
}

/// Flips single bytes of operations, records and indexes, half of them with a seal that fits, so that only
/// deriving the chain again can tell.
fn flip_bytes(folder: &str, name: &str, seed: u64) {
    let scratch = scratch();
    let subject = Subject::new(scratch.path(), folder, name);
    let rows: Vec<(&str, Vec<Row>)> = TABLES
        .iter()
        .chain(&INDEXES)
        .map(|table| (*table, read_rows(scratch.path(), table)))
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    let mut random = Random::new(seed);
    for flip in 0..FLIPS {
        // Most flips go where the issue wants them.
        let (table, rows) = if flip % 4 == 0 {
            &rows[0]
        } else {
            random.pick(&rows)
        };
        let (key, value) = random.pick(rows);
        let changed = flipped(table, key, value, &mut random);
        write(scratch.path(), table, key, Some(&changed));
        subject.assert_found(subject.height_of(table, key), table);
        write(scratch.path(), table, key, Some(value));
    }
    let bns = Bns::new(subject.chain.params.clone());
    verify(&subject.open(), &bns, |_| {}).unwrap();
}

fn flipped(table: &str, key: &[u8], value: &[u8], random: &mut Random) -> Vec<u8> {
    let mask = 1 + random.below(255) as u8;
    let content = payload(value);
    if content.is_empty() || random.below(2) == 0 {
        let mut changed = value.to_vec();
        let at = random.below(changed.len());
        changed[at] ^= mask;
        return changed;
    }
    let mut changed = content.to_vec();
    let at = random.below(changed.len());
    changed[at] ^= mask;
    sealed(table, key, &changed)
}

/// A database on disk, and when each of its rows changed last.
struct Subject<'a> {
    directory: &'a Path,
    chain: VectorFile,
    changed: BTreeMap<(&'static str, Vec<u8>), u32>,
}

impl<'a> Subject<'a> {
    fn new(directory: &'a Path, folder: &str, name: &str) -> Self {
        let chain = golden::chain(folder, name);
        let bns = Bns::new(chain.params.clone());
        let mut subject = Self {
            directory,
            chain: chain.clone(),
            changed: BTreeMap::new(),
        };
        let store = subject.open();
        golden::connect(&store, &bns, &chain.blocks, |height, changes| {
            subject.note(height, changes);
        });
        subject
    }

    fn open(&self) -> Store {
        golden::open(
            self.directory,
            &self.chain.params,
            StoreOptions::DEFAULT_UNDO_DEPTH,
        )
    }

    fn note(&mut self, height: u32, changes: &Changes) {
        let mut note = |table, key: &[u8]| self.changed.insert((table, key.to_vec()), height);
        for name in changes.names.keys() {
            note("names", name.as_str().as_bytes());
        }
        for id in changes.namespaces.keys() {
            note("namespaces", id.as_str().as_bytes());
        }
        for id in changes.keychains.keys() {
            note("keychains", id.as_str().as_bytes());
        }
        for address in changes.accounts.keys() {
            let kind = if matches!(address, Address::P2sh(_)) {
                2
            } else {
                1
            };
            note("accounts", &[&[kind], &address.hash()[..]].concat());
        }
    }

    /// The height of the last operation on a row, where this test knows it.
    fn height_of(&self, table: &'static str, key: &[u8]) -> Option<u32> {
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap());
        match table {
            "operations" | "name_history" => Some(number(key)),
            "preorders" => Some(number(&key[20..])),
            "namespace_history" => Some(number(&key[key.len() - 8..])),
            _ => self.changed.get(&(table, key.to_vec())).copied(),
        }
    }

    fn assert_found(&self, expected: Option<u32>, place: &str) {
        let bns = Bns::new(self.chain.params.clone());
        match verify(&self.open(), &bns, |_| {}) {
            Err(VerifyError::Difference { height, what }) => {
                let heights = self.chain.blocks.iter().map(|block| block.height);
                let known = expected
                    .map_or(heights.clone().any(|block| block == height), |expected| {
                        height == expected
                    });
                assert!(
                    known,
                    "{place}: block {height}: {what}; expected {expected:?}"
                );
            }
            other => panic!("{place}: {other:?}"),
        }
    }
}

/// The file as redb sees it. What is changed so has no sums any more, which is as if another program had made the file.
fn database(directory: &Path) -> Database {
    let _ = std::fs::remove_file(directory.join("names.sums")); // it may be gone
    Database::create(directory.join("names.redb")).unwrap()
}

fn read_rows(directory: &Path, table: &'static str) -> Vec<Row> {
    let database = database(directory);
    let transaction = database.begin_read().unwrap();
    let rows = transaction.open_table(Rows::new(table)).unwrap();
    rows.iter()
        .unwrap()
        .map(|row| {
            let (key, value) = row.unwrap();
            (key.value().to_vec(), value.value().to_vec())
        })
        .collect()
}

fn write(directory: &Path, table: &'static str, key: &[u8], value: Option<&[u8]>) {
    let database = database(directory);
    let mut transaction = database.begin_write().unwrap();
    transaction.set_quick_repair(true);
    let mut rows = transaction.open_table(Rows::new(table)).unwrap();
    match value {
        Some(value) => drop(rows.insert(key, value).unwrap()),
        None => drop(rows.remove(key).unwrap()),
    }
    drop(rows);
    transaction.commit().unwrap();
}

fn payload(value: &[u8]) -> &[u8] {
    &value[..value.len() - 4]
}

/// The value with the seal that the head of `store/table.rs` specifies.
fn sealed(table: &str, key: &[u8], payload: &[u8]) -> Vec<u8> {
    let seed = siphash24::Hash::hash_to_u64_with_keys(0, 0, table.as_bytes());
    let mut engine = siphash24::HashEngine::with_keys(seed, key.len() as u64);
    engine.input(key);
    engine.input(payload);
    let seal = siphash24::Hash::from_engine(engine).to_byte_array();
    let mut seal = seal;
    seal.reverse();
    [payload, &seal[..4]].concat()
}
