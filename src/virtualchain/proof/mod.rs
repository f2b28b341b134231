//! Proofs that operations were accepted, for whoever knows the consensus hash of one later height.
//!
//! A consensus hash is the front of the root of a tree over the ops hash of its block and earlier consensus hashes (ch §3),
//! and an ops hash is the root of one over texts of operations (ch §2). So there is a way from each text up to any later
//! consensus hash, and the nodes beside it are the proof. Hashes on the way are not written: they follow. A proof can bring a
//! zone file along, whose hash is in a text.
//!
//! ```text
//! proof   := "bnsprf" 02  magic[2]  network magic[4]  first u32  T u32  cs(targets)  target*  cs(n) zone file[n]
//! target  := height u32  cs(count) cs(entries) entry*  fold  (jump u8  fold)*
//! entry   := cs(index) cs(n) text[n] sibling[32]*
//! fold    := place u8  sibling[16 or 32]*
//! ```
//!
//! Integers are little endian, `cs` is Bitcoin's CompactSize in its shortest form. `network magic` is that of the Bitcoin
//! chain, `first` the first height of the virtualchain. `T` is the height whose consensus hash is trusted. Siblings are the
//! nodes beside a way, from the bottom up and in the order in which they are hashed. Where a row repeats its last node,
//! nothing is written, and no sibling equals the node beside it.
//!
//! The targets descend. Each entry has a text and its place in the sorted row of its block; all entries of a target lead to
//! the same ops hash. `count` is the least length of a row in which the ways look like this: the hashes do not commit to
//! more, and every byte of a proof has to be the only one that is right. Entries ascend by index. A text has more than 64
//! bytes, so none is the two nodes below another one.
//!
//! The first fold of a target leads from its ops hash to its consensus hash, each later one from the consensus hash that was
//! reached to that of the height `2^jump - 1` above. `place` is where the hash is in the sorted row of ch §3, whose length
//! follows from the height. 128 is added to it if the node beside it in that row is the ops hash; this one has 32 bytes, each
//! other in that row 16, all those above 32. The way ends at the first height whose hash is known: that of `T`, or one that an
//! earlier target came through. The two hashes have to be equal.
//!
//! Two things a proof cannot show: that something did *not* happen, for example that no later operation followed; and at which
//! height an operation was accepted, if its text does not say it. The rows of ch §3 are sorted, so nothing in a consensus hash
//! tells the earlier ones apart.

mod bytes;
mod fold;
mod make;
mod row;
mod way;

use std::collections::BTreeMap;

use crate::hash::{ConsensusHash, OpsHash};

pub use make::{ProofView, Unmade, Wanted, prove};

use bytes::Input;
use fold::Part;
use way::Way;

/// Most bytes of a proof: a zone file has at most 40,960, the rest takes 5 KB.
pub const PROOF_MAX: usize = 64 * 1024;
/// Most targets, and most entries of a target: a name and its namespace need two, others that prove something hardly more.
const TARGETS_MAX: usize = 4;
/// Longest text of an operation in bytes; those of names have about 600, those of namespaces 900.
const TEXT_MAX: usize = 4_096;
/// Bytes of two nodes of a tree; a text has more.
const NODES: usize = 64;
/// Longest row: more transactions than a block of Bitcoin holds.
const ROW_MAX: u32 = 1 << 17;
/// The longest jump: heights have 32 bits.
const JUMP_MAX: u8 = 32;
/// How a proof begins: a word and the version of the format.
const BEGINNING: [u8; 7] = *b"bnsprf\x02";

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
    /// Its height, as far as its text says it too; else as the proof says.
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
    /// The way from an operation ends at another consensus hash than that of this height.
    #[error(
        "it does not lead to the consensus hash of block {0}: it was made for another hash, or is damaged"
    )]
    Step(u32),
    /// The operations of a block are not in one row.
    #[error("the operations of block {0} do not lead to one ops hash: the proof is damaged")]
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
    let targets = input.size(TARGETS_MAX)?;
    let mut known = BTreeMap::from([(height, trusted)]);
    let mut operations: Vec<Proven> = Vec::new();
    for _ in 0..targets {
        let target = input.u32()?;
        let descends = operations.last().is_none_or(|last| target < last.height);
        if !descends || !(chain.first_block..=height).contains(&target) {
            return Err(input.fault());
        }
        let (texts, ops_hash) = entries(&mut input, target)?;
        ascend(&mut input, chain.first_block, &mut known, target, ops_hash)?;
        let texts = texts.into_iter();
        operations.extend(texts.map(|text| Proven {
            height: target,
            text,
        }));
    }
    if operations.is_empty() {
        return Err(input.fault());
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

/// The texts of a block, and the ops hash that all of them lead to.
fn entries(input: &mut Input<'_>, height: u32) -> Result<(Vec<String>, OpsHash), ProofFault> {
    let count = input.number(ROW_MAX)?;
    let entries = input.size(TARGETS_MAX)?;
    let mut texts = Vec::new();
    let mut ways: Vec<Way> = Vec::new();
    let mut root = None;
    for _ in 0..entries {
        let index = input.number(ROW_MAX)?;
        let is_next = ways.last().is_none_or(|last| last.index < index);
        let way = Way { index, count };
        let length = input.size(TEXT_MAX)?;
        if index >= count || !is_next || length <= NODES {
            return Err(input.fault());
        }
        let text = std::str::from_utf8(input.take(length)?).map_err(|_| input.fault())?;
        let siblings = input.siblings(way, size_of::<OpsHash>())?;
        let reached = row::climb(way, text, &siblings).ok_or(ProofFault::Row(height))?;
        if *root.get_or_insert(reached) != reached {
            return Err(ProofFault::Row(height));
        }
        texts.push(text.to_owned());
        ways.push(way);
    }
    match root {
        Some(root) if row::is_least(&ways) => Ok((texts, root)),
        _ => Err(input.fault()),
    }
}

/// Follows the way from the ops hash of `target` up to a known consensus hash. Those on the way are known then.
fn ascend(
    input: &mut Input<'_>,
    first_block: u32,
    known: &mut BTreeMap<u32, ConsensusHash>,
    target: u32,
    ops_hash: OpsHash,
) -> Result<(), ProofFault> {
    let mut height = target;
    let mut hash = fold::read(input, Part::Ops(ops_hash), height, first_block)?;
    let mut passed = Vec::new();
    loop {
        match known.get(&height) {
            Some(right) if *right == hash => break,
            Some(_) => return Err(ProofFault::Step(height)),
            None => passed.push((height, hash)),
        }
        let jump = Some(input.u8()?).filter(|jump| (1..=JUMP_MAX).contains(jump));
        let above = jump.and_then(|jump| height.checked_add(length(jump)));
        let is_below_tip =
            |above: &u32| known.last_key_value().is_some_and(|(tip, _)| above <= tip);
        height = above.filter(is_below_tip).ok_or(input.fault())?;
        hash = fold::read(input, Part::Earlier(hash), height, first_block)?;
    }
    known.extend(passed);
    Ok(())
}

/// Over how many blocks a jump from 1 to [`JUMP_MAX`] leads.
fn length(jump: u8) -> u32 {
    u32::MAX >> (JUMP_MAX - jump)
}
