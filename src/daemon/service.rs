//! What the daemon answers on its control socket: lookups, explanations, its status.
//!
//! A lookup goes the way of a DNS query, through the same handler and the same bytes, so that what it shows
//! is what a client gets. An explanation adds what the answer rests on; a lookup of the past asks the same
//! rules with an older state.

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, Name as DnsName, RData, Record};
use hickory_proto::serialize::binary::{BinEncodable as _, BinEncoder, NameEncoding};

use crate::api::control::Control;
use crate::api::explain::{self, Decision, ExplainReply, Side, ZonefileSource};
use crate::api::lookup::{ExtendedError, LookupReply, LookupRequest, RecordText};
use crate::api::message::{Reply, Request};
use crate::api::status::{
    LIST_MAX, MissingZonefile, StatusReply, WaitingZonefile, ZonefilesStatus,
};
use crate::bns::record::{NameOp, NameRecord};
use crate::bns::{Name, life};
use crate::config::Network;
use crate::dns::names::{NameStore, Names};
use crate::dns::{Handled, Handler, Snapshots as _, Transport};
use crate::folder::Folders;
use crate::resolver::policy::{EffectiveMode, Mode};
use crate::resolver::{
    self, NameSource as _, NameStatus, Outcome, Question, Resolution, Route, SyncState, Target,
    ZoneStatus,
};
use crate::zonefile;

/// What the answers are made from.
pub struct Service {
    pub(super) handler: Arc<Handler<Arc<NameStore>>>,
    pub(super) names: Arc<NameStore>,
    pub(super) folders: Folders,
    pub(super) listeners: Vec<SocketAddr>,
    pub(super) upstreams: Vec<SocketAddr>,
    pub(super) network: Network,
    pub(super) source: Option<String>,
}

impl Control for Service {
    async fn handle(&self, request: Request) -> Reply {
        let reply = match request {
            Request::Lookup(request) => self.lookup(&request).await.map(Reply::Lookup),
            Request::Explain(request) => self
                .explain(&request)
                .await
                .map(|reply| Reply::Explain(Box::new(reply))),
            Request::Status(_) => self.status().map(|reply| Reply::Status(Box::new(reply))),
        };
        reply.unwrap_or_else(|reply| *reply)
    }
}

/// An error is a reply too.
type Answered<T> = Result<T, Box<Reply>>;

fn usage(message: impl Into<String>) -> Box<Reply> {
    Box::new(Reply::usage(message))
}

fn trouble(message: impl std::fmt::Display) -> Box<Reply> {
    Box::new(Reply::trouble(message.to_string()))
}

// ---- lookup ---------------------------------------------------------------------------------------------

impl Service {
    async fn lookup(&self, request: &LookupRequest) -> Answered<LookupReply> {
        let question = question(&request.name, &request.record_type)?;
        match request.at {
            Some(height) => self.lookup_at(&question, height),
            None => self.ask(&question).await,
        }
    }

    /// Asks the handler as a DNS client would.
    async fn ask(&self, question: &Question) -> Answered<LookupReply> {
        let height = self.names.snapshot().height();
        let query = query(question).to_vec().map_err(trouble)?;
        let mut bytes = Vec::new();
        if let Handled::Pending(pending) = self.handler.handle(&query, Transport::Tcp, &mut bytes) {
            self.handler.finish(*pending, &mut bytes).await;
        }
        let message = Message::from_vec(&bytes).map_err(trouble)?;
        let authoritative = message.metadata.authoritative;
        Ok(LookupReply {
            name: plain(&question.name),
            record_type: zonefile::mnemonic(question.rtype).into_owned(),
            rcode: rcode(message.metadata.response_code),
            records: message.answers.iter().map(record_text).collect(),
            height: height.filter(|_| authoritative),
            ede: extended_error(&message),
            authoritative,
        })
    }

    fn lookup_at(&self, question: &Question, height: u32) -> Answered<LookupReply> {
        let names = self.names.at(height).ok_or_else(|| {
            let tip = self.names.snapshot().height();
            usage(match tip {
                Some(tip) => {
                    let first = self.names.params.first_block;
                    format!("height {height} is not indexed: choose one from {first} to {tip}")
                }
                None => "no block is indexed yet: wait for the first one, or ask without --at"
                    .to_owned(),
            })
        })?;
        let policy = self.handler.policy();
        let resolution = resolver::resolve(question, &policy, &names).map_err(trouble)?;
        let Resolution::Answer(answer) = resolution else {
            return Err(usage(
                "the name is not on the chain at that height: an upstream has no past to ask for",
            ));
        };
        Ok(LookupReply {
            name: plain(&question.name),
            record_type: zonefile::mnemonic(question.rtype).into_owned(),
            rcode: rcode(answer.rcode),
            records: answer.answers.iter().map(record_text).collect(),
            height: Some(height),
            ede: answer.ede.map(|ede| ExtendedError {
                code: ede.code,
                text: ede.text.into_owned(),
            }),
            authoritative: true,
        })
    }
}

