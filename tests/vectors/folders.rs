//! Where the vectors are.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The folders that are looked for; others are checked too if they hold vectors.
pub const FOLDERS: [&str; 8] = [
    "scenarios",
    "scenarios-stacks",
    "consensus",
    "history",
    "recorded",
    "wire",
    "pricing",
    "spec",
];

/// The folder of the vectors, and that of the specification.
pub struct Folders {
    pub vectors: PathBuf,
    spec: PathBuf,
}

impl Folders {
    pub fn find() -> Self {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let shared = project.join("../shared/vectors");
        let vectors = match std::env::var_os("BNSD_VECTORS") {
            Some(folder) => project.join(folder),
            None if shared.is_dir() => shared,
            None => project.join("tests/vectors"),
        };
        let places = ["../spec/vectors", "spec/vectors", "spec"];
        let mut places = places.iter().map(|place| vectors.join(place));
        let spec = places
            .find(|place| place.is_dir())
            .unwrap_or_else(|| vectors.join("spec"));
        Self { vectors, spec }
    }

    /// Where a folder is or would be.
    pub fn path(&self, folder: &str) -> PathBuf {
        if folder == "spec" {
            self.spec.clone()
        } else {
            self.vectors.join(folder)
        }
    }

    /// Folders that are there besides [`FOLDERS`] and hold vector files, the top one (`.`) included.
    pub fn others(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.vectors)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| !FOLDERS.contains(&name.as_str()))
            .collect();
        names.push(".".to_owned());
        names.retain(|name| !files(&self.path(name)).is_empty());
        names.sort();
        names
    }
}

/// The vector files of a folder, in order: `*.json` and `*.json.gz`.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.retain(|path| {
        let path = path.to_string_lossy();
        path.ends_with(".json") || path.ends_with(".json.gz")
    });
    files.sort();
    files
}

/// Prints a line that is seen without `--nocapture`.
pub fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output takes a line");
}
