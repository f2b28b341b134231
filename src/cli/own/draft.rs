//! From an operation to an unsigned transaction that the rules would accept.

use std::path::PathBuf;

use bitcoin::consensus::serialize;
use bitcoin::{Amount, FeeRate, OutPoint, Transaction, TxOut, Txid};
use serde::Serialize;

use super::{Desk, OwnError, SendOptions, check_coin};
use crate::api::message::{Reply, Request};
use crate::api::owner::{JudgeReply, JudgeRequest, JudgedOutput, JudgedTransaction};
use crate::bns::address::Address;
use crate::cli::CliError;
use crate::cli::output::Page;
use crate::hash::encode_hex;
use crate::virtualchain::scan;
use crate::wallet::coins::{Coin, Funding};
use crate::wallet::fee::TARGET;
use crate::wallet::journal::Attempt;
use crate::wallet::lock::Lock;
use crate::wallet::node::Node;
use crate::wallet::operation::{BuildError, Operation, Unsigned};
use crate::wallet::psbt;

/// Who sends an operation.
#[derive(Debug, Clone)]
pub struct Sender {
    /// What opens it.
    pub lock: Lock,
}

impl Sender {
    /// Its address.
    pub fn address(&self) -> Address {
        self.lock.address()
    }
}

/// An unsigned transaction, the locks of its inputs, and its rate.
#[derive(Debug, Clone)]
pub struct Draft {
    pub unsigned: Unsigned,
    pub locks: Vec<Lock>,
    pub rate: FeeRate,
}

/// What `--dry-run` and `--psbt` print as JSON. Amounts are satoshi.
#[derive(Debug, Serialize)]
struct DraftReply<'j> {
    #[serde(flatten)]
    judged: &'j JudgeReply,
    payload: Option<String>,
    inputs: Vec<DraftInput>,
    outputs: Vec<DraftOutput>,
    fee: u64,
}

#[derive(Debug, Serialize)]
struct DraftInput {
    outpoint: String,
    satoshi: u64,
    address: Option<String>,
}

#[derive(Debug, Serialize)]
struct DraftOutput {
    satoshi: u64,
    address: Option<String>,
    script: String,
}

/// Which transaction is replaced.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// What it spends, in input order; the first stays the first.
    pub coins: Vec<(OutPoint, TxOut)>,
    /// What it pays.
    pub rate: FeeRate,
}

