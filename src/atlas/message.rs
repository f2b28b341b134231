//! What peers ask of each other, and how they are answered (ap §1, §2).
//!
//! A call is a document of XML-RPC; its answer is one too, whose only value is a text of JSON. Everything that the protocol
//! bounds is checked here: a [`Call`] that exists can be answered. What replies say to us is read in
//! [`reply`](super::reply).

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::address::PeerAddress;
use super::xml::{self, Value, XmlError};
use crate::bns::Params;
use crate::hash::{ConsensusHash, OpsHash, ZonefileHash};

/// The protocol that is spoken. Nodes of the reference refuse peers whose first two numbers are below 0.17 (ap §3).
pub(super) const PROTOCOL_VERSION: &str = "0.20.0.0";
/// Bytes of a call (ap §1).
pub(super) const CALL_MAX: usize = 512 * 1024;
/// Zone files of a call that asks for them (ap §2).
pub const FETCH_MAX: usize = 100;
/// Zone files of a call that brings them (ap §2).
pub const PUT_MAX: usize = 5;
/// Characters of a zone file in base64: `(4 · 40960) / 3 + 3` (ap §2).
pub(super) const BASE64_MAX: usize = 4 * crate::zonefile::ZONEFILE_MAX / 3 + 3;
/// Bytes of an inventory in one call (ap §2).
pub(super) const INVENTORY_MAX: usize = 524_288;
/// Neighbours that are told (ap §3).
pub(super) const PEERS_MAX: usize = 80;
/// Announcements of a call (ap §2).
const ROWS_MAX: u64 = 100;
/// Consensus hashes of a call (ap §2).
const HEIGHTS_MAX: usize = 32;
/// Operations of a call (ap §2).
const OPERATIONS_MAX: u64 = 10;

/// What somebody asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Ping,
    Info,
    /// Bits of the inventory; both are bytes.
    Inventory {
        offset: usize,
        length: usize,
    },
    Zonefiles(Vec<ZonefileHash>),
    Put(Vec<Vec<u8>>),
    /// Announcements of the blocks `from` to `to`.
    Announced {
        from: u32,
        to: u32,
        offset: usize,
        count: usize,
    },
    Peers,
    /// Neighbours, and where the caller is, if it says that.
    Exchange(Option<PeerAddress>),
    ConsensusAt(u32),
    HeightOf(ConsensusHash),
    ConsensusHashes(Vec<u32>),
    OpsHashAt(u32),
    OperationCount(u32),
    Operations {
        height: u32,
        offset: usize,
        count: usize,
    },
}

/// Why a call is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no call.
    Document(XmlError),
    /// Nobody knows the method.
    Method(String),
    /// It asks for what it must not.
    Arguments(&'static str),
}

/// Codes of faults that XML-RPC servers agreed on.
const FAULT_DOCUMENT: i64 = -32_700;
const FAULT_METHOD: i64 = -32_601;
const FAULT_INTERNAL: i64 = -32_603;
/// Characters of a stranger's text that are repeated.
const SAID_MAX: usize = 100;

impl Request {
    /// Reads a call, whatever its bytes are.
    pub(super) fn read(document: &[u8]) -> Result<Self, Refusal> {
        let (method, parameters) = xml::read_call(document).map_err(Refusal::Document)?;
        Self::from_parts(&method, parameters)
    }

    fn from_parts(method: &str, parameters: Vec<Value<'_>>) -> Result<Self, Refusal> {
        let mut arguments = Arguments(parameters.into_iter());
        let call = match method {
            "ping" => Self::Ping,
            "getinfo" => Self::Info,
            "get_zonefile_inventory" => Self::Inventory {
                offset: arguments.number("invalid offset")?,
                length: arguments.up_to(INVENTORY_MAX as u64, "invalid length")?,
            },
            "get_zonefiles" => Self::Zonefiles(arguments.hashes()?),
            "put_zonefiles" => Self::Put(arguments.files()?),
            "get_zonefiles_by_block" => Self::Announced {
                from: arguments.number("Invalid from_block height")?,
                to: arguments.number("Invalid to_block height")?,
                offset: arguments.number("invalid offset")?,
                count: arguments.up_to(ROWS_MAX, "invalid count")?,
            },
            "get_atlas_peers" => Self::Peers,
            "atlas_peer_exchange" => Self::Exchange(arguments.peer()?),
            "get_consensus_at" => Self::ConsensusAt(arguments.height()?),
            "get_block_from_consensus" => Self::HeightOf(arguments.consensus_hash()?),
            "get_consensus_hashes" => Self::ConsensusHashes(arguments.heights()?),
            "get_blockstack_ops_hash_at" => Self::OpsHashAt(arguments.height()?),
            "get_num_blockstack_ops_at" => Self::OperationCount(arguments.height()?),
            "get_blockstack_ops_at" => Self::Operations {
                height: arguments.height()?,
                offset: arguments.number("Invalid offset")?,
                count: arguments.up_to(OPERATIONS_MAX, "Invalid count")?,
            },
            _ => return Err(Refusal::Method(method.chars().take(SAID_MAX).collect())),
        };
        arguments.end()?;
        Ok(call)
    }

