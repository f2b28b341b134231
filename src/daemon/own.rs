//! What the daemon answers to commands that own names: the state that rules look at, and forecasts.
//!
//! It never sees a key: transactions arrive finished, or unsigned to be judged.

use std::str::FromStr;

use bitcoin::consensus::deserialize;
use bitcoin::hashes::sha256d;
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut, Txid};

use super::service::{Answered, Service, operation, trouble, usage};
use crate::api::message::{Reply, Request};
use crate::api::own::{
    ChainReply, IndexedOperation, JudgeReply, JudgeRequest, JudgedTransaction, LABELS_MAX,
    NAMES_MAX, NameEvent, NameReply, NameRow, NameState, NamesReply, NamesRequest, NamespaceReply,
    NamespaceState, NamespacesReply, OperationReply, OperationRequest, PreorderReply, PreorderRow,
    PriceReply, PricesReply, PricesRequest, SEARCH_MAX, Verdict, ZonefileReply,
};
use crate::bns::address::Address;
use crate::bns::forecast as judge;
use crate::bns::price::PriceFunction;
use crate::bns::record::{NameRecord, NamespaceRecord, TokenUnits};
use crate::bns::view::View as _;
use crate::bns::{Bns, Name, NamespaceId, life, price};
use crate::config::SourceKind;
use crate::hash::{PreorderHash, ZonefileHash, decode_hex, encode_hex};
use crate::resolver::Snapshots as _;
use crate::resolver::{NameSource as _, SyncState};
use crate::store::{Lookup, StoreSnapshot, StoredDecision};
use crate::virtualchain::{SnapshotView as _, VirtualTransaction};

/// Most transactions in one forecast, and most blocks.
const JUDGED_MAX: usize = 1_000;

impl Service {
    /// Replies to a request of a command that owns names.
    pub(super) fn own(&self, request: Request) -> Answered<Reply> {
        match request {
            Request::Chain(_) => self.chain().map(|reply| Reply::Chain(Box::new(reply))),
            Request::Name(request) => {
                let name = name(&request.name)?;
                self.name(&name).map(|reply| Reply::Name(Box::new(reply)))
            }
            Request::Names(request) => self.list(&request).map(Reply::Names),
            Request::Namespace(request) => {
                let id = namespace_id(&request.id)?;
                let snapshot = self.names.store.snapshot();
                let row = snapshot.namespace(&id).map_err(trouble)?;
                Ok(Reply::Namespace(Box::new(
                    self.namespace(&id, row.as_ref()),
                )))
            }
            Request::Namespaces(_) => self.namespaces().map(Reply::Namespaces),
            Request::Prices(request) => self.prices(&request).map(Reply::Prices),
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
            Request::Lookup(_)
            | Request::Explain(_)
            | Request::Portal(_)
            | Request::Status(_)
            | Request::Cache(_)
            | Request::Prefer(_) => Err(usage("this request is answered elsewhere")),
        }
    }

