//! From a plan to a block: built, judged, noted on disk, sent, awaited, and built again when the consensus
//! hash that it quotes gets too old.
//!
//! Whatever happens in between, running it again goes on: what was noted is looked for on the chain first,
//! then sent again. All attempts at a step spend the same first coin, so at most one of them is ever mined. That
//! holds for a PSBT too: it is noted before it is written, and whoever signs and sends it, it is found.

use std::thread::sleep;
use std::time::{Duration, Instant};

use bitcoin::{FeeRate, Transaction};

use super::draft::Replaced;
use super::{Desk, Draft, OwnError, SendOptions, Sender};
use crate::api::message::{Reply, Request};
use crate::api::owner::{ChainReply, IndexedOperation, JudgedTransaction, OperationRequest};
use crate::cli::CliError;
use crate::wallet::journal::{Attempt, Step, Task};
use crate::wallet::node::{Node, NodeError};
use crate::wallet::operation::Operation;

/// An operation is built again when so few blocks are left in which it can be accepted.
pub const MARGIN: u32 = 2;
/// How long the index may take to show what the node says is in a block.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// How often a transaction that waits is sent again, should the node have dropped it.
pub const RESEND: Duration = Duration::from_secs(60);

/// Makes an operation for the chain as it is.
type Make<'p> = dyn Fn(&ChainReply) -> Result<Operation, CliError> + 'p;
/// Makes what the next block is meant to hold.
type Then<'p> = dyn Fn(&Draft) -> Result<JudgedTransaction, CliError> + 'p;

