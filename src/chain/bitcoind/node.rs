//! The questions to a node that following its chain takes, each with a typed answer and errors that say what to do.
//!
//! Blocks come from the REST interface where the node offers it (`-rest=1`), because it sends them as bytes, for a quarter
//! of the time on its processor; it is never needed. Otherwise they come as hexadecimal digits. Of the decoders that are
//! compiled in, data-encoding takes 0.7 ms per MB of block, the one of the `bitcoin` crate 1.8 ms; all else that is done
//! with a block's bytes before the rules see them takes about 1 ms.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bitcoin::{BlockHash, Network, OutPoint, Target, TxOut, Txid};
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::rpc::{CallError, Output, Rpc, code};
use crate::chain::checked;
use crate::chain::pipeline::Weight;
use crate::chain::{Block, BlockRef, Result, SourceError};

/// A node of one network.
#[derive(Debug)]
pub struct Node {
    pub(super) rpc: Rpc,
    network: Network,
    limit: Target,
    pub(super) rest: bool,
}

/// An output that a block spends.
#[derive(Deserialize)]
pub struct Spent {
    /// Height of the block that created it.
    pub height: u32,
    /// The output.
    #[serde(flatten)]
    pub output: Output,
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
#[derive(Deserialize)]
pub struct Place {
    /// Its height.
    pub height: u32,
    confirmations: i64,
    /// The block below; none for the genesis block.
    #[serde(rename = "previousblockhash")]
    pub previous: Option<BlockHash>,
}

impl Place {
    /// Whether it is on the best chain.
    pub fn is_on_best_chain(&self) -> bool {
        self.confirmations >= 0
    }
}

impl Node {
    /// A node that is asked this way; nothing is sent yet.
    pub fn new(rpc: Rpc, network: Network) -> Self {
        Self {
            rpc,
            network,
            limit: checked::easiest_target(network),
            rest: false,
        }
    }

    /// The same node over a connection of its own, for another thread.
    pub fn another(&self) -> Self {
        let mut other = Self::new(self.rpc.another(), self.network);
        other.rest = self.rest;
        other
    }

    /// Ends questions once `stop` is set.
    pub fn stop_with(&self, stop: Arc<AtomicBool>) {
        self.rpc.http().stop_with(stop);
    }

