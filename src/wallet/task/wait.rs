//! The one loop that sends what is noted and waits until it is in a block.

use std::thread::sleep;
use std::time::{Duration, Instant};

use bitcoin::{Psbt, Transaction, Txid};
use serde::Serialize;

use super::bill::Bill;
use super::concern::Concern;
use super::draft::Draft;
use super::error::{Result, TaskError};
use super::state::{IndexedOperation, Judgement, Search};
use super::wallet::{Event, Until, Wallet};
use crate::hash::ConsensusHash;
use crate::wallet::journal::{Attempt, Step, Task};
use crate::wallet::node::NodeError;
use crate::wallet::words;

/// An operation is built again when so few blocks are left in which it can be accepted.
pub(super) const MARGIN: u32 = 2;
/// How long what the node refuses may still turn up in a block.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// How often a transaction that waits is sent again, should the node have dropped it.
const RESEND: Duration = Duration::from_secs(60);
/// The step whose transaction carries no operation: coins are split for many imports.
pub(super) const PAYMENT: &str = "PAYMENT";

/// How far a wish came.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Its last operation is in a block and accepted.
    Accepted(Accepted),
    /// It was built and judged, and is not noted anywhere.
    Drafted(Box<Proposal>),
    /// It is noted and for others to sign.
    HandedOut(Box<Draft>, Judgement, Box<Psbt>),
    /// A PSBT of somebody else was judged; nothing was signed.
    Shown(Box<Psbt>),
    /// It was sent, and nobody waits for its block here.
    Sent(Sent),
    /// It is noted, and there is nothing to do or to show.
    Noted,
}

/// What would be done.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The first transaction.
    pub draft: Draft,
    /// What the rules say to it.
    pub judgement: Judgement,
    /// What everything costs.
    pub bill: Bill,
    /// What is probably not meant.
    pub concerns: Vec<Concern>,
}

/// An operation on its way into a block.
#[derive(Debug, Clone, Serialize)]
pub struct Sent {
    /// In the reference's words.
    pub operation: String,
    /// Its transaction.
    pub txid: Txid,
    /// What was paid for it and for the operations that made it possible.
    pub paid: Bill,
}

/// An accepted operation.
#[derive(Debug, Clone, Serialize)]
pub struct Accepted {
    /// In the reference's words.
    pub operation: String,
    /// Height of its block; that of the tip for a payment.
    pub height: u32,
    /// Time of its block (RFC 3339); `null` for a payment.
    pub time: Option<String>,
    /// Its transaction.
    pub txid: Txid,
    /// Consensus hash of that height.
    pub consensus_hash: Option<ConsensusHash>,
    /// What was paid for it and for the operations that made it possible.
    pub paid: Bill,
}

/// What the loop does next.
pub(super) enum Next {
    /// Send if it is time to, and wait.
    Wait,
    /// Look at the task again, whose newest attempt is another one.
    Rebuilt,
    /// End.
    End(Outcome),
}

/// The accepted operation of a step, or what of its newest attempt is in no block yet.
type Standing = Result<Accepted, Vec<Transaction>>;

