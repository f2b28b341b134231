//! From a plan to a block: built, judged, noted on disk, sent, awaited, and built again when the consensus
//! hash that it quotes gets too old.
//!
//! Whatever happens in between, running it again goes on: what was noted is looked for on the chain first,
//! then sent again. All attempts at a step spend the same first coin, so at most one of them is ever mined.

use std::thread::sleep;
use std::time::{Duration, Instant};

use bitcoin::{FeeRate, Transaction};

use super::draft::Replaced;
use super::{Desk, Draft, OwnError, SendOptions, Sender};
use crate::api::message::{Reply, Request};
use crate::api::own::{ChainReply, IndexedOperation, JudgedTransaction, OperationRequest};
use crate::cli::CliError;
use crate::wallet::journal::{Attempt, Step, Task};
use crate::wallet::node::{Node, NodeError};
use crate::wallet::operation::Operation;

/// An operation is built again when so few blocks are left in which it can be accepted.
const MARGIN: u32 = 2;
/// How long the index may take to show what the node says is in a block.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often a transaction that waits is sent again, should the node have dropped it.
const RESEND: Duration = Duration::from_secs(60);

/// One step: an operation and who sends it.
pub struct Plan<'p> {
    /// In the reference's words.
    pub operation: &'static str,
    /// Whether it quotes a consensus hash and so has to be mined soon.
    pub quotes: bool,
    /// Who sends it.
    pub sender: Sender,
    /// Makes it for the chain as it is.
    pub make: Box<dyn Fn(&ChainReply) -> Result<Operation, CliError> + 'p>,
    /// What the block after it is meant to hold, to be judged along.
    pub then: Option<Box<dyn Fn(&Draft) -> Result<JudgedTransaction, CliError> + 'p>>,
}

/// How far a step came.
#[derive(Debug, Clone)]
pub enum Progress {
    /// It is in a block and accepted.
    Done(Done),
    /// It was shown, handed out as a PSBT, or sent without waiting.
    Stopped,
}

/// An accepted operation.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Done {
    /// In the reference's words.
    pub operation: String,
    /// Height of its block.
    pub height: u32,
    /// Its transaction.
    pub txid: String,
    /// Consensus hash of that height.
    pub consensus_hash: String,
}

