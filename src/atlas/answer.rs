//! What a node answers its peers (ap §1, §2): a document whose only value is a text of JSON, in the words of the reference.

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::BASE64;
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::xml;
use crate::bns::Params;
use crate::hash::{ConsensusHash, OpsHash, ZonefileHash, encode_hex};

/// The protocol that is spoken. Nodes of the reference refuse peers whose first two numbers are below 0.17 (ap §3).
pub(super) const PROTOCOL_VERSION: &str = "0.20.0.0";
/// Bytes of an envelope and what stands around it, about.
const ENVELOPE: usize = 256;
/// Code of a fault that XML-RPC servers agreed on: nobody's but ours.
const FAULT_INTERNAL: i64 = -32_603;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
            return Self::Named(encode_hex(&params.magic));
        }
        Self::Is(params.first_block != main.first_block)
    }
}

/// Strangers say it too: a derived one keeps any value in memory, of a list many times its bytes, before it refuses it.
impl<'de> Deserialize<'de> for Testnet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Said;

        impl Visitor<'_> for Said {
            type Value = Testnet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or the name of a network")
            }

            fn visit_bool<E>(self, is_test: bool) -> Result<Testnet, E> {
                Ok(Testnet::Is(is_test))
            }

            fn visit_str<E>(self, name: &str) -> Result<Testnet, E> {
                Ok(Testnet::Named(name.to_owned()))
            }
        }

        deserializer.deserialize_any(Said)
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

/// The document of an answer with zone files, which are appended one by one: it is as large as all of them together.
pub(super) struct Files {
    document: String,
    is_empty: bool,
}

impl Files {
    /// None so far. Nothing in what is written has to be escaped.
    pub(super) fn new(standing: Standing) -> Self {
        let mut document = xml::open_text_response(ENVELOPE);
        let envelope = serde_json::to_string(&standing.envelope(None));
        let envelope = envelope.expect("all its keys are texts");
        document.push_str(envelope.trim_end_matches('}'));
        document.push_str(",\"zonefiles\":{");
        Self {
            document,
            is_empty: true,
        }
    }

    /// One more.
    pub(super) fn push(&mut self, hash: &ZonefileHash, bytes: &[u8]) {
        let out = &mut self.document;
        out.push_str(if self.is_empty { "\"" } else { ",\"" });
        out.push_str(&hash.to_string());
        out.push_str("\":\"");
        BASE64.encode_append(bytes, out);
        out.push('"');
        self.is_empty = false;
    }

    /// The whole document.
    pub(super) fn finish(mut self) -> String {
        self.document.push_str("}}");
        xml::close_text_response(&mut self.document);
        self.document
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
    xml::write_text_response(&json)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
