//! Many transactions at once: noted before they are sent, awaited to the last one, taken up again by the next run.

use std::thread::sleep;
use std::time::Instant;

use bitcoin::Transaction;

use crate::api::owner::OperationRequest;
use crate::cli::CliError;
use crate::cli::own::{Desk, Draft, OwnError, PATIENCE, RESEND};
use crate::wallet::journal::{Attempt, Step, Task};
use crate::wallet::node::{Node, NodeError};

/// What is under way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One transaction that makes many coins of one.
    Split,
    /// The imports that spend them.
    Imports,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Split => "PAYMENT",
            Self::Imports => "NAME_IMPORT",
        }
    }
}

/// Refuses a batch of which the rules would refuse one.
pub(super) fn judge(desk: &Desk<'_>, drafts: &[Draft], subject: &str) -> Result<(), CliError> {
    let block = drafts.iter().map(Draft::judged).collect();
    desk.judge(vec![block], subject).map(|_| ())
}

/// Notes what was signed, sends it, and waits until all of it is on the chain.
pub(super) fn carry_out(
    desk: &Desk<'_>,
    subject: &str,
    kind: Kind,
    attempt: Attempt,
) -> Result<(), CliError> {
    let mut task = Task::new(subject, "import");
    task.steps.push(Step {
        operation: kind.as_str().to_owned(),
        attempts: vec![attempt],
        done: None,
    });
    desk.journal.store(&task).map_err(OwnError::from)?;
    finish_begun(desk, subject)
}

/// Sends what is noted, waits until all of it is on the chain, and strikes it off.
pub(super) fn finish_begun(desk: &Desk<'_>, subject: &str) -> Result<(), CliError> {
    let Some(task) = desk.journal.load(subject).map_err(OwnError::from)? else {
        return Ok(());
    };
    let step = task.steps.last();
    let awaited = match step.and_then(|step| Some((step, step.attempts.last()?))) {
        Some((step, attempt)) if step.operation == Kind::Split.as_str() => {
            await_coins(desk, subject, attempt)
        }
        Some((_, attempt)) => await_operations(desk, subject, attempt),
        None => Ok(()),
    };
    // What was refused in a block is over too: the next run begins it anew.
    let is_over = matches!(
        awaited,
        Ok(()) | Err(CliError::Own(OwnError::Refused { .. }))
    );
    if is_over {
        desk.journal.remove(subject).map_err(OwnError::from)?;
    }
    awaited
}

/// Waits until a transaction's coins can be spent.
fn await_coins(desk: &Desk<'_>, subject: &str, attempt: &Attempt) -> Result<(), CliError> {
    let node = desk.node()?;
    let transactions = attempt.decoded();
    let Some((txid, output)) = transactions
        .first()
        .and_then(|first| Some((first.compute_txid(), first.output.first()?)))
    else {
        return Ok(());
    };
    let scripts = [output.script_pubkey.clone()];
    let mut mail = Mail::default();
    loop {
        let coins = node.coins(&scripts).map_err(OwnError::from)?;
        if coins.iter().any(|(outpoint, _)| outpoint.txid == txid) {
            return Ok(());
        }
        mail.send(desk, &*node, subject, || transactions.clone())?;
        sleep(node.pace());
    }
}

/// Waits until every operation is accepted; one that the rules refused is an error.
fn await_operations(desk: &Desk<'_>, subject: &str, attempt: &Attempt) -> Result<(), CliError> {
    let node = desk.node()?;
    let (transactions, txids) = (attempt.decoded(), attempt.txids());
    let mut mail = Mail::default();
    loop {
        let request = OperationRequest {
            txids: txids.clone(),
            from: attempt.height,
            ..OperationRequest::default()
        };
        let found = desk.operations(request)?;
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
        let is_left = |transaction: &&Transaction| {
            let txid = transaction.compute_txid().to_string();
            found.iter().all(|found| found.txid != txid)
        };
        let left = || transactions.iter().filter(is_left).cloned().collect();
        mail.send(desk, &*node, subject, left)?;
        sleep(node.pace());
    }
}

/// Sends again from time to time, should the node have dropped something.
#[derive(Default)]
struct Mail {
    /// When, and what the node refused then.
    sent: Option<(Instant, Option<NodeError>)>,
}

impl Mail {
    fn send(
        &mut self,
        desk: &Desk<'_>,
        node: &dyn Node,
        subject: &str,
        left: impl Fn() -> Vec<Transaction>,
    ) -> Result<(), CliError> {
        match &self.sent {
            // A refusal is no surprise for what is in a block that is not indexed yet; later it is.
            Some((at, Some(NodeError::Refused { txid, reason })))
                if at.elapsed() > PATIENCE && desk.chain()?.synced =>
            {
                Err(OwnError::Lost {
                    txid: txid.to_string(),
                    reason: reason.clone(),
                    subject: subject.to_owned(),
                }
                .into())
            }
            Some((at, _)) if at.elapsed() <= RESEND => Ok(()),
            _ => {
                self.sent = Some((Instant::now(), send(node, &left())?));
                Ok(())
            }
        }
    }
}

/// Sends transactions; the last refusal, if there was one.
fn send(node: &dyn Node, transactions: &[Transaction]) -> Result<Option<NodeError>, CliError> {
    if node.send(transactions).is_ok() {
        return Ok(None);
    }
    let mut refusal = None;
    for transaction in transactions {
        match node.send(std::slice::from_ref(transaction)) {
            Ok(()) => {}
            Err(error @ NodeError::Refused { .. }) => refusal = Some(error),
            Err(error) => return Err(OwnError::from(error).into()),
        }
    }
    Ok(refusal)
}
