//! The drawing in `lib.rs`, checked: which room may use which, what pure rooms must not name, that files inside a room
//! form no circles, that nothing is public for nobody, and that every file says what it is for.
//!
//! The sources are read as text. Comments and whatever is compiled for tests only do not count.

mod circles;
mod public;
mod source;

use std::collections::BTreeSet;
use std::fs;

use source::{Source, modules_used, rust_files, source_folder, sources, without_tests};

/// Values in, values out; each with what it uses.
const PURE: [(&str, &[&str]); 9] = [
    ("hash", &[]),
    ("peer_address", &[]),
    ("subnet", &[]),
    ("virtualchain", &["hash"]),
    ("wire", &[]),
    ("zonefile", &["hash"]),
    ("bns", &["hash", "virtualchain", "zonefile"]),
    ("tlsa", &["hash", "bns", "zonefile"]),
    ("resolver", &["hash", "bns", "zonefile", "wire", "tlsa"]),
];

/// Rooms of adapters with files that are as pure as those rooms; with these files and folders.
const PURE_FILES: [(&str, &[&str]); 2] = [
    (
        "atlas",
        &[
            "answer",
            "candidates",
            "dice",
            "inventory",
            "json",
            "message",
            "peer",
            "peer_table",
            "pushes",
            "rate",
            "reply",
            "rule",
            "schedule",
            "walk",
            "wanted",
            "xml",
        ],
    ),
    (
        "chain",
        &[
            "checked",
            "header",
            "headers/branches",
            "headers/rules",
            "log",
        ],
    ),
];

/// Each owns one kind of outside world; with the other adapters that it uses. Pure rooms are open to all.
const ADAPTERS: [(&str, &[&str]); 19] = [
    ("clock", &[]),
    ("disk", &[]),
    ("log", &[]),
    ("progress", &[]),
    ("worker", &[]),
    ("connections", &["worker"]),
    ("host", &[]),
    ("chain", &["clock", "disk", "progress", "worker"]),
    ("store", &["disk"]),
    ("names", &["store", "progress", "clock"]),
    ("indexer", &["chain", "store", "disk", "progress", "clock"]),
    ("folder", &["store", "worker"]),
    (
        "atlas",
        &["connections", "disk", "names", "store", "worker"],
    ),
    ("trust", &["connections", "disk", "names", "worker"]),
    ("upstream", &["clock", "disk", "trust", "worker"]),
    (
        "dns",
        &[
            "names",
            "upstream",
            "clock",
            "connections",
            "disk",
            "host",
            "trust",
            "worker",
        ],
    ),
    ("wallet", &["chain", "disk"]),
    (
        "api",
        &[
            "atlas",
            "chain",
            "connections",
            "disk",
            "host",
            "names",
            "progress",
            "wallet",
        ],
    ),
    ("system", &["disk", "upstream"]),
];

/// These put the rest together; with the adapters and each other that they use.
const ASSEMBLY: [(&str, &[&str]); 4] = [
    (
        "config",
        &["api", "atlas", "chain", "dns", "log", "upstream"],
    ),
    (
        "daemon",
        &[
            "api", "atlas", "chain", "clock", "config", "disk", "dns", "folder", "indexer", "log",
            "names", "progress", "store", "trust", "upstream", "wallet", "worker",
        ],
    ),
    (
        "cli",
        &[
            "api", "chain", "config", "daemon", "disk", "indexer", "log", "names", "store",
            "system", "trust", "upstream", "wallet", "worker",
        ],
    ),
    ("main", &["cli"]),
];

/// What no pure module may name: input and output, clock, randomness, tasks, databases, logs.
const IMPURE: [&str; 23] = [
    "std::fs",
    "std::io",
    "std::env",
    "std::thread",
    "std::process",
    "std::os",
    "SystemTime",
    "Instant",
    "UdpSocket",
    "socket2",
    "TcpStream",
    "TcpListener",
    "tokio",
    "redb",
    "tracing",
    "rand::",
    "getrandom",
    "hickory_net",
    "hickory_resolver",
    "println!",
    "eprintln!",
    "async ",
    ".await",
];

/// The files that may hold `unsafe` blocks, and how many each has.
const UNSAFE: [(&str, usize); 4] = [
    ("daemon/inherited.rs", 1),
    ("daemon/launchd.rs", 1),
    ("daemon/memory.rs", 1),
    ("dns/batch/system.rs", 4),
];

