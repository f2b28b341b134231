//! Many names at once, each imported by a transaction of its own.
//!
//! ```text
//! left of the list -> a batch, judged -> coins of one worth -> signed, noted, sent -> awaited -> next batch
//! ```
//!
//! What is on the chain already is left out, so that a stopped import goes on where it was.

use std::cell::Cell;

use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, TxOut};

use super::consent::{Consent, Deal};
use super::draft::Draft;
use super::error::{Result, TaskError};
use super::wait::{Next, Outcome, PAYMENT};
use super::wallet::{Event, Means, Until, Wallet, require_open_end};
use crate::bns::address::Address;
use crate::bns::{Name, NamespaceId};
use crate::hash::ZonefileHash;
use crate::wallet::coins::{Coin, DUST, Funding};
use crate::wallet::journal::{Attempt, Task};
use crate::wallet::lock::Lock;
use crate::wallet::operation::{Operation, Unsigned};
use crate::wallet::psbt;

/// How many names are imported together.
const BATCH: usize = 200;
/// Size in virtual bytes of an import with one input and no change, rounded up.
const IMPORT_SIZE: u64 = 310;

/// A name to be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedName {
    /// The name.
    pub name: Name,
    /// Its owner.
    pub owner: Address,
    /// Hash of its zone file.
    pub hash: ZonefileHash,
    /// The zone file for the archive, if it is at hand.
    pub zonefile: Option<Vec<u8>>,
}

/// Who imports, for what, and on which terms.
struct Batches<'w> {
    wallet: &'w Wallet<'w>,
    means: &'w Means,
    sender: Lock,
    subject: String,
    agreed: Cell<bool>,
}

impl Wallet<'_> {
    /// Imports all names of a list into a namespace that is revealed.
    pub fn import(&self, id: &NamespaceId, names: &[ImportedName], means: &Means) -> Result<()> {
        require_open_end(&self.synced_chain()?)?;
        let batches = Batches {
            wallet: self,
            means,
            sender: self.revealer(id, means.key.as_ref())?,
            subject: format!("{id}.import"),
            agreed: Cell::new(false),
        };
        let _held = self.journal.hold(&batches.subject)?;
        batches.finish_begun()?;
        let left = self.still_to_import(names)?;
        let (total, mut done) = (names.len(), names.len() - left.len());
        for batch in left.chunks(BATCH) {
            (self.tell)(Event::Imported { done, total });
            batches.carry_out(batch, total - done)?;
            done += batch.len();
        }
        (self.tell)(Event::Imported { done, total });
        Ok(())
    }

    /// Those that the chain does not show as they are wanted.
    pub fn still_to_import<'n>(&self, names: &'n [ImportedName]) -> Result<Vec<&'n ImportedName>> {
        let mut left = Vec::new();
        for wanted in names {
            let found = self.state.name(&wanted.name)?;
            let owner = found.owner.map(ScriptBuf::into_bytes);
            let is_there = found.is_registered
                && owner == Some(wanted.owner.script())
                && found.zonefile_hash == Some(wanted.hash);
            if !is_there {
                left.push(wanted);
            }
        }
        Ok(left)
    }
}

