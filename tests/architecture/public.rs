//! Public items that nobody outside of their room uses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::source::{Source, rust_files, sources};

/// Where users of the library stand beside the rooms themselves.
const TESTS: &str = "tests";

#[test]
fn nothing_is_public_for_nobody() {
    let sources = sources();
    let users = users(&sources);
    let mut wrong = Vec::new();
    for source in &sources {
        if source.room == "main" || !is_public(&source.module, &sources) {
            continue;
        }
        let room: Vec<&Source> = sources.iter().filter(|s| s.room == source.room).collect();
        for item in items(&source.code) {
            let is_used = users
                .iter()
                .any(|(room, words)| *room != source.room && words.contains(item.name));
            let is_shown = item.is_type && is_in_a_signature(item.name, &room);
            if !is_used && !is_shown {
                wrong.push(format!("{}: {}", source.path.display(), item.name));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "public, but used in their own room alone:\n{}",
        wrong.join("\n")
    );
}

/// A public item of a file.
struct Item<'s> {
    name: &'s str,
    /// Whether it can be a part of what others use without being named by them.
    is_type: bool,
}

/// The words of each room, and of the tests together.
fn users(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        let words = users.entry(source.room.clone()).or_default();
        words.extend(words_of(&source.code));
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join(TESTS);
    let words = users.entry(TESTS.to_owned()).or_default();
    for path in rust_files(&tests) {
        words.extend(words_of(&fs::read_to_string(path).unwrap()));
    }
    users
}

fn words_of(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty()).map(str::to_owned)
}

/// Whether every module on the way to this one is public.
fn is_public(module: &[String], sources: &[Source]) -> bool {
    (1..module.len()).all(|end| {
        let parent = sources.iter().find(|source| source.module == module[..end]);
        parent.is_some_and(|parent| {
            let declaration = format!("pub mod {};", module[end]);
            parent.code.lines().any(|line| line.trim() == declaration)
        })
    })
}

/// Items with `pub` and nothing behind it.
fn items(code: &str) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    for line in code.lines() {
        let Some(rest) = line.trim_start().strip_prefix("pub ") else {
            continue;
        };
        let mut words = rest.split(|c: char| !c.is_alphanumeric() && c != '_');
        let kind = words.find(|word| !matches!(*word, "async" | "unsafe"));
        let (is_type, name) = match kind {
            Some("struct" | "enum" | "trait" | "type") => (true, words.next()),
            Some("fn" | "static") => (false, words.next()),
            Some("const") => (false, words.find(|word| *word != "fn")),
            _ => continue,
        };
        let name = name.filter(|name| !name.is_empty()); // empty in a macro
        items.extend(name.map(|name| Item { name, is_type }));
    }
    items
}

/// Whether a type is part of what its room shows to others: a field, a parameter, a result, a variant.
fn is_in_a_signature(name: &str, room: &[&Source]) -> bool {
    let is_shown = |line: &str, is_open: bool| {
        let line = line.trim_start();
        let declares = [
            "pub struct ",
            "pub enum ",
            "pub trait ",
            "pub type ",
            "impl",
            "use ",
        ];
        !declares.iter().any(|start| line.starts_with(start))
            && (is_open || line.starts_with("pub ") || line.starts_with("type "))
            && words_of(line).any(|word| word == name)
    };
    room.iter().any(|source| {
        // From `pub` to the brace or semicolon that ends a signature or begins a body of variants.
        let mut is_open = false;
        source.code.lines().any(|line| {
            let bare = line.trim_start();
            is_open |= bare.starts_with("pub ") || bare.starts_with("fn ");
            let shown = is_shown(line, is_open);
            if bare.starts_with("pub enum ") || bare.starts_with("pub trait ") {
                is_open = true;
            } else if line == "}" || bare.ends_with(';') && line.starts_with(' ') {
                is_open = false;
            }
            shown
        })
    })
}
