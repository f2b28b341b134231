//! Reads the golden chain files: their constants, blocks and expected results.
//!
//! Two formats: that of `vectors/` (its README describes it) and the older one of `spec/vectors`.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut, consensus};
use bnsd::bns::Params;
use bnsd::bns::address::{Address, AddressVersions};
use bnsd::bns::epoch::Epoch;
use bnsd::cli::vectorfile::VectorFile;
use bnsd::hash::decode_hex;
use bnsd::virtualchain::{VirtualTransaction, scan};
use serde_json::{Value, json};

/// A golden chain.
pub struct ChainFile {
    pub name: String,
    pub params: Params,
    pub blocks: Vec<GoldenBlock>,
    /// Expected states: `states[]` of the file.
    pub states: Vec<Value>,
    /// Zone files that a recorded node queued to fetch: `atlas_queue[]` of the run.
    pub queued: Vec<Value>,
}

/// A block and what the reference made of it.
pub struct GoldenBlock {
    pub height: u32,
    pub candidates: Vec<VirtualTransaction>,
    /// `None` where the file only lists accepted operations.
    pub decisions: Option<Vec<GoldenDecision>>,
    pub serialized: Vec<String>,
    pub ops_hash: String,
    pub consensus_hash: String,
    /// Whether every transaction is there; a recording can lack one.
    pub complete: bool,
}

/// What the reference decided about one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldenDecision {
    pub vtxindex: u32,
    pub txid: String,
    /// The reference's name of the operation; `None` where the file or we do not say.
    pub opcode: Option<String>,
    /// `accepted`, `rejected` or `unparseable`.
    pub status: String,
    pub serialized: Option<String>,
    /// Why it was refused; informative.
    pub reason: String,
    /// The name that it is about, where the file says so.
    pub name: Option<String>,
}

/// Reads JSON, gzipped or not.
pub fn read_json(path: &Path) -> Value {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .expect("a vector file can be read");
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..])
            .read_to_end(&mut text)
            .expect("it is gzip");
        bytes = text;
    }
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl ChainFile {
    /// A file of `scenarios`, `scenarios-stacks`, `consensus` or `history`.
    pub fn of_vectors(file: &Value) -> Self {
        let params = params(&file["params"]);
        let blocks = array(&file["blocks"])
            .iter()
            .map(|block| golden_block(block, &params))
            .collect();
        Self {
            name: text(&file["name"]),
            params,
            blocks,
            states: array(&file["states"]).to_vec(),
            queued: Vec::new(),
        }
    }

    /// A file of `spec/vectors`.
    pub fn of_spec(file: &Value) -> Self {
        let params = spec_params(file);
        let blocks = array(&file["blocks"])
            .iter()
            .map(|block| GoldenBlock {
                height: number(&block["height"]) as u32,
                candidates: array(&block["transactions"])
                    .iter()
                    .map(|tx| {
                        let prevouts = prevouts(&tx["prevouts"], "script_pubkey");
                        virtual_transaction(
                            number(&tx["txindex"]) as u32,
                            &text(&tx["raw"]),
                            prevouts,
                        )
                    })
                    .collect(),
                decisions: None,
                serialized: array(&block["accepted_serialized"])
                    .iter()
                    .map(text)
                    .collect(),
                ops_hash: text(&block["ops_hash"]),
                consensus_hash: text(&block["consensus_hash"]),
                complete: true,
            })
            .collect();
        Self {
            name: text(&file["name"]),
            params,
            blocks,
            states: Vec::new(),
            queued: Vec::new(),
        }
    }

    /// The scenarios of a recorded run; prevouts are derived from the scriptSigs.
    pub fn of_recorded(file: &Value) -> Vec<Self> {
        array(&file["scenarios"])
            .iter()
            .map(recorded_scenario)
            .collect()
    }
}