impl Desk<'_> {
    /// Builds the transaction of an operation.
    pub fn draft(
        &self,
        node: &dyn Node,
        operation: &Operation,
        sender: &Sender,
        options: &SendOptions,
        subject: &str,
        replaced: Option<&Replaced>,
    ) -> Result<Draft, CliError> {
        let payer = self.payer(sender, options)?;
        let locks = vec![sender.lock.clone(), payer.lock.clone()];
        let coins = self.coins(node, &locks, options, subject, replaced)?;
        let rate = self.rate(node, options, replaced)?;
        let (script, change) = (sender.lock.script(), payer.lock.script());
        let first = replaced.and_then(|replaced| Some(replaced.coins.first()?.0));
        let funding = Funding {
            sender: &script,
            coins: &coins,
            change: &change,
            rate,
        };
        let unsigned = operation
            .build_first(self.magic, &funding, first)
            .map_err(|error| self.explain(error, sender))?;
        check_fee(&unsigned, options)?;
        Ok(Draft {
            unsigned,
            locks,
            rate,
        })
    }

    /// Who pays.
    pub fn payer(&self, sender: &Sender, options: &SendOptions) -> Result<Sender, CliError> {
        match &options.payer {
            Some(payer) => self.sender(Some(payer), None),
            None => Ok(sender.clone()),
        }
    }

    fn explain(&self, error: BuildError, sender: &Sender) -> OwnError {
        use crate::wallet::coins::FundingError;
        match error {
            BuildError::Funding(FundingError::NoSenderCoin) => OwnError::NoCoins {
                address: self.text(sender.address()),
            },
            error => OwnError::Build(error),
        }
    }

    /// What can be spent: confirmed, ours, not spent by anything under way, of a kind that operations allow.
    pub fn coins(
        &self,
        node: &dyn Node,
        locks: &[Lock],
        options: &SendOptions,
        subject: &str,
        replaced: Option<&Replaced>,
    ) -> Result<Vec<Coin>, CliError> {
        let mut scripts: Vec<_> = locks.iter().map(Lock::script).collect();
        scripts.dedup();
        let mut found = node.coins(&scripts).map_err(OwnError::from)?;
        let reserved = self.reserved(subject)?;
        found.retain(|(outpoint, _)| !reserved.contains(outpoint));
        if !options.coin.is_empty() {
            self.only_given(node, &mut found, options)?;
        }
        if let Some(replaced) = replaced {
            found.retain(|(outpoint, _)| replaced.coins.iter().all(|(known, _)| known != outpoint));
            found.extend(replaced.coins.iter().cloned());
        }
        Ok(found
            .into_iter()
            .filter_map(|(outpoint, output)| {
                let lock = locks
                    .iter()
                    .find(|lock| lock.script() == output.script_pubkey)?;
                Some(Coin {
                    outpoint,
                    output,
                    input_size: lock.input_size(),
                })
            })
            .collect())
    }

    fn only_given(
        &self,
        node: &dyn Node,
        found: &mut Vec<(OutPoint, TxOut)>,
        options: &SendOptions,
    ) -> Result<(), CliError> {
        for given in &options.coin {
            if found.iter().any(|(outpoint, _)| outpoint == given) {
                continue;
            }
            if let Some(output) = node.output(given).map_err(OwnError::from)? {
                check_coin(*given, &output.script_pubkey)?;
            }
            let text = format!("{given} is no unspent output of the sender or payer");
            return Err(OwnError::Usage(text).into());
        }
        found.retain(|(outpoint, _)| options.coin.contains(outpoint));
        Ok(())
    }

    /// The fee rate: the given one or the node's estimate, and more than that of a transaction to be replaced.
    pub fn rate(
        &self,
        node: &dyn Node,
        options: &SendOptions,
        replaced: Option<&Replaced>,
    ) -> Result<FeeRate, CliError> {
        let estimate = node.fee_rate(TARGET).map_err(OwnError::from)?;
        let rate = options.fees().rate(estimate);
        Ok(match replaced {
            Some(replaced) => rate.max(crate::wallet::fee::bumped(replaced.rate)),
            None => rate,
        })
    }

    /// Refuses what the rules would refuse, with the height from which on they would not.
    pub fn judge(
        &self,
        blocks: Vec<Vec<JudgedTransaction>>,
        about: &str,
    ) -> Result<JudgeReply, CliError> {
        let request = JudgeRequest {
            blocks,
            about: Some(about.to_owned()),
        };
        let Reply::Judge(reply) = self.context.ask(&Request::Judge(request))? else {
            return Err(CliError::Unexpected);
        };
        let refused = reply
            .verdicts
            .iter()
            .any(|verdict| verdict.reject.is_some());
        if refused || reply.verdicts.is_empty() {
            return Err(OwnError::WouldFail(Box::new(reply)).into());
        }
        Ok(reply)
    }

    /// Shows a draft that the rules would accept, to which nothing happens.
    pub fn show(&self, draft: &Draft, about: &str) -> Result<(), CliError> {
        let judged = self.judge(vec![vec![draft.judged()]], about)?;
        self.show_judged(draft, &judged)
    }

    /// The same, judged already.
    pub fn show_judged(&self, draft: &Draft, judged: &JudgeReply) -> Result<(), CliError> {
        let page = || self.show_draft(draft, judged);
        self.context.output.print(&self.reply(draft, judged), page)
    }

    fn reply<'j>(&self, draft: &Draft, judged: &'j JudgeReply) -> DraftReply<'j> {
        let text = |output: &TxOut| {
            let address = Address::of_script(output.script_pubkey.as_bytes());
            address.map(|address| self.text(address))
        };
        let unsigned = &draft.unsigned;
        let inputs = unsigned.transaction.input.iter().zip(&unsigned.prevouts);
        let payload = scan::payload(&unsigned.transaction, self.magic);
        DraftReply {
            judged,
            payload: payload.map(|data| encode_hex(&[&self.magic[..], data].concat())),
            inputs: inputs
                .map(|(input, spent)| DraftInput {
                    outpoint: input.previous_output.to_string(),
                    satoshi: spent.value.to_sat(),
                    address: text(spent),
                })
                .collect(),
            outputs: unsigned
                .transaction
                .output
                .iter()
                .map(|output| DraftOutput {
                    satoshi: output.value.to_sat(),
                    address: text(output),
                    script: encode_hex(output.script_pubkey.as_bytes()),
                })
                .collect(),
            fee: unsigned.fee.to_sat(),
        }
    }

    /// Writes a draft to a file for those who sign it.
    pub fn hand_out(
        &self,
        node: &dyn Node,
        draft: &Draft,
        path: &PathBuf,
        about: &str,
    ) -> Result<(), CliError> {
        let judged = self.judge(vec![vec![draft.judged()]], about)?;
        let bytes = self.psbt(node, draft).serialize();
        std::fs::write(path, bytes).map_err(|source| OwnError::File {
            path: path.clone(),
            source,
        })?;
        self.context.output.print(&self.reply(draft, &judged), || {
            let mut page = self.show_draft(draft, &judged);
            page.note(format!("written to {}: sign it with `bnsd tx sign` or another signer, send it with `bnsd tx send`, then run this command again", path.display()));
            page
        })
    }

    /// What a person should see before anything is signed.
    pub fn show_draft(&self, draft: &Draft, judged: &JudgeReply) -> Page {
        let mut page = Page::default();
        let operation = judged
            .verdicts
            .first()
            .map(|verdict| verdict.operation.as_str());
        page.heading(format!(
            "{}, accepted if it is in block {}",
            operation.unwrap_or("payment"),
            judged.height
        ));
        self.write_transaction(
            &mut page,
            &draft.unsigned.transaction,
            &draft.unsigned.prevouts,
        );
        page
    }

    /// Inputs, outputs and fee of a transaction.
    pub fn write_transaction(&self, page: &mut Page, transaction: &Transaction, spent: &[TxOut]) {
        if let Some(data) = scan::payload(transaction, self.magic) {
            page.entry("payload", &encode_hex(&[&self.magic[..], data].concat()));
        }
        for (input, prevout) in transaction.input.iter().zip(spent) {
            let from = format!("{} from {}", prevout.value, self.who(prevout));
            page.entry("input", &format!("{} {from}", input.previous_output));
        }
        for output in &transaction.output {
            if !output.script_pubkey.is_op_return() {
                page.entry(
                    "output",
                    &format!("{} to {}", output.value, self.who(output)),
                );
            }
        }
        let sum = |outputs: &[TxOut]| {
            outputs
                .iter()
                .map(|output| output.value.to_sat())
                .sum::<u64>()
        };
        let fee = sum(spent).checked_sub(sum(&transaction.output));
        page.entry_if("fee", fee.map(|fee| format!("{fee} satoshi")));
    }

    fn who(&self, output: &TxOut) -> String {
        match Address::of_script(output.script_pubkey.as_bytes()) {
            Some(Address::P2pkh(hash)) if hash == [0; 20] => {
                format!("{} (burnt)", self.text(Address::P2pkh(hash)))
            }
            Some(address) => self.text(address),
            None => format!("script {}", encode_hex(output.script_pubkey.as_bytes())),
        }
    }

    /// The draft as a PSBT.
    pub fn psbt(&self, node: &dyn Node, draft: &Draft) -> bitcoin::Psbt {
        let previous = |txid: &Txid| node.transaction(txid).ok().flatten();
        psbt::create(&draft.unsigned, &draft.locks, previous)
    }

    /// The signed transactions of drafts that the same keys open.
    pub fn sign_all(&self, drafts: &[Draft]) -> Result<Vec<Transaction>, CliError> {
        let Some(first) = drafts.first() else {
            return Ok(Vec::new());
        };
        let keys = self.signing_keys(&first.locks)?;
        let keys: Vec<_> = keys.iter().collect();
        let sign = |draft: &Draft| {
            let mut psbt = psbt::create(&draft.unsigned, &draft.locks, |_| None);
            psbt::sign(&mut psbt, &keys)?;
            psbt::finish(&psbt)
        };
        let signed: Result<Vec<_>, _> = drafts.iter().map(sign).collect();
        Ok(signed.map_err(OwnError::from)?)
    }

    /// The signed transaction of a draft.
    pub fn sign(&self, node: &dyn Node, draft: &Draft) -> Result<Transaction, CliError> {
        let mut psbt = self.psbt(node, draft);
        let keys = self.signing_keys(&draft.locks)?;
        let keys: Vec<_> = keys.iter().collect();
        psbt::sign(&mut psbt, &keys).map_err(OwnError::from)?;
        Ok(psbt::finish(&psbt).map_err(OwnError::from)?)
    }
}

