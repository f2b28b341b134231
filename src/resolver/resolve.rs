//! From a question to its answer, reading the state of names.
//!
//! The rules of design, "DNS answers" and "When a namespace is also an ICANN TLD", in this order: who answers
//! by name alone, whether the mode leaves it to the chain, whether the state can be vouched for, and what the
//! state says.

use hickory_proto::rr::Name as DnsName;

use super::answer::{Answer, ExtendedError, Outcome, Provenance};
use super::apex::{Apex, NEGATIVE_TTL};
use super::policy::{EffectiveMode, Mode, Policy};
use super::route::{BnsRoute, Question, Route, Target, route, suffix};
use super::source::{
    NameSource, NameStatus, NamespaceStatus, RegisteredName, SyncState, ZoneStatus,
};
use super::special;
use super::zone::{PrivateAddresses, ServedZone};
use crate::bns::name::{Name, NamespaceId};
use crate::zonefile::Zone;

/// What is to be done about a question.
#[derive(Debug)]
pub enum Resolution {
    /// This is the answer, as far as it goes: see [`Answer::chase`].
    Answer(Answer),
    /// Ask an upstream.
    Forward,
    /// Ask an upstream; if it says NXDOMAIN, the chain answers ([`answer_bns`]).
    ForwardFirst(BnsRoute),
}

/// Decides a question.
pub fn resolve<S: NameSource>(
    question: &Question,
    policy: &Policy,
    source: &S,
) -> Result<Resolution, S::Error> {
    let bns = match route(question, policy) {
        Route::Forward => return Ok(Resolution::Forward),
        Route::Refused => return Ok(Resolution::Answer(Answer::refused())),
        Route::SpecialUse(kind) => {
            return Ok(Resolution::Answer(special::answer(kind, question)));
        }
        Route::Bns(bns) => bns,
    };
    match claim(&bns, source)? {
        Claim::Chain => answer_bns(&bns, question, policy, source).map(Resolution::Answer),
        Claim::Legacy => Ok(Resolution::Forward),
        Claim::LegacyFirst => Ok(Resolution::ForwardFirst(bns)),
    }
}

/// Answers from the chain, whatever the mode.
pub fn answer_bns<S: NameSource>(
    bns: &BnsRoute,
    question: &Question,
    policy: &Policy,
    source: &S,
) -> Result<Answer, S::Error> {
    if let Some(trouble) = not_ready(policy, source) {
        return Ok(trouble);
    }
    let context = Context {
        bns,
        question,
        policy,
        height: source.height().unwrap_or(0),
    };
    context.answer(source)
}

/// Whose a question is.
enum Claim {
    Chain,
    Legacy,
    LegacyFirst,
}

fn claim<S: NameSource>(bns: &BnsRoute, source: &S) -> Result<Claim, S::Error> {
    Ok(match bns.mode {
        EffectiveMode::Configured(Mode::Only) => Claim::Chain,
        EffectiveMode::Default(Mode::Only) if is_ready(&bns.target, source)? => Claim::Chain,
        EffectiveMode::Configured(Mode::Exact) | EffectiveMode::Default(Mode::Exact)
            if is_held(&bns.target, source)? =>
        {
            Claim::Chain
        }
        EffectiveMode::Configured(Mode::LegacyFirst)
        | EffectiveMode::Default(Mode::LegacyFirst) => Claim::LegacyFirst,
        _ => Claim::Legacy,
    })
}

fn is_ready<S: NameSource>(target: &Target, source: &S) -> Result<bool, S::Error> {
    let (Target::Namespace(id) | Target::Name(_, id) | Target::Impossible(Some(id))) = target
    else {
        return Ok(false);
    };
    Ok(matches!(
        source.namespace(id)?,
        NamespaceStatus::Ready { .. }
    ))
}

/// Whether a living name is in a database that has seen the whole chain once. A revoked name is still its
/// owner's, so it is held too.
fn is_held<S: NameSource>(target: &Target, source: &S) -> Result<bool, S::Error> {
    let Target::Name(name, _) = target else {
        return Ok(false);
    };
    if matches!(source.sync(), SyncState::NeverSynced { .. }) || !is_ready(target, source)? {
        return Ok(false);
    }
    Ok(matches!(
        source.name(name)?,
        NameStatus::Registered(_) | NameStatus::Revoked { .. }
    ))
}

/// SERVFAIL while the database cannot vouch for anything.
fn not_ready<S: NameSource>(policy: &Policy, source: &S) -> Option<Answer> {
    let (indexed, tip) = match source.sync() {
        SyncState::Synced => return None,
        SyncState::Behind { lag, .. } if lag <= policy.max_lag => return None,
        SyncState::Behind { indexed, tip, .. } | SyncState::NeverSynced { indexed, tip } => {
            (indexed, tip)
        }
    };
    let text = format!("bns: synced {indexed}/{tip}");
    Some(Answer::failure(
        Outcome::Failed,
        ExtendedError::new(ExtendedError::NOT_READY, text),
    ))
}

