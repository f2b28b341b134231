//! A wish from beginning to end: noted, built, judged, signed, sent, awaited, and built again when the consensus hash
//! that it quotes gets too old.
//!
//! A PSBT is noted before anybody else sees it: whoever signs and sends it, it is found on the chain.

use std::cell::Cell;
use std::ops::ControlFlow;

use bitcoin::{TxOut, Txid};

use super::bill::{Bill, Charge};
use super::concern::Concern;
use super::consent::{Consent, Deal};
use super::draft::Draft;
use super::error::{Result, TaskError};
use super::outlay::is_shortage;
use super::plan::Plan;
use super::review::{require_room, unanswered};
use super::state::{ChainFacts, Judgement};
use super::wait::{Accepted, Next, Outcome, Proposal, Sent, newest};
use super::wallet::{Event, Means, Signer, Until, Wallet};
use super::wish::{REGISTRATION, Wish};
use crate::wallet::journal::{Attempt, Step, Task};

impl Wallet<'_> {
    /// Carries a wish out, from where an earlier run stopped.
    pub fn carry_out(&self, wish: &Wish, means: &Means) -> Result<Outcome> {
        self.carry_steps(wish, means, wish.operations())
    }

    /// Carries out the first operation of a wish alone: the preorder of a registration.
    pub fn begin(&self, wish: &Wish, means: &Means) -> Result<Outcome> {
        self.carry_steps(wish, means, wish.operations().get(..1).unwrap_or_default())
    }

    fn carry_steps(
        &self,
        wish: &Wish,
        means: &Means,
        operations: &[&'static str],
    ) -> Result<Outcome> {
        self.require_open_end()?;
        unanswered(wish.announced(), means)?; // a bad file is told whatever else is wrong
        let sender = wish.sender(self, means)?;
        let subject = wish.subject();
        let _held = self.journal.hold(&subject)?;
        let terms = wish.terms(self, &sender);
        let mut task = self.task(&subject, wish.goal(), &terms)?;
        let mut outcome = Outcome::Noted;
        let agreed = Cell::new(false);
        for operation in operations {
            let plan = Plan {
                wallet: self,
                wish,
                means,
                sender: sender.clone(),
                operation,
                command: operations,
                agreed: &agreed,
            };
            if plan.is_behind_us(&task)? {
                continue;
            }
            outcome = self.with_receipt(plan.take(&mut task)?, &task)?;
            if !matches!(outcome, Outcome::Accepted(_)) {
                return Ok(outcome);
            }
        }
        if let Outcome::Noted = outcome {
            return Err(TaskError::No(format!(
                "{subject} is preordered already: go on with `bnsd name register`"
            )));
        }
        if operations == wish.operations() {
            self.journal.remove(&subject)?;
        }
        Ok(outcome)
    }

    /// An outcome with what was paid for it.
    pub(super) fn with_receipt(&self, outcome: Outcome, task: &Task) -> Result<Outcome> {
        Ok(match outcome {
            Outcome::Accepted(accepted) => Outcome::Accepted(Accepted {
                paid: self.receipt(task, accepted.txid)?,
                ..accepted
            }),
            Outcome::Sent(sent) => Outcome::Sent(Sent {
                paid: self.receipt(task, sent.txid)?,
                ..sent
            }),
            other => other,
        })
    }

    /// What the steps of a task have cost, the last of which is in this transaction.
    fn receipt(&self, task: &Task, last: Txid) -> Result<Bill> {
        let mut bill = Bill::default();
        for (index, step) in task.steps.iter().enumerate() {
            let mined = step.attempts.last();
            let Some((attempt, transaction)) =
                mined.and_then(|it| Some((it, it.transactions.first()?)))
            else {
                continue;
            };
            let txid = match index + 1 == task.steps.len() {
                true => Some(last),
                false => attempt.form.is_signed().then(|| transaction.compute_txid()),
            };
            let (_, prevouts): (Vec<_>, Vec<TxOut>) = attempt.coins().into_iter().unzip();
            let charge = self.charge(&step.operation, transaction, &prevouts)?;
            bill.charges.push(Charge { txid, ..charge });
        }
        Ok(bill)
    }

    /// Begins a task, or goes on with the one that was begun with the same terms. One that had reached its goal when the
    /// program was killed gives way to other terms.
    pub(super) fn task(&self, subject: &str, goal: &str, terms: &[(&str, String)]) -> Result<Task> {
        let mut task = match self.journal.load(subject)? {
            None => Task::new(subject, goal),
            Some(task) if task.is_finished() && !task.is_about(goal, terms) => {
                Task::new(subject, goal)
            }
            Some(task) if task.goal != goal => self.give_way(task, goal)?,
            Some(task) => task,
        };
        for (what, value) in terms {
            let before = task.terms.entry((*what).to_owned());
            let before = before.or_insert_with(|| value.clone());
            if before != value {
                return Err(TaskError::Usage(format!(
                    "{subject} was begun with {what} {before}: run the command with that, or give it up with `bnsd name pending --forget {subject}`"
                )));
            }
        }
        Ok(task)
    }

    /// A new task in the place of one with another goal, if that turns out to be reached: somebody else sent what was
    /// handed out, or nobody waited for it.
    fn give_way(&self, mut before: Task, goal: &str) -> Result<Task> {
        self.synced_chain()?; // what was sent a moment ago should be seen
        let last = before.steps.len().saturating_sub(1);
        if self.found(&mut before, last)?.is_some() && before.is_finished() {
            return Ok(Task::new(&before.subject, goal));
        }
        let (subject, goal) = (before.subject, before.goal);
        Err(TaskError::UnderWay { subject, goal })
    }
}

