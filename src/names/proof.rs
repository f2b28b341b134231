//! Proofs of names, for whoever trusts the consensus hash of one height.

use std::sync::Arc;

use super::name_store::NameStore;
use super::view::{Names, NamesError};
use crate::bns::Name;
use crate::bns::record::NamespaceOp;
use crate::hash::ConsensusHash;
use crate::resolver::Snapshots as _;
use crate::store::{Lookup, StoredDecision};
use crate::virtualchain::proof::{ProofChain, Unmade, Wanted, prove};

/// What a proof takes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Along {
    /// The zone file of the name.
    Zonefile,
    /// Nothing.
    Nothing,
}

/// A proof of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameProof {
    /// The height whose consensus hash it starts from.
    pub height: u32,
    /// That hash.
    pub consensus_hash: ConsensusHash,
    /// The proof.
    pub bytes: Vec<u8>,
}

/// Why there is no proof of a name.
#[derive(Debug, thiserror::Error)]
pub enum Unprovable {
    /// Nobody registered it.
    #[error(
        "{0} was never registered up to block {1}, and that something did not happen cannot be proved"
    )]
    Unregistered(Name, u32),
    /// Its namespace is not open.
    #[error("the namespace of {0} was not open at block {1}, so its names have no lifetime yet")]
    NamespaceNotReady(Name, u32),
    /// The height is not indexed.
    #[error("block {0} is not indexed: name another one with --at, or leave it out")]
    NotIndexed(u32),
    /// Nothing is indexed.
    #[error("no block is indexed yet")]
    Empty,
    /// The zone file is not here.
    #[error("the zone file of {0} is not here: get it, or prove without it with --bare")]
    NoZonefile(Name),
    /// The names came without operations.
    #[error(
        "the names come from the published export of a network's last state, which has no operations: only a node that indexed the chain can prove them"
    )]
    NoOperations,
    /// Reading failed.
    #[error(transparent)]
    Names(#[from] NamesError),
}

impl NameStore {
    /// The proof of what a name was at a height, or at the tip.
    pub fn prove(
        self: &Arc<Self>,
        name: &Name,
        at: Option<u32>,
        along: Along,
    ) -> Result<NameProof, Unprovable> {
        let names = match at {
            Some(height) => self.at(height).ok_or(Unprovable::NotIndexed(height))?,
            None => self.snapshot(),
        };
        let height = names.at.ok_or(Unprovable::Empty)?;
        let wanted = wanted(&names, name, height)?;
        let zonefile = match along {
            Along::Zonefile => self.zonefile_of(&names, name)?,
            Along::Nothing => Vec::new(),
        };
        let chain = ProofChain {
            magic: self.params.magic,
            network: self.carrier.magic().to_bytes(),
            first_block: self.params.first_block,
        };
        let snapshot = names.snapshot();
        let bytes = prove(snapshot, &chain, height, &wanted, &zonefile);
        let block = snapshot.block(height).map_err(NamesError::Store)?;
        Ok(NameProof {
            height,
            consensus_hash: block.ok_or(Unprovable::NotIndexed(height))?.consensus_hash,
            bytes: bytes.map_err(|error| match error {
                Unmade::View(error) => Unprovable::Names(error.into()),
                Unmade::NotIndexed(height) => Unprovable::NotIndexed(height),
            })?,
        })
    }

    fn zonefile_of(&self, names: &Names, name: &Name) -> Result<Vec<u8>, Unprovable> {
        let entry = names.entry(name).map_err(NamesError::Store)?;
        let Some(hash) = entry.and_then(|entry| entry.record.value_hash) else {
            return Ok(Vec::new());
        };
        match self.archive.get(&hash).map_err(NamesError::Archive)? {
            Lookup::Found(bytes) => Ok(bytes),
            _ => Err(Unprovable::NoZonefile(name.clone())),
        }
    }
}

/// The operation that touched the name last, and the one that opened its namespace.
fn wanted(names: &Names, name: &Name, height: u32) -> Result<[Wanted; 2], Unprovable> {
    let entry = names.entry(name).map_err(NamesError::Store)?;
    let entry = entry.ok_or_else(|| Unprovable::Unregistered(name.clone(), height))?;
    let namespace = match name.namespace_id() {
        Some(id) => names.namespace_entry(&id).map_err(NamesError::Store)?,
        None => None,
    };
    let namespace = namespace
        .filter(|namespace| namespace.record.op == NamespaceOp::Ready)
        .ok_or_else(|| Unprovable::NamespaceNotReady(name.clone(), height))?;
    Ok([
        text_at(names, entry.height, entry.vtxindex)?,
        text_at(names, namespace.height, namespace.vtxindex)?,
    ])
}

/// The text of an operation at its place.
fn text_at(names: &Names, height: u32, vtxindex: u32) -> Result<Wanted, Unprovable> {
    let operations = names.snapshot().operations_at(height);
    let operations = operations.map_err(NamesError::Store)?.into_iter();
    let mut here = operations.filter(|operation| operation.candidate.vtxindex == vtxindex);
    match here.next().map(|operation| operation.decision) {
        Some(StoredDecision::Accepted {
            serialized: Some(text),
        }) => Ok(Wanted { height, text }),
        _ => Err(Unprovable::NoOperations),
    }
}