impl Draft {
    /// What was built before; `None` if it cannot be read.
    pub fn of_attempt(attempt: &Attempt, locks: Vec<Lock>) -> Option<Self> {
        let transaction = attempt.decoded().into_iter().next()?;
        let (_, prevouts): (Vec<_>, Vec<TxOut>) = attempt.coins().into_iter().unzip();
        let sum = |outputs: &[TxOut]| -> Option<Amount> {
            let mut values = outputs.iter().map(|output| output.value);
            values.try_fold(Amount::ZERO, Amount::checked_add)
        };
        let fee = sum(&prevouts)?.checked_sub(sum(&transaction.output)?)?;
        Some(Self {
            unsigned: Unsigned {
                transaction,
                prevouts,
                fee,
            },
            locks,
            rate: FeeRate::from_sat_per_kwu(attempt.rate),
        })
    }

    /// As the rules look at it: with placeholders for signatures.
    pub fn judged(&self) -> JudgedTransaction {
        let mut transaction = self.unsigned.transaction.clone();
        for (input, prevout) in transaction.input.iter_mut().zip(&self.unsigned.prevouts) {
            let lock = self
                .locks
                .iter()
                .find(|lock| lock.script() == prevout.script_pubkey);
            input.script_sig = lock.map(Lock::placeholder).unwrap_or_default();
        }
        judged(&transaction, &self.unsigned.prevouts)
    }
}

/// A transaction with what it spends, to be judged.
pub fn judged(transaction: &Transaction, prevouts: &[TxOut]) -> JudgedTransaction {
    let output = |output: &TxOut| JudgedOutput {
        satoshi: output.value.to_sat(),
        script: encode_hex(output.script_pubkey.as_bytes()),
    };
    JudgedTransaction {
        transaction: encode_hex(&serialize(transaction)),
        prevouts: prevouts.iter().map(output).collect(),
    }
}

fn check_fee(unsigned: &Unsigned, options: &SendOptions) -> Result<(), OwnError> {
    let spent = unsigned.prevouts.iter().map(|output| output.value).sum();
    Ok(options.fees().check(unsigned.fee, spent)?)
}
