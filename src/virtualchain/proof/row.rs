//! The way of a text up the sorted row of its block to the ops hash (ch §2).

use crate::hash::{OpsHash, sha256d};

/// A place in a row of leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    /// The place, from 0 on; below `count`.
    pub(super) index: u32,
    /// How many leaves the row has.
    pub(super) count: u32,
}

/// A text of a row, and how it leads to the ops hash.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its way.
    pub(super) way: Way,
    /// The nodes beside the way.
    pub(super) siblings: Vec<[u8; 32]>,
    /// The text.
    pub(super) text: String,
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

    /// The ops hash that a text leads to; `None` if the siblings are not as many as there should be, or one of them equals
    /// the node beside it, where the row would have repeated it.
    pub(super) fn climb(self, text: &str, siblings: &[[u8; 32]]) -> Option<OpsHash> {
        let mut node = leaf(text);
        let mut siblings = siblings.iter();
        for side in self.sides() {
            let sibling = match side {
                Side::Itself => node,
                _ => *siblings.next().filter(|sibling| **sibling != node)?,
            };
            node = match side {
                Side::Left => parent(&sibling, &node),
                Side::Right | Side::Itself => parent(&node, &sibling),
            };
        }
        node.reverse();
        siblings.next().is_none().then_some(OpsHash(node))
    }
}

/// Whether no shorter row has all these ways, which have the same count.
pub(super) fn is_least(ways: &[Way]) -> bool {
    let shorter = |way: &Way| Way {
        count: way.count - 1,
        ..*way
    };
    ways.iter().any(|way| {
        let shorter = shorter(way);
        way.index >= shorter.count || !way.sides().eq(shorter.sides())
    })
}

/// The entries of `texts` in the row of all texts of their block, with the least count and in ascending order; `None` if one
/// is not in the row.
pub(super) fn entries(all: &[String], texts: &[&str]) -> Option<Vec<Entry>> {
    let mut row: Vec<[u8; 32]> = all.iter().map(|text| leaf(text)).collect();
    row.sort_unstable_by(|one, other| one.iter().rev().cmp(other.iter().rev()));
    let count = u32::try_from(row.len()).ok()?;
    let mut entries = Vec::new();
    for text in texts {
        let leaf = leaf(text);
        let index = row.iter().position(|other| *other == leaf)?;
        let index = u32::try_from(index).ok()?;
        let way = Way { index, count };
        entries.push(Entry {
            way,
            siblings: siblings(row.clone(), way),
            text: (*text).to_owned(),
        });
    }
    entries.sort_unstable_by_key(|entry| entry.way.index);
    let ways = |entries: &[Entry]| entries.iter().map(|entry| entry.way).collect::<Vec<_>>();
    while !is_least(&ways(&entries)) {
        entries.iter_mut().for_each(|entry| entry.way.count -= 1);
    }
    Some(entries)
}

fn siblings(mut row: Vec<[u8; 32]>, way: Way) -> Vec<[u8; 32]> {
    let mut index = way.index as usize;
    let mut siblings = Vec::new();
    for side in way.sides() {
        let beside = match side {
            Side::Left => row.get(index - 1),
            Side::Right => row.get(index + 1),
            Side::Itself => None,
        };
        siblings.extend(beside);
        let pairs = row.chunks(2);
        row = pairs
            .map(|pair| parent(&pair[0], pair.last().unwrap_or(&pair[0])))
            .collect();
        index /= 2;
    }
    siblings
}

fn leaf(text: &str) -> [u8; 32] {
    let mut leaf = sha256d(text.as_bytes());
    leaf.reverse();
    leaf
}

fn parent(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    sha256d(&[&left[..], right].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtualchain::merkle::ops_hash;

    #[test]
    fn every_text_leads_to_the_ops_hash_and_only_one_count_is_right() {
        for count in 1..=33 {
            let texts: Vec<String> = (0..count).map(|place| format!("~:2:{place:02}")).collect();
            let all: Vec<&str> = texts.iter().map(String::as_str).collect();
            let root = ops_hash(&all);
            for text in &all {
                let entries = entries(&texts, &[text]).expect("it is in the row");
                let Entry { way, siblings, .. } = entries.first().expect("one entry");
                assert_eq!(way.climb(text, siblings), Some(root));
                let others = (way.index + 1..=70).map(|count| Way { count, ..*way });
                let like_it = others.filter(|other| other.sides().eq(way.sides()));
                let least: Vec<Way> = like_it.filter(|other| is_least(&[*other])).collect();
                assert_eq!(least, [*way]);
            }
        }
    }

    #[test]
    fn a_text_that_is_not_in_the_row_has_no_way() {
        assert_eq!(entries(&["~:1:a".to_owned()], &["~:1:b"]), None);
    }
}
