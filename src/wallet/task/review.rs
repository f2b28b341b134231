//! What is looked at besides the rules before a wish costs anything.

use std::cell::Cell;

use super::concern::Concern;
use super::consent::Consent;
use super::error::{Result, TaskError};
use super::state::ChainFacts;
use super::wallet::{Wallet, require_open_end};
use super::wish::{PREORDER, Wish};
use crate::bns::network::Network;

impl Wallet<'_> {
    /// Asks for consent, unless it was given for an earlier step of the same command.
    pub(super) fn ask(&self, given: &Cell<bool>, consent: &Consent<'_>) -> Result<()> {
        if !given.get() {
            (self.consent)(consent)?;
            given.set(true);
        }
        Ok(())
    }

    /// What is bought on a network that only bnsd goes on with.
    pub(super) fn continuation(&self) -> Result<Vec<Concern>> {
        let chain = self.state.chain()?;
        Ok(match chain.network {
            Network::MainnetContinued => vec![Concern::Continuation(chain.network_meaning)],
            _ => Vec::new(),
        })
    }

    /// What is probably not meant by a wish.
    pub(super) fn concerns(&self, wish: &Wish) -> Result<Vec<Concern>> {
        Ok(match wish {
            Wish::Register { .. } | Wish::Renew { .. } | Wish::PreorderNamespace { .. } => {
                self.continuation()?
            }
            Wish::Update { name, zonefile } => {
                let known = self.state.name(name)?.zonefile_hash;
                let same = known.filter(|known| known == zonefile);
                same.map(Concern::SameZonefile).into_iter().collect()
            }
            Wish::Revoke { name } => vec![Concern::Revocation {
                name: name.clone(),
                free_from: self.state.name(name)?.free_from,
            }],
            _ => Vec::new(),
        })
    }
}

/// An error where the network ends before `operation`, and those that make it worth its price, can all be in blocks. Each
/// of these is sent once the one before is indexed.
pub(super) fn require_room(chain: &ChainFacts, operation: &str) -> Result<()> {
    require_open_end(chain)?;
    let more = match operation {
        PREORDER | "NAMESPACE_REVEAL" => 1, // the registration; the opening
        "NAMESPACE_PREORDER" => 2,
        _ => 0,
    };
    let first = chain.best_height.saturating_add(1);
    let worth = first.saturating_add(more * chain.confirmations.saturating_add(1));
    match chain.last_block {
        Some(last) if worth > last => Err(TaskError::No(format!(
            "the network {} ends at block {last}, and what has to follow this operation would be in block {worth} at the earliest: it would be paid for nothing. Nothing was sent",
            chain.network
        ))),
        _ => Ok(()),
    }
}