    /// One line that names the node.
    pub fn describe(&self) -> String {
        self.rpc.describe()
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> u64 {
        self.rpc.http().connections()
    }

    /// Refuses a node of another network, and finds out what it offers.
    pub fn greet(&mut self) -> Result<()> {
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
        let reply = self.rpc.http().get(&path);
        self.rest = reply.is_ok_and(|reply| reply.status == 200 && reply.body.len() == 80);
        Ok(())
    }

    /// The best block.
    pub fn best(&self) -> Result<BlockRef> {
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
    pub fn hash_at(&self, height: u32) -> Result<Option<BlockHash>> {
        let reply = self.rpc.call("getblockhash", &[json!(height)]);
        self.found(reply, code::OUT_OF_RANGE)
    }

    /// The best chain's blocks from `first` to `last`, in one exchange; fewer if the chain is shorter.
    pub fn hashes(&self, first: u32, last: u32) -> Result<Vec<BlockRef>> {
        let heights = (first..=last).map(|height| json!([height]));
        let hashes = self.rpc.batch("getblockhash", heights);
        let hashes = hashes.map_err(|error| self.failed(error))?;
        let places = (first..=last).zip(hashes);
        let blocks = places.map(|(height, hash)| BlockRef { height, hash });
        Ok(blocks.collect())
    }

    /// Where a block stands; `None` if the node has never heard of it.
    pub fn place_of(&self, hash: BlockHash) -> Result<Option<Place>> {
        let reply = self.rpc.call("getblockheader", &[json!(hash)]);
        self.found(reply, code::NOT_FOUND)
    }

    /// Whether the node was told or has found that a branch is invalid which leaves the best chain at
    /// `fork` and reaches `height`.
    pub fn has_refused_branch(&self, fork: u32, height: u32) -> Result<bool> {
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
    pub fn block_at(&self, height: u32) -> Result<Option<Block>> {
        let Some(hash) = self.hash_at(height)? else {
            return Ok(None);
        };
        self.block(BlockRef { height, hash }).map(Some)
    }

    /// A block, checked.
    pub fn block(&self, at: BlockRef) -> Result<Block> {
        self.check(self.fetch(at)?)
    }

    /// What the node sends for blocks of its best chain: over two connections in turns, or in one exchange where it sends
    /// digits. One request after the other would often be held for up to 50 ms ([`super::http::Http::get_all`]).
    pub fn fetch_all(&self, blocks: &[BlockRef]) -> Result<Vec<Unchecked>> {
        if blocks.len() > 1 {
            let fetched = match self.rest {
                true => self.fetch_bytes(blocks),
                false => self.fetch_digits(blocks),
            };
            if fetched.len() == blocks.len() {
                let pairs = blocks.iter().zip(fetched);
                return Ok(pairs.map(|(&at, raw)| Unchecked { at, raw }).collect());
            }
        }
        // One after the other also tells what went wrong.
        blocks.iter().map(|at| self.fetch(*at)).collect()
    }

    fn fetch_bytes(&self, blocks: &[BlockRef]) -> Vec<Vec<u8>> {
        let paths: Vec<String> = blocks.iter().map(rest_path).collect();
        let replies = self.rpc.http().get_all(&paths).unwrap_or_default();
        let good = replies.into_iter().filter(|reply| reply.status == 200);
        good.map(|reply| reply.body).collect()
    }

    fn fetch_digits(&self, blocks: &[BlockRef]) -> Vec<Vec<u8>> {
        let calls = blocks.iter().map(|at| json!([at.hash, 0]));
        let fetched: Vec<Bytes> = self.rpc.batch("getblock", calls).unwrap_or_default();
        fetched.into_iter().map(|Bytes(raw)| raw).collect()
    }

    fn fetch(&self, at: BlockRef) -> Result<Unchecked> {
        if self.rest
            && let Ok(reply) = self.rpc.http().get(&rest_path(&at))
            && reply.status == 200
        {
            let raw = reply.body;
            return Ok(Unchecked { at, raw });
        }
        let reply = self.rpc.call("getblock", &[json!(at.hash), json!(0)]);
        let Bytes(raw) = reply.map_err(|error| self.missing_block(at, error))?;
        Ok(Unchecked { at, raw })
    }

    /// The block, if that is what the node sent.
    pub fn check(&self, block: Unchecked) -> Result<Block> {
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
    pub fn spent_by(&self, at: BlockRef) -> Result<Option<HashMap<OutPoint, Spent>>> {
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
            prevout: Option<Spent>,
        }
        let reply = self.rpc.call("getblock", &[json!(at.hash), json!(3)]);
        let block: Block = reply.map_err(|error| self.missing_block(at, error))?;
        let mut spent = HashMap::new();
        for input in block.tx.into_iter().flat_map(|spender| spender.vin) {
            let (Some(txid), Some(vout)) = (input.txid, input.vout) else {
                continue; // a coinbase
            };
            let Some(output) = input.prevout else {
                return Ok(None);
            };
            spent.insert(OutPoint { txid, vout }, output);
        }
        Ok(Some(spent))
    }

    /// An output by its transaction, which an older node finds only with `txindex=1`.
    pub fn output(&self, outpoint: OutPoint) -> Result<TxOut> {
        let OutPoint { txid, vout } = outpoint;
        let reply = self.rpc.transaction(txid);
        let transaction = reply.map_err(|error| self.missing_transaction(txid, error))?;
        let output = transaction.output.into_iter().nth(vout as usize);
        output.ok_or_else(|| {
            SourceError::Unavailable(format!(
                "{} sent a block that spends {outpoint}, which does not exist: check the node",
                self.describe()
            ))
        })
    }

    /// Returns after news or `milliseconds`; `false` at once if the node does not offer to wait.
    pub fn wait_for_block(&self, milliseconds: u64) -> bool {
        let arguments = [json!(milliseconds)];
        self.rpc
            .call::<Value>("waitfornewblock", &arguments)
            .is_ok()
    }

    /// The node knows the block and cannot give it.
    pub(super) fn missing_block(&self, at: BlockRef, error: CallError) -> SourceError {
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
    pub(super) fn missing_transaction(&self, txid: Txid, error: CallError) -> SourceError {
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

    fn call<T: for<'a> Deserialize<'a>>(&self, name: &str, arguments: &[Value]) -> Result<T> {
        let reply = self.rpc.call(name, arguments);
        reply.map_err(|error| self.failed(error))
    }

    /// The reply, or `None` if the node refuses with the code for "there is none".
    fn found<T>(&self, reply: Result<T, CallError>, absent: i32) -> Result<Option<T>> {
        match reply {
            Ok(value) => Ok(Some(value)),
            Err(CallError::Refused { code, .. }) if code == absent => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    pub(super) fn failed(&self, error: CallError) -> SourceError {
        SourceError::Unavailable(self.rpc.explain(error))
    }
}

fn rest_path(at: &BlockRef) -> String {
    format!("/rest/block/{}.bin", at.hash)
}

/// What a node sends as hexadecimal digits.
pub(super) struct Bytes(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Digits<'a>(#[serde(borrow)] Cow<'a, str>); // borrowed, so that megabytes are not copied
        let Digits(digits) = Digits::deserialize(deserializer)?;
        let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
        bytes.map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_become_bytes() {
        let read = |digits: &str| -> Option<Vec<u8>> {
            let bytes: Bytes = serde_json::from_value(json!(digits)).ok()?;
            Some(bytes.0)
        };
        assert_eq!(read("00fFa1"), Some(vec![0, 0xff, 0xa1]));
        assert_eq!(read(""), Some(Vec::new()));
        for wrong in ["0", "0g", "g0", "0x", "\u{e4}"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
