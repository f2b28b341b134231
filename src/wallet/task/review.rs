//! What is looked at besides the rules before a wish costs anything.
//!
//! The rules say what becomes of an operation in its block. They do not know that a preorder of a namespace that somebody
//! has can never be revealed, or that resolvers would not answer with a zone file. What cannot work is refused here; what
//! can work and is probably not meant becomes a [`Concern`].

use std::cell::Cell;

use super::concern::{Concern, UnansweredZone};
use super::consent::Consent;
use super::error::{Result, TaskError};
use super::import::ImportedName;
use super::state::{ChainFacts, NamespaceFacts, Stage};
use super::wallet::{Means, Unanswered, Wallet, require_open_end};
use super::wish::{Announced, NAMESPACE_PREORDER, NAMESPACE_REVEAL, PREORDER, Wish};
use crate::bns::address::Address;
use crate::bns::network::Network;
use crate::bns::{Name, NamespaceId, commitment};
use crate::resolver::policy::is_protected;
use crate::resolver::{Mode, Policy, review};
use crate::wallet::lock::Lock;

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

    /// Refuses what cannot work, and returns what is probably not meant by a wish.
    pub(super) fn review(&self, wish: &Wish, sender: &Lock, means: &Means) -> Result<Vec<Concern>> {
        let mut concerns = match wish.announced() {
            Some(announced) => self.review_zonefiles([announced], means)?,
            None => Vec::new(),
        };
        if let Wish::Register { .. } | Wish::Renew { .. } | Wish::PreorderNamespace { .. } = wish {
            concerns.extend(self.continuation()?);
        }
        concerns.extend(match wish {
            Wish::Register { name, owner, .. } => self.review_registration(name, *owner, sender)?,
            Wish::Update { name, zonefile } => {
                let known = self.state.name(name)?.zonefile_hash;
                let same = known.filter(|known| *known == zonefile.hash);
                same.map(Concern::SameZonefile).into_iter().collect()
            }
            Wish::Transfer { to: owner, .. } | Wish::Import { owner, .. } => {
                self.burnt(*owner).into_iter().collect()
            }
            Wish::Renew { name, .. } => self.review_renewal(name)?.into_iter().collect(),
            Wish::Revoke { name } => vec![Concern::Revocation {
                name: name.clone(),
                free_from: self.state.name(name)?.free_from,
            }],
            Wish::PreorderNamespace { id, revealer } => {
                self.review_namespace(id, revealer.unwrap_or(sender.address()), sender)?
            }
            Wish::RevealNamespace { .. } | Wish::OpenNamespace { .. } => Vec::new(),
        });
        Ok(concerns)
    }

    /// The same for a list of names that are imported.
    pub fn review_import(&self, names: &[&ImportedName], means: &Means) -> Result<Vec<Concern>> {
        let announced = names.iter().map(|wanted| (&wanted.name, &wanted.zonefile));
        let mut concerns = self.review_zonefiles(announced, means)?;
        let mut owners = names.iter().map(|wanted| wanted.owner);
        concerns.extend(owners.find_map(|owner| self.burnt(owner)));
        Ok(concerns)
    }

    fn review_zonefiles<'z>(
        &self,
        announced: impl IntoIterator<Item = (&'z Name, &'z Announced)>,
        means: &Means,
    ) -> Result<Vec<Concern>> {
        let (hashes, texts): (Vec<_>, Vec<_>) = announced
            .into_iter()
            .partition(|(_, zonefile)| zonefile.text.is_none());
        let unanswered = unanswered(texts, means)?;
        let mut concerns: Vec<_> = unanswered.into_iter().map(Concern::Unanswered).collect();
        let mut unsupplied = Vec::new();
        for (_, zonefile) in hashes {
            if !self.state.has_zonefile(zonefile.hash)? {
                unsupplied.push(zonefile.hash);
            }
        }
        concerns.extend(unsupplied.first().map(|hash| Concern::Unsupplied {
            count: unsupplied.len(),
            hash: *hash,
        }));
        Ok(concerns)
    }

    fn review_registration(
        &self,
        name: &Name,
        owner: Option<Address>,
        sender: &Lock,
    ) -> Result<Vec<Concern>> {
        if let Some(holder) = self.holder(name)? {
            return Err(TaskError::No(format!(
                "{name} is yours already: {} owns it. `bnsd name update {name}` changes what it says, `bnsd name renew {name}` pays for another term. Nothing was sent",
                self.text(holder.address())
            )));
        }
        let mut concerns = Vec::new();
        if is_protected(name) {
            concerns.push(Concern::ProtectedLabel(name.clone()));
        }
        concerns.extend(name.namespace_id().as_ref().and_then(legacy));
        let Some(owner) = owner.filter(|owner| *owner != sender.address()) else {
            return Ok(concerns);
        };
        let script = bitcoin::ScriptBuf::from_bytes(owner.script());
        if let Some(burnt) = self.burnt(owner) {
            concerns.push(burnt);
        } else if self.keyring.owner(&script)?.is_none() {
            concerns.push(Concern::ForeignOwner(self.text(owner)));
        }
        Ok(concerns)
    }

    /// Renewing before half of the term is over: more than half of what is paid buys blocks that were paid for before.
    fn review_renewal(&self, name: &Name) -> Result<Option<Concern>> {
        let found = self.state.name(name)?;
        let Some(id) = name.namespace_id().filter(|_| found.is_registered) else {
            return Ok(None);
        };
        let NamespaceFacts {
            stage, lifetime, ..
        } = self.state.namespace(&id)?;
        let (Some(ends), Some(lifetime)) = (found.grace_start, lifetime) else {
            let is_open = matches!(stage, Stage::Open { .. });
            return Ok(is_open.then(|| Concern::EndlessTerm(name.clone())));
        };
        let next = self.state.chain()?.height.unwrap_or(0).saturating_add(1);
        let left = u64::from(ends.height.saturating_sub(next));
        Ok((left * 2 > lifetime).then_some(Concern::EarlyRenewal {
            left,
            lifetime,
            ends,
        }))
    }

    /// A preorder of a namespace that somebody has could never be revealed, and what it burns is the most that anybody
    /// pays here.
    fn review_namespace(
        &self,
        id: &NamespaceId,
        revealer: Address,
        sender: &Lock,
    ) -> Result<Vec<Concern>> {
        let found = self.state.namespace(id)?;
        if let Some(taken) = taken(id, &found.stage) {
            return Err(for_nothing(&taken));
        }
        match self.preordered_here(id, revealer, sender)? {
            Some(by) if found.revealer.is_none() => Err(for_nothing(&format!(
                "{by} has preordered {id} already: go on with `bnsd namespace reveal {id}` and its key"
            ))),
            _ => Ok(legacy(id).into_iter().collect()),
        }
    }

    /// The key here that has preordered a namespace, for whatever revealer; the rules see to the very same preorder.
    fn preordered_here(
        &self,
        id: &NamespaceId,
        revealer: Address,
        sender: &Lock,
    ) -> Result<Option<String>> {
        for payer in self.keyring.addresses()? {
            for named in [payer, revealer] {
                let hash =
                    commitment::namespace_preorder_hash(id, &payer.script(), &self.text(named));
                let is_the_same = (payer, named) == (sender.address(), revealer);
                if !is_the_same && self.state.is_preordered(hash)? {
                    return Ok(Some(self.text(payer)));
                }
            }
        }
        Ok(None)
    }

    fn burnt(&self, owner: Address) -> Option<Concern> {
        (owner == Address::BURN).then(|| Concern::BurnAddress(self.text(owner)))
    }
}

