//! Files inside a room that use each other in a loop.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, sources};

/// A file's module path without `crate`.
type Module = Vec<String>;

/// Two files may need each other, where one thing is easier to read in two; more are a knot.
const CIRCLE_MAX: usize = 2;

#[test]
fn no_circle_of_files_spans_more_than_two() {
    let arrows = arrows(&sources());
    let circles = circles(&arrows);
    let large: Vec<_> = circles
        .iter()
        .filter(|circle| circle.len() > CIRCLE_MAX)
        .map(|circle| {
            let names: Vec<_> = circle.iter().map(|module| module.join("::")).collect();
            names.join(", ")
        })
        .collect();
    assert!(large.is_empty(), "in circles:\n{}", large.join("\n"));
}

#[test]
fn circles_are_found_through_names_that_are_handed_on() {
    let source = |module: &[&str], code: &str| Source {
        path: module.join("/").into(),
        room: module[0].to_owned(),
        module: module.iter().map(|part| (*part).to_owned()).collect(),
        code: code.to_owned(),
    };
    let sources = [
        source(
            &["a"],
            "mod b;\nmod c;\nmod d;\npub use b::{B, One as Two};\n",
        ),
        source(&["a", "b"], "use super::c::C;\nuse crate::x::Y;\n"),
        source(&["a", "c"], "use super::{d, e};\nfn f() { d::g() }\n"),
        source(&["a", "d"], "use crate::a::{Two, k::L};\n"),
    ];
    let circles = circles(&arrows(&sources));
    let sizes: Vec<_> = circles.iter().map(BTreeSet::len).collect();
    assert_eq!(sizes, [3]);
}

/// Which file uses which, inside rooms.
fn arrows(sources: &[Source]) -> BTreeMap<Module, BTreeSet<Module>> {
    let known: BTreeMap<&[String], &Source> = sources
        .iter()
        .map(|source| (&source.module[..], source))
        .collect();
    let mut arrows = BTreeMap::new();
    for source in sources {
        let used = paths(&source.code)
            .iter()
            .filter_map(|path| resolve(path, &source.module, &known))
            .filter(|used| used.first() == Some(&source.room) && *used != source.module)
            .collect();
        arrows.insert(source.module.clone(), used);
    }
    arrows
}

/// The file in which what `path` names is defined, as seen from `from`.
fn resolve(
    path: &[String],
    from: &[String],
    known: &BTreeMap<&[String], &Source>,
) -> Option<Module> {
    let (mut at, mut rest) = match path.first()?.as_str() {
        "crate" | "bnsd" => (Vec::new(), &path[1..]),
        "self" => (from.to_vec(), &path[1..]),
        "super" => (from.split_last()?.1.to_vec(), &path[1..]),
        _ => return None,
    };
    while let Some((first, behind)) = rest.split_first() {
        if first == "super" {
            at.pop();
            rest = behind;
            continue;
        }
        let below: Module = at.iter().chain([first]).cloned().collect();
        if known.contains_key(&below[..]) {
            (at, rest) = (below, behind);
            continue;
        }
        let handed_on = known
            .get(&at[..])
            .and_then(|source| handed_on(source, first));
        return Some(match handed_on {
            Some(path) => resolve(&path, &at, known).unwrap_or(at),
            None => at,
        });
    }
    // A module alone is no arrow: what is used of it stands in the code as a path of its own.
    (!at.is_empty()).then_some(at)
}

/// Where `name` comes from, if the module has it from one of its own by `use`.
fn handed_on(source: &Source, name: &str) -> Option<Vec<String>> {
    let uses = source.code.split("use ").skip(1);
    let groups = uses.filter_map(|text| text.split(';').next());
    let mut paths = groups.flat_map(expand);
    let (mut path, _) = paths.find(|(_, handed_on)| handed_on == name)?;
    if !matches!(path[0].as_str(), "crate" | "self" | "super") {
        path.insert(0, "self".to_owned());
    }
    (path.len() > 2).then_some(path)
}

/// Every path in the code that begins at the crate, the module or the one above it.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                let found = expand(path_text(&code[at..]));
                paths.extend(found.into_iter().map(|(path, _)| path));
            }
        }
    }
    paths
}

/// As far as a path reaches, its groups included.
fn path_text(text: &str) -> &str {
    let mut depth = 0;
    let end = text.find(|c: char| match c {
        '{' if depth > 0 || text.contains("::{") => {
            depth += 1;
            false
        }
        '}' => {
            depth -= 1;
            depth < 0
        }
        _ if depth > 0 => false,
        c => !(c.is_alphanumeric() || c == '_' || c == ':'),
    });
    &text[..end.unwrap_or(text.len())]
}

/// The single paths of `a::{b, c::{d, e as f}}`, each with the name that it gets.
fn expand(text: &str) -> Vec<(Vec<String>, String)> {
    let (head, group) = match text.split_once('{') {
        Some((head, group)) => (head, group.trim_end().strip_suffix('}')),
        None => (text, None),
    };
    let (path, renamed) = match head.split_once(" as ") {
        Some((path, name)) => (path, Some(name.trim().to_owned())),
        None => (head, None),
    };
    let parts = path.split("::").map(|part| part.trim().to_owned());
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    let Some(group) = group else {
        let name = renamed.or_else(|| parts.last().cloned());
        return vec![(parts, name.unwrap_or_default())];
    };
    let mut paths = Vec::new();
    for (path, name) in members(group).into_iter().flat_map(expand) {
        let path = path.into_iter().filter(|part| part != "self");
        paths.push((parts.iter().cloned().chain(path).collect(), name));
    }
    paths
}

/// The members of a group; inner groups belong to the path before them.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    members.push(&group[start..]);
    members.retain(|member| !member.trim().is_empty());
    members
}

/// The largest sets of files each of which leads to every other.
fn circles(arrows: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<BTreeSet<Module>> {
    let reach: BTreeMap<&Module, BTreeSet<Module>> = arrows
        .keys()
        .map(|module| (module, reachable(module, arrows)))
        .collect();
    let mut circles: BTreeSet<BTreeSet<Module>> = BTreeSet::new();
    for (module, reached) in &reach {
        let back = |other: &&Module| reach.get(other).is_some_and(|r| r.contains(*module));
        let circle: BTreeSet<Module> = reached.iter().filter(back).cloned().collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reachable(from: &Module, arrows: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<Module> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        for next in arrows.get(module).into_iter().flatten() {
            if reached.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    reached
}