fn question(name: &str, record_type: &str) -> Answered<Question> {
    let rtype =
        zonefile::record_type(record_type.to_ascii_uppercase().as_bytes()).ok_or_else(|| {
            usage(format!(
                "{record_type} is no record type: use a name like A or TYPE65280"
            ))
        })?;
    let mut name =
        DnsName::from_ascii(name).map_err(|_| usage(format!("{name:?} is no domain name")))?;
    name.set_fqdn(true);
    Ok(Question::new(&name, rtype, DNSClass::IN))
}

fn query(question: &Question) -> Message {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Query;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(question.name.clone(), question.rtype));
    let mut edns = Edns::new();
    edns.set_max_payload(u16::MAX);
    message.set_edns(edns);
    message
}

/// The code by its mnemonic (RFC 6895 §2.3).
fn rcode(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => format!("RCODE{}", u16::from(other)),
    }
}

fn extended_error(message: &Message) -> Option<ExtendedError> {
    const EXTENDED_ERROR: u16 = 15; // RFC 8914 §2
    let option = message
        .edns
        .as_ref()?
        .option(EdnsCode::from(EXTENDED_ERROR))?;
    let EdnsOption::Unknown(_, bytes) = option else {
        return None;
    };
    let (code, text) = bytes.split_first_chunk::<2>()?;
    Some(ExtendedError {
        code: u16::from_be_bytes(*code),
        text: String::from_utf8_lossy(text).into_owned(),
    })
}

fn record_text(record: &Record) -> RecordText {
    let rtype = record.record_type();
    let mut wire = Vec::new();
    let mut encoder = BinEncoder::new(&mut wire);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    let data = match &record.data {
        RData::Unknown { rdata, .. } => rdata.anything.to_vec(),
        // A record that was decoded can be encoded; an empty text would show if not.
        data => data.emit(&mut encoder).map(|()| wire).unwrap_or_default(),
    };
    RecordText {
        owner: record.name.to_ascii(),
        ttl: record.ttl,
        record_type: zonefile::mnemonic(rtype).into_owned(),
        data: zonefile::render_data(rtype, &data),
    }
}

/// A name as people write it.
fn plain(name: &DnsName) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.')
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .unwrap_or(text)
}

// ---- explain --------------------------------------------------------------------------------------------

impl Service {
    async fn explain(&self, request: &explain::ExplainRequest) -> Answered<ExplainReply> {
        let question = question(&request.name, &request.record_type)?;
        let answer = self.ask(&question).await?;
        let names = self.names.snapshot();
        let mut reply = ExplainReply {
            name: answer.name.clone(),
            decision: self.decision(&question, &names)?,
            answer: Some(answer),
            consensus_hash: names
                .snapshot()
                .tip()
                .map(|tip| tip.consensus_hash.to_string()),
            ..ExplainReply::default()
        };
        if let Route::Bns(bns) = resolver::route(&question, &self.handler.policy())
            && let Target::Name(name, _) = &bns.target
        {
            self.describe(name, &names, &mut reply).map_err(trouble)?;
        }
        Ok(reply)
    }

    fn decision(&self, question: &Question, names: &Names) -> Answered<Decision> {
        let policy = self.handler.policy();
        let bns = match resolver::route(question, &policy) {
            Route::Bns(bns) => bns,
            Route::Forward => {
                return Ok(decision(Side::Legacy, "it is in no namespace of the chain"));
            }
            Route::SpecialUse(_) => {
                return Ok(decision(
                    Side::Local,
                    "the name has a special use and never leaves the machine",
                ));
            }
            Route::Refused => return Ok(decision(Side::Local, "such questions are not answered")),
        };
        let resolution = resolver::resolve(question, &policy, names).map_err(trouble)?;
        let from_chain = matches!(resolution, Resolution::Answer(_));
        let alias = question.name.iter().next_back() == Some(b"alt".as_slice());
        let protected = bns.mode == EffectiveMode::Default(Mode::Off)
            && matches!(&bns.target, Target::Name(_, id) if policy.mode(id).mode() != Mode::Off);
        Ok(Decision {
            side: if from_chain { Side::Bns } else { Side::Legacy },
            reason: reason(bns.mode.mode(), from_chain, alias, protected).to_owned(),
            mode: serde_json::to_value(bns.mode.mode())
                .ok()
                .and_then(|mode| Some(mode.as_str()?.to_owned())),
            protected,
            alias,
        })
    }

