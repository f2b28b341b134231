//! The way of one hash into the consensus hash of a height (ch §3).

use super::ProofFault;
use super::bytes::Input;
use super::make::{ProofView, Unmade, hashes};
use super::way::Way;
use crate::hash::{ConsensusHash, OpsHash};
use crate::virtualchain::snapshot::{leaves, of_root, previous_heights};

/// Set in the byte of a place if the node beside it is the ops hash, which is longer than its neighbours.
const BESIDE_OPS_HASH: u8 = 0x80;

/// What is folded into a consensus hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The ops hash of the same height.
    Ops(OpsHash),
    /// The consensus hash of an earlier height.
    Earlier(ConsensusHash),
}

impl Part {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Ops(hash) => hash.as_bytes(),
            Self::Earlier(hash) => hash.as_bytes(),
        }
    }
}

/// Reads the way of `part` into the consensus hash of `height`, and follows it.
pub(super) fn read(
    input: &mut Input<'_>,
    part: Part,
    height: u32,
    first_block: u32,
) -> Result<ConsensusHash, ProofFault> {
    let place = input.u8()?;
    let is_beside_ops_hash = place & BESIDE_OPS_HASH != 0;
    let way = Way {
        index: u32::from(place & !BESIDE_OPS_HASH),
        count: count(height, first_block),
    };
    let has_sibling = way.sides().next().is_some_and(|side| side.is_written());
    let may_be_beside = has_sibling && matches!(part, Part::Earlier(_));
    if way.index >= way.count || (is_beside_ops_hash && !may_be_beside) {
        return Err(input.fault());
    }
    let lowest = match is_beside_ops_hash {
        true => size_of::<OpsHash>(),
        false => size_of::<ConsensusHash>(),
    };
    let siblings = input.siblings(way, lowest)?;
    let root = way.climb(part.as_bytes(), &siblings);
    root.map(|root| of_root(&root)).ok_or(input.fault())
}

/// Appends what [`read`] reads.
pub(super) fn write<V: ProofView>(
    view: &V,
    part: Part,
    height: u32,
    first_block: u32,
    out: &mut Vec<u8>,
) -> Result<(), Unmade<V::Error>> {
    let ops_hash = hashes(view, height)?.ops_hash;
    let previous = previous_heights(height, first_block);
    let previous = previous.map(|height| hashes(view, height).map(|hashes| hashes.consensus_hash));
    let previous = previous.collect::<Result<Vec<_>, Unmade<V::Error>>>()?;
    let leaves = leaves(&ops_hash, &previous);
    let index = leaves.iter().position(|leaf| *leaf == part.as_bytes());
    let index = index.ok_or(Unmade::NotIndexed(height))?;
    let beside = leaves.get(index ^ 1);
    let is_beside_ops_hash = beside.is_some_and(|leaf| *leaf == ops_hash.as_bytes());
    let place = u8::try_from(index).expect("33 hashes are folded at most");
    out.push(match is_beside_ops_hash {
        true => place | BESIDE_OPS_HASH,
        false => place,
    });
    let way = Way {
        index: u32::from(place),
        count: count(height, first_block),
    };
    out.extend(way.siblings(&leaves).concat());
    Ok(())
}

/// How many hashes are folded into the consensus hash of a height.
fn count(height: u32, first_block: u32) -> u32 {
    1 + previous_heights(height, first_block).count() as u32
}
