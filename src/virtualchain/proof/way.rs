//! The way of a leaf up a tree as the chain folds it (ch §2), and the nodes beside it.

use crate::hash::sha256d;

/// A place in a row of leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    /// The place, from 0 on; below `count`.
    pub(super) index: u32,
    /// How many leaves the row has.
    pub(super) count: u32,
}

/// Where the node is that is hashed with the one on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
    /// The last one of an odd row is repeated.
    Itself,
}

impl Side {
    pub(super) fn is_written(self) -> bool {
        self != Self::Itself
    }
}

impl Way {
    /// The sides from the bottom up.
    pub(super) fn sides(self) -> impl Iterator<Item = Side> {
        let Self {
            mut index,
            mut count,
        } = self;
        std::iter::from_fn(move || {
            let side = match index % 2 {
                1 => Side::Left,
                _ if index + 1 < count => Side::Right,
                _ => Side::Itself,
            };
            let goes_on = count > 1;
            (index, count) = (index / 2, count.div_ceil(2));
            goes_on.then_some(side)
        })
    }

    /// The root above a leaf, both in displayed order; `None` if the siblings are not as many as there should be, or one of
    /// them equals the node beside it, where the row would have repeated it.
    pub(super) fn climb(self, leaf: &[u8], siblings: &[&[u8]]) -> Option<Vec<u8>> {
        let mut node = reversed(leaf);
        let mut siblings = siblings.iter();
        for side in self.sides() {
            let sibling = match side {
                Side::Itself => node.clone(),
                _ => siblings
                    .next()
                    .filter(|beside| ***beside != *node)?
                    .to_vec(),
            };
            node = match side {
                Side::Left => parent(&sibling, &node),
                Side::Right | Side::Itself => parent(&node, &sibling),
            };
        }
        siblings.next().is_none().then(|| reversed(&node))
    }

    /// The nodes beside the way, from the bottom up and as they are hashed; the leaves are in displayed order.
    pub(super) fn siblings(self, leaves: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut row: Vec<Vec<u8>> = leaves.iter().map(|leaf| reversed(leaf)).collect();
        let mut index = self.index as usize;
        let mut siblings = Vec::new();
        for side in self.sides() {
            let beside = match side {
                Side::Left => row.get(index - 1),
                Side::Right => row.get(index + 1),
                Side::Itself => None,
            };
            siblings.extend(beside.cloned());
            let pairs = row.chunks(2);
            row = pairs
                .map(|pair| parent(&pair[0], pair.last().unwrap_or(&pair[0])))
                .collect();
            index /= 2;
        }
        siblings
    }
}

fn parent(left: &[u8], right: &[u8]) -> Vec<u8> {
    sha256d(&[left, right].concat()).to_vec()
}

fn reversed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}
