//! Transactions that others signed: checked against the rules, noted, sent.

use bitcoin::{Transaction, TxOut};

use super::bill::Bill;
use super::error::{Result, TaskError};
use super::state::Proposed;
use super::wait::PAYMENT;
use super::wallet::Wallet;
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
            (true, Check::Rules) => self.check(transaction, spent)?,
            (true, Check::Nothing) => "OPERATION".to_owned(),
            (false, _) => PAYMENT.to_owned(),
        };
        let charge = spent.map(|spent| self.charge(&operation, transaction, spent));
        let bill = charge.transpose()?.map(|charge| Bill {
            charges: vec![charge],
            later: Vec::new(),
        });
        agree(bill.as_ref())?;
        let begun = self.note_signed(transaction)?;
        self.node()?.send(std::slice::from_ref(transaction))?;
        Ok(begun)
    }

    /// What it is in the reference's words, if the rules accept it.
    fn check(&self, transaction: &Transaction, spent: Option<&[TxOut]>) -> Result<String> {
        let spent = spent.ok_or_else(|| {
            let text = "what this transaction spends is not known here, so the rules cannot be asked: send its PSBT, or insist with --unchecked";
            TaskError::Usage(text.to_owned())
        })?;
        self.synced_chain()?;
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

    /// Notes the signatures of what was handed out, before it is sent.
    fn note_signed(&self, transaction: &Transaction) -> Result<Option<Task>> {
        let mut tasks = self.journal.list()?.into_iter();
        let Some(found) = tasks.find(|task| task.clone().take_signatures(transaction)) else {
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
