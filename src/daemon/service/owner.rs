//! What the owner's engine asks: constants of the chain, forecasts, zone files, coins.
//!
//! A key never gets here: transactions arrive finished, or unsigned to be judged.

use bitcoin::Amount;

use super::Service;
use super::answered::{Answered, trouble, usage};
use super::node::DevNode;
use crate::api::message::{Reply, Request};
use crate::api::owner::{
    ChainReply, JudgeRequest, OperationReply, PreorderReply, PreorderRow, PublishRequest,
    SEARCH_MAX, ZonefileReply,
};
use crate::bns::view::View as _;
use crate::bns::{Bns, forecast};
use crate::config::Network;
use crate::hash::{ConsensusHash, PreorderHash, ZonefileHash};
use crate::names::Names;
use crate::resolver::Snapshots as _;
use crate::resolver::{NameSource as _, SyncState};
use crate::store::{Lookup, StoreSnapshot, StoredDecision};
use crate::virtualchain::{SnapshotView as _, VirtualTransaction};
use crate::wallet::task::state::{
    ChainFacts, IndexedOperation, Judgement, Proposed, Search, Verdict,
};

/// Most transactions in one forecast, and most blocks.
const JUDGED_MAX: usize = 1_000;

impl Service {
    /// Replies to a request of somebody who owns names.
    pub(super) fn owner(&self, request: Request) -> Answered<Reply> {
        match request {
            Request::Chain(_) => self.chain().map(|reply| Reply::Chain(Box::new(reply))),
            Request::Preorder(request) => self.preorders(request.hash).map(Reply::Preorder),
            Request::Judge(request) => self.judge(request).map(Reply::Judge),
            Request::Operation(request) => self.operations(&request).map(Reply::Operation),
            Request::Publish(request) => self.publish(&request).map(Reply::Zonefile),
            Request::Zonefile(request) => self.zonefile(request.hash).map(Reply::Zonefile),
            Request::Coins(request) => self.node()?.coins(&request).map(Reply::Coins),
            Request::Submit(request) => self.node()?.submit(request).map(Reply::Mined),
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

    fn chain(&self) -> Answered<ChainReply> {
        let names = self.names.snapshot();
        let params = &self.names.params;
        let tip = names.snapshot().tip();
        let features = &params.epoch(names.next()).features;
        let hash = tip.map_or(params.initial_consensus_hash, |tip| tip.consensus_hash);
        let indexed = tip.map_or(0, |tip| tip.height);
        let known = self.names.progress.best_height();
        let newest = self.node.as_ref().map_or(0, DevNode::height);
        let best_height = known.max(indexed).max(newest);
        Ok(ChainReply {
            facts: ChainFacts {
                network: self.network,
                magic: params.magic,
                first_block: params.first_block,
                p2pkh_version: params.addresses.p2pkh,
                p2sh_version: params.addresses.p2sh,
                register_with_value_hash: features.register_with_value_hash,
                names_take_tokens: features.nameops_cost_tokens,
                height: tip.map(|tip| tip.height),
                block_time: tip.map(|tip| tip.time),
                best_height,
                synced: names.sync() == SyncState::Synced
                    && (names.is_final()
                        || indexed.saturating_add(self.confirmations) >= best_height),
                last_block: params.last_block,
                ended_at: self.ended_at(best_height),
                network_meaning: self.network_meaning(),
                consensus_hash: hash,
                consensus_hash_lifetime: params.consensus_hash_lifetime,
                quotable: self.quotable(names.snapshot())?,
                confirmations: self.confirmations,
            },
            source: self.source_kind,
            listeners: self.listeners.clone(),
        })
    }
}

impl Service {
    /// The last block of the network, if the next block of the chain lies above it. The historical one has ended, however
    /// far the source is.
    fn ended_at(&self, best_height: u32) -> Option<u32> {
        let last = self.names.params.last_block?;
        (self.network == Network::Mainnet || best_height >= last).then_some(last)
    }

    /// What a name on this network means, and to whom.
    pub(super) fn network_meaning(&self) -> String {
        self.network.meaning(&self.names.params)
    }

    /// The consensus hashes of the last heights, newest first (sm §2, CHVALID).
    fn quotable(&self, snapshot: &StoreSnapshot) -> Answered<Vec<ConsensusHash>> {
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
        Ok(hashes.into_iter().flatten().collect())
    }
}

impl Service {
    fn preorders(&self, hash: PreorderHash) -> Answered<PreorderReply> {
        let rows = self.names.store.snapshot().preorders(&hash);
        let rows = rows.map_err(trouble)?.into_iter().map(|row| PreorderRow {
            height: row.block_number,
            txid: row.txid,
            satoshi: Amount::from_sat(row.op_fee),
        });
        Ok(PreorderReply {
            preorders: rows.collect(),
        })
    }

    fn judge(&self, request: JudgeRequest) -> Answered<Judgement> {
        let count: usize = request.blocks.iter().map(Vec::len).sum();
        if count > JUDGED_MAX || request.blocks.len() > JUDGED_MAX {
            return Err(usage(format!(
                "at most {JUDGED_MAX} transactions can be judged at once"
            )));
        }
        let pretended = |block: Vec<Proposed>| (1..).zip(block).map(pretend).collect();
        let blocks: Vec<Vec<_>> = request.blocks.into_iter().map(pretended).collect();
        let names = self.names.snapshot();
        let snapshot = names.snapshot();
        let tip = self.tip_height()?;
        let bns = Bns::new((*self.names.params).clone());
        let forecasts =
            forecast::forecast(&bns, snapshot, tip, tip + 1, &blocks).map_err(trouble)?;
        let verdicts = forecasts.into_iter().map(|it| verdict(&names, it));
        let mut reply = Judgement {
            height: tip + 1,
            verdicts: verdicts.collect::<Answered<_>>()?,
            ..Judgement::default()
        };
        if let (Some(_), Some(about)) = (reply.refusal(), &request.about) {
            reply.passes_at =
                forecast::accepted_from(&bns, snapshot, tip, &blocks, about).map_err(trouble)?;
            reply.passes_at_estimated = names.date(reply.passes_at).map_err(trouble)?;
        }
        Ok(reply)
    }

    fn operations(&self, search: &Search) -> Answered<OperationReply> {
        let names = self.names.snapshot();
        let snapshot = names.snapshot();
        let Some(tip) = snapshot.tip() else {
            return Ok(OperationReply::default());
        };
        let first = search.from.max(tip.height.saturating_sub(SEARCH_MAX));
        let mut operations = Vec::new();
        for height in first..=tip.height {
            for stored in snapshot.operations_at(height).map_err(trouble)? {
                let normalized = stored.candidate.transaction.compute_ntxid();
                if !search.normalized.contains(&normalized) {
                    continue;
                }
                operations.push(IndexedOperation {
                    txid: stored.candidate.txid,
                    normalized,
                    height,
                    time: names.time(height).map_err(trouble)?,
                    consensus_hash: snapshot.consensus_hash(height).map_err(trouble)?,
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

    fn publish(&self, request: &PublishRequest) -> Answered<ZonefileReply> {
        let hash = self.names.archive.put(&request.zonefile).map_err(trouble)?;
        Ok(ZonefileReply {
            hash,
            zonefile: None,
        })
    }

    fn zonefile(&self, hash: ZonefileHash) -> Answered<ZonefileReply> {
        let zonefile = match self.names.archive.get(&hash).map_err(trouble)? {
            Lookup::Found(bytes) => Some(bytes.to_vec()),
            Lookup::Absent | Lookup::Tampered { .. } => None,
        };
        Ok(ZonefileReply { hash, zonefile })
    }
}

fn verdict(names: &Names, forecast: forecast::Forecast) -> Answered<Verdict> {
    let reject = forecast.outcome.as_ref().err().copied();
    Ok(Verdict {
        height: forecast.height,
        height_estimated: names.date(Some(forecast.height)).map_err(trouble)?,
        operation: forecast.operation.to_owned(),
        reject,
        reason: reject.map(|reject| reject.to_string()),
        text: forecast.outcome.ok().flatten(),
    })
}

fn pretend((vtxindex, proposed): (u32, Proposed)) -> VirtualTransaction {
    VirtualTransaction {
        vtxindex,
        txid: proposed.transaction.compute_txid(),
        prevouts: proposed.prevouts.into_iter().map(Into::into).collect(),
        transaction: proposed.transaction,
    }
}