/// Who has a namespace, if somebody has it.
pub(super) fn taken(id: &NamespaceId, stage: &Stage) -> Option<String> {
    match stage {
        Stage::Open { since: Some(block) } => Some(format!("{id} is open since block {block}")),
        Stage::Open { since: None } => Some(format!("{id} is open")),
        Stage::Revealed { lapses } => {
            let until = lapses.as_ref().map(|it| format!(" before block {it}"));
            let until = until.unwrap_or_default();
            Some(format!(
                "{id} is revealed, and its revealer can open it{until}"
            ))
        }
        Stage::Free => None,
    }
}

/// The refusal of a preorder that can never be made use of, for this reason.
pub(super) fn for_nothing(why: &str) -> TaskError {
    TaskError::No(format!(
        "{why}. A preorder would burn its price for nothing. Nothing was sent"
    ))
}

/// An error where the network ends before `operation`, and those that make it worth its price, can all be in blocks. Each
/// of these is sent once the one before is indexed.
pub(super) fn require_room(chain: &ChainFacts, operation: &str) -> Result<()> {
    require_open_end(chain)?;
    let more = match operation {
        PREORDER | NAMESPACE_REVEAL => 1, // the registration; the opening
        NAMESPACE_PREORDER => 2,
        _ => 0,
    };
    let first = chain.best_height.saturating_add(1);
    let each = chain.confirmations.saturating_add(1);
    let worth = first.saturating_add(each.saturating_mul(more));
    match chain.last_block {
        Some(last) if worth > last => Err(TaskError::No(format!(
            "the network {} ends at block {last}, and what has to follow this operation would be in block {worth} at the earliest: it would be paid for nothing. Nothing was sent",
            chain.network
        ))),
        _ => Ok(()),
    }
}

/// Whether resolvers that run as they come never ask the chain for names of this namespace.
fn legacy(id: &NamespaceId) -> Option<Concern> {
    let is_off = Policy::default().mode(id).mode() == Mode::Off;
    is_off.then(|| Concern::LegacyNamespace(id.clone()))
}

/// The zone files of which resolvers would leave something out; an error unless they are announced all the same.
pub(super) fn unanswered<'z>(
    announced: impl IntoIterator<Item = (&'z Name, &'z Announced)>,
    means: &Means,
) -> Result<Vec<UnansweredZone>> {
    let mut found = Vec::new();
    for (name, zonefile) in announced {
        if let Some(text) = &zonefile.text {
            found.extend(unanswered_zone(name, text)?);
        }
    }
    match means.unanswered {
        Unanswered::Refused if !found.is_empty() => Err(TaskError::Unanswered(found)),
        _ => Ok(found),
    }
}

/// What resolvers would leave out of a zone file, if that is anything.
fn unanswered_zone(name: &Name, text: &[u8]) -> Result<Option<UnansweredZone>> {
    let reviewed = review(name, text);
    let reviewed = reviewed.map_err(|error| TaskError::No(format!("{error}. Nothing was sent")))?;
    let count = reviewed.count();
    Ok((count > 0).then(|| UnansweredZone {
        name: name.clone(),
        parts: reviewed.problems().collect(),
        count,
    }))
}
