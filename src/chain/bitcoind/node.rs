//! The calls to Bitcoin Core that following its chain takes, with typed replies and errors that say what to do.
//!
//! Calls go through [`bitcoincore_rpc`] over our own bounded transport ([`super::http`]). Blocks come from the
//! REST interface where the node offers it (`-rest=1`), because it sends them as bytes; it is never needed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bitcoin::amount::Amount;
use bitcoin::{BlockHash, Network, OutPoint, ScriptBuf, Target, Transaction, TxOut, Txid};
use bitcoincore_rpc::jsonrpc::{self, client::Transport};
use bitcoincore_rpc::{Client, RpcApi as _};
use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{Http, HttpError};
use crate::chain::pipeline::Weight;
use crate::chain::{Block, BlockRef, SourceError};
use crate::chain::{checked, header};

/// Error codes of Bitcoin Core (`rpc/protocol.h`).
mod code {
    /// Anything; here blocks that were pruned or have not arrived.
    pub const MISC: i32 = -1;
    /// No such block or transaction.
    pub const NOT_FOUND: i32 = -5;
    /// No block has that height.
    pub const OUT_OF_RANGE: i32 = -8;
    /// The node is starting.
    pub const WARM_UP: i32 = -28;
    /// The node is too old for the call, or does not offer it.
    pub const NO_SUCH_CALL: i32 = -32601;
}

/// A node of one network.
pub struct Node {
    http: Arc<Http>,
    rpc: Client,
    network: Network,
    limit: Target,
    rest: bool,
}

/// What a node sent for a block, before anybody has looked at it.
#[derive(Debug)]
pub struct Unchecked {
    at: BlockRef,
    raw: Vec<u8>,
}

impl Weight for Unchecked {
    fn weight(&self) -> usize {
        self.raw.len()
    }
}

/// A header's place in the node's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its height.
    pub height: u32,
    /// Whether it is on the best chain.
    pub is_on_best_chain: bool,
    /// The block below; none for the genesis block.
    pub previous: Option<BlockHash>,
}

/// How a call failed.
#[derive(Debug)]
enum CallError {
    /// The node explained itself.
    Refused { code: i32, message: String },
    /// Everything else, as a sentence about the node.
    Failed(String),
}

impl Node {
    /// A node that is asked over this connection; nothing is sent yet.
    pub fn new(http: Http, network: Network) -> Self {
        let http = Arc::new(http);
        let transport = Bounded(Arc::clone(&http));
        Self {
            rpc: Client::from_jsonrpc(jsonrpc::Client::with_transport(transport)),
            http,
            network,
            limit: checked::easiest_target(network),
            rest: false,
        }
    }

    /// The same node over a connection of its own, for another thread.
    pub fn another(&self) -> Self {
        let mut other = Self::new(self.http.another(), self.network);
        other.rest = self.rest;
        other
    }

