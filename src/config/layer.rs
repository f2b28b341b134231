//! Layers of values as texts, each with its origin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::key::{self, KEYS, Key, Shape};
use super::{Flag, file};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File {
        /// Which one.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// The command line.
    Flag {
        /// The flag with its dashes.
        flag: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Flag { flag } => f.write_str(flag),
        }
    }
}

impl Origin {
    /// Names the place of a value in a sentence: a file has many keys, a flag or variable says which it is.
    pub fn of_key(&self, key: &str) -> String {
        match self {
            Self::Default | Self::File { .. } => format!("{self}: `{key}`"),
            Self::Environment { .. } | Self::Flag { .. } => self.to_string(),
        }
    }
}

/// A key, its value in force and where that came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key with its section.
    pub key: String,
    /// The environment variable that sets it.
    pub variable: &'static str,
    /// The shape of its value.
    pub shape: Shape,
    /// The value as texts: one, or for a list any number; none when it is left open.
    pub values: Vec<String>,
    /// What applies when it is left open, in words.
    pub open: &'static str,
    /// Where it came from.
    pub origin: Origin,
}

/// What a layer says about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The value as texts.
    pub values: Vec<String>,
    /// Where it stands.
    pub origin: Origin,
}

impl Given {
    /// A value that nobody gave.
    pub fn built_in(values: &[&str]) -> Self {
        Self {
            values: values.iter().map(|text| (*text).to_owned()).collect(),
            origin: Origin::Default,
        }
    }
}

/// All layers above the built-in one, merged. Keys of a map are `SECTION.KEY`.
#[derive(Debug, Default)]
pub struct Layers {
    /// What is given, by key.
    pub given: BTreeMap<String, Given>,
    /// What looks like a mistake without being one for sure.
    pub warnings: Vec<String>,
}

impl Layers {
    /// Lays the values of a configuration file over what is there.
    pub fn add_file(&mut self, text: &file::FileText) -> Result<(), super::ConfigError> {
        self.given.extend(file::parse(text)?);
        Ok(())
    }

    /// Lays environment variables over what is there. An unknown one is a warning and no error, since some
    /// environments invent variables from the names of services (`BNSD_PORT`).
    pub fn add_environment(&mut self, environment: &[(String, String)]) {
        for (variable, text) in environment {
            if !variable.starts_with("BNSD_") || key::OTHER_VARIABLES.contains(&variable.as_str()) {
                continue;
            }
            match KEYS.iter().find(|key| key.variable == variable) {
                Some(key) => self.add(key, split(key, text), &environment_origin(key)),
                None => self.warnings.push(format!(
                    "the environment variable {variable} sets nothing: `bnsd config show` lists those that do"
                )),
            }
        }
    }

    /// Lays values of the command line over what is there.
    pub fn add_flags(&mut self, flags: &[Flag]) {
        for flag in flags {
            let key = key::find(flag.key).expect("flags are named after keys; a test checks them");
            let origin = Origin::Flag {
                flag: flag.flag.to_owned(),
            };
            self.add(key, flag.values.clone(), &origin);
        }
    }

    fn add(&mut self, key: &Key, values: Vec<String>, origin: &Origin) {
        if !matches!(key.shape, Shape::Map | Shape::ListMap) {
            self.insert(key.name.to_owned(), values, origin);
            return;
        }
        for entry in values {
            let (id, value) = entry.split_once('=').unwrap_or((&entry, ""));
            let name = format!("{}.{}", key.name, id.trim());
            let values = match key.shape {
                Shape::ListMap => value.split_whitespace().map(str::to_owned).collect(),
                _ => vec![value.trim().to_owned()],
            };
            self.insert(name, values, origin);
        }
    }

    fn insert(&mut self, key: String, values: Vec<String>, origin: &Origin) {
        let origin = origin.clone();
        self.given.insert(key, Given { values, origin });
    }
}

fn environment_origin(key: &Key) -> Origin {
    Origin::Environment {
        variable: key.variable.to_owned(),
    }
}

fn split(key: &Key, text: &str) -> Vec<String> {
    match key.shape {
        Shape::Text | Shape::Number | Shape::Switch | Shape::Path => vec![text.trim().to_owned()],
        Shape::List | Shape::PathList | Shape::Map | Shape::ListMap => text
            .split(',')
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect(),
    }
}
