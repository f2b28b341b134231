//! Makes a proof from what an index has.

use std::collections::BTreeSet;

use super::bytes::write_size;
use super::fold::{self, Part};
use super::{BEGINNING, JUMP_MAX, ProofChain, length, row};
use crate::virtualchain::snapshot::{Snapshot, SnapshotView};

/// The reads that a proof is made from.
pub trait ProofView: SnapshotView {
    /// Both hashes of an indexed height.
    fn hashes(&self, height: u32) -> Result<Option<Snapshot>, Self::Error>;

    /// The texts of the accepted operations of a height, in any order (ch §1).
    fn texts(&self, height: u32) -> Result<Vec<String>, Self::Error>;
}

/// An operation to prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its height.
    pub height: u32,
    /// Its text.
    pub text: String,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum Unmade<E> {
    /// Reading failed.
    #[error(transparent)]
    View(#[from] E),
    /// A height is not indexed, or an operation is not in its block.
    #[error("block {0} is not indexed as it would have to be for a proof: run `bnsd chain verify`")]
    NotIndexed(u32),
}

/// The proof that operations of `chain` were accepted, for whoever knows the consensus hash of the height `tip`; with a zone
/// file, or none if it is empty. All wanted heights are from the first block to `tip`, at least one.
pub fn prove<V: ProofView>(
    view: &V,
    chain: &ProofChain,
    tip: u32,
    wanted: &[Wanted],
    zonefile: &[u8],
) -> Result<Vec<u8>, Unmade<V::Error>> {
    let mut targets: Vec<u32> = wanted.iter().map(|wanted| wanted.height).collect();
    targets.sort_unstable();
    targets.dedup();
    let mut proof = BEGINNING.to_vec();
    proof.extend(chain.magic);
    proof.extend(chain.network);
    proof.extend(chain.first_block.to_le_bytes());
    proof.extend(tip.to_le_bytes());
    write_size(targets.len(), &mut proof);
    let mut known = BTreeSet::from([tip]);
    for target in targets.into_iter().rev() {
        let texts = wanted.iter().filter(|wanted| wanted.height == target);
        let texts: Vec<&str> = texts.map(|wanted| wanted.text.as_str()).collect();
        proof.extend(target.to_le_bytes());
        write_leaves(view, target, &texts, &mut proof)?;
        let heights = write_ascent(view, chain.first_block, target, &known, &mut proof)?;
        known.extend(heights);
    }
    write_size(zonefile.len(), &mut proof);
    proof.extend(zonefile);
    Ok(proof)
}

/// Both hashes of a height that has to be indexed.
pub(super) fn hashes<V: ProofView>(view: &V, height: u32) -> Result<Snapshot, Unmade<V::Error>> {
    view.hashes(height)?.ok_or(Unmade::NotIndexed(height))
}

/// Writes the way from the ops hash of `target` up to the nearest of the `known` heights; gives the heights on it.
fn write_ascent<V: ProofView>(
    view: &V,
    first_block: u32,
    target: u32,
    known: &BTreeSet<u32>,
    proof: &mut Vec<u8>,
) -> Result<Vec<u32>, Unmade<V::Error>> {
    let part = Part::Ops(hashes(view, target)?.ops_hash);
    let mut heights = vec![target];
    let mut height = target;
    fold::write(view, part, height, first_block, proof)?;
    for jump in jumps(target, known) {
        let part = Part::Earlier(hashes(view, height)?.consensus_hash);
        height += length(jump);
        proof.push(jump);
        fold::write(view, part, height, first_block, proof)?;
        heights.push(height);
    }
    Ok(heights)
}

/// The jumps from `target` to that of the `known` heights that the fewest lead to, shortest first. A shorter way would end at
/// a known height on it, so there is none on it but its end.
fn jumps(target: u32, known: &BTreeSet<u32>) -> Vec<u8> {
    let ways = known.range(target..).map(|height| split(height - target));
    ways.min_by_key(Vec::len).unwrap_or_default()
}

/// The fewest jumps that make up a distance, shortest first. The longest one that does not overshoot is always among them,
/// as each jump is twice the next shorter one and one block.
fn split(mut distance: u32) -> Vec<u8> {
    let mut jumps = Vec::new();
    while distance > 0 {
        let longest = (1..=JUMP_MAX).rev().find(|jump| length(*jump) <= distance);
        let longest = longest.expect("a jump of 1 is one block");
        distance -= length(longest);
        jumps.push(longest);
    }
    jumps.reverse();
    jumps
}

fn write_leaves<V: ProofView>(
    view: &V,
    height: u32,
    texts: &[&str],
    proof: &mut Vec<u8>,
) -> Result<(), Unmade<V::Error>> {
    let entries = row::entries(&view.texts(height)?, texts);
    let entries = entries.ok_or(Unmade::NotIndexed(height))?;
    let count = entries.first().map_or(0, |entry| entry.way.count);
    write_size(count as usize, proof);
    write_size(entries.len(), proof);
    for entry in entries {
        write_size(entry.way.index as usize, proof);
        write_size(entry.text.len(), proof);
        proof.extend(entry.text.as_bytes());
        proof.extend(entry.siblings.concat());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_takes_the_fewest_jumps_and_ends_at_the_first_known_height() {
        let mut fewest = vec![0_usize];
        for distance in 1..2_000_u32 {
            let lengths = (1..=JUMP_MAX).map(length);
            let shorter = lengths.take_while(|length| *length <= distance);
            let shorter = shorter.map(|length| fewest[(distance - length) as usize]);
            fewest.push(1 + shorter.min().expect("a jump of one block"));
            let jumps = split(distance);
            assert_eq!(jumps.len(), fewest[distance as usize], "{distance}");
            assert_eq!(jumps.into_iter().map(length).sum::<u32>(), distance);
        }
        for target in 0..200 {
            let known = BTreeSet::from([200, 193, 178, 177, 120, 119, 60]);
            let mut height = target;
            for jump in jumps(target, &known) {
                assert!(!known.contains(&height), "from {target} through {height}");
                height += length(jump);
            }
            assert!(known.contains(&height), "from {target}");
        }
    }
}