    /// The call as a document.
    pub(super) fn to_document(&self) -> String {
        let (method, arguments) = self.parts();
        xml::write_call(method, &arguments)
    }

    fn parts(&self) -> (&'static str, Vec<Value<'static>>) {
        let number = |number: &usize| Value::Int(*number as i64);
        let height = |height: &u32| Value::Int((*height).into());
        match self {
            Self::Ping => ("ping", vec![]),
            Self::Info => ("getinfo", vec![]),
            Self::Inventory { offset, length } => (
                "get_zonefile_inventory",
                vec![number(offset), number(length)],
            ),
            Self::Zonefiles(hashes) => {
                let texts = hashes.iter().map(|hash| text(hash.to_string()));
                ("get_zonefiles", vec![Value::Array(texts.collect())])
            }
            Self::Put(files) => {
                let texts = files.iter().map(|file| text(BASE64.encode(file)));
                ("put_zonefiles", vec![Value::Array(texts.collect())])
            }
            Self::Announced {
                from,
                to,
                offset,
                count,
            } => (
                "get_zonefiles_by_block",
                vec![height(from), height(to), number(offset), number(count)],
            ),
            Self::Peers => ("get_atlas_peers", vec![]),
            Self::Exchange(peer) => {
                let said = peer.as_ref().map(ToString::to_string);
                ("atlas_peer_exchange", vec![text(said.unwrap_or_default())])
            }
            Self::ConsensusAt(at) => ("get_consensus_at", vec![height(at)]),
            Self::HeightOf(hash) => ("get_block_from_consensus", vec![text(hash.to_string())]),
            Self::ConsensusHashes(heights) => {
                let heights = heights.iter().map(height).collect();
                ("get_consensus_hashes", vec![Value::Array(heights)])
            }
            Self::OpsHashAt(at) => ("get_blockstack_ops_hash_at", vec![height(at)]),
            Self::OperationCount(at) => ("get_num_blockstack_ops_at", vec![height(at)]),
            Self::Operations {
                height: at,
                offset,
                count,
            } => (
                "get_blockstack_ops_at",
                vec![height(at), number(offset), number(count)],
            ),
        }
    }
}

fn text(text: String) -> Value<'static> {
    Value::Text(text.into())
}

/// The arguments of a call, taken in order.
struct Arguments<'a>(std::vec::IntoIter<Value<'a>>);

