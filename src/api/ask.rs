//! Asking a daemon, wherever it is, and owning names through what it answers.
//!
//! [`Ask`] is one request and its reply: over the control socket ([`super::client::Client`]), or by a call where the
//! daemon is in the same process. [`Asking`] makes of either what the owner's engine works with: the state of the
//! chain ([`ChainState`]) and, for an embedded chain, a node ([`Node`]).

use std::time::Duration;

use bitcoin::{FeeRate, OutPoint, ScriptBuf, Transaction, TxOut, Txid};

use super::message::{ErrorKind, Question, Reply, Request};
use super::names::{NameRequest, NamespaceRequest};
use super::owner::{
    ChainReply, ChainRequest, CoinsRequest, JudgeRequest, PreorderRequest, PublishRequest,
    SubmitRequest, ZonefileRequest,
};
use crate::bns::address::{Address, AddressVersions};
use crate::bns::{Name, NamespaceId};
use crate::hash::{PreorderHash, ZonefileHash};
use crate::names::{self, NameState, NamespaceState};
use crate::wallet::node::{Node, NodeError};
use crate::wallet::task::state::{
    BlockToCome, ChainFacts, ChainState, IndexedOperation, Judgement, NameFacts, NamespaceFacts,
    Price, Proposed, Search, Stage, StateError,
};
use crate::wallet::words;

/// Somebody who replies to requests.
pub trait Ask {
    /// The reply; an error reply is one of them. An error means that nobody was reached.
    fn exchange(&self, request: &Request) -> Result<Reply, StateError>;

    /// The reply, which is not an error.
    fn reply(&self, request: &Request) -> Result<Reply, StateError> {
        match self.exchange(request)? {
            Reply::Error(error) => Err(match error.kind {
                ErrorKind::Usage => StateError::Usage(error.message),
                ErrorKind::Trouble => StateError::Trouble(error.message),
            }),
            reply => Ok(reply),
        }
    }

    /// The answer to a question.
    fn ask<Q: Question>(&self, question: Q) -> Result<Q::Answer, StateError>
    where
        Self: Sized,
    {
        Q::answer(self.reply(&question.request())?).ok_or_else(other_reply)
    }
}

/// The same through a reference, so that a daemon in process can be shared.
impl<A: Ask> Ask for &A {
    fn exchange(&self, request: &Request) -> Result<Reply, StateError> {
        (**self).exchange(request)
    }
}

/// What is wrong with a reply to another request.
fn other_reply() -> StateError {
    let text = "the daemon replied to another request: restart it, it may be of another version";
    StateError::Trouble(text.to_owned())
}

/// The state and the embedded chain behind a daemon.
#[derive(Debug, Clone)]
pub struct Asking<A> {
    daemon: A,
    versions: AddressVersions,
}

impl<A: Ask> Asking<A> {
    /// Finds out which network it is; also returns what else the daemon says of its chain.
    pub fn begin(daemon: A) -> Result<(Self, ChainReply), StateError> {
        let chain = daemon.ask(ChainRequest {})?;
        let versions = chain.facts.versions();
        Ok((Self { daemon, versions }, *chain))
    }

    fn price(&self, price: &names::Price) -> Result<Price, StateError> {
        Ok(Price {
            amount: price.satoshi.map(bitcoin::Amount::from_sat),
            to: self.address(&price.pay_to)?,
        })
    }

    fn address(&self, text: &str) -> Result<Address, StateError> {
        Address::decode(text, self.versions).ok_or_else(other_reply)
    }
}

impl<A: Ask> ChainState for Asking<A> {
    fn chain(&self) -> Result<ChainFacts, StateError> {
        Ok(self.daemon.ask(ChainRequest {})?.facts)
    }

