//! Keys, journal, the state of a chain and a node: all that owning names takes.

use std::collections::HashSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bitcoin::{OutPoint, Script, ScriptBuf, Txid};

use super::consent::Consent;
use super::error::{Result, TaskError};
use super::keyring::Keyring;
use super::state::{ChainFacts, ChainState};
use crate::bns::address::{Address, AddressVersions};
use crate::bns::network::Network;
use crate::bns::{Name, NamespaceId};
use crate::wallet::fee::FeePolicy;
use crate::wallet::journal::Journal;
use crate::wallet::lock::Lock;
use crate::wallet::node::{Node, NodeError};
use crate::wallet::operation::Fee;
use crate::wallet::vault::Reference;

/// How long the index may take to reach the tip.
const INDEX_PATIENCE: Duration = Duration::from_secs(60);
/// How often the index is looked at meanwhile.
const INDEX_PACE: Duration = Duration::from_millis(50);

/// Agrees to an operation, or says why it must not be done.
pub type Agree<'a> = dyn Fn(&Consent<'_>) -> Result<()> + 'a;

/// Keys and journal, and the world that they are used in.
pub struct Wallet<'a> {
    /// What the rules look at.
    pub state: Box<dyn ChainState + 'a>,
    /// Supplies coins and takes transactions, or the reason why there is none.
    pub node: Result<Box<dyn Node + 'a>, NodeError>,
    /// The keys.
    pub keyring: Keyring<'a>,
    /// What is under way.
    pub journal: Journal,
    /// Agrees to what an operation costs and brings about, or says why it must not be done.
    pub consent: Box<Agree<'a>>,
    /// Is told of every event.
    pub tell: Box<dyn Fn(Event) + 'a>,
    /// The two bytes that operations start with.
    pub magic: [u8; 2],
    /// Version bytes of addresses.
    pub versions: AddressVersions,
}

/// Something that happened on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A transaction goes to the node.
    Sending(Txid),
    /// An operation is built again, because the consensus hash that it quotes gets too old.
    Rebuilding,
    /// So many names of a list are imported.
    Imported {
        /// Those that are.
        done: usize,
        /// The whole list.
        total: usize,
    },
}

/// How an operation is paid for, who signs it, and how far to go.
#[derive(Debug, Clone)]
pub struct Means {
    /// The key that sends; by default the owner's, or the only one.
    pub key: Option<Reference>,
    /// The key that pays and gets the change; by default the sender's.
    pub payer: Option<Reference>,
    /// Only these outputs are spent, if any are given.
    pub coins: Vec<OutPoint>,
    /// What miners get.
    pub fees: FeePolicy,
    /// What becomes of a zone file that resolvers would not answer with as it is.
    pub unanswered: Unanswered,
    /// Who signs.
    pub signer: Signer,
    /// Where to stop.
    pub until: Until,
}

/// What becomes of a zone file of which resolvers would leave something out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// It is refused.
    Refused,
    /// It is announced all the same.
    Announced,
}

/// Who signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// The keys here.
    Here,
    /// Others, who get a PSBT.
    Elsewhere,
}

/// Where to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// As soon as it is built and judged; nothing is noted, signed or sent.
    Drafted,
    /// As soon as it is sent.
    Sent,
    /// When it is in an indexed block.
    InBlock,
}

impl<'a> Wallet<'a> {
    /// The node.
    pub fn node(&self) -> Result<&(dyn Node + 'a), NodeError> {
        self.node.as_deref().map_err(Clone::clone)
    }

    /// The facts of the chain once the index is at its tip: on an older state, rules would be judged wrongly, and a
    /// consensus hash that is quoted would be too old.
    pub fn synced_chain(&self) -> Result<ChainFacts> {
        let end = Instant::now() + INDEX_PATIENCE;
        loop {
            let chain = self.state.chain()?;
            match chain.height {
                Some(_) if chain.synced => return Ok(chain),
                _ if Instant::now() <= end => sleep(INDEX_PACE),
                None => {
                    let text = "there is no block yet: mine one with `bnsd tx mine` on the embedded chain, or wait for the node. Nothing was sent";
                    return Err(TaskError::Trouble(text.to_owned()));
                }
                Some(height) => {
                    return Err(TaskError::Trouble(format!(
                        "the index is at block {height} of {}: wait until `bnsd status` shows that it is synced. Nothing was sent",
                        chain.best_height
                    )));
                }
            }
        }
    }

