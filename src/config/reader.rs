//! From texts to types: takes the given value or the built-in one, parses it, remembers where it came from.

use super::error::ConfigError;
use super::key::{self, KEYS};
use super::layer::Layers;
use super::setting::{Given, Origin, Setting};

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
        parse: impl Fn(&str) -> Result<T, String>,
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
        parse: impl Fn(&str) -> Result<T, String>,
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
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, ConfigError> {
        let given = self.take(key, built_in);
        let parsed = given.values.iter().map(|text| parse(text));
        let parsed = parsed
            .collect::<Result<_, _>>()
            .map_err(|problem| value_error(key, &given, problem))?;
        self.note(key, open, given);
        Ok(parsed)
    }

    /// A section whose keys are free; `open` says what applies to those that it does not list.
    pub fn section<T>(
        &mut self,
        section: &'static str,
        built_in: &[(&str, &str)],
        open: &'static str,
        parse: impl Fn(&str, &[String]) -> Result<T, String>,
    ) -> Result<Vec<T>, ConfigError> {
        let rest = self.take(section, &[]);
        self.note(section, open, rest);
        let prefix = format!("{section}.");
        let given = &mut self.layers.given;
        for (name, value) in built_in {
            let built_in = given.entry(format!("{prefix}{name}"));
            built_in.or_insert_with(|| Given::built_in(&[value]));
        }
        let keys = given.keys().filter(|key| key.starts_with(&prefix));
        let keys: Vec<String> = keys.cloned().collect();
        let mut parsed = Vec::new();
        for key in keys {
            let given = self.take(&key, &[]);
            let one = parse(&key[prefix.len()..], &given.values);
            parsed.push(one.map_err(|problem| value_error(&key, &given, problem))?);
            self.note(&key, "", given);
        }
        Ok(parsed)
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
        self.settings
            .sort_by_key(|setting| key::row_of(&setting.key));
        (self.settings, self.layers.warnings)
    }

    fn take(&mut self, key: &str, built_in: &[&str]) -> Given {
        let given = self.layers.given.remove(key);
        given.unwrap_or_else(|| Given::built_in(built_in))
    }

    fn note(&mut self, key: &str, open: &'static str, given: Given) {
        let known = key::row_of(key).expect("every key that is read stands in the table");
        let known = &KEYS[known];
        self.settings.push(Setting {
            key: key.to_owned(),
            variable: known.variable(),
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
