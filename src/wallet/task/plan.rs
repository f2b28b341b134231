//! The operations of a wish for the chain as it is: who sends them, and what the next blocks would hold.

use std::cell::Cell;

use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, FeeRate, OutPoint, TxOut, Txid};

use super::draft::Draft;
use super::error::{Result, TaskError};
use super::state::{ChainFacts, Proposed};
use super::wallet::{Means, Wallet};
use super::wish::{
    Announced, NAMESPACE_PREORDER, NAMESPACE_READY, NAMESPACE_REVEAL, PREORDER, REGISTRATION, Wish,
};
use crate::bns::address::Address;
use crate::bns::price::PriceFunction;
use crate::bns::{NamespaceId, commitment};
use crate::wallet::coins::Funding;
use crate::wallet::lock::Lock;
use crate::wallet::operation::Operation;

/// What an imagined coin is worth: more than any operation costs.
const ENOUGH: Amount = Amount::from_sat(100_000 * 100_000_000);

impl Wish {
    /// What has to be the same when it is asked for again.
    pub(super) fn terms(&self, wallet: &Wallet<'_>, sender: &Lock) -> Vec<(&'static str, String)> {
        let or_sender =
            |address: &Option<Address>| wallet.text(address.unwrap_or(sender.address()));
        let zonefile = |it: &Announced| ("zone file", it.hash.to_string());
        let sent_by = ("sender", wallet.text(sender.address()));
        match self {
            Self::Register {
                owner,
                zonefile: announced,
                ..
            } => {
                let terms = [sent_by, ("owner", or_sender(owner))].into_iter();
                terms.chain(announced.as_ref().map(zonefile)).collect()
            }
            Self::Update { zonefile: it, .. } => vec![zonefile(it)],
            Self::Transfer { to, zonefile, .. } => vec![
                ("new owner", wallet.text(*to)),
                ("zone file", zonefile.to_string()),
            ],
            Self::Renew { zonefile, .. } => {
                let hash = zonefile.as_ref().map(|it| it.hash.to_string());
                vec![("zone file", hash.unwrap_or_else(|| "kept".to_owned()))]
            }
            Self::Import {
                owner,
                zonefile: it,
                ..
            } => vec![("owner", wallet.text(*owner)), zonefile(it)],
            Self::PreorderNamespace { revealer, .. } => {
                vec![("revealer", or_sender(revealer)), sent_by]
            }
            Self::RevealNamespace {
                revealer,
                lifetime,
                prices,
                version,
                ..
            } => vec![
                ("revealer", or_sender(revealer)),
                ("lifetime", lifetime.to_string()),
                ("prices", prices.to_string()),
                ("rules", version.to_string()),
            ],
            Self::Revoke { .. } | Self::OpenNamespace { .. } => Vec::new(),
        }
    }

    /// Who sends: the key that was named, or the one that the chain wants, or the only one.
    pub(super) fn sender(&self, wallet: &Wallet<'_>, means: &Means) -> Result<Lock> {
        let named = means.key.as_ref();
        match self {
            // Whose name it is already is the answer, whichever key would pay.
            Self::Register { name, .. } => {
                let sender = wallet.keyring.sender(named);
                sender.or_else(|error| {
                    wallet
                        .holder(name)?
                        .filter(|_| named.is_none())
                        .ok_or(error)
                })
            }
            Self::Update { name, .. }
            | Self::Transfer { name, .. }
            | Self::Renew { name, .. }
            | Self::Revoke { name } => wallet.owner(name, named),
            Self::OpenNamespace { id } => wallet.revealer(id, named),
            Self::Import { .. } | Self::PreorderNamespace { .. } | Self::RevealNamespace { .. } => {
                wallet.keyring.sender(named)
            }
        }
    }
}

/// One of the operations of a wish, and who sends it.
pub(super) struct Plan<'w> {
    pub wallet: &'w Wallet<'w>,
    pub wish: &'w Wish,
    pub means: &'w Means,
    pub sender: Lock,
    /// In the reference's words.
    pub operation: &'static str,
    /// Those of this command.
    pub command: &'w [&'static str],
    /// Whether this command was agreed to.
    pub agreed: &'w Cell<bool>,
}