impl Wallet<'_> {
    /// Sends step number `index` of a task, again and again, until it is in a block. `attend` is called before each
    /// sending, and may build the step anew or end the waiting.
    pub(super) fn send_and_wait(
        &self,
        task: &mut Task,
        index: usize,
        until: Until,
        attend: &mut dyn FnMut(&mut Task) -> Result<Next>,
    ) -> Result<Outcome> {
        let mut sending = Sending::default();
        loop {
            let left = match self.standing(task, index)? {
                Ok(accepted) => return Ok(Outcome::Accepted(accepted)),
                Err(left) => left,
            };
            // What the node refuses may be in a block that is not indexed yet: then it must not be built again.
            if sending.refusal.is_none() {
                match attend(task)? {
                    Next::Wait => {}
                    Next::End(outcome) => return Ok(outcome),
                    Next::Rebuilt => {
                        sending = Sending::default();
                        continue;
                    }
                }
            }
            self.require_in_time(&left)?;
            sending.advance(self, task, index, &left)?;
            if until == Until::Sent && sending.refusal.is_none() {
                return Ok(sent(task, index).map_or(Outcome::Noted, Outcome::Sent));
            }
            sleep(self.node()?.pace());
        }
    }

    /// An error for what is in no block when the network ends.
    fn require_in_time(&self, left: &[Transaction]) -> Result<()> {
        let chain = self.state.chain()?;
        let (Some(last), Some(late)) = (chain.ended_at, left.first()) else {
            return Ok(());
        };
        if chain.height < Some(last) {
            return Ok(()); // it may be in a block that is not indexed yet
        }
        let txid = late.compute_txid();
        Err(TaskError::No(format!(
            "the network ended at block {last}, and transaction {txid} is in no block up to it: it counts for nothing, and what it pays is lost once it is mined"
        )))
    }

    /// What is under way, each step with the height at which it was accepted, if the index has that. The journal stays as
    /// it is.
    pub fn under_way(&self) -> Result<Vec<Task>> {
        let mut tasks = self.journal.list()?;
        let steps = tasks.iter_mut().flat_map(|task| &mut task.steps);
        for step in steps.filter(|step| step.done.is_none() && step.operation != PAYMENT) {
            let found = self.state.operations(search(step))?;
            step.done = accepted(step, &found).map(|(_, accepted)| accepted.height);
        }
        Ok(tasks)
    }

    /// The accepted operation of a step, if the index has it; a refused one is an error.
    pub(super) fn found(&self, task: &mut Task, index: usize) -> Result<Option<Accepted>> {
        Ok(self.standing(task, index)?.ok())
    }

    fn standing(&self, task: &mut Task, index: usize) -> Result<Standing> {
        let Some(step) = task.steps.get(index) else {
            return Ok(Err(Vec::new()));
        };
        if step.operation == PAYMENT {
            return self.standing_of_payment(step);
        }
        let found = self.state.operations(search(step))?;
        if let Some((place, accepted)) = accepted(step, &found) {
            if let Some(step) = task.steps.get_mut(index) {
                step.done = Some(accepted.height);
                // The newest attempt is the one that counts from now on.
                let mined = step.attempts.remove(place);
                step.attempts.push(mined);
            }
            self.journal.store(task)?;
            return Ok(Ok(accepted));
        }
        let refusal = |it: &IndexedOperation| {
            let block = words::block_there(it.height, it.time.as_deref());
            Some((block, it.txid, it.reason.clone()?))
        };
        if let Some((block, txid, reason)) = found.iter().find_map(refusal) {
            // What was mined cannot be mined again: the next run begins this step anew.
            task.steps.truncate(index);
            self.journal.store(task)?;
            return Err(TaskError::Refused {
                block,
                txid,
                reason,
            });
        }
        let newest = step.attempts.last().into_iter();
        let transactions = newest.flat_map(|attempt| &attempt.transactions);
        let left = transactions.filter(|transaction| in_block(transaction, &found).is_none());
        Ok(Err(left.cloned().collect()))
    }

    /// A payment is done when its first output can be spent.
    fn standing_of_payment(&self, step: &Step) -> Result<Standing> {
        let attempt = step.attempts.last();
        let transactions = attempt.map(|attempt| attempt.transactions.as_slice());
        let transactions = transactions.unwrap_or_default();
        for transaction in transactions {
            let txid = transaction.compute_txid();
            let output = transaction.output.first().into_iter();
            let scripts: Vec<_> = output.map(|output| output.script_pubkey.clone()).collect();
            let coins = self.node()?.coins(&scripts)?;
            if coins.iter().any(|(outpoint, _)| outpoint.txid == txid) {
                return Ok(Ok(Accepted {
                    operation: step.operation.clone(),
                    height: self.state.chain()?.height.unwrap_or(0),
                    time: None,
                    txid,
                    consensus_hash: None,
                    paid: Bill::default(),
                }));
            }
        }
        Ok(Err(transactions.to_vec()))
    }

    /// Whether the newest attempt can hardly be accepted any more.
    pub(super) fn is_stale(&self, task: &Task, index: usize) -> Result<bool> {
        let Some(expires) = newest(task, index).and_then(|attempt| attempt.expires) else {
            return Ok(false);
        };
        Ok(self.state.chain()?.best_height.saturating_add(1 + MARGIN) > expires)
    }

    /// Whether the node takes an earlier attempt.
    fn takes_earlier(&self, task: &Task, index: usize) -> Result<bool> {
        let attempts = task.steps.get(index).map(|step| step.attempts.as_slice());
        let earlier = attempts.unwrap_or_default().iter().rev().skip(1);
        let node = self.node()?;
        let mut signed = earlier.filter(|attempt| attempt.form.is_signed());
        Ok(signed.any(|attempt| node.send(&attempt.transactions).is_ok()))
    }

    /// Sends transactions together, or one by one where the node refuses one of them; the last refusal.
    fn send_all(&self, transactions: &[Transaction]) -> Result<Option<(Txid, String)>> {
        let mut refusal = match self.node()?.send(transactions) {
            Err(NodeError::Refused { txid, reason }) => Some((txid, reason)),
            sent => return Ok(sent.map(|()| None)?),
        };
        if let [_, _, ..] = transactions {
            refusal = None;
            for transaction in transactions {
                match self.node()?.send(std::slice::from_ref(transaction)) {
                    Err(NodeError::Refused { txid, reason }) => refusal = Some((txid, reason)),
                    sent => sent?,
                }
            }
        }
        Ok(refusal)
    }
}