/// A transaction with its spent outputs.
pub fn virtual_transaction(vtxindex: u32, hex: &str, prevouts: Vec<TxOut>) -> VirtualTransaction {
    scan::Candidate {
        vtxindex,
        transaction: transaction(hex),
    }
    .with_prevouts(prevouts)
}

/// Spent outputs as the files list them.
pub fn prevouts(list: &Value, script_key: &str) -> Vec<TxOut> {
    let prevout = |prevout: &Value| TxOut {
        value: Amount::from_sat(prevout["value"].as_u64().unwrap_or(0)),
        script_pubkey: ScriptBuf::from(decode_hex(&text(&prevout[script_key])).expect("hex")),
    };
    list.as_array()
        .map(|list| list.iter().map(prevout).collect())
        .unwrap_or_default()
}

/// Constants as the files of `vectors/` give them; the payload files, which are no chains, begin where mainnet does.
pub fn params(value: &Value) -> Params {
    let mut params = value.clone();
    if params["first_block"].is_null() {
        params["first_block"] = json!(Params::mainnet().first_block);
    }
    read_params(&json!({"params": params, "blocks": []}))
}

/// Test-mode constants with the overrides of `settings` (spec/vectors/README.md).
fn spec_params(file: &Value) -> Params {
    let mut file = file.clone();
    file["blocks"] = json!([]);
    read_params(&file)
}

fn read_params(file: &Value) -> Params {
    let file = VectorFile::parse(file.to_string().as_bytes());
    file.expect("a golden chain file").params
}

fn recorded_scenario(scenario: &Value) -> ChainFile {
    let version = text(&scenario["version"]);
    let settings = &scenario["params"];
    let mut params = Params::test_mode(number(&settings["first_block"]) as u32);
    params.addresses = AddressVersions::TESTNET;
    params.announcers = vec!["judecn.id".parse().expect("a name")];
    let setting = |name: &str| {
        settings["env"][name]
            .as_str()
            .and_then(|value| value.parse::<u32>().ok())
    };
    if let Some(expire) = setting("BLOCKSTACK_NAMESPACE_REVEAL_EXPIRE") {
        params.namespace_reveal_expire = expire;
    }
    keep_recorded_epochs(
        &mut params.epochs,
        &version,
        settings["epoch_1_end_block"].as_u64(),
    );
    let blocks = array(&scenario["blocks"])
        .iter()
        .map(recorded_block)
        .collect();
    ChainFile {
        name: format!("{version} {}", text(&scenario["scenario"])),
        params,
        blocks,
        states: Vec::new(),
        queued: array(&scenario["atlas_queue"]).to_vec(),
    }
}

/// Leaves the rules of a release: 0.14.1 began the epochs and knew two; before it there was one, with twofold
/// lifetimes and p2sh owners.
fn keep_recorded_epochs(epochs: &mut Vec<Epoch>, version: &str, epoch_1_end: Option<u64>) {
    let two = version == "0.14.1" && epoch_1_end.is_some();
    epochs.truncate(if two { 2 } else { 1 });
    if let Some(end) = epoch_1_end {
        epochs[0].end_block = end as u32;
    }
    epochs.last_mut().expect("an epoch").end_block = u32::MAX;
    if version != "0.14.1" {
        epochs[0].namespace_lifetime_multiplier = 2;
        epochs[0].features.multisig = true;
    }
}