impl Plan<'_> {
    /// Whether it quotes a consensus hash and so has to be mined soon (sm §2, CHVALID).
    pub fn quotes(&self) -> bool {
        matches!(
            self.operation,
            PREORDER | "NAME_UPDATE" | "NAME_TRANSFER" | NAMESPACE_PREORDER
        )
    }

    /// The operation for the chain as it is.
    pub fn make(&self, chain: &ChainFacts) -> Result<Operation> {
        let (wallet, sender) = (self.wallet, self.sender.address());
        let (quoted, versions) = (chain.consensus_hash, wallet.versions);
        let taken = |zonefile: &Option<Announced>| {
            let hash = zonefile.as_ref().map(|zonefile| zonefile.hash);
            hash.filter(|_| chain.register_with_value_hash)
        };
        Ok(match self.wish {
            Wish::Register { name, owner, .. } if self.operation == PREORDER => {
                let owner = (owner.unwrap_or(sender), versions);
                let script = self.sender.script();
                Operation::name_preorder(name, &script, owner, quoted, None, wallet.fee(name)?)
            }
            Wish::Register {
                name,
                owner,
                zonefile,
            } => Operation::name_register(name, owner.unwrap_or(sender), taken(zonefile)),
            Wish::Update { name, zonefile } => {
                Operation::name_update(name, sender, quoted, zonefile.hash)
            }
            Wish::Transfer { name, to, zonefile } => {
                Operation::name_transfer(name, sender, *to, quoted, *zonefile)
            }
            Wish::Renew { name, zonefile } => {
                let hash = taken(zonefile);
                // The long form needs its token field where names can be paid in tokens (wf §6).
                let tokens = hash.and(chain.names_take_tokens.then_some(0));
                Operation::name_renew(name, sender, hash, tokens, wallet.fee(name)?)
            }
            Wish::Revoke { name } => Operation::name_revoke(name, sender),
            Wish::Import {
                name,
                owner,
                zonefile,
            } => Operation::name_import(name, *owner, zonefile.hash),
            Wish::PreorderNamespace { id, revealer } => {
                let fee = wallet.state.namespace(id)?.price.fee().ok_or_else(|| {
                    let text =
                        "namespaces are paid in tokens in this epoch, which this command cannot do";
                    TaskError::No(text.to_owned())
                })?;
                let revealer = (revealer.unwrap_or(sender), versions);
                let script = self.sender.script();
                Operation::namespace_preorder(id, &script, revealer, quoted, None, fee)
            }
            Wish::RevealNamespace {
                id,
                revealer,
                lifetime,
                prices,
                version,
            } => {
                let revealer = revealer.unwrap_or(sender);
                Operation::namespace_reveal(id, revealer, *lifetime, *prices, *version)
            }
            Wish::OpenNamespace { id } => Operation::namespace_ready(id, sender),
        })
    }

    /// The operations that the goal needs after this one, as far as this sender sends them.
    pub fn following(&self, chain: &ChainFacts) -> Result<Vec<(&'static str, Operation)>> {
        let sender = self.sender.address();
        let opens = |id: &NamespaceId, revealer: &Option<Address>| {
            let is_ours = revealer.is_none_or(|revealer| revealer == sender);
            let ready = is_ours.then(|| Operation::namespace_ready(id, sender));
            ready.map(|ready| (NAMESPACE_READY, ready))
        };
        Ok(match self.wish {
            Wish::Register { .. } if self.operation == PREORDER => {
                let next = Plan {
                    operation: REGISTRATION,
                    sender: self.sender.clone(),
                    ..*self
                };
                vec![(REGISTRATION, next.make(chain)?)]
            }
            Wish::PreorderNamespace { id, revealer } => {
                // What it costs to send is the same whatever it says.
                let (to, prices) = (revealer.unwrap_or(sender), PriceFunction::default());
                let reveal = Operation::namespace_reveal(id, to, u32::MAX, prices, 1);
                let reveal = std::iter::once((NAMESPACE_REVEAL, reveal));
                reveal.chain(opens(id, revealer)).collect()
            }
            Wish::RevealNamespace { id, revealer, .. } => opens(id, revealer).into_iter().collect(),
            _ => Vec::new(),
        })
    }

    /// The next blocks as they are meant to be: the draft, and after a preorder the registration that it makes
    /// possible.
    pub fn blocks(&self, draft: &Draft, chain: &ChainFacts) -> Result<Vec<Vec<Proposed>>> {
        let mut blocks = vec![vec![draft.proposed()]];
        if self.operation == PREORDER {
            blocks.push(vec![self.registration(draft, chain)?]);
        }
        Ok(blocks)
    }

    /// The registration after a preorder, with a coin that does not exist yet.
    fn registration(&self, draft: &Draft, chain: &ChainFacts) -> Result<Proposed> {
        let next = Plan {
            operation: REGISTRATION,
            sender: self.sender.clone(),
            ..*self
        };
        let spent = OutPoint::new(draft.unsigned.transaction.compute_txid(), 1);
        let registration = next.imagined(&next.make(chain)?, spent, draft.rate)?;
        Ok(registration.proposed())
    }

    /// An operation as if the sender had this coin, worth enough.
    fn imagined(&self, operation: &Operation, outpoint: OutPoint, rate: FeeRate) -> Result<Draft> {
        let script = self.sender.script();
        let output = TxOut {
            value: ENOUGH,
            script_pubkey: script.clone(),
        };
        let funding = Funding {
            sender: &script,
            coins: &[self.sender.coin(outpoint, output)],
            change: &script,
            rate,
        };
        Ok(Draft {
            unsigned: operation.build(self.wallet.magic, &funding)?,
            locks: vec![self.sender.clone()],
            rate,
        })
    }

    /// An error if the rules would refuse the operation whatever the sender had: then nobody is asked for coins.
    pub fn judge_unpaid(&self, chain: &ChainFacts, about: &str) -> Result<()> {
        let nowhere = OutPoint::new(Txid::all_zeros(), 0);
        let rate = self.wallet.rate(self.means)?;
        let draft = self.imagined(&self.make(chain)?, nowhere, rate)?;
        self.wallet.judge(self.blocks(&draft, chain)?, about)?;
        Ok(())
    }

    /// Whether the chain has this registration's preorder, whoever sent it: it is never paid for again.
    pub fn is_preordered(&self) -> Result<bool> {
        let Wish::Register { name, owner, .. } = self.wish else {
            return Ok(false);
        };
        let owner = self.wallet.text(owner.unwrap_or(self.sender.address()));
        let script = self.sender.script();
        let hash = commitment::name_preorder_hash(name, script.as_bytes(), &owner);
        Ok(self.wallet.state.is_preordered(hash)?)
    }
}