    /// An error where no operation counts any more; asked before a key is looked for.
    pub fn require_open_end(&self) -> Result<()> {
        require_open_end(&self.state.chain()?)
    }

    /// The address that a text spells on this network, or that of the key here that it names. A native segwit address is
    /// refused with its reason.
    pub fn address(&self, text: &str) -> Result<Address> {
        self.keyring.address(text, self.versions)
    }

    /// An address as text.
    pub fn text(&self, address: Address) -> String {
        address.encode(self.versions)
    }

    /// The owner's key: the one that was named, or the one that the chain says.
    pub fn owner(&self, name: &Name, named: Option<&Reference>) -> Result<Lock> {
        let script = self.state.name(name)?.owner.ok_or_else(|| {
            TaskError::No(format!(
                "{name} was never registered: `bnsd name register {name}`. Nothing was sent"
            ))
        })?;
        self.named_or_holder(named, &script)
    }

    /// The key here that owns a name that is registered.
    pub(super) fn holder(&self, name: &Name) -> Result<Option<Lock>> {
        let found = self.state.name(name)?;
        let owner = found.owner.filter(|_| found.is_registered);
        let holder = owner.map(|owner| self.keyring.owner(&owner)).transpose()?;
        Ok(holder.flatten())
    }

    /// The key that imports names into a namespace and opens it.
    pub fn revealer(&self, id: &NamespaceId, named: Option<&Reference>) -> Result<Lock> {
        let revealer = self.state.namespace(id)?.revealer.ok_or_else(|| {
            TaskError::No(format!(
                "{id} was never revealed: `bnsd namespace reveal {id}`. Nothing was sent"
            ))
        })?;
        self.named_or_holder(named, &ScriptBuf::from_bytes(revealer.script()))
    }

    fn named_or_holder(&self, named: Option<&Reference>, script: &Script) -> Result<Lock> {
        if named.is_some() {
            return self.keyring.sender(named);
        }
        self.keyring.owner(script)?.ok_or_else(|| {
            let holder = Address::of_script(script.as_bytes()).map(|holder| self.text(holder));
            TaskError::No(format!(
                "no key here is the owner {}: add it with `bnsd keys import`. Nothing was sent",
                holder.unwrap_or_default()
            ))
        })
    }

    /// What a name costs now and whom it is paid to.
    pub fn fee(&self, name: &Name) -> Result<Fee> {
        let price = self.state.name(name)?.price.ok_or_else(|| {
            TaskError::No(format!(
                "{name} cannot be bought: its namespace was never revealed. See `bnsd namespace list`"
            ))
        })?;
        price.fee().ok_or_else(|| {
            TaskError::No(format!(
                "{name} is paid in tokens, which this command cannot do"
            ))
        })
    }

    /// Coins that unfinished tasks on other subjects spend.
    pub(crate) fn reserved(&self, subject: &str) -> Result<HashSet<OutPoint>> {
        let tasks = self.journal.list()?;
        let others = tasks.iter().filter(|task| task.subject != subject);
        Ok(others.flat_map(|task| task.spent()).collect())
    }
}

/// An error where no operation counts any more: whatever is sent there is lost.
pub(super) fn require_open_end(chain: &ChainFacts) -> Result<()> {
    let Some(last) = chain.ended_at else {
        return Ok(());
    };
    let network = chain.network;
    let other = match chain.network {
        Network::Mainnet => {
            " The same rules go on with `chain.network = \"mainnet-continued\"`, where whoever runs bnsd agrees with whoever runs bnsd, and nobody else."
        }
        _ => "",
    };
    Err(TaskError::No(format!(
        "the network {network} ended at block {last}, and no operation in a later block counts: names stand for ever as they stood there. Nothing was sent.{other}"
    )))
}
