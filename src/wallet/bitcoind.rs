//! A Bitcoin Core node as a source of coins and a way into blocks. It needs no wallet of its own:
//! `scantxoutset` finds coins by script, and everything is signed here.
//!
//! The node learns which scripts belong together, nothing else: no key and no name ever goes there.

use std::time::Duration;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use serde::Deserialize;
use serde_json::{Value, json};

use super::node::{Node, NodeError};
use crate::chain::bitcoind::http::Http;
use crate::chain::bitcoind::rpc::{CallError, Output, Rpc, code};

/// A node over its RPC interface.
#[derive(Debug)]
pub struct Bitcoind {
    rpc: Rpc,
}

impl Bitcoind {
    /// A node that is asked over this connection; nothing is sent yet.
    pub fn new(http: Http) -> Self {
        Self {
            rpc: Rpc::new(http),
        }
    }

    fn unavailable(&self, error: CallError) -> NodeError {
        NodeError::Unavailable(self.rpc.explain(error))
    }

    fn call<T: for<'a> Deserialize<'a>>(
        &self,
        name: &str,
        arguments: &[Value],
    ) -> Result<T, NodeError> {
        let reply = self.rpc.call(name, arguments);
        reply.map_err(|error| self.unavailable(error))
    }

    fn send_one(&self, transaction: &Transaction) -> Result<(), NodeError> {
        const CALL: &str = "sendrawtransaction";
        // No limit of the node's own: the fee was checked against what is spent; all of it may be burnt.
        let mut arguments = vec![
            json!(serialize_hex(transaction)),
            json!(0),
            json!(21_000_000),
        ];
        let mut reply = self.rpc.call::<Txid>(CALL, &arguments);
        if let Err(CallError::Refused {
            code: code::MISC | code::TYPE,
            ..
        }) = reply
        {
            arguments.pop(); // Bitcoin Core before 25 has no third argument
            reply = self.rpc.call(CALL, &arguments);
        }
        match reply {
            Ok(_) => Ok(()),
            Err(CallError::Refused {
                code: code::IN_CHAIN,
                ..
            }) => Ok(()),
            Err(CallError::Refused { message, .. }) if message.contains("txn-already-known") => {
                Ok(())
            }
            Err(CallError::Refused { message, .. }) => Err(NodeError::Refused {
                txid: transaction.compute_txid(),
                reason: message,
            }),
            Err(error) => Err(self.unavailable(error)),
        }
    }
}

impl Node for Bitcoind {
    fn coins(&self, scripts: &[ScriptBuf]) -> Result<Vec<(OutPoint, TxOut)>, NodeError> {
        #[derive(Deserialize)]
        struct Scan {
            unspents: Vec<Unspent>,
        }
        #[derive(Deserialize)]
        struct Unspent {
            txid: Txid,
            vout: u32,
            #[serde(rename = "scriptPubKey")]
            script: ScriptBuf,
            #[serde(with = "bitcoin::amount::serde::as_btc")]
            amount: Amount,
            #[serde(default)]
            coinbase: bool,
            height: u32,
        }
        let descriptors = scripts
            .iter()
            .map(|script| format!("raw({})", script.to_hex_string()));
        let arguments = [json!("start"), json!(descriptors.collect::<Vec<_>>())];
        let scan: Scan = self.call("scantxoutset", &arguments)?;
        let height: u32 = self.call("getblockcount", &[])?;
        let mut coins = Vec::new();
        for found in scan.unspents {
            let outpoint = OutPoint::new(found.txid, found.vout);
            let is_immature = found.coinbase && found.height.saturating_add(99) > height;
            // A waiting transaction may spend it; the scan does not know of those.
            if !is_immature && self.output(&outpoint)?.is_some() {
                let output = TxOut {
                    value: found.amount,
                    script_pubkey: found.script,
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
        let estimate: Estimate = self.call("estimatesmartfee", &[json!(blocks)])?;
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
        match self.rpc.transaction(*txid) {
            Ok(transaction) => Ok(Some(transaction)),
            Err(CallError::Refused {
                code: code::NOT_FOUND,
                ..
            }) => Ok(None),
            Err(error) => Err(self.unavailable(error)),
        }
    }

    fn output(&self, outpoint: &OutPoint) -> Result<Option<TxOut>, NodeError> {
        let arguments = [json!(outpoint.txid), json!(outpoint.vout), json!(true)];
        let found: Option<Output> = self.call("gettxout", &arguments)?;
        Ok(found.map(TxOut::from))
    }

    fn pace(&self) -> Duration {
        Duration::from_secs(1)
    }
}
