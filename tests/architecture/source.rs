//! The product code as text: files without comments and without what is compiled for tests only, and the paths that
//! they name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file without comments and without what is compiled for tests only.
pub struct Source {
    pub path: PathBuf,
    /// The module at the top that it belongs to.
    pub room: String,
    /// The path of its module, without `crate`.
    pub module: Vec<String>,
    pub code: String,
}

pub fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
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
pub fn sources() -> Vec<Source> {
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
        let mut module: Vec<String> = inside
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .collect();
        let room = module[0].clone();
        module.retain(|part| part != "mod");
        sources.push(Source {
            path,
            room,
            module,
            code,
        });
    }
    let only_for_tests = |path: &Path| {
        let mut places = path.ancestors();
        places.any(|place| for_tests.contains(&place.with_extension("")))
    };
    sources.retain(|source| source.room != "lib" && !only_for_tests(&source.path));
    sources
}

/// Drops comments and items under `#[cfg(test)]`; also returns the modules in files of their own among these.
pub fn without_tests(text: &str) -> (String, Vec<String>) {
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
pub fn modules_used(code: &str) -> BTreeSet<String> {
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
