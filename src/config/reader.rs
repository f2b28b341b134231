//! From texts to types: takes the given value or the built-in one, parses it, remembers where it came from.

use std::collections::BTreeMap;

use super::key::{self, Shape};
use super::layer::{Given, Layers, Origin, Setting};
use super::{ConfigError, NamespaceMode, value};
use crate::bns::name::NamespaceId;

/// Reads each key once, in the order of the table.
pub struct Reader {
    layers: Layers,
    settings: Vec<Setting>,
}

impl Reader {
    /// Starts with everything that is given.
    pub fn new(layers: Layers) -> Self {
        Self {
            layers,
            settings: Vec::new(),
        }
    }

    /// Whether any layer sets the key.
    pub fn is_given(&self, key: &str) -> bool {
        self.layers.given.contains_key(key)
    }

    /// A key with exactly one value.
    pub fn one<T>(
        &mut self,
        key: &'static str,
        built_in: &str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let given = self.take(key, &[built_in]);
        let text = given.values.first().map_or("", String::as_str);
        let parsed = parse(text).map_err(|problem| value_error(key, &given, problem))?;
        self.note(key, "", given);
        Ok(parsed)
    }

    /// A key that may be left open; `open` says what applies then.
    pub fn optional<T>(
        &mut self,
        key: &'static str,
        open: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        if self.is_given(key) {
            return self.one(key, "", parse).map(Some);
        }
        let given = self.take(key, &[]);
        self.note(key, open, given);
        Ok(None)
    }

    /// A key with a list of values; `open` says what applies when it is empty.
    pub fn many<T>(
        &mut self,
        key: &'static str,
        built_in: &[&str],
        open: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, ConfigError> {
        let given = self.take(key, built_in);
        let parsed = given.values.iter().map(|text| parse(text));
        let parsed = parsed
            .collect::<Result<_, _>>()
            .map_err(|problem| value_error(key, &given, problem))?;
        self.note(key, open, given);
        Ok(parsed)
    }

    /// The section `[namespaces]`; `id` has `mode` when nobody says otherwise.
    pub fn namespaces(
        &mut self,
        mode: NamespaceMode,
    ) -> Result<BTreeMap<NamespaceId, NamespaceMode>, ConfigError> {
        let id = Given {
            values: vec![value::mode_text(mode).to_owned()],
            origin: Origin::Default,
        };
        let given = &mut self.layers.given;
        given.entry("namespaces.id".to_owned()).or_insert(id);
        let is_entry = |key: &String| key.starts_with("namespaces.");
        let keys: Vec<String> = given.keys().filter(|key| is_entry(key)).cloned().collect();
        keys.into_iter().map(|key| self.namespace(&key)).collect()
    }

    /// An error for a value that was read already.
    pub fn refuse(&self, key: &str, problem: &str) -> ConfigError {
        let setting = self.settings.iter().find(|setting| setting.key == key);
        ConfigError::Value {
            origin: setting.map_or(Origin::Default, |setting| setting.origin.clone()),
            key: key.to_owned(),
            problem: problem.to_owned(),
        }
    }

    /// All settings in the order of the table, and what looked like a mistake.
    pub fn finish(mut self) -> (Vec<Setting>, Vec<String>) {
        let place = |setting: &Setting| {
            let key = setting.key.as_str();
            key::KEYS.iter().position(|known| {
                known.name == key || known.shape == Shape::Map && key.starts_with(known.name)
            })
        };
        self.settings.sort_by_key(place);
        (self.settings, self.layers.warnings)
    }

    fn namespace(&mut self, key: &str) -> Result<(NamespaceId, NamespaceMode), ConfigError> {
        let given = self.take(key, &[]);
        let text = given.values.first().map_or("", String::as_str);
        let id = key.strip_prefix("namespaces.").unwrap_or(key);
        let parsed = value::namespace(id)
            .and_then(|id| Ok((id, value::mode(text)?)))
            .map_err(|problem| value_error(key, &given, problem))?;
        self.note(key, "", given);
        Ok(parsed)
    }

    fn take(&mut self, key: &str, built_in: &[&str]) -> Given {
        self.layers.given.remove(key).unwrap_or_else(|| Given {
            values: built_in.iter().map(|text| (*text).to_owned()).collect(),
            origin: Origin::Default,
        })
    }

    fn note(&mut self, key: &str, open: &'static str, given: Given) {
        let known = key::find(key).or_else(|| key::find("namespaces"));
        let known = known.expect("every key that is read stands in the table");
        self.settings.push(Setting {
            key: key.to_owned(),
            variable: known.variable,
            shape: known.shape,
            values: given.values,
            open,
            origin: given.origin,
        });
    }
}

fn value_error(key: &str, given: &Given, problem: String) -> ConfigError {
    ConfigError::Value {
        origin: given.origin.clone(),
        key: key.to_owned(),
        problem,
    }
}
