//! What is under way, on disk and synced before anything is sent.
//!
//! One file per subject (a name or namespace) in `keys/pending`. It says what is to be reached, in steps, and
//! holds every transaction that was ever made for a step. So a program that is killed anywhere and started
//! again finds out which of them was mined, sends the newest again if none was, and never pays for a step
//! twice: all attempts at one step spend the same first coin, so only one of them can ever be mined.
//!
//! A transaction that is handed out as a PSBT is noted just so, without its signatures, and before anybody else
//! sees it: whoever sends it, it is found on the chain by what it spends and pays.
//!
//! The files hold no key, but they tell which name is about to be registered: they are private.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bitcoin::hashes::sha256d;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use serde::{Deserialize, Serialize};

use super::hex;
use super::vault::{VaultError, make_private_directory, read_private};
use crate::disk;

/// Folder in the directory of keys.
const FOLDER: &str = "pending";
/// Version of the format.
const FORMAT: u32 = 1;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file cannot be read or written, or is not safe.
    #[error(transparent)]
    File(#[from] VaultError),
    /// A file makes no sense.
    #[error("{} is no journal of this version of bnsd: finish what it is about with the version that wrote it, or move it away", .0.display())]
    Malformed(PathBuf),
    /// Another process works on the same.
    #[error("another bnsd works on {0} right now: wait for it, or stop it")]
    Busy(String),
}

/// Something to be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    format: u32,
    /// The name or namespace that it is about.
    pub subject: String,
    /// What was asked for: `register`, `update`, ...
    pub goal: String,
    /// What the goal was asked with, for those who start it again: owner, zone file hash, ...
    pub terms: std::collections::BTreeMap<String, String>,
    /// The steps so far; only the last may be unfinished.
    pub steps: Vec<Step>,
}

/// An operation, or a batch of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// In the reference's words.
    pub operation: String,
    /// Every attempt, oldest first.
    pub attempts: Vec<Attempt>,
    /// Height at which one of them was accepted.
    pub done: Option<u32>,
}

/// Transactions that were made for a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Height of the index when they were made.
    pub height: u32,
    /// Last height at which they can be accepted; `null` if they quote no consensus hash.
    pub expires: Option<u32>,
    /// What miners get, in satoshi per 1000 weight units.
    pub rate: u64,
    /// Whether they can be sent from here.
    #[serde(default, skip_serializing_if = "Form::is_signed")]
    pub form: Form,
    /// The transactions, each after those that it depends on.
    #[serde(with = "hex::transactions")]
    pub transactions: Vec<Transaction>,
    /// The outputs that the first one spends, in input order.
    pub spent: Vec<SpentCoin>,
}

/// What is known of the transactions of an attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Everything.
    #[default]
    Signed,
    /// All but the signatures: it was handed out as a PSBT, and others sign and send it.
    Psbt,
}

impl Form {
    /// Whether they can be sent from here.
    pub fn is_signed(&self) -> bool {
        *self == Self::Signed
    }
}

/// An output that is spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpentCoin {
    /// Where it is, as TXID:VOUT.
    pub outpoint: OutPoint,
    /// Its worth in satoshi.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub satoshi: Amount,
    /// Its script in hex.
    pub script: ScriptBuf,
}

impl Attempt {
    /// An attempt with these transactions.
    pub fn new(
        height: u32,
        expires: Option<u32>,
        rate: bitcoin::FeeRate,
        transactions: Vec<Transaction>,
        prevouts: &[TxOut],
    ) -> Self {
        let inputs = transactions.iter().take(1).flat_map(|first| &first.input);
        let spent = inputs.zip(prevouts).map(|(input, prevout)| SpentCoin {
            outpoint: input.previous_output,
            satoshi: prevout.value,
            script: prevout.script_pubkey.clone(),
        });
        let spent = spent.collect();
        Self {
            height,
            expires,
            rate: rate.to_sat_per_kwu(),
            form: Form::Signed,
            transactions,
            spent,
        }
    }

