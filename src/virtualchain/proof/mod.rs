//! Proofs that operations were accepted, for whoever knows the consensus hash of one later height.
//!
//! A consensus hash is folded from the ops hash of its block and from earlier consensus hashes, so a few of these lead from a
//! height that is trusted down to any other (ch §6). A proof has them, and from the ops hashes of the wanted blocks the
//! paths down to the texts of operations. It can bring a zone file along, whose hash is in a text.
//!
//! ```text
//! proof  := "bnsprf" 01  magic[2]  network magic[4]  first u32  T u32  cs(targets)  (height u32)*  step*  leaves*  cs(n) zone file[n]
//! step   := ops hash[32]  consensus hash[16]*
//! leaves := per target: cs(count) cs(entries) (cs(index) cs(n) text[n] sibling[32]*)*
//! ```
//!
//! Integers are little endian, `cs` is Bitcoin's CompactSize in its shortest form. `network magic` is that of the Bitcoin
//! chain, `first` the first height of the virtualchain. Hashes are in the order in which they are displayed, siblings in that
//! in which they are hashed.
//!
//! The targets descend. At first only the hash of `T` is known. For each target a step is made from the lowest known height
//! that is not below it, unless there was one from there already: the ops hash of that height, and those of the hashes that
//! ch §3 folds with it that are not known yet, newest first. Then these are known too. This goes on until the step was one
//! from the target itself.
//!
//! Each text has its place in the sorted row of its block (ch §2) and the nodes beside its way up. Where a row repeats its last
//! node, nothing is written. `count` is the least length of a row in which the ways look like this: the hashes do not
//! commit to more, and every byte of a proof has to be the only one that is right. Entries ascend by index, and no sibling
//! equals the node beside it.
//!
//! What a proof cannot show is that something did *not* happen, for example that no later operation followed.

mod bytes;
mod descent;
mod make;
mod row;

use crate::hash::{ConsensusHash, OpsHash};

pub use make::{ProofView, Unmade, Wanted, prove};

use bytes::Input;
use descent::Descent;
use row::Way;

use super::snapshot;

/// Most bytes of a proof: a zone file has at most 40,960, the rest takes 9 KB.
pub const PROOF_MAX: usize = 64 * 1024;
/// Most targets, and most entries of a target: a name and its namespace need two, others that prove something hardly more.
const TARGETS_MAX: usize = 4;
/// Longest text of an operation in bytes; those of names have about 600, those of namespaces 900.
const TEXT_MAX: usize = 4_096;
/// Longest row: more transactions than a block of Bitcoin holds.
const ROW_MAX: u32 = 1 << 17;
/// How a proof begins: a word and the version of the format.
const BEGINNING: [u8; 7] = *b"bnsprf\x01";

/// Which virtualchain a proof is about. A proof says it, but nothing in it proves that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofChain {
    /// The bytes that operations start with.
    pub magic: [u8; 2],
    /// The bytes that messages between nodes of the Bitcoin chain start with.
    pub network: [u8; 4],
    /// The first height of the virtualchain.
    pub first_block: u32,
}

/// What a proof shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The height whose consensus hash it starts from.
    pub height: u32,
    /// Accepted operations, by descending height.
    pub operations: Vec<Proven>,
    /// Bytes that nothing vouches for but a hash in a text; empty for none.
    pub zonefile: Vec<u8>,
}

/// An accepted operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// Its height.
    pub height: u32,
    /// Its text (ch §1).
    pub text: String,
}

/// Why bytes are no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// They do not begin like one of this version.
    #[error("it is no proof of a format that this bnsd knows")]
    Beginning,
    /// It is about another chain.
    #[error("it is about another chain of names")]
    OtherChain,
    /// It ends too early, goes on too long, or holds what nobody writes.
    #[error("it is damaged at byte {0}")]
    Malformed(usize),
    /// A consensus hash does not follow from what it should be folded from.
    #[error(
        "the consensus hash of block {0} is not that of the proof: it was made for another hash, or is damaged"
    )]
    Step(u32),
    /// An operation is not in its block.
    #[error(
        "an operation of block {0} does not lead to the ops hash of its block: the proof is damaged"
    )]
    Row(u32),
}

/// The chain that a proof says it is about.
pub fn chain_of(proof: &[u8]) -> Result<ProofChain, ProofFault> {
    Input::new(proof).chain()
}

/// Checks a proof about `chain` against the consensus hash of the height that it starts from.
pub fn check(
    proof: &[u8],
    chain: &ProofChain,
    trusted: ConsensusHash,
) -> Result<Proof, ProofFault> {
    let mut input = Input::new(proof);
    if input.chain()? != *chain {
        return Err(ProofFault::OtherChain);
    }
    let height = input.u32()?;
    let targets = input.targets(chain.first_block, height)?;
    let mut descent = Descent::new(chain.first_block, height, trusted);
    let mut roots: Vec<(u32, OpsHash)> = Vec::new();
    for target in targets {
        let root = descent.to(target, |step| {
            let ops_hash = OpsHash(input.array()?);
            for height in step.unknown {
                let hash = ConsensusHash(input.array()?);
                step.known.insert(*height, hash);
            }
            let folded = snapshot::consensus_hash(ops_hash, &step.previous());
            match step.known.get(&step.height) == Some(&folded) {
                true => Ok(ops_hash),
                false => Err(ProofFault::Step(step.height)),
            }
        })?;
        roots.push((target, root));
    }
    let mut operations = Vec::new();
    for (height, root) in roots {
        let texts = entries(&mut input, height, root)?.into_iter();
        operations.extend(texts.map(|text| Proven { height, text }));
    }
    let length = input.size(PROOF_MAX)?;
    let zonefile = input.take(length)?.to_vec();
    input.end()?;
    Ok(Proof {
        height,
        operations,
        zonefile,
    })
}

/// The texts of a block that lead to its ops hash.
fn entries(input: &mut Input<'_>, height: u32, root: OpsHash) -> Result<Vec<String>, ProofFault> {
    let count = input.number(ROW_MAX)?;
    let entries = input.size(TARGETS_MAX)?;
    let mut texts = Vec::new();
    let mut ways: Vec<Way> = Vec::new();
    for _ in 0..entries {
        let index = input.number(ROW_MAX)?;
        let is_next = ways.last().is_none_or(|last| last.index < index);
        let way = Way { index, count };
        if index >= count || !is_next {
            return Err(input.fault());
        }
        let length = input.size(TEXT_MAX)?;
        let text = std::str::from_utf8(input.take(length)?).map_err(|_| input.fault())?;
        let mut siblings = Vec::new();
        for _ in way.sides().filter(|side| side.is_written()) {
            siblings.push(input.array()?);
        }
        match way.climb(text, &siblings) {
            Some(reached) if reached == root => texts.push(text.to_owned()),
            _ => return Err(ProofFault::Row(height)),
        }
        ways.push(way);
    }
    match !ways.is_empty() && row::is_least(&ways) {
        true => Ok(texts),
        false => Err(input.fault()),
    }
}
