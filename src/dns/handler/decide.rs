//! What is answered without an upstream, in this order: our own probe is refused, the file of hosts speaks for its
//! names, a special-use name with a route of its own goes there, and the resolver decides the rest.

use super::super::aliases::AliasWalk;
use super::{Handler, Step};
use crate::resolver::{
    Answer, BnsRoute, ExtendedError, MAX_ALIASES, NameSource, Outcome, Ownership, Resolution,
    Snapshots, answer_bns, ownership, resolve,
};
use crate::upstream::Terms;

impl<P: Snapshots> Handler<P> {
    /// Follows a question as far as that needs no upstream.
    pub(super) fn decide(
        &self,
        terms: &Terms,
        walk: &mut AliasWalk,
        source: &impl NameSource,
    ) -> Step {
        if self.forwarder.is_own_probe(&walk.question.name) {
            return Step::Done(Answer::refused());
        }
        while walk.hops <= MAX_ALIASES {
            // Only the client's own question is looked up: aliases of others do not lead into the file.
            let hosts = self.hosts.as_ref().filter(|_| walk.hops == 0);
            if let Some(answer) = hosts.and_then(|hosts| hosts.answer(&walk.question)) {
                return Step::Done(answer);
            }
            if is_routed_special_use(walk, terms) {
                return Step::Ask(None);
            }
            let answer = match resolve(&walk.question, &walk.policy(&terms.policy), source) {
                Ok(Resolution::Answer(answer)) => answer,
                Ok(Resolution::Forward) => return Step::Ask(None),
                Ok(Resolution::ForwardFirst(bns)) => return Step::Ask(Some(bns)),
                Err(error) => return Step::Done(database_failure(&error)),
            };
            if let Some(answer) = walk.advance(answer, &terms.policy) {
                return Step::Done(answer);
            }
        }
        Step::Done(Answer::endless_aliases())
    }

    /// The chain's answer after an upstream has said NXDOMAIN (mode `legacy-first`).
    pub(super) fn decide_bns(
        &self,
        terms: &Terms,
        bns: &BnsRoute,
        walk: &mut AliasWalk,
        source: &impl NameSource,
    ) -> Step {
        match answer_bns(bns, &walk.question, &walk.policy(&terms.policy), source) {
            Ok(answer) => match walk.advance(answer, &terms.policy) {
                Some(answer) => Step::Done(answer),
                None => self.decide(terms, walk, source),
            },
            Err(error) => Step::Done(database_failure(&error)),
        }
    }
}

fn is_routed_special_use(walk: &AliasWalk, terms: &Terms) -> bool {
    let name = &walk.question.name;
    terms.has_route(name) && ownership(name, &terms.policy) == Ownership::SpecialUse
}

fn database_failure(error: &impl std::fmt::Display) -> Answer {
    tracing::error!("names cannot be read from the database: {error}");
    let text = "bns: the database cannot be read, see bnsd status";
    Answer::failure(
        Outcome::Failed,
        ExtendedError::new(ExtendedError::INVALID_DATA, text),
    )
}
