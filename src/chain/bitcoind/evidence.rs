//! What a log needs of a node beside blocks: headers, and the transactions that candidates spend outputs of.
//!
//! Neither `txindex` nor a wallet is needed. Since Bitcoin Core 23 `getblock` with verbosity 3 gives the height at which each
//! spent output was made, and a transaction is found by its block. Pruned blocks are lost for this.

use std::collections::HashMap;

use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::{BlockHash, OutPoint, Transaction, Txid};
use serde_json::json;

use super::node::{Bytes, Node};
use super::rpc::{CallError, code};
use crate::chain::header::HEADER_LENGTH;
use crate::chain::{BlockRef, Result, SourceError};

impl Node {
    /// The headers of the best chain from a height on; fewer than `count` if the chain is shorter.
    pub fn headers(&self, from: u32, count: u32) -> Result<Vec<Header>> {
        let Some(first) = self.hash_at(from)?.filter(|_| count > 0) else {
            return Ok(Vec::new());
        };
        let headers = match self.rest {
            true => self.headers_by_rest(first, count)?,
            false => self.headers_by_rpc(from, count)?,
        };
        let is_first = headers
            .first()
            .is_some_and(|header| header.block_hash() == first);
        let is_linked = headers
            .windows(2)
            .all(|pair| pair[1].prev_blockhash == pair[0].block_hash());
        match is_first && is_linked {
            true => Ok(headers),
            false => Err(SourceError::Unavailable(format!(
                "{} sent headers from block {from} on that are no chain: check the node",
                self.describe()
            ))),
        }
    }

    fn headers_by_rest(&self, first: BlockHash, count: u32) -> Result<Vec<Header>> {
        let path = format!("/rest/headers/{first}.bin?count={count}");
        let reply = self.rpc.http().get(&path);
        let reply = reply.map_err(|error| self.failed(CallError::Failed(error.to_string())))?;
        let headers = reply
            .body
            .chunks(HEADER_LENGTH)
            .map(|bytes| deserialize(bytes).ok());
        let headers: Option<_> = headers.collect();
        headers.ok_or_else(|| self.no_header())
    }

    fn headers_by_rpc(&self, from: u32, count: u32) -> Result<Vec<Header>> {
        let blocks = self.hashes(from, from.saturating_add(count - 1))?;
        let calls = blocks.iter().map(|at| json!([at.hash, false]));
        let replies: Vec<Bytes> = self
            .rpc
            .batch("getblockheader", calls)
            .map_err(|error| self.failed(error))?;
        let headers = replies.iter().map(|Bytes(bytes)| deserialize(bytes).ok());
        let headers: Option<_> = headers.collect();
        headers.ok_or_else(|| self.no_header())
    }

    fn no_header(&self) -> SourceError {
        self.failed(CallError::Failed(
            "its reply to a question for headers is not what Bitcoin Core sends".to_owned(),
        ))
    }

    /// The transactions that made `outpoints`, all of which are spent by the block at `at`.
    pub fn funding(
        &self,
        at: BlockRef,
        outpoints: &[OutPoint],
    ) -> Result<HashMap<Txid, Transaction>> {
        if outpoints.is_empty() {
            return Ok(HashMap::new());
        }
        let Some(spent) = self.spent_by(at)? else {
            let found = outpoints.iter().map(|outpoint| {
                let transaction = self.rpc.transaction(outpoint.txid);
                let transaction =
                    transaction.map_err(|error| self.missing_transaction(outpoint.txid, error))?;
                Ok((outpoint.txid, transaction))
            });
            return found.collect();
        };
        let found = outpoints.iter().map(|outpoint| {
            let height = spent.get(outpoint).map(|spent| spent.height);
            let height = height.ok_or_else(|| self.does_not_say(at, *outpoint))?;
            let transaction = self.transaction_in(outpoint.txid, height)?;
            Ok((outpoint.txid, transaction))
        });
        found.collect()
    }

    /// A transaction of the best chain's block at a height.
    fn transaction_in(&self, txid: Txid, height: u32) -> Result<Transaction> {
        let hash = self.hash_at(height)?.ok_or_else(|| {
            self.failed(CallError::Failed(format!(
                "it has no block {height} any more"
            )))
        })?;
        let place = BlockRef { height, hash };
        let arguments = [json!(txid), json!(false), json!(hash)];
        let reply = self.rpc.call("getrawtransaction", &arguments);
        let Bytes(bytes) = reply.map_err(|error| self.missing_funding(place, error))?;
        let transaction = deserialize::<Transaction>(&bytes).ok();
        let transaction = transaction.filter(|transaction| transaction.compute_txid() == txid);
        transaction.ok_or_else(|| {
            self.failed(CallError::Failed(format!(
                "it sent something else for transaction {txid}"
            )))
        })
    }

    fn missing_funding(&self, at: BlockRef, error: CallError) -> SourceError {
        match error {
            CallError::Refused {
                code: code::MISC | code::NOT_FOUND,
                message,
            } if message.contains("pruned") || message.contains("not available") => {
                SourceError::Fatal(format!(
                    "{} has pruned block {}, which holds an output that an operation spends: a log is written from a node that keeps all blocks (prune=0, then -reindex), from block files or from another log",
                    self.describe(),
                    at.height
                ))
            }
            error => self.failed(error),
        }
    }

    pub(super) fn does_not_say(&self, at: BlockRef, outpoint: OutPoint) -> SourceError {
        SourceError::Unavailable(format!(
            "{} does not say what block {} spends with {outpoint}: check the node",
            self.describe(),
            at.height
        ))
    }
}
