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
    let root = root(leaves.iter().map(|leaf| &leaf[..]));
    OpsHash::from_slice(&root).expect("leaves of 32 bytes fold into 32 bytes")
}

/// Root of the tree over `leaves` in displayed order: leaves are reversed on entry, the root on exit, an odd
/// row repeats its last node. A single leaf is its own root, whatever its length.
///
/// # Panics
/// Never with at least one leaf.
pub fn root<'a>(leaves: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut row: Vec<Vec<u8>> = leaves
        .into_iter()
        .map(|leaf| leaf.iter().rev().copied().collect())
        .collect();
    assert!(!row.is_empty(), "a tree has at least one leaf");
    while row.len() > 1 {
        row = row
            .chunks(2)
            .map(|pair| {
                let left = &pair[0];
                let right = pair.last().unwrap_or(left);
                sha256d(&[left.as_slice(), right.as_slice()].concat()).to_vec()
            })
            .collect();
    }
    let mut root = row.swap_remove(0);
    root.reverse();
    root
}