/// Asks for all attempts at a step.
fn search(step: &Step) -> Search {
    Search {
        normalized: step.attempts.iter().flat_map(Attempt::normalized).collect(),
        from: step.attempts.first().map_or(0, |first| first.height),
    }
}

/// The place of the attempt of which every operation is accepted, and its last operation.
fn accepted(step: &Step, found: &[IndexedOperation]) -> Option<(usize, Accepted)> {
    let mut attempts = step.attempts.iter().enumerate();
    let (place, last) = attempts.find_map(|(place, attempt)| {
        let mut in_blocks = attempt.transactions.iter().map(|it| in_block(it, found));
        let accepted = |found: &&IndexedOperation| found.reason.is_none();
        let last = in_blocks.try_fold(None, |_, found| found.filter(accepted).map(Some));
        Some((place, last??))
    })?;
    let accepted = Accepted {
        operation: step.operation.clone(),
        height: last.height,
        time: last.time.clone(),
        txid: last.txid,
        consensus_hash: last.consensus_hash,
        paid: Bill::default(),
    };
    Some((place, accepted))
}

/// What became of a transaction, whoever signed it.
fn in_block<'f>(
    transaction: &Transaction,
    found: &'f [IndexedOperation],
) -> Option<&'f IndexedOperation> {
    let normalized = transaction.compute_ntxid();
    found.iter().find(|found| found.normalized == normalized)
}

/// The newest attempt at a step as what was sent.
fn sent(task: &Task, index: usize) -> Option<Sent> {
    let last = newest(task, index)?.transactions.last()?;
    Some(Sent {
        operation: task.steps.get(index)?.operation.clone(),
        txid: last.compute_txid(),
        paid: Bill::default(),
    })
}

/// The newest attempt at a step.
pub(super) fn newest(task: &Task, index: usize) -> Option<&Attempt> {
    task.steps.get(index)?.attempts.last()
}

/// What was sent last, and what the node said.
#[derive(Default)]
struct Sending {
    at: Option<Instant>,
    refusal: Option<Refusal>,
}

struct Refusal {
    txid: Txid,
    reason: String,
    /// The best block then: what is in no block up to it was not mined.
    best_height: u32,
}

impl Sending {
    /// Sends what is left when it is time to, should the node have dropped something. A refusal is no surprise for what
    /// is in a block that is not indexed yet; once that is indexed, it is one.
    fn advance(
        &mut self,
        wallet: &Wallet<'_>,
        task: &Task,
        index: usize,
        left: &[Transaction],
    ) -> Result<()> {
        let is_older = |age| self.at.is_none_or(|at| at.elapsed() > age);
        match &self.refusal {
            Some(refusal) if is_older(PATIENCE) => {
                let chain = wallet.state.chain()?;
                if !chain.synced || chain.height < Some(refusal.best_height) {
                    return Ok(());
                }
                if !wallet.takes_earlier(task, index)? {
                    return Err(TaskError::Lost {
                        txid: refusal.txid,
                        reason: refusal.reason.clone(),
                        subject: task.subject.clone(),
                    });
                }
                self.at = Some(Instant::now());
                self.refusal = None;
            }
            None if is_older(RESEND) => {
                for transaction in left {
                    (wallet.tell)(Event::Sending(transaction.compute_txid()));
                }
                self.at = Some(Instant::now());
                self.refusal = match wallet.send_all(left)? {
                    Some((txid, reason)) => Some(Refusal {
                        txid,
                        reason,
                        best_height: wallet.state.chain()?.best_height,
                    }),
                    None => None,
                };
            }
            _ => {}
        }
        Ok(())
    }
}