struct Context<'a> {
    bns: &'a BnsRoute,
    question: &'a Question,
    policy: &'a Policy,
    height: u32,
}

impl Context<'_> {
    fn answer<S: NameSource>(&self, source: &S) -> Result<Answer, S::Error> {
        let id = match &self.bns.target {
            Target::Root => return Ok(self.at_apex(&self.parent(0))),
            Target::Impossible(None) => return Ok(self.parent(0).no_such_name()),
            Target::Namespace(id) | Target::Name(_, id) | Target::Impossible(Some(id)) => id,
        };
        if !matches!(source.namespace(id)?, NamespaceStatus::Ready { .. }) {
            return Ok(self.namespace_not_ready(id));
        }
        Ok(match &self.bns.target {
            Target::Namespace(_) => self.at_apex(&self.parent(0)),
            Target::Name(name, _) => self.at_name(name, source.name(name)?),
            _ => self.parent(0).no_such_name(),
        })
    }

    fn at_apex(&self, apex: &Apex) -> Answer {
        apex.answer(self.question.rtype)
    }

    fn namespace_not_ready(&self, id: &NamespaceId) -> Answer {
        let text = format!("bns: namespace {id} is not ready at block {}", self.height);
        let apex = self.parent(match self.bns.target {
            Target::Name(..) => 1,
            _ => 0,
        });
        apex.no_such_name()
            .explained(ExtendedError::new(ExtendedError::OTHER, text))
    }

    fn at_name(&self, name: &Name, status: NameStatus) -> Answer {
        match status {
            NameStatus::Unregistered => self.parent(1).no_such_name(),
            NameStatus::Expired { height } => self.gone(format!("bns: expired at block {height}")),
            NameStatus::Revoked { height } => self.gone(format!("bns: revoked at block {height}")),
            NameStatus::Registered(registered) => self.at_registered(name, &registered),
        }
    }

    fn gone(&self, text: String) -> Answer {
        self.parent(1)
            .no_such_name()
            .explained(ExtendedError::new(ExtendedError::OTHER, text))
    }

    fn at_registered(&self, name: &Name, registered: &RegisteredName) -> Answer {
        match &registered.zone {
            ZoneStatus::NoHash => self.without_zone_file(registered),
            ZoneStatus::Loaded(zone) => self.served(name, registered, zone),
            ZoneStatus::Missing(hash) => zone_file_trouble(
                ExtendedError::NO_REACHABLE_AUTHORITY,
                format!("bns: no zone file yet for hash {hash}"),
            ),
            ZoneStatus::Tampered(hash) => zone_file_trouble(
                ExtendedError::INVALID_DATA,
                format!("bns: zone file hash mismatch {hash}"),
            ),
            ZoneStatus::Unreadable(hash, _) => zone_file_trouble(
                ExtendedError::INVALID_DATA,
                format!("bns: unreadable zone file {hash}"),
            ),
        }
    }

    /// The name exists and says nothing: its apex records, and NODATA for all else, names below included.
    fn without_zone_file(&self, registered: &RegisteredName) -> Answer {
        let apex = self.apex(registered);
        if self.question.name == apex.name {
            apex.answer(self.question.rtype)
        } else {
            apex.no_data()
        }
    }

    fn served(&self, name: &Name, registered: &RegisteredName, zone: &Zone) -> Answer {
        let private = if self.policy.allows_private(&self.question.name)
            || plain_name(name).is_some_and(|name| self.policy.allows_private(&name))
        {
            PrivateAddresses::Served
        } else {
            PrivateAddresses::Filtered
        };
        let served = ServedZone {
            zone,
            apex: self.apex(registered),
            parent: self.parent(1),
            max_ttl: self.policy.max_ttl,
            private,
        };
        served.answer(self.question)
    }

    /// The top of a name's zone: its serial is the height of its last change.
    fn apex(&self, registered: &RegisteredName) -> Apex {
        Apex {
            name: self.bns.apex.clone(),
            serial: registered.last_change_height,
            ttl: self.policy.max_ttl,
            provenance: Provenance::Chain,
        }
    }

    /// The zone whose top is `above` labels above the apex of the route: a namespace, or `bns.alt`. It
    /// changes with every block, so its serial is the indexed height, and nothing in it is believed for long.
    fn parent(&self, above: usize) -> Apex {
        let labels = self.bns.apex.iter().count();
        Apex {
            name: suffix(&self.bns.apex, labels.saturating_sub(above)),
            serial: self.height,
            ttl: self.policy.max_ttl.min(NEGATIVE_TTL),
            provenance: Provenance::Chain,
        }
    }
}

fn zone_file_trouble(code: u16, text: String) -> Answer {
    Answer::failure(Outcome::ZoneFileMissing, ExtendedError::new(code, text))
}

fn plain_name(name: &Name) -> Option<DnsName> {
    DnsName::from_labels([name.label().as_bytes(), name.namespace().as_bytes()]).ok()
}