    fn node(&self) -> Answered<&super::node::DevNode> {
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
    fn next(&self) -> u32 {
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
        let newest = self.node.as_ref().map_or(0, super::node::DevNode::height);
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

// ---- names ----------------------------------------------------------------------------------------------

impl Service {
    fn name(&self, name: &Name) -> Answered<NameReply> {
        let snapshot = self.names.store.snapshot();
        let versions = self.names.params.addresses;
        let id = name
            .namespace_id()
            .ok_or_else(|| usage(format!("{name} can belong to no namespace")))?;
        let namespace = snapshot.namespace(&id).map_err(trouble)?;
        let mut reply = NameReply {
            name: name.to_string(),
            price: self.price(name, namespace.as_ref()),
            ..NameReply::default()
        };
        let history = snapshot.name_history(name).map_err(trouble)?;
        if let Some(entry) = history.last() {
            reply.operation = Some(operation(entry.op).to_owned());
            reply.txid = Some(entry.txid.to_string());
            reply.height = Some(entry.height);
        }
        reply.history = history
            .iter()
            .map(|entry| NameEvent {
                height: entry.height,
                vtxindex: entry.vtxindex,
                txid: entry.txid.to_string(),
                operation: operation(entry.op).to_owned(),
                owner: entry
                    .record
                    .address()
                    .map(|address| address.encode(versions)),
                zonefile_hash: entry.record.value_hash.map(|hash| hash.to_string()),
            })
            .collect();
        if let Some(record) = snapshot.name(name).map_err(trouble)? {
            self.fill(&mut reply, &record, namespace.as_ref())?;
        }
        Ok(reply)
    }

    fn fill(
        &self,
        reply: &mut NameReply,
        record: &NameRecord,
        namespace: Option<&NamespaceRecord>,
    ) -> Answered<()> {
        let row = self.row(record, namespace);
        reply.state = row.state;
        reply.owner = row.owner;
        reply.owner_script = Some(encode_hex(&record.sender));
        reply.zonefile_hash = row.zonefile_hash;
        reply.expires_at = row.expires_at;
        reply.renewal_deadline = row.renewal_deadline;
        if let Some(hash) = &record.value_hash {
            let found = self.names.archive.get(hash).map_err(trouble)?;
            reply.zonefile_present = matches!(found, Lookup::Found(_));
        }
        reply.first_registered = Some(record.first_registered);
        reply.last_renewed = Some(record.last_renewed);
        reply.imported = record.is_imported();
        let end = namespace
            .and_then(|namespace| life::end(&self.names.params, record, namespace, self.next()));
        // Rules ask the block before, so that a registration passes one block after the end (sm §10).
        reply.free_at = end.and_then(|end| u32::try_from(end + 1).ok());
        Ok(())
    }

    fn row(&self, record: &NameRecord, namespace: Option<&NamespaceRecord>) -> NameRow {
        let params = &self.names.params;
        let next = self.next();
        let live = life::is_live(params, record, namespace, next.saturating_sub(1));
        let grace = namespace
            .is_some_and(|namespace| life::in_grace_period(params, record, namespace, next));
        let expiry = namespace.and_then(|namespace| life::expiry(params, record, namespace, next));
        let height = |height: u64| u32::try_from(height).ok();
        NameRow {
            name: record.name.to_string(),
            state: match (live, record.revoked, grace) {
                (false, _, _) => NameState::Free,
                (true, true, _) => NameState::Revoked,
                (true, false, true) => NameState::Grace,
                (true, false, false) => NameState::Registered,
            },
            owner: record
                .address()
                .map(|address| address.encode(params.addresses)),
            zonefile_hash: record.value_hash.map(|hash| hash.to_string()),
            expires_at: expiry.and_then(|expiry| height(expiry.expire_block)),
            renewal_deadline: expiry.and_then(|expiry| height(expiry.renewal_deadline)),
        }
    }

    /// What the name costs in the next block, and whom it is paid to (sm §7.3).
    fn price(&self, name: &Name, namespace: Option<&NamespaceRecord>) -> Option<PriceReply> {
        let namespace = namespace?;
        let (params, next) = (&self.names.params, self.next());
        let epoch = params.epoch(next);
        let period = u64::from(epoch.namespace_receive_fees_period);
        let to_creator =
            namespace.version == 2 && u64::from(namespace.reveal_block) + period >= u64::from(next);
        let pay_to = if to_creator {
            namespace.address
        } else {
            params.burn_address
        };
        let tokens = epoch.features.nameops_cost_tokens;
        let (satoshi, micro_stacks) = if namespace.version == 3 {
            let price = price::name_price_in_version_3(&namespace.price, name.label());
            (None, price.to_u64())
        } else {
            let price = price::name_price(&namespace.price, name.label(), params, epoch);
            let stacks = price::name_price_in_stacks(price).to_u64();
            (price.least_fee(), stacks.filter(|_| tokens && !to_creator))
        };
        Some(PriceReply {
            satoshi,
            micro_stacks,
            pay_to: pay_to.encode(params.addresses),
        })
    }

    fn list(&self, request: &NamesRequest) -> Answered<NamesReply> {
        let snapshot = self.names.store.snapshot();
        let wanted = self.wanted(&snapshot, request)?;
        let next = self.next();
        let mut names = Vec::new();
        let mut last = None;
        for record in wanted.records {
            last = Some(record.name.to_string());
            let id = record.name.namespace_id();
            let namespace = match &id {
                Some(id) => snapshot.namespace(id).map_err(trouble)?,
                None => None,
            };
            let row = self.row(&record, namespace.as_ref());
            let within = |within: u32| {
                row.expires_at
                    .is_some_and(|end| end <= next.saturating_add(within))
            };
            let expiring = request.expiring_within.is_none_or(within);
            if row.state != NameState::Free && expiring {
                names.push(row);
            }
        }
        Ok(NamesReply {
            names,
            next: last.filter(|_| wanted.more),
        })
    }

    fn wanted(&self, snapshot: &StoreSnapshot, request: &NamesRequest) -> Answered<Wanted> {
        if request.owners.is_empty() {
            let after = request.after.as_deref().map(name).transpose()?;
            let records = snapshot.names(after.as_ref(), NAMES_MAX).map_err(trouble)?;
            let more = records.len() == NAMES_MAX;
            return Ok(Wanted { records, more });
        }
        let mut records = Vec::new();
        for owner in &request.owners {
            let address = self.address(owner)?;
            for name in snapshot
                .names_of_sender(&address.script())
                .map_err(trouble)?
            {
                records.extend(snapshot.name(&name).map_err(trouble)?);
                if records.len() >= NAMES_MAX {
                    return Ok(Wanted {
                        records,
                        more: false,
                    });
                }
            }
        }
        Ok(Wanted {
            records,
            more: false,
        })
    }

    fn address(&self, text: &str) -> Answered<Address> {
        Address::decode(text, self.names.params.addresses)
            .ok_or_else(|| usage(format!("{text:?} is no address of this network")))
    }
}

struct Wanted {
    records: Vec<NameRecord>,
    more: bool,
}

// ---- namespaces -----------------------------------------------------------------------------------------

impl Service {
    fn namespaces(&self) -> Answered<NamespacesReply> {
        let rows = self.names.store.snapshot().namespaces().map_err(trouble)?;
        let namespaces = rows
            .iter()
            .map(|row| self.namespace(&row.namespace_id, Some(row)));
        Ok(NamespacesReply {
            namespaces: namespaces.collect(),
        })
    }

    fn namespace(&self, id: &NamespaceId, row: Option<&NamespaceRecord>) -> NamespaceReply {
        let (params, next) = (&self.names.params, self.next());
        let epoch = params.epoch(next);
        let tokens = epoch.features.stacks_buy_namespaces;
        let price = |units| price::namespace_price(id, epoch, units);
        let mut reply = NamespaceReply {
            id: id.to_string(),
            price: PriceReply {
                satoshi: price(TokenUnits::Btc),
                micro_stacks: price(TokenUnits::Stacks).filter(|_| tokens),
                pay_to: params.burn_address.encode(params.addresses),
            },
            ..NamespaceReply::default()
        };
        let Some(row) = row else {
            return reply;
        };
        reply.state = if life::is_ready(row) {
            NamespaceState::Ready
        } else if life::is_revealed(params, row, next.saturating_sub(1)) {
            NamespaceState::Revealed
        } else {
            NamespaceState::Free
        };
        reply.version = Some(row.version);
        reply.lifetime = Some(row.lifetime);
        reply.prices = Some(row.price.into());
        reply.payer = Some(row.address.encode(params.addresses));
        reply.revealer = Some(row.recipient_address.encode(params.addresses));
        reply.reveal_block = Some(row.reveal_block);
        reply.ready_block = Some(row.ready_block).filter(|_| life::is_ready(row));
        reply.lapses_at = Some(
            row.reveal_block
                .saturating_add(params.namespace_reveal_expire),
        )
        .filter(|_| !life::is_ready(row));
        reply
    }
}

impl Service {
    /// Prices by the arithmetic of the next block's epoch (sm §7.1).
    fn prices(&self, request: &PricesRequest) -> Answered<PricesReply> {
        if request.labels.len() > LABELS_MAX {
            return Err(usage(format!(
                "at most {LABELS_MAX} labels can be asked for at once"
            )));
        }
        let function: PriceFunction = request.function.into();
        if function.nonalpha_discount == 0 || function.no_vowel_discount == 0 {
            return Err(usage("a discount is 1 to 15"));
        }
        let params = &self.names.params;
        let epoch = params.epoch(self.next());
        let in_tokens = request.version == 3;
        let price = |label: &String| {
            if in_tokens {
                price::name_price_in_version_3(&function, label).to_u64()
            } else {
                price::name_price(&function, label, params, epoch).least_fee()
            }
        };
        Ok(PricesReply {
            unit: if in_tokens { "µSTX" } else { "satoshi" }.to_owned(),
            prices: request.labels.iter().map(price).collect(),
        })
    }
}

// ---- operations -----------------------------------------------------------------------------------------

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
        let judgements = judge::judge(&bns, &*snapshot, tip, tip + 1, &blocks).map_err(trouble)?;
        let refused = judgements
            .iter()
            .any(|judgement| judgement.outcome.is_err());
        let passes_at = match &request.about {
            Some(about) if refused => {
                judge::passes_at(&bns, &*snapshot, tip, &blocks, about).map_err(trouble)?
            }
            _ => None,
        };
        Ok(JudgeReply {
            height: tip + 1,
            verdicts: judgements.iter().map(verdict).collect(),
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

fn verdict(judgement: &judge::Judgement) -> Verdict {
    let reject = judgement.outcome.as_ref().err();
    Verdict {
        height: judgement.height,
        operation: judgement.operation.to_owned(),
        reject: reject.map(|reject| format!("{reject:?}")),
        reason: reject.map(ToString::to_string),
        text: judgement.outcome.clone().ok().flatten(),
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

pub(super) fn transaction(text: &str) -> Answered<Transaction> {
    deserialize(&hex(text)?).map_err(|error| usage(format!("not a transaction: {error}")))
}

pub(super) fn hex(text: &str) -> Answered<Vec<u8>> {
    decode_hex(text).ok_or_else(|| usage("bytes are written as pairs of hex digits"))
}

fn name(text: &str) -> Answered<Name> {
    text.parse()
        .map_err(|error| usage(format!("{text:?} is no name: {error}")))
}

fn namespace_id(text: &str) -> Answered<NamespaceId> {
    text.parse()
        .map_err(|error| usage(format!("{text:?} is no namespace: {error}")))
}