    /// What the chain says about a name.
    fn describe(
        &self,
        name: &Name,
        names: &Names,
        reply: &mut ExplainReply,
    ) -> Result<(), crate::dns::names::NamesError> {
        reply.registered_name = Some(name.to_string());
        let status = names.name(name)?;
        reply.status = Some(match &status {
            NameStatus::Unregistered => explain::NameStatus::Unregistered,
            NameStatus::Expired { .. } => explain::NameStatus::Expired,
            NameStatus::Revoked { .. } => explain::NameStatus::Revoked,
            NameStatus::Registered(_) => explain::NameStatus::Registered,
        });
        let Some(entry) = names.entry(name)? else {
            return Ok(());
        };
        let versions = self.names.params.addresses;
        reply.height = Some(entry.height);
        reply.txid = Some(entry.txid.to_string());
        reply.vtxindex = Some(entry.vtxindex);
        reply.operation = Some(operation(entry.op).to_owned());
        reply.owner = entry
            .record
            .address()
            .map(|address| address.encode(versions));
        reply.first_registered = Some(entry.record.first_registered);
        reply.last_renewed = Some(entry.record.last_renewed);
        reply.zonefile_hash = entry.record.value_hash.map(|hash| hash.to_string());
        if let NameStatus::Registered(registered) = &status {
            self.describe_zonefile(&entry.record, &registered.zone, reply);
        }
        if let Some(tip) = names.height() {
            // The index itself is `confirmations` blocks behind its source.
            let best = self.names.progress.best_height().max(tip);
            reply.confirmations = Some(best.saturating_sub(entry.height).saturating_add(1));
            self.describe_term(name, &entry.record, names, tip, reply)?;
        }
        let history = names.snapshot().name_history(name)?;
        reply.history = history
            .iter()
            .map(|entry| explain::HistoryEntry {
                height: entry.height,
                vtxindex: entry.vtxindex,
                txid: entry.txid.to_string(),
                operation: operation(entry.op).to_owned(),
            })
            .collect();
        Ok(())
    }

    fn describe_term(
        &self,
        name: &Name,
        record: &NameRecord,
        names: &Names,
        tip: u32,
        reply: &mut ExplainReply,
    ) -> Result<(), crate::dns::names::NamesError> {
        let Some(id) = name.namespace_id() else {
            return Ok(());
        };
        let Some(namespace) = names.namespace_record(&id)? else {
            return Ok(());
        };
        let params = &self.names.params;
        let height = |height: u64| u32::try_from(height).ok();
        reply.expires_at =
            life::expiry(params, record, &namespace, tip).and_then(|end| height(end.expire_block));
        reply.renewal_deadline = life::end(params, record, &namespace, tip).and_then(height);
        Ok(())
    }

    fn describe_zonefile(&self, record: &NameRecord, zone: &ZoneStatus, reply: &mut ExplainReply) {
        let folder = record
            .value_hash
            .and_then(|hash| self.folders.path_of(&hash));
        let present = match folder {
            Some(path) => ZonefileSource::Folder {
                path: path.display().to_string(),
            },
            None => ZonefileSource::Archive,
        };
        reply.zonefile_source = match zone {
            ZoneStatus::NoHash => None,
            ZoneStatus::Missing(_) => Some(ZonefileSource::Missing),
            ZoneStatus::Tampered(_) => Some(ZonefileSource::Tampered),
            ZoneStatus::Unreadable(..) | ZoneStatus::Loaded(_) => Some(present),
        };
        reply.zonefile_problems = match zone {
            ZoneStatus::Loaded(zone) => zone.ignored().iter().map(ToString::to_string).collect(),
            ZoneStatus::Unreadable(_, reason) => vec![reason.clone()],
            _ => Vec::new(),
        };
    }
}

fn decision(side: Side, reason: &str) -> Decision {
    Decision {
        side,
        reason: reason.to_owned(),
        ..Decision::default()
    }
}