    /// One line that names the node.
    pub fn describe(&self) -> String {
        format!("Bitcoin Core at {}", self.http.address())
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> u64 {
        self.http.connections()
    }

    /// Refuses a node of another network, and finds out what it offers.
    pub fn greet(&mut self) -> Result<(), SourceError> {
        let genesis = bitcoin::constants::genesis_block(self.network).block_hash();
        let found: BlockHash = self.call("getblockhash", &[json!(0)])?;
        if found != genesis {
            return Err(SourceError::Fatal(format!(
                "{} follows another network (its first block is {found}, {}'s is {genesis}): correct `chain.network` or `chain.rpc-address`",
                self.describe(),
                self.network,
            )));
        }
        let path = format!("/rest/headers/{genesis}.bin?count=1");
        self.rest = self
            .http
            .get(&path)
            .is_ok_and(|reply| reply.status == 200 && reply.body.len() == 80);
        Ok(())
    }

    /// The best block.
    pub fn best(&self) -> Result<BlockRef, SourceError> {
        #[derive(Deserialize)]
        struct Info {
            blocks: u32,
            bestblockhash: BlockHash,
        }
        let info: Info = self.call("getblockchaininfo", &[])?;
        Ok(BlockRef {
            height: info.blocks,
            hash: info.bestblockhash,
        })
    }

    /// The best chain's block at a height.
    pub fn hash_at(&self, height: u32) -> Result<Option<BlockHash>, SourceError> {
        self.found(
            self.try_call("getblockhash", &[json!(height)]),
            code::OUT_OF_RANGE,
        )
    }

    /// The best chain's blocks from `first` to `last`, in one exchange; fewer if the chain is shorter.
    pub fn hashes(&self, first: u32, last: u32) -> Result<Vec<BlockRef>, SourceError> {
        let client = self.rpc.get_jsonrpc_client();
        let heights: Vec<_> = (first..=last)
            .map(|height| (height, jsonrpc::arg([height])))
            .collect();
        let requests: Vec<_> = heights
            .iter()
            .map(|(_, height)| client.build_request("getblockhash", Some(height)))
            .collect();
        let replies = client.send_batch(&requests).map_err(|error| {
            self.failed(classify(
                "getblockhash",
                bitcoincore_rpc::Error::JsonRpc(error),
            ))
        })?;
        let hashes = replies.into_iter().map_while(|reply| reply?.result().ok());
        Ok((first..=last)
            .zip(hashes)
            .map(|(height, hash)| BlockRef { height, hash })
            .collect())
    }

    /// Where a block stands; `None` if the node has never heard of it.
    pub fn place_of(&self, hash: BlockHash) -> Result<Option<Place>, SourceError> {
        #[derive(Deserialize)]
        struct Header {
            height: u32,
            confirmations: i64,
            previousblockhash: Option<BlockHash>,
        }
        let reply = self.try_call::<Header>("getblockheader", &[json!(hash)]);
        let header = self.found(reply, code::NOT_FOUND)?;
        Ok(header.map(|header| Place {
            height: header.height,
            is_on_best_chain: header.confirmations >= 0,
            previous: header.previousblockhash,
        }))
    }

    /// Whether the node was told or has found that a branch is invalid which leaves the best chain at
    /// `fork` and reaches `height`.
    pub fn has_refused_branch(&self, fork: u32, height: u32) -> Result<bool, SourceError> {
        #[derive(Deserialize)]
        struct Tip {
            height: u32,
            branchlen: u32,
            status: String,
        }
        let tips: Vec<Tip> = self.call("getchaintips", &[])?;
        Ok(tips.iter().any(|tip| {
            tip.status == "invalid"
                && tip.height >= height
                && tip.height.checked_sub(tip.branchlen) == Some(fork)
        }))
    }

    /// A block of the best chain, checked. `None` if there is none at that height.
    pub fn block_at(&self, height: u32) -> Result<Option<Block>, SourceError> {
        match self.hash_at(height)? {
            Some(hash) => {
                let block = self.fetch(BlockRef { height, hash })?;
                self.check(block).map(Some)
            }
            None => Ok(None),
        }
    }

    /// What the node sends for a block of its best chain.
    pub fn fetch(&self, at: BlockRef) -> Result<Unchecked, SourceError> {
        self.raw_block(at).map(|raw| Unchecked { at, raw })
    }

    /// The same for several blocks, in one exchange where the node sends digits.
    ///
    /// Fewer exchanges matter because nodes of Bitcoin Core 31 answer a request that follows the last reply at
    /// once only up to 50 ms later (httpserver.cpp: a client's request is marked as served after its reply
    /// has left, and then nothing wakes the loop).
    pub fn fetch_all(&self, blocks: &[BlockRef]) -> Result<Vec<Unchecked>, SourceError> {
        if !self.rest
            && blocks.len() > 1
            && let Some(fetched) = self.fetch_batch(blocks)
        {
            return Ok(fetched);
        }
        blocks.iter().map(|at| self.fetch(*at)).collect()
    }

    /// `None` if the reply is anything else than one good result for each.
    fn fetch_batch(&self, blocks: &[BlockRef]) -> Option<Vec<Unchecked>> {
        let requests = blocks.iter().map(|at| get_block(at.hash)).collect();
        let request = Value::Array(requests).to_string();
        let reply = self.http.post(request.as_bytes()).ok()?;
        let strings = reply.body.split(|byte| *byte == b'"');
        let mut found = strings.filter(|string| is_block(string));
        let fetched = blocks.iter().map(|at| {
            let raw = decode_hex(found.next()?)?;
            Some(Unchecked { at: *at, raw })
        });
        let fetched: Option<Vec<_>> = fetched.collect();
        fetched.filter(|_| reply.status == 200)
    }

    /// The block, if that is what the node sent.
    pub fn check(&self, block: Unchecked) -> Result<Block, SourceError> {
        let Unchecked { at, raw } = block;
        checked::block(at, raw, self.limit).map_err(|error| {
            let BlockRef { height, hash } = at;
            SourceError::Unavailable(format!(
                "{} sent something else for block {height} ({hash}): {error}; check the node",
                self.describe()
            ))
        })
    }

    /// Everything that a block spends, from its undo data; `None` if the node is too old to tell.
    pub fn spent_by(&self, at: BlockRef) -> Result<Option<HashMap<OutPoint, TxOut>>, SourceError> {
        #[derive(Deserialize)]
        struct Block {
            tx: Vec<Spender>,
        }
        #[derive(Deserialize)]
        struct Spender {
            vin: Vec<Input>,
        }
        #[derive(Deserialize)]
        struct Input {
            txid: Option<Txid>,
            vout: Option<u32>,
            prevout: Option<Output>,
        }
        let reply = self.try_call::<Block>("getblock", &[json!(at.hash), json!(3)]);
        let block = reply.map_err(|error| self.missing_block(at, error))?;
        let mut spent = HashMap::new();
        for input in block.tx.into_iter().flat_map(|spender| spender.vin) {
            let (Some(txid), Some(vout)) = (input.txid, input.vout) else {
                continue; // a coinbase
            };
            let Some(output) = input.prevout else {
                return Ok(None);
            };
            spent.insert(OutPoint { txid, vout }, output.into());
        }
        Ok(Some(spent))
    }

    /// An output by its transaction, which an older node finds only with `txindex=1`.
    pub fn output(&self, outpoint: OutPoint) -> Result<TxOut, SourceError> {
        let reply = self.try_call::<String>("getrawtransaction", &[json!(outpoint.txid)]);
        let text = reply.map_err(|error| self.missing_transaction(outpoint.txid, error))?;
        let transaction = decode_hex(text.as_bytes())
            .and_then(|bytes| bitcoin::consensus::deserialize::<Transaction>(&bytes).ok())
            .filter(|transaction| transaction.compute_txid() == outpoint.txid);
        let output = transaction.and_then(|transaction| {
            let outputs = transaction.output.into_iter();
            outputs.into_iter().nth(outpoint.vout as usize)
        });
        output.ok_or_else(|| {
            SourceError::Unavailable(format!(
                "{} sent another transaction than {}",
                self.describe(),
                outpoint.txid
            ))
        })
    }

    /// Returns after news or `milliseconds`; `false` at once if the node does not offer to wait.
    pub fn wait_for_block(&self, milliseconds: u64) -> bool {
        let reply = self.try_call::<Value>("waitfornewblock", &[json!(milliseconds)]);
        reply.is_ok()
    }

    fn raw_block(&self, at: BlockRef) -> Result<Vec<u8>, SourceError> {
        if self.rest
            && let Ok(reply) = self.http.get(&format!("/rest/block/{}.bin", at.hash))
            && reply.status == 200
        {
            return Ok(reply.body);
        }
        if let Some(block) = self.block_as_hex(at.hash) {
            return Ok(block);
        }
        // Whatever went wrong is said here.
        let reply = self.try_call::<String>("getblock", &[json!(at.hash), json!(0)]);
        let text = reply.map_err(|error| self.missing_block(at, error))?;
        decode_hex(text.as_bytes()).ok_or_else(|| {
            SourceError::Unavailable(format!(
                "{} sent block {} in no known form",
                self.describe(),
                at.height
            ))
        })
    }

    /// The block's digits straight out of the reply: reading megabytes of them as JSON, twice, takes longer
    /// than getting them. `None` if the reply is anything else than a good one.
    fn block_as_hex(&self, hash: BlockHash) -> Option<Vec<u8>> {
        let request = get_block(hash).to_string();
        let reply = self.http.post(request.as_bytes()).ok()?;
        let mut strings = reply.body.split(|byte| *byte == b'"');
        let block = strings.find(|string| is_block(string))?;
        (reply.status == 200).then(|| decode_hex(block)).flatten()
    }

    /// The node knows the block and cannot give it.
    fn missing_block(&self, at: BlockRef, error: CallError) -> SourceError {
        match error {
            CallError::Refused {
                code: code::MISC,
                message,
            } if message.contains("pruned") || message.contains("Undo data") => {
                SourceError::Fatal(format!(
                    "{} has pruned block {}, which the index needs next: run a node that keeps blocks from height {} on (prune=0, then -reindex), or copy a newer index",
                    self.describe(),
                    at.height,
                    at.height
                ))
            }
            error => self.failed(error),
        }
    }

    /// The node cannot find a transaction that a block of its chain spends.
    fn missing_transaction(&self, txid: Txid, error: CallError) -> SourceError {
        let node = self.describe();
        match error {
            CallError::Refused {
                code: code::NOT_FOUND,
                message,
            } if message.contains("process of being indexed") => SourceError::Unavailable(format!(
                "{node} is too old to tell what blocks spend: waiting until its txindex is complete"
            )),
            CallError::Refused {
                code: code::NOT_FOUND,
                ..
            } => SourceError::Fatal(format!(
                "{node} is too old to tell what blocks spend, and cannot find the transaction {txid}: use Bitcoin Core 23 or newer, or run it with txindex=1"
            )),
            error => self.failed(error),
        }
    }

    fn call<T: for<'a> Deserialize<'a>>(
        &self,
        name: &str,
        arguments: &[Value],
    ) -> Result<T, SourceError> {
        self.try_call(name, arguments)
            .map_err(|error| self.failed(error))
    }

    /// The reply, or `None` if the node refuses with the code for "there is none".
    fn found<T>(&self, reply: Result<T, CallError>, absent: i32) -> Result<Option<T>, SourceError> {
        match reply {
            Ok(value) => Ok(Some(value)),
            Err(CallError::Refused { code, .. }) if code == absent => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn try_call<T: for<'a> Deserialize<'a>>(
        &self,
        name: &str,
        arguments: &[Value],
    ) -> Result<T, CallError> {
        self.rpc
            .call(name, arguments)
            .map_err(|error| classify(name, error))
    }

    fn failed(&self, error: CallError) -> SourceError {
        let node = self.describe();
        SourceError::Unavailable(match error {
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
        })
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Node").field(&self.http.address()).finish()
    }
}

/// An output as `getblock` shows it.
#[derive(Deserialize)]
struct Output {
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
        Error::JsonRpc(jsonrpc::Error::Json(_)) | Error::Json(_) => CallError::Failed(format!(
            "its reply to {name} is not what Bitcoin Core sends"
        )),
        _ => CallError::Failed(format!("it gave no proper reply to {name}")),
    }
}

/// The request for a block's bytes.
fn get_block(hash: BlockHash) -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "getblock", "params": [hash, 0]})
}

