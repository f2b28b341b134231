//! Transactions that others signed: checked against the rules, noted, sent.

use bitcoin::{Transaction, TxOut};

use super::bill::Bill;
use super::error::{Result, TaskError};
use super::review::{for_nothing, taken};
use super::state::Proposed;
use super::wait::PAYMENT;
use super::wallet::Wallet;
use super::wish::{NAMESPACE_PREORDER, PREORDER};
use crate::bns::Name;
use crate::virtualchain::scan;
use crate::wallet::journal::Task;

/// Whether the rules are asked before something is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// They are, and what they would refuse is not sent.
    Rules,
    /// They are not.
    Nothing,
}

impl Wallet<'_> {
    /// Sends a signed transaction, if `agree` does not refuse what it costs; there is no bill where it is not known what is
    /// spent. Returns the task that it belongs to, if it was handed out by this machine.
    pub fn send(
        &self,
        transaction: &Transaction,
        spent: Option<&[TxOut]>,
        check: Check,
        agree: impl FnOnce(Option<&Bill>) -> Result<()>,
    ) -> Result<Option<Task>> {
        let carries_operation = scan::payload(transaction, self.magic).is_some();
        if carries_operation {
            self.require_open_end()?;
        }
        let operation = match (carries_operation, check) {
            (true, Check::Rules) => self.judge_signed(transaction, spent)?,
            (true, Check::Nothing) => "OPERATION".to_owned(),
            (false, _) => PAYMENT.to_owned(),
        };
        let charge = spent.map(|spent| self.charge(&operation, transaction, spent));
        let bill = charge.transpose()?.map(|charge| Bill {
            charges: vec![charge],
            later: Vec::new(),
        });
        agree(bill.as_ref())?;
        if carries_operation && check == Check::Rules {
            self.judge_signed(transaction, spent)?; // somebody may have thought about it for a while
        }
        let begun = self.note_signed(transaction)?;
        self.node()?.send(std::slice::from_ref(transaction))?;
        Ok(begun)
    }

    /// What it is in the reference's words, if the rules accept it, and if what was handed out here can still be of use.
    fn judge_signed(&self, transaction: &Transaction, spent: Option<&[TxOut]>) -> Result<String> {
        let spent = spent.ok_or_else(|| {
            let text = "what this transaction spends is not known here, so the rules cannot be asked: send its PSBT, or insist with --unchecked";
            TaskError::Usage(text.to_owned())
        })?;
        self.synced_chain()?;
        if let Some(task) = self.handed_out(transaction)? {
            self.require_free(&task)?;
        }
        let about = transaction.compute_txid().to_string();
        let proposed = Proposed::new(transaction.clone(), spent);
        let verdicts = self.judge(vec![vec![proposed]], &about)?.verdicts;
        let operations = verdicts.into_iter().map(|verdict| verdict.operation);
        Ok(operations.collect::<Vec<_>>().join(" "))
    }

    /// What a transaction spends, if the node can say.
    pub fn spent(&self, transaction: &Transaction) -> Result<Option<Vec<TxOut>>> {
        let inputs = transaction.input.iter();
        let outputs = inputs.map(|input| self.node()?.output(&input.previous_output));
        let outputs: Vec<Option<TxOut>> = outputs.collect::<Result<_, _>>()?;
        Ok(outputs.into_iter().collect())
    }

    /// The task for which a transaction was handed out here, and is not sent yet.
    fn handed_out(&self, transaction: &Transaction) -> Result<Option<Task>> {
        let mut tasks = self.journal.list()?.into_iter();
        Ok(tasks.find(|task| task.clone().take_signatures(transaction)))
    }

    /// Refuses a preorder of what somebody else has by now; the rules cannot, because it hides what it is about.
    fn require_free(&self, task: &Task) -> Result<()> {
        let operation = task.steps.last().map(|step| step.operation.as_str());
        let taken = match operation {
            Some(PREORDER) => {
                let name: Result<Name, _> = task.subject.parse();
                let is_taken = name.map(|name| self.state.name(&name).map(|it| it.is_registered));
                let is_taken = is_taken.unwrap_or(Ok(false))?;
                is_taken.then(|| format!("{} is registered already", task.subject))
            }
            Some(NAMESPACE_PREORDER) => {
                let id = task.subject.strip_suffix(".preorder").map(str::parse);
                match id {
                    Some(Ok(id)) => taken(&id, &self.state.namespace(&id)?.stage),
                    _ => None,
                }
            }
            _ => None,
        };
        taken.map_or(Ok(()), |taken| Err(for_nothing(&taken)))
    }

    /// Notes the signatures of what was handed out, before it is sent.
    fn note_signed(&self, transaction: &Transaction) -> Result<Option<Task>> {
        let Some(found) = self.handed_out(transaction)? else {
            return Ok(None);
        };
        let _held = self.journal.hold(&found.subject)?;
        let mut task = self.journal.load(&found.subject)?.unwrap_or(found);
        if task.take_signatures(transaction) {
            self.journal.store(&task)?;
        }
        Ok(Some(task))
    }
}