impl Arguments<'_> {
    fn number<N: TryFrom<i64>>(&mut self, error: &'static str) -> Result<N, Refusal> {
        match self.0.next() {
            Some(Value::Int(number)) => number.try_into().ok(),
            _ => None,
        }
        .ok_or(Refusal::Arguments(error))
    }

    fn up_to(&mut self, most: u64, error: &'static str) -> Result<usize, Refusal> {
        let number: u64 = self.number(error)?;
        let is_allowed = number <= most;
        is_allowed
            .then_some(number as usize)
            .ok_or(Refusal::Arguments(error))
    }

    fn height(&mut self) -> Result<u32, Refusal> {
        self.number("Invalid block height")
    }

    /// A list of no more than `most` values, each read by `read`.
    fn list<T>(
        &mut self,
        most: usize,
        too_many: &'static str,
        error: &'static str,
        read: impl Fn(&Value<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Refusal> {
        let Some(Value::Array(values)) = self.0.next() else {
            return Err(Refusal::Arguments(error));
        };
        if values.len() > most {
            return Err(Refusal::Arguments(too_many));
        }
        let items: Option<Vec<T>> = values.iter().map(read).collect();
        items.ok_or(Refusal::Arguments(error))
    }

    fn hashes(&mut self) -> Result<Vec<ZonefileHash>, Refusal> {
        let too_many = "Too many requests (no more than 100 allowed)";
        self.list(
            FETCH_MAX,
            too_many,
            "Invalid zone file hash",
            |value| match value {
                Value::Text(text) => text.parse().ok(),
                _ => None,
            },
        )
    }

    fn files(&mut self) -> Result<Vec<Vec<u8>>, Refusal> {
        let error = "Invalid zone file payload (exceeds 40960 bytes and/or not base64-encoded)";
        self.list(PUT_MAX, "Too many zonefiles", error, |value| match value {
            Value::Text(text) if text.len() <= BASE64_MAX => BASE64.decode(text.as_bytes()).ok(),
            _ => None,
        })
    }

    fn heights(&mut self) -> Result<Vec<u32>, Refusal> {
        let error = "Invalid block height";
        self.list(
            HEIGHTS_MAX,
            "Too many block heights",
            error,
            |value| match value {
                Value::Int(height) => (*height).try_into().ok(),
                _ => None,
            },
        )
    }

    fn peer(&mut self) -> Result<Option<PeerAddress>, Refusal> {
        match self.0.next() {
            Some(Value::Text(text)) => Ok(PeerAddress::from_wire(&text).ok()),
            _ => Err(Refusal::Arguments("Invalid remote peer address")),
        }
    }

    fn consensus_hash(&mut self) -> Result<ConsensusHash, Refusal> {
        match self.0.next() {
            Some(Value::Text(text)) => text.parse().ok(),
            _ => None,
        }
        .ok_or(Refusal::Arguments("Not a valid consensus hash"))
    }

    fn end(&mut self) -> Result<(), Refusal> {
        let is_over = self.0.next().is_none();
        is_over
            .then_some(())
            .ok_or(Refusal::Arguments("Too many arguments"))
    }
}

// ---- answers --------------------------------------------------------------------------------------------

/// How this node is; it goes with every answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// It has blocks to read.
    pub(super) indexing: bool,
    /// Height of the last block that it has read.
    pub(super) lastblock: u32,
    /// It has not been at the tip of its source for so long that nobody should rely on it.
    pub(super) stale: bool,
}

/// What is answered beside how the node is, in the words of the reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Info(Info),
    Inventory {
        inv: String,
    },
    Saved {
        saved: Vec<u8>,
    },
    Announced {
        zonefile_info: Vec<ZonefileInfo>,
    },
    Peers {
        peers: Vec<String>,
    },
    Consensus {
        consensus: Option<ConsensusHash>,
    },
    Height {
        block_id: Option<u32>,
    },
    ConsensusHashes {
        consensus_hashes: BTreeMap<u32, Option<ConsensusHash>>,
    },
    OpsHash {
        ops_hash: Option<OpsHash>,
    },
    Count {
        count: usize,
    },
    Operations {
        nameops: Vec<Json>,
    },
}

/// What `getinfo` answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Info {
    pub(super) last_block_seen: u32,
    pub(super) consensus: ConsensusHash,
    pub(super) server_version: &'static str,
    pub(super) last_block_processed: u32,
    pub(super) server_alive: bool,
    pub(super) testnet: Testnet,
    pub(super) first_block: u32,
    pub(super) zonefile_count: u64,
}

/// An announcement of a zone file hash.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ZonefileInfo {
    pub(super) name: String,
    pub(super) zonefile_hash: ZonefileHash,
    pub(super) block_height: u32,
    pub(super) txid: String,
    pub(super) inv_index: u32,
}

/// Which network a node is on, as `testnet` of `getinfo` says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Testnet {
    /// False: the main network.
    Is(bool),
    /// A network with a name of its own: its magic bytes in hex.
    Named(String),
}

impl Testnet {
    /// The network with these constants.
    pub fn of(params: &Params) -> Self {
        let main = Params::mainnet();
        if params.magic != main.magic {
            return Self::Named(crate::hash::encode_hex(&params.magic));
        }
        Self::Is(params.first_block != main.first_block)
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    status: bool,
    indexing: bool,
    lastblock: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    stale: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
    #[serde(flatten)]
    answer: Option<&'a Answer>,
}

impl Standing {
    fn envelope(self, answer: Option<&Answer>) -> Envelope<'_> {
        let warning = "Daemon is behind the chain tip.  Do not rely on it for fresh information.";
        Envelope {
            status: true,
            indexing: self.indexing,
            lastblock: self.lastblock,
            stale: self.stale.then_some(true),
            warning: self.stale.then_some(warning),
            answer,
        }
    }

    /// The document of an answer.
    pub(super) fn respond(self, answer: &Answer) -> String {
        json_document(&self.envelope(Some(answer)))
    }