fn recorded_block(block: &Value) -> GoldenBlock {
    let mut decisions = Vec::new();
    let mut candidates = Vec::new();
    let mut complete = true;
    for (key, status) in [("accepted", "accepted"), ("rejected", "rejected")] {
        for op in array(&block[key]) {
            let vtxindex = number(&op["vtxindex"]) as u32;
            let Some(hex) = op["tx_hex"].as_str() else {
                complete = false;
                continue;
            };
            let transaction = transaction(hex);
            let prevouts = transaction
                .input
                .iter()
                .map(|input| spent_by(input.script_sig.as_bytes()))
                .collect();
            candidates.push(
                scan::Candidate {
                    vtxindex,
                    transaction,
                }
                .with_prevouts(prevouts),
            );
            decisions.push(GoldenDecision {
                vtxindex,
                txid: text(&op["txid"]),
                status: status.to_owned(),
                serialized: op["serialized"].as_str().map(str::to_owned),
                // These releases call a renewal a registration, the last two only if they reject it.
                opcode: Some(text(&op["opcode"])).filter(|op| op != "NAME_REGISTRATION"),
                reason: op["reasons"].to_string(),
                name: op["fields"]["name"].as_str().map(str::to_owned),
            });
        }
    }
    candidates.sort_by_key(|candidate| candidate.vtxindex);
    decisions.sort_by_key(|decision| decision.vtxindex);
    GoldenBlock {
        height: number(&block["height"]) as u32,
        candidates,
        decisions: Some(decisions),
        serialized: array(&block["accepted"])
            .iter()
            .map(|op| text(&op["serialized"]))
            .collect(),
        ops_hash: text(&block["ops_merkle_root"]),
        consensus_hash: text(&block["consensus_hash"]),
        complete,
    }
}

/// The output that a signed input of these runs must have spent: p2pkh if it ends in a key after one
/// signature, else p2sh of the last push.
fn spent_by(script_sig: &[u8]) -> TxOut {
    use bnsd::virtualchain::script::{Token, tokens};
    let tokens: Vec<Token<'_>> = tokens(script_sig).collect();
    let address = match tokens[..] {
        [_, Token::Push(key)] => Address::P2pkh(bnsd::hash::h160(key)),
        [.., Token::Push(redeem_script)] => Address::P2sh(bnsd::hash::h160(redeem_script)),
        _ => Address::P2pkh([0; 20]),
    };
    TxOut {
        value: Amount::ZERO,
        script_pubkey: ScriptBuf::from(address.script()),
    }
}

fn golden_block(block: &Value, params: &Params) -> GoldenBlock {
    let txs = array(&block["txs"]);
    let mut raw = decode_hex(&text(&block["header"])).expect("hex");
    raw.extend(consensus::serialize(&consensus::encode::VarInt(
        txs.len() as u64
    )));
    let mut spent: HashMap<OutPoint, TxOut> = HashMap::new();
    for tx in txs {
        let bytes = decode_hex(&text(&tx["hex"])).expect("hex");
        let inputs = transaction(&text(&tx["hex"])).input;
        spent.extend(
            inputs
                .iter()
                .map(|input| input.previous_output)
                .zip(prevouts(&tx["prevouts"], "script")),
        );
        raw.extend(bytes);
    }
    let candidates = scan::scan(&raw, params.magic).expect("a golden block is well formed");
    let candidates = candidates.into_iter().map(|candidate| {
        let prevouts = candidate
            .outpoints()
            .map(|outpoint| spent[&outpoint].clone())
            .collect();
        candidate.with_prevouts(prevouts)
    });
    let decisions = array(&block["ops"]).iter().map(|op| GoldenDecision {
        vtxindex: number(&op["vtxindex"]) as u32,
        txid: text(&op["txid"]),
        status: text(&op["status"]),
        serialized: op["serialized"].as_str().map(str::to_owned),
        opcode: op["opcode"].as_str().map(str::to_owned),
        reason: text(&op["reason"]),
        name: op["fields"]["name"].as_str().map(str::to_owned),
    });
    let decisions: Vec<GoldenDecision> = decisions.collect();
    GoldenBlock {
        height: number(&block["height"]) as u32,
        candidates: candidates.collect(),
        serialized: decisions
            .iter()
            .filter_map(|decision| decision.serialized.clone())
            .collect(),
        decisions: Some(decisions),
        ops_hash: text(&block["ops_hash"]),
        consensus_hash: text(&block["consensus_hash"]),
        complete: true,
    }
}

fn transaction(hex: &str) -> Transaction {
    consensus::deserialize(&decode_hex(hex).expect("hex")).expect("a transaction")
}

pub fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}
