//! File, environment and command line laid over one another, as texts with their origins.

use std::collections::BTreeMap;

use super::error::ConfigError;
use super::file;
use super::key::{self, KEYS, Key, Shape};
use super::setting::{Given, Origin};
use super::sources::Flag;

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
    pub fn add_file(&mut self, text: &file::FileText) -> Result<(), ConfigError> {
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
            match KEYS.iter().find(|key| key.variable() == *variable) {
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
        variable: key.variable(),
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
