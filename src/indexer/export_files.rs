//! What may lie in the directory of a log, and how it is made and read.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// What a log has, and nothing else may be in its directory.
pub(super) const MANIFEST: &str = "log.json";
pub(super) const HEADERS: &str = "headers";
pub(super) const SEGMENTS: &str = "segments";
pub(super) const OPEN: &str = "segments/open";
/// How files end that are not in their place yet.
const BESIDE: &str = ".new";

/// The name of something in the directory that belongs to no log.
pub(super) fn foreign_name(directory: &Path) -> io::Result<Option<String>> {
    let names = |directory: &Path| -> io::Result<Vec<String>> {
        let entries = fs::read_dir(directory)?;
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    };
    let foreign = names(directory)?.into_iter().find(|name| {
        let name = name.strip_suffix(BESIDE).unwrap_or(name);
        ![MANIFEST, HEADERS, SEGMENTS].contains(&name)
    });
    let segments = directory.join(SEGMENTS);
    if foreign.is_some() || !segments.is_dir() {
        return Ok(foreign);
    }
    Ok(names(&segments)?.into_iter().find(|name| {
        let name = name.strip_suffix(BESIDE).unwrap_or(name);
        name != "open" && name.parse::<u32>().is_err()
    }))
}

/// Makes a directory that everybody may read. An existing one stays as it is.
pub(super) fn create_public(directory: &Path) -> io::Result<()> {
    match directory.is_dir() {
        true => Ok(()),
        false => DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(directory),
    }
}

/// Reads a file that has at most so many bytes.
pub(super) fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let length = fs::metadata(path)?.len();
    if length > most {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    fs::read(path)
}
