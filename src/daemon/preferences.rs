//! The choices of `bnsd prefer`, kept in the data directory.
//!
//! The file is a TOML table, `"werner.id" = "legacy"`, written whole beside its place, synced and renamed: after a
//! crash it holds either all old or all new choices. A file that cannot be read is an error at the start: to go on
//! without the choices would send names where somebody did not want them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::bns::Name;
use crate::disk::{self, rights};
use crate::resolver::Preference;

/// Name of the file in the data directory.
const FILE: &str = "preferences.toml";
/// Choices that are kept: far above what anybody makes by hand.
pub(super) const CHOICES_MAX: usize = 10_000;

/// Where choices are kept.
#[derive(Debug)]
pub(super) struct Preferences {
    path: PathBuf,
}

impl Preferences {
    /// The choices in a data directory.
    pub(super) fn open(data_dir: &Path) -> anyhow::Result<(Self, HashMap<Name, Preference>)> {
        let path = data_dir.join(FILE);
        rights::make_private(&path).with_context(|| format!("cannot use {}", path.display()))?;
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let choices = parse(&text)
            .with_context(|| {
                format!(
                    "{} cannot be read: correct it, or remove it and with it every choice made with `bnsd prefer`",
                    path.display()
                )
            })?;
        Ok((Self { path }, choices))
    }

    /// Keeps these choices instead of the ones before.
    pub(super) fn write(&self, choices: &HashMap<Name, Preference>) -> io::Result<()> {
        let sorted: BTreeMap<&str, Preference> = choices
            .iter()
            .map(|(name, preference)| (name.as_str(), *preference))
            .collect();
        let text = toml::to_string(&sorted).map_err(io::Error::other)?;
        disk::replace(&self.path, text.as_bytes())
    }
}

fn parse(text: &str) -> anyhow::Result<HashMap<Name, Preference>> {
    let table: BTreeMap<String, Preference> = toml::from_str(text)?;
    table
        .into_iter()
        .map(|(name, preference)| Ok((name.parse()?, preference)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_survive_and_nonsense_is_an_error() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let (file, none) = Preferences::open(scratch.path()).expect("no choices yet");
        assert!(none.is_empty());
        let choices: HashMap<Name, Preference> = [
            ("werner.id".parse().expect("a name"), Preference::Legacy),
            ("blog.id".parse().expect("a name"), Preference::Bns),
        ]
        .into();
        file.write(&choices).expect("kept choices");
        let text = fs::read_to_string(scratch.path().join(FILE)).expect("a file");
        assert_eq!(text, "\"blog.id\" = \"bns\"\n\"werner.id\" = \"legacy\"\n");
        let (_, again) = Preferences::open(scratch.path()).expect("the choices");
        assert_eq!(again, choices);
        for wrong in ["\"werner.id\" = \"mine\"", "\"No Name\" = \"bns\"", "x"] {
            fs::write(scratch.path().join(FILE), wrong).expect("a file");
            let error = Preferences::open(scratch.path()).expect_err("an error");
            assert!(
                error
                    .to_string()
                    .ends_with("every choice made with `bnsd prefer`"),
                "{error}"
            );
        }
    }
}