    /// The document of the answer to a ping, which has no envelope.
    pub(super) fn pong(self) -> String {
        let status = if self.stale { "stale" } else { "alive" };
        json_document(&serde_json::json!({"status": status, "version": PROTOCOL_VERSION}))
    }
}

/// The document of an answer with zone files, which are written one by one: it is as large as all of them together.
pub(super) struct Files {
    json: String,
    is_empty: bool,
}

impl Files {
    /// None so far.
    pub(super) fn new(standing: Standing) -> Self {
        let mut json =
            serde_json::to_string(&standing.envelope(None)).expect("it has only text keys");
        json.pop(); // the brace at its end
        json.push_str(",\"zonefiles\":{");
        Self {
            json,
            is_empty: true,
        }
    }

    /// One more.
    pub(super) fn push(&mut self, hash: &ZonefileHash, bytes: &[u8]) {
        self.json.reserve(bytes.len() / 3 * 4 + 64);
        self.json.push_str(if self.is_empty { "\"" } else { ",\"" });
        self.json.push_str(&hash.to_string());
        self.json.push_str("\":\"");
        BASE64.encode_append(bytes, &mut self.json);
        self.json.push('"');
        self.is_empty = false;
    }

    /// The whole document.
    pub(super) fn finish(mut self) -> String {
        self.json.push_str("}}");
        xml::write_text_response(self.json.len(), |out| out.push_str(&self.json))
    }
}

impl Refusal {
    /// The document that says so: an error in the words of the reference, or a fault where nothing was understood.
    pub(super) fn to_document(&self) -> String {
        match self {
            Self::Document(error) => xml::write_fault(FAULT_DOCUMENT, &error.to_string()),
            Self::Method(method) => xml::write_fault(
                FAULT_METHOD,
                &format!("method \"{method}\" is not supported"),
            ),
            Self::Arguments(text) => refuse(text, 400),
        }
    }
}

/// The document of an error.
pub(super) fn refuse(text: &str, http_status: u16) -> String {
    json_document(&serde_json::json!({"error": text, "http_status": http_status}))
}

/// The document for somebody who asks too much, or while there is too much to do (ap §1).
pub(super) fn overloaded() -> String {
    json_document(&serde_json::json!({
        "status": false, "indexing": false, "lastblock": -1, "error": "overloaded", "http_status": 429,
    }))
}

/// The document of a failure that is nobody's fault but ours; the log says more.
pub(super) fn failed() -> String {
    xml::write_fault(FAULT_INTERNAL, "this node cannot answer now")
}

