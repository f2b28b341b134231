//! The node's RPC interface: what follows the chain and what the wallet asks goes through here.
//!
//! Calls go through [`bitcoincore_rpc`], over our own bounded transport ([`super::http`]): its own one has neither a
//! limit of size nor of time for a whole reply, and keeps the first cookie that it has read. Replies are parsed into
//! types that hold only what is used, so that what a later release of Bitcoin Core adds or changes elsewhere breaks
//! nothing.

use std::fmt;
use std::sync::Arc;

use bitcoin::amount::Amount;
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{ScriptBuf, Transaction, TxOut, Txid};
use bitcoincore_rpc::jsonrpc::{self, client::Transport};
use bitcoincore_rpc::{Client, RpcApi as _};
use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{Http, HttpError};

/// Error codes of Bitcoin Core (`rpc/protocol.h`).
pub mod code {
    /// Anything: a block that was pruned or has not arrived, or arguments that an older node does not know.
    pub const MISC: i32 = -1;
    /// An argument has another type than the node expects.
    pub const TYPE: i32 = -3;
    /// No such block or transaction.
    pub const NOT_FOUND: i32 = -5;
    /// No block has that height.
    pub(crate) const OUT_OF_RANGE: i32 = -8;
    /// The transaction is in a block already.
    pub const IN_CHAIN: i32 = -27;
    /// The node is starting.
    pub(crate) const WARM_UP: i32 = -28;
    /// The node is too old for the call, or does not offer it.
    pub(crate) const NO_SUCH_CALL: i32 = -32601;
}

/// A node's RPC interface.
#[derive(Debug)]
pub struct Rpc {
    http: Arc<Http>,
    client: Client,
}

/// How a call failed.
#[derive(Debug)]
pub enum CallError {
    /// The node explained itself.
    Refused {
        /// One of [`code`], or another.
        code: i32,
        /// The explanation.
        message: String,
    },
    /// Everything else, as a sentence about the node.
    Failed(String),
}

impl Rpc {
    /// A node that is asked over this connection; nothing is sent yet.
    pub fn new(http: Http) -> Self {
        let http = Arc::new(http);
        let transport = Bounded(Arc::clone(&http));
        Self {
            client: Client::from_jsonrpc(jsonrpc::Client::with_transport(transport)),
            http,
        }
    }

    /// A node whose replies the fuzzer makes up.
    #[cfg(fuzzing)]
    pub fn over(transport: impl Transport, http: Http) -> Self {
        Self {
            client: Client::from_jsonrpc(jsonrpc::Client::with_transport(transport)),
            http: Arc::new(http),
        }
    }

    /// The same node over a connection of its own, for another thread.
    pub fn another(&self) -> Self {
        Self::new(self.http.another())
    }

    /// The connection, for what is no call.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// One line that names the node.
    pub fn describe(&self) -> String {
        format!("Bitcoin Core at {}", self.http.address())
    }

    /// What a call returns.
    pub fn call<T: for<'a> Deserialize<'a>>(
        &self,
        name: &str,
        arguments: &[Value],
    ) -> Result<T, CallError> {
        let reply = self.client.call(name, arguments);
        reply.map_err(|error| classify(name, error))
    }

    /// What many calls return, in one exchange; ends before the first that fails.
    pub fn batch<T: for<'a> Deserialize<'a>>(
        &self,
        name: &str,
        calls: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<T>, CallError> {
        let client = self.client.get_jsonrpc_client();
        let arguments: Vec<_> = calls.into_iter().map(jsonrpc::arg).collect();
        let requests: Vec<_> = arguments
            .iter()
            .map(|arguments| client.build_request(name, Some(arguments)))
            .collect();
        let replies = client.send_batch(&requests);
        let replies = replies.map_err(|error| classify(name, error.into()))?;
        let results = replies.into_iter().map_while(|reply| reply?.result().ok());
        Ok(results.collect())
    }

    /// A transaction in full. Without `txindex=1` a node has only those that wait.
    pub fn transaction(&self, txid: Txid) -> Result<Transaction, CallError> {
        const CALL: &str = "getrawtransaction";
        let digits: String = self.call(CALL, &[json!(txid)])?;
        let transaction: Option<Transaction> = deserialize_hex(&digits).ok();
        transaction
            .filter(|transaction| transaction.compute_txid() == txid)
            .ok_or_else(|| senseless(CALL))
    }

    /// A sentence about what went wrong, which names the node.
    pub fn explain(&self, error: CallError) -> String {
        let node = self.describe();
        match error {
            CallError::Refused {
                code: code::WARM_UP,
                message,
            } => format!("{node} is starting ({message})"),
            CallError::Refused {
                code: code::NO_SUCH_CALL,
                message,
            } => format!("{node} does not offer what is needed ({message}): use a newer one"),
            CallError::Refused { code, message } => {
                format!("{node} refuses a request: {message} (code {code})")
            }
            CallError::Failed(reason) => format!("{node}: {reason}"),
        }
    }
}

/// An output as `getblock` and `gettxout` show it.
#[derive(Deserialize)]
pub struct Output {
    #[serde(with = "bitcoin::amount::serde::as_btc")]
    value: Amount,
    #[serde(rename = "scriptPubKey")]
    script: OutputScript,
}

#[derive(Deserialize)]
struct OutputScript {
    hex: ScriptBuf,
}

impl From<Output> for TxOut {
    fn from(output: Output) -> Self {
        Self {
            value: output.value,
            script_pubkey: output.script.hex,
        }
    }
}

fn classify(name: &str, error: bitcoincore_rpc::Error) -> CallError {
    use bitcoincore_rpc::Error;
    match error {
        Error::JsonRpc(jsonrpc::Error::Rpc(refusal)) => CallError::Refused {
            code: refusal.code,
            message: printable(&refusal.message),
        },
        Error::JsonRpc(jsonrpc::Error::Transport(error)) => CallError::Failed(error.to_string()),
        Error::JsonRpc(jsonrpc::Error::Json(_)) | Error::Json(_) => senseless(name),
        _ => CallError::Failed(format!("it gave no proper reply to {name}")),
    }
}

fn senseless(name: &str) -> CallError {
    CallError::Failed(format!(
        "its reply to {name} is not what Bitcoin Core sends"
    ))
}

/// What the node wrote, fit for a log: one line, not endless.
fn printable(text: &str) -> String {
    let shown = text.chars().take(200);
    shown
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Takes requests of the RPC library to our own connection.
struct Bounded(Arc<Http>);

impl Bounded {
    fn exchange<T: for<'a> Deserialize<'a>>(
        &self,
        request: &impl serde::Serialize,
    ) -> Result<T, jsonrpc::Error> {
        let reply = self.0.post(&serde_json::to_string(request)?);
        let reply = reply.map_err(|error| jsonrpc::Error::Transport(Box::new(error)))?;
        serde_json::from_slice(&reply.body).map_err(|error| match reply.status {
            200 => jsonrpc::Error::Json(error),
            status => jsonrpc::Error::Transport(Box::new(HttpError::Status(status))),
        })
    }
}

impl Transport for Bounded {
    fn send_request(
        &self,
        request: jsonrpc::Request<'_>,
    ) -> Result<jsonrpc::Response, jsonrpc::Error> {
        self.exchange(&request)
    }

    fn send_batch(
        &self,
        requests: &[jsonrpc::Request<'_>],
    ) -> Result<Vec<jsonrpc::Response>, jsonrpc::Error> {
        self.exchange(&requests)
    }

    fn fmt_target(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.address())
    }
}