/// One step: an operation and who sends it.
pub struct Plan<'p> {
    /// In the reference's words.
    pub operation: &'static str,
    /// Whether it quotes a consensus hash and so has to be mined soon.
    pub quotes: bool,
    /// Who sends it.
    pub sender: Sender,
    /// Makes it for the chain as it is.
    pub make: Box<Make<'p>>,
    /// What the block after it is meant to hold, to be judged along.
    pub then: Option<Box<Then<'p>>>,
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
    /// Begins a task, or goes on with the one that was begun with the same terms. One that had reached its goal
    /// when the program was killed gives way to other terms.
    pub fn task(
        &self,
        subject: &str,
        goal: &str,
        terms: &[(&str, String)],
    ) -> Result<Task, CliError> {
        let mut task = match self.journal.load(subject).map_err(OwnError::from)? {
            None => Task::new(subject, goal),
            Some(task) if task.is_finished() && !task.is_about(goal, terms) => {
                Task::new(subject, goal)
            }
            Some(task) if task.goal != goal => self.give_way(task, goal)?,
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

    /// A new task in the place of one with another goal, if that turns out to be reached: somebody else sent what
    /// was handed out, or nobody waited for it.
    fn give_way(&self, mut before: Task, goal: &str) -> Result<Task, CliError> {
        self.synced_chain()?; // what was sent a moment ago should be seen
        let last = before.steps.len().saturating_sub(1);
        if self.found(&mut before, last)?.is_some() && before.is_finished() {
            return Ok(Task::new(&before.subject, goal));
        }
        let (subject, goal) = (before.subject, before.goal);
        Err(OwnError::UnderWay { subject, goal }.into())
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
        } else if let Some(done) = self.judge_again(task, index, plan, options)? {
            return Ok(Progress::Done(done));
        }
        self.pursue(&*node, task, index, plan, options)
    }

    /// What was signed in an earlier run is not sent if the rules have come to refuse it since.
    fn judge_again(
        &self,
        task: &mut Task,
        index: usize,
        plan: &Plan<'_>,
        options: &SendOptions,
    ) -> Result<Option<Done>, CliError> {
        if let Some(done) = self.found(task, index)? {
            return Ok(Some(done));
        }
        self.synced_chain()?;
        if self.is_stale(task, index)? {
            return self.found(task, index); // it is made anew, and judged then
        }
        let draft = self.draft_again(task, index, plan, options)?;
        let mut blocks = vec![vec![draft.judged()]];
        if let Some(then) = &plan.then {
            blocks.push(vec![then(&draft)?]);
        }
        let judged = self.judge(blocks, &task.subject);
        match self.found(task, index)? {
            Some(done) => Ok(Some(done)),
            None => judged.map(|_| None),
        }
    }

    /// The newest attempt as it was built.
    fn draft_again(
        &self,
        task: &Task,
        index: usize,
        plan: &Plan<'_>,
        options: &SendOptions,
    ) -> Result<Draft, CliError> {
        let payer = self.payer(&plan.sender, options)?;
        let locks = vec![plan.sender.lock.clone(), payer.lock];
        let draft = newest(task, index).and_then(|attempt| Draft::of_attempt(attempt, locks));
        draft.ok_or(CliError::Unexpected)
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
            if options.dry_run || self.is_others_turn(task, index) {
                self.synced_chain()?; // what others sent a moment ago should be seen
                return match self.found(task, index)? {
                    Some(done) => Ok(Progress::Done(done)),
                    None => self.stand_aside(node, task, index, plan, options),
                };
            }
            if self.is_stale(task, index)? {
                self.replace(node, task, index, plan, options)?;
                sent = None;
                continue; // it may be for others to sign now
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

    /// What is left to do where nothing may be sent from here: show it, or write it out for those who sign.
    fn stand_aside(
        &self,
        node: &dyn Node,
        task: &mut Task,
        index: usize,
        plan: &Plan<'_>,
        options: &SendOptions,
    ) -> Result<Progress, CliError> {
        if options.psbt.is_some() && !options.dry_run && self.is_stale(task, index)? {
            self.replace(node, task, index, plan, options)?;
        }
        let draft = self.draft_again(task, index, plan, options)?;
        match &options.psbt {
            _ if options.dry_run => self.show(&draft, &task.subject)?,
            Some(path) => self.hand_out(node, &draft, path, &task.subject)?,
            _ => {
                return Err(OwnError::HandedOut {
                    subject: task.subject.clone(),
                    operation: plan.operation,
                }
                .into());
            }
        }
        Ok(Progress::Stopped)
    }

    fn is_others_turn(&self, task: &Task, index: usize) -> bool {
        newest(task, index).is_some_and(|attempt| !attempt.form.is_signed())
    }

    /// Whether the newest attempt can hardly be accepted any more.
    pub fn is_stale(&self, task: &Task, index: usize) -> Result<bool, CliError> {
        let Some(expires) = newest(task, index).and_then(|attempt| attempt.expires) else {
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
        let Some(newest) = newest(task, index) else {
            return Ok(());
        };
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

    /// An attempt, signed unless it is for others to sign; `None` if it was only to be shown.
    fn attempt(
        &self,
        node: &dyn Node,
        task: &Task,
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
            self.show_judged(&draft, &judged)?;
            return Ok(None);
        }
        let height = chain.height.unwrap_or(0);
        let lifetime = chain.consensus_hash_lifetime;
        let expires = plan.quotes.then(|| height.saturating_add(lifetime));
        let attempt = |transaction| {
            let prevouts = &draft.unsigned.prevouts;
            Attempt::new(height, expires, draft.rate, &[transaction], prevouts)
        };
        Ok(Some(if options.psbt.is_some() {
            attempt(draft.unsigned.transaction.clone()).handed_out()
        } else {
            attempt(self.sign(node, &draft)?)
        }))
    }

    /// The accepted operation of a step, if the index has it; a refused one is an error.
    pub fn found(&self, task: &mut Task, index: usize) -> Result<Option<Done>, CliError> {
        let Some(step) = task.steps.get(index) else {
            return Ok(None);
        };
        let Some(first) = step.attempts.first() else {
            return Ok(None);
        };
        let request = OperationRequest {
            txids: Vec::new(),
            normalized: step.attempts.iter().flat_map(Attempt::normalized).collect(),
            from: first.height,
        };
        let found = self.operations(request)?;
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
    pub fn operations(&self, request: OperationRequest) -> Result<Vec<IndexedOperation>, CliError> {
        match self.context.ask(&Request::Operation(request))? {
            Reply::Operation(reply) => Ok(reply.operations),
            _ => Err(CliError::Unexpected),
        }
    }

    /// Sends the newest attempt. If the node refuses it, it may be in a block that the index has not reached.
    pub fn send_newest(
        &self,
        node: &dyn Node,
        task: &mut Task,
        index: usize,
    ) -> Result<Option<Done>, CliError> {
        let transactions = newest(task, index)
            .map(Attempt::decoded)
            .unwrap_or_default();
        for transaction in &transactions {
            tracing::debug!("sending transaction {}", transaction.compute_txid());
        }
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
            .filter(|attempt| attempt.form.is_signed())
            .map(Attempt::decoded)
            .any(|transactions: Vec<Transaction>| node.send(&transactions).is_ok())
    }

    /// Notes the signatures of what was handed out, before it is sent; the task that it belongs to, if it is one of
    /// this machine.
    pub fn note_signed(&self, transaction: &Transaction) -> Result<Option<Task>, CliError> {
        let tasks = self.journal.list().map_err(OwnError::from)?;
        let its = |task: &Task| task.clone().take_signatures(transaction);
        let Some(found) = tasks.into_iter().find(its) else {
            return Ok(None);
        };
        let _held = self.journal.hold(&found.subject).map_err(OwnError::from)?;
        let task = self.journal.load(&found.subject).map_err(OwnError::from)?;
        let mut task = task.unwrap_or(found);
        if task.take_signatures(transaction) {
            self.journal.store(&task).map_err(OwnError::from)?;
        }
        Ok(Some(task))
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
        let mut task = self.task(subject, goal, terms)?;
        let progress = self.take(&mut task, 0, plan, options)?;
        if let Progress::Done(_) = progress {
            self.journal.remove(subject).map_err(OwnError::from)?;
        }
        Ok(progress)
    }
}

fn newest(task: &Task, index: usize) -> Option<&Attempt> {
    task.steps.get(index)?.attempts.last()
}
