//! Whose a name is: the chain's, an upstream's, or one of both.
//!
//! This is the only predicate of ownership. Whoever is about to send a name to an upstream, to believe an upstream's
//! word about a name, or to keep a name on this machine asks here:
//!
//! - [`resolve`](super::resolve()) asks who answers a question;
//! - the handler asks whether an alias in an upstream's response leads back to the chain, and whether a missing name
//!   settles the names below it;
//! - the validator asks whether it may ask for the target of an alias.
//!
//! [`ownership`] knows names and policy alone: `bns.alt`, special use (RFC 6761), modes, protected labels and a
//! person's preferences. Where these leave it open, it names the [`Condition`], and [`ownership_at`] looks that up in
//! the state of names at one height. A third party's word never takes part.

use hickory_proto::rr::Name as DnsName;

use super::policy::{self, EffectiveMode, Mode, Policy};
use super::route::{BnsRoute, Route, Target, route_name};
use super::source::{NameSource, NameStatus, NamespaceStatus, SyncState};

/// Whose a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// The chain answers. The name never leaves the machine.
    Ours,
    /// The chain answers if the condition holds; an upstream answers otherwise.
    CouldBeOurs(Condition),
    /// The machine answers by itself, unless a route in the configuration leads to an upstream.
    SpecialUse,
    /// An upstream answers.
    NotOurs,
}

/// What makes the chain answer for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The namespace is ready (mode `only` by default).
    NamespaceReady,
    /// The name is registered or revoked (mode `exact`).
    NameHeld,
    /// Upstreams say NXDOMAIN (mode `legacy-first`).
    LegacyDenies,
}

/// Whose a name is, as far as names and policy can tell.
pub fn ownership(name: &DnsName, policy: &Policy) -> Ownership {
    match route_name(name, policy) {
        Route::Bns(bns) => by_mode(&bns),
        Route::SpecialUse(_) => Ownership::SpecialUse,
        Route::Forward | Route::Refused => Ownership::NotOurs,
    }
}

/// Whose a name is, given the state of names. Only [`Condition::LegacyDenies`] stays open.
pub fn ownership_at<S: NameSource>(
    name: &DnsName,
    policy: &Policy,
    source: &S,
) -> Result<Ownership, S::Error> {
    match route_name(name, policy) {
        Route::Bns(bns) => settle(&bns, source),
        _ => Ok(ownership(name, policy)),
    }
}

/// [`ownership_at`] for a name that was routed already.
pub(super) fn settle<S: NameSource>(bns: &BnsRoute, source: &S) -> Result<Ownership, S::Error> {
    let holds = match by_mode(bns) {
        // Nobody else is asked for a name that the chain may hold.
        Ownership::CouldBeOurs(Condition::NamespaceReady | Condition::NameHeld)
            if source.sync() == SyncState::Damaged =>
        {
            true
        }
        Ownership::CouldBeOurs(Condition::NamespaceReady) => is_ready(&bns.target, source)?,
        Ownership::CouldBeOurs(Condition::NameHeld) => is_held(&bns.target, source)?,
        settled => return Ok(settled),
    };
    Ok(match holds {
        true => Ownership::Ours,
        false => Ownership::NotOurs,
    })
}

fn by_mode(bns: &BnsRoute) -> Ownership {
    match bns.mode {
        EffectiveMode::Configured(Mode::Only) => Ownership::Ours,
        // The namespaces of the main chain are known before it has been read.
        EffectiveMode::Default(Mode::Only)
            if bns.target.namespace().is_some_and(policy::is_historical) =>
        {
            Ownership::Ours
        }
        EffectiveMode::Default(Mode::Only) => Ownership::CouldBeOurs(Condition::NamespaceReady),
        mode => match mode.mode() {
            Mode::Exact => Ownership::CouldBeOurs(Condition::NameHeld),
            Mode::LegacyFirst => Ownership::CouldBeOurs(Condition::LegacyDenies),
            Mode::Only | Mode::Off => Ownership::NotOurs,
        },
    }
}

/// Whether a target is in a namespace whose names are served.
pub(super) fn is_ready<S: NameSource>(target: &Target, source: &S) -> Result<bool, S::Error> {
    let Some(id) = target.namespace() else {
        return Ok(false);
    };
    let status = source.namespace(id)?;
    Ok(matches!(status, NamespaceStatus::Ready { .. }))
}

/// Whether a living name is in a database that has seen the whole chain once. A revoked name still belongs to its
/// owner, so it is held too.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolver::Preference;
    use crate::resolver::fixture::Names;

    const READY: Ownership = Ownership::CouldBeOurs(Condition::NamespaceReady);
    const HELD: Ownership = Ownership::CouldBeOurs(Condition::NameHeld);
    const DENIED: Ownership = Ownership::CouldBeOurs(Condition::LegacyDenies);

    fn dns(text: &str) -> DnsName {
        DnsName::from_ascii(text).expect("a domain name")
    }

    fn with_mode(id: &str, mode: Mode) -> Policy {
        let mut policy = Policy::default();
        policy.modes.insert(id.parse().expect("an id"), mode);
        policy
    }

    #[test]
    fn names_and_policy_tell_whose_a_name_may_be() {
        let policy = Policy::default();
        for (name, whose) in [
            ("x.com.bns.alt.", Ownership::Ours),
            ("www.x.podcast.", Ownership::Ours),
            ("www.x.id.", HELD),
            ("www.co.id.", Ownership::NotOurs),
            ("x.nosuch.", READY),
            ("www.x.com.", Ownership::NotOurs),
            ("x.localhost.", Ownership::SpecialUse),
            (".", Ownership::NotOurs),
        ] {
            assert_eq!(ownership(&dns(name), &policy), whose, "{name}");
        }
        for (mode, whose) in [
            (Mode::Only, Ownership::Ours),
            (Mode::Exact, HELD),
            (Mode::LegacyFirst, DENIED),
            (Mode::Off, Ownership::NotOurs),
        ] {
            let policy = with_mode("com", mode);
            assert_eq!(ownership(&dns("www.x.com."), &policy), whose, "{mode:?}");
        }
        let mut policy = with_mode("id", Mode::Off);
        assert_eq!(ownership(&dns("x.id."), &policy), Ownership::NotOurs);
        let name = "x.com".parse().expect("a name");
        policy.preferences.insert(name, Preference::Bns);
        assert_eq!(ownership(&dns("www.x.com."), &policy), HELD);
    }

    #[test]
    fn the_state_of_names_settles_all_but_what_upstreams_deny() {
        let names = Names::new();
        let settled = |name: &str, policy: &Policy| {
            ownership_at(&dns(name), policy, &names).expect("a source that never fails")
        };
        let policy = Policy::default();
        assert_eq!(settled("www.good.id.", &policy), Ownership::Ours);
        assert_eq!(settled("www.nosuch.id.", &policy), Ownership::NotOurs);
        assert_eq!(settled("x.nosuch.", &policy), Ownership::NotOurs);
        assert_eq!(settled("localhost.", &policy), Ownership::SpecialUse);
        let policy = with_mode("id", Mode::LegacyFirst);
        assert_eq!(settled("www.good.id.", &policy), DENIED);
    }
}
