//! The endpoints of the reference: its keys, types and statuses, on a chain that holds names.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Map, Value};

use super::{demo, socket};
use crate::common::demo::Demo;
use crate::common::home::Home;
use crate::common::http::{Response, get};

/// Keys of the reference's replies with their types, from its specification of version 20.0.8.10 (`docs/api-specs.md`) and, where
/// that is silent (`/v1/info`, namespaces), from what its server puts together: path below `/v1`, then `key type|type`.
/// `a.b` is a key of the object under `a`.
const RECORDED: [(&str, &str); 13] = [
    (
        "/v1/names/werner.id",
        "address string, blockchain string, expire_block integer, grace_period boolean, last_txid string, \
         renewal_deadline integer, resolver string|null, status string, zonefile string, zonefile_hash string",
    ),
    ("/v1/names/werner.id/zonefile", "zonefile string"),
    ("/v1/addresses/bitcoin/OWNER", "names array"),
    (
        "/v1/prices/names/werner.id",
        "name_price.satoshis integer, name_price.units string, name_price.amount string",
    ),
    (
        "/v2/prices/names/werner.id",
        "name_price.units string, name_price.amount string",
    ),
    (
        "/v1/prices/namespaces/id",
        "satoshis integer, units string, amount string",
    ),
    ("/v2/prices/namespaces/id", "units string, amount string"),
    ("/v1/blockchains/bitcoin/consensus", "consensus_hash string"),
    ("/v1/blockchains/bitcoin/name_count", "names_count integer"),
    (
        "/v1/blockchains/bitcoin/name_count?all=true",
        "names_count integer",
    ),
    ("/v1/ping", "status string, version string"),
    ("/v1/node/ping", "status string, version string"),
    (
        "/v1/info",
        "last_block_seen integer, consensus string, server_version string, last_block_processed integer, \
         server_alive boolean, indexing boolean, testnet boolean, zonefile_count integer",
    ),
];
/// The same of one entry in the history of a name, of a namespace, and of a preorder in a block.
const NAME_ROW: &str = "address string, block_number integer, consensus_hash string|null, first_registered integer, \
    importer string|null, importer_address string|null, last_creation_op string, last_renewed integer, name string, \
    name_hash128 string, namespace_block_number integer, namespace_id string, op string, op_fee integer|number, \
    opcode string, preorder_block_number integer, preorder_hash string, revoked boolean, sender string, \
    sender_pubkey string|null, token_fee string, txid string, value_hash string|null, vtxindex integer";
const NAMESPACE_ROW: &str = "address string, base integer, block_number integer, buckets array, coeff integer, \
    lifetime integer, namespace_id string, no_vowel_discount integer, nonalpha_discount integer, op string, \
    op_fee integer, opcode string, preorder_hash string, ready boolean, ready_block integer, recipient string, \
    recipient_address string, reveal_block integer, sender string, sender_pubkey string|null, txid string, \
    version integer, vtxindex integer";
const PREORDER_ROW: &str = "address string, block_number integer, burn_address string, consensus_hash string, op string, \
    op_fee integer, opcode string, preorder_hash string, sender string, sender_pubkey string|null, txid string, \
    vtxindex integer";

fn ok(address: SocketAddr, target: &str) -> Value {
    let response = get(address, target);
    assert_eq!(response.status, 200, "{target}: {response:?}");
    assert_eq!(
        response.header("content-type"),
        Some("application/json"),
        "{target}"
    );
    response.json()
}

