//! Explanations: an answer and everything it rests on.

use super::lookup::question;
use super::{Answered, Service, trouble};
use crate::api::explain::{Decision, ExplainReply, ExplainRequest, Side};
use crate::bns::Name;
use crate::bns::subdomain::Subdomain;
use crate::names::Names;
use crate::resolver::Snapshots as _;
use crate::resolver::policy::{Mode, is_protected, is_taken};
use crate::resolver::{
    self, NameSource as _, NamespaceStatus, Policy, Preference, Provenance, Question, Resolution,
    Route, Target,
};

impl Service {
    pub(super) async fn explain(&self, request: &ExplainRequest) -> Answered<ExplainReply> {
        let question = question(&request.name, &request.record_type)?;
        let answer = self.lookup_now(&question).await?;
        let names = self.names.snapshot();
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
        let best_height = self.names.progress.best_height();
        let in_folder = |hash: &_| self.folders.path_of(hash);
        let subdomain = asked.as_ref().and_then(|name| subdomain(&question, name));
        let subdomain = subdomain.map(|subdomain| names.subdomain_details(&subdomain));
        let provenance = asked.map(|name| names.provenance(&name, best_height, in_folder));
        Ok(ExplainReply {
            name: answer.name.clone(),
            decision: self.decision(&question, &names)?,
            provenance: provenance.transpose().map_err(trouble)?.unwrap_or_default(),
            subdomain: subdomain.transpose().map_err(trouble)?.flatten(),
            consensus_hash: self.consensus_hash(&names),
            is_final: names.is_final(),
            rests_on: self.rests_on(),
            answer: Some(answer),
        })
    }

    pub(super) fn decision(&self, question: &Question, names: &Names) -> Answered<Decision> {
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
            _ if is_namespace && !policy.modes.contains_key(&id) && is_taken(&id) => {
                "networks use this domain among themselves, so the namespace does not take it over: set its mode in the section `namespaces`, or ask below bns.alt"
            }
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
}

/// The subdomain of `name` that a question at or below it is about.
fn subdomain(question: &Question, name: &Name) -> Option<Subdomain> {
    let alias = match resolver::is_alias(&question.name) {
        true => 2,
        false => 0,
    };
    let label = question.name.iter().rev().nth(alias + 2)?;
    Subdomain::new(label, name.clone()).ok()
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
