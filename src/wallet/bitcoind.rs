//! A Bitcoin Core node as a source of coins and a way into blocks. It needs no wallet of its own:
//! `scantxoutset` finds coins by script, and everything is signed here.
//!
//! The node learns which scripts belong together, nothing else: no key and no name ever goes there.

use std::time::Duration;

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::node::{Node, NodeError};
use crate::chain::bitcoind::http::Http;
use crate::hash::{decode_hex, encode_hex};

/// Error codes of Bitcoin Core (`rpc/protocol.h`).
mod code {
    /// The transaction is in a block already.
    pub const IN_CHAIN: i64 = -27;
    /// No such transaction.
    pub const NOT_FOUND: i64 = -5;
}

/// A node over its RPC interface.
#[derive(Debug)]
pub struct Bitcoind {
    http: Http,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    result: Value,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    message: String,
}

#[derive(Deserialize)]
struct Scan {
    unspents: Vec<Unspent>,
}

#[derive(Deserialize)]
struct Unspent {
    txid: Txid,
    vout: u32,
    #[serde(rename = "scriptPubKey")]
    script: String,
    #[serde(with = "bitcoin::amount::serde::as_btc")]
    amount: Amount,
    #[serde(default)]
    coinbase: bool,
    height: u32,
}

/// What `gettxout` replies.
#[derive(Deserialize)]
struct Output {
    #[serde(with = "bitcoin::amount::serde::as_btc")]
    value: Amount,
    #[serde(rename = "scriptPubKey")]
    script: Script,
}

#[derive(Deserialize)]
struct Script {
    hex: String,
}

impl Bitcoind {
    /// A node that is asked over this connection; nothing is sent yet.
    pub fn new(http: Http) -> Self {
        Self { http }
    }

    fn unavailable(&self, reason: impl std::fmt::Display) -> NodeError {
        NodeError::Unavailable(format!("the node at {}: {reason}", self.http.address()))
    }

    /// The reply, or the node's refusal.
    fn try_call(&self, name: &str, arguments: &Value) -> Result<Result<Value, Refusal>, NodeError> {
        let request = json!({"jsonrpc": "1.0", "id": "bnsd", "method": name, "params": arguments});
        tracing::trace!("asking the node: {name}");
        let body = serde_json::to_vec(&request).expect("a request has text keys");
        let reply = self
            .http
            .post(&body)
            .map_err(|error| self.unavailable(error))?;
        let reply: Reply = serde_json::from_slice(&reply.body).map_err(|_| {
            self.unavailable(format!("it replied with HTTP status {}", reply.status))
        })?;
        Ok(match reply.error {
            Some(refusal) => Err(refusal),
            None => Ok(reply.result),
        })
    }

    fn call<T: DeserializeOwned>(&self, name: &str, arguments: &Value) -> Result<T, NodeError> {
        let value = self
            .try_call(name, arguments)?
            .map_err(|refusal| self.unavailable(refusal.message))?;
        serde_json::from_value(value).map_err(|error| {
            self.unavailable(format!("its reply to {name} makes no sense: {error}"))
        })
    }

    /// Whether an output is unspent, waiting transactions included.
    fn is_unspent(&self, outpoint: OutPoint) -> Result<bool, NodeError> {
        let arguments = json!([outpoint.txid, outpoint.vout, true]);
        let value: Value = self.call("gettxout", &arguments)?;
        Ok(!value.is_null())
    }

    fn send_one(&self, transaction: &Transaction) -> Result<(), NodeError> {
        let hex = encode_hex(&serialize(transaction));
        // No limit of the node's own: the fee was checked against what is spent; 0.5 BTC may be burnt.
        let reply = match self.try_call("sendrawtransaction", &json!([hex, 0, 21_000_000]))? {
            // Bitcoin Core before 25 has no third argument.
            Err(refusal) if refusal.code == -1 || refusal.code == -3 => {
                self.try_call("sendrawtransaction", &json!([hex, 0]))?
            }
            reply => reply,
        };
        match reply {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.code == code::IN_CHAIN => Ok(()),
            Err(refusal) if refusal.message.contains("txn-already-known") => Ok(()),
            Err(refusal) => Err(NodeError::Refused {
                txid: transaction.compute_txid(),
                reason: refusal.message,
            }),
        }
    }
}

impl Node for Bitcoind {
    fn coins(&self, scripts: &[ScriptBuf]) -> Result<Vec<(OutPoint, TxOut)>, NodeError> {
        let descriptors = scripts
            .iter()
            .map(|script| format!("raw({})", encode_hex(script.as_bytes())));
        let arguments = json!(["start", descriptors.collect::<Vec<_>>()]);
        let scan: Scan = self.call("scantxoutset", &arguments)?;
        let height: u32 = self.call("getblockcount", &json!([]))?;
        let mut coins = Vec::new();
        for found in scan.unspents {
            let outpoint = OutPoint::new(found.txid, found.vout);
            let is_immature = found.coinbase && found.height + 99 > height;
            let script = decode_hex(&found.script)
                .ok_or_else(|| self.unavailable("it sent a script that is no hex"))?;
            if !is_immature && self.is_unspent(outpoint)? {
                let output = TxOut {
                    value: found.amount,
                    script_pubkey: ScriptBuf::from_bytes(script),
                };
                coins.push((outpoint, output));
            }
        }
        Ok(coins)
    }

    fn fee_rate(&self, blocks: u16) -> Result<Option<FeeRate>, NodeError> {
        #[derive(Deserialize)]
        struct Estimate {
            feerate: Option<f64>,
        }
        let estimate: Estimate = self.call("estimatesmartfee", &json!([blocks]))?;
        let per_kilobyte = estimate
            .feerate
            .and_then(|rate| Amount::from_btc(rate).ok());
        // Satoshi per 1000 virtual bytes are satoshi per 4000 weight units.
        Ok(per_kilobyte.map(|rate| FeeRate::from_sat_per_kwu(rate.to_sat().div_ceil(4))))
    }

    fn send(&self, transactions: &[Transaction]) -> Result<(), NodeError> {
        transactions
            .iter()
            .try_for_each(|transaction| self.send_one(transaction))
    }

    fn transaction(&self, txid: &Txid) -> Result<Option<Transaction>, NodeError> {
        match self.try_call("getrawtransaction", &json!([txid]))? {
            Ok(value) => Ok(value
                .as_str()
                .and_then(decode_hex)
                .and_then(|bytes| deserialize(&bytes).ok())),
            Err(refusal) if refusal.code == code::NOT_FOUND => Ok(None),
            Err(refusal) => Err(self.unavailable(refusal.message)),
        }
    }

    fn output(&self, outpoint: &OutPoint) -> Result<Option<TxOut>, NodeError> {
        let arguments = json!([outpoint.txid, outpoint.vout, true]);
        let found: Option<Output> = self.call("gettxout", &arguments)?;
        let Some(found) = found else { return Ok(None) };
        let script = decode_hex(&found.script.hex)
            .ok_or_else(|| self.unavailable("it sent a script that is no hex"))?;
        Ok(Some(TxOut {
            value: found.value,
            script_pubkey: ScriptBuf::from_bytes(script),
        }))
    }

    fn pace(&self) -> Duration {
        Duration::from_secs(1)
    }
}