/// Whether a string in a reply is long enough to be a block, and so nothing else.
fn is_block(digits: &[u8]) -> bool {
    digits.len() > 2 * header::HEADER_LENGTH
}

/// Bytes from their hexadecimal digits. A block has millions of them, which the usual iterators take longer for
/// than the node takes to send them.
fn decode_hex(digits: &[u8]) -> Option<Vec<u8>> {
    const WRONG: u8 = 0xff;
    const VALUES: [u8; 256] = {
        let mut values = [WRONG; 256];
        let mut value = 0;
        while value < 16 {
            values[b"0123456789abcdef"[value] as usize] = value as u8;
            values[b"0123456789ABCDEF"[value] as usize] = value as u8;
            value += 1;
        }
        values
    };
    let (pairs, rest) = digits.as_chunks::<2>();
    let mut wrong = 0;
    let bytes = pairs.iter().map(|[high, low]| {
        let (high, low) = (VALUES[usize::from(*high)], VALUES[usize::from(*low)]);
        wrong |= high | low;
        high << 4 | low
    });
    let bytes = bytes.collect();
    (rest.is_empty() && wrong < 16).then_some(bytes)
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
        let reply = self.0.post(&serde_json::to_vec(request)?);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_become_bytes() {
        assert_eq!(decode_hex(b"00fFa1"), Some(vec![0, 0xff, 0xa1]));
        assert_eq!(decode_hex(b""), Some(Vec::new()));
        for wrong in ["0", "0g", "g0", "0x", "\u{e4}"] {
            assert_eq!(decode_hex(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
