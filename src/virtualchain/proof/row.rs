//! The way of a text up the sorted row of its block to the ops hash (ch §2).

use super::way::Way;
use crate::hash::{OpsHash, sha256d};

/// A text of a row, and how it leads to the ops hash.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its way.
    pub(super) way: Way,
    /// The nodes beside the way.
    pub(super) siblings: Vec<Vec<u8>>,
    /// The text.
    pub(super) text: String,
}

/// The ops hash that a text leads to; `None` if the siblings cannot be those of the way.
pub(super) fn climb(way: Way, text: &str, siblings: &[&[u8]]) -> Option<OpsHash> {
    let root = way.climb(&sha256d(text.as_bytes()), siblings)?;
    OpsHash::from_slice(&root)
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
    let mut row: Vec<[u8; 32]> = all.iter().map(|text| sha256d(text.as_bytes())).collect();
    row.sort_unstable();
    let row: Vec<&[u8]> = row.iter().map(|leaf| &leaf[..]).collect();
    let count = u32::try_from(row.len()).ok()?;
    let mut entries = Vec::new();
    for text in texts {
        let leaf = sha256d(text.as_bytes());
        let index = row.iter().position(|other| *other == leaf)?;
        let index = u32::try_from(index).ok()?;
        let way = Way { index, count };
        entries.push(Entry {
            way,
            siblings: way.siblings(&row),
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
                let siblings: Vec<&[u8]> = siblings.iter().map(Vec::as_slice).collect();
                assert_eq!(climb(*way, text, &siblings), Some(root));
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
