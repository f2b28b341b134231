//! A key's value as text, and where it came from.

use std::fmt;
use std::path::PathBuf;

use super::key::Shape;

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
    pub variable: String,
    /// The shape of its value.
    pub shape: Shape,
    /// The value as texts: one, or for a list any number; none when it is left open.
    pub values: Vec<String>,
    /// What applies when it is left open, in words.
    pub open: &'static str,
    /// Where it came from.
    pub origin: Origin,
}

impl Setting {
    /// The value for people: what is given, or what applies when it is left open.
    pub fn shown(&self) -> String {
        match self.values.as_slice() {
            [] => self.open.to_owned(),
            values => values.join(", "),
        }
    }
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
