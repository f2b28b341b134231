//! What is looked at besides the rules before a wish costs anything.

use std::cell::Cell;

use super::concern::Concern;
use super::consent::Consent;
use super::error::Result;
use super::wallet::Wallet;
use super::wish::Wish;
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
