//! What a proof shows of a name.
//!
//! The proof has two operations: the one that touched the name last as far as its maker says, whose text holds the whole
//! record (ch §1), and the one that opened the namespace, whose text holds the lifetime. Together they tell the owner, the
//! hash of the zone file, and until when the name would live if nothing followed. That nothing followed is not shown.

use serde::Serialize;

use bitcoin::Txid;

use super::address::Address;
use super::life::{self, Term};
use super::name::{Name, NamespaceId};
use super::operation::{name_of_text, namespace_of_text};
use super::params::Params;
use super::record::{NameOp, NameRecord, NamespaceRecord};
use crate::hash::ZonefileHash;
use crate::virtualchain::proof::{Proof, Proven};

/// What is shown of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The name.
    pub name: Name,
    /// How it stands at [`Shown::height`], if nothing followed.
    pub state: ShownState,
    /// Address of the owner.
    pub owner: String,
    /// Hash of its zone file.
    pub zonefile_hash: Option<ZonefileHash>,
    /// The operation: its canonical opcode, as `:`, `::`, `+`, `>>`, `>~`, `~` or `;`.
    pub operation: &'static str,
    /// Its transaction.
    pub txid: Txid,
    /// Its height; only the texts of registrations and renewals say it too.
    pub operation_height: u32,
    /// Height of the registration.
    pub first_registered: u32,
    /// Height of the last registration or renewal.
    pub last_renewed: u32,
    /// The namespace.
    pub namespace: NamespaceId,
    /// The height at which it was opened.
    pub ready_block: u32,
    /// Blocks that its names live, before the epoch's multiplier.
    pub lifetime: u32,
    /// The end of the name.
    #[serde(flatten)]
    pub term: Term,
    /// The height whose consensus hash was trusted.
    pub height: u32,
}

/// How a name stands, if nothing followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ShownState {
    /// It has an owner.
    Registered,
    /// The next block's operations find it in its grace period.
    Grace,
    /// Its owner gave it up.
    Revoked,
    /// Nobody renewed it in time.
    Expired,
}

/// Why a proof shows nothing of a name, although its operations were accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotShown {
    /// It has other operations.
    #[error("the proof is not about a name and its namespace")]
    OtherOperations,
    /// A text says another height than the proof.
    #[error("an operation says that it is of another block than the proof says")]
    OtherHeight,
    /// The zone file is not that of the record.
    #[error("the zone file in the proof does not have the hash that the name's record has")]
    OtherZonefile,
}

/// What a proof shows by the rules of `params`.
pub fn shown(params: &Params, proof: &Proof) -> Result<Shown, NotShown> {
    let [one, other] = proof.operations.as_slice() else {
        return Err(NotShown::OtherOperations);
    };
    let versions = params.addresses;
    let read = |name: &Proven, ready: &Proven| {
        let record = name_of_text(&name.text, versions)?;
        let namespace = namespace_of_text(&ready.text, versions)?;
        let heights = (name.height, ready.height);
        (record.name.namespace_id() == Some(namespace.namespace_id.clone()))
            .then_some((record, namespace, heights))
    };
    let (record, namespace, heights) = read(one, other)
        .or_else(|| read(other, one))
        .ok_or(NotShown::OtherOperations)?;
    let (operation_height, ready_height) = heights;
    let said = match record.op {
        NameOp::Register | NameOp::Renew => record.last_renewed,
        _ => operation_height,
    };
    if said != operation_height || namespace.ready_block != ready_height {
        return Err(NotShown::OtherHeight);
    }
    let zonefile = &proof.zonefile;
    if !zonefile.is_empty() && record.value_hash != Some(ZonefileHash::of(zonefile)) {
        return Err(NotShown::OtherZonefile);
    }
    let owner = record.address().ok_or(NotShown::OtherOperations)?;
    let (state, term) = standing(params, &record, &namespace, proof.height);
    Ok(Shown {
        state,
        owner: Address::encode(&owner, versions),
        zonefile_hash: record.value_hash,
        operation: record.op.as_str(),
        txid: record.txid,
        operation_height,
        first_registered: record.first_registered,
        last_renewed: record.last_renewed,
        ready_block: namespace.ready_block,
        lifetime: namespace.lifetime,
        namespace: namespace.namespace_id,
        name: record.name,
        term,
        height: proof.height,
    })
}

fn standing(
    params: &Params,
    record: &NameRecord,
    namespace: &NamespaceRecord,
    height: u32,
) -> (ShownState, Term) {
    let life = record.life();
    let term = Term::of(params, life, namespace, height);
    let next = height.saturating_add(1);
    if !life::is_live(params, life, Some(namespace), height) {
        (ShownState::Expired, term)
    } else if life.revoked {
        (ShownState::Revoked, term.of_revoked())
    } else if life::in_grace_period(params, life, namespace, next) {
        (ShownState::Grace, term)
    } else {
        (ShownState::Registered, term)
    }
}
