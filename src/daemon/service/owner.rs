//! What the owner's engine asks: constants of the chain, forecasts, zone files, coins.
//!
//! A key never gets here: transactions arrive finished, or unsigned to be judged.

use std::str::FromStr;

use bitcoin::hashes::sha256d;
use bitcoin::{Amount, ScriptBuf, TxOut, Txid};

use super::Service;
use super::answered::{Answered, hex, transaction, trouble, usage};
use super::node::DevNode;
use crate::api::message::{Reply, Request};
use crate::api::owner::{
    ChainReply, IndexedOperation, JudgeReply, JudgeRequest, JudgedTransaction, OperationReply,
    OperationRequest, PreorderReply, PreorderRow, SEARCH_MAX, Verdict, ZonefileReply,
};
use crate::bns::view::View as _;
use crate::bns::{Bns, forecast};
use crate::config::SourceKind;
use crate::hash::{PreorderHash, ZonefileHash, encode_hex};
use crate::resolver::Snapshots as _;
use crate::resolver::{NameSource as _, SyncState};
use crate::store::{Lookup, StoreSnapshot, StoredDecision};
use crate::virtualchain::{SnapshotView as _, VirtualTransaction};

/// Most transactions in one forecast, and most blocks.
const JUDGED_MAX: usize = 1_000;

impl Service {
    /// Replies to a request of somebody who owns names.
    pub(super) fn owner(&self, request: Request) -> Answered<Reply> {
        match request {
            Request::Chain(_) => self.chain().map(|reply| Reply::Chain(Box::new(reply))),
            Request::Preorder(request) => self.preorders(&request.hash).map(Reply::Preorder),
            Request::Judge(request) => self.judge(&request).map(Reply::Judge),
            Request::Operation(request) => self.operations(&request).map(Reply::Operation),
            Request::Publish(request) => {
                let bytes = hex(&request.zonefile)?;
                let hash = self.names.archive.put(&bytes).map_err(trouble)?;
                Ok(Reply::Zonefile(ZonefileReply {
                    hash: hash.to_string(),
                    zonefile: None,
                }))
            }
            Request::Zonefile(request) => self.zonefile(&request.hash).map(Reply::Zonefile),
            Request::Coins(request) => self.node()?.coins(&request).map(Reply::Coins),
            Request::Submit(request) => self.node()?.submit(&request).map(Reply::Mined),
            Request::Mine(request) => self.node()?.mine(&request).map(Reply::Mined),
            Request::Faucet(request) => self
                .node()?
                .faucet(&request, self.names.params.addresses)
                .map(Reply::Mined),
            _ => Err(usage("this request is answered elsewhere")),
        }
    }

    fn node(&self) -> Answered<&DevNode> {
        self.node.as_ref().ok_or_else(|| {
            usage("only the embedded chain takes transactions here: set `chain.source = \"dev\"`, or use a Bitcoin node")
        })
    }

    fn tip_height(&self) -> Answered<u32> {
        let tip = self.names.store.snapshot().tip();
        tip.map(|tip| tip.height).ok_or_else(|| {
            trouble("no block is indexed yet: wait for the first one, `bnsd status` shows how far it is")
        })
    }

    /// The height that the rules are asked about: that of the next block.
    pub(super) fn next(&self) -> u32 {
        let tip = self.names.store.snapshot().tip();
        tip.map_or(self.names.params.first_block, |tip| tip.height + 1)
    }

    fn chain(&self) -> Answered<ChainReply> {
        let names = self.names.snapshot();
        let params = &self.names.params;
        let tip = names.snapshot().tip();
        let features = &params.epoch(self.next()).features;
        let hash = tip.map_or(params.initial_consensus_hash, |tip| tip.consensus_hash);
        let indexed = tip.map_or(0, |tip| tip.height);
        let known = self.names.progress.best_height();
        let newest = self.node.as_ref().map_or(0, DevNode::height);
        let best_height = known.max(indexed).max(newest);
        Ok(ChainReply {
            network: self.network.as_str().to_owned(),
            source: source(self.source_kind).to_owned(),
            magic: encode_hex(&params.magic),
            p2pkh_version: params.addresses.p2pkh,
            p2sh_version: params.addresses.p2sh,
            burn_address: params.burn_address.encode(params.addresses),
            register_with_value_hash: features.register_with_value_hash,
            names_take_tokens: features.nameops_cost_tokens,
            namespaces_cost_tokens: features.stacks_buy_namespaces,
            height: tip.map(|tip| tip.height),
            best_height,
            synced: names.sync() == SyncState::Synced
                && indexed.saturating_add(self.confirmations) >= best_height,
            consensus_hash: hash.to_string(),
            consensus_hash_lifetime: params.consensus_hash_lifetime,
            quotable: self.quotable(names.snapshot())?,
            confirmations: self.confirmations,
            listeners: self.listeners.iter().map(ToString::to_string).collect(),
        })
    }
}

impl Service {
    /// The consensus hashes of the last heights, newest first (sm §2, CHVALID).
    fn quotable(&self, snapshot: &StoreSnapshot) -> Answered<Vec<String>> {
        let Some(tip) = snapshot.tip() else {
            return Ok(Vec::new());
        };
        let params = &self.names.params;
        let oldest = tip
            .height
            .saturating_sub(params.consensus_hash_lifetime - 1);
        let heights = (oldest.max(params.first_block)..=tip.height).rev();
        let hashes = heights.map(|height| snapshot.consensus_hash(height).map_err(trouble));
        let hashes: Vec<_> = hashes.collect::<Answered<_>>()?;
        Ok(hashes.iter().flatten().map(ToString::to_string).collect())
    }
}