    /// The same attempt, its transactions without signatures.
    #[must_use]
    pub(crate) fn handed_out(self) -> Self {
        Self {
            form: Form::Psbt,
            ..self
        }
    }

    /// The outputs that the first transaction spends, in input order.
    pub fn coins(&self) -> Vec<(OutPoint, TxOut)> {
        let coin = |spent: &SpentCoin| {
            let output = TxOut {
                value: spent.satoshi,
                script_pubkey: spent.script.clone(),
            };
            (spent.outpoint, output)
        };
        self.spent.iter().map(coin).collect()
    }

    /// Its txids; those of transactions without signatures are not the ones that they will have.
    pub fn txids(&self) -> Vec<Txid> {
        let transactions = self.transactions.iter();
        transactions.map(Transaction::compute_txid).collect()
    }

    /// What its transactions are called whoever signs them: the hash without signatures.
    pub fn normalized(&self) -> Vec<sha256d::Hash> {
        let transactions = self.transactions.iter();
        transactions.map(Transaction::compute_ntxid).collect()
    }
}

impl Task {
    /// A task without steps.
    pub fn new(subject: &str, goal: &str) -> Self {
        Self {
            format: FORMAT,
            subject: subject.to_owned(),
            goal: goal.to_owned(),
            terms: std::collections::BTreeMap::new(),
            steps: Vec::new(),
        }
    }

    /// Begins a step with its first attempt.
    pub fn begin(&mut self, operation: &str, attempt: Attempt) {
        self.steps.push(Step {
            operation: operation.to_owned(),
            attempts: vec![attempt],
            done: None,
        });
    }

    /// Whether it has reached its goal; a registration has two steps, of which the second counts.
    pub fn is_finished(&self) -> bool {
        let is_last =
            |step: &Step| self.goal != "register" || step.operation == "NAME_REGISTRATION";
        let last = self.steps.last();
        last.is_some_and(|step| step.done.is_some() && is_last(step))
    }

    /// Whether it was begun with this goal and these terms.
    pub fn is_about(&self, goal: &str, terms: &[(&str, String)]) -> bool {
        let same = |(what, value): &(&str, String)| self.terms.get(*what) == Some(value);
        self.goal == goal && terms.iter().all(same)
    }

    /// The step that is not finished.
    pub(crate) fn open_step(&self) -> Option<&Step> {
        self.steps.last().filter(|step| step.done.is_none())
    }

    /// Takes the signatures of a transaction that was handed out; `false` if it was not.
    pub(crate) fn take_signatures(&mut self, transaction: &Transaction) -> bool {
        let normalized = transaction.compute_ntxid();
        let open = self.steps.last_mut().filter(|step| step.done.is_none());
        let attempts = open.into_iter().flat_map(|step| &mut step.attempts);
        for attempt in attempts {
            if !attempt.form.is_signed() && attempt.normalized().contains(&normalized) {
                attempt.transactions = vec![transaction.clone()];
                attempt.form = Form::Signed;
                return true;
            }
        }
        false
    }

    /// All transactions that were ever made for it.
    pub(crate) fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        let attempts = self.steps.iter().flat_map(|step| &step.attempts);
        attempts.flat_map(|attempt| &attempt.transactions)
    }

    /// Outputs that its unfinished transactions spend.
    pub fn spent(&self) -> Vec<OutPoint> {
        let attempts = self.open_step().into_iter().flat_map(|step| &step.attempts);
        let transactions = attempts.flat_map(|attempt| &attempt.transactions);
        let inputs = transactions.flat_map(|transaction| &transaction.input);
        inputs.map(|input| input.previous_output).collect()
    }
}

/// The folder of tasks of one network.
#[derive(Debug, Clone)]
pub struct Journal {
    directory: PathBuf,
    network: String,
}