impl Batches<'_> {
    /// Imports a batch of the `left` names that are still to be imported.
    fn carry_out(&self, batch: &[&ImportedName], left: usize) -> Result<()> {
        let wallet = self.wallet;
        let rate = wallet.rate(self.means)?;
        let fee = rate.fee_vb(IMPORT_SIZE);
        let value = DUST * 2 + fee.ok_or(TaskError::Contradiction("the fee rate"))?;
        // Splitting coins costs a fee: what would be refused is refused before it.
        let pretended = Coin {
            outpoint: OutPoint::null(),
            output: TxOut {
                value,
                script_pubkey: self.sender.script(),
            },
            input_size: self.sender.input_size(),
        };
        let drafts = self.drafts(batch, &vec![pretended; batch.len()], rate)?;
        let deal = Deal::Import {
            names: left,
            first: drafts.iter().map(|draft| &draft.unsigned).collect(),
        };
        let concerns = &[];
        wallet.ask(&self.agreed, &Consent { deal, concerns })?;
        for zonefile in batch.iter().filter_map(|wanted| wanted.zonefile.as_ref()) {
            wallet.state.publish(zonefile)?;
        }
        let coins = self.split(batch.len(), value)?;
        let drafts = self.drafts(batch, &coins, rate)?;
        let locks = std::slice::from_ref(&self.sender);
        let keys = wallet.keyring.signing_keys(locks)?;
        // The coins were made by this program, so the node is not asked for the transactions behind them.
        let unsigned = drafts.iter().map(|draft| &draft.unsigned);
        let psbts = unsigned.map(|unsigned| psbt::create(unsigned, locks, |_| None));
        let signed = psbts.map(|psbt| psbt::sign_and_finish(psbt, &keys));
        let signed = signed.collect::<Result<_, _>>()?;
        let height = wallet.state.chain()?.height.unwrap_or(0);
        self.note("NAME_IMPORT", Attempt::new(height, None, rate, signed, &[]))
    }

    /// An import for each coin, judged together.
    fn drafts(&self, batch: &[&ImportedName], coins: &[Coin], rate: FeeRate) -> Result<Vec<Draft>> {
        let pairs = batch.iter().zip(coins);
        let drafts = pairs.map(|(wanted, coin)| self.draft(wanted, coin, rate));
        let drafts = drafts.collect::<Result<Vec<_>, _>>()?;
        let block = drafts.iter().map(Draft::proposed).collect();
        self.wallet.judge(vec![block], &self.subject)?;
        Ok(drafts)
    }

    /// The import of a name, paid with one coin, without change.
    fn draft(&self, wanted: &ImportedName, coin: &Coin, rate: FeeRate) -> Result<Draft> {
        let operation = Operation::name_import(&wanted.name, wanted.owner, wanted.hash);
        let outputs = operation.outputs(self.wallet.magic)?;
        Ok(Draft {
            unsigned: Unsigned::exactly(std::slice::from_ref(coin), outputs),
            locks: vec![self.sender.clone()],
            rate,
        })
    }

    /// So many coins of one worth; made from larger ones unless an earlier run left them.
    fn split(&self, count: usize, value: Amount) -> Result<Vec<Coin>> {
        let (mut fit, larger) = self.coins_of(value)?;
        if fit.len() < count {
            let script = self.sender.script();
            let funding = Funding {
                sender: &script,
                coins: &larger,
                change: &script,
                rate: self.wallet.rate(self.means)?,
            };
            let output = TxOut {
                value,
                script_pubkey: script.clone(),
            };
            let outputs = vec![output; count - fit.len()];
            let draft = Draft {
                unsigned: Unsigned::payment(&funding, None, outputs)?,
                locks: vec![self.sender.clone()],
                rate: funding.rate,
            };
            let signed = vec![self.wallet.sign(&draft)?];
            self.note(PAYMENT, Attempt::new(0, None, draft.rate, signed, &[]))?;
            fit = self.coins_of(value)?.0;
        }
        fit.truncate(count);
        Ok(fit)
    }

    /// The sender's coins of this worth, and all others.
    fn coins_of(&self, value: Amount) -> Result<(Vec<Coin>, Vec<Coin>)> {
        let locks = std::slice::from_ref(&self.sender);
        let coins = self.wallet.coins(locks, self.means, &self.subject)?;
        let fits = |coin: &Coin| coin.output.value == value;
        Ok(coins.into_iter().partition(fits))
    }

    /// Notes what was signed, sends it, and waits until all of it is on the chain.
    fn note(&self, operation: &str, attempt: Attempt) -> Result<()> {
        let mut task = Task::new(&self.subject, "import");
        task.begin(operation, attempt);
        self.wallet.journal.store(&task)?;
        self.finish_begun()
    }

    /// Sends what is noted, waits until all of it is on the chain, and strikes it off.
    fn finish_begun(&self) -> Result<()> {
        let journal = &self.wallet.journal;
        let awaited = match journal.load(&self.subject)? {
            None => return Ok(()),
            Some(task) if task.steps.is_empty() => Ok(Outcome::Sent),
            Some(mut task) => {
                let attend = &mut |_: &mut Task| Ok(Next::Wait);
                let until = Until::InBlock;
                self.wallet.send_and_wait(&mut task, 0, until, attend)
            }
        };
        // What was refused in a block is over too: the next run begins it anew.
        if let Ok(_) | Err(TaskError::Refused { .. }) = &awaited {
            journal.remove(&self.subject)?;
        }
        awaited.map(|_| ())
    }
}