/// Each works on one step of a task: that number `index` of its steps.
impl Plan<'_> {
    /// Whether the step need not be taken: a preorder whose registration is begun, or that somebody else has sent.
    fn is_behind_us(&self, task: &Task) -> Result<bool> {
        let registers = |step: &Step| step.operation == REGISTRATION;
        if self.operation == REGISTRATION {
            return Ok(false);
        }
        Ok(task.steps.iter().any(registers) || (task.steps.is_empty() && self.is_preordered()?))
    }

    /// Takes the step, unless it is taken already.
    fn take(&self, task: &mut Task) -> Result<Outcome> {
        let known = |step: &Step| step.operation == self.operation;
        let index = task.steps.iter().position(known);
        if let Some(index) = index {
            if let Some(accepted) = self.judge_again(task, index)? {
                return Ok(Outcome::Accepted(accepted));
            }
        } else {
            match self.attempt(task, None)? {
                ControlFlow::Continue(attempt) => task.begin(self.operation, attempt),
                ControlFlow::Break(outcome) => return Ok(outcome),
            }
            self.wallet.journal.store(task)?;
        }
        let index = index.unwrap_or(task.steps.len().saturating_sub(1));
        let attend = &mut |task: &mut Task| self.attend(task, index);
        let until = self.means.until;
        self.wallet.send_and_wait(task, index, until, attend)
    }

    /// What was signed in an earlier run is not sent if the rules have come to refuse it since.
    fn judge_again(&self, task: &mut Task, index: usize) -> Result<Option<Accepted>> {
        let wallet = self.wallet;
        if let Some(accepted) = wallet.found(task, index)? {
            return Ok(Some(accepted));
        }
        let chain = wallet.synced_chain()?;
        if wallet.is_stale(task, index)? {
            return wallet.found(task, index); // it is made anew, and judged then
        }
        let draft = self.draft_again(task, index)?;
        let judged = self.judge(&draft, &chain);
        match wallet.found(task, index)? {
            Some(accepted) => Ok(Some(accepted)),
            None => judged.map(|_| None),
        }
    }

    /// Refuses what cannot work any more, by the rules or for another reason; returns what is probably not meant.
    fn judge(&self, draft: &Draft, chain: &ChainFacts) -> Result<(Judgement, Vec<Concern>)> {
        let wallet = self.wallet;
        require_room(chain, self.operation)?;
        let concerns = wallet.review(self.wish, &self.sender, self.means)?;
        let judgement = wallet.judge(self.blocks(draft, chain)?, &self.wish.subject())?;
        Ok((judgement, concerns))
    }

    /// The newest attempt as it was built.
    fn draft_again(&self, task: &Task, index: usize) -> Result<Draft> {
        let payer = self.wallet.payer(&self.sender, self.means)?;
        let locks = vec![self.sender.clone(), payer];
        let draft = newest(task, index).and_then(|attempt| Draft::of_attempt(attempt, locks));
        draft.ok_or(TaskError::Contradiction("the noted transaction"))
    }

    /// Before a step is sent: stops where it is for others to sign or only to be shown, and replaces what gets too old.
    fn attend(&self, task: &mut Task, index: usize) -> Result<Next> {
        let wallet = self.wallet;
        let is_theirs = newest(task, index).is_some_and(|attempt| !attempt.form.is_signed());
        if self.means.until == Until::Drafted || is_theirs {
            wallet.synced_chain()?; // what others sent a moment ago should be seen
            return Ok(Next::End(match wallet.found(task, index)? {
                Some(accepted) => Outcome::Accepted(accepted),
                None => self.stand_aside(task, index)?,
            }));
        }
        if wallet.is_stale(task, index)? {
            self.replace(task, index)?;
            return Ok(Next::Rebuilt); // it may be for others to sign now
        }
        Ok(Next::Wait)
    }

    /// What is left to do where nothing may be sent from here: show it, or hand it out to those who sign.
    fn stand_aside(&self, task: &mut Task, index: usize) -> Result<Outcome> {
        let wallet = self.wallet;
        let is_shown = self.means.until == Until::Drafted;
        if !is_shown && self.means.signer == Signer::Here {
            return Err(TaskError::HandedOut {
                subject: task.subject.clone(),
                operation: self.operation,
            });
        }
        if !is_shown && wallet.is_stale(task, index)? {
            self.replace(task, index)?;
        }
        let draft = Box::new(self.draft_again(task, index)?);
        let judgement = wallet.judge(vec![vec![draft.proposed()]], &task.subject)?;
        if is_shown {
            let unsigned = &draft.unsigned;
            let charge =
                wallet.charge(self.operation, &unsigned.transaction, &unsigned.prevouts)?;
            return Ok(Outcome::Drafted(Box::new(Proposal {
                bill: Bill {
                    charges: vec![charge],
                    later: Vec::new(),
                },
                draft: *draft,
                judgement,
                concerns: Vec::new(),
            })));
        }
        let psbt = Box::new(wallet.psbt(&draft.unsigned, &draft.locks));
        Ok(Outcome::HandedOut(draft, judgement, psbt))
    }

    /// What this operation costs, and those that follow it.
    fn bill(&self, following: &[&'static str], drafts: &[Draft]) -> Result<Bill> {
        let mut bill = Bill::default();
        let operations = std::iter::once(&self.operation).chain(following);
        for (operation, draft) in operations.zip(drafts) {
            let unsigned = &draft.unsigned;
            let wallet = self.wallet;
            let charge = wallet.charge(operation, &unsigned.transaction, &unsigned.prevouts)?;
            match self.command.contains(operation) {
                true => bill.charges.push(charge),
                false => bill.later.push(charge),
            }
        }
        Ok(bill)
    }

    fn ask(&self, draft: &Draft, bill: &Bill, concerns: &[Concern]) -> Result<()> {
        let deal = Deal::Wish {
            wish: self.wish,
            operation: self.operation,
            unsigned: &draft.unsigned,
        };
        let consent = Consent {
            deal,
            bill,
            concerns,
        };
        self.wallet.ask(self.agreed, &consent)
    }

    /// Hands the zone file that is announced to the archive.
    fn publish(&self) -> Result<()> {
        let announced = self.wish.announced();
        if let Some(text) = announced.and_then(|(_, zonefile)| zonefile.text.as_ref()) {
            self.wallet.state.publish(text)?;
        }
        Ok(())
    }

    fn replace(&self, task: &mut Task, index: usize) -> Result<()> {
        (self.wallet.tell)(Event::Rebuilding);
        let built = self.attempt(task, newest(task, index))?;
        if let (ControlFlow::Continue(attempt), Some(step)) = (built, task.steps.get_mut(index)) {
            step.attempts.push(attempt);
        }
        Ok(self.wallet.journal.store(task)?)
    }

    /// An attempt, signed unless it is for others to sign; only a draft if nothing more is wanted.
    fn attempt(
        &self,
        task: &Task,
        replaced: Option<&Attempt>,
    ) -> Result<ControlFlow<Outcome, Attempt>> {
        let (wallet, means, subject) = (self.wallet, self.means, task.subject.as_str());
        let chain = wallet.synced_chain()?;
        require_room(&chain, self.operation)?;
        wallet.review(self.wish, &self.sender, means)?; // what cannot work is told before coins are missed
        // What replaces a transaction was agreed to with that, and does not cost more than its fee.
        let following = match replaced {
            Some(_) => Vec::new(),
            None => self.following(&chain)?,
        };
        let (names, next): (Vec<_>, Vec<_>) = following.into_iter().unzip();
        let operations = [vec![self.make(&chain)?], next].concat();
        let drafts = wallet.drafts(&operations, &self.sender, means, subject, replaced);
        let is_missing =
            |error: &TaskError| matches!(error, TaskError::MissingCoins(_)) || is_shortage(error);
        if drafts.as_ref().is_err_and(is_missing) {
            self.judge_unpaid(&chain, subject)?;
        }
        let drafts = drafts?;
        let bill = self.bill(&names, &drafts)?;
        let draft = drafts.into_iter().next();
        let draft = draft.ok_or(TaskError::Contradiction(
            "an operation without a transaction",
        ))?;
        let (judgement, concerns) = self.judge(&draft, &chain)?;
        if means.until == Until::Drafted {
            let proposal = Proposal {
                draft,
                judgement,
                bill,
                concerns,
            };
            return Ok(ControlFlow::Break(Outcome::Drafted(Box::new(proposal))));
        }
        if replaced.is_none() {
            self.ask(&draft, &bill, &concerns)?;
            let now = wallet.synced_chain()?;
            if now.consensus_hash != chain.consensus_hash {
                self.judge(&draft, &now)?; // blocks came while somebody thought about it
            }
            self.publish()?;
        }
        let height = chain.height.unwrap_or(0);
        let lifetime = chain.consensus_hash_lifetime;
        let expires = self.quotes().then(|| height.saturating_add(lifetime));
        let attempt = |transaction| {
            let prevouts = &draft.unsigned.prevouts;
            Attempt::new(height, expires, draft.rate, vec![transaction], prevouts)
        };
        Ok(ControlFlow::Continue(match means.signer {
            Signer::Elsewhere => attempt(draft.unsigned.transaction.clone()).handed_out(),
            Signer::Here => attempt(wallet.sign(&draft)?),
        }))
    }
}
