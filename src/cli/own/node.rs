//! Which node a command talks to.

use std::time::Duration;

use bitcoin::{FeeRate, OutPoint, ScriptBuf, Transaction, TxOut, Txid};

use crate::api::ask::{Ask, Asking};
use crate::chain::bitcoind::http::{Http, Limits};
use crate::config::Config;
use crate::daemon::node_credentials;
use crate::wallet::bitcoind::Bitcoind;
use crate::wallet::node::{Node, NodeError};

/// The node behind the daemon's `source`: that of the configuration, or the embedded chain. Nobody is asked yet.
pub fn choose<'c, A: Ask + 'c>(
    config: &Config,
    source: &str,
    embedded: Asking<A>,
) -> Box<dyn Node + 'c> {
    match source {
        "dev" => Box::new(embedded),
        "bitcoind" | "blockfiles" => match node_credentials(&config.chain.node) {
            Ok(credentials) => {
                let limits = Limits {
                    timeout: Duration::from_secs(300), // a scan of all outputs takes minutes
                    ..Limits::default()
                };
                let address = config.chain.node.rpc_address.clone();
                Box::new(Bitcoind::new(Http::new(address, credentials, limits)))
            }
            Err(error) => Box::new(NoNode(Some(format!("{error:#}")))),
        },
        _ => Box::new(NoNode(None)),
    }
}

/// Stands where a node would, with the reason why there is none, unless the daemon simply follows no chain.
struct NoNode(Option<String>);

impl NoNode {
    fn refuse<T>(&self) -> Result<T, NodeError> {
        let reason = self.0.clone();
        Err(reason.map_or(NodeError::Absent, NodeError::Unavailable))
    }
}

impl Node for NoNode {
    fn coins(&self, _scripts: &[ScriptBuf]) -> Result<Vec<(OutPoint, TxOut)>, NodeError> {
        self.refuse()
    }

    fn fee_rate(&self, _blocks: u16) -> Result<Option<FeeRate>, NodeError> {
        self.refuse()
    }

    fn send(&self, _transactions: &[Transaction]) -> Result<(), NodeError> {
        self.refuse()
    }

    fn transaction(&self, _txid: &Txid) -> Result<Option<Transaction>, NodeError> {
        self.refuse()
    }

    fn pace(&self) -> Duration {
        Duration::ZERO
    }
}
