//! The embedded chain as a node, through the daemon's control socket; and which node a command talks to.

use std::time::Duration;

use bitcoin::consensus::serialize;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, TxOut, Txid};

use super::OwnError;
use crate::api::message::{ErrorKind, Reply, Request};
use crate::api::owner::{CoinsRequest, SubmitRequest};
use crate::chain::bitcoind::http::{Http, Limits};
use crate::cli::{CliError, Context};
use crate::config::Config;
use crate::daemon::node_credentials;
use crate::hash::{decode_hex, encode_hex};
use crate::wallet::bitcoind::Bitcoind;
use crate::wallet::node::{Node, NodeError};

/// The node behind the daemon's `source`.
pub fn connect<'c>(
    context: &'c Context,
    config: &Config,
    source: &str,
) -> Result<Box<dyn Node + 'c>, CliError> {
    match source {
        "dev" => Ok(Box::new(Embedded { context })),
        "bitcoind" | "blockfiles" => {
            let node = &config.chain.node;
            let credentials = node_credentials(node).map_err(CliError::Daemon)?;
            let limits = Limits {
                timeout: Duration::from_secs(300), // a scan of all outputs takes minutes
                ..Limits::default()
            };
            let http = Http::new(node.rpc_address.clone(), credentials, limits);
            Ok(Box::new(Bitcoind::new(http)))
        }
        _ => Err(OwnError::Usage(
            "the daemon follows no chain, so nothing can be sent: set `chain.source`".to_owned(),
        )
        .into()),
    }
}

struct Embedded<'c> {
    context: &'c Context,
}

impl Embedded<'_> {
    fn ask(&self, request: &Request) -> Result<Reply, NodeError> {
        let reply = self.context.ask(request);
        reply.map_err(|error| NodeError::Unavailable(error.to_string()))
    }
}

impl Node for Embedded<'_> {
    fn coins(&self, scripts: &[ScriptBuf]) -> Result<Vec<(OutPoint, TxOut)>, NodeError> {
        let scripts = scripts.iter().map(|script| encode_hex(script.as_bytes()));
        let request = CoinsRequest {
            scripts: scripts.collect(),
        };
        let Reply::Coins(reply) = self.ask(&Request::Coins(request))? else {
            return Err(NodeError::Unavailable(CliError::Unexpected.to_string()));
        };
        let coin = |row: &crate::api::owner::CoinRow| {
            let outpoint = OutPoint::new(row.txid.parse().ok()?, row.vout);
            let output = TxOut {
                value: Amount::from_sat(row.satoshi),
                script_pubkey: ScriptBuf::from_bytes(decode_hex(&row.script)?),
            };
            Some((outpoint, output))
        };
        Ok(reply.coins.iter().filter_map(coin).collect())
    }

    fn fee_rate(&self, _blocks: u16) -> Result<Option<FeeRate>, NodeError> {
        Ok(None)
    }

    fn send(&self, transactions: &[Transaction]) -> Result<(), NodeError> {
        let hex = transactions
            .iter()
            .map(|transaction| encode_hex(&serialize(transaction)));
        let request = SubmitRequest {
            transactions: hex.collect(),
        };
        match self.context.ask(&Request::Submit(request)) {
            Ok(_) => Ok(()),
            Err(CliError::Refused(error)) if error.kind == ErrorKind::Usage => {
                let txid = transactions.first().map(Transaction::compute_txid);
                Err(match txid {
                    Some(txid) => NodeError::Refused {
                        txid,
                        reason: error.message,
                    },
                    None => NodeError::Unavailable(error.message),
                })
            }
            Err(error) => Err(NodeError::Unavailable(error.to_string())),
        }
    }

    fn transaction(&self, _txid: &Txid) -> Result<Option<Transaction>, NodeError> {
        Ok(None)
    }

    fn pace(&self) -> Duration {
        Duration::from_millis(20)
    }
}