#[test]
fn arrows_only_go_down() {
    let mut wrong = Vec::new();
    for source in sources() {
        for used in modules_used(&source.code) {
            if used != source.room && !may_use(&source.room, &used) {
                wrong.push(format!("{} uses {used}", source.path.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "against the drawing:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_allowed_arrow_is_drawn() {
    let drawn: BTreeSet<(String, String)> = sources()
        .iter()
        .flat_map(|source| {
            let used = modules_used(&source.code).into_iter();
            used.map(|used| (source.room.clone(), used))
        })
        .collect();
    let rows = PURE.iter().chain(&ADAPTERS).chain(&ASSEMBLY);
    let allowed = rows.flat_map(|(room, uses)| uses.iter().map(move |used| (*room, *used)));
    let ghosts: Vec<_> = allowed
        .filter(|(room, used)| !drawn.contains(&((*room).to_owned(), (*used).to_owned())))
        .collect();
    assert!(ghosts.is_empty(), "allowed, but nobody does it: {ghosts:?}");
}

#[test]
fn pure_modules_know_no_outside_world() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| is_pure(&source.room)) {
        wrong.extend(impurities(source));
    }
    assert!(wrong.is_empty(), "pure, but:\n{}", wrong.join("\n"));
}

#[test]
fn pure_files_of_adapters_know_no_outside_world() {
    let mut wrong = Vec::new();
    for (room, files) in PURE_FILES {
        for file in files {
            let module: Vec<String> = [room]
                .into_iter()
                .chain(file.split('/'))
                .map(str::to_owned)
                .collect();
            let mut sources = sources();
            sources.retain(|source| source.module.starts_with(&module));
            assert!(!sources.is_empty(), "there is no {}", module.join("/"));
            wrong.extend(sources.iter().flat_map(impurities));
            for source in &sources {
                let rooms = modules_used(&source.code);
                let impure = rooms.iter().filter(|used| *used != room && !is_pure(used));
                wrong.extend(impure.map(|used| format!("{} uses {used}", source.path.display())));
                let of_room = format!("crate::{room}::");
                let above = ["super::", &of_room].map(|path| names_behind(&source.code, path));
                let impure = above.iter().flatten().filter(|used| is_file(room, used));
                let impure = impure.filter(|used| !files.contains(&used.as_str()));
                wrong.extend(impure.map(|used| format!("{} uses {used}", source.path.display())));
            }
        }
    }
    assert!(wrong.is_empty(), "pure, but:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_blocks_are_where_they_are_named() {
    let counted: Vec<(String, usize)> = sources()
        .iter()
        .map(|source| {
            let path = source.path.strip_prefix(source_folder()).unwrap();
            let blocks = source.code.matches("unsafe {").count();
            (path.display().to_string(), blocks)
        })
        .filter(|(_, blocks)| *blocks > 0)
        .collect();
    let named = UNSAFE.map(|(path, blocks)| (path.to_owned(), blocks));
    assert_eq!(counted, named);
    let sources = sources();
    let library = sources.iter().filter(|source| source.room != "main");
    let exceptions = library.flat_map(|source| {
        let words = source
            .code
            .split(|c: char| !c.is_alphanumeric() && c != '_');
        words.filter(|word| *word == "unsafe_code")
    });
    assert_eq!(exceptions.count(), UNSAFE.len());
    let library = fs::read_to_string(source_folder().join("lib.rs")).unwrap();
    assert!(library.contains("#![deny(unsafe_code)]"));
}

#[test]
fn every_file_says_what_it_is_for() {
    for path in rust_files(&source_folder()) {
        let text = fs::read_to_string(&path).unwrap();
        let head = text.starts_with("//! ") && text.lines().next().unwrap().len() > 10;
        assert!(head, "{} begins without a head", path.display());
    }
}

#[test]
fn the_drawing_knows_every_module() {
    let library = fs::read_to_string(source_folder().join("lib.rs")).unwrap();
    let modules = library.lines().filter_map(|line| {
        let module = line
            .strip_prefix("pub mod ")
            .or(line.strip_prefix("mod "))?;
        module.strip_suffix(';')
    });
    for module in modules {
        let tables = [&PURE[..], &ADAPTERS[..], &ASSEMBLY[..]];
        let known = tables.iter().any(|table| row(table, module).is_some());
        assert!(known, "say in tests/architecture.rs what {module} may use");
    }
}

#[test]
fn what_is_for_tests_only_does_not_count() {
    let text = "use crate::a::B;\n#[cfg(test)]\nmod tests {\n    use crate::b;\n}\nuse crate::{c::D, e};\n";
    let (code, files) = without_tests(text);
    assert_eq!(
        modules_used(&code),
        ["a", "c", "e"].map(str::to_owned).into()
    );
    assert!(files.is_empty());
    let (code, files) = without_tests("#[cfg(test)]\nmod fixture;\nmod real;\n");
    assert_eq!(
        (code.as_str(), files),
        ("mod real;\n", vec!["fixture".to_owned()])
    );
}

fn row<'t>(table: &'t [(&str, &'t [&'t str])], module: &str) -> Option<&'t [&'t str]> {
    let row = table.iter().find(|(name, _)| *name == module);
    row.map(|(_, uses)| *uses)
}

/// The words of the outside world that a file names.
fn impurities(source: &Source) -> Vec<String> {
    let named = IMPURE.iter().filter(|word| source.code.contains(**word));
    named
        .map(|word| format!("{} names {word}", source.path.display()))
        .collect()
}

/// The names that stand behind `path` in `code`.
fn names_behind(code: &str, path: &str) -> BTreeSet<String> {
    let behind = code
        .match_indices(path)
        .map(|(at, _)| &code[at + path.len()..]);
    let names = behind.map(|text| text.split(|c: char| !c.is_ascii_lowercase() && c != '_'));
    names
        .filter_map(|mut words| words.next().map(str::to_owned))
        .collect()
}

/// Whether a room has a file or a folder of that name.
fn is_file(room: &str, name: &str) -> bool {
    let place = source_folder().join(room).join(name);
    !name.is_empty() && (place.is_dir() || place.with_extension("rs").is_file())
}

fn is_pure(module: &str) -> bool {
    row(&PURE, module).is_some()
}

fn may_use(room: &str, used: &str) -> bool {
    if let Some(uses) = row(&PURE, room) {
        return uses.contains(&used);
    }
    let tables = [&ADAPTERS[..], &ASSEMBLY[..]];
    let uses = tables.iter().find_map(|table| row(table, room));
    is_pure(used) || uses.is_some_and(|uses| uses.contains(&used))
}
