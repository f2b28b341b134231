//! Proofs of names: the same answers from a daemon and from a data directory that no daemon uses.

use std::sync::Arc;

use super::answered::{Answered, trouble, usage};
use crate::api::proof::{ProveReply, ProveRequest};
use crate::api::zonefiles::Bytes;
use crate::names::{Along, NameStore, Unprovable};

/// Replies to a request for a proof.
pub(super) fn prove(names: &Arc<NameStore>, request: &ProveRequest) -> Answered<ProveReply> {
    let name = request.name.parse();
    let name = name.map_err(|error| usage(format!("{:?} is no name: {error}", request.name)))?;
    let along = match request.bare {
        true => Along::Nothing,
        false => Along::Zonefile,
    };
    match names.prove(&name, request.at, along) {
        Ok(proof) => Ok(ProveReply {
            proof: Some(Bytes(proof.bytes)),
            height: Some(proof.height),
            consensus_hash: Some(proof.consensus_hash),
            reason: None,
        }),
        Err(Unprovable::Names(error)) => Err(trouble(error)),
        Err(unprovable) => Ok(ProveReply {
            reason: Some(unprovable.to_string()),
            ..ProveReply::default()
        }),
    }
}
