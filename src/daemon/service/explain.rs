//! Explanations: an answer and everything it rests on.

use super::lookup::question;
use super::names::term_reply;
use super::{Answered, Service, trouble};
use crate::api::explain::{self, Decision, ExplainReply, Side, ZonefileSource};
use crate::bns::Name;
use crate::bns::record::NameOp;
use crate::hash::ZonefileHash;
use crate::names::{Names, NamesError};
use crate::resolver::Snapshots as _;
use crate::resolver::policy::{Mode, is_protected};
use crate::resolver::{
    self, NameSource as _, NameStatus, NamespaceStatus, Policy, Preference, Provenance, Question,
    Resolution, Route, Target, ZoneStatus,
};

impl Service {
    pub(super) async fn explain(
        &self,
        request: &explain::ExplainRequest,
    ) -> Answered<ExplainReply> {
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
        let asked = match resolver::route(&question, &self.handler.policy()) {
            Route::Bns(bns) => match bns.target {
                Target::Name(name, _) => Some(name),
                _ => None,
            },
            // A name that is left to the legacy tree can be on the chain all the same.
            Route::Forward => resolver::registrable(&question.name)
                .filter(|(name, _)| matches!(names.entry(name), Ok(Some(_))))
                .map(|(name, _)| name),
            _ => None,
        };
        if let Some(name) = asked {
            self.describe(&name, &names, &mut reply).map_err(trouble)?;
        }
        Ok(reply)
    }

    fn decision(&self, question: &Question, names: &Names) -> Answered<Decision> {
        let policy = self.handler.policy();
        let bns = match resolver::route(question, &policy) {
            Route::Bns(bns) => bns,
            Route::Forward => {
                return self.forwarded(question, &policy, names);
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
        let from_chain = matches!(
            &resolution,
            Resolution::Answer(answer) if answer.provenance != Provenance::Upstream
        );
        let alias = question.name.iter().next_back() == Some(b"alt".as_slice());
        let preferred =
            matches!(&bns.target, Target::Name(name, _) if policy.preferences.contains_key(name));
        let reason = match (alias, preferred, from_chain) {
            (false, true, true) => "somebody chose the chain's name with `bnsd prefer`",
            _ => reason(bns.mode.mode(), from_chain, alias),
        };
        Ok(Decision {
            side: if from_chain { Side::Bns } else { Side::Legacy },
            reason: reason.to_owned(),
            mode: mode_text(bns.mode.mode()),
            alias,
            ..Decision::default()
        })
    }

    /// Why a name is forwarded without asking the chain.
    fn forwarded(&self, question: &Question, policy: &Policy, names: &Names) -> Answered<Decision> {
        let Some((name, id)) = resolver::registrable(&question.name) else {
            return Ok(decision(Side::Legacy, "it is in no namespace of the chain"));
        };
        let status = names.namespace(&id).map_err(trouble)?;
        let is_namespace = matches!(status, NamespaceStatus::Ready { .. });
        let protected = is_protected(&name) && policy.mode(&id).mode() != Mode::Off;
        let reason = match policy.preferences.get(&name) {
            _ if protected => "the label is protected: the legacy name is never shadowed",
            Some(Preference::Legacy) => "somebody chose the legacy name with `bnsd prefer`",
            _ if is_namespace => "this namespace is left to the legacy names",
            _ => "it is in no namespace of the chain",
        };
        Ok(Decision {
            protected,
            mode: is_namespace
                .then(|| mode_text(policy.mode(&id).mode()))
                .flatten(),
            ..decision(Side::Legacy, reason)
        })
    }

    /// What the chain says about a name.
    fn describe(
        &self,
        name: &Name,
        names: &Names,
        reply: &mut ExplainReply,
    ) -> Result<(), NamesError> {
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
        reply.txid = Some(entry.record.txid.to_string());
        reply.vtxindex = Some(entry.vtxindex);
        reply.operation = Some(operation(entry.record.op).to_owned());
        reply.owner = entry
            .record
            .address()
            .map(|address| address.encode(versions));
        reply.term = term_reply(names, &names.state(&entry.record)?.term)?;
        reply.first_registered = Some(entry.record.first_registered);
        reply.last_renewed = Some(entry.record.last_renewed);
        reply.zonefile_hash = entry.record.value_hash.map(|hash| hash.to_string());
        if let NameStatus::Registered(registered) = &status
            && let Some(hash) = &registered.zonefile_hash
        {
            self.describe_zonefile(hash, &names.read_zone(name, hash)?, reply);
        }
        if let Some(tip) = names.height() {
            // The index itself is `confirmations` blocks behind its source.
            let best = self.names.progress.best_height().max(tip);
            reply.confirmations = Some(best.saturating_sub(entry.height).saturating_add(1));
        }
        let history = names.snapshot().name_history(name)?;
        reply.history = history
            .iter()
            .map(|entry| explain::HistoryEntry {
                height: entry.height,
                vtxindex: entry.vtxindex,
                txid: entry.record.txid.to_string(),
                operation: operation(entry.record.op).to_owned(),
            })
            .collect();
        Ok(())
    }

    fn describe_zonefile(&self, hash: &ZonefileHash, zone: &ZoneStatus, reply: &mut ExplainReply) {
        let present = match self.folders.path_of(hash) {
            Some(path) => ZonefileSource::Folder {
                path: path.display().to_string(),
            },
            None => ZonefileSource::Archive,
        };
        reply.zonefile_source = match zone {
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

fn mode_text(mode: Mode) -> Option<String> {
    let value = serde_json::to_value(mode).ok()?;
    value.as_str().map(str::to_owned)
}

fn reason(mode: Mode, from_chain: bool, alias: bool) -> &'static str {
    match (mode, from_chain) {
        _ if alias => "names under bns.alt are always the chain's",
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
pub(super) fn operation(op: NameOp) -> &'static str {
    match op {
        NameOp::Register => "NAME_REGISTRATION",
        NameOp::Renew => "NAME_RENEWAL",
        NameOp::Update => "NAME_UPDATE",
        NameOp::TransferKeep | NameOp::TransferDrop => "NAME_TRANSFER",
        NameOp::Revoke => "NAME_REVOKE",
        NameOp::Import => "NAME_IMPORT",
    }
}
