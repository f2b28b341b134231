//! The name system as a [`StateMachine`]: a block is looked at twice (sm §3, §4).

use std::collections::HashSet;

use super::block::{Block, Checked, Refusal};
use super::changes::Changes;
use super::operation::{Action, Operation};
use super::params::Params;
use super::reject::Reject;
use super::view::View;
use crate::virtualchain::{Decision, Located, StateMachine, VirtualTransaction};

/// The name system of one virtualchain.
#[derive(Debug, Clone)]
pub struct Bns {
    params: Params,
}

impl Bns {
    /// A name system with the constants of a network.
    pub fn new(params: Params) -> Self {
        Self { params }
    }

    /// Its constants.
    pub fn params(&self) -> &Params {
        &self.params
    }
}

impl<V: View> StateMachine<V> for Bns {
    type Operation = Operation;
    type Reject = Reject;
    type Changes = Changes;

    fn first_block(&self) -> u32 {
        self.params.first_block
    }

    fn parse(
        &self,
        height: u32,
        transaction: &VirtualTransaction,
    ) -> Option<Result<Operation, Reject>> {
        if self.params.is_after_end(height) {
            return None;
        }
        Operation::parse(&self.params, height, transaction)
    }

    fn process(
        &self,
        height: u32,
        operations: &[Located<Operation>],
        view: &V,
    ) -> Result<(Vec<Decision<Reject>>, Changes), V::Error> {
        let mut block = Block::new(&self.params, height, view)?;
        let collided = scan_pass(&mut block, operations)?;
        block.begin_check_pass(collided);
        let mut decisions = Vec::with_capacity(operations.len());
        for located in operations {
            decisions.push(match located.item.decide(&mut block) {
                Ok(serialized) => Decision::Accepted(serialized),
                Err(Refusal::Reject(reject)) => Decision::Rejected(reject),
                Err(Refusal::View(error)) => return Err(error),
            });
        }
        Ok((decisions, block.into_changes()))
    }
}

/// Finds the names and namespaces that several operations of the block would create if each were alone
/// (sm §4.1, quirk BOTH-LOSE). Nothing is applied but import keychains: where all names differ, only imports are looked at.
fn scan_pass<V: View>(
    block: &mut Block<'_, V>,
    operations: &[Located<Operation>],
) -> Result<HashSet<String>, V::Error> {
    let mut seen = HashSet::new();
    let mut collided = HashSet::new();
    let distinct = are_distinct(operations);
    let is_needed = |operation: &Operation| match operation.action {
        Action::NameImport(_) => true,
        _ => !distinct,
    };
    for located in operations.iter().filter(|located| is_needed(&located.item)) {
        match created_alone(block, &located.item) {
            Ok(Some(id)) if !seen.insert(id) => {
                collided.insert(id.to_owned());
            }
            Ok(_) | Err(Refusal::Reject(_)) => {}
            Err(Refusal::View(error)) => return Err(error),
        }
    }
    Ok(collided)
}

/// Whether no two operations ask to create the same name or namespace.
fn are_distinct(operations: &[Located<Operation>]) -> bool {
    let mut asked = operations
        .iter()
        .filter_map(|located| match &located.item.action {
            Action::NameRegistration(action) => Some(action.payload.name.as_str()),
            Action::NamespaceReveal(action) => Some(action.payload.namespace_id.as_str()),
            _ => None,
        });
    let mut seen = HashSet::new();
    asked.all(|id| seen.insert(id))
}

/// The name or namespace that an operation would create if it were alone in the block. Imports pass through
/// their rules too, because that makes keychains, but never collide.
fn created_alone<'o, V: View>(
    block: &mut Block<'_, V>,
    operation: &'o Operation,
) -> Checked<V, Option<&'o str>> {
    let origin = &operation.origin;
    match &operation.action {
        Action::NameRegistration(registration) => {
            let checked = registration.check(origin, block);
            // One that failed counts for its sender (sm §4.1).
            let counted = match checked {
                Ok(_) => &registration.recipient.script,
                Err(_) => &origin.sender,
            };
            block.count_registration(counted);
            checked.map(|_| Some(registration.payload.name.as_str()))
        }
        Action::NamespaceReveal(reveal) => {
            let checked = reveal.check(origin, block);
            checked.map(|_| Some(reveal.payload.namespace_id.as_str()))
        }
        Action::NameImport(import) => import.check(origin, block).map(|_| None),
        _ => Ok(None),
    }
}
