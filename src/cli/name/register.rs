//! Preorder and registration, as one task that survives being stopped.

use clap::Args;

use super::{ZonefileChoice, parse, report};
use crate::api::message::{Reply, Request};
use crate::api::owner::{ChainReply, PreorderRequest};
use crate::bns::address::Address;
use crate::bns::{Name, commitment};
use crate::cli::own::{Desk, Draft, OwnError, Plan, Progress, SendOptions, Sender};
use crate::cli::{CliError, Context, Exit};
use crate::hash::ZonefileHash;
use crate::wallet::coins::{Coin, Funding};
use crate::wallet::journal::{Step, Task};
use crate::wallet::operation::{Fee, Operation};

/// Arguments of `bnsd name preorder` and `bnsd name register`.
#[derive(Debug, Args)]
pub struct Register {
    /// The name, like me.id
    name: String,
    /// Address of the owner, by default that of the sender
    #[arg(long, value_name = "ADDRESS")]
    owner: Option<String>,
    #[command(flatten)]
    zonefile: ZonefileChoice,
    #[command(flatten)]
    options: SendOptions,
}

/// What both steps need.
struct Wish {
    name: Name,
    owner: Address,
    sender: Sender,
    hash: Option<ZonefileHash>,
    takes_hash: bool,
}

impl Register {
    /// The first step alone.
    pub fn preorder(self, context: &Context) -> Result<Exit, CliError> {
        self.go(context, 1)
    }

    /// Both steps.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        self.go(context, 2)
    }

    fn go(self, context: &Context, steps: usize) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.options.keys)?;
        let wish = self.wish(&desk)?;
        let subject = wish.name.to_string();
        let _held = desk.journal.hold(&subject).map_err(OwnError::from)?;
        let mut terms = vec![
            ("sender", desk.text(wish.sender.address())),
            ("owner", desk.text(wish.owner)),
        ];
        terms.extend(wish.hash.map(|hash| ("zone file", hash.to_string())));
        let mut task = desk.task(&subject, "register", &terms)?;
        let progress = self.steps(&desk, &wish, &mut task, steps)?;
        if matches!(progress, Progress::Done(_)) && steps == 2 {
            desk.journal.remove(&subject).map_err(OwnError::from)?;
        }
        report(&desk, &subject, progress)
    }

    fn wish(&self, desk: &Desk<'_>) -> Result<Wish, CliError> {
        let name = parse(&self.name)?;
        let sender = desk.sender(self.options.key.as_ref(), None)?;
        let owner = match &self.owner {
            Some(owner) => desk.address(owner)?,
            None => sender.address(),
        };
        Ok(Wish {
            name,
            owner,
            sender,
            hash: self.zonefile.publish(desk.context, &self.options)?,
            takes_hash: desk.chain()?.register_with_value_hash,
        })
    }

    fn steps(
        &self,
        desk: &Desk<'_>,
        wish: &Wish,
        task: &mut Task,
        steps: usize,
    ) -> Result<Progress, CliError> {
        let is_registration = |step: &Step| step.operation == "NAME_REGISTRATION";
        let begun = task.steps.iter().position(is_registration);
        // A preorder that is on the chain is never paid for again, whoever sent it.
        let is_foreign = task.steps.is_empty() && wish.is_preordered(desk)?;
        if begun.is_none() && !is_foreign {
            let progress = desk.take(task, 0, &wish.preorder(desk), &self.options)?;
            if steps == 1 || matches!(progress, Progress::Stopped) {
                return Ok(progress);
            }
        } else if steps == 1 {
            let text = format!(
                "{} is preordered already: go on with `bnsd name register`",
                wish.name
            );
            return Err(OwnError::No(text).into());
        }
        let at = begun.unwrap_or(task.steps.len());
        desk.take(task, at, &wish.register(desk), &self.options)
    }
}

impl Wish {
    fn is_preordered(&self, desk: &Desk<'_>) -> Result<bool, CliError> {
        let script = self.sender.lock.script();
        let owner = desk.text(self.owner);
        let hash = commitment::name_preorder_hash(&self.name, script.as_bytes(), &owner);
        let request = PreorderRequest {
            hash: hash.to_string(),
        };
        match desk.context.ask(&Request::Preorder(request))? {
            Reply::Preorder(reply) => Ok(!reply.preorders.is_empty()),
            _ => Err(CliError::Unexpected),
        }
    }

    fn preorder<'p>(&'p self, desk: &'p Desk<'p>) -> Plan<'p> {
        Plan {
            operation: "NAME_PREORDER",
            quotes: true,
            sender: self.sender.clone(),
            make: Box::new(move |chain| {
                let burn = fee(desk, &self.name)?;
                let script = self.sender.lock.script();
                let owner = (self.owner, desk.versions);
                let quoted = quoted(chain)?;
                Ok(Operation::name_preorder(
                    &self.name, &script, owner, quoted, None, burn,
                ))
            }),
            then: Some(Box::new(move |draft| self.pretended(desk, draft))),
        }
    }

    /// The registration that the preorder makes possible, with a coin that does not exist yet.
    fn pretended(
        &self,
        desk: &Desk<'_>,
        draft: &Draft,
    ) -> Result<crate::api::owner::JudgedTransaction, CliError> {
        let script = self.sender.lock.script();
        let coin = Coin {
            outpoint: bitcoin::OutPoint::new(draft.unsigned.transaction.compute_txid(), 1),
            output: bitcoin::TxOut {
                value: bitcoin::Amount::ONE_BTC,
                script_pubkey: script.clone(),
            },
            input_size: self.sender.lock.input_size(),
        };
        let funding = Funding {
            sender: &script,
            coins: &[coin],
            change: &script,
            rate: draft.rate,
        };
        let unsigned = self
            .operation()
            .build(desk.magic, &funding)
            .map_err(OwnError::from)?;
        let locks = vec![self.sender.lock.clone()];
        let rate = draft.rate;
        Ok(Draft {
            unsigned,
            locks,
            rate,
        }
        .judged())
    }

    fn register<'p>(&'p self, _desk: &'p Desk<'p>) -> Plan<'p> {
        Plan {
            operation: "NAME_REGISTRATION",
            quotes: false,
            sender: self.sender.clone(),
            make: Box::new(move |_| Ok(self.operation())),
            then: None,
        }
    }

    fn operation(&self) -> Operation {
        Operation::name_register(
            &self.name,
            self.owner,
            self.hash.filter(|_| self.takes_hash),
        )
    }
}

/// What a name costs now and whom it is paid to.
pub(super) fn fee(desk: &Desk<'_>, name: &Name) -> Result<Fee, CliError> {
    let reply = desk.name(name)?;
    let price = reply.price.ok_or_else(|| {
        OwnError::No(format!(
            "{name} cannot be bought: its namespace was never revealed. See `bnsd namespace list`"
        ))
    })?;
    let amount = price.satoshi.ok_or_else(|| {
        OwnError::No(format!(
            "{name} is paid in tokens, which this command cannot do"
        ))
    })?;
    Ok(Fee {
        to: desk.address(&price.pay_to)?,
        amount: bitcoin::Amount::from_sat(amount),
    })
}

/// The consensus hash to quote.
pub(in crate::cli) fn quoted(chain: &ChainReply) -> Result<crate::hash::ConsensusHash, CliError> {
    chain
        .consensus_hash
        .parse()
        .map_err(|_| CliError::Unexpected)
}
