//! Comments cite the rules by section (`sm §6.2`, `wf §4`, `ch §1`) or quirk; what they cite must be there. They must
//! not cite documents that are not in the repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Abbreviations and the documents that they stand for.
const DOCUMENTS: [(&str, &str); 4] = [
    ("sm", "bns/state_machine.md"),
    ("wf", "bns/wire_format.md"),
    ("ch", "virtualchain/consensus_hash.md"),
    ("ap", "atlas/protocol.md"),
];

/// Where the quirks are explained.
const QUIRKS: &str = "bns/quirks.md";

/// Documents of other places.
const ELSEWHERE: [&str; 11] = [
    "wire-format",
    "state-machine",
    "consensus-hash",
    "history",
    "zonefiles-and-atlas",
    "conformance",
    "design",
    "light",
    "migration",
    "style",
    "stack",
];

#[test]
fn every_cited_section_is_there() {
    let mut wrong = Vec::new();
    for (abbreviation, document) in DOCUMENTS {
        let there = sections(document);
        for (file, line) in lines() {
            let cited = cited_sections(&line, abbreviation);
            let missing = cited.iter().filter(|section| !there.contains(*section));
            wrong.extend(missing.map(|section| format!("{file}: {abbreviation} §{section}")));
        }
    }
    assert!(wrong.is_empty(), "no such section:\n{}", wrong.join("\n"));
}

#[test]
fn every_cited_quirk_is_there() {
    let there = headings(QUIRKS);
    let mut wrong = Vec::new();
    for (file, line) in lines() {
        let cited = cited_quirks(&line);
        let missing = cited.iter().filter(|quirk| !there.contains(*quirk));
        wrong.extend(missing.map(|quirk| format!("{file}: quirk {quirk}")));
    }
    assert!(wrong.is_empty(), "no such quirk:\n{}", wrong.join("\n"));
}

#[test]
fn no_document_of_another_place_is_cited() {
    let mut wrong = Vec::new();
    for (file, line) in lines() {
        let names = |document: &&str| {
            line.contains(&format!("{document}.md")) || line.contains(&format!("{document} §"))
        };
        let rows = ["conformance row", "za §"];
        if ELSEWHERE.iter().any(names) || rows.iter().any(|row| line.contains(row)) {
            wrong.push(format!("{file}: {}", line.trim()));
        }
    }
    assert!(
        wrong.is_empty(),
        "not in the repository:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn citations_are_found() {
    let line = "/// An unspent preorder (sm §6.1 rule 1, §6.7 rule 1 and §4.3; RFC 1035 §9.9).";
    assert_eq!(cited_sections(line, "sm"), ["6.1", "6.7", "4.3"]);
    assert_eq!(cited_sections(line, "ch"), [""; 0]);
    assert_eq!(cited_sections("// each (ch §1)", "ch"), ["1"]);
    assert_eq!(
        cited_quirks("// Quirk ALL-INPUTS. A quirk FLOAT-FEE, no quirk."),
        ["ALL-INPUTS", "FLOAT-FEE"]
    );
}

/// The sections of `document` that a line cites. A bare § continues the citation before it.
fn cited_sections(line: &str, document: &str) -> Vec<String> {
    let mut cited = Vec::new();
    let mut continues = false;
    for (at, sign) in line.match_indices('§') {
        let before = line[..at].trim_end();
        let word = before
            .rsplit([' ', '(', '`', '/'])
            .next()
            .unwrap_or_default();
        continues = word == document || continues && (before.ends_with(',') || word == "and");
        let rest = &line[at + sign.len()..];
        let digits = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next();
        let section = digits.unwrap_or_default().trim_end_matches('.');
        if continues && !section.is_empty() {
            cited.push(section.to_owned());
        }
    }
    cited
}

/// The quirks that a line cites.
fn cited_quirks(line: &str) -> Vec<String> {
    let behind = line
        .match_indices("uirk ")
        .map(|(at, word)| &line[at + word.len()..]);
    let names = behind.map(|text| {
        let name = text.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '-');
        name.into_iter().next().unwrap_or_default().to_owned()
    });
    names.filter(|name| name.len() > 1).collect()
}

/// The numbers of a document's sections.
fn sections(document: &str) -> BTreeSet<String> {
    let number = |heading: &String| {
        let number = heading.split(' ').next()?.trim_end_matches('.');
        number
            .starts_with(|c: char| c.is_ascii_digit())
            .then(|| number.to_owned())
    };
    headings(document).iter().filter_map(number).collect()
}

fn headings(document: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(source_folder().join(document)).expect("a document");
    let lines = text.lines().filter(|line| line.starts_with('#'));
    lines
        .map(|line| line.trim_start_matches('#').trim().to_owned())
        .collect()
}

/// Every line of every source and document, with its file.
fn lines() -> Vec<(String, String)> {
    let folder = source_folder();
    let mut lines = Vec::new();
    for path in files(&folder) {
        let file = path
            .strip_prefix(&folder)
            .expect("it is inside")
            .display()
            .to_string();
        let text = fs::read_to_string(&path).expect("text");
        lines.extend(text.lines().map(|line| (file.clone(), line.to_owned())));
    }
    lines
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "rs" || extension == "md")
        {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}