fn reason(mode: Mode, from_chain: bool, alias: bool, protected: bool) -> &'static str {
    match (mode, from_chain) {
        _ if alias => "names under bns.alt are always the chain's",
        _ if protected => "the label is protected: the legacy name is never shadowed",
        (Mode::Only, true) => "all names of this namespace are the chain's",
        (Mode::Only, false) => "no such namespace is ready on the chain",
        (Mode::Exact, true) => "the name is registered on the chain",
        (Mode::Exact, false) => {
            "the name is not registered on the chain, or the chain is not synced yet"
        }
        (Mode::LegacyFirst, _) => {
            "the legacy name comes first, the chain answers where there is none"
        }
        (Mode::Off, _) => "this namespace is left to the legacy names",
    }
}

/// The reference's name of an operation.
fn operation(op: NameOp) -> &'static str {
    match op {
        NameOp::Register => "NAME_REGISTRATION",
        NameOp::Renew => "NAME_RENEWAL",
        NameOp::Update => "NAME_UPDATE",
        NameOp::TransferKeep | NameOp::TransferDrop => "NAME_TRANSFER",
        NameOp::Revoke => "NAME_REVOKE",
        NameOp::Import => "NAME_IMPORT",
    }
}

// ---- status ---------------------------------------------------------------------------------------------

impl Service {
    fn status(&self) -> Answered<StatusReply> {
        let names = self.names.snapshot();
        let tip = names.snapshot().tip();
        let counts = names.snapshot().counts().map_err(trouble)?;
        let progress = &self.names.progress;
        let addresses = |list: &[SocketAddr]| list.iter().map(ToString::to_string).collect();
        Ok(StatusReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network: self.network.as_str().to_owned(),
            source: self.source.clone().unwrap_or_else(|| "none".to_owned()),
            height: tip.map(|tip| tip.height),
            best_height: self.source.is_some().then(|| progress.best_height()),
            block_time: tip.map(|tip| tip.time),
            lag_seconds: match names.sync() {
                SyncState::Synced => Some(0),
                SyncState::Behind { lag, .. } => Some(lag.as_secs()),
                SyncState::NeverSynced { .. } => None,
            },
            consensus_hash: tip.map(|tip| tip.consensus_hash.to_string()),
            names: counts.names,
            namespaces: counts.namespaces,
            preorders: counts.preorders,
            zonefiles: self.zonefiles(&names)?,
            upstreams: addresses(&self.upstreams),
            listeners: addresses(&self.listeners),
            queries: Outcome::ALL
                .iter()
                .map(|outcome| {
                    (
                        outcome.as_str().to_owned(),
                        self.handler.counters().get(*outcome),
                    )
                })
                .collect(),
            uptime_seconds: self.names.clock.elapsed().as_secs(),
            memory_bytes: resident_memory(),
            warnings: self.warnings(&names),
        })
    }

    fn zonefiles(&self, names: &Names) -> Answered<ZonefilesStatus> {
        let zonefiles = names
            .snapshot()
            .zonefiles(&self.names.archive)
            .map_err(trouble)?;
        let missing = &zonefiles.missing;
        let waiting = self.folders.waiting();
        Ok(ZonefilesStatus {
            present: zonefiles.present,
            missing_count: missing.len() as u64,
            missing: missing
                .iter()
                .take(LIST_MAX)
                .map(|missing| MissingZonefile {
                    name: missing.name.to_string(),
                    hash: missing.hash.to_string(),
                })
                .collect(),
            waiting_count: waiting.len() as u64,
            waiting: waiting
                .iter()
                .take(LIST_MAX)
                .map(|waiting| WaitingZonefile {
                    file: waiting.path.display().to_string(),
                    hash: waiting.hash.to_string(),
                })
                .collect(),
        })
    }

    fn warnings(&self, names: &Names) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.source.is_none() {
            warnings.push("no chain source is configured, so names of the chain cannot be answered: set `chain.source`".to_owned());
        } else if let SyncState::NeverSynced { .. } = names.sync() {
            warnings.push("the first synchronisation has not finished: namespaces in mode `exact` are forwarded".to_owned());
        }
        if self.upstreams.is_empty() {
            warnings.push(
                "no upstream is known, so other names cannot be resolved: set `dns.upstreams`"
                    .to_owned(),
            );
        }
        warnings.extend(
            self.names
                .progress
                .trouble()
                .map(|trouble| trouble.to_string()),
        );
        warnings
    }
}

/// Resident memory in bytes, where Linux says it (proc(5), `statm`).
fn resident_memory() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: sysconf takes a number and touches no memory (POSIX).
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * u64::try_from(page).ok()?)
}
