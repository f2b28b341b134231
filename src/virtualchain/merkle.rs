//! The Merkle tree as the chain folds it: Bitcoin's, over sorted leaves (ch §2).

use crate::hash::{OpsHash, sha256d};

/// The ops hash of a block from the canonical texts of its accepted operations (ch §2). Without operations
/// it is the double hash of the empty string.
pub fn ops_hash(serialized: &[&str]) -> OpsHash {
    let mut leaves: Vec<[u8; 32]> = serialized
        .iter()
        .map(|text| sha256d(text.as_bytes()))
        .collect();
    if leaves.is_empty() {
        leaves.push(sha256d(b""));
    }
    leaves.sort_unstable(); // The order of operations in the block is lost here (quirk SORTED-OPS).
    leaves.iter_mut().for_each(|leaf| leaf.reverse());
    let mut root = fold(leaves);
    root.reverse();
    OpsHash(root)
}

/// Root of the tree over `leaves` in displayed order: leaves are reversed on entry, the root on exit, an odd
/// row repeats its last node. A single leaf is its own root, whatever its length.
///
/// # Panics
/// Never with at least one leaf.
pub fn root<'a>(leaves: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let leaves: Vec<&[u8]> = leaves.into_iter().collect();
    let [first, rest @ ..] = &leaves[..] else {
        panic!("a tree has at least one leaf");
    };
    if rest.is_empty() {
        return first.to_vec();
    }
    let reversed = |leaf: &&[u8]| leaf.iter().rev().copied().collect::<Vec<u8>>();
    let parent = |pair: &[&[u8]]| {
        let left = &pair[0];
        let right = pair.last().unwrap_or(left);
        sha256d(&[reversed(left), reversed(right)].concat())
    };
    let mut root = fold(leaves.chunks(2).map(parent).collect());
    root.reverse();
    root.to_vec()
}

/// The root over a row of nodes, of which there is at least one.
fn fold(mut row: Vec<[u8; 32]>) -> [u8; 32] {
    while row.len() > 1 {
        for parent in 0..row.len().div_ceil(2) {
            let left = row[2 * parent];
            let right = row.get(2 * parent + 1).copied().unwrap_or(left);
            row[parent] = sha256d([left, right].as_flattened());
        }
        row.truncate(row.len().div_ceil(2));
    }
    row[0]
}