fn has_keys(what: &str, value: &Value, recorded: &str) {
    for entry in recorded.split(',') {
        let (key, types) = entry.trim().split_once(' ').unwrap();
        let found = key.split('.').fold(value, |value, key| &value[key]);
        let is_there = key.contains('.') || value.get(key).is_some();
        assert!(is_there, "{what} has no {key}: {value}");
        let is_of_type = types
            .trim()
            .split('|')
            .any(|wanted| wanted == type_of(found));
        assert!(is_of_type, "{what}: {key} is {found}, not {types}");
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[test]
fn replies_have_the_keys_and_types_of_the_reference() {
    let (_demo, address) = demo();
    let owner = ok(address, "/v1/names/werner.id")["address"].clone();
    let owner = owner.as_str().unwrap();
    for (path, recorded) in RECORDED {
        let path = path.replace("OWNER", owner);
        has_keys(&path, &ok(address, &path), recorded);
    }
    has_keys(
        "/v1/namespaces/id",
        &ok(address, "/v1/namespaces/id"),
        NAMESPACE_ROW,
    );
    let history = ok(address, "/v1/names/werner.id/history");
    let history = history.as_object().unwrap();
    assert!(!history.is_empty());
    for (height, rows) in history {
        assert!(height.parse::<u32>().is_ok(), "{height}");
        for row in rows.as_array().unwrap() {
            has_keys("a row of a history", row, NAME_ROW);
        }
    }
    let held = ok(address, &format!("/v1/addresses/bitcoin/{owner}"));
    let held = held["names"].as_array().unwrap();
    assert!(held.contains(&"werner.id".into()), "{held:?}");
}

#[test]
fn a_block_has_the_operations_that_were_accepted() {
    let (_demo, address) = demo();
    let tip = ok(address, "/v1/info")["last_block_processed"]
        .as_u64()
        .unwrap();
    let mut seen: Map<String, Value> = Map::new();
    for height in 0..=tip {
        let path = format!("/v1/blockchains/bitcoin/operations/{height}");
        for row in ok(address, &path).as_array().unwrap() {
            let opcode = row["opcode"].as_str().unwrap();
            let recorded = match opcode {
                "NAME_PREORDER" | "NAMESPACE_PREORDER" => PREORDER_ROW,
                "NAMESPACE_REVEAL" | "NAMESPACE_READY" => NAMESPACE_ROW,
                _ => NAME_ROW,
            };
            has_keys(opcode, row, recorded);
            seen.insert(opcode.to_owned(), row.clone());
        }
    }
    for opcode in [
        "NAMESPACE_PREORDER",
        "NAMESPACE_REVEAL",
        "NAMESPACE_READY",
        "NAME_PREORDER",
        "NAME_REGISTRATION",
    ] {
        assert!(seen.contains_key(opcode), "{opcode} is in no block");
    }
    assert!(
        ok(address, "/v1/blockchains/bitcoin/operations/4000000")
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn lists_have_pages_and_a_count() {
    let (_demo, address) = demo();
    let all = ok(address, "/v1/names?page=0");
    let names: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert!(
        names.is_sorted() && names.contains(&"werner.id"),
        "{names:?}"
    );
    let count = ok(address, "/v1/blockchains/bitcoin/name_count")["names_count"].as_u64();
    assert_eq!(
        count,
        Some(names.len() as u64),
        "the demo has less than a page"
    );
    assert_eq!(ok(address, "/v1/names?page=1"), Value::Array(Vec::new()));
    assert_eq!(
        ok(address, "/v1/names?page=4294967295"),
        Value::Array(Vec::new())
    );
    let namespaces = ok(address, "/v1/namespaces");
    let mut in_namespaces = Vec::new();
    for id in namespaces.as_array().unwrap() {
        let id = id.as_str().unwrap();
        let page = ok(address, &format!("/v1/namespaces/{id}/names?page=0"));
        for name in page.as_array().unwrap() {
            let name = name.as_str().unwrap().to_owned();
            assert!(name.ends_with(&format!(".{id}")), "{name}");
            in_namespaces.push(name);
        }
    }
    in_namespaces.sort_unstable();
    assert_eq!(in_namespaces, names);
}

#[test]
fn pages_follow_each_other() {
    let home = Home::new();
    let folder = home.folder("many");
    let mut all: Vec<String> = (0..230)
        .map(|number| format!("name{number}.many"))
        .collect();
    for name in &all {
        let text = format!("$ORIGIN {name}.\n$TTL 60\n@ IN A 192.0.2.7\n");
        std::fs::write(folder.join(format!("{name}.zone")), text).unwrap();
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut demo = Demo::start_in(here, home, &["--zonefiles", folder.to_str().unwrap()]);
    let control = socket(&demo);
    let address = demo.process.ready(&control).api_listeners[0]
        .parse()
        .unwrap();
    let mut pages = Vec::new();
    for (page, length) in [(0, 100), (1, 100), (2, 30), (3, 0)] {
        let names = ok(address, &format!("/v1/names?page={page}"));
        let names = names.as_array().unwrap();
        assert_eq!(names.len(), length, "page {page}");
        pages.extend(names.iter().map(|name| name.as_str().unwrap().to_owned()));
    }
    all.sort_unstable();
    assert_eq!(pages, all);
    let count = &ok(address, "/v1/blockchains/bitcoin/name_count")["names_count"];
    assert_eq!(count, 230);
}

#[test]
fn a_zone_file_is_text_or_bytes() {
    let (_demo, address) = demo();
    let info = ok(address, "/v1/names/werner.id");
    let hash = info["zonefile_hash"].as_str().unwrap();
    let text = ok(address, "/v1/names/werner.id/zonefile")["zonefile"].clone();
    assert_eq!(text, info["zonefile"]);
    let earlier = format!("/v1/names/werner.id/zonefile/{hash}");
    assert_eq!(ok(address, &earlier)["zonefile"], text);
    for target in [
        "/v1/names/werner.id/zonefile?raw=1",
        &format!("{earlier}?raw=true"),
    ] {
        let raw = get(address, target);
        assert_eq!(raw.header("content-type"), Some("application/octet-stream"));
        assert_eq!(String::from_utf8_lossy(&raw.body), text.as_str().unwrap());
    }
}

#[test]
fn what_is_wrong_has_the_status_of_the_reference() {
    let (_demo, address) = demo();
    let nothing = "0".repeat(40);
    let cases: [(String, u16); 22] = [
        ("/v1/names/nobody.id".into(), 404),
        ("/v1/names/nobody.id/history".into(), 404),
        ("/v1/names/nobody.id/zonefile".into(), 404),
        (format!("/v1/names/werner.id/zonefile/{nothing}"), 404),
        ("/v1/names/werner.id/zonefile/xyz".into(), 400),
        ("/v1/names/werner.id/history?page=-1".into(), 400),
        ("/v1/names/UPPER.id".into(), 400),
        ("/v1/names/noname".into(), 400),
        ("/v1/names".into(), 400),
        ("/v1/names?page=x".into(), 400),
        ("/v1/names?page=-1".into(), 400),
        ("/v1/names?page=4294967296".into(), 400),
        ("/v1/namespaces/UPPER".into(), 400),
        ("/v1/namespaces/nothing".into(), 404),
        ("/v1/namespaces/nothing/names?page=0".into(), 404),
        ("/v1/namespaces/id/names".into(), 400),
        ("/v1/prices/names/name.nothing".into(), 404),
        ("/v1/prices/names/werner".into(), 400),
        ("/v1/addresses/bitcoin/nobody".into(), 400),
        ("/v1/addresses/dogecoin/D6".into(), 404),
        ("/v1/blockchains/dogecoin/consensus".into(), 404),
        ("/v1/blockchains/bitcoin/operations/x".into(), 400),
    ];
    for (target, status) in cases {
        let response: Response = get(address, &target);
        assert_eq!(response.status, status, "{target}: {}", response.json());
    }
    let available = get(address, "/v1/names/nobody.id").json();
    assert_eq!(available, serde_json::json!({ "status": "available" }));
    // The reference says the same where there is no such namespace.
    let nowhere = get(address, "/v1/names/example.com").json();
    assert_eq!(nowhere, available);
}

/// The document and the router know the same paths: each answers with the examples of its parameters.
#[test]
fn every_documented_path_answers() {
    let (_demo, address) = demo();
    let document = ok(address, "/openapi.json");
    assert_eq!(
        document["openapi"].as_str().map(|version| &version[..2]),
        Some("3.")
    );
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 20, "{}", paths.len());
    for (path, item) in paths {
        let operation = &item["get"];
        let (mut target, mut query) = (path.clone(), Vec::new());
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let (name, example) = (
                parameter["name"].as_str().unwrap(),
                parameter["example"].as_str().unwrap(),
            );
            match parameter["in"].as_str() {
                Some("path") => target = target.replace(&format!("{{{name}}}"), example),
                _ => query.push(format!("{name}={example}")),
            }
        }
        let response = get(address, &format!("{target}?{}", query.join("&")));
        let is_known = response.header("content-type") != Some("application/json")
            || !response.json()["error"]
                .as_str()
                .unwrap_or_default()
                .starts_with("nothing is here");
        assert!(is_known, "{target}");
        assert!(response.status < 500, "{target}: {response:?}");
        for status in operation["responses"].as_object().unwrap().keys() {
            assert!(
                ["200", "404", "default"].contains(&status.as_str()),
                "{path}: {status}"
            );
        }
    }
}