impl Desk<'_> {
    /// Begins a task of so many steps, or goes on with the one that was begun with the same terms.
    pub fn task(
        &self,
        subject: &str,
        goal: &str,
        terms: &[(&str, String)],
        steps: usize,
    ) -> Result<Task, CliError> {
        let mut task = match self.journal.load(subject).map_err(OwnError::from)? {
            None => Task::new(subject, goal),
            // Killed between the last step and the end.
            Some(task) if task.steps.len() >= steps && task.open_step().is_none() => {
                Task::new(subject, goal)
            }
            Some(task) if task.goal != goal => {
                let (subject, goal) = (task.subject, task.goal);
                return Err(OwnError::UnderWay { subject, goal }.into());
            }
            Some(task) => task,
        };
        for (what, value) in terms {
            let before = task
                .terms
                .entry((*what).to_owned())
                .or_insert_with(|| value.clone());
            if before != value {
                return Err(OwnError::OtherTerms {
                    subject: subject.to_owned(),
                    what: (*what).to_owned(),
                    before: before.clone(),
                }
                .into());
            }
        }
        Ok(task)
    }

    /// Takes step number `index` of a task, unless it is taken already.
    pub fn take(
        &self,
        task: &mut Task,
        index: usize,
        plan: &Plan<'_>,
        options: &SendOptions,
    ) -> Result<Progress, CliError> {
        let node = self.node()?;
        if task.steps.len() <= index {
            let Some(attempt) = self.attempt(&*node, task, plan, options, None)? else {
                return Ok(Progress::Stopped);
            };
            task.steps.push(Step {
                operation: plan.operation.to_owned(),
                attempts: vec![attempt],
                done: None,
            });
            self.journal.store(task).map_err(OwnError::from)?;
        }
        self.pursue(&*node, task, index, plan, options)
    }

    /// Sends the newest attempt, waits for a block that holds one, replaces what gets too old.
    fn pursue(
        &self,
        node: &dyn Node,
        task: &mut Task,
        index: usize,
        plan: &Plan<'_>,
        options: &SendOptions,
    ) -> Result<Progress, CliError> {
        let mut sent: Option<Instant> = None;
        loop {
            if let Some(done) = self.found(task, index)? {
                return Ok(Progress::Done(done));
            }
            if self.is_stale(task, index)? {
                self.replace(node, task, index, plan, options)?;
                sent = None;
            }
            if sent.is_none_or(|at| at.elapsed() > RESEND) {
                if let Some(done) = self.send_newest(node, task, index)? {
                    return Ok(Progress::Done(done));
                }
                sent = Some(Instant::now());
            }
            if options.no_wait {
                return Ok(Progress::Stopped);
            }
            sleep(node.pace());
        }
    }

    /// Whether the newest attempt can hardly be accepted any more.
    fn is_stale(&self, task: &Task, index: usize) -> Result<bool, CliError> {
        let newest = task.steps.get(index).and_then(|step| step.attempts.last());
        let Some(expires) = newest.and_then(|attempt| attempt.expires) else {
            return Ok(false);
        };
        Ok(self.chain()?.best_height.saturating_add(1 + MARGIN) > expires)
    }

    fn replace(
        &self,
        node: &dyn Node,
        task: &mut Task,
        index: usize,
        plan: &Plan<'_>,
        options: &SendOptions,
    ) -> Result<(), CliError> {
        let newest = task.steps.get(index).and_then(|step| step.attempts.last());
        let Some(newest) = newest else { return Ok(()) };
        let replaced = Replaced {
            coins: newest.coins(),
            rate: FeeRate::from_sat_per_kwu(newest.rate),
        };
        tracing::info!(
            "the consensus hash that was quoted gets too old: building the operation again"
        );
        let attempt = self.attempt(node, task, plan, options, Some(&replaced))?;
        if let (Some(attempt), Some(step)) = (attempt, task.steps.get_mut(index)) {
            step.attempts.push(attempt);
        }
        Ok(self.journal.store(task).map_err(OwnError::from)?)
    }

    /// A signed attempt; `None` if it was only to be shown or handed out.
    fn attempt(
        &self,
        node: &dyn Node,
        task: &mut Task,
        plan: &Plan<'_>,
        options: &SendOptions,
        replaced: Option<&Replaced>,
    ) -> Result<Option<Attempt>, CliError> {
        let chain = self.synced_chain()?;
        let operation = (plan.make)(&chain)?;
        let draft = self.draft(
            node,
            &operation,
            &plan.sender,
            options,
            &task.subject,
            replaced,
        )?;
        let mut blocks = vec![vec![draft.judged()]];
        if let Some(then) = &plan.then {
            blocks.push(vec![then(&draft)?]);
        }
        let judged = self.judge(blocks, &task.subject)?;
        if options.dry_run {
            self.context
                .output
                .print(&judged, || self.show_draft(&draft, &judged))?;
            return Ok(None);
        }
        if let Some(path) = &options.psbt {
            let bytes = self.psbt(node, &draft).serialize();
            std::fs::write(path, bytes).map_err(|source| OwnError::File {
                path: path.clone(),
                source,
            })?;
            self.context.output.print(&judged, || {
                let mut page = self.show_draft(&draft, &judged);
                page.note(format!("written to {}: sign it with `bnsd tx sign` or another signer, then `bnsd tx send`", path.display()));
                page
            })?;
            return Ok(None);
        }
        let transaction = self.sign(node, &draft)?;
        let height = chain.height.unwrap_or(0);
        let expires = plan
            .quotes
            .then(|| height.saturating_add(chain.consensus_hash_lifetime));
        let prevouts = &draft.unsigned.prevouts;
        Ok(Some(Attempt::new(
            height,
            expires,
            draft.rate,
            &[transaction],
            prevouts,
        )))
    }

    /// The accepted operation of a step, if the index has it; a refused one is an error.
    fn found(&self, task: &mut Task, index: usize) -> Result<Option<Done>, CliError> {
        let Some(step) = task.steps.get(index) else {
            return Ok(None);
        };
        let Some(first) = step.attempts.first() else {
            return Ok(None);
        };
        let txids = step.attempts.iter().flat_map(Attempt::txids).collect();
        let found = self.operations(txids, first.height)?;
        if let Some(accepted) = found.iter().find(|found| found.reason.is_none()) {
            let done = Done {
                operation: step.operation.clone(),
                height: accepted.height,
                txid: accepted.txid.clone(),
                consensus_hash: accepted.consensus_hash.clone(),
            };
            if let Some(step) = task.steps.get_mut(index) {
                step.done = Some(done.height);
            }
            self.journal.store(task).map_err(OwnError::from)?;
            return Ok(Some(done));
        }
        let Some(refused) = found.into_iter().next() else {
            return Ok(None);
        };
        // What was mined cannot be mined again: the next run begins this step anew.
        task.steps.truncate(index);
        self.journal.store(task).map_err(OwnError::from)?;
        Err(OwnError::Refused {
            height: refused.height,
            txid: refused.txid,
            reason: refused.reason.unwrap_or_default(),
        }
        .into())
    }

    /// What the index says about transactions.
    pub fn operations(
        &self,
        txids: Vec<String>,
        from: u32,
    ) -> Result<Vec<IndexedOperation>, CliError> {
        let request = Request::Operation(OperationRequest { txids, from });
        match self.context.ask(&request)? {
            Reply::Operation(reply) => Ok(reply.operations),
            _ => Err(CliError::Unexpected),
        }
    }

    /// Sends the newest attempt. If the node refuses it, it may be in a block that the index has not reached.
    fn send_newest(
        &self,
        node: &dyn Node,
        task: &mut Task,
        index: usize,
    ) -> Result<Option<Done>, CliError> {
        let newest = task.steps.get(index).and_then(|step| step.attempts.last());
        let transactions = newest.map(Attempt::decoded).unwrap_or_default();
        let (txid, reason) = match node.send(&transactions) {
            Ok(()) => return Ok(None),
            Err(NodeError::Refused { txid, reason }) => (txid.to_string(), reason),
            Err(error) => return Err(OwnError::from(error).into()),
        };
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(done) = self.found(task, index)? {
                return Ok(Some(done));
            }
            let chain = self.chain()?;
            let is_behind = chain.height.unwrap_or(0) < chain.best_height || !chain.synced;
            if Instant::now() > end && !is_behind && !self.any_known(node, task, index) {
                let subject = task.subject.clone();
                return Err(OwnError::Lost {
                    txid,
                    reason,
                    subject,
                }
                .into());
            }
            sleep(node.pace().max(Duration::from_millis(100)));
        }
    }

    /// Whether the node takes an earlier attempt.
    fn any_known(&self, node: &dyn Node, task: &Task, index: usize) -> bool {
        let attempts = task.steps.get(index).map(|step| step.attempts.as_slice());
        let earlier = attempts.unwrap_or_default().iter().rev().skip(1);
        earlier
            .map(Attempt::decoded)
            .any(|transactions: Vec<Transaction>| node.send(&transactions).is_ok())
    }

    /// Sends what the last step of a task holds and waits for it; nothing is built again.
    pub fn await_task(&self, task: &mut Task) -> Result<Done, CliError> {
        let node = self.node()?;
        let index = task.steps.len().saturating_sub(1);
        let mut sent: Option<Instant> = None;
        loop {
            if let Some(done) = self.found(task, index)? {
                return Ok(done);
            }
            if sent.is_none_or(|at| at.elapsed() > RESEND) {
                if let Some(done) = self.send_newest(&*node, task, index)? {
                    return Ok(done);
                }
                sent = Some(Instant::now());
            }
            sleep(node.pace());
        }
    }

    /// Sends a batch and waits until every one of it is accepted.
    pub fn await_batch(&self, task: &mut Task) -> Result<(), CliError> {
        let node = self.node()?;
        let attempt = task.steps.last().and_then(|step| step.attempts.last());
        let Some(attempt) = attempt else {
            return Ok(());
        };
        let (transactions, txids) = (attempt.decoded(), attempt.txids());
        let mut sent: Option<Instant> = None;
        loop {
            let found = self.operations(txids.clone(), attempt.height)?;
            if let Some(refused) = found.iter().find(|found| found.reason.is_some()) {
                return Err(OwnError::Refused {
                    height: refused.height,
                    txid: refused.txid.clone(),
                    reason: refused.reason.clone().unwrap_or_default(),
                }
                .into());
            }
            if found.len() >= txids.len() {
                return Ok(());
            }
            if sent.is_none_or(|at| at.elapsed() > RESEND) {
                for transaction in &transactions {
                    let txid = transaction.compute_txid().to_string();
                    let is_found = found.iter().any(|found| found.txid == txid);
                    if !is_found {
                        // A refusal is no surprise when it is in a block that is not indexed yet.
                        match node.send(std::slice::from_ref(transaction)) {
                            Ok(()) | Err(NodeError::Refused { .. }) => {}
                            Err(error) => return Err(OwnError::from(error).into()),
                        }
                    }
                }
                sent = Some(Instant::now());
            }
            sleep(node.pace());
        }
    }

    /// A task with a single step, from beginning to end.
    pub fn single(
        &self,
        subject: &str,
        goal: &str,
        terms: &[(&str, String)],
        plan: &Plan<'_>,
        options: &SendOptions,
    ) -> Result<Progress, CliError> {
        let _held = self.journal.hold(subject).map_err(OwnError::from)?;
        let mut task = self.task(subject, goal, terms, 1)?;
        let progress = self.take(&mut task, 0, plan, options)?;
        if let Progress::Done(_) = progress {
            self.journal.remove(subject).map_err(OwnError::from)?;
        }
        Ok(progress)
    }
}