fn json_document(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("all its keys are texts");
    xml::write_text_response(json.len(), |out| xml::escape(&json, out))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const HASH: ZonefileHash = ZonefileHash([7; 20]);

    fn refused(method: &str, arguments: &[Value<'_>]) -> String {
        let document = xml::write_call(method, arguments);
        match Request::read(document.as_bytes()) {
            Err(refusal) => refusal.to_document(),
            Ok(call) => panic!("{call:?}"),
        }
    }

    #[test]
    fn the_protocols_limits_are_kept() {
        let hashes = |count| Value::Array(vec![text(HASH.to_string()); count]);
        let files = |count, size| Value::Array(vec![text(BASE64.encode(&vec![b'a'; size])); count]);
        let heights = |count| Value::Array(vec![Value::Int(5); count]);
        let (one, most) = (Value::Int(1), Value::Int(i64::from(u32::MAX)));
        for (method, arguments, said) in [
            ("get_zonefiles", vec![hashes(101)], "Too many requests"),
            (
                "get_zonefiles",
                vec![text("a".into())],
                "Invalid zone file hash",
            ),
            (
                "get_zonefiles",
                vec![Value::Array(vec![text("a".into())])],
                "Invalid zone file hash",
            ),
            ("put_zonefiles", vec![files(6, 1)], "Too many zonefiles"),
            (
                "put_zonefiles",
                vec![files(1, 40_963)],
                "Invalid zone file payload",
            ),
            (
                "put_zonefiles",
                vec![Value::Array(vec![text("&".into())])],
                "Invalid zone file payload",
            ),
            (
                "get_consensus_hashes",
                vec![heights(33)],
                "Too many block heights",
            ),
            (
                "get_zonefile_inventory",
                vec![Value::Int(-1), one.clone()],
                "invalid offset",
            ),
            (
                "get_zonefile_inventory",
                vec![one.clone(), Value::Int(524_289)],
                "invalid length",
            ),
            (
                "get_zonefiles_by_block",
                vec![one.clone(), one.clone(), one.clone(), Value::Int(101)],
                "invalid count",
            ),
            (
                "get_blockstack_ops_at",
                vec![one.clone(), one.clone(), Value::Int(11)],
                "Invalid count",
            ),
            (
                "get_consensus_at",
                vec![Value::Int(1 << 32)],
                "Invalid block height",
            ),
            ("get_consensus_at", vec![], "Invalid block height"),
            (
                "get_consensus_at",
                vec![Value::Bool(true)],
                "Invalid block height",
            ),
            (
                "get_block_from_consensus",
                vec![text("ab".into())],
                "Not a valid consensus hash",
            ),
            ("ping", vec![most], "Too many arguments"),
        ] {
            let document = refused(method, &arguments);
            assert!(
                document.contains(said) && document.contains("400"),
                "{document}"
            );
        }
        let fault = refused("get_<all>", &[]);
        assert!(
            fault.contains("faultCode") && fault.contains("get_&lt;all&gt;"),
            "{fault}"
        );
        let call = xml::write_call("put_zonefiles", &[files(5, 40_961)]);
        assert!(
            call.len() < CALL_MAX && Request::read(call.as_bytes()).is_ok(),
            "saved 0, not refused"
        );
    }

    #[test]
    fn answers_have_the_envelope_of_the_reference() {
        let standing = Standing {
            indexing: true,
            lastblock: 9,
            stale: true,
        };
        let document = standing.respond(&Answer::Count { count: 3 });
        assert!(document.contains("{\"status\":true,\"indexing\":true,\"lastblock\":9,\"stale\":true,\"warning\":\"Daemon is behind"), "{document}");
        assert!(document.contains("\"count\":3}"), "{document}");
        let fresh = Standing {
            stale: false,
            ..standing
        };
        let hashes = [(9, Some(ConsensusHash([1; 16]))), (10, None)];
        let answer = Answer::ConsensusHashes {
            consensus_hashes: hashes.into(),
        };
        let document = fresh.respond(&answer);
        let hash = "01".repeat(16);
        assert!(
            document.contains(&format!(
                "\"consensus_hashes\":{{\"9\":\"{hash}\",\"10\":null}}"
            )),
            "{document}"
        );
        assert!(
            !document.contains("stale")
                && fresh.pong().contains("alive")
                && standing.pong().contains("stale")
        );
    }

    #[test]
    fn networks_are_told_apart() {
        let own = Params {
            magic: *b"xy",
            ..Params::regtest()
        };
        let all = [Params::mainnet(), Params::regtest(), own].map(|params| Testnet::of(&params));
        assert_eq!(
            all,
            [
                Testnet::Is(false),
                Testnet::Is(true),
                Testnet::Named("7879".into())
            ]
        );
    }

    fn call() -> impl Strategy<Value = Request> {
        let at = any::<u32>();
        let hash = any::<[u8; 20]>().prop_map(ZonefileHash);
        prop_oneof![
            Just(Request::Ping),
            Just(Request::Info),
            Just(Request::Peers),
            (0usize..1 << 40, 0..=INVENTORY_MAX)
                .prop_map(|(offset, length)| Request::Inventory { offset, length }),
            vec(hash, 0..=FETCH_MAX).prop_map(Request::Zonefiles),
            vec(vec(any::<u8>(), 0..99), 0..=PUT_MAX).prop_map(Request::Put),
            (at, at, 0usize..1 << 40, 0usize..=100).prop_map(|(from, to, offset, count)| {
                Request::Announced {
                    from,
                    to,
                    offset,
                    count,
                }
            }),
            ("[a-z]{1,9}\\.[a-z]{1,9}", 10u16..)
                .prop_map(|(host, port)| Request::Exchange(format!("{host}:{port}").parse().ok())),
            at.prop_map(Request::ConsensusAt),
            at.prop_map(Request::OpsHashAt),
            at.prop_map(Request::OperationCount),
            any::<[u8; 16]>().prop_map(|hash| Request::HeightOf(ConsensusHash(hash))),
            vec(at, 0..=HEIGHTS_MAX).prop_map(Request::ConsensusHashes),
            (at, 0usize..1 << 40, 0usize..=10).prop_map(|(height, offset, count)| {
                Request::Operations {
                    height,
                    offset,
                    count,
                }
            }),
        ]
    }

    proptest! {
        #[test]
        fn calls_come_back(call in call()) {
            prop_assert_eq!(Request::read(call.to_document().as_bytes()), Ok(call));
        }
    }
}
