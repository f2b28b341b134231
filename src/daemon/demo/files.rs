//! The zone files of the demo: those of a folder, or the ones that come with the program.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::bns::Name;
use crate::zonefile::ZONEFILE_MAX;

/// Ending of a zone file's name.
const ENDING: &str = ".zone";

/// A zone file and the name that it is for.
pub type File = (Name, Vec<u8>);

/// The files of a folder, by name; at least one.
pub fn read_folder(folder: &Path) -> anyhow::Result<Vec<File>> {
    let unreadable = || {
        format!(
            "cannot read the zone files in {}: check the directory",
            folder.display()
        )
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        files.extend(read_file(&entry.with_context(unreadable)?.path())?);
    }
    if files.is_empty() {
        bail!(
            "there is no NAME.zone file in {}: put one there",
            folder.display()
        );
    }
    files.sort_unstable();
    Ok(files)
}

/// A zone file and its name; `None` if it is not called like one.
fn read_file(path: &Path) -> anyhow::Result<Option<File>> {
    let file_name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = file_name.and_then(|name| name.strip_suffix(ENDING)) else {
        return Ok(None);
    };
    let path_text = path.display();
    let name: Name = name.parse().with_context(|| {
        format!("{path_text} is not called NAME.zone: rename it, for example to werner.id.zone")
    })?;
    if name.namespace_id().is_none() {
        bail!(
            "{name} can belong to no namespace, which has at most 19 characters: rename {path_text}"
        );
    }
    let bytes = fs::read(path).with_context(|| format!("cannot read {path_text}"))?;
    match bytes.len() {
        0 => bail!("{path_text} is empty: write at least a $ORIGIN, or remove it"),
        length if length > ZONEFILE_MAX => {
            bail!("{path_text} has more than {ZONEFILE_MAX} bytes: shorten it")
        }
        _ => Ok(Some((name, bytes))),
    }
}

/// Names with the text of their zone files in the project's folder.
macro_rules! zonefiles {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../zonefiles/", $name, ".zone")))),*]
    };
}

/// The zone files that come with the program.
pub fn built_in() -> Vec<File> {
    let files = zonefiles!(
        "alias.id" "big.id" "blog.id" "deep.id" "friends.helloworld" "future.id" "home.helloworld"
        "judecn.id" "keys.id" "library.helloworld" "links.id" "mail.id" "modern.id" "moved.id"
        "names.id" "numbers.id" "printer.helloworld" "profile.id" "sensor.helloworld" "shop.id"
        "ssh.id" "strings.id" "ttl.id" "voice.id" "werner.id" "wild.id"
    );
    let file = |(name, text): (&str, &str)| Some((name.parse().ok()?, text.as_bytes().to_vec()));
    files.into_iter().filter_map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_file_of_the_project_comes_with_the_program() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("zonefiles");
        let mut built_in = built_in();
        built_in.sort_unstable();
        assert_eq!(
            built_in,
            read_folder(&folder).expect("the project's folder")
        );
    }
}
