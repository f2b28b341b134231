//! Makes a proof from what an index has.

use super::bytes::write_size;
use super::descent::Descent;
use super::{BEGINNING, ProofChain, row};
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
    targets.reverse();
    let mut proof = BEGINNING.to_vec();
    proof.extend(chain.magic);
    proof.extend(chain.network);
    proof.extend(chain.first_block.to_le_bytes());
    proof.extend(tip.to_le_bytes());
    write_size(targets.len(), &mut proof);
    for target in &targets {
        proof.extend(target.to_le_bytes());
    }
    write_steps(view, chain, tip, &targets, &mut proof)?;
    for target in targets {
        let texts = wanted.iter().filter(|wanted| wanted.height == target);
        let texts: Vec<&str> = texts.map(|wanted| wanted.text.as_str()).collect();
        write_leaves(view, target, &texts, &mut proof)?;
    }
    write_size(zonefile.len(), &mut proof);
    proof.extend(zonefile);
    Ok(proof)
}

fn write_steps<V: ProofView>(
    view: &V,
    chain: &ProofChain,
    tip: u32,
    targets: &[u32],
    proof: &mut Vec<u8>,
) -> Result<(), Unmade<V::Error>> {
    let hashes = |height| view.hashes(height)?.ok_or(Unmade::NotIndexed(height));
    let trusted = hashes(tip)?.consensus_hash;
    let mut descent = Descent::new(chain.first_block, tip, trusted);
    for target in targets {
        descent.to(*target, |step| {
            let ops_hash = hashes(step.height)?.ops_hash;
            proof.extend(ops_hash.as_bytes());
            for height in step.unknown {
                let hash = hashes(*height)?.consensus_hash;
                proof.extend(hash.as_bytes());
                step.known.insert(*height, hash);
            }
            Ok::<_, Unmade<V::Error>>(ops_hash)
        })?;
    }
    Ok(())
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
