//! The name system as a [`StateMachine`]: a block is looked at twice (sm §3, §4).

use std::collections::HashSet;

use super::block::{Block, Refusal};
use super::changes::Changes;
use super::operation::Operation;
use super::params::Params;
use super::reject::Reject;
use super::view::View;
use crate::virtualchain::{
    Accepted, Decision, Located, Processed, StateMachine, VirtualTransaction,
};

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

    fn magic(&self) -> [u8; 2] {
        self.params.magic
    }

    fn first_block(&self) -> u32 {
        self.params.first_block
    }

    fn parse(
        &self,
        height: u32,
        transaction: &VirtualTransaction,
    ) -> Option<Result<Operation, Reject>> {
        Operation::parse(&self.params, height, transaction)
    }

    fn process(
        &self,
        height: u32,
        operations: &[Located<Operation>],
        view: &V,
    ) -> Result<Processed<Reject, Changes>, V::Error> {
        let mut block = Block::new(&self.params, height, view)?;
        let collided = scan_pass(&mut block, operations)?;
        block.begin_check_pass(collided);
        let mut decisions = Vec::with_capacity(operations.len());
        for located in operations {
            decisions.push(match located.operation.decide(&mut block) {
                Ok(serialized) => Decision::Accepted(Accepted { serialized }),
                Err(Refusal::Reject(reject)) => Decision::Rejected(reject),
                Err(Refusal::View(error)) => return Err(error),
            });
        }
        Ok(Processed {
            decisions,
            changes: block.into_changes(),
        })
    }
}

/// Finds the names and namespaces that several operations of the block would create if each were alone
/// (sm §4.1; quirk BOTH-LOSE). Nothing is applied but import keychains.
fn scan_pass<V: View>(
    block: &mut Block<'_, V>,
    operations: &[Located<Operation>],
) -> Result<HashSet<String>, V::Error> {
    let mut seen = HashSet::new();
    let mut collided = HashSet::new();
    for located in operations {
        let (checked, id) = match &located.operation {
            Operation::NameRegistration(operation) => {
                let checked = operation.check(block).map(|_| ());
                // One that failed counts under its original sender (sm §4.1).
                let passed = checked.is_ok();
                let owner = if passed {
                    &operation.recipient.script
                } else {
                    &operation.origin.sender
                };
                block.count_registration(owner);
                (checked, operation.name.as_str())
            }
            Operation::NamespaceReveal(operation) => (
                operation.check(block).map(|_| ()),
                operation.namespace_id.as_str(),
            ),
            Operation::NameImport(operation) => match operation.check(block) {
                Err(Refusal::View(error)) => return Err(error),
                _ => continue, // imports never collide
            },
            _ => continue,
        };
        match checked {
            Err(Refusal::View(error)) => return Err(error),
            Err(Refusal::Reject(_)) => {}
            Ok(()) if seen.insert(id) => {}
            Ok(()) => {
                collided.insert(id.to_owned());
            }
        }
    }
    Ok(collided)
}
