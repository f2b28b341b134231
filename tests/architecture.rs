//! The drawing in `lib.rs`, checked: which module may use which, what pure modules must not name, and that
//! every file says what it is for.
//!
//! The sources are read as text. Comments and whatever is compiled for tests only do not count.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Values in, values out; each with what it may use.
const PURE: [(&str, &[&str]); 6] = [
    ("hash", &[]),
    ("virtualchain", &["hash"]),
    ("wire", &[]),
    ("zonefile", &["hash", "wire"]),
    ("bns", &["hash", "virtualchain"]),
    ("resolver", &["hash", "bns", "zonefile", "wire"]),
];

/// Each owns one kind of outside world; with the other adapters that it may use. Pure modules are open to all.
const ADAPTERS: [(&str, &[&str]); 13] = [
    ("clock", &[]),
    ("disk", &[]),
    ("progress", &["clock"]),
    ("worker", &[]),
    ("chain", &["clock", "disk", "worker"]),
    ("store", &["clock", "disk"]),
    ("names", &["store", "progress", "clock"]),
    ("indexer", &["chain", "store", "disk", "progress", "clock"]),
    ("folder", &["store", "progress", "clock", "worker"]),
    ("upstream", &["clock", "disk", "worker"]),
    (
        "dns",
        &["names", "upstream", "disk", "progress", "clock", "worker"],
    ),
    ("wallet", &["chain", "disk"]),
    (
        "api",
        &["names", "store", "progress", "clock", "wallet", "worker"],
    ),
];

/// These put the rest together; with what they may not use.
const ASSEMBLY: [(&str, &[&str]); 4] = [
    ("config", &["daemon", "cli", "indexer"]),
    ("daemon", &["cli"]),
    ("cli", &[]),
    ("main", &[]),
];

/// What no pure module may name: input and output, clock, randomness, tasks, databases, logs.
const IMPURE: [&str; 22] = [
    "std::fs",
    "std::io",
    "std::env",
    "std::thread",
    "std::process",
    "std::os",
    "SystemTime",
    "Instant",
    "Socket",
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

/// A source file without comments and without what is compiled for tests only.
struct Source {
    path: PathBuf,
    /// The module at the top that it belongs to.
    module: String,
    code: String,
}

#[test]
fn arrows_only_go_down() {
    let mut wrong = Vec::new();
    for source in sources() {
        for used in modules_used(&source.code) {
            if used != source.module && !may_use(&source.module, &used) {
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
fn pure_modules_know_no_outside_world() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| is_pure(&source.module)) {
        for word in IMPURE {
            if source.code.contains(word) {
                wrong.push(format!("{} names {word}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "pure, but:\n{}", wrong.join("\n"));
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

fn is_pure(module: &str) -> bool {
    row(&PURE, module).is_some()
}

fn may_use(module: &str, used: &str) -> bool {
    if let Some(uses) = row(&PURE, module) {
        uses.contains(&used)
    } else if let Some(uses) = row(&ADAPTERS, module) {
        is_pure(used) || uses.contains(&used)
    } else {
        !row(&ASSEMBLY, module).is_some_and(|barred| barred.contains(&used))
    }
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Every file but those that are compiled for tests only.
fn sources() -> Vec<Source> {
    let folder = source_folder();
    let mut for_tests: BTreeSet<PathBuf> = BTreeSet::new();
    let mut sources = Vec::new();
    for path in rust_files(&folder) {
        let (code, files) = without_tests(&fs::read_to_string(&path).unwrap());
        let beside = match path.file_stem().and_then(|stem| stem.to_str()) {
            Some("mod" | "lib" | "main") => path.parent().unwrap().to_owned(),
            _ => path.with_extension(""),
        };
        for_tests.extend(files.iter().map(|file| beside.join(file)));
        let inside = path.strip_prefix(&folder).unwrap().with_extension("");
        let module = inside.iter().next().unwrap().to_str().unwrap().to_owned();
        sources.push(Source { path, module, code });
    }
    let only_for_tests = |path: &Path| {
        let mut places = path.ancestors();
        places.any(|place| for_tests.contains(&place.with_extension("")))
    };
    sources.retain(|source| source.module != "lib" && !only_for_tests(&source.path));
    sources
}

/// Drops comments and items under `#[cfg(test)]`; also returns the modules in files of their own among these.
fn without_tests(text: &str) -> (String, Vec<String>) {
    let mut code = String::new();
    let mut files = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let bare = line.trim_start();
        if bare.starts_with("//") {
            continue;
        }
        if bare != "#[cfg(test)]" {
            code.push_str(line.split(" // ").next().unwrap_or(line));
            code.push('\n');
            continue;
        }
        // The item ends with its first line, or where a line closes it at the depth at which it began.
        let end = format!("{}}}", &line[..line.len() - bare.len()]);
        for (number, line) in lines.by_ref().enumerate() {
            if let Some(module) = line
                .trim()
                .strip_prefix("mod ")
                .or(line.trim().strip_prefix("pub mod "))
                && let Some(module) = module.strip_suffix(';')
            {
                files.push(module.to_owned());
            }
            if line == end || number == 0 && (line.ends_with(';') || line.ends_with('}')) {
                break;
            }
        }
    }
    (code, files)
}

/// The modules after `crate::`, also in `crate::{a::B, c}`, and after `bnsd::` in `main.rs`.
fn modules_used(code: &str) -> BTreeSet<String> {
    let identifier = |text: &str| -> String {
        let letters = text.chars();
        letters
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect()
    };
    let mut modules = BTreeSet::new();
    for prefix in ["crate::", "bnsd::"] {
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => modules.extend(top_of_group(group).iter().map(|p| identifier(p))),
                None => {
                    modules.insert(identifier(rest));
                }
            }
        }
    }
    modules.retain(|module| module.starts_with(|c: char| c.is_ascii_lowercase()));
    modules
}

/// The paths in a group, up to its end; inner groups belong to the path before them.
fn top_of_group(group: &str) -> Vec<&str> {
    let mut depth = 0;
    let mut start = 0;
    let mut paths = Vec::new();
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                paths.push(group[start..at].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                paths.push(group[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    paths
}