fn source(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::None => "none",
        SourceKind::Dev => "dev",
        SourceKind::Bitcoind => "bitcoind",
        SourceKind::Blockfiles => "blockfiles",
    }
}

impl Service {
    fn preorders(&self, hash: &str) -> Answered<PreorderReply> {
        let hash: PreorderHash = hash
            .parse()
            .map_err(|_| usage("a preorder hash is 40 hex digits"))?;
        let rows = self.names.store.snapshot().preorders(&hash);
        let rows = rows.map_err(trouble)?.into_iter().map(|row| PreorderRow {
            height: row.block_number,
            txid: row.txid.to_string(),
            satoshi: row.op_fee,
        });
        Ok(PreorderReply {
            preorders: rows.collect(),
        })
    }

    fn judge(&self, request: &JudgeRequest) -> Answered<JudgeReply> {
        let count: usize = request.blocks.iter().map(Vec::len).sum();
        if count > JUDGED_MAX || request.blocks.len() > JUDGED_MAX {
            return Err(usage(format!(
                "at most {JUDGED_MAX} transactions can be judged at once"
            )));
        }
        let mut blocks = Vec::new();
        for block in &request.blocks {
            let transactions = (1..)
                .zip(block)
                .map(|(vtxindex, judged)| pretend(vtxindex, judged));
            blocks.push(transactions.collect::<Answered<Vec<_>>>()?);
        }
        let snapshot = self.names.store.snapshot();
        let tip = self.tip_height()?;
        let bns = Bns::new((*self.names.params).clone());
        let forecasts =
            forecast::forecast(&bns, &*snapshot, tip, tip + 1, &blocks).map_err(trouble)?;
        let refused = forecasts.iter().any(|forecast| forecast.outcome.is_err());
        let passes_at = match &request.about {
            Some(about) if refused => {
                forecast::accepted_from(&bns, &*snapshot, tip, &blocks, about).map_err(trouble)?
            }
            _ => None,
        };
        Ok(JudgeReply {
            height: tip + 1,
            verdicts: forecasts.iter().map(verdict).collect(),
            passes_at,
        })
    }

    fn operations(&self, request: &OperationRequest) -> Answered<OperationReply> {
        let snapshot = self.names.store.snapshot();
        let Some(tip) = snapshot.tip() else {
            return Ok(OperationReply::default());
        };
        let wanted: Vec<Txid> = hashes(&request.txids)?;
        let normalized: Vec<sha256d::Hash> = hashes(&request.normalized)?;
        let first = request.from.max(tip.height.saturating_sub(SEARCH_MAX));
        let mut operations = Vec::new();
        for height in first..=tip.height {
            for stored in snapshot.operations_at(height).map_err(trouble)? {
                let transaction = &stored.candidate.transaction;
                let is_wanted = wanted.contains(&stored.candidate.txid)
                    || (!normalized.is_empty()
                        && normalized.contains(&transaction.compute_ntxid()));
                if !is_wanted {
                    continue;
                }
                let hash = snapshot.consensus_hash(height).map_err(trouble)?;
                operations.push(IndexedOperation {
                    txid: stored.candidate.txid.to_string(),
                    height,
                    consensus_hash: hash.map(|hash| hash.to_string()).unwrap_or_default(),
                    reason: match stored.decision {
                        StoredDecision::Accepted { .. } => None,
                        StoredDecision::Rejected { reason }
                        | StoredDecision::Unparseable { reason } => Some(reason),
                        StoredDecision::Ignored => Some("it carries no operation".to_owned()),
                    },
                });
            }
        }
        Ok(OperationReply { operations })
    }

    fn zonefile(&self, hash: &str) -> Answered<ZonefileReply> {
        let hash: ZonefileHash = hash
            .parse()
            .map_err(|_| usage("a zone file hash is 40 hex digits"))?;
        let found = self.names.archive.get(&hash).map_err(trouble)?;
        let zonefile = match found {
            Lookup::Found(bytes) => Some(encode_hex(&bytes)),
            Lookup::Absent | Lookup::Tampered { .. } => None,
        };
        Ok(ZonefileReply {
            hash: hash.to_string(),
            zonefile,
        })
    }
}

/// Hashes of transactions, of either kind.
fn hashes<T: FromStr>(texts: &[String]) -> Answered<Vec<T>> {
    let hash = |text: &String| text.parse().ok();
    let hashes: Option<Vec<T>> = texts.iter().map(hash).collect();
    hashes.ok_or_else(|| usage("the hash of a transaction is 64 hex digits"))
}

fn verdict(forecast: &forecast::Forecast) -> Verdict {
    let reject = forecast.outcome.as_ref().err();
    Verdict {
        height: forecast.height,
        operation: forecast.operation.to_owned(),
        reject: reject.map(|reject| format!("{reject:?}")),
        reason: reject.map(ToString::to_string),
        text: forecast.outcome.clone().ok().flatten(),
    }
}

fn pretend(vtxindex: u32, judged: &JudgedTransaction) -> Answered<VirtualTransaction> {
    let transaction = transaction(&judged.transaction)?;
    let prevouts = judged.prevouts.iter().map(|output| {
        Ok(TxOut {
            value: Amount::from_sat(output.satoshi),
            script_pubkey: ScriptBuf::from_bytes(hex(&output.script)?),
        })
    });
    Ok(VirtualTransaction {
        vtxindex,
        txid: transaction.compute_txid(),
        prevouts: prevouts.collect::<Answered<_>>()?,
        transaction,
    })
}