    fn name(&self, name: &Name) -> Result<NameFacts, StateError> {
        let name = name.to_string();
        let reply = self.daemon.ask(NameRequest { name })?;
        let price = reply.price.as_ref();
        let term = &reply.registration.term;
        let heights = &term.heights;
        Ok(NameFacts {
            is_registered: reply.state == NameState::Registered,
            price: price.map(|price| self.price(price)).transpose()?,
            owner: reply.owner_script,
            zonefile_hash: reply.registration.zonefile_hash,
            grace_start: to_come(heights.grace_start, &term.grace_start_estimated),
            free_from: to_come(heights.free_from, &term.free_from_estimated),
        })
    }

    fn namespace(&self, id: &NamespaceId) -> Result<NamespaceFacts, StateError> {
        let id = id.to_string();
        let reply = self.daemon.ask(NamespaceRequest { id })?;
        let revealer = reply.revealer.as_deref();
        Ok(NamespaceFacts {
            stage: match reply.state {
                NamespaceState::Free => Stage::Free,
                NamespaceState::Revealed => Stage::Revealed {
                    lapses: to_come(reply.lapses_at, &reply.lapses_at_estimated),
                },
                NamespaceState::Ready => Stage::Open {
                    since: reply
                        .ready_block
                        .map(|block| words::block_there(block, reply.ready_time.as_deref())),
                },
            },
            lifetime: reply.lifetime_in_force,
            revealer: revealer.map(|text| self.address(text)).transpose()?,
            price: self.price(&reply.price)?,
        })
    }

    fn is_preordered(&self, hash: PreorderHash) -> Result<bool, StateError> {
        let reply = self.daemon.ask(PreorderRequest { hash })?;
        Ok(!reply.preorders.is_empty())
    }

    fn judge(&self, blocks: Vec<Vec<Proposed>>, about: &str) -> Result<Judgement, StateError> {
        let about = Some(about.to_owned());
        self.daemon.ask(JudgeRequest { blocks, about })
    }

    fn has_zonefile(&self, hash: ZonefileHash) -> Result<bool, StateError> {
        Ok(self
            .daemon
            .ask(ZonefileRequest { hash })?
            .zonefile
            .is_some())
    }

    fn operations(&self, search: Search) -> Result<Vec<IndexedOperation>, StateError> {
        Ok(self.daemon.ask(search)?.operations)
    }

    fn publish(&self, zonefile: &[u8]) -> Result<(), StateError> {
        let zonefile = zonefile.to_vec();
        self.daemon.ask(PublishRequest { zonefile }).map(|_| ())
    }
}

/// A block that is to come, if there is one.
fn to_come(height: Option<u32>, date: &Option<String>) -> Option<BlockToCome> {
    height.map(|height| BlockToCome {
        height,
        date: date.clone(),
    })
}

/// The embedded chain.
impl<A: Ask> Node for Asking<A> {
    fn coins(&self, scripts: &[ScriptBuf]) -> Result<Vec<(OutPoint, TxOut)>, NodeError> {
        let scripts = scripts.to_vec();
        let reply = self.daemon.ask(CoinsRequest { scripts });
        let coins = reply
            .map_err(|error| unavailable(&error))?
            .coins
            .into_iter();
        Ok(coins
            .map(|row| (OutPoint::new(row.txid, row.vout), row.output.into()))
            .collect())
    }

    fn fee_rate(&self, _blocks: u16) -> Result<Option<FeeRate>, NodeError> {
        Ok(None)
    }

    fn send(&self, transactions: &[Transaction]) -> Result<(), NodeError> {
        let first = transactions.first().map(Transaction::compute_txid);
        let transactions = transactions.to_vec();
        match (self.daemon.ask(SubmitRequest { transactions }), first) {
            (Ok(_), _) => Ok(()),
            (Err(StateError::Usage(reason)), Some(txid)) => {
                Err(NodeError::Refused { txid, reason })
            }
            (Err(error), _) => Err(unavailable(&error)),
        }
    }

    fn transaction(&self, _txid: &Txid) -> Result<Option<Transaction>, NodeError> {
        Ok(None)
    }

    fn has_faucet(&self) -> bool {
        true
    }

    fn pace(&self) -> Duration {
        Duration::from_millis(20)
    }
}

fn unavailable(error: &StateError) -> NodeError {
    NodeError::Unavailable(error.to_string())
}