/// A subject that no other process can work on; given back when dropped.
#[derive(Debug)]
pub struct Held {
    _lock: File,
}

impl Journal {
    /// The journal beside the keys in `keys`.
    pub fn new(keys: &Path, network: &str) -> Self {
        Self {
            directory: keys.join(FOLDER),
            network: network.to_owned(),
        }
    }

    /// Keeps other processes away from a subject.
    pub fn hold(&self, subject: &str) -> Result<Held, JournalError> {
        if let Some(keys) = self.directory.parent() {
            make_private_directory(keys)?;
        }
        make_private_directory(&self.directory)?;
        let path = self.path(subject, "lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .map_err(|source| VaultError::Io { path, source })?;
        file.try_lock()
            .map_err(|_| JournalError::Busy(subject.to_owned()))?;
        Ok(Held { _lock: file })
    }

    /// The task on a subject.
    pub fn load(&self, subject: &str) -> Result<Option<Task>, JournalError> {
        let path = self.path(subject, "json");
        let bytes = match read_private(&path) {
            Err(VaultError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            read => read?,
        };
        let task: Task =
            serde_json::from_slice(&bytes).map_err(|_| JournalError::Malformed(path.clone()))?;
        if task.format != FORMAT || task.subject != subject {
            return Err(JournalError::Malformed(path));
        }
        Ok(Some(task))
    }

    /// Writes a task; it is on disk when this returns.
    pub fn store(&self, task: &Task) -> Result<(), JournalError> {
        let mut bytes = serde_json::to_vec_pretty(task).expect("tasks have text keys");
        bytes.push(b'\n');
        let path = self.path(&task.subject, "json");
        let written = disk::replace(&path, &bytes);
        written.map_err(|source| VaultError::Io { path, source }.into())
    }

    /// Ends a task.
    pub fn remove(&self, subject: &str) -> Result<(), JournalError> {
        let path = self.path(subject, "json");
        let removed = disk::remove(&path);
        removed.map_err(|source| VaultError::Io { path, source }.into())
    }

    /// All tasks, by subject.
    pub fn list(&self) -> Result<Vec<Task>, JournalError> {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return Ok(Vec::new()); // nothing was ever begun
        };
        let prefix = format!("{}+", self.network);
        let files = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let subject = |file: String| {
            let subject = file.strip_prefix(&prefix)?.strip_suffix(".json")?;
            Some(subject.to_owned())
        };
        let mut subjects: Vec<String> = files.filter_map(subject).collect();
        subjects.sort_unstable();
        let tasks = subjects.iter().map(|subject| self.load(subject));
        tasks.filter_map(Result::transpose).collect()
    }

    fn path(&self, subject: &str, ending: &str) -> PathBuf {
        self.directory
            .join(format!("{}+{subject}.{ending}", self.network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_found_again_and_held_by_one() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let journal = Journal::new(&scratch.path().join("keys"), "dev");
        assert_eq!(journal.list().expect("nothing there"), []);
        let held = journal.hold("me.id").expect("free");
        assert!(matches!(journal.hold("me.id"), Err(JournalError::Busy(_))));
        assert!(journal.hold("you.id").is_ok());
        let mut task = Task::new("me.id", "register");
        task.steps.push(Step {
            operation: "NAME_PREORDER".to_owned(),
            attempts: Vec::new(),
            done: None,
        });
        journal.store(&task).expect("writable");
        assert_eq!(journal.load("me.id").expect("readable"), Some(task.clone()));
        assert_eq!(journal.list().expect("readable"), [task]);
        assert_eq!(
            Journal::new(&scratch.path().join("keys"), "mainnet")
                .list()
                .expect("readable"),
            []
        );
        journal.remove("me.id").expect("ours");
        assert_eq!(journal.load("me.id").expect("readable"), None);
        drop(held);
        assert!(journal.hold("me.id").is_ok());
    }
}
